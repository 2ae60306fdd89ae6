//! The report, for people and for programs.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::findings::{Findings, Note, Verdict};

/// For people.
pub(super) fn text(findings: &Findings) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for note in &findings.node {
        let _ = writeln!(text, "{}: {}", note.key, note.verdict.name());
        let _ = writeln!(text, "    {}", note.text);
    }
    for object in &findings.objects {
        let _ = writeln!(text, "{}: {}", object.name, object.verdict.name());
        for Note { text: said, help } in &object.notes {
            let _ = writeln!(text, "    {said}");
            if let Some(help) = help {
                let _ = writeln!(text, "      = help: {help}");
            }
        }
    }
    let counts =
        Verdict::ALL.map(|verdict| format!("{} {}", findings.count(verdict), verdict.name()));
    let _ = writeln!(text, "\n{} objects: {}", findings.objects.len(), counts.join(", "));
    text
}

/// For programs.
pub(super) fn json(findings: &Findings) -> String {
    let note = |note: &Note| json!({ "text": note.text, "help": note.help });
    let objects: Vec<Value> = findings
        .objects
        .iter()
        .map(|object| {
            json!({
                "object": object.name.to_string(),
                "verdict": object.verdict.name(),
                "notes": object.notes.iter().map(note).collect::<Vec<_>>(),
            })
        })
        .collect();
    let node: Vec<Value> = findings
        .node
        .iter()
        .map(|note| json!({ "key": note.key, "verdict": note.verdict.name(), "text": note.text }))
        .collect();
    let totals: serde_json::Map<String, Value> = Verdict::ALL
        .iter()
        .map(|verdict| (verdict.name().to_owned(), findings.count(*verdict).into()))
        .collect();
    format!("{:#}\n", json!({ "node": node, "objects": objects, "totals": totals }))
}

/// What to do after it was written.
pub(super) fn farewell(folder: &Path) -> String {
    let file = folder.join(super::NODE_FILE);
    let (folder, file) = (folder.display(), file.display());
    format!(
        "\nWritten to `{folder}`. What was refused is there as it was, and answers 503 until it is \
         mended.\n\n  bartizan check -c {file}\n  bartizan run -c {file}\n"
    )
}
