//! `bartizan key`: the keys of callers, by way of the running node.

mod args;

use std::fmt::Write;

use bartizan_admin::callers::CallerKeyView;
use bartizan_admin::operators::local::{Answer, CallerMade, Request, ask};
use serde_json::json;

pub(crate) use args::KeyArgs;
use args::KeyCommand;

use crate::admin::{minute, not_asked, socket};
use crate::failure::{Failure, say};
use crate::table::table;

/// Does what is asked for.
pub(crate) fn key(args: &KeyArgs) -> Result<(), Failure> {
    let (node, request) = match &args.command {
        KeyCommand::Create(args) => {
            let (consumer, lifetime) = (args.consumer.clone(), args.expires.0.as_secs());
            (&args.node, Request::KeyCreate { consumer, lifetime })
        }
        KeyCommand::List(args) => {
            (&args.node, Request::KeyList { consumer: args.consumer.clone() })
        }
        KeyCommand::Rotate(args) => {
            let (id, consumer) = (args.key.id.clone(), args.key.consumer.clone());
            let (overlap, lifetime) = (args.overlap.0.as_secs(), args.expires);
            let lifetime = lifetime.map(|time| time.0.as_secs());
            (&args.node, Request::KeyRotate { id, consumer, overlap, lifetime })
        }
        KeyCommand::Retire(args) => {
            let (id, consumer) = (args.key.id.clone(), args.key.consumer.clone());
            (&args.node, Request::KeyRetire { id, consumer, overlap: args.overlap.0.as_secs() })
        }
    };
    let socket = socket(node)?;
    let answer = ask(&socket, &request).map_err(|error| not_asked(&socket, &error))?;
    match answer {
        Answer::Refused { problem, help } => Err(Failure::new(problem).with_help(help)),
        answer if node.json => {
            say(&as_json(&answer));
            not_stored(&answer)
        }
        answer => {
            let (output, note) = as_text(&answer);
            say(&output);
            eprint!("{note}");
            not_stored(&answer)
        }
    }
}

/// A key that was made and is not in the store does not open anything yet.
fn not_stored(answer: &Answer) -> Result<(), Failure> {
    match answer {
        Answer::CallerMade(made) => match &made.paste {
            Some(paste) => Err(Failure::new(paste.why.clone())
                .with_help("put what is written above into the documents: the key is good then")),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// The answer as JSON: a list of keys, a key, or a key with itself.
fn as_json(answer: &Answer) -> String {
    let value = match answer {
        Answer::CallerKeys(keys) => json!(keys),
        Answer::CallerChanged(key) => json!(key),
        Answer::CallerMade(made) => {
            let mut value = json!(made.view);
            value["key"] = json!(made.key);
            if let Some(old) = &made.old {
                value["old"] = json!(old);
            }
            if let Some(paste) = &made.paste {
                value["paste"] = json!(paste.lines);
            }
            value
        }
        _ => json!({ "problem": UNKNOWN }),
    };
    format!("{value:#}\n")
}

const UNKNOWN: &str = "the answer is not one to this question";

/// What goes to standard output, and what people read beside it.
fn as_text(answer: &Answer) -> (String, String) {
    match answer {
        Answer::CallerKeys(keys) if keys.is_empty() => {
            let note = "There are no keys in credentials: `bartizan key create` makes one.\n";
            (String::new(), note.to_owned())
        }
        Answer::CallerKeys(keys) => (list(keys), String::new()),
        Answer::CallerChanged(key) => (list(std::slice::from_ref(&**key)), String::new()),
        Answer::CallerMade(made) => (format!("{}\n", made.key), note(made)),
        _ => (String::new(), format!("{UNKNOWN}\n")),
    }
}

fn note(made: &CallerMade) -> String {
    let CallerKeyView { id, consumer, .. } = &made.view;
    let ends = |view: &CallerKeyView| view.ends.as_deref().map_or("never ends".to_owned(), minute);
    let mut note = format!(
        "This is the only time that the key is shown.\n\
         `{id}` of the consumer `{consumer}`, good until {}\n",
        ends(&made.view)
    );
    if let Some(old) = &made.old {
        // Writing to a string cannot fail.
        let _ = writeln!(note, "The old key `{}` is good until {}", old.id, ends(old));
    }
    for line in made.paste.iter().flat_map(|paste| &paste.lines) {
        let _ = writeln!(note, "{line}");
    }
    note
}

fn list(keys: &[CallerKeyView]) -> String {
    let head = ["ID", "CONSUMER", "STATE", "KEPT AS", "LAST USED", "ENDS", "SUCCEEDS"];
    let mut rows = vec![head.map(str::to_owned)];
    for key in keys {
        let last_used = match (&key.last_used, key.is_plain) {
            (Some(hour), _) => minute(hour),
            (None, true) => "not known".to_owned(),
            (None, false) => "not seen".to_owned(),
        };
        rows.push([
            key.id.clone(),
            key.consumer.clone(),
            key.over.clone().unwrap_or_else(|| key.state.name().to_owned()),
            if key.is_plain { "the key" } else { "hash" }.to_owned(),
            last_used,
            key.ends.as_deref().map_or("never".to_owned(), minute),
            key.succeeds.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table(&rows)
}
