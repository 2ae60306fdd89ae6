//! What the node answered, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bartizan_admin::operators::local::Answer;
use bartizan_admin::operators::{Confinement, KeyView};
use serde_json::{Value, json};

use crate::table::table;

/// The answer as JSON: a list of keys, a key, or a key with itself.
pub(super) fn json(answer: &Answer) -> String {
    let value = match answer {
        Answer::Keys(keys) => json!(keys),
        Answer::Changed(key) => json!(key),
        Answer::Made(made) => {
            let mut value = json!(made.view);
            value["key"] = json!(made.key);
            if let Some(old) = &made.old {
                value["old"] = json!(old);
            }
            value
        }
        Answer::CallerKeys(_) | Answer::CallerChanged(_) | Answer::CallerMade(_) => json!(null),
        Answer::Refused { problem, help } => json!({ "problem": problem, "help": help }),
    };
    pretty(&value)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// What goes to standard output, and what people read beside it.
pub(super) fn text(answer: &Answer) -> (String, String) {
    match answer {
        Answer::Keys(keys) if keys.is_empty() => {
            let note = "There are no keys: `bartizan admin key create` makes one.\n";
            (String::new(), note.to_owned())
        }
        Answer::Keys(keys) => (list(keys), String::new()),
        Answer::Changed(key) => (list(std::slice::from_ref(&**key)), String::new()),
        Answer::Made(made) => {
            let view = &made.view;
            let mut note = format!(
                "This is the only time that the key is shown. Send it as `X-API-KEY`.\n\
                 {} `{}`, {}, good until {}\n",
                view.rights.role,
                view.name,
                may(view),
                view.ends
            );
            if let Some(old) = &made.old {
                // Writing to a string cannot fail.
                let _ = writeln!(note, "The old key `{}` is good until {}", old.id, old.ends);
            }
            (format!("{}\n", made.key), note)
        }
        // `bartizan key` asks for these.
        Answer::CallerKeys(_) | Answer::CallerChanged(_) | Answer::CallerMade(_) => {
            (String::new(), String::new())
        }
        Answer::Refused { problem, .. } => (String::new(), format!("{problem}\n")),
    }
}

fn list(keys: &[KeyView]) -> String {
    let head = ["ID", "NAME", "ROLE", "STATE", "LAST USED", "ENDS", "MAY CHANGE"];
    let mut rows = vec![head.map(str::to_owned)];
    for key in keys {
        let state = key.over.clone().unwrap_or_else(|| key.state.name().to_owned());
        rows.push([
            key.id.to_string(),
            key.name.clone(),
            key.rights.role.to_string(),
            state,
            key.last_used.as_deref().map_or("never".to_owned(), minute),
            minute(&key.ends),
            may(key),
        ]);
    }
    table(&rows)
}

/// A time without seconds.
pub(crate) fn minute(time: &str) -> String {
    time.get(..16).map_or_else(|| time.to_owned(), |time| format!("{}Z", time.replace('T', " ")))
}

/// What a key may change and see, in words.
fn may(key: &KeyView) -> String {
    use bartizan_admin::operators::Role;
    let change = match key.rights.role {
        Role::Admin => "everything".to_owned(),
        Role::Viewer | Role::Auditor => "nothing".to_owned(),
        Role::Editor => confinement(&key.rights.confinement),
    };
    if key.rights.secrets { format!("{change}; reads secrets") } else { change }
}

fn confinement(confinement: &Confinement) -> String {
    let told = |labels: &BTreeMap<String, BTreeSet<String>>| -> Vec<String> {
        let all = labels.iter();
        all.flat_map(|(name, values)| values.iter().map(move |value| format!("{name}={value}")))
            .collect()
    };
    let (labels, uses) = (told(confinement.labels()), told(confinement.uses()));
    let parts: Vec<String> = [
        ("kinds", confinement.kinds()),
        ("labels", &labels),
        ("hosts", confinement.hosts()),
        ("paths", confinement.paths()),
        ("uses", &uses),
    ]
    .into_iter()
    .filter(|(_, texts)| !texts.is_empty())
    .map(|(what, texts)| format!("{what} {}", texts.join(",")))
    .collect();
    if parts.is_empty() { "resources".to_owned() } else { parts.join("; ") }
}
