//! Servers found in Consul.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_config::RegistryType;
use bartizan_discovery::Service;
use bartizan_testkit::{Answer, Sent, run};
use serde_json::{Value, json};

use crate::{Scene, list, pass, settle, some};

const SERVER: &str = "consul.test:8500";

fn scene() -> Scene {
    Scene::of(&json!({ "consul": {
        "servers": ["http://consul.test:8500"], "token": "consul-token", "danger_plaintext": true,
    } }))
}

fn orders(scene: &Scene) -> Arc<Service> {
    scene.try_service(RegistryType::Consul, "orders").unwrap()
}

/// An instance as Consul tells it.
fn instance(address: &str, port: u16, weight: u32) -> Value {
    json!({
        "Node": { "Node": "n", "Address": "10.9.9.9" },
        "Service": {
            "ID": "orders-1", "Service": "orders", "Address": address, "Port": port,
            "Weights": { "Passing": weight, "Warning": 1 },
        },
        "Checks": [],
    })
}

fn answer(index: u64, instances: &[Value]) -> Answer {
    let body = Value::from(instances.to_vec()).to_string();
    Answer::json(200, &body).header("X-Consul-Index", &index.to_string())
}

/// What was asked, and with which token.
fn asked(scene: &Scene) -> Vec<(String, String)> {
    let sent = scene.remotes.take().into_iter().filter_map(|sent| match sent {
        Sent::Request { seen, .. } => {
            let token = seen.field("x-consul-token").unwrap_or_default().to_owned();
            Some((seen.target, token))
        }
        _ => None,
    });
    sent.collect()
}

const FIRST: &str = "/v1/health/service/orders?passing=true";

#[test]
fn instances_that_pass_are_asked_for_and_a_change_is_waited_for() {
    run(async {
        let scene = scene();
        scene.remotes.answer(
            SERVER,
            answer(
                7,
                &[instance("10.1.0.1", 80, 3), instance("", 81, 1), instance("h.test", 0, 0)],
            ),
        );
        let later = answer(8, &[instance("10.1.0.2", 80, 1)]).after(Duration::from_secs(50));
        scene.remotes.answer(SERVER, later);
        scene.remotes.respond(SERVER, |_| answer(8, &[]).after(Duration::from_secs(3_600)));
        let orders = orders(&scene);
        pass(Duration::from_secs(1)).await;
        assert_eq!(list(&orders), some(&["h.test:- 0/0", "10.1.0.1:80 3/0", "10.9.9.9:81 1/0"]));
        pass(Duration::from_secs(50)).await;
        assert_eq!(list(&orders), some(&["10.1.0.2:80 1/0"]));
        pass(Duration::from_secs(1)).await;
        let token = || "consul-token".to_owned();
        let expected = [
            (FIRST.to_owned(), token()),
            (format!("{FIRST}&index=7&wait=60s"), token()),
            (format!("{FIRST}&index=8&wait=60s"), token()),
        ];
        assert_eq!(asked(&scene), expected);
        assert_eq!(scene.counts(), (0, 2));
    });
}

#[test]
fn a_wrong_token_leaves_the_servers_unknown_or_as_they_were() {
    run(async {
        let scene = scene();
        scene.remotes.respond(SERVER, |_| Answer::status(403).body("ACL not found"));
        let orders = orders(&scene);
        settle().await;
        assert_eq!((list(&orders), scene.counts()), (None, (1, 0)));
        assert_eq!(orders.failing().as_deref(), Some("the registry answers 403 Forbidden"));
        let hidden = |_: &_| answer(1, &[]).header("X-Consul-Results-Filtered-By-ACLs", "true");
        scene.remotes.respond(SERVER, hidden);
        pass(Duration::from_secs(1)).await;
        assert_eq!(list(&orders), None);
        scene.remotes.answer(SERVER, answer(1, &[instance("10.1.0.1", 80, 1)]));
        pass(Duration::from_secs(1)).await;
        pass(Duration::from_secs(2)).await;
        assert_eq!(list(&orders), some(&["10.1.0.1:80 1/0"]));
    });
}

#[test]
fn what_is_no_answer_of_consul_keeps_the_last_good_list() {
    run(async {
        let scene = scene();
        scene.remotes.answer(SERVER, answer(1, &[instance("10.1.0.1", 80, 1)]));
        let orders = orders(&scene);
        scene.remotes.respond(SERVER, |_| Answer::status(500));
        pass(Duration::from_secs(1)).await;
        let many: Vec<Value> = (0..4_097).map(|n| instance(&format!("h{n}"), 1, 1)).collect();
        for (bad, problem) in [
            (Answer::status(500), "500"),
            (Answer::json(200, "{"), "not a valid answer"),
            (Answer::json(200, "{}").header("X-Consul-Index", "1"), "not a valid answer"),
            (Answer::json(200, "[{}]").header("X-Consul-Index", "1"), "not a valid answer"),
            (Answer::json(200, "[]"), "no X-Consul-Index"),
            (answer(0, &[]), "no X-Consul-Index"),
            (answer(1, &many), "a list of more than 4096"),
            (Answer::json(200, "[]").body(vec![b' '; 4 * 1024 * 1024 + 1]), "more than 4194304"),
            (Answer::close(), "closed"),
        ] {
            scene.remotes.respond(SERVER, move |_| bad.clone());
            pass(Duration::from_secs(61)).await;
            for _ in 0..8 {
                settle().await;
            }
            let failing = orders.failing().unwrap_or_default();
            assert!(failing.contains(problem), "{problem}: {failing}");
            assert_eq!(list(&orders), some(&["10.1.0.1:80 1/0"]));
        }
    });
}

#[test]
fn an_index_that_goes_back_and_a_failure_ask_for_what_there_is() {
    run(async {
        let scene = scene();
        for index in [9, 3, 4] {
            scene.remotes.answer(SERVER, answer(index, &[]));
        }
        scene.remotes.answer(SERVER, Answer::status(500));
        scene.remotes.respond(SERVER, |_| answer(4, &[]).after(Duration::from_secs(3_600)));
        let _orders = orders(&scene);
        for _ in 0..7 {
            pass(Duration::from_secs(1)).await;
        }
        let targets: Vec<String> = asked(&scene).into_iter().map(|(target, _)| target).collect();
        let waiting = |index: u64| format!("{FIRST}&index={index}&wait=60s");
        let first = || FIRST.to_owned();
        assert_eq!(targets, [first(), waiting(9), first(), waiting(4), first()]);
    });
}

#[test]
fn another_server_is_asked_where_one_is_gone() {
    run(async {
        let scene = Scene::of(&json!({ "consul": {
            "servers": ["http://gone.test:8500", "http://consul.test:8500/base/"],
            "danger_plaintext": true,
        } }));
        scene.remotes.refuse("gone.test:8500", true);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        scene.remotes.respond(SERVER, move |seen| {
            noted.lock().unwrap().push(seen.target.clone());
            answer(1, &[instance("10.1.0.1", 80, 1)]).after(Duration::from_millis(1))
        });
        let orders = orders(&scene);
        pass(Duration::from_secs(1)).await;
        pass(Duration::from_millis(1)).await;
        assert_eq!(list(&orders), some(&["10.1.0.1:80 1/0"]));
        assert_eq!(seen.lock().unwrap().first().unwrap(), &format!("/base{FIRST}"));
    });
}

#[test]
fn an_instance_whose_address_is_too_long_is_left_out_and_not_taken_to_be_its_node() {
    run(async {
        let scene = scene();
        let long = "a.".repeat(127);
        let (fits, over) = (&long[..253], long.as_str());
        let both = [instance(fits, 80, 1), instance(over, 80, 1)];
        scene.remotes.answer(SERVER, answer(1, &both));
        scene.remotes.respond(SERVER, |_| answer(1, &[]).after(Duration::from_secs(3_600)));
        let orders = orders(&scene);
        settle().await;
        assert_eq!(list(&orders), some(&[&format!("{fits}:80 1/0")]));
    });
}

#[test]
fn a_wrong_registration_leaves_out_itself_alone() {
    run(async {
        for (pointer, wrong, expected) in [
            ("/Service/Port", json!(65_536), None),
            ("/Service/Port", json!(-1), None),
            ("/Service/Port", json!(80.5), None),
            ("/Service/Port", json!("http"), None),
            ("/Service/Port", json!({}), None),
            ("/Service/Port", json!(65_535), Some("10.1.0.2:65535 3/0")),
            ("/Service/Port", json!(0), Some("10.1.0.2:- 3/0")),
            ("/Service/Port", json!(null), Some("10.1.0.2:- 3/0")),
            ("/Service/Address", json!(7), None),
            ("/Service/Address", json!("a b"), None),
            ("/Service/Address", json!(null), Some("10.9.9.9:80 3/0")),
            ("/Service/Weights", json!(null), Some("10.1.0.2:80 1/0")),
            ("/Service/Weights/Passing", json!(-1), Some("10.1.0.2:80 1/0")),
            ("/Service/Weights/Passing", json!("3"), Some("10.1.0.2:80 3/0")),
            ("/Service/Weights/Passing", json!(u64::MAX), Some("10.1.0.2:80 1/0")),
        ] {
            let scene = scene();
            let mut other = instance("10.1.0.2", 80, 3);
            *other.pointer_mut(pointer).unwrap() = wrong.clone();
            scene.remotes.answer(SERVER, answer(1, &[instance("10.1.0.1", 80, 3), other]));
            scene.remotes.respond(SERVER, |_| answer(1, &[]).after(Duration::from_secs(3_600)));
            let orders = orders(&scene);
            settle().await;
            let mut all: Vec<&str> = expected.into_iter().chain(["10.1.0.1:80 3/0"]).collect();
            let mut told = list(&orders).unwrap_or_default();
            told.sort_unstable();
            all.sort_unstable();
            assert_eq!((told, scene.counts().0), (some(&all).unwrap(), 0), "{pointer}: {wrong}");
        }
    });
}

#[test]
fn a_name_cannot_reach_out_of_its_place_in_the_path() {
    run(async {
        let scene = scene();
        let name = "../kv/a?b&c#d";
        let _odd = scene.try_service(RegistryType::Consul, name).unwrap();
        settle().await;
        let expected = "/v1/health/service/..%2Fkv%2Fa%3Fb%26c%23d?passing=true";
        assert_eq!(asked(&scene).first().unwrap().0, expected);
    });
}
