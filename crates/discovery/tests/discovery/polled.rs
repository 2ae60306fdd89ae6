//! Servers found in Nacos and Eureka, which are asked at an interval.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bartizan_config::{FoundArgs, FoundIn, RegistryType};
use bartizan_discovery::Service;
use bartizan_testkit::{Answer, Sent, run};
use serde_json::{Value, json};

use crate::{Scene, list, pass, settle, some};

const NACOS: &str = "nacos.test:8848";
const EUREKA: &str = "eureka.test:8761";

fn settings(name: &str, server: &str, login: bool) -> Value {
    let mut settings = json!({
        "servers": [format!("http://{server}/{name}")], "danger_plaintext": true,
    });
    if login {
        settings["username"] = "gate&way".into();
        settings["password"] = "pass word".into();
    }
    json!({ name: settings })
}

fn nacos(scene: &Scene) -> Arc<Service> {
    let args = FoundArgs { namespace: Some("a&b".into()), group: Some("g".into()) };
    let (registry, service) = (RegistryType::Nacos, "orders".into());
    scene.registries.service(&FoundIn { registry, service, args }).unwrap()
}

fn host(ip: &str, port: u16) -> Value {
    json!({ "ip": ip, "port": port, "weight": 1.0, "healthy": true, "enabled": true })
}

fn hosts(hosts: &[Value]) -> Answer {
    Answer::json(200, &json!({ "dom": "orders", "hosts": hosts }).to_string())
}

fn instance(ip: &str) -> Value {
    json!({
        "instanceId": "i", "app": "ORDERS", "ipAddr": ip, "status": "UP",
        "port": { "$": 8080, "@enabled": "true" },
        "securePort": { "$": 8443, "@enabled": "false" },
        "metadata": { "@class": "java.util.Collections$EmptyMap" },
    })
}

fn application(instances: &Value) -> Answer {
    let body = json!({ "application": { "name": "ORDERS", "instance": instances } });
    Answer::json(200, &body.to_string())
}

/// What was asked: method, target, what says who asks, body.
fn asked(scene: &Scene) -> Vec<[String; 4]> {
    let sent = scene.remotes.take().into_iter().filter_map(|sent| match sent {
        Sent::Request { seen, .. } => {
            let who = seen.field("authorization").unwrap_or_default().to_owned();
            let body = String::from_utf8(seen.body.clone()).unwrap();
            Some([seen.method, seen.target, who, body])
        }
        _ => None,
    });
    sent.collect()
}

#[test]
fn healthy_and_enabled_instances_of_nacos_serve_and_are_asked_for_again() {
    run(async {
        let scene = Scene::of(&settings("nacos", NACOS, false));
        let mut ill = host("10.1.0.8", 1);
        ill["healthy"] = false.into();
        let mut off = host("10.1.0.9", 1);
        off["enabled"] = false.into();
        let mut half = host("10.1.0.2", 80);
        half["weight"] = 0.5.into();
        scene.remotes.answer(NACOS, hosts(&[host("10.1.0.1", 80), half, ill, off]));
        scene.remotes.respond(NACOS, |_| hosts(&[host("10.1.0.3", 80)]));
        let orders = nacos(&scene);
        settle().await;
        assert_eq!(list(&orders), some(&["10.1.0.1:80 100/0", "10.1.0.2:80 50/0"]));
        let target = "/nacos/v1/ns/instance/list?healthyOnly=true&serviceName=orders\
                      &namespaceId=a%26b&groupName=g";
        let none = String::new;
        assert_eq!(asked(&scene), [["GET".to_owned(), target.to_owned(), none(), none()]]);
        pass(Duration::from_millis(4_999)).await;
        assert!(asked(&scene).is_empty());
        pass(Duration::from_millis(5_001)).await;
        assert_eq!(list(&orders), some(&["10.1.0.3:80 100/0"]));
    });
}

#[test]
fn a_user_of_nacos_logs_in_once_and_anew_where_the_token_is_not_taken() {
    run(async {
        let scene = Scene::of(&settings("nacos", NACOS, true));
        let mut logins = 0;
        scene.remotes.respond(NACOS, move |seen| {
            if seen.target == "/nacos/v1/auth/login" {
                logins += 1;
                let token = format!("t&{logins}");
                let body = json!({ "accessToken": token, "tokenTtl": 18_000 });
                return Answer::json(200, &body.to_string());
            }
            if seen.target.ends_with("accessToken=t%261") && logins == 1 {
                return hosts(&[host("10.1.0.1", 80)]);
            }
            if seen.target.ends_with("accessToken=t%262") {
                return hosts(&[host("10.1.0.2", 80)]);
            }
            Answer::status(403)
        });
        let orders = nacos(&scene);
        settle().await;
        assert_eq!(list(&orders), some(&["10.1.0.1:80 100/0"]));
        let login = &asked(&scene)[0];
        assert_eq!(login[3], "username=gate%26way&password=pass%20word");
        pass(Duration::from_secs(10)).await;
        let count = asked(&scene).iter().filter(|asked| asked[0] == "POST").count();
        assert_eq!((count, scene.counts().0), (0, 0));
        // Before the token ends there is a new one.
        pass(Duration::from_secs(3_600)).await;
        assert_eq!(list(&orders), some(&["10.1.0.2:80 100/0"]));
    });
}

#[test]
fn a_refusal_of_an_old_token_does_not_forget_a_newer_one() {
    run(async {
        let scene = Scene::of(&settings("nacos", NACOS, true));
        let logins = Arc::new(AtomicU32::new(0));
        let seen_logins = logins.clone();
        scene.remotes.respond(NACOS, move |seen| {
            if seen.target == "/nacos/v1/auth/login" {
                let token = format!("t{}", seen_logins.fetch_add(1, Ordering::Relaxed) + 1);
                let body = json!({ "accessToken": token, "tokenTtl": 18_000 });
                return Answer::json(200, &body.to_string());
            }
            let refused = Answer::status(403);
            match (seen.target.contains("=slow"), seen.target.ends_with("=t1")) {
                // It is refused when the others have a new token already.
                (true, true) => refused.after(Duration::from_secs(3)),
                (false, true) => refused,
                (_, false) => hosts(&[host("10.1.0.1", 80)]),
            }
        });
        let service = |name: &str| scene.try_service(RegistryType::Nacos, name).unwrap();
        let (slow, fast) = (service("slow"), service("fast"));
        pass(Duration::from_millis(600)).await;
        assert_eq!(logins.load(Ordering::Relaxed), 2);
        assert!(list(&fast).is_some() && list(&slow).is_none());
        pass(Duration::from_millis(2_500)).await;
        pass(Duration::from_millis(600)).await;
        assert_eq!((list(&slow), logins.load(Ordering::Relaxed)), (list(&fast), 2));
    });
}

#[test]
fn instances_of_eureka_that_are_up_serve() {
    run(async {
        let scene = Scene::of(&settings("eureka", EUREKA, true));
        let mut secure = instance("10.1.0.2");
        secure["securePort"] = json!({ "$": "8443", "@enabled": true });
        secure["metadata"] = json!({ "weight": "7" });
        let mut down = instance("10.1.0.3");
        down["status"] = "OUT_OF_SERVICE".into();
        let mut shut = instance("10.1.0.4");
        shut["port"] = json!({ "$": 8080, "@enabled": "false" });
        let all = json!([instance("10.1.0.1"), secure, down, shut]);
        scene.remotes.answer(EUREKA, application(&all));
        scene.remotes.answer(EUREKA, application(&instance("10.1.0.5")));
        scene.remotes.respond(EUREKA, |_| Answer::status(404));
        let orders = scene.try_service(RegistryType::Eureka, "orders/x").unwrap();
        settle().await;
        assert_eq!(list(&orders), some(&["10.1.0.1:8080 100/0", "10.1.0.2:8443 7/0"]));
        let asked = asked(&scene);
        let [_, target, who, _] = &asked[0];
        assert_eq!(target, "/eureka/apps/ORDERS%2FX");
        assert_eq!(who, "Basic Z2F0ZSZ3YXk6cGFzcyB3b3Jk");
        pass(Duration::from_secs(10)).await;
        assert_eq!(list(&orders), some(&["10.1.0.5:8080 100/0"]));
        pass(Duration::from_secs(10)).await;
        assert_eq!(list(&orders), some(&[]));
    });
}

#[test]
fn a_wrong_registration_in_nacos_leaves_out_itself_alone() {
    run(async {
        for (field, wrong, expected) in [
            ("port", json!(65_536), None),
            ("port", json!(0), None),
            ("port", json!(-1), None),
            ("port", json!(80.5), None),
            ("port", json!("http"), None),
            ("port", json!(null), None),
            ("port", json!([80]), None),
            ("port", json!(65_535), Some("10.1.0.2:65535 100/0")),
            ("port", json!("81"), Some("10.1.0.2:81 100/0")),
            ("ip", json!(7), None),
            ("ip", json!(null), None),
            ("ip", json!("a b"), None),
            ("healthy", json!("unknown"), None),
            ("healthy", json!(null), Some("10.1.0.2:80 100/0")),
            ("enabled", json!(1), None),
            ("weight", json!("0.5"), Some("10.1.0.2:80 50/0")),
            ("weight", json!(2), Some("10.1.0.2:80 200/0")),
            ("weight", json!(-1), Some("10.1.0.2:80 0/0")),
            ("weight", json!("much"), Some("10.1.0.2:80 100/0")),
        ] {
            let scene = Scene::of(&settings("nacos", NACOS, false));
            let mut other = host("10.1.0.2", 80);
            other[field] = wrong.clone();
            scene.remotes.answer(NACOS, hosts(&[host("10.1.0.1", 80), other]));
            let orders = nacos(&scene);
            settle().await;
            let mut all: Vec<&str> = expected.into_iter().chain(["10.1.0.1:80 100/0"]).collect();
            let mut told = list(&orders).unwrap_or_default();
            told.sort_unstable();
            all.sort_unstable();
            assert_eq!((told, scene.counts().0), (some(&all).unwrap(), 0), "{field}: {wrong}");
        }
    });
}

#[test]
fn a_wrong_registration_in_eureka_leaves_out_itself_alone() {
    run(async {
        let open = |number: Value| json!({ "$": number, "@enabled": "true" });
        for (field, wrong, expected) in [
            ("port", open(json!(65_536)), None),
            ("port", open(json!(-1)), None),
            ("port", open(json!(8_080.5)), None),
            ("port", open(json!(8_080.0)), Some("10.1.0.2:8080 100/0")),
            ("port", open(json!(65_535)), Some("10.1.0.2:65535 100/0")),
            ("port", json!({ "@enabled": "true" }), None),
            ("port", json!({ "$": 8_080 }), None),
            ("port", json!(null), None),
            // The secure port is none, the other one is.
            ("securePort", open(json!(0)), Some("10.1.0.2:8080 100/0")),
            ("securePort", open(json!(-443)), Some("10.1.0.2:8080 100/0")),
            ("status", json!("STARTING"), None),
            ("status", json!("SOMETHING_NEW"), None),
            ("status", json!("x".repeat(254)), None),
            ("status", json!(null), None),
            ("ipAddr", json!(null), None),
            ("ipAddr", json!(["10.1.0.2"]), None),
            ("metadata", json!(null), Some("10.1.0.2:8080 100/0")),
            ("metadata", json!({ "weight": 7.0 }), Some("10.1.0.2:8080 7/0")),
            ("metadata", json!({ "weight": -7 }), Some("10.1.0.2:8080 100/0")),
            ("metadata", json!({ "weight": 0.5 }), Some("10.1.0.2:8080 100/0")),
            ("metadata", json!({ "weight": "heavy" }), Some("10.1.0.2:8080 100/0")),
        ] {
            let scene = Scene::of(&settings("eureka", EUREKA, false));
            let mut other = instance("10.1.0.2");
            other[field] = wrong.clone();
            scene.remotes.answer(EUREKA, application(&json!([instance("10.1.0.1"), other])));
            let orders = scene.try_service(RegistryType::Eureka, "orders").unwrap();
            settle().await;
            let mut all: Vec<&str> = expected.into_iter().chain(["10.1.0.1:8080 100/0"]).collect();
            let mut told = list(&orders).unwrap_or_default();
            told.sort_unstable();
            all.sort_unstable();
            assert_eq!((told, scene.counts().0), (some(&all).unwrap(), 0), "{field}: {wrong}");
        }
    });
}

#[test]
fn what_is_refused_or_no_answer_keeps_the_last_good_list() {
    run(async {
        let many: Vec<Value> = (0..4_097).map(|n| host(&format!("h{n}"), 1)).collect();
        let crowd: Vec<Value> = (0..4_097).map(|n| instance(&format!("h{n}"))).collect();
        let long = || Answer::json(200, "{}").body(vec![b' '; 4 * 1024 * 1024 + 1]);
        for (registry, good, bad) in [
            (RegistryType::Nacos, hosts(&[host("10.1.0.1", 80)]), hosts(&many)),
            (
                RegistryType::Eureka,
                application(&json!([instance("10.1.0.1")])),
                application(&Value::from(crowd)),
            ),
        ] {
            let name = registry.name();
            let node = if registry == RegistryType::Nacos { NACOS } else { EUREKA };
            let scene = Scene::of(&settings(name, node, false));
            scene.remotes.answer(node, good);
            let orders = scene.try_service(registry, "orders").unwrap();
            settle().await;
            let known = list(&orders);
            assert_eq!(known.as_ref().map(Vec::len), Some(1));
            for (bad, problem) in [
                (Answer::status(401), "401"),
                (Answer::status(403), "403"),
                (Answer::status(503), "503"),
                (Answer::json(200, "[]"), "not a valid answer"),
                (Answer::json(200, r#"{"hosts":{},"application":{}}"#), "not a valid answer"),
                (bad.clone(), "a list of more than 4096"),
                (long(), "more than 4194304"),
            ] {
                scene.remotes.respond(node, move |_| bad.clone());
                pass(Duration::from_secs(31)).await;
                for _ in 0..8 {
                    settle().await;
                }
                let failing = orders.failing().unwrap_or_default();
                assert!(failing.contains(problem), "{name} {problem}: {failing}");
                assert_eq!(list(&orders), known);
            }
        }
    });
}

/// A Nacos that answers for the services `slow…` no more than the beginning of a long answer, and
/// for the others what serves, in a long answer for `long` and in a short one for `short`.
fn slow_nacos() -> Scene {
    let scene = Scene::of(&settings("nacos", NACOS, false));
    scene.remotes.respond(NACOS, |seen| {
        let body = json!({ "hosts": [host("10.1.0.1", 80)] }).to_string();
        let filler = " ".repeat(100 * 1_024);
        if seen.target.contains("=slow") {
            return Answer::raw(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n{filler}"
            ));
        }
        let filler = if seen.target.contains("=long") { &*filler } else { "" };
        Answer::json(200, &format!("{body}{filler}"))
    });
    scene
}

#[test]
fn so_many_long_answers_are_read_at_once_and_short_ones_beside_them() {
    run(async {
        for (slow, is_read) in [(7, true), (8, false)] {
            let scene = slow_nacos();
            let service = |name: &str| scene.try_service(RegistryType::Nacos, name).unwrap();
            let _slow: Vec<_> = (0..slow).map(|n| service(&format!("slow{n}"))).collect();
            pass(Duration::from_secs(1)).await;
            let (long, short) = (service("long"), service("short"));
            pass(Duration::from_millis(10)).await;
            assert_eq!(list(&short), some(&["10.1.0.1:80 100/0"]));
            assert_eq!(list(&long).is_some(), is_read, "{slow}");
            // When their time is over it is the turn of others.
            pass(Duration::from_millis(3_990)).await;
            assert_eq!(list(&long), some(&["10.1.0.1:80 100/0"]));
        }
    });
}
