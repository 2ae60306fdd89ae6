//! Events and lines of the access log: every member, with its type and an example.

use std::fmt::Write;

use bartizan_audit::{
    ACCESS_FIELDS, EVENT_FIELDS, EventKind, Field, access_example, event_examples,
};
use serde_json::Value;

use super::fields::one_line;

/// The page.
pub(super) fn page() -> String {
    let mut page = super::page(
        "Events and the access log",
        "Each refusal, each failure and each change of the node is an event: one object of JSON on \
         a line of the audit log. Each request is a line of the access log as well. What does not \
         apply is left out. No byte of a client can end a line, and every text has a greatest \
         length. Where they are written, when events are folded and what happens when the log \
         cannot follow is told in [Operations](../operations.md#the-audit-log); the \
         [reasons](reasons.md) have a page of their own.",
    );
    page.push_str("## Kinds of events\n\n| `event` | when |\n|---|---|\n");
    for kind in EventKind::ALL {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{}` | {} |", kind.name(), one_line(kind.documentation()));
    }
    let [full, others @ ..] = event_examples();
    page.push_str("\n## Events\n\n");
    table(&mut page, EVENT_FIELDS, &full);
    page.push_str("\nA refusal, one that stands for many, a change of the node, and one by an operator:\n\n```json\n");
    for line in std::iter::once(&full).chain(&others) {
        page.push_str(&folded(line));
    }
    page.push_str("```\n\n## The access log\n\n");
    let line = access_example();
    table(&mut page, ACCESS_FIELDS, &line);
    let _ = write!(
        page,
        "\n```json\n{}```\n\nWhere lines were lost, because the disk is full or too slow, a line \
         `{{\"time\": …, \"dropped\": n}}` says how many.\n",
        folded(&line)
    );
    page
}

fn table(page: &mut String, fields: &[Field], example: &str) {
    page.push_str("| member | holds | such as | what it says |\n|---|---|---|---|\n");
    let example: Value = serde_json::from_str(example).unwrap_or_default();
    for Field { name, kind, documentation } in fields {
        // The longer fence, since a text may have backticks of its own.
        let shown = example.get(name).map(|value| format!("`` {value} ``")).unwrap_or_default();
        let kind = kind.describe();
        let _ = writeln!(page, "| `{name}` | {kind} | {shown} | {} |", one_line(documentation));
    }
}

/// A line in several, for people: the next ones begin with a space.
fn folded(line: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for member in line.split_inclusive(",\"") {
        let member_length = member.chars().count();
        if length + member_length > 98 && out.ends_with(",\"") {
            out.truncate(out.len() - 1);
            out.push_str("\n \"");
            length = 2;
        }
        out.push_str(member);
        length += member_length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_has_a_row() {
        let page = page();
        for field in EVENT_FIELDS.iter().chain(ACCESS_FIELDS) {
            assert!(page.contains(&format!("| `{}` | ", field.name)), "{}", field.name);
        }
        for kind in EventKind::ALL {
            assert!(page.contains(&format!("| `{}` | ", kind.name())), "{}", kind.name());
        }
    }

    #[test]
    fn what_is_folded_is_the_same_object() {
        for line in event_examples() {
            let folded = folded(&line);
            assert!(folded.lines().all(|line| line.chars().count() <= 104), "{folded}");
            let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(read(&folded), read(&line));
        }
    }
}
