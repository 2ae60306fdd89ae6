//! The report of `bench plugins`.

use std::fmt::Write;

use super::super::report::Findings;
use crate::costs::{Cost, Costs};

/// What plugins without cryptography, body and server may cost, in nanoseconds.
const GATE: f64 = 1_000.0;
/// What a body of 1 KiB against a schema of 20 fields may cost, parsing included.
const SCHEMA_GATE: f64 = 8_000.0;

/// The report in Markdown.
pub(super) fn report(costs: &Costs, compared: Option<&Findings>) -> String {
    let mut text = format!("# Plugins, {}\n\n", costs.date);
    for condition in &costs.conditions {
        let _ = writeln!(text, "- {condition}");
    }
    text.push_str("\n## What each plugin costs\n\n");
    text.push_str(&costs.table());
    gates(&mut text, &costs.entries);
    if let Some(findings) = compared {
        text.push_str("\n## The secured route with a schema\n");
        text.push_str(&findings.body());
    }
    text
}

fn gates(text: &mut String, costs: &[Cost]) {
    let timed = || costs.iter().filter_map(|cost| cost.ns.map(|ns| (cost, ns)));
    let plain = timed().filter(|(cost, _)| cost.beyond.is_none());
    let Some((dearest, most)) = plain.clone().max_by(|a, b| a.1.total_cmp(&b.1)) else { return };
    text.push_str(
        "\n## What was to be reached\n\n| what | to reach | found | |\n|---|---|---|---|\n",
    );
    let mut row = |what: &str, limit: f64, found: f64| {
        let verdict = if found <= limit { "reached" } else { "**missed**" };
        let _ = writeln!(text, "| {what} | ≤ {limit:.0} ns | {found:.0} ns | {verdict} |");
    };
    let what = format!("dearest without cryptography, body and server (`{}`)", dearest.name);
    row(&what, GATE, most);
    for (cost, ns) in plain.filter(|(cost, ns)| *ns > GATE && cost.name != dearest.name) {
        row(&format!("`{}`", cost.name), GATE, ns);
    }
    if let Some((_, ns)) = timed().find(|(cost, _)| cost.name == "request-validation") {
        row("1 KiB of JSON against 20 fields (`request-validation`)", SCHEMA_GATE, ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(name: &str, ns: f64, beyond: Option<&str>) -> Cost {
        Cost {
            name: name.into(),
            ns: Some(ns),
            beyond: beyond.map(str::to_owned),
            ..Cost::default()
        }
    }

    #[test]
    fn only_what_works_on_the_head_is_held_against_the_gate() {
        let costs = [
            cost("cheap", 10.0, None),
            cost("dear", 1_200.0, None),
            cost("signed", 20_000.0, Some("cryptography")),
            cost("request-validation", 7_000.0, Some("body")),
        ];
        let mut text = String::new();
        gates(&mut text, &costs);
        assert!(text.contains("(`dear`) | ≤ 1000 ns | 1200 ns | **missed** |"), "{text}");
        assert!(text.contains("| ≤ 8000 ns | 7000 ns | reached |"), "{text}");
        assert!(!text.contains("signed") && !text.contains("`cheap`"), "{text}");
    }
}
