//! `bartizan admin` and the node that it talks to.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::driver::{Bench, mode};
use crate::stores::route;

const NODE: &str = "\
listeners: [{ address: \"127.0.0.1:0\" }]
admin: { listen: \"127.0.0.1:0\", keys: keys, socket: sock }
store: { file: { path: resources.yaml } }
audit: { sinks: [{ file: { path: audit.jsonl } }] }
";

fn bench() -> Bench {
    let routes = json!({ "routes": [route("/a")] }).to_string();
    Bench::with(&[("bartizan.yaml", NODE), ("resources.yaml", &routes)])
}

/// Runs it and reads its JSON.
fn read(bench: &Bench, arguments: &[&str]) -> Value {
    let arguments = [&["admin", "key"], arguments, &["--json"]].concat();
    serde_json::from_str(&bench.bartizan(&arguments).succeeds()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// The details of the events of a kind.
fn told(bench: &Bench, kind: &str) -> Vec<String> {
    let log = bench.read("audit.jsonl");
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let events = events.filter(|event| event["event"] == kind);
    events
        .map(|event| format!("{}: {}", text(&event["operator"]), text(&event["detail"])))
        .collect()
}

#[test]
fn keys_are_made_listed_rotated_and_ended_while_the_node_runs() {
    let bench = bench();
    let serving = bench.serve(&["run"]);
    assert_eq!((mode(&bench.path("keys")), mode(&bench.path("sock"))), (0o600, 0o600));
    let made = bench.bartizan(&[
        "admin",
        "key",
        "create",
        "--name",
        "ci-shop",
        "--role",
        "editor",
        "--labels",
        "team=shop,team=pay",
        "--hosts",
        "shop.example,*.shop.example",
        "--paths",
        "/shop",
        "--expires",
        "30d",
    ]);
    assert!(made.stderr.contains("the only time that the key is shown"), "{}", made.stderr);
    let key = made.succeeds();
    let key = key.strip_suffix('\n').unwrap();
    let id = &key[10..18];
    assert!(key.starts_with("btz_admin_") && key.len() == 77, "{key}");
    let table = bench.bartizan(&["admin", "key", "list"]).succeeds();
    let row = table.lines().nth(1).unwrap();
    for cell in [
        id,
        "ci-shop",
        "editor",
        "active",
        "never",
        "labels team=pay,team=shop; hosts shop.example,*.shop.example; paths /shop",
    ] {
        assert!(row.contains(cell), "{cell}: {row}");
    }
    let next = read(&bench, &["rotate", id, "--overlap", "1d"]);
    assert_eq!([text(&next["state"]), text(&next["old"]["state"])], ["next", "retiring"]);
    assert_eq!(next["rights"]["confinement"]["paths"], json!(["/shop"]));
    let again = read(&bench, &["rotate", id]);
    assert_ne!(again["id"], next["id"], "the lost one is replaced");
    read(&bench, &["revoke", text(&again["id"])]);
    assert_eq!(read(&bench, &["retire", id, "--overlap", "0s"])["state"], "retired");
    let keys = read(&bench, &["list"]);
    let states = keys.as_array().unwrap().iter().map(|key| text(&key["over"]));
    assert_eq!(states.collect::<BTreeSet<_>>(), ["retired", "revoked"].into());
    assert!(serving.stop().success());
    assert!(!bench.path("sock").exists());
    let changes = told(&bench, "change");
    let user = format!("uid {}: ", rustix::process::geteuid().as_raw());
    assert_eq!(changes.len(), 5, "{changes:?}");
    assert!(changes.iter().all(|change| change.starts_with(&user)), "{changes:?}");
    let secret = &key[19..];
    for file in ["audit.jsonl", "keys"] {
        assert!(!bench.read(file).contains(secret), "{file}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let bench = bench();
    let list = ["admin", "key", "list"];
    let told = bench.bartizan(&list).fails_with(2);
    assert!(told.contains("no node listens on it") && told.contains("bartizan run"), "{told}");
    bench.write("other.yaml", "listeners: [{ address: \"127.0.0.1:0\" }]\nresources: {}\n");
    let told = bench.bartizan(&[&list[..], &["-c", "other.yaml"]].concat()).fails_with(2);
    assert!(told.contains("has no Admin API") && told.contains("add `admin: {}`"), "{told}");
    let serving = bench.serve(&["run"]);
    let create = |arguments: &[&str]| {
        let usual = ["admin", "key", "create", "--name", "a", "--expires", "1d"];
        bench.bartizan(&[&usual[..], arguments].concat()).fails_with(2)
    };
    for (arguments, problem) in [
        (&["--role", "admin", "--hosts", "a.test"][..], "only editors are confined"),
        (&["--role", "auditor", "--secrets"], "auditors read no secrets"),
        (&["--role", "editor", "--hosts", "*"], "confines to no hosts"),
        (&["--role", "editor", "--paths", "shop"], "confines to no paths"),
        (&["--role", "editor", "--kinds", "route"], "is no kind of resource"),
        (&["--role", "editor", "--labels", "team"], "write `name=value`"),
        (&["--role", "root"], "is no role"),
    ] {
        let told = create(arguments);
        assert!(told.contains(problem), "{told}: {problem}");
    }
    for (arguments, problem) in [
        (&["rotate", "00000000"][..], "there is no key `00000000`"),
        (&["revoke", "nonsense!"], "eight letters and digits"),
        (&["create", "--name", "a b", "--role", "admin", "--expires", "1d"], "the name is not"),
        (&["create", "--name", "a", "--role", "admin", "--expires", "367d"], "at most 366 days"),
        (&["create", "--name", "a", "--role", "admin", "--expires", "90"], "is not a time"),
        (&["create", "--name", "a", "--role", "admin"], "--expires <TIME>"),
    ] {
        let told = bench.bartizan(&[&["admin", "key"], arguments].concat()).fails_with(2);
        assert!(told.contains(problem), "{told}: {problem}");
    }
    assert_eq!(read(&bench, &["list"]), json!([]));
    assert!(serving.stop().success());
}

#[test]
fn a_node_does_not_start_with_keys_that_it_cannot_trust() {
    let bench = bench();
    let run = || bench.bartizan(&["run", "--log-level", "off"]).fails_with(2);
    bench.write("keys", "{}");
    fs::set_permissions(bench.path("keys"), Permissions::from_mode(0o644)).unwrap();
    assert!(run().contains("is open to other users (mode 0644)"));
    fs::set_permissions(bench.path("keys"), Permissions::from_mode(0o600)).unwrap();
    let told = run();
    assert!(told.contains("cannot be read: missing field `version`"), "{told}");
    fs::remove_file(bench.path("keys")).unwrap();
    let serving = bench.serve(&["run"]);
    assert!(run().contains("in use by another node"));
    assert!(serving.stop().success());
}

/// Makes a key over the socket; nothing if the node is gone before it answers.
fn make(socket: &Path, name: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let rights = json!({ "role": "viewer" });
    let request = json!({ "do": "create", "name": name, "rights": rights, "lifetime": 3_600 });
    stream.write_all(format!("{request}\n").as_bytes()).ok()?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).ok()?;
    let answer: Value = serde_json::from_str(&answer).ok()?;
    answer["made"]["view"]["id"].as_str().map(str::to_owned)
}

#[test]
fn every_key_that_was_told_survives_kills() {
    const ROUNDS: usize = 20;
    let bench = bench();
    let socket = bench.path("sock");
    let mut known = BTreeSet::new();
    let mut beyond = 0;
    for round in 0..ROUNDS {
        let serving = bench.serve(&["run"]);
        let (tell, hear) = mpsc::channel();
        let maker = std::thread::spawn({
            let socket = socket.clone();
            move || {
                for n in 0.. {
                    let Some(id) = make(&socket, &format!("k-{round}-{n}")) else { return };
                    if tell.send(id).is_err() {
                        return;
                    }
                }
            }
        });
        // Killed in the middle of the next one.
        for _ in 0..=round % 7 {
            known.insert(hear.recv().unwrap());
        }
        serving.signal(Signal::KILL);
        maker.join().unwrap();
        known.extend(hear.try_iter());
        drop(serving);
        let book: Value = serde_json::from_str(&bench.read("keys")).expect("whole JSON");
        let keys = book["keys"].as_array().unwrap();
        let kept: BTreeSet<String> = keys.iter().map(|key| text(&key["id"]).to_owned()).collect();
        assert!(kept.is_superset(&known), "lost: {:?}", known.difference(&kept));
        let more = kept.difference(&known).count();
        assert!(more <= 1, "more than what was under way");
        beyond += more;
        known = kept;
    }
    println!("killed {ROUNDS} times: {} keys kept, {beyond} written and not told", known.len());
}

/// A user that owns nothing here.
const NOBODY: u32 = 65_534;

/// Whether this test may run as another user, and that one may run the binary.
fn can_be_nobody(bench: &Bench) -> bool {
    fs::set_permissions(bench.path("."), Permissions::from_mode(0o755)).unwrap();
    let can = rustix::process::geteuid().is_root()
        && bench.command_as(NOBODY, &["--version"]).output().is_ok_and(|run| run.status.success());
    if !can {
        println!("skipped: only root can try this as another user");
    }
    can
}

#[test]
fn another_user_is_let_in_neither_by_the_file_system_nor_by_the_node() {
    let bench = bench();
    if !can_be_nobody(&bench) {
        return;
    }
    let serving = bench.serve(&["run"]);
    let list = ["admin", "key", "list", "--socket", "sock"];
    let problem = || {
        let output = bench.command_as(NOBODY, &list).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = problem();
    assert!(said.contains("it is another user's") && said.contains("sudo"), "{said}");
    // Even where somebody opens the socket to all, the kernel says who they are.
    fs::set_permissions(bench.path("sock"), Permissions::from_mode(0o666)).unwrap();
    let said = problem();
    assert!(said.contains("only the node's own user and root may"), "{said}");
    assert_eq!(read(&bench, &["list"]), json!([]));
    assert!(serving.stop().success());
    assert_eq!(told(&bench, "denied"), ["uid 65534: the user 65534 may not use the local socket"]);
}

#[test]
fn root_asks_the_nodes_of_others_but_nobody_who_could_have_taken_their_place() {
    let bench = bench();
    if !can_be_nobody(&bench) {
        return;
    }
    for name in [".", "bartizan.yaml", "resources.yaml"] {
        chown(bench.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let serving = Bench::serving(bench.command_as(NOBODY, &["run"]));
    assert_eq!(read(&bench, &["list"]), json!([]));
    // Where others can put files, anybody could have put that socket there.
    fs::set_permissions(bench.path("."), Permissions::from_mode(0o777)).unwrap();
    let said = bench.bartizan(&["admin", "key", "list"]).fails_with(2);
    assert!(said.contains("the user 65534 listens on it"), "{said}");
    assert!(serving.stop().success());
}
