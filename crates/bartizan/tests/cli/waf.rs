//! `bartizan waf`.

use serde_json::{Value, json};

use crate::driver::{Bench, Serving};

const ATTACK: &str = "GET /orders?id=1%27%20or%20%271%27=%271&page=2 HTTP/1.1\nHost: a.example\n\n";
const CLEAN: &str =
    "POST /orders HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{\"note\": \"two please\"}\n";
/// Rules that score as the Core Rule Set does.
const SCORING: &str = r#"
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
Include parts/*.conf
SecRule TX:blocking_inbound_anomaly_score "@ge %{tx.inbound_anomaly_score_threshold}" \
    "id:949110,phase:2,deny,status:403,msg:'Score %{tx.blocking_inbound_anomaly_score}'"
"#;
const PARTS: &str = r#"
SecAction "id:1,phase:1,nolog,pass,\
    setvar:tx.blocking_inbound_anomaly_score=0,setvar:tx.inbound_anomaly_score_threshold=5,\
    setvar:tx.blocking_paranoia_level=1,setvar:tx.detection_paranoia_level=1"
SecRule ARGS|REQUEST_COOKIES "@rx (?i)union\s+select" \
    "id:2,phase:2,t:urlDecodeUni,pass,msg:'A union',logdata:'%{MATCHED_VAR}',\
    setvar:tx.blocking_inbound_anomaly_score=+4"
SecRule TX:detection_paranoia_level "@lt 2" "id:3,phase:2,nolog,pass,skipAfter:END"
SecRule ARGS_NAMES "@streq odd" \
    "id:4,phase:2,pass,msg:'An odd name',setvar:tx.blocking_inbound_anomaly_score=+3"
SecMarker END
"#;

fn bench() -> Bench {
    let bench = Bench::with(&[("attack.http", ATTACK), ("clean.http", CLEAN)]);
    std::fs::create_dir(bench.path("parts")).unwrap();
    bench.write("main.conf", SCORING);
    bench.write("parts/a.conf", PARTS);
    bench
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn test_tells_which_requests_would_be_refused() {
    let told = bench().bartizan(&["waf", "test", "builtin", "attack.http", "clean.http"]);
    let expected = "\
REQUEST      VERDICT   SCORE  RULES
attack.http  deny 403  -      7001001
clean.http   pass      -
";
    assert_eq!(told.ends_unmet(), expected);
    let told = bench().bartizan(&["waf", "test", "builtin", "clean.http"]).succeeds();
    assert!(told.contains("clean.http  pass"), "{told}");
}

#[test]
fn test_holds_requests_against_what_is_expected() {
    let bench = bench();
    let test = |expected, request| {
        bench.bartizan(&["waf", "test", "builtin", "--expect", expected, request])
    };
    test("deny", "attack.http").succeeds();
    test("7001001", "attack.http").succeeds();
    test("pass", "clean.http").succeeds();
    test("deny", "clean.http").ends_unmet();
    test("7001001,7002001", "attack.http").ends_unmet();
    let told = test("pass", "attack.http").fails_with(1);
    assert_eq!(told, "error: 1 of 1 would be refused: attack.http\n");
    let told = test("often", "attack.http").fails_with(2);
    assert!(told.contains("neither `pass`, `deny` nor ids of rules"), "{told}");
}

#[test]
fn levels_and_thresholds_are_those_of_the_command_line() {
    let bench = bench();
    let request = "GET /?q=union+select&odd=1 HTTP/1.1\n\n";
    let test = |options: &[&str]| {
        let arguments = [&["waf", "test", "main.conf", "--format", "json", "-"], options].concat();
        let ended = bench.bartizan_reads(&arguments, request);
        let [line] = &lines(&ended.stdout)[..] else { panic!("{}", ended.stdout) };
        [&line["verdict"], &line["score"], &line["threshold"], &line["rules"]].map(Clone::clone)
    };
    assert_eq!(test(&[]), [json!("pass"), json!(4), json!(5), json!([2])]);
    let [verdict, score, _, rules] = test(&["--paranoia", "2"]);
    assert_eq!([verdict, score, rules], [json!("deny"), json!(7), json!([2, 4, 949_110])]);
    assert_eq!(test(&["--threshold", "4"])[0], "deny");
    assert_eq!(test(&["--paranoia", "2", "--threshold", "8"])[0], "pass");
    let told = bench.bartizan(&["waf", "test", "builtin", "--paranoia", "2", "clean.http"]);
    let told = told.fails_with(2);
    assert!(told.contains("`--paranoia` means nothing to these rules"), "{told}");
}

#[test]
fn a_folder_is_its_rule_files_and_those_of_its_rules() {
    let bench = bench();
    std::fs::create_dir_all(bench.path("crs/rules")).unwrap();
    bench.write("crs/setup.conf", "SecRuleEngine On\nSecRequestBodyAccess Off\n");
    bench.write("crs/rules/b.conf", "SecRule ARGS:id \"@contains or\" \"id:7,phase:1,deny\"\n");
    bench.write("crs/rules/c.conf.example", "SecNonsense\n");
    let told = bench.bartizan(&["waf", "test", "crs", "--expect", "7", "attack.http"]);
    assert!(told.succeeds().contains("deny 403"));
    std::fs::create_dir(bench.path("empty")).unwrap();
    let told = bench.bartizan(&["waf", "test", "empty", "attack.http"]).fails_with(2);
    assert!(told.contains("there are no rules in `empty`"), "{told}");
}

#[test]
fn explain_tells_what_matched_and_what_would_let_it_pass() {
    let told = bench().bartizan(&["waf", "explain", "builtin", "attack.http"]).succeeds();
    let expected = r#"attack.http: refused with 403 by rule 7001001

  rule       7001001 SQL injection
  stands in  builtin.conf:58, phase 2
  looked at  ARGS:id after urlDecodeUni, removeNulls
  asked      @detectSQLi
  found      "s&sos" in "1' or '1'='1"
  looked at  MATCHED_VARS:ARGS:id after urlDecodeUni, removeNulls, lowercase
  asked      @rx ['\x22`][\s)]*(?:\|\||&&|(?:x?or|and|union|having|order|group|limit|procedure|waitfor)(?:\b|['\x22(])|like\s*['\x22(]|--…
  found      "' or" in "1' or '1'='1"
  does       refuses

If this is a false alarm, the `waf` of the route can leave out (with it the request passes):
  exclude:
    - {rule: 7001001, target: "ARGS:id"}
"#;
    assert_eq!(told, expected);
    let told = bench().bartizan(&["waf", "explain", "builtin", "clean.http"]).succeeds();
    assert_eq!(told, "clean.http: passes\nno rule matched\n");
}

#[test]
fn explain_adds_up_what_rules_score() {
    let bench = bench();
    let request = "GET /?a=x+union+select+y&b=UNION++SELECT HTTP/1.1\n\n";
    let arguments = ["waf", "explain", "main.conf", "--format", "json", "-"];
    let told = bench.bartizan_reads(&arguments, request).succeeds();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["score"], 8);
    assert_eq!(told["by"], "rule 949110");
    let first = &told["matches"][0];
    assert_eq!(first["added"], json!({ "blocking_inbound_anomaly_score": 8 }));
    assert_eq!((&first["file"], &first["line"]), (&json!("parts/a.conf"), &json!(5)));
    let value = &first["values"][1];
    let parts = ["name", "operator", "argument", "found", "transformations"];
    let parts = parts.map(|part| value[part].clone());
    let expected = ["ARGS:b", "rx", r"(?i)union\s+select", "UNION  SELECT"].map(Value::from);
    assert_eq!(parts[..4], expected);
    assert_eq!(parts[4], json!(["urlDecodeUni"]));
    let excluded = json!([{"rule": 2, "target": "ARGS:a"}, {"rule": 2, "target": "ARGS:b"}]);
    assert_eq!(told["exclude"], excluded);
    assert_eq!(told["passes_with_exclude"], true);
}

#[test]
fn secrets_are_shown_only_to_those_who_ask() {
    let bench = bench();
    let request = "GET / HTTP/1.1\nCookie: sid=union select\n\n";
    for (option, is_shown) in [(None, false), (Some("--show-values"), true)] {
        for format in ["text", "json"] {
            let mut arguments = vec!["waf", "explain", "main.conf", "--format", format, "-"];
            arguments.extend(option);
            let told = bench.bartizan_reads(&arguments, request).succeeds();
            assert!(told.contains("REQUEST_COOKIES:sid"), "{told}");
            assert_eq!(told.contains("\"union select\""), is_shown, "{told}");
        }
    }
}

#[test]
fn levels_of_version_3_and_encoded_bodies_are_what_the_gateway_makes_of_them() {
    let bench = bench();
    let rules = "SecRuleEngine On\nSecRequestBodyAccess On\n\
                 SecAction \"id:1,phase:1,pass,nolog,setvar:tx.executing_paranoia_level=1\"\n\
                 SecRule TX:EXECUTING_PARANOIA_LEVEL \"@ge 2\" \"id:2,phase:1,deny,chain\"\n\
                 SecRule TX:PARANOIA_LEVEL \"@ge 2\"\n";
    bench.write("three.conf", rules);
    let get = "GET / HTTP/1.1\n\n";
    bench.bartizan_reads(&["waf", "test", "three.conf", "-"], get).succeeds();
    let arguments = ["waf", "test", "three.conf", "--paranoia", "2", "--expect", "2", "-"];
    bench.bartizan_reads(&arguments, get).succeeds();
    for (coding, is_refused) in [("gzip", true), ("identity", false)] {
        let request = format!("POST / HTTP/1.1\nContent-Encoding: {coding}\n\nx");
        let expected = if is_refused { "deny" } else { "pass" };
        let arguments = ["waf", "test", "three.conf", "--expect", expected, "-"];
        let told = bench.bartizan_reads(&arguments, &request).succeeds();
        assert_eq!(told.contains("415"), is_refused, "{told}");
    }
}

#[test]
fn a_secret_is_not_shown_where_a_chain_or_a_raw_text_holds_it() {
    let bench = bench();
    bench.write(
        "chain.conf",
        r#"
SecRuleEngine On
SecRequestBodyAccess Off
SecRule REQUEST_COOKIES:sid "@rx ^(union) .*" "id:1,phase:1,pass,capture,chain"
SecRule MATCHED_VAR "@contains select" "chain"
SecRule TX:1 "@beginsWith unio" "t:none"
SecRule REQUEST_URI "@contains select" "id:2,phase:1,pass,msg:'%{MATCHED_VAR}'"
"#,
    );
    let request = "GET /?q=unionselect HTTP/1.1\nCookie: sid=union select\n\n";
    for (option, is_shown) in [(None, false), (Some("--show-values"), true)] {
        for format in ["text", "json"] {
            let mut arguments = vec!["waf", "explain", "chain.conf", "--format", format, "-"];
            arguments.extend(option);
            let told = bench.bartizan_reads(&arguments, request).succeeds();
            assert!(told.contains("TX:1") && told.contains("REQUEST_URI"), "{told}");
            for secret in ["\"union select\"", "\"union\"", "\"/?q=unionselect\""] {
                assert_eq!(told.contains(secret), is_shown, "{secret}: {told}");
            }
        }
    }
}

#[test]
fn what_the_gateway_refuses_itself_is_told_so() {
    let bench = bench();
    for (request, status, cause) in [
        ("GET /a HTTP/1.1\nHost: a\nHost: b\n\n", 400, "host"),
        ("GET /%00 HTTP/1.1\n\n", 400, "NUL"),
        ("POST / HTTP/1.1\nTransfer-Encoding: chunked\n\nx\r\n", 400, "chunk"),
    ] {
        let arguments = ["waf", "explain", "builtin", "--format", "json", "-"];
        let told = bench.bartizan_reads(&arguments, request).succeeds();
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["status"], status, "{told}");
        let by = told["by"].as_str().unwrap();
        assert!(by.starts_with("the gateway, before any rule: "), "{by}");
        assert!(by.contains(cause), "{by}");
        bench.bartizan_reads(&["waf", "test", "builtin", "-"], request).ends_unmet();
    }
}

#[test]
fn bodies_are_read_as_their_head_says() {
    let bench = bench();
    let attack = "a=1' or '1'='1";
    let form = "Content-Type: application/x-www-form-urlencoded\n";
    let chunked = format!("{:x}\r\n{attack}\r\n0\r\n\r\n", attack.len());
    for (fields, body) in [
        (String::new(), attack.to_owned()),
        (format!("Content-Length: {}\n", attack.len()), format!("{attack}\n")),
        ("Transfer-Encoding: chunked\n".to_owned(), chunked),
    ] {
        let request = format!("POST / HTTP/1.1\n{form}{fields}\n{body}");
        let arguments = ["waf", "test", "builtin", "--expect", "7001001", "-"];
        bench.bartizan_reads(&arguments, &request).succeeds();
    }
}

#[test]
fn what_cannot_be_read_is_shown_in_its_place() {
    let bench = bench();
    for (request, told) in [
        ("", "standard input:1:1"),
        ("GET /\n\n", "standard input:1:1"),
        ("GET / HTTP/1.1\nHost: a\nno field\n\n", "standard input:3:1"),
        ("GET / HTTP/1.1\nbad name: x\n\n", "standard input:2:1"),
        ("GET / HTTP/1.1\nX: a\u{1}b\n\n", "standard input:2:5"),
        ("POST / HTTP/1.1\nContent-Length: 3\n\nab", "standard input:4:3"),
        ("POST / HTTP/1.1\nContent-Length: 1\n\nab", "standard input:4:2"),
    ] {
        let ended = bench.bartizan_reads(&["waf", "test", "builtin", "-"], request);
        let problem = ended.fails_with(2);
        assert!(problem.contains(told) && problem.contains('^'), "{problem}");
    }
    bench.write("bad.conf", "SecRuleEngine On\nSecRule ARGS \"@rx (\" \"id:1\"\nSecFoo\n");
    let problem = bench.bartizan(&["waf", "test", "bad.conf", "clean.http"]).fails_with(2);
    for told in ["bad.conf:3:1", "unknown directive `SecFoo`", "^"] {
        assert!(problem.contains(told), "{problem}");
    }
    let missing = bench.bartizan(&["waf", "test", "nowhere.conf", "clean.http"]).fails_with(2);
    assert!(missing.contains("nowhere.conf"), "{missing}");
    let missing = bench.bartizan(&["waf", "test", "builtin", "nowhere.http"]).fails_with(2);
    assert!(missing.contains("cannot read `nowhere.http`"), "{missing}");
}

#[test]
fn a_running_node_takes_changed_rules_and_keeps_the_old_ones_where_the_new_are_broken() {
    let node = "\
listeners: [{ address: \"127.0.0.1:0\" }]
store: { file: { path: resources.yaml } }
status: { address: \"127.0.0.2:0\" }
audit: { sinks: [{ file: { path: audit.jsonl } }] }
";
    let resources = "\
plugin_metadata: [{ id: waf, rule_sets: { own: { files: [\"rules/*.conf\"] } } }]
routes:
  - id: only
    uri: /*
    plugins: { anonymous-access: { reason: a test }, waf: { rule_set: own } }
    upstream: { nodes: { \"127.0.0.1:1\": 1 } }
";
    let refusing = |word: &str| {
        format!("SecRequestBodyAccess Off\nSecRule ARGS \"@streq {word}\" \"id:1,phase:1,deny\"\n")
    };
    let bench = Bench::with(&[("bartizan.yaml", node), ("resources.yaml", resources)]);
    std::fs::create_dir(bench.path("rules")).unwrap();
    bench.write("rules/a.conf", &refusing("one"));
    let mut node = bench.serve(&["run"]);
    let is_refused = |node: &Serving, word: &str| {
        node.get(&format!("/?a={word}"), "").starts_with("HTTP/1.1 403 ")
    };
    assert!(is_refused(&node, "one") && !is_refused(&node, "two"));
    bench.write("rules/a.conf", &refusing("two"));
    node.log_line("reloaded");
    assert!(!is_refused(&node, "one") && is_refused(&node, "two"));
    bench.write("rules/a.conf", "SecRequestBodyAccess Off\nSecRule ARGS \"@rx (\" \"id:1\"\n");
    let told = node.log_line("the change is refused: resources.yaml:");
    assert!(told["message"].as_str().unwrap().ends_with("the rule set `own` has 1 fault"));
    node.log_line("the change is refused:   rules/a.conf:2:");
    assert!(is_refused(&node, "two"));
    bench.write("rules/a.conf", &refusing("three"));
    node.log_line("reloaded");
    assert!(!is_refused(&node, "two") && is_refused(&node, "three"));
    assert!(node.stop().success());
}
