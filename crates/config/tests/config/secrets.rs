//! References to secret managers, and the managers themselves.

use bartizan_config::{KvVersion, VaultAuth};

use crate::bad_resources::check;
use crate::catalogue::{loader, resources};
use crate::drafts::{add, draft};

const JACK: &str =
    "consumers: [{username: jack, plugins: {key-auth: {key: '$secret://vault/1/jack/key'}}}]\n";

#[test]
fn a_reference_stands_for_what_its_vault_keeps() {
    let vault = "secrets: [{id: vault/1, uri: 'https://vault.test:8200/', prefix: kv/a, token: $env://ALICE}]\n";
    // Wherever the manager stands.
    for text in [format!("{vault}{JACK}"), format!("{JACK}{vault}")] {
        let resources = resources(&text).unwrap();
        assert_eq!(resources.consumers[0].plugins[0].config["key"], "from vault");
        let manager = &resources.managers[0];
        let vault = manager.vault().unwrap();
        assert_eq!((&*manager.id, &*vault.uri), ("vault/1", "https://vault.test:8200"));
        assert_eq!((&*vault.prefix, &*vault.mount, vault.kv), ("kv/a", "kv", KvVersion::One));
        assert!(matches!(&vault.auth, VaultAuth::Token(token) if token.matches(b"alice-key")));
    }
}

#[test]
fn other_ways_into_a_vault_are_read() {
    let resources = resources(
        "\
secrets:
- {id: vault/a, uri: 'http://127.0.0.1:8200', prefix: m/n/x, mount: m/n, kv_version: 2, namespace: t,
   auth: {approle: {role_id: r, secret_id: $env://ALICE}}, refresh: 10s, stale_max: 0s, timeout: 2s}
- {id: vault/b, uri: 'http://vault.test', prefix: kv, danger_plaintext: true,
   auth: {kubernetes: {role: r, jwt: $env://ALICE, mount: k}}}
",
    )
    .unwrap();
    let find = |id: &str| resources.managers.iter().find(|one| &*one.id == id).unwrap();
    let (a, b) = (find("vault/a"), find("vault/b"));
    assert!(!a.is_like(b) && a.is_like(&a.as_ref().clone()));
    assert_eq!((a.refresh.as_secs(), a.stale_max.as_secs(), a.timeout.as_secs()), (10, 0, 2));
    let (a, b) = (a.vault().unwrap(), b.vault().unwrap());
    assert_eq!((&*a.mount, a.kv, a.namespace.as_deref()), ("m/n", KvVersion::Two, Some("t")));
    assert!(matches!(&a.auth, VaultAuth::AppRole { mount, .. } if mount == "approle"));
    assert!(matches!(&b.auth, VaultAuth::Kubernetes { mount, .. } if mount == "k"));
}

#[test]
fn references_that_lead_nowhere_say_why() {
    let vault = "secrets: [{id: vault/1, uri: 'https://v.test', prefix: kv, token: t}]\n";
    let with = |reference: &str| {
        format!(
            "{vault}consumers: [{{username: jack, plugins: {{key-auth: {{key: '{reference}'}}}}}}]\n"
        )
    };
    for (reference, words) in [
        ("$secret://vault/2/jack/key", "there is no secret manager `vault/2`"),
        (
            "$secret://vault/1/jack/gone",
            "`$secret://vault/1/jack/gone` cannot be had: a test says so",
        ),
        ("$secret://vault/1/jack/empty", "is empty"),
        ("$secret://vault/1/jack", "is not of the form"),
        ("$secret://aws/1/jack/key", "there is no secret manager `aws/1`"),
        ("$secret://azure/1/jack/key", "is not of the form"),
        ("$sealed://k1/AAAA", "encrypted text of a store"),
        ("$unreadable://clear", "is not encrypted, which `encryption.required` of the store asks"),
    ] {
        let lines = resources(&with(reference)).unwrap_err();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("r.yaml:2:"), "{lines:?}");
        assert!(lines[0].contains(words), "{lines:?}");
    }
}

#[test]
fn a_reference_stands_where_its_value_is_kept_secret() {
    check(&[(
        "secrets: [{id: vault/1, uri: 'https://v.test', prefix: kv, token: t}]\nroutes: [{uri: '$secret://vault/1/jack/key', plugins: {}}]\n",
        &[
            "r.yaml:2:16: the reference `$secret://vault/1/jack/key` stands where nothing keeps its value secret (at routes[0].uri); references are accepted in fields for secrets, certificates and keys only",
        ],
    )]);
}

#[test]
fn a_manager_at_fault_is_told_once_and_not_with_all_that_refers_to_it() {
    let lines = resources(&format!("secrets: [{{id: vault/1, uri: 'https://v.test'}}]\n{JACK}"));
    let lines = lines.unwrap_err();
    assert_eq!(lines, ["r.yaml:1:11: `prefix` is required (at secrets[0])"]);
}

#[test]
fn managers_that_are_not_sound() {
    let lines = |more: &str| {
        let text = format!("secrets: [{{id: vault/1, {more}}}]\n");
        resources(&text).unwrap_err().join("\n")
    };
    for (more, words) in [
        ("uri: 'https://v.test', prefix: kv", "`token` or `auth` is required"),
        (
            "uri: 'https://v.test', prefix: kv, token: t, auth: {approle: {role_id: r, secret_id: s}}",
            "only one of `token` and `auth`",
        ),
        ("uri: 'http://v.test', prefix: kv, token: t", "another machine and not `https`"),
        ("uri: 'https://u:p@v.test', prefix: kv, token: t", "expected scheme, host and port"),
        ("uri: 'https://v.test/v1', prefix: kv, token: t", "expected scheme, host and port"),
        ("uri: 'https://v.test', prefix: /kv, token: t", "expected a path such as `kv/apisix`"),
        (
            "uri: 'https://v.test', prefix: kv/../sys, token: t",
            "`kv/../sys` does not begin with it",
        ),
        (
            "uri: 'https://v.test', prefix: kv, mount: secret, token: t",
            "the prefix `kv` does not begin with it",
        ),
        ("uri: 'https://v.test', prefix: kv, token: t, kv_version: 3", "expected one of"),
        (
            "uri: 'https://v.test', prefix: kv, token: t, refresh: 0s",
            "the shortest time is one second",
        ),
        (
            "uri: 'https://v.test', prefix: kv, token: t, timeout: 0s",
            "there would be no time to answer",
        ),
        (
            "uri: 'https://v.test', prefix: kv, token: '$secret://vault/1/a/b'",
            "not in the node file or in a secret manager",
        ),
        (
            "uri: 'https://v.test', prefix: kv, token: t, ssl_verify: false",
            "unknown field `ssl_verify`",
        ),
    ] {
        let lines = lines(more);
        assert!(lines.contains(words), "{more}: {lines}");
    }
    let others = resources(
        "secrets: [{id: azure/1, token: hunter2}, {id: '1', uri: x}, {id: vault/, uri: x}, {uri: x}]\n",
    );
    let others = others.unwrap_err();
    let told = "expected `vault/`, `aws/` or `gcp/` and an id of up to 64 letters, digits, `-`, `_` \
                and `.`, found";
    for found in ["`azure/1`", "`1`"] {
        assert!(others.iter().any(|line| line.contains(&format!("{told} {found}"))), "{others:?}");
    }
    assert!(others.iter().any(|line| line.contains("expected `vault/` and an id")), "{others:?}");
    assert!(others.iter().any(|line| line.contains("needs an `id`")), "{others:?}");
    assert!(!others.join("").contains("hunter2"));
}

#[test]
fn what_is_still_to_be_fetched_is_no_problem_and_no_configuration() {
    let vault = r#"{"uri": "https://v.test", "prefix": "kv", "token": "t"}"#;
    let jack = |key: &str| {
        let key = format!("$secret://vault/1/jack/{key}");
        format!(r#"{{"username": "jack", "plugins": {{"key-auth": {{"key": "{key}"}}}}}}"#)
    };
    let mut later = draft();
    add(&mut later, &[("secrets", "vault/1", vault), ("consumers", "jack", &jack("later"))]);
    assert!(later.judge(&loader()).is_err_and(|problems| problems.is_empty()));
    let mut there = draft();
    add(&mut there, &[("secrets", "vault/1", vault), ("consumers", "jack", &jack("key"))]);
    let resources = there.judge(&loader()).unwrap();
    assert_eq!(resources.consumers[0].plugins[0].config["key"], "from vault");
}
