//! The page of a plugin: what its module says, its fields, and the refusals that its cases show.

use std::collections::BTreeMap;
use std::fmt::Write;

use bartizan_chain::{Kinship, Unsupported};
use bartizan_core::Reason;
use bartizan_plugins::Entry;

use super::fields::{fields, is_object, markdown, one_line};
use super::{documentation, stages};

/// The name of a plugin, the reason and status of a refusal, and whether in compatibility mode.
const REFUSALS: &[(&str, &str, u16, bool)] =
    include!(concat!(env!("OUT_DIR"), "/plugin_refusals.rs"));

/// The page.
pub(super) fn page(entry: &Entry) -> String {
    let (purpose, sections) = parts(documentation(entry).trim());
    let mut text = super::page(entry.name, purpose.trim_end());
    let stages = stages(entry);
    // Writing to a string cannot fail.
    let _ = write!(text, "Stages: {stages}. Priority: {}.\n\n## Configuration\n\n", entry.priority);
    text.push_str(&markdown(&fields(&entry.config_schema)));
    for (title, schema) in [
        ("On a consumer or credential", &entry.consumer_schema),
        ("Metadata", &entry.metadata_schema),
    ] {
        if let Some(schema) = schema.as_ref().filter(|schema| is_object(schema)) {
            let _ = write!(text, "\n## {title}\n\n");
            text.push_str(&markdown(&fields(schema)));
        }
    }
    text.push_str(&refusals(entry.name));
    text.push_str(&sections);
    let plain = match entry.kinship {
        Kinship::Ours => "Apache APISIX has no such plugin.",
        Kinship::Same => "Not at all.",
        // The module's own section tells.
        Kinship::Different(_) => "",
    };
    if !plain.is_empty() {
        let _ = write!(text, "\n## How it differs from Apache APISIX\n\n{plain}\n");
    }
    text.push_str(&unsupported(entry));
    text
}

/// What stands before the first heading of a module's documentation, and the sections from there
/// on, one level lower.
fn parts(documentation: &str) -> (&str, String) {
    let Some((purpose, rest)) = documentation.split_once("\n# ") else {
        return (documentation, String::new());
    };
    let mut sections = String::from("\n");
    let mut is_code = false;
    for line in format!("# {rest}").lines() {
        is_code ^= line.starts_with("```");
        if line.starts_with("# ") && !is_code {
            sections.push('#');
        }
        sections.push_str(line);
        sections.push('\n');
    }
    (purpose, sections)
}

/// The refusals of a plugin, by reason.
fn refusals(plugin: &str) -> String {
    let mut rows: BTreeMap<usize, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (_, code, status, is_compatible) in REFUSALS.iter().filter(|(name, ..)| *name == plugin) {
        let Some(place) = Reason::ALL.iter().position(|reason| reason.code() == *code) else {
            continue;
        };
        let (usual, compatible) = rows.entry(place).or_default();
        let statuses = if *is_compatible { compatible } else { usual };
        statuses.push(status.to_string());
    }
    if rows.is_empty() {
        return "\n## Refusals\n\nNo case shows one.\n".to_owned();
    }
    let mut text = "\n## Refusals\n\nThose that its cases show, with every status that they have \
                    there.\n\n| reason | status | with `compatibility: apisix` | the client reads \
                    |\n|---|---|---|---|\n"
        .to_owned();
    for (place, (usual, compatible)) in rows {
        let Some(reason) = Reason::ALL.get(place) else { continue };
        let _ = writeln!(
            text,
            "| [`{}`](../reasons.md) | {} | {} | {} |",
            reason.code(),
            usual.join(", "),
            compatible.join(", "),
            reason.title(),
        );
    }
    text
}

fn unsupported(entry: &Entry) -> String {
    let both = entry.unsupported.iter().chain(entry.unsupported_consumer);
    let rows: Vec<String> = both
        .map(|(path, why)| match why {
            Unsupported::NotYet(what) => format!("| `{path}` | not yet | {} |\n", one_line(what)),
            Unsupported::Refused(why) => format!("| `{path}` | refused | {} |\n", one_line(why)),
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "\n## Fields of Apache APISIX that are answered specially\n\n\
         | field | answer | why |\n|---|---|---|\n{}",
        rows.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_of_a_module_are_one_level_lower_on_its_page() {
        let text = "Guards.\n\n# Cost\n\nNothing.\n\n```\n# no heading\n```";
        let (purpose, sections) = parts(text);
        assert_eq!(purpose, "Guards.\n");
        assert_eq!(sections, "\n## Cost\n\nNothing.\n\n```\n# no heading\n```\n");
    }

    #[test]
    fn every_refusal_of_a_case_has_a_reason() {
        for (plugin, code, ..) in REFUSALS {
            let is_known = Reason::ALL.iter().any(|reason| reason.code() == *code);
            assert!(is_known, "{plugin}: {code}");
        }
        let text = refusals("object-guard");
        assert!(text.contains("| [`authz.object_denied`](../reasons.md) | 403"), "{text}");
    }
}
