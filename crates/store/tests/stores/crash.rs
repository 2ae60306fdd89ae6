//! kill -9: every acknowledged write is there, and nothing is half-written.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bartizan_core::Clock;
use bartizan_store::{Commit, Embedded, EmbeddedSettings, Expect, Store, Write};
use serde_json::json;

use crate::suite::key;

/// Names the file to the process that is killed.
const PATH: &str = "BARTIZAN_TEST_CRASHING_STORE";
const KILLS: u64 = 200;
/// Objects that each commit writes together.
const PAIR: [&str; 2] = ["routes/left", "routes/right"];

fn open(path: &Path) -> Embedded {
    let settings = EmbeddedSettings { path: path.to_owned(), history: 50, clock: Clock::System };
    Embedded::open(settings).unwrap_or_else(|error| panic!("not opened: {error}"))
}

/// Writes until it is killed, and says what was acknowledged.
async fn write_for_ever(path: &Path) {
    let store = open(path);
    loop {
        let next = store.snapshot().await.unwrap().revision + 1;
        // Of different lengths, so that pages are split and merged.
        let length = usize::try_from(next * 977 % 9_000).unwrap();
        let content = json!({ "n": next, "filling": "x".repeat(length) }).to_string();
        let number = key(&format!("upstreams/{}", next % 40));
        let mut writes: Vec<Write> = PAIR
            .iter()
            .map(|name| key(name))
            .chain([number])
            .map(|key| Write {
                key,
                content: Some(content.as_bytes().into()),
                expect: Expect::Anything,
            })
            .collect();
        if next % 7 == 0 && next > 40 {
            writes.truncate(2);
            let gone = key(&format!("upstreams/{}", next % 40));
            if store.get(&gone).await.unwrap().is_some() {
                writes.push(Write { key: gone, content: None, expect: Expect::Anything });
            }
        }
        let revision = store.commit(Commit { author: "c".into(), writes }).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {revision}").unwrap();
        out.flush().unwrap();
    }
}

/// Starts a writer, lets it acknowledge so many commits, and kills it in the middle of the next.
/// Gives the last revision that it acknowledged.
fn write_and_be_killed(path: &Path, commits: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::every_acknowledged_write_survives_two_hundred_kills"])
        .arg("--nocapture")
        .env(PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = |line: String| {
        line.rsplit_once("acknowledged ").map(|(_, number)| number.parse::<u64>().unwrap())
    };
    let mut last = 0;
    let mut count = 0;
    while count < commits {
        let line = lines.next().expect("a writer that lives").unwrap();
        if let Some(revision) = acknowledged(line) {
            last = revision;
            count += 1;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it said before it died counts too.
    lines.map_while(Result::ok).filter_map(acknowledged).last().unwrap_or(last)
}

#[tokio::test]
async fn every_acknowledged_write_survives_two_hundred_kills() {
    if let Some(path) = std::env::var_os(PATH) {
        write_for_ever(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let (mut beyond, mut known) = (0, 0);
    for round in 0..KILLS {
        // What earlier rounds left counts, also where a writer is killed before it says anything.
        let acknowledged = write_and_be_killed(&path, round % 5).max(known);
        let store = open(&path);
        let snapshot = store.snapshot().await.unwrap();
        assert!(snapshot.revision >= acknowledged, "{} < {acknowledged}", snapshot.revision);
        assert!(
            snapshot.revision <= acknowledged + 1,
            "more than what was under way: {} after {acknowledged}",
            snapshot.revision
        );
        beyond += u64::from(snapshot.revision > acknowledged);
        known = snapshot.revision;
        let held: BTreeMap<_, _> = snapshot
            .objects
            .iter()
            .map(|object| (object.key.as_str().to_owned(), object.value().expect("whole JSON")))
            .collect();
        if snapshot.revision > 0 {
            let [left, right] = PAIR.map(|name| &held[name]);
            assert_eq!(left, right, "half of a commit");
            assert_eq!(left["n"], snapshot.revision);
        }
        for (name, value) in &held {
            let n = value["n"].as_u64().unwrap();
            let length = usize::try_from(n * 977 % 9_000).unwrap();
            assert_eq!(value["filling"].as_str().unwrap().len(), length, "{name}");
            let history = store.revisions(&key(name), 1).await.unwrap();
            assert!(history.first().is_none_or(|newest| newest.number == n), "{name}");
        }
    }
    println!("killed {KILLS} times; {beyond} times a write was on disk that was not acknowledged");
}
