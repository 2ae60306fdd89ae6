//! Rules, from where the command line says they are.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bartizan_config::{Diagnostic, Place, SourceId, Sources};
use bartizan_waf::{Files, Folder, Overrides, RuleFault, RuleSet};

use crate::cli::WafRulesArgs;
use crate::failure::Failure;

/// The name of the rules that the gateway carries.
const BUILTIN: &str = "builtin";

/// Rules, and what the command line changes of them.
pub(super) struct Rules {
    pub(super) set: Arc<RuleSet>,
    args: Changes,
}

#[derive(Clone, Copy)]
struct Changes {
    paranoia: Option<u8>,
    threshold: Option<u16>,
}

impl Rules {
    /// Loads them; what is wrong is shown in its file.
    pub(super) fn load(args: &WafRulesArgs) -> Result<Self, Failure> {
        let set = if args.rules == BUILTIN {
            RuleSet::builtin().map_err(|faults| shown(&faults))?
        } else {
            let names = names(&args.rules)?;
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            RuleSet::load(&names, &Folder::new("")).map_err(|faults| shown(&faults))?
        };
        let args = Changes { paranoia: args.paranoia, threshold: args.threshold };
        let rules = Self { set: Arc::new(set), args };
        rules.overrides()?;
        Ok(rules)
    }

    /// What a route would change of them: they may refuse.
    pub(super) fn overrides(&self) -> Result<Overrides, Failure> {
        let mut overrides = Overrides::new();
        overrides.refuse(true);
        let level = self.args.paranoia.map(i64::from);
        let threshold = self.args.threshold.map(i64::from);
        // Version 3 of the Core Rule Set calls the levels otherwise.
        for (option, names, number) in [
            ("paranoia", &["blocking_paranoia_level", "paranoia_level"][..], level),
            ("paranoia", &["detection_paranoia_level", "executing_paranoia_level"], level),
            ("threshold", &["inbound_anomaly_score_threshold"], threshold),
        ] {
            let Some(number) = number else { continue };
            overrides.pin_any(&self.set, names, number).map_err(|fault| {
                Failure::new(format!("`--{option}` means nothing to these rules: {fault}"))
            })?;
        }
        Ok(overrides)
    }

    /// What to mind about them.
    pub(super) fn note(&self) -> Option<&'static str> {
        let settings = self.set.settings();
        let is_stated = settings.states_request_body || self.set.may_read_request_body();
        (!is_stated).then_some(
            "these rules do not say whether bodies are looked at, and the plugin would refuse them; \
             write `SecRequestBodyAccess On` (or `Off`) into one of their files",
        )
    }
}

/// The files of a file or folder, in order.
fn names(rules: &str) -> Result<Vec<String>, Failure> {
    let path = Path::new(rules);
    if !path.is_dir() {
        return Ok(vec![rules.to_owned()]);
    }
    let mut names = Vec::new();
    for folder in [path.to_owned(), path.join("rules")] {
        if folder.is_dir() {
            let pattern = folder.join("*.conf").to_string_lossy().into_owned();
            let found = Folder::new("").list("", &pattern);
            names.extend(found.map_err(|fault| Failure::new(fault.to_string()))?);
        }
    }
    if names.is_empty() {
        return Err(Failure::new(format!("there are no rules in `{rules}`")).with_help(
            "rule files are called `*.conf`, and stand in it or in its folder `rules`",
        ));
    }
    Ok(names)
}

/// Faults, each in the line that it stands in.
fn shown(faults: &[RuleFault]) -> Failure {
    let mut sources = Sources::new();
    let mut known: BTreeMap<Arc<str>, Option<SourceId>> = BTreeMap::new();
    let mut problems = Vec::new();
    for fault in faults {
        let file = &fault.place.file;
        let source = *known.entry(file.clone()).or_insert_with(|| {
            let bytes = Folder::new("").read("", file).ok()?;
            Some(sources.add(file, Path::new(""), String::from_utf8_lossy(&bytes).into_owned()))
        });
        let place = source.map(|source| {
            let at = offset(sources.text(source), fault.place.line, fault.place.column);
            Place { source, start: at, end: at }
        });
        problems.push(Diagnostic {
            place,
            path: "".into(),
            problem: fault.problem.clone(),
            help: fault.help.clone(),
        });
    }
    Failure::Misconfigured { sources, problems }
}

/// Where a line and a column in bytes are in a text.
fn offset(text: &str, line: u32, column: u32) -> u32 {
    let before = line.saturating_sub(1) as usize;
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    u32::try_from(start).unwrap_or(u32::MAX).saturating_add(column.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_in_the_text() {
        assert_eq!(offset("ab\ncd\n", 1, 1), 0);
        assert_eq!(offset("ab\r\ncd\n", 2, 2), 5);
        assert_eq!(offset("ab", 7, 1), 2);
    }
}
