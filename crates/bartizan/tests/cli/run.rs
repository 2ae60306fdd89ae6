//! `bartizan run`: ports, reloads, signals.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::driver::Bench;

const NODE: &str = "\
listeners: [{ address: \"127.0.0.1:0\" }]
store: { file: { path: resources.yaml } }
status: { address: \"127.0.0.2:0\" }
audit: { sinks: [{ file: { path: audit.jsonl } }] }
";

fn resources(path: &str) -> String {
    format!(
        "\
routes:
  - id: only
    uri: {path}
    plugins: {{ key-auth: {{}}, any-authenticated: {{ reason: a test }} }}
    upstream: {{ nodes: {{ \"127.0.0.1:1\": 1 }} }}
"
    )
}

fn bench() -> Bench {
    Bench::with(&[("bartizan.yaml", NODE), ("resources.yaml", &resources("/old"))])
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[test]
fn a_changed_file_takes_effect_without_a_restart() {
    let bench = bench();
    let mut node = bench.serve(&["run"]);
    assert_eq!([status(&node.get("/old", "")), status(&node.get("/new", ""))], ["401", "404"]);
    bench.write("resources.yaml", &resources("/new"));
    assert_eq!(node.log_line("reloaded")["generation"], 2);
    assert_eq!([status(&node.get("/old", "")), status(&node.get("/new", ""))], ["404", "401"]);
    assert!(node.stop().success());
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let bench = bench();
    let mut node = bench.serve(&["run"]);
    bench.write("resources.yaml", &resources("/new").replace("uri:", "urii:"));
    node.signal(Signal::HUP);
    let told = node.log_line("the change is refused");
    let message = told["message"].as_str().unwrap();
    let place = "resources.yaml:3:5: unknown field `urii` (at routes[0].urii); did you mean `uri`?";
    assert!(message.ends_with(place), "{message}");
    assert_eq!(status(&node.get("/old", "")), "401");
    let ready = node.status_page("/readyz");
    assert!(ready.starts_with("HTTP/1.1 200 ") && ready.contains(place), "{ready}");
    let metrics = node.status_page("/metrics");
    assert!(metrics.contains("bartizan_reloads_total{result=\"refused\"} 1\n"), "{metrics}");
    assert!(metrics.contains("bartizan_reload_refused 1\n"), "{metrics}");
    bench.write("resources.yaml", &resources("/new"));
    node.log_line("reloaded");
    assert_eq!(status(&node.get("/new", "")), "401");
    assert!(node.status_page("/readyz").contains("\"last_error\":null"));
    assert!(node.stop().success());
    let audit = bench.read("audit.jsonl");
    assert!(audit.contains("\"event\":\"reload\",\"detail\":\"refused: resources.yaml:3:5"));
    assert!(audit.contains("\"event\":\"reload\",\"detail\":\"applied as generation 2\""));
}

#[test]
fn a_file_that_reads_well_but_protects_nothing_is_refused_too() {
    let bench = bench();
    let mut node = bench.serve(&["run"]);
    bench.write("resources.yaml", &resources("/old").replace("key-auth: {},", ""));
    let told = node.log_line("the change is refused");
    assert!(told["message"].as_str().unwrap().contains("route `only` has no authentication"));
    assert_eq!(status(&node.get("/old", "")), "401");
    assert!(node.stop().success());
}

#[test]
fn a_change_of_the_node_waits_for_the_next_start_and_says_so() {
    let bench = bench();
    let mut node = bench.serve(&["run"]);
    bench.write("bartizan.yaml", &format!("{NODE}workers: 1\n"));
    let told = node.log_line("of the node itself");
    assert!(told["file"].as_str().unwrap().ends_with("bartizan.yaml"));
    assert_eq!(status(&node.get("/old", "")), "401");
    assert!(node.stop().success());
}

#[test]
fn log_files_that_were_moved_away_are_opened_anew() {
    let bench = bench();
    let mut node = bench.serve(&["run"]);
    std::fs::rename(bench.path("audit.jsonl"), bench.path("audit.1")).unwrap();
    node.signal(Signal::USR1);
    node.log_line("log files are opened anew");
    node.get("/old", "");
    assert!(node.stop().success());
    assert!(bench.read("audit.jsonl").contains("\"reason\":\"auth.missing_credential\""));
}

#[test]
fn a_port_in_use_names_the_listener_and_whom_to_ask() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (free, what) in [("127.0.0.1:0", "listener"), ("127.0.0.2:0", "status listener")] {
        let bench = bench();
        bench.replace("bartizan.yaml", free, &address.to_string());
        let told = bench.bartizan(&["run", "--log-level", "off"]).fails_with(2);
        assert_eq!(
            told,
            format!(
                "\
error: the {what} `{address}` cannot be opened: address already in use
 |
 = help: another process has it: `ss -ltnp 'sport = :{}'` says which

",
                address.port()
            )
        );
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told_before_anything_is_served() {
    let bench = bench();
    bench.replace("bartizan.yaml", "path: audit.jsonl", "path: nowhere/audit.jsonl");
    let told = bench.bartizan(&["run"]).fails_with(2);
    assert!(told.contains("the audit log cannot be written to `"), "{told}");
    assert!(told.contains("nowhere/audit.jsonl`: no such file or directory"), "{told}");
    assert!(told.contains("must be there and writable by this user"), "{told}");
}

#[test]
fn a_key_set_that_changed_is_read_again() {
    let resources = resources("/old").replace(
        "key-auth: {}",
        "jwt-auth: { jwks: { file: keys.json }, issuers: [\"https://i.example\"], audiences: [a] }",
    );
    let key = |kid: &str| {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        format!(
            "{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"{kid}\",\"x\":\"{x}\"}}]}}"
        )
    };
    let files = [("bartizan.yaml", NODE), ("resources.yaml", &resources), ("keys.json", &key("1"))];
    let bench = Bench::with(&files);
    let mut node = bench.serve(&["run"]);
    bench.write("keys.json", &key("2"));
    assert_eq!(node.log_line("reloaded")["generation"], 2);
    bench.write("keys.json", "{\"keys\":[]}");
    node.log_line("the change is refused");
    assert_eq!(status(&node.get("/old", "")), "401");
    assert!(node.stop().success());
}
