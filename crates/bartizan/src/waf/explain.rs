//! `bartizan waf explain`: why a request scores, and what would have it pass.

use std::fmt::Write as _;

use bartizan_audit::{REDACTED, Redactor};
use bartizan_plugins::inspect::waf::is_secret;
use bartizan_waf::{MatchedValue, RuleMatch};
use serde_json::{Value, json};

use super::excuse::{Excuse, excuse};
use super::judge::{By, Judged, Outcome, judge};
use super::read::read;
use super::rules::Rules;
use crate::cli::{ResultFormat, WafExplainArgs};
use crate::failure::{Failure, say};

/// The longest text of a value or pattern that people are shown, in characters.
const SHOWN_MAX: usize = 120;

/// Tells it.
pub(super) fn explain(args: &WafExplainArgs) -> Result<(), Failure> {
    let rules = Rules::load(&args.rules)?;
    if let Some(note) = rules.note() {
        eprintln!("note: {note}");
    }
    let arrived = read(&args.request, args.rules.client)?;
    let judged = judge(&rules, rules.overrides()?, &arrived);
    let excuse = excuse(&rules, &arrived, &judged)?;
    let eyes = Eyes { redactor: Redactor::default(), shows_all: args.show_values };
    say(&match args.rules.format {
        ResultFormat::Text => text(&args.request, &judged, &excuse, &eyes),
        ResultFormat::Json => object(&args.request, &judged, &excuse, &eyes).to_string() + "\n",
    });
    Ok(())
}

/// What may be shown.
struct Eyes {
    redactor: Redactor,
    shows_all: bool,
}

impl Eyes {
    /// What a rule says of values may hold any of them, and in a chain one value another.
    fn shows_all_of(&self, found: &RuleMatch) -> bool {
        let is_secret = |name: &[u8]| is_secret(&lossy(name), &self.redactor);
        self.shows_all || !found.is_cut() && !found.names().any(is_secret)
    }

    fn message(&self, found: &RuleMatch) -> String {
        lossy(if self.shows_all_of(found) { &found.msg } else { &found.title })
    }

    fn shown(&self, found: &RuleMatch, bytes: &[u8]) -> String {
        if self.shows_all_of(found) { lossy(bytes) } else { REDACTED.to_owned() }
    }
}

fn text(name: &str, judged: &Judged, excuse: &Excuse, eyes: &Eyes) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match (&judged.outcome, judged.outcome.cause()) {
        (Outcome::Deny(status, _), Some(cause)) => {
            writeln!(out, "{}: refused with {status} by {}", escaped(name), escaped(&cause))
        }
        _ => writeln!(out, "{}: passes", escaped(name)),
    };
    if let (Some(score), Some(threshold)) = (judged.score, judged.threshold) {
        let _ = writeln!(out, "score: {score}; refused from {threshold} on");
    }
    if judged.matches.is_empty() && !matches!(judged.outcome, Outcome::Deny(_, By::Gateway(_))) {
        out.push_str("no rule matched\n");
    }
    for found in &judged.matches {
        out.push('\n');
        write_match(&mut out, found, eyes);
    }
    write_excuse(&mut out, judged, excuse);
    out
}

fn write_match(out: &mut String, found: &RuleMatch, eyes: &Eyes) {
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(out, "  {name:<10} {text}");
    };
    let title = format!("{} {}", found.id, on_one_line(&eyes.message(found)));
    line("rule", title.trim_end());
    let file = escaped(&found.file);
    line("stands in", &format!("{file}:{}, phase {}", found.line, found.phase));
    for value in &found.values {
        line("looked at", &format!("{}{}", on_one_line(&lossy(&value.name)), after(value)));
        line("asked", &asked(value));
        let shown = quoted(&eyes.shown(found, &value.value));
        let is_part = !value.found.is_empty() && value.found != value.value;
        line(
            "found",
            &if is_part {
                format!("{} in {shown}", quoted(&eyes.shown(found, &value.found)))
            } else {
                shown
            },
        );
    }
    if !found.added.is_empty() {
        line("adds", &added(found));
    }
    if found.disrupts {
        line("does", "refuses");
    }
}

fn after(value: &MatchedValue) -> String {
    let list = value.transformations.join(", ");
    if list.is_empty() { String::new() } else { format!(" after {list}") }
}

fn asked(value: &MatchedValue) -> String {
    let sign = if value.is_negated { "!" } else { "" };
    format!("{sign}@{} {}", value.operator, on_one_line(&value.argument)).trim_end().to_owned()
}

fn added(found: &RuleMatch) -> String {
    let sums = found.added.iter();
    let sums: Vec<String> =
        sums.map(|(name, number)| format!("{number} to TX:{}", escaped(&lossy(name)))).collect();
    sums.join(", ")
}

fn write_excuse(out: &mut String, judged: &Judged, excuse: &Excuse) {
    if excuse.exclusions.is_empty() {
        return;
    }
    let what = match (&judged.outcome, excuse.passes) {
        (Outcome::Pass, _) if excuse.is_whole => "with it no rule scores",
        (Outcome::Pass, _) => "with it fewer rules score",
        (Outcome::Deny(..), true) => "with it the request passes",
        (Outcome::Deny(..), false) => "with it the request is still refused",
    };
    let _ =
        writeln!(out, "\nIf this is a false alarm, the `waf` of the route can leave out ({what}):");
    out.push_str("  exclude:\n");
    for exclusion in &excuse.exclusions {
        let _ = writeln!(out, "    - {}", exclusion.written());
    }
}

fn object(name: &str, judged: &Judged, excuse: &Excuse, eyes: &Eyes) -> Value {
    let mut object = judged.summary(name);
    let matches: Vec<Value> =
        judged.matches.iter().map(|found| match_object(found, eyes)).collect();
    object.insert("matches".to_owned(), matches.into());
    let exclusions: Vec<Value> = excuse
        .exclusions
        .iter()
        .map(|exclusion| match &exclusion.target {
            Some(target) => json!({ "rule": exclusion.rule, "target": target }),
            None => json!({ "rule": exclusion.rule }),
        })
        .collect();
    object.insert("exclude".to_owned(), exclusions.into());
    object.insert("passes_with_exclude".to_owned(), excuse.passes.into());
    Value::Object(object)
}

fn match_object(found: &RuleMatch, eyes: &Eyes) -> Value {
    let values: Vec<Value> = found
        .values
        .iter()
        .map(|value| {
            json!({
                "name": lossy(&value.name),
                "transformations": value.transformations,
                "operator": value.operator,
                "argument": &*value.argument,
                "negated": value.is_negated,
                "value": eyes.shown(found, &value.value),
                "found": eyes.shown(found, &value.found),
            })
        })
        .collect();
    let added: serde_json::Map<String, Value> =
        found.added.iter().map(|(name, number)| (lossy(name), json!(number))).collect();
    json!({
        "rule": found.id,
        "message": eyes.message(found),
        "phase": found.phase,
        "file": &*found.file,
        "line": found.line,
        "tags": found.tags.iter().map(|tag| lossy(tag)).collect::<Vec<_>>(),
        "values": values,
        "added": added,
        "refuses": found.disrupts,
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", on_one_line(text))
}

/// A text that somebody else wrote, for a terminal: control characters would move its cursor.
fn on_one_line(text: &str) -> String {
    escaped(&cut(text))
}

fn escaped(text: &str) -> String {
    text.chars().flat_map(shown).collect()
}

fn shown(sign: char) -> impl Iterator<Item = char> {
    let escapes = is_unseen(sign).then(|| sign.escape_unicode());
    let named = matches!(sign, '\n' | '\r' | '\t').then(|| sign.escape_default());
    let plain = escapes.is_none().then_some(sign);
    let escapes = if named.is_some() { None } else { escapes };
    named.into_iter().flatten().chain(escapes.into_iter().flatten()).chain(plain)
}

/// True if a sign has no shape of its own, but changes what others look like or where they stand:
/// control characters, and what turns the direction of writing.
pub(super) fn is_unseen(sign: char) -> bool {
    let is_format = matches!(
        sign,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    sign.is_control() || is_format
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_stays_on_its_line() {
        assert_eq!(quoted("a\nb\u{1b}[2J\"é"), "\"a\\nb\\u{1b}[2J\"é\"");
        assert_eq!(quoted("\u{202e}a\u{9b}\u{feff}"), "\"\\u{202e}a\\u{9b}\\u{feff}\"");
        assert_eq!(cut(&"x".repeat(500)).chars().count(), SHOWN_MAX + 1);
    }
}
