//! What a route would have to leave out for a request to pass.
//!
//! Found by trying: what a rule that counts looked at is hidden from it; if it still matches, the
//! rule goes. So what is told has been seen to do what it is told for.

use std::fmt::Write as _;

use bartizan_waf::{Overrides, RuleMatch};

use super::explain::is_unseen;
use super::judge::{Judged, Outcome, judge};
use super::read::Arrived;
use super::rules::Rules;
use crate::failure::Failure;

/// The most attempts: a rule tells the first of its values only, so that one may not be enough.
const ATTEMPTS_MAX: usize = 8;
/// Variables that rules fill themselves: what is wrong is what they were filled from.
const OWN: [&str; 10] = [
    "TX",
    "MATCHED_VAR",
    "MATCHED_VARS",
    "MATCHED_VAR_NAME",
    "MATCHED_VARS_NAMES",
    "IP",
    "GLOBAL",
    "SESSION",
    "USER",
    "RESOURCE",
];

/// Something that a route leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exclusion {
    pub(super) rule: u32,
    /// What the rule does not look at; none takes the rule out.
    pub(super) target: Option<String>,
}

impl Exclusion {
    fn apply(&self, overrides: &mut Overrides, rules: &Rules) -> Result<(), Failure> {
        let applied = match &self.target {
            Some(target) => overrides.hide_from_rule(&rules.set, self.rule, target),
            None => overrides.without_rule(&rules.set, self.rule),
        };
        applied.map_err(|fault| Failure::new(fault.to_string()))
    }

    /// As it stands in the configuration of the plugin.
    pub(super) fn written(&self) -> String {
        match &self.target {
            // A text of JSON is one of YAML.
            Some(target) => {
                let target = plain(&serde_json::json!(target).to_string());
                format!("{{rule: {}, target: {target}}}", self.rule)
            }
            None => format!("{{rule: {}}}", self.rule),
        }
    }
}

/// A text of JSON in which each sign is seen.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        if is_unseen(sign) {
            for unit in sign.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(sign);
        }
    }
    out
}

/// What to leave out, and whether the request then passes.
pub(super) struct Excuse {
    pub(super) exclusions: Vec<Exclusion>,
    pub(super) passes: bool,
    /// Whether nothing counts against the request any more.
    pub(super) is_whole: bool,
}

/// Looks for what would let a request pass that was judged so.
pub(super) fn excuse(rules: &Rules, arrived: &Arrived, first: &Judged) -> Result<Excuse, Failure> {
    let mut exclusions: Vec<Exclusion> = Vec::new();
    let mut next = wanted(&first.matches, &exclusions);
    let mut passes = first.outcome == Outcome::Pass;
    for _ in 0..ATTEMPTS_MAX {
        if next.is_empty() {
            break;
        }
        exclusions
            .retain(|old| !next.iter().any(|new| new.target.is_none() && new.rule == old.rule));
        exclusions.append(&mut next);
        let mut overrides = rules.overrides()?;
        for exclusion in &exclusions {
            exclusion.apply(&mut overrides, rules)?;
        }
        let judged = judge(rules, overrides, arrived);
        passes = judged.outcome == Outcome::Pass;
        next = wanted(&judged.matches, &exclusions);
    }
    Ok(Excuse { exclusions, passes, is_whole: next.is_empty() })
}

/// What else to leave out, given what still matches.
fn wanted(matches: &[RuleMatch], known: &[Exclusion]) -> Vec<Exclusion> {
    let mut wanted: Vec<Exclusion> = Vec::new();
    for found in matches.iter().filter(|found| counts(found)) {
        let mut targets = targets(found);
        targets.retain(|target| !is_known(known, found.id, Some(target)));
        let whole = targets.is_empty().then_some(None);
        for target in targets.into_iter().map(Some).chain(whole) {
            let exclusion = Exclusion { rule: found.id, target };
            if !wanted.contains(&exclusion) && !is_known(known, found.id, None) {
                wanted.push(exclusion);
            }
        }
    }
    wanted
}

fn is_known(known: &[Exclusion], rule: u32, target: Option<&str>) -> bool {
    known.iter().any(|old| old.rule == rule && old.target.as_deref() == target)
}

/// True if a match stands against the request by itself: it scores or refuses, and not because of
/// what other rules counted.
fn counts(found: &RuleMatch) -> bool {
    let is_sum = !found.values.is_empty() && found.values.iter().all(|value| is_own(&value.name));
    (found.disrupts || found.added.iter().any(|(_, number)| *number > 0)) && !is_sum
}

fn is_own(name: &[u8]) -> bool {
    let variable = name.split(|byte| *byte == b':').next().unwrap_or_default();
    OWN.iter().any(|own| own.as_bytes() == variable)
}

/// What a rule looked at and a route can hide from it: members, or what has none.
fn targets(found: &RuleMatch) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for value in found.values.iter().filter(|value| !is_own(&value.name)) {
        // A name that begins with a slash would be read as a pattern.
        let name = String::from_utf8_lossy(&value.name).into_owned();
        if !name.contains(":/") && !names.contains(&name) {
            names.push(name);
        }
    }
    let has_members = names.iter().any(|name| name.contains(':'));
    names.retain(|name| !has_members || name.contains(':'));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_plays_with_the_terminal_is_written_in_escapes() {
        let target = Some("ARGS:a\"\u{1b}\u{7f}\u{9b}\u{202e}é".to_owned());
        let written = Exclusion { rule: 1, target: target.clone() }.written();
        assert_eq!(written, r#"{rule: 1, target: "ARGS:a\"\u001b\u007f\u009b\u202eé"}"#);
        let text = written.split_once("target: ").unwrap().1.trim_end_matches('}');
        assert_eq!(serde_json::from_str::<String>(text).ok(), target);
    }
}
