//! `bartizan import apisix`: configurations in the forms that Apache APISIX documents, told object by
//! object, and written so that nothing is open that was not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread::JoinHandle;

use bartizan_testkit::EtcdServer;
use serde_json::{Value, json};

use crate::driver::{Bench, mode};
use crate::stores::status;

/// A file that begins with what is to be told of it, on lines that begin so.
const TOLD: &str = "#>";

/// The report as the heads of the files write it.
fn told(report: &str, folder: &Path) -> String {
    let report: Value = serde_json::from_str(report).unwrap();
    let mut lines = String::new();
    for object in report["objects"].as_array().unwrap() {
        let verdict = object["verdict"].as_str().unwrap();
        writeln!(lines, "{TOLD} {}: {verdict}", object["object"].as_str().unwrap()).unwrap();
        let most = match verdict {
            "refused" => usize::MAX,
            "to be reviewed" => 1,
            _ => 0,
        };
        for note in object["notes"].as_array().unwrap().iter().take(most) {
            let file = format!("{}/apisix.yaml", folder.canonicalize().unwrap().display());
            let text = note["text"].as_str().unwrap();
            let text = text.strip_prefix(&format!("{file}:")).unwrap_or(text);
            writeln!(lines, "{TOLD}   {}", text.replace(&file, "apisix.yaml")).unwrap();
        }
    }
    lines
}

#[test]
fn configurations_are_told_object_by_object() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imports");
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let bench = Bench::with(&[("apisix.yaml", &text)]);
        let ended = bench.bartizan(&["import", "apisix", "apisix.yaml", "--json"]);
        let expected: String =
            text.split_inclusive('\n').take_while(|line| line.starts_with(TOLD)).collect();
        assert!(!ended.stdout.is_empty(), "{}\n{}", path.display(), ended.stderr);
        assert_eq!(told(&ended.stdout, &bench.path("")), expected, "{}", path.display());
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        let refused = report["totals"]["refused"].as_u64().unwrap();
        if refused > 0 {
            ended.ends_unmet()
        } else {
            ended.succeeds()
        };
        for (verdict, number) in report["totals"].as_object().unwrap() {
            *totals.entry(verdict.clone()).or_default() += number.as_u64().unwrap();
        }
        count += 1;
    }
    println!("{count} configurations: {totals:?}");
    assert!(count >= 60, "{count}");
    assert!(totals.values().all(|number| *number >= 5), "{totals:?}");
}

const APISIX: &str = r#"
routes:
  - { id: open, uri: /open, upstream: { type: roundrobin, nodes: { "127.0.0.1:1": 1 } } }
  - { id: keyed, uri: /keyed, plugins: { key-auth: {} }, upstream: { type: roundrobin, nodes: { "127.0.0.1:1": 1 } } }
  - { id: wide, uri: "/*", upstream: { type: roundrobin, nodes: { "127.0.0.1:1": 1 } } }
  - { id: code, uri: /code/*, script: "return 1", upstream: { type: roundrobin, nodes: { "127.0.0.1:1": 1 } } }
consumers:
  - { username: jack, plugins: { key-auth: { key: "0f8b7e6d5c4b3a2918070605040302ff" } } }
  - { id: jack/credentials/one, plugins: { key-auth: { key: "ff8b7e6d5c4b3a2918070605040302ff" } } }
plugin_metadata:
  - { id: http-logger, log_format: { host: "$host" } }
#END
"#;

#[test]
fn proxies_are_trusted_only_in_the_field_that_they_write() {
    let config = |header: &str| {
        format!("nginx_config: {{ http: {{ {header}real_ip_from: [10.0.0.1] }} }}\n")
    };
    for (header, is_trusted) in [
        ("", false),
        ("real_ip_header: X-Real-IP, ", false),
        ("real_ip_header: x-forwarded-for, ", true),
    ] {
        let bench = Bench::with(&[("config.yaml", &config(header))]);
        bench.bartizan(&["import", "apisix", "config.yaml", "--write", "out"]).succeeds();
        let node = bench.read("out/bartizan.yaml");
        assert_eq!(node.contains("trusted_proxies"), is_trusted, "{header}{node}");
    }
}

#[test]
fn secrets_that_can_be_guessed_are_taken_over_and_say_so() {
    let text = "\
consumers:
- {username: jack, plugins: {key-auth: {key: jack-key}, basic-auth: {username: jack, password: secret}}}
- {username: jill, plugins: {key-auth: {key: \"0f8b7e6d5c4b3a2918070605040302ff\"}}}
- {username: joan, plugins: {jwt-auth: {key: joan, secret: short}}}
";
    let bench = Bench::with(&[("apisix.yaml", text)]);
    let report = bench.bartizan(&["import", "apisix", "apisix.yaml", "--write", "out"]).succeeds();
    assert!(report.contains("the secret of `basic-auth` can be guessed"), "{report}");
    assert!(report.contains("3 objects: 0 same, 1 stricter, 2 to be reviewed"), "{report}");
    let written = bench.read("out/resources.yaml");
    assert_eq!(written.matches("danger_weak_secret: true").count(), 3, "{written}");
    bench.bartizan(&["check", "-c", "out/bartizan.yaml"]).succeeds();
}

#[test]
fn what_is_refused_is_written_as_it_was_with_the_list_of_plugins_that_there_are() {
    let text = "plugins: [{name: key-auth}]
routes:
- {id: 1, uri: /a, plugins: {limit-count: {count: 1, time_window: 1}}, upstream: {nodes: {\"127.0.0.1:1\": 1}, type: roundrobin}}
";
    let bench = Bench::with(&[("apisix.yaml", text)]);
    bench.bartizan(&["import", "apisix", "apisix.yaml", "--write", "out"]).ends_unmet();
    let written = bench.read("out/resources.yaml");
    assert!(written.starts_with("plugins:\n  - name: key-auth\n"), "{written}");
    assert!(!written.contains("anonymous-access"), "{written}");
    bench.bartizan(&["check", "-c", "out/bartizan.yaml"]).fails_with(2);
}

#[test]
fn what_is_written_serves_what_is_in_order_and_nothing_in_place_of_what_is_refused() {
    let config = "apisix: { node_listen: [{ ip: 127.0.0.1, port: 0 }], status: { port: 0 } }\n";
    let bench = Bench::with(&[("apisix.yaml", APISIX), ("config.yaml", config)]);
    let arguments = ["import", "apisix", "apisix.yaml", "config.yaml", "--write", "out"];
    let report = bench.bartizan(&arguments).ends_unmet();
    assert!(
        report.contains("7 objects: 1 same, 2 stricter, 3 to be reviewed, 1 refused"),
        "{report}"
    );
    assert_eq!(mode(&bench.path("out/resources.yaml")), 0o600);
    assert!(bench.read("out/resources.yaml").contains("imported, to be reviewed"));
    let serving = bench.serve(&["run", "-c", "out/bartizan.yaml"]);
    let key = "apikey: ff8b7e6d5c4b3a2918070605040302ff\r\n";
    // Nobody listens behind the routes: 502 is what was let through.
    for (path, fields, expected) in [
        ("/open", "", "502"),
        ("/keyed", "", "401"),
        ("/keyed", key, "502"),
        ("/other", "", "502"),
        ("/code/a", "", "503"),
    ] {
        assert_eq!(status(&serving.get(path, fields)), expected, "{path} {fields}");
    }
    assert!(serving.stop().success());
    let told = bench.bartizan(&arguments).fails_with(2);
    assert!(told.contains("exists already"), "{told}");
    bench.bartizan(&[&arguments[..], &["--force"]].concat()).ends_unmet();
}

#[test]
fn what_adc_writes_is_written_as_resources_that_pass_the_check() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/imports/adc.yaml"),
    );
    let bench = Bench::with(&[("adc.yaml", &text.unwrap())]);
    let arguments = ["import", "apisix", "adc.yaml", "--write", "out"];
    let report = bench.bartizan(&arguments).succeeds();
    assert!(report.contains("5 objects: 2 same, 1 stricter, 2 to be reviewed"), "{report}");
    let written = bench.read("out/resources.yaml");
    for (plugin, count) in [("anonymous-access:", 1), ("any-authenticated:", 1)] {
        assert_eq!(written.matches(plugin).count(), count, "{plugin}\n{written}");
    }
    assert_eq!(written.matches("imported, to be reviewed").count(), 2, "{written}");
    bench.bartizan(&["check", "-c", "out/bartizan.yaml"]).succeeds();
}

#[test]
fn nothing_is_written_where_what_protects_others_is_refused() {
    let text = format!(
        "global_rules: [{{id: 1, plugins: {{serverless-pre-function: {{functions: []}}}}}}]\n{}",
        APISIX.trim_start()
    );
    let bench = Bench::with(&[("apisix.yaml", &text)]);
    let told = bench.bartizan(&["import", "apisix", "apisix.yaml", "--write", "out"]).fails_with(2);
    assert!(told.contains("`global_rules/1` is refused"), "{told}");
    assert!(!bench.path("out").exists());
}

#[test]
fn a_node_file_is_told_key_by_key() {
    let config = r#"
apisix:
  node_listen: [9080, { ip: 127.0.0.2, port: 9081 }]
  ssl: { enable: true, listen: [{ port: 9443 }], ssl_protocols: "TLSv1.3" }
  trusted_addresses: [10.0.0.0/8]
  status: { ip: 0.0.0.0 }
  enable_control: true
  delete_uri_tail_slash: true
  normalize_uri_like_servlet: true
  match_uri_encoded_slash: true
  router: { http: radixtree_uri_with_parameter }
  data_encryption: { keyring: [edd1c9f0985e76a2] }
  some_new_thing: 7
nginx_config:
  http: { client_max_body_size: 8m, real_ip_header: X-Forwarded-For, real_ip_from: ["127.0.0.1", "unix:"] }
  http_server_configuration_snippet: "set $a 1;"
deployment:
  role: traditional
  admin: { admin_key: [{ name: admin, key: "x", role: admin }], enable_admin_cors: true }
  etcd: { host: ["http://127.0.0.1:2379"], prefix: /apisix }
plugin_attr: { prometheus: { export_addr: { ip: 127.0.0.1 } } }
"#;
    let bench = Bench::with(&[("config.yaml", config)]);
    let report = bench.bartizan(&["import", "apisix", "config.yaml", "--json"]).succeeds();
    let report: Value = serde_json::from_str(&report).unwrap();
    let verdicts: BTreeMap<&str, &str> = report["node"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| (note["key"].as_str().unwrap(), note["verdict"].as_str().unwrap()))
        .collect();
    let expected = [
        ("apisix.data_encryption", "to be reviewed"),
        ("apisix.delete_uri_tail_slash", "stricter"),
        ("apisix.enable_control", "stricter"),
        ("apisix.match_uri_encoded_slash", "refused"),
        ("apisix.node_listen", "stricter"),
        ("apisix.normalize_uri_like_servlet", "stricter"),
        ("apisix.router.http", "same"),
        ("apisix.some_new_thing", "to be reviewed"),
        ("apisix.ssl", "same"),
        ("apisix.status", "to be reviewed"),
        ("apisix.trusted_addresses", "same"),
        ("deployment.admin", "to be reviewed"),
        ("deployment.admin.admin_key", "stricter"),
        ("deployment.admin.enable_admin_cors", "stricter"),
        ("deployment.etcd", "to be reviewed"),
        ("deployment.role", "same"),
        ("nginx_config", "refused"),
        ("nginx_config.http.client_max_body_size", "same"),
        ("nginx_config.http.real_ip_from", "same"),
        ("nginx_config.http.real_ip_header", "same"),
        ("plugin_attr", "to be reviewed"),
    ];
    assert_eq!(verdicts, BTreeMap::from(expected));
    bench.bartizan(&["import", "apisix", "config.yaml", "--write", "out"]).succeeds();
    let expected = "\
listeners:
  - address: \"0.0.0.0:9080\"
  - address: \"127.0.0.2:9081\"
  - address: \"0.0.0.0:9443\"
    tls:
      minimum: \"1.3\"
compatibility: apisix
status:
  address: \"127.0.0.1:7085\"
trusted_proxies:
  - \"10.0.0.0/8\"
  - \"127.0.0.1\"
limits:
  body: 8MiB
  body_max: 64MiB
normalize_uri_like_servlet: true
delete_uri_tail_slash: true
router: radixtree_uri_with_parameter
store:
  file:
    path: resources.yaml
";
    assert_eq!(
        bench.read("out/bartizan.yaml").replace("\"8MiB\"", "8MiB").replace("\"64MiB\"", "64MiB"),
        expected
    );
    bench.bartizan(&["check", "-c", "out/bartizan.yaml"]).succeeds();
}

/// An Admin API with one route and a consumer that has a credential; it ends after the last list.
fn admin_api() -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let task = std::thread::spawn(move || {
        let mut asked = 0;
        while asked < 12 {
            let (stream, _) = listener.accept().unwrap();
            asked += serve_lists(&stream);
        }
        asked
    });
    (address, task)
}

fn serve_lists(mut stream: &std::net::TcpStream) -> usize {
    let mut reader = BufReader::new(stream);
    let mut asked = 0;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return asked;
            }
            if line == "\r\n" {
                break;
            }
            head.push(line.to_ascii_lowercase());
        }
        asked += 1;
        let has_key = head.iter().any(|line| line == "x-api-key: the-key\r\n");
        let list = match head[0].split(' ').nth(1).unwrap() {
            "/apisix/admin/routes" => json!([{
                "key": "/apisix/routes/1",
                "value": { "id": "1", "uri": "/a", "plugins": { "key-auth": {} }, "create_time": 1,
                           "upstream": { "nodes": { "127.0.0.1:1": 1 }, "type": "roundrobin" } },
                "createdIndex": 1, "modifiedIndex": 2,
            }]),
            "/apisix/admin/consumers" => json!([{
                "key": "/apisix/consumers/jack", "value": { "username": "jack" },
            }]),
            "/apisix/admin/consumers/jack/credentials" => json!([{
                "key": "/apisix/consumers/jack/credentials/one",
                "value": { "plugins": { "key-auth": { "key": "ff8b7e6d5c4b3a2918070605040302ff" } } },
            }]),
            _ => json!([]),
        };
        let (status, body) = if has_key {
            ("200 OK", json!({ "list": list, "total": 1 }).to_string())
        } else {
            ("401 Unauthorized", "{}".to_owned())
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return asked;
        }
    }
}

#[test]
fn objects_come_from_an_admin_api() {
    let (address, task) = admin_api();
    let bench = Bench::with(&[("key", "the-key\n")]);
    let source = format!("http://{address}");
    let told = bench.bartizan(&["import", "apisix", &source]).fails_with(2);
    assert!(told.contains("401") && told.contains("--key-file"), "{told}");
    let arguments = ["import", "apisix", &source, "--key-file", "key", "--write", "out"];
    let report = bench.bartizan(&arguments).succeeds();
    for line in [
        "routes/1: to be reviewed",
        "consumers/jack: same",
        "consumers/jack/credentials/one: stricter",
    ] {
        assert!(report.contains(line), "{report}");
    }
    assert!(task.join().unwrap() >= 12);
    bench.bartizan(&["check", "-c", "out/bartizan.yaml"]).succeeds();
}

#[test]
fn objects_come_out_of_etcd() {
    let etcd = EtcdServer::start();
    let route = json!({ "uri": "/a", "plugins": { "jwt-auth": {} }, "service_id": "none" });
    etcd.put("/apisix/routes/1", route.to_string());
    etcd.put("/apisix/consumers/jack", r#"{"username":"jack"}"#);
    let bench = Bench::with(&[("none", ""), ("keys", "edd1c9f0985e76a2\n")]);
    let source = format!("etcd+{}/apisix", etcd.url());
    let report = bench.bartizan(&["import", "apisix", &source]).ends_unmet();
    assert!(
        report.contains("routes/1: refused\n") && report.contains("there is no service `none`")
    );
    assert!(report.contains("consumers/jack: same\n"), "{report}");
    // Sixteen bytes in Base64: encrypted, or not.
    let credential = json!({ "plugins": { "key-auth": { "key": "AAAAAAAAAAAAAAAAAAAAAA==" } } });
    etcd.put("/apisix/consumers/jack/credentials/one", credential.to_string());
    let told = bench.bartizan(&["import", "apisix", &source]).fails_with(2);
    assert!(told.contains("`consumers/jack/credentials/one` holds a secret that looks encrypted"));
    for (keyring, expected) in [("none", "to be reviewed"), ("keys", "refused")] {
        let arguments = ["import", "apisix", &source, "--keyring-file", keyring];
        let report = bench.bartizan(&arguments).ends_unmet();
        let line = format!("consumers/jack/credentials/one: {expected}\n");
        assert!(report.contains(&line), "{keyring}\n{report}");
    }
}

#[test]
fn what_objects_of_another_machine_refer_to_is_not_read_on_this_one() {
    let etcd = EtcdServer::start();
    let route = json!({
        "uri": "/a",
        "plugins": {
            "jwt-auth": {
                "jwks": { "file": "keys.json" },
                "issuers": ["https://id.example"],
                "audiences": ["orders"],
            },
            "any-authenticated": { "reason": "a test" },
        },
        "upstream": { "nodes": { "127.0.0.1:1": 1 }, "type": "roundrobin" },
    });
    etcd.put("/apisix/routes/1", route.to_string());
    for (name, reference) in [("jack", "$env://PATH"), ("jill", "$file://secret")] {
        let plugins = json!({ "key-auth": { "key": reference } });
        let consumer = json!({ "username": name, "plugins": plugins });
        etcd.put(&format!("/apisix/consumers/{name}"), consumer.to_string());
    }
    let bench = Bench::with(&[("secret", "a-secret-of-this-machine\n"), ("keys.json", "no keys")]);
    let source = format!("etcd+{}/apisix", etcd.url());
    let report = bench.bartizan(&["import", "apisix", &source]).ends_unmet();
    for line in [
        "consumers/jack: refused\n",
        "`$env://PATH` is of this machine",
        "consumers/jill: refused\n",
        "`$file://secret` is of this machine",
        "routes/1: refused\n",
        "`keys.json` is of this machine",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
}

#[test]
fn what_refers_to_this_machine_is_not_written_where_it_would_read_it() {
    let etcd = EtcdServer::start();
    let source = format!("etcd+{}/apisix", etcd.url());
    let bench = Bench::with(&[("secret", "ff8b7e6d5c4b3a2918070605040302ff\n")]);
    let arguments = ["import", "apisix", &source, "--write", "out"];
    let plugins = json!({ "key-auth": { "key": "$file://secret" } });
    let jack = json!({ "username": "jack", "plugins": plugins }).to_string();
    let upstream = json!({ "nodes": { "${{PATH}}:1": 1 }, "type": "roundrobin" }).to_string();
    let account = json!({ "auth_file": "secret" }).to_string();
    for (key, content) in
        [("consumers/jack", jack.as_str()), ("upstreams/u", &upstream), ("secrets/gcp/1", &account)]
    {
        let stored = format!("/apisix/{key}");
        etcd.put(&stored, content);
        let told = bench.bartizan(&arguments).fails_with(2);
        assert!(told.contains(&format!("`{key}` refers to this machine")), "{told}");
        assert!(!bench.path("out").exists(), "{key}");
        etcd.delete(&stored);
    }
    etcd.put("/apisix/consumers/jack", &jack);
    // Whoever looked at it may take it over.
    bench.bartizan(&[&arguments[..], &["--danger-references"]].concat()).succeeds();
    assert!(bench.read("out/resources.yaml").contains("$file://secret"));
}

#[test]
fn a_key_goes_in_clear_to_this_machine_only_unless_that_is_written() {
    let bench = Bench::with(&[("key", "user:a-key\n")]);
    for source in ["http://0.0.0.0:1", "etcd+http://0.0.0.0:1/apisix"] {
        let arguments = ["import", "apisix", source, "--key-file", "key"];
        let told = bench.bartizan(&arguments).fails_with(2);
        assert!(told.contains("in clear") && told.contains("--danger-plaintext"), "{told}");
        assert!(!told.contains("a-key"), "{told}");
    }
    // Nobody is there; who is asked for, is asked.
    let arguments = ["import", "apisix", "http://0.0.0.0:1", "--key-file", "key"];
    let told = bench.bartizan(&[&arguments[..], &["--danger-plaintext"]].concat()).fails_with(2);
    assert!(told.contains("asked for `/apisix/admin/routes`"), "{told}");
}

/// An Admin API that gives one answer, as often as it is asked.
fn answering(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len());
            let _ = write!(stream, "{head}Connection: close\r\n\r\n{body}");
        }
    });
    format!("http://{address}")
}

#[test]
fn an_answer_that_is_no_list_is_not_taken_for_an_empty_one_and_not_shown() {
    let bench = Bench::with(&[]);
    for (body, words) in [
        (r#"{"node":{"nodes":[{"value":{"key":"hunter2"}}]},"count":1}"#, "has no `list`"),
        (r#"{"list":[{"value":{"key":"hunter2"}}],"total":1}"#, "entry 0 of `list` has no `key`"),
    ] {
        let told = bench.bartizan(&["import", "apisix", &answering(body)]).fails_with(2);
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    bench.bartizan(&["import", "apisix", &answering(r#"{"list":{},"total":0}"#)]).succeeds();
}

#[test]
fn sources_that_cannot_be_read_say_why() {
    let bench = Bench::with(&[("a.yaml", "routes: [\n"), ("b.yaml", "routes: []\n")]);
    for (sources, expected) in [
        (&["none.yaml"][..], "cannot read"),
        (&["a.yaml"], "a.yaml:"),
        (&["b.yaml", "b.yaml"], "is the second source"),
        (&["http://"], "the Admin API `http://`"),
        (&["http://127.0.0.1:1"], "asked for `/apisix/admin/routes`"),
    ] {
        let told = bench.bartizan(&[&["import", "apisix"], sources].concat()).fails_with(2);
        assert!(told.contains(expected), "{told}");
    }
}
