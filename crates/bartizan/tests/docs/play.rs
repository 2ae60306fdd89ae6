//! Plays a document from top to bottom.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::compare::{folded, is_as_written};
use crate::documents;
use crate::markdown::{Block, Step, blocks};
use crate::session::{PATIENCE, Session};

/// Commands that change nothing: what they read may be a moment away.
const READING: [&str; 4] = ["jq ", "cat ", "tail ", "grep "];

/// The page with the API that recipes put behind the gateway.
const COMMON: &str = "recipes/README.md";

/// Plays a document; panics where something else is printed than it says.
pub(crate) fn play(name: &str) {
    let path = documents().join(name);
    let document = std::fs::read_to_string(&path).unwrap();
    let mut session = Session::start();
    write_files_of(&mut session, COMMON);
    let mut differences = Vec::new();
    for block in blocks(&document) {
        match block {
            Block::File { name, text } => session.write(&name, &text),
            Block::Console(steps) => {
                for step in steps {
                    if let Some(printed) = difference(&mut session, &step) {
                        differences.push((step, printed));
                    }
                }
            }
        }
    }
    if differences.is_empty() {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        return update(&path, &document, &differences);
    }
    for (step, printed) in &differences {
        let written = step.printed.join("\n");
        println!("{name}:{}: $ {}", step.at, step.command);
        println!("--- written\n{written}\n--- printed\n{printed}");
    }
    panic!("{} differences in {name}; the logs:\n{}", differences.len(), session.logs());
}

fn write_files_of(session: &mut Session, name: &str) {
    let text = std::fs::read_to_string(documents().join(name)).unwrap();
    for block in blocks(&text) {
        if let Block::File { name, text } = block {
            session.write(&name, &text);
        }
    }
}

/// What a command printed, if that is not what is written.
fn difference(session: &mut Session, step: &Step) -> Option<String> {
    let reads = READING.iter().any(|program| step.command.starts_with(program));
    let is_update = std::env::var_os("UPDATE").is_some();
    let patience = if is_update { Duration::from_millis(500) } else { PATIENCE };
    let end = Instant::now() + patience;
    loop {
        let printed = session.run(&step.command);
        if is_as_written(&step.printed, &printed) {
            return None;
        }
        if !reads || Instant::now() > end {
            return Some(printed);
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Writes what was printed into the document.
fn update(path: &Path, document: &str, differences: &[(Step, String)]) {
    let mut lines: Vec<String> = document.lines().map(str::to_owned).collect();
    for (step, printed) in differences.iter().rev() {
        let end = step.at + step.printed.len();
        lines.splice(step.at..end, folded(printed));
    }
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}
