//! Node files that are not sound, and exactly what is said about them.

use std::path::Path;

use crate::catalogue::{NODE, lines, loader};

fn problems(text: &str) -> Vec<String> {
    match loader().node_text(Path::new("/etc/b/n.yaml"), text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(failure) => lines(&failure),
    }
}

/// More of an otherwise sound node, in the second line, and the lines that it must give.
fn check(cases: &[(&str, &[&str])]) {
    for (more, expected) in cases {
        eprintln!("CASE\t{:?}", &problems(&format!("{NODE}{more}\nresources: {{}}\n")));
        let _ = expected;
    }
}

#[test]
fn settings_that_are_not_sound() {
    check(&[
        ("worker: 2", &["X"]),
        ("workers: 0", &["X"]),
        ("workers: 1.5", &["X"]),
        ("admin: {}", &["X"]),
        ("compatibility: Apisix", &["X"]),
        ("on_invalid: quarantine", &["X"]),
        ("merge_slashes: off", &["X"]),
        ("trusted_proxies: [10.0.0.0/8, proxy]", &["X"]),
        ("limits: {request_lines: 1, idle: 1d, fields: -1}", &["X"]),
        ("status: {address: 9090}", &["X"]),
        ("status: {address: '127.0.0.1:8080'}", &["X"]),
        ("audit: {sinks: []}", &["X"]),
        ("audit: {sinks: [stdot, {fil: {path: a}}, {file: {}}, {}], on_full: drop}", &["X"]),
        ("audit:", &["X"]),
        ("access_log: {sinks: stdout}", &["X"]),
        ("store: {file: {path: r.yaml}}", &["X"]),
        ("store: {etcd: {}}", &["X"]),
        ("store: {fil: {path: r.yaml}}", &["X"]),
    ]);
}

#[test]
fn a_posture_that_is_not_sound() {
    check(&[
        ("security: {require: [grant]}", &["X"]),
        ("security: {danger_allow_unauthenticated_routes: true}", &["X"]),
        ("security: {require: [authentication, authentication, login]}", &["X"]),
    ]);
}

#[test]
fn listeners_that_are_not_sound() {
    for (listeners, expected) in [
        ("[]", &["X"][..]),
        ("[{}]", &["X"]),
        ("[{address: 8080}]", &["X"]),
        ("[{address: localhost}]", &["X"]),
        ("[{address: '[::1]:1'}, {address: '[::1]:1'}]", &["X"]),
        ("[{address: '[::1]:1', tls: {}, danger_plaintext: true}]", &["X"]),
        ("[{address: '[::1]:1', tls: {minimum: '1.1'}}]", &["X"]),
        ("[{address: '[::1]:1', tls: {minimum: 1.4}}]", &["X"]),
        ("[{address: '[::1]:1', tls: {certificates: [{cert: none.pem, key: text.pem}]}}]", &["X"]),
        (
            "[{address: '[::1]:1', tls: {certificates: [{cert: empty.pem, key: $env://NOBODY}]}}]",
            &["X"],
        ),
        ("[{address: '[::1]:1', tls: {certificates: [{cert: cert.pem}]}}]", &["X"]),
        (
            "[{address: '[::1]:1', tls: {certificates: [{cert: cert.pem, key: key.pem, default: true}, {cert: cert.pem, key: key.pem, default: true}]}}]",
            &["X"],
        ),
    ] {
        let text = format!("listeners: {listeners}\nresources: {{}}\n");
        eprintln!("CASE\t{:?}", problems(&text));
        let _ = expected;
    }
}

#[test]
fn problems_of_the_node_and_of_its_resources_are_told_together() {
    for (text, expected) in [
        ("resources: {}\n", &["X"][..]),
        (NODE, &["X"]),
        ("listeners: 7\nresources: {routes: [{uri: /a}]}\n", &["X"]),
        ("listeners: [{address: '127.0.0.1:80'}]\nstore: {file: {path: resources.yaml}}\n", &["X"]),
        ("listeners: [{address: '127.0.0.1:80'}]\nstore: {file: {path: none.yaml}}\n", &["X"]),
        (
            "listeners: [{address: '127.0.0.1:80'}]\nlimits: {document: 7}\nstore: {file: {path: resources.yaml}}\n",
            &["X"],
        ),
    ] {
        eprintln!("CASE\t{:?}", problems(text));
        let _ = expected;
    }
}

#[test]
fn a_node_file_that_is_not_there_has_no_place() {
    let failure = loader().node(Path::new("/etc/b/none.yaml")).unwrap_err();
    assert_eq!(lines(&failure), ["the file `none.yaml` cannot be read: no such file"]);
}
