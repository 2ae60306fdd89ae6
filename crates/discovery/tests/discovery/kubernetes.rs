//! Servers found in Kubernetes.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::RegistryType;
use bartizan_discovery::Service;
use bartizan_testkit::{Answer, Sent, run};
use serde_json::{Value, json};

use crate::{Scene, list, pass, settle, some};

const SERVER: &str = "kube.test:8080";

fn settings() -> Value {
    json!({ "kubernetes": {
        "server": "http://kube.test:8080", "token": "kube-token", "danger_plaintext": true,
    } })
}

fn orders(scene: &Scene) -> Arc<Service> {
    scene.try_service(RegistryType::Kubernetes, "shop/orders:https").unwrap()
}

/// A slice with these ready addresses.
fn slice(name: &str, version: &str, addresses: &[&str]) -> Value {
    let endpoint = |address: &&str| json!({ "addresses": [address], "conditions": {} });
    json!({
        "metadata": { "name": name, "namespace": "shop", "resourceVersion": version },
        "addressType": "IPv4",
        "endpoints": addresses.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{ "name": "https", "port": 8443, "protocol": "TCP" }],
    })
}

fn listed(version: &str, slices: &[Value]) -> Answer {
    let body = json!({
        "kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1",
        "metadata": { "resourceVersion": version }, "items": slices,
    });
    Answer::json(200, &body.to_string())
}

/// A watch that tells these events, and then ends or is silent.
fn watched(events: &[Value], ends: bool) -> Answer {
    let mut text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for event in events {
        let line = format!("{event}\n");
        let _ = write!(text, "{:x}\r\n{line}\r\n", line.len());
    }
    if ends {
        text.push_str("0\r\n\r\n");
    }
    Answer::raw(text)
}

fn event(kind: &str, object: &Value) -> Value {
    json!({ "type": kind, "object": object })
}

fn asked(scene: &Scene) -> Vec<(String, String)> {
    let sent = scene.remotes.take().into_iter().filter_map(|sent| match sent {
        Sent::Request { seen, .. } => {
            let token = seen.field("authorization").unwrap_or_default().to_owned();
            Some((seen.target, token))
        }
        _ => None,
    });
    sent.collect()
}

const LIST: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?labelSelector=\
                    kubernetes.io%2Fservice-name%3Dorders";

fn watch_from(version: &str) -> String {
    let rest = "&watch=true&allowWatchBookmarks=true";
    format!("{LIST}{rest}&resourceVersion={version}&timeoutSeconds=300")
}

#[test]
fn endpoints_are_listed_and_then_watched_from_version_to_version() {
    run(async {
        let scene = Scene::of(&settings());
        let slices = [slice("a", "3", &["10.1.0.1"]), slice("b", "4", &["10.1.0.2"])];
        scene.remotes.answer(SERVER, listed("10", &slices));
        let events = [
            event("MODIFIED", &slice("a", "11", &["10.1.0.1", "10.1.0.3"])),
            event("DELETED", &slice("b", "12", &["10.1.0.2"])),
            event("BOOKMARK", &json!({ "metadata": { "resourceVersion": "20" } })),
        ];
        scene.remotes.answer(SERVER, watched(&events, true).after(Duration::from_secs(2)));
        let added = [event("ADDED", &slice("c", "21", &["10.1.0.4"]))];
        scene.remotes.answer(SERVER, watched(&added, false));
        let orders = orders(&scene);
        settle().await;
        let at = |last: u8| format!("10.1.0.{last}:8443 50/0");
        assert_eq!(list(&orders), Some(vec![at(1), at(2)]));
        pass(Duration::from_secs(2)).await;
        pass(Duration::from_millis(100)).await;
        pass(Duration::from_millis(100)).await;
        assert_eq!(list(&orders), Some(vec![at(1), at(3)]));
        pass(Duration::from_secs(1)).await;
        assert_eq!(list(&orders), Some(vec![at(1), at(3), at(4)]));
        let bearer = || "Bearer kube-token".to_owned();
        let expected = [
            (LIST.to_owned(), bearer()),
            (watch_from("10"), bearer()),
            (watch_from("20"), bearer()),
        ];
        assert_eq!((asked(&scene), scene.counts().0), (expected.to_vec(), 0));
    });
}

#[test]
fn changes_that_follow_each_other_at_once_are_told_together() {
    run(async {
        let scene = Scene::of(&settings());
        scene.remotes.answer(SERVER, listed("10", &[slice("a", "3", &["10.1.0.1"])]));
        let version = |n: usize| format!("{}", 10 + n);
        let host = |n: usize| format!("10.1.0.{n}");
        let events: Vec<Value> =
            (2..=100).map(|n| event("MODIFIED", &slice("a", &version(n), &[&host(n)]))).collect();
        scene.remotes.answer(SERVER, watched(&events, false));
        let orders = orders(&scene);
        pass(Duration::from_millis(999)).await;
        assert_eq!(list(&orders), some(&["10.1.0.1:8443 50/0"]));
        pass(Duration::from_millis(2)).await;
        assert_eq!((list(&orders), scene.counts()), (some(&["10.1.0.100:8443 50/0"]), (0, 2)));
    });
}

#[test]
fn a_version_that_is_forgotten_is_listed_anew() {
    run(async {
        for gone in [
            watched(&[event("ERROR", &json!({ "code": 410, "reason": "Expired" }))], false),
            Answer::status(410),
            watched(&[json!({ "type": "ADDED" })], false),
            watched(&[event("PATCHED", &slice("a", "11", &[]))], false),
            watched(&[event("ADDED", &json!({ "metadata": { "name": "a" } }))], false),
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{x\n"),
        ] {
            let scene = Scene::of(&settings());
            scene.remotes.answer(SERVER, listed("10", &[slice("a", "3", &["10.1.0.1"])]));
            scene.remotes.answer(SERVER, gone);
            scene.remotes.answer(SERVER, listed("30", &[slice("a", "29", &["10.1.0.2"])]));
            scene.remotes.respond(SERVER, |_| watched(&[], false));
            let orders = orders(&scene);
            settle().await;
            assert_eq!(list(&orders), some(&["10.1.0.1:8443 50/0"]));
            assert_eq!(scene.counts().0, 1);
            pass(Duration::from_millis(500)).await;
            assert_eq!(list(&orders), some(&["10.1.0.2:8443 50/0"]));
            assert_eq!(scene.counts().0, 0);
        }
    });
}

#[test]
fn only_what_is_ready_at_the_port_of_that_name_or_number_serves() {
    run(async {
        let mut odd = slice("a", "3", &[]);
        odd["endpoints"] = json!([
            { "addresses": ["10.1.0.1", "10.1.0.9"], "conditions": { "ready": true } },
            { "addresses": ["10.1.0.2"], "conditions": { "ready": false } },
            { "addresses": ["10.1.0.3"] },
            { "addresses": [] },
        ]);
        odd["ports"] = json!([
            { "name": "https", "port": 53, "protocol": "UDP" },
            { "name": "https", "port": 8443, "protocol": "TCP" },
            { "name": "admin", "port": 9443 },
        ]);
        let none = json!({
            "metadata": { "name": "b", "resourceVersion": "1" }, "endpoints": null, "ports": null,
        });
        for (port, expected) in [
            ("https", vec!["10.1.0.1:8443 7/0", "10.1.0.3:8443 7/0"]),
            ("8443", vec!["10.1.0.1:8443 7/0", "10.1.0.3:8443 7/0"]),
            ("9443", vec!["10.1.0.1:9443 7/0", "10.1.0.3:9443 7/0"]),
            ("53", vec![]),
            ("other", vec![]),
        ] {
            let mut settings = settings();
            settings["kubernetes"]["weight"] = 7.into();
            let scene = Scene::of(&settings);
            scene.remotes.answer(SERVER, listed("10", &[odd.clone(), none.clone()]));
            scene.remotes.respond(SERVER, |_| watched(&[], false));
            let name = format!("shop/orders:{port}");
            let orders = scene.try_service(RegistryType::Kubernetes, &name).unwrap();
            settle().await;
            assert_eq!(list(&orders), some(&expected), "{port}");
        }
    });
}

#[test]
fn the_token_is_read_again_at_each_call() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let scene = Scene::of(&json!({ "kubernetes": {
            "server": "http://kube.test:8080", "token_file": file, "danger_plaintext": true,
        } }));
        scene.remotes.respond(SERVER, |_| Answer::status(401));
        let orders = orders(&scene);
        settle().await;
        assert!(orders.failing().unwrap().contains("token"));
        assert!(asked(&scene).is_empty());
        for (content, sent) in [
            ("first\n".to_owned(), Some("Bearer first")),
            ("second".to_owned(), Some("Bearer second")),
            ("t".repeat(16_384), Some("")),
            ("t".repeat(16_385), None),
            ("two words".to_owned(), None),
            (String::new(), None),
        ] {
            std::fs::write(&file, &content).unwrap();
            pass(Duration::from_secs(30)).await;
            let tokens: Vec<String> = asked(&scene).into_iter().map(|(_, token)| token).collect();
            match sent {
                Some("") => assert_eq!(tokens, [format!("Bearer {content}")]),
                Some(sent) => assert!(tokens.iter().all(|t| t == sent) && !tokens.is_empty()),
                None => assert!(tokens.is_empty(), "{tokens:?}"),
            }
        }
        assert_eq!(list(&orders), None);
    });
}

#[test]
fn a_token_file_that_is_none_is_not_waited_for() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        let scene = Scene::of(&json!({ "kubernetes": {
            "server": "http://kube.test:8080", "token_file": file, "danger_plaintext": true,
        } }));
        let orders = orders(&scene);
        settle().await;
        let failing = orders.failing().unwrap();
        assert!(failing.ends_with("it is no file") && asked(&scene).is_empty(), "{failing}");
    });
}

#[test]
fn what_is_refused_or_no_list_keeps_the_last_good_one() {
    run(async {
        let scene = Scene::of(&settings());
        scene.remotes.answer(SERVER, listed("10", &[slice("a", "3", &["10.1.0.1"])]));
        let orders = orders(&scene);
        scene.remotes.respond(SERVER, |_| Answer::status(500));
        settle().await;
        let hosts: Vec<String> = (0..4_097).map(|n| format!("h{n}")).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let (all, one) = hosts.split_at(4_096);
        let parts = [slice("a", "3", all), slice("b", "3", one)];
        let slices: Vec<Value> = (0..1_025).map(|n| slice(&format!("s{n}"), "1", &[])).collect();
        for (bad, problem) in [
            (Answer::status(401), "401"),
            (Answer::status(403), "403"),
            (Answer::json(200, "[]"), "not a valid answer"),
            (listed("", &[]), "no version"),
            (listed("10", &[slice("a", "3", &hosts)]), "a list of more than 4096"),
            (listed("10", &slices), "a list of more than 1024"),
            (listed("10", &parts), "4097 servers"),
            (listed("10", &[slice(&"a".repeat(254), "3", &[])]), "a name of more than 253"),
            (Answer::json(200, "{}").body(vec![b' '; 4 * 1024 * 1024 + 1]), "more than 4194304"),
        ] {
            scene.remotes.respond(SERVER, move |_| bad.clone());
            pass(Duration::from_secs(31)).await;
            for _ in 0..8 {
                settle().await;
            }
            let failing = orders.failing().unwrap_or_default();
            assert!(failing.contains(problem), "{problem}: {failing}");
            assert_eq!(list(&orders), some(&["10.1.0.1:8443 50/0"]));
        }
    });
}

#[test]
fn a_watch_that_is_silent_for_too_long_is_given_up() {
    run(async {
        let scene = Scene::of(&settings());
        scene.remotes.answer(SERVER, listed("10", &[slice("a", "3", &["10.1.0.1"])]));
        scene.remotes.answer(SERVER, watched(&[], false));
        scene.remotes.respond(SERVER, |_| listed("11", &[slice("a", "11", &["10.1.0.2"])]));
        let orders = orders(&scene);
        pass(Duration::from_millis(304_999)).await;
        assert_eq!(scene.counts().0, 0);
        pass(Duration::from_millis(1)).await;
        assert_eq!(scene.counts().0, 1);
        assert_eq!(list(&orders), some(&["10.1.0.1:8443 50/0"]));
    });
}

#[test]
fn a_name_is_a_namespace_a_service_and_a_port() {
    let scene = Scene::of(&settings());
    for name in [
        "orders",
        "orders:https",
        "shop/orders",
        "shop/orders:",
        "/orders:https",
        "shop/:https",
        "shop/a/b:https",
        "Shop/orders:https",
        "shop/orders:ht tps",
        "shop/..:1",
        "a/b:c:d",
    ] {
        let refused = scene.try_service(RegistryType::Kubernetes, name).unwrap_err();
        assert!(refused.problem.contains("`namespace/name:port`"), "{name}");
    }
}
