//! What an operator learns who lets the rules only tell for a while (`mode: detect`): which rule finds
//! what it looks for in which field of which API, in traffic that does no harm.
//!
//! It is learnt from other requests than those that are judged afterwards: for the same operations, and
//! made in the same way of other draws.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use bartizan_waf::{Overrides, RuleMatch, RuleSet, Transaction};
use serde_json::Value;

use super::chance::Chance;
use super::requests::{self, Request};

/// Something that a route leaves out: a rule, and what it does not look at; the whole rule where that
/// is nothing that a route can name.
pub(super) type Exclusion = (u32, Option<String>);

/// What each document's routes leave out.
pub(super) type Learnt = BTreeMap<PathBuf, BTreeSet<Exclusion>>;

/// Learns from `rounds` requests for each operation that is judged.
pub(super) fn learn(
    rules: &Arc<RuleSet>,
    requests: &[&Request],
    (seed, rounds): (u64, u64),
) -> Result<Learnt> {
    let mut learnt = Learnt::new();
    let mut transaction = Transaction::new(rules.clone(), None);
    for of_document in requests.chunk_by(|one, other| one.document == other.document) {
        let Some(first) = of_document.first() else { continue };
        let document: Value = serde_json::from_slice(&std::fs::read(&first.document)?)?;
        let mut found = BTreeSet::new();
        for request in of_document {
            for round in 1..=rounds {
                // The name keeps these draws apart from those of what is judged.
                let mut chance = Chance::of(seed, &format!("{} {round}", request.origin));
                let other = requests::another(&mut chance, &document, request);
                transaction.reset(rules.clone(), None, None);
                if super::cause(&mut transaction, &other).is_some() {
                    let telling = transaction.matches().iter().filter(|one| super::is_telling(one));
                    found.extend(telling.flat_map(exclusions));
                }
            }
        }
        if !found.is_empty() {
            learnt.insert(first.document.clone(), found);
        }
    }
    Ok(learnt)
}

/// What would keep a rule from matching so again.
fn exclusions(found: &RuleMatch) -> Vec<Exclusion> {
    let names = found.values.iter().map(|value| String::from_utf8_lossy(&value.name).into_owned());
    // What rules fill themselves is filled from something else, and a name that begins with a slash
    // would be read as a pattern.
    let is_target = |name: &String| {
        let (variable, member) = name.split_once(':').unwrap_or((name, ""));
        !member.is_empty() && !["TX", "MATCHED_VARS"].contains(&variable) && !name.contains(":/")
    };
    let targets: BTreeSet<String> = names.filter(is_target).map(|name| any_item(&name)).collect();
    if targets.is_empty() {
        return vec![(found.id, None)];
    }
    targets.into_iter().map(|target| (found.id, Some(target))).collect()
}

/// A name that stands for all items of a list where it names one.
fn any_item(name: &str) -> String {
    let Some((variable, member)) = name.split_once(':').filter(|_| name.contains(".array_")) else {
        return name.to_owned();
    };
    let mut pattern = String::new();
    for part in member.split('.') {
        if !pattern.is_empty() {
            pattern.push_str("\\.");
        }
        match part.strip_prefix("array_") {
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                pattern.push_str("array_[0-9]+");
            }
            _ => pattern.extend(part.chars().flat_map(|sign| {
                let escape = (!sign.is_ascii_alphanumeric() && sign.is_ascii()).then_some('\\');
                escape.into_iter().chain([sign])
            })),
        }
    }
    format!("{variable}:/^{pattern}$/")
}

/// What the engine leaves out for a document.
pub(super) fn overrides(rules: &RuleSet, document: &Path, learnt: &Learnt) -> Result<Overrides> {
    let mut overrides = Overrides::new();
    for (rule, target) in learnt.get(document).into_iter().flatten() {
        match target {
            Some(target) => overrides.hide_from_rule(rules, *rule, target)?,
            None => overrides.without_rule(rules, *rule)?,
        }
    }
    Ok(overrides)
}

/// As it stands in the configuration of the plugin.
pub(super) fn written(document: &Path, learnt: &Learnt) -> String {
    let list = learnt.get(document).into_iter().flatten();
    let list: Vec<Value> = list
        .map(|(rule, target)| match target {
            Some(target) => serde_json::json!({"rule": rule, "target": target}),
            None => serde_json::json!({"rule": rule}),
        })
        .collect();
    if list.is_empty() { String::new() } else { format!(", exclude: {}", Value::from(list)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_item_stands_for_its_list() {
        assert_eq!(any_item("ARGS:json.a_b"), "ARGS:json.a_b");
        let pattern = any_item("ARGS:json.a$b.array_12.c");
        assert_eq!(pattern, r"ARGS:/^json\.a\$b\.array_[0-9]+\.c$/");
    }

    #[test]
    fn exclusions_are_written_for_the_plugin() {
        let found = BTreeSet::from([(1, None), (2, Some("ARGS:\"a".to_owned()))]);
        let learnt = Learnt::from([(PathBuf::from("d"), found)]);
        let written = written(Path::new("d"), &learnt);
        assert_eq!(written, r#", exclude: [{"rule":1},{"rule":2,"target":"ARGS:\"a"}]"#);
        assert_eq!(super::written(Path::new("e"), &learnt), "");
    }
}
