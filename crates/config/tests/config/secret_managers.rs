//! Secret managers of AWS and of Google Cloud.

use std::path::Path;

use bartizan_config::{Aws, Gcp, Keeper, Resources, SecretManager, one_line};

use crate::catalogue::{NODE, loader, resources, resources_with};
use crate::drafts::add;

const JACK: &str = "consumers: [{username: jack, plugins: {key-auth: {key: '$secret://";

fn manager<'r>(resources: &'r Resources, id: &str) -> &'r SecretManager {
    resources.managers.iter().find(|manager| &*manager.id == id).unwrap()
}

fn aws<'r>(resources: &'r Resources, id: &str) -> &'r Aws {
    match &manager(resources, id).keeper {
        Keeper::Aws(aws) => aws,
        other => panic!("{other:?}"),
    }
}

fn gcp<'r>(resources: &'r Resources, id: &str) -> &'r Gcp {
    match &manager(resources, id).keeper {
        Keeper::Gcp(gcp) => gcp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_manager_of_aws_is_where_its_region_is_unless_it_is_written() {
    let resources = resources(
        "\
secrets:
- {id: aws/a, access_key_id: AK, secret_access_key: $env://ALICE}
- {id: aws/b, access_key_id: $env://ALICE, secret_access_key: s, session_token: t, region: eu-west-1,
   endpoint_url: 'https://127.0.0.1:4566/', refresh: 10s, stale_max: 0s, timeout: 2s, tls: {ca_certs: $file://ca.pem}}
- {id: aws/c, access_key_id: AK, secret_access_key: s, endpoint_url: 'http://aws.test', danger_plaintext: true}
",
    )
    .unwrap();
    let (a, b, c) = (aws(&resources, "aws/a"), aws(&resources, "aws/b"), aws(&resources, "aws/c"));
    assert_eq!((&*a.endpoint, &*a.region), (AMAZON, "us-east-1"));
    assert!(a.secret_access_key.matches(b"alice-key") && a.session_token.is_none());
    assert_eq!((&*b.endpoint, &*b.region), ("https://127.0.0.1:4566", "eu-west-1"));
    assert!(b.access_key_id.matches(b"alice-key"));
    assert!(b.session_token.as_ref().unwrap().matches(b"t"));
    assert_eq!(c.endpoint, "http://aws.test");
    let (a, b) = (manager(&resources, "aws/a"), manager(&resources, "aws/b"));
    assert_eq!((a.refresh.as_secs(), a.stale_max.as_secs(), a.timeout.as_secs()), (300, 86_400, 5));
    assert_eq!((b.refresh.as_secs(), b.stale_max.as_secs(), b.timeout.as_secs()), (10, 0, 2));
    assert!(a.ca_certs.is_none() && b.ca_certs.is_some());
}

const AMAZON: &str = "https://secretsmanager.us-east-1.amazonaws.com";

#[test]
fn a_manager_of_google_is_entered_as_an_account_in_it_or_in_a_file() {
    let resources = resources(
        "\
secrets:
- {id: gcp/a, auth_file: account.json}
- {id: gcp/b, auth_config: {client_email: g@p.test, private_key: $env://KEY, project_id: p-1}}
- {id: gcp/c, danger_ssl_verify: false, danger_plaintext: true, auth_config: {client_email: g@p.test,
   private_key: $env://KEY, project_id: 'test:p', token_uri: 'http://t.test/x', scope: [a, b],
   entries_uri: 'https://e.test:81/v1/'}}
- {id: gcp/d, ssl_verify: true, auth_file: account.json, tls: {ca_certs: $file://ca.pem}}
",
    )
    .unwrap();
    let a = &gcp(&resources, "gcp/a").account;
    assert_eq!((&*a.client_email, &*a.project_id), ("gateway@shop-1.test", "shop-1"));
    assert_eq!((&*a.token_uri, &*a.entries_uri), ("https://token.test/t", GOOGLE));
    assert_eq!(a.scope, ["https://www.googleapis.com/auth/cloud-platform"]);
    let b = &gcp(&resources, "gcp/b").account;
    assert_eq!((&*b.token_uri, &*b.entries_uri), ("https://oauth2.googleapis.com/token", GOOGLE));
    assert!(b.private_key.expose().starts_with(b"-----BEGIN PRIVATE KEY"));
    let c = gcp(&resources, "gcp/c");
    assert_eq!(
        (&*c.account.token_uri, &*c.account.entries_uri),
        ("http://t.test/x", "https://e.test:81/v1")
    );
    assert_eq!(c.account.scope, ["a", "b"]);
    let off =
        ["a", "b", "c", "d"].map(|id| gcp(&resources, &format!("gcp/{id}")).danger_verify_off);
    assert_eq!(off, [false, false, true, false]);
    assert!(manager(&resources, "gcp/d").ca_certs.is_some());
}

const IN_CLEAR: &str = "token_uri: 'http://127.0.0.1/t', entries_uri: 'http://127.0.0.1'";

const GOOGLE: &str = "https://secretmanager.googleapis.com/v1";

const BOTH: &str = "\
secrets:
- {id: aws/1, access_key_id: a, secret_access_key: s}
- {id: gcp/1, auth_file: account.json}
";

#[test]
fn references_lead_to_a_key_in_a_secret_or_to_all_of_it() {
    for (reference, expected) in [
        ("aws/1/jack/key", Ok("from vault")),
        ("gcp/1/jack/key", Ok("from vault")),
        ("aws/1/jack", Ok("all that aws/1 keeps")),
        ("gcp/1/jack", Ok("all that gcp/1 keeps")),
        ("aws/1/jack/empty", Err("what `$secret://aws/1/jack/empty` keeps is empty")),
        ("aws/1/jill", Err("`$secret://aws/1/jill` cannot be had: a test says so")),
        ("aws/2/jack/key", Err("there is no secret manager `aws/2`")),
        ("vault/1/jack/key", Err("there is no secret manager `vault/1`")),
        ("gcp/1/jack/", Err("is not of the form `$secret://gcp/<id>/<secret>/<key>`")),
        ("azure/1/jack/key", Err("is not of the form")),
    ] {
        let text = format!("{BOTH}{JACK}{reference}'}}}}}}]\n");
        match (resources(&text), expected) {
            (Ok(read), Ok(value)) => {
                assert_eq!(read.consumers[0].plugins[0].config["key"], value, "{reference}");
            }
            (Err(lines), Err(words)) => {
                assert!(lines.len() == 1 && lines[0].contains(words), "{reference}: {lines:?}");
                assert!(lines[0].starts_with("r.yaml:4:"), "{lines:?}");
            }
            (other, _) => panic!("{reference}: {other:?}"),
        }
    }
    let misplaced = format!("{BOTH}routes: [{{uri: '$secret://aws/1/jack/key', plugins: {{}}}}]\n");
    let lines = resources(&misplaced).unwrap_err();
    assert!(lines.iter().any(|line| line.contains("nothing keeps its value secret")), "{lines:?}");
}

#[test]
fn managers_of_clouds_that_are_not_sound() {
    let account = "client_email: g@p.test, private_key: $env://KEY, project_id: p";
    let with = |more: &str| format!("gcp/1, auth_config: {{{account}, {more}}}");
    let without = |field: &str| {
        let rest: Vec<&str> = account.split(", ").filter(|part| !part.starts_with(field)).collect();
        format!("gcp/1, auth_config: {{{}}}", rest.join(", "))
    };
    let key = "access_key_id: a, secret_access_key: s";
    for (written, words) in [
        ("aws/1, access_key_id: a", "`secret_access_key` is required (at secrets[0])"),
        ("aws/1, secret_access_key: hunter2", "`access_key_id` is required"),
        ("aws/1, access_key_id: '', secret_access_key: s", "(at secrets[0].access_key_id)"),
        ("aws/1, access_key_id: a, secret_access_key: ''", "(at secrets[0].secret_access_key)"),
        (&format!("aws/1, {key}, session_token: ''"), "(at secrets[0].session_token)"),
        (&format!("aws/1, {key}, region: 'evil.test/'"), "expected a region such as"),
        (&format!("aws/1, {key}, region: ''"), "expected a region such as"),
        (
            &format!("aws/1, {key}, endpoint_url: 'http://a.test'"),
            "and not `https` (at secrets[0].endpoint_url)",
        ),
        (
            &format!("aws/1, {key}, endpoint_url: 'https://u:p@a.test'"),
            "expected scheme, host and port",
        ),
        (
            &format!("aws/1, {key}, endpoint_url: 'https://a.test/x'"),
            "expected scheme, host and port",
        ),
        (
            &format!("aws/1, {key}, endpoint_url: 'http://127.0.0.1', tls: {{}}"),
            "`tls` has no effect without `https` (at secrets[0].tls)",
        ),
        (
            "vault/1, uri: 'http://127.0.0.1', prefix: kv, token: t, tls: {}",
            "`tls` has no effect without `https` (at secrets[0].tls)",
        ),
        (
            &format!("{}, tls: {{}}", with(IN_CLEAR)),
            "`tls` has no effect without `https` (at secrets[0].tls)",
        ),
        (
            &format!("{}, danger_ssl_verify: false", with(IN_CLEAR)),
            "`danger_ssl_verify` has no effect without `https` (at secrets[0].danger_ssl_verify)",
        ),
        (&format!("aws/1, {key}, ssl_verify: false"), "unknown field `ssl_verify`"),
        (&format!("aws/1, {key}, token: t"), "unknown field `token`"),
        (&format!("aws/1, {key}, refresh: 999ms"), "the shortest time is one second"),
        (&format!("aws/1, {key}, timeout: 0s"), "there would be no time to answer"),
        (
            "aws/1, access_key_id: a, secret_access_key: '$secret://vault/1/a/b'",
            "or in a secret manager",
        ),
        ("aws/a b, access_key_id: a, secret_access_key: s", "expected `aws/` and an id"),
        ("gcp/1", "`auth_config` or `auth_file` is required"),
        (
            &format!("{}, auth_file: account.json", with("scope: [a]")),
            "only one of `auth_config` and `auth_file`",
        ),
        (&without("client_email"), "`client_email` is required (at secrets[0].auth_config)"),
        (&without("private_key"), "`private_key` is required"),
        (&without("project_id"), "`project_id` is required"),
        (&with("scope: []"), "(at secrets[0].auth_config.scope)"),
        (&with("scope: ['a b']"), "a scope of up to 256 characters"),
        (&with("scopes: a"), "unknown field `scopes`"),
        (
            &with("token_uri: 'http://a.test/'"),
            "`token_uri` is on another machine and not `https` (at secrets[0].auth_config.token_uri)",
        ),
        (
            &with("entries_uri: 'http://a.test/'"),
            "`entries_uri` is on another machine and not `https`",
        ),
        (&with("entries_uri: 'ftp://a.test/'"), "`entries_uri` is not of the form"),
        (&with("entries_uri: 'https://a.test/?x'"), "`entries_uri` is not of the form"),
        (&with("token_uri: 'https://u@a.test/'"), "`token_uri` is not of the form"),
        (&with("token_uri: 'https:///a'"), "`token_uri` is not of the form"),
        (
            "gcp/1, auth_config: {client_email: g, private_key: hunter2, project_id: p}",
            "`private_key` is no PEM text of a private key (at secrets[0].auth_config.private_key)",
        ),
        (
            "gcp/1, auth_config: {client_email: g, private_key: $env://KEY, project_id: ..}",
            "`project_id` is no project",
        ),
        (
            "gcp/1, auth_config: {client_email: g, private_key: $env://KEY, project_id: a/b}",
            "`project_id` is no project",
        ),
        (
            "gcp/1, auth_file: account.json, ssl_verify: false",
            "where it is meant, write `danger_ssl_verify: false`",
        ),
        (
            "gcp/1, auth_file: account.json, danger_ssl_verify: false, tls: {ca_certs: $file://ca.pem}",
            "`tls` would have no effect",
        ),
        (
            "gcp/1, auth_file: none.json",
            "the file `none.json` cannot be read: no such file (at secrets[0].auth_file)",
        ),
        ("gcp/1, auth_file: half.json", "the file `half.json` is no JSON object with the texts"),
        ("gcp/1, auth_file: cert.pem", "the file `cert.pem` is no JSON object with the texts"),
        (
            "gcp/1, auth_file: clear.json",
            "`token_uri` is on another machine and not `https` (at secrets[0].auth_file)",
        ),
        ("gcp/1, auth_file: ''", "(at secrets[0].auth_file)"),
    ] {
        let lines = resources(&format!("secrets: [{{id: {written}}}]\n")).unwrap_err();
        let told = lines.join("\n");
        assert!(told.contains(words), "{written}: {told}");
        assert!(lines.iter().all(|line| line.starts_with("r.yaml:1:")), "{written}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn verification_ends_as_in_apisix_only_where_the_node_takes_that() {
    let text = "secrets: [{id: gcp/1, auth_file: account.json, ssl_verify: false}]\n";
    let more = "danger_accept_apisix_fail_open: true\n";
    let resources = resources_with(more, "r.yaml", text).unwrap();
    assert!(gcp(&resources, "gcp/1").danger_verify_off);
}

#[test]
fn ids_projects_and_addresses_have_a_greatest_length() {
    let account = |email: usize, project: usize, address: usize| {
        let scheme = "https://a.test/";
        format!(
            "gcp/1, auth_config: {{client_email: '{}', private_key: $env://KEY, project_id: '{}', token_uri: '{scheme}{}'}}",
            "e".repeat(email),
            "p".repeat(project),
            "x".repeat(address - scheme.len())
        )
    };
    for (written, is_read) in [
        (account(320, 128, 2_048), true),
        (account(321, 1, 20), false),
        (account(1, 129, 20), false),
        (account(1, 1, 2_049), false),
        (format!("aws/{}, access_key_id: a, secret_access_key: s", "x".repeat(64)), true),
        (format!("aws/{}, access_key_id: a, secret_access_key: s", "x".repeat(65)), false),
        (format!("gcp/{}, auth_file: account.json", "x".repeat(64)), true),
        (format!("gcp/{}, auth_file: account.json", "x".repeat(65)), false),
        (
            format!("aws/1, access_key_id: a, secret_access_key: s, region: {}", "x".repeat(64)),
            true,
        ),
        (
            format!("aws/1, access_key_id: a, secret_access_key: s, region: {}", "x".repeat(65)),
            false,
        ),
    ] {
        let read = resources(&format!("secrets: [{{id: {written}}}]\n"));
        assert_eq!(read.is_ok(), is_read, "{written}: {read:?}");
    }
}

#[test]
fn a_file_of_an_account_and_what_is_in_it_have_a_greatest_length() {
    for (file, problem) in [
        ("email-320", None),
        ("email-321", Some("`client_email` has more than 320 characters")),
        ("key-16384", None),
        ("key-16385", Some("`private_key` has more than 16384 bytes")),
        ("scope-256", None),
        ("scope-257", Some("`scope` is not of scopes of up to 256 characters")),
        ("scopes-32", None),
        ("scopes-33", Some("`scope` has not 1 to 32 items")),
        ("scopes-0", Some("`scope` has not 1 to 32 items")),
        ("size-65536", None),
        ("size-65537", Some("has more than 65536 bytes (at secrets[0].auth_file)")),
    ] {
        let name = format!("account-{file}.json");
        let read = resources(&format!("secrets: [{{id: gcp/1, auth_file: {name}}}]\n"));
        let told = read.map_or_else(|lines| lines.join("\n"), |_| String::new());
        let Some(problem) = problem else {
            assert_eq!(told, "", "{file}");
            continue;
        };
        assert!(told.contains(problem) && told.contains(&format!("the file `{name}`")), "{told}");
    }
}

#[test]
fn the_file_of_an_account_is_read_where_the_node_lists_it() {
    let manager = r#"{"auth_file": "account.json"}"#;
    for (files, is_read) in [("[account.json]", true), ("[ca.pem]", false), ("[]", false)] {
        let store = format!("endpoints: ['https://etcd:1'], references: {{files: {files}}}");
        let text = format!("{NODE}store: {{etcd: {{{store}}}}}\n");
        let path = Path::new("/etc/b/bartizan.yaml");
        let mut draft = loader().node_draft_text(path, &text).unwrap().1;
        add(&mut draft, &[("secrets", "gcp/1", manager)]);
        let told: Vec<String> = match draft.judge(&loader()) {
            Ok(_) => Vec::new(),
            Err(problems) => {
                problems.iter().map(|problem| one_line(draft.sources(), problem)).collect()
            }
        };
        let words = "`$file://account.json` may not be read for objects of the store";
        assert_eq!(told.is_empty(), is_read, "{told:?}");
        assert!(is_read || told[0].contains(words), "{told:?}");
    }
}
