//! `bartizan waf test`: which requests would be refused.

use serde_json::Value;

use super::judge::{Judged, Outcome, judge};
use super::read::read;
use super::rules::Rules;
use crate::cli::{Expectation, ResultFormat, WafTestArgs};
use crate::failure::{Failure, say};
use crate::table::table;

/// Tells of each request what becomes of it.
pub(super) fn test(args: &WafTestArgs) -> Result<(), Failure> {
    let rules = Rules::load(&args.rules)?;
    if let Some(note) = rules.note() {
        eprintln!("note: {note}");
    }
    let mut rows = vec![["REQUEST", "VERDICT", "SCORE", "RULES"].map(str::to_owned)];
    let mut misses = Vec::new();
    for name in &args.requests {
        let judged = judge(&rules, rules.overrides()?, &read(name, args.rules.client)?);
        let is_met = is_met(args.expect.as_ref(), &judged);
        if !is_met {
            misses.push(name.as_str());
        }
        match args.rules.format {
            ResultFormat::Text => rows.push(row(name, &judged)),
            ResultFormat::Json => {
                let mut line = judged.summary(name);
                line.insert("as_expected".to_owned(), is_met.into());
                say(&format!("{}\n", Value::Object(line)));
            }
        }
    }
    if args.rules.format == ResultFormat::Text {
        say(&table(&rows));
    }
    if misses.is_empty() {
        return Ok(());
    }
    let (count, all) = (misses.len(), args.requests.len());
    let what = match &args.expect {
        None | Some(Expectation::Pass) => "would be refused",
        Some(Expectation::Deny) => "would pass",
        Some(Expectation::Rules(_)) => "do not match all of these rules",
    };
    Err(Failure::Unmet(format!("{count} of {all} {what}: {}", misses.join(", "))))
}

fn is_met(expected: Option<&Expectation>, judged: &Judged) -> bool {
    match expected {
        None | Some(Expectation::Pass) => judged.outcome == Outcome::Pass,
        Some(Expectation::Deny) => judged.outcome != Outcome::Pass,
        Some(Expectation::Rules(ids)) => ids.iter().all(|id| judged.ids().contains(id)),
    }
}

fn row(name: &str, judged: &Judged) -> [String; 4] {
    let status = judged.outcome.status().map(|status| format!(" {status}")).unwrap_or_default();
    let verdict = format!("{}{status}", judged.outcome.word());
    let score = score(judged).unwrap_or_else(|| "-".to_owned());
    let ids: Vec<String> = judged.ids().iter().map(ToString::to_string).collect();
    let ids = match (judged.outcome.cause(), ids.is_empty()) {
        (Some(cause), true) => cause,
        _ => ids.join(" "),
    };
    [name.to_owned(), verdict, score, ids]
}

/// The score against the threshold, where rules score.
fn score(judged: &Judged) -> Option<String> {
    let score = judged.score?;
    Some(judged.threshold.map_or_else(|| score.to_string(), |max| format!("{score}/{max}")))
}
