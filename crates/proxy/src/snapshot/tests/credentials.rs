//! Consumers: their credentials, and what comes with them.

use bartizan_core::Reason;
use serde_json::{Value, json};

use super::fixture::{Bench, Fate, Probe, guarded, node, route};

fn consumer(name: &str, plugins: &Value) -> Value {
    json!({ "username": name, "plugins": plugins })
}

fn key(key: &str) -> Value {
    json!({ "key-auth": { "key": key, "danger_weak_secret": true } })
}

#[test]
fn a_consumer_is_known_by_its_own_key_and_by_its_credentials() {
    let bench = Bench::new(&node());
    let snapshot = bench.compile(&json!({
        "routes": [route("a", &guarded())],
        "consumers": [{
            "username": "alice", "plugins": key("own"),
            "credentials": [{ "id": "spare", "plugins": key("other") }]
        }]
    }));
    let send = |key: &str| Probe::get("/a").with(&[("apikey", key)]).send(&snapshot, &bench.facts);
    assert_eq!(send("own"), Fate::Forwarded("a".into()));
    assert_eq!(send("other"), Fate::Forwarded("a".into()));
    assert_eq!(send("third"), Fate::Denied(Reason::InvalidCredential));
}

#[test]
fn a_credential_of_two_consumers_is_refused_with_both_names() {
    let bench = Bench::new(&node());
    let problems = bench.problems(&json!({
        "consumers": [consumer("alice", &key("same")), consumer("bob", &key("same"))]
    }));
    assert_eq!(
        problems,
        ["the credential of `key-auth` of consumer `bob` is also that of consumer `alice`"]
    );
    let problems = bench.problems(&json!({ "consumers": [{
        "username": "alice", "plugins": key("same"),
        "credentials": [{ "id": "spare", "plugins": key("same") }]
    }] }));
    assert_eq!(problems, ["consumer `alice` has the same credential of `key-auth` twice"]);
}

#[test]
fn a_disabled_credential_opens_nothing() {
    let bench = Bench::new(&node());
    let disabled = json!({ "key-auth": { "key": "k", "danger_weak_secret": true, "_meta": { "disable": true } } });
    let snapshot = bench.compile(&json!({
        "routes": [route("a", &guarded())], "consumers": [consumer("alice", &disabled)]
    }));
    let fate = Probe::get("/a").with(&[("apikey", "k")]).send(&snapshot, &bench.facts);
    assert_eq!(fate, Fate::Denied(Reason::InvalidCredential));
}

#[test]
fn what_has_no_effect_on_a_credential_is_refused() {
    let bench = Bench::new(&node());
    for (name, value) in [
        ("filter", json!([["arg_x", "==", "1"]])),
        ("error_response", json!("no")),
        ("priority", json!(2500)),
    ] {
        let plugins = json!({ "key-auth": { "key": "k", "danger_weak_secret": true, "_meta": { name: value } } });
        let problems = bench.problems(&json!({ "consumers": [consumer("alice", &plugins)] }));
        assert_eq!(problems, [format!("`_meta.{name}` has no effect on a credential")]);
    }
}

#[test]
fn plugins_of_the_group_and_of_the_consumer_are_added_to_the_routes() {
    let bench = Bench::new(&node());
    let nets = |net: &str| json!({ "whitelist": [net] });
    let mut alice = consumer("alice", &key("a"));
    alice["plugins"]["ip-restriction"] = nets("10.1.0.0/16");
    alice["group_id"] = json!("staff");
    let mut plugins = guarded();
    plugins["ip-restriction"] = nets("10.0.0.0/8");
    let snapshot = bench.compile(&json!({
        "routes": [route("a", &plugins)],
        "consumers": [alice, consumer("bob", &key("b"))],
        "consumer_groups": [{
            "id": "staff", "plugins": { "ip-restriction": nets("10.1.1.0/24") }
        }]
    }));
    let send = |key: &str, client| {
        Probe::get("/a").with(&[("apikey", key)]).from(client).send(&snapshot, &bench.facts)
    };
    let denied = Fate::Denied(Reason::AddressDenied);
    assert_eq!(send("a", "10.1.1.1"), Fate::Forwarded("a".into()));
    assert_eq!(send("a", "10.1.2.1"), denied, "the group's");
    assert_eq!(send("a", "10.2.0.1"), denied, "the consumer's");
    assert_eq!(send("b", "10.2.0.1"), Fate::Forwarded("a".into()));
    assert_eq!(send("b", "192.0.2.1"), denied, "the route's");
}

#[test]
fn what_is_about_who_calls_is_refused_on_who_calls() {
    let bench = Bench::new(&node());
    let open = json!({ "anonymous-access": { "reason": "x" } });
    let problem = "`anonymous-access` is about who calls, which is known before this runs";
    let on_consumer = json!({ "consumers": [consumer("alice", &open)] });
    assert_eq!(bench.problems(&on_consumer), [problem]);
    let on_group = json!({ "consumer_groups": [{ "id": "staff", "plugins": open }] });
    assert_eq!(bench.problems(&on_group), [problem]);
}
