//! What `proxy-rewrite` makes of requests, and of its configuration.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Bench, percent_encoded, request};

/// What is sent upstream in place of a request for `target`.
fn sent(config: &Value, target: &str) -> Result<String, Reason> {
    let plugin = Bench::new().compile::<ProxyRewrite>(config).unwrap();
    let cx = request(target, &[]);
    let (path, _) = plugin.target.rewrite(&cx).map_err(|denial| denial.reason)?;
    let outgoing = plugin.outgoing(cx.outgoing(), path.as_deref());
    let outgoing = outgoing.map_err(|_| Reason::RewriteRefused)?;
    let outgoing = outgoing.as_ref().unwrap_or(cx.outgoing());
    Ok(format!("{} {}{}", outgoing.method(), outgoing.authority(), outgoing.path_and_query()))
}

#[test]
fn paths_queries_methods_and_hosts_are_rewritten() {
    for (config, target, expected) in [
        (json!({"uri": "/new"}), "/old?a=1", "GET example.com/new?a=1"),
        (json!({"uri": "/new?b=2"}), "/old?a=1", "GET example.com/new?b=2"),
        (json!({"uri": "/v2$uri"}), "/old/x%20y?a=1", "GET example.com/v2/old/x%20y?a=1"),
        (json!({"uri": "/v2$request_uri"}), "/old?a=1", "GET example.com/v2/old?a=1"),
        (json!({"uri": "/u/$arg_id"}), "/o?id=a%20b", "GET example.com/u/a%20b?id=a%20b"),
        (json!({"uri": "/u?x=$arg_id"}), "/o?id=a%26b", "GET example.com/u?x=a%26b"),
        (
            json!({"regex_uri": ["^/api/(.*)/(.*)$", "/$2/$1"]}),
            "/api/a/b?q",
            "GET example.com/b/a?q",
        ),
        (json!({"regex_uri": ["^/api", ""]}), "/api/a", "GET example.com/a"),
        (json!({"regex_uri": ["^/x", "/y", "^/a", "/b"]}), "/a/c", "GET example.com/b/c"),
        (json!({"regex_uri": ["^/x", "/y"]}), "/a", "GET example.com/a"),
        (json!({"method": "PUT", "host": "up.test:81"}), "/a?b", "PUT up.test:81/a?b"),
    ] {
        assert_eq!(sent(&config, target).as_deref(), Ok(expected), "{config} {target}");
    }
}

#[test]
fn a_value_never_chooses_another_path() {
    for (config, target, reason) in [
        (json!({"uri": "/u/$arg_id"}), "/o?id=..", Reason::RewriteRefused),
        (json!({"uri": "/u/$arg_id/x"}), "/o", Reason::RewriteRefused),
        (json!({"uri": "/u/$arg_id"}), "/o?id=a/b", Reason::RewriteRefused),
        (json!({"uri": "/u/$arg_id"}), "/o?id=a%0d%0ab", Reason::RewriteRefused),
        (json!({"uri": "/u/$arg_id"}), "/o?id=a&id=b", Reason::AmbiguousParameter),
        (json!({"regex_uri": ["^/(.)a(.)$", "/x/$1$2"]}), "/.a.", Reason::RewriteRefused),
        (json!({"regex_uri": ["^/", "a/"]}), "/b", Reason::RewriteRefused),
    ] {
        assert_eq!(sent(&config, target), Err(reason), "{config} {target}");
    }
}

#[test]
fn a_hidden_credential_does_not_come_back() {
    let plugin = Bench::new().compile::<ProxyRewrite>(&json!({"uri": "/v2?$args"})).unwrap();
    let mut cx = request("/a?apikey=secret&b=1", &[]);
    cx.hide_query("apikey");
    assert_eq!(plugin.target.rewrite(&cx).unwrap().0.as_deref(), Some("/v2?b=1"));
}

#[test]
fn captures_reach_the_headers() {
    let config = json!({
        "regex_uri": ["^/t/([^/]+)", "/"],
        "headers": {"set": {"X-Tenant": "t-$1", "X-Max": 5}, "add": {"X-Tag": ["a", "b"]}, "remove": ["Accept"]},
    });
    let plugin = Bench::new().compile::<ProxyRewrite>(&config).unwrap();
    let mut cx = request("/t/acme", &[("accept", "*/*"), ("x-tenant", "evil")]);
    let (_, captures) = plugin.target.rewrite(&cx).unwrap();
    let mut fields = std::mem::take(&mut cx.fields);
    plugin.fields.as_ref().unwrap().apply(&cx, &captures, &mut fields).unwrap();
    let all = |name| fields.all(name).map(String::from_utf8_lossy).collect::<Vec<_>>();
    assert_eq!(all("x-tenant"), ["t-acme"]);
    assert_eq!(all("x-max"), ["5"]);
    assert_eq!(all("x-tag"), ["a", "b"]);
    assert!(all("accept").is_empty());
}

#[test]
fn a_header_value_that_would_end_the_line_is_refused() {
    let config = json!({"headers": {"X-Id": "$arg_id"}});
    let plugin = Bench::new().compile::<ProxyRewrite>(&config).unwrap();
    let cx = request("/a?id=a%0d%0aX-Admin:%201", &[]);
    let mut fields = bartizan_wire::Fields::new();
    let fault = plugin.fields.as_ref().unwrap().apply(&cx, &[], &mut fields).unwrap_err();
    assert_eq!(change_denial(fault).reason, Reason::RewriteRefused);
    assert!(fields.is_empty());
}

#[test]
fn faults_say_where_and_why() {
    for (config, path, problem) in [
        (json!({}), vec![], "changes nothing"),
        (json!({"headers": {}}), vec!["headers"], "changes nothing"),
        (json!({"uri": "/a", "regex_uri": ["a", "b"]}), vec!["regex_uri"], "`uri` is there too"),
        (json!({"uri": "/a/../b"}), vec!["uri"], "`.` or `..`"),
        (json!({"uri": "/a//b"}), vec!["uri"], "empty segment"),
        (json!({"uri": "/a b"}), vec!["uri"], "what no path may"),
        (json!({"uri": "/$1"}), vec!["uri"], "no capture"),
        (json!({"uri": "/$nope"}), vec!["uri"], "no variable"),
        (json!({"regex_uri": ["a", "b", "c"]}), vec!["regex_uri", "2"], "without a replacement"),
        (json!({"regex_uri": ["(?=a)", "b"]}), vec!["regex_uri", "0"], "backtracking"),
        (json!({"regex_uri": ["(a)", "$2"]}), vec!["regex_uri", "1"], "no capture"),
        (json!({"host": "a:99999"}), vec!["host"], "no port"),
        (json!({"headers": {"set": {"Host": "a"}}}), vec!["headers", "set", "Host"], "not changed"),
        (json!({"headers": {"remove": ["A", "TE"]}}), vec!["headers", "remove", "1"], "connection"),
        (json!({"headers": {"X-Userinfo": "a"}}), vec!["headers", "X-Userinfo"], "says who calls"),
    ] {
        let fault = Bench::new().fault::<ProxyRewrite>(&config);
        let steps = fault.path.iter().map(|step| match step {
            PathStep::Key(key) => key.clone(),
            PathStep::Index(index) => index.to_string(),
        });
        assert_eq!(steps.collect::<Vec<_>>(), path, "{config}: {fault}");
        assert!(fault.problem.contains(problem), "{config}: {fault}");
    }
}

proptest! {
    #[test]
    fn what_is_sent_begins_as_the_configuration_says(id in "[a-z./%?&#\\\\]{0,12}") {
        let encoded = percent_encoded(&id);
        let plugin = Bench::new().compile::<ProxyRewrite>(&json!({"uri": "/only/$arg_id"})).unwrap();
        let cx = request(&format!("/?id={encoded}"), &[]);
        let (path, _) = plugin.target.rewrite(&cx).unwrap();
        if let Ok(Some(outgoing)) = plugin.outgoing(cx.outgoing(), path.as_deref()) {
            let rest = outgoing.path().strip_prefix("/only/");
            prop_assert!(rest.is_some_and(|rest| !rest.contains('/')), "{}", outgoing.path());
        }
    }

    #[test]
    fn the_first_pattern_that_is_found_replaces_what_it_found_once(
        pairs in prop::collection::vec(("/?[ab]{1,2}", "/[cd]{1,2}"), 1..4),
        path in "(/[ab]{1,3}){1,3}",
        query in "(\\?a=b)?",
    ) {
        let written: Vec<&String> = pairs.iter().flat_map(|(from, to)| [from, to]).collect();
        let config = json!({ "regex_uri": written });
        let plugin = Bench::new().compile::<ProxyRewrite>(&config).unwrap();
        let (target, _) = plugin.target.rewrite(&request(&format!("{path}{query}"), &[])).unwrap();
        let first = pairs.iter().find(|(from, _)| path.contains(from.as_str()));
        let naive = first.map(|(from, to)| format!("{}{query}", path.replacen(from, to, 1)));
        prop_assert_eq!(target, naive);
    }
}
