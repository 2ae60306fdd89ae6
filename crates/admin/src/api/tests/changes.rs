//! What a change brings with it: events, ends, and the way back.

use std::time::Duration;

use bartizan_core::{FoundServer, FoundServers, LastProbe, ServerHealth, Timestamp, Verdict};
use serde_json::{Value, json};

use super::desk::Desk;
use super::play::Step;
use super::route;

/// Objects of which an event tells a change, and whether each is gone.
fn told(desk: &Desk) -> Vec<(String, bool)> {
    let log = desk.told();
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let changes = events.filter(|event| event["event"] == "change" && event["object"].is_string());
    let told = changes.map(|event| {
        let detail = event["detail"].as_str().unwrap();
        (event["object"].as_str().unwrap().to_owned(), detail.starts_with("removed"))
    });
    told.collect()
}

fn credential(n: usize) -> (String, Value) {
    let key = json!({ "key": format!("a-key-of-sixteen-{n:04}") });
    let path = format!("/apisix/admin/consumers/jack/credentials/c{n}");
    (path, json!({ "plugins": { "key-auth": key } }))
}

async fn with_jack(desk: &Desk, query: &str, credentials: usize) {
    let path = format!("/apisix/admin/consumers/jack{query}");
    let jack = json!({ "username": "jack" }).to_string();
    assert_eq!(desk.ask(&Step::of("PUT", &path, &jack)).await.status, 201);
    for n in 0..credentials {
        let (path, body) = credential(n);
        assert_eq!(desk.ask(&Step::of("PUT", &path, &body.to_string())).await.status, 201);
    }
}

#[tokio::test]
async fn each_credential_that_goes_with_its_consumer_is_told() {
    let desk = Desk::open();
    with_jack(&desk, "", 2).await;
    let gone = desk.ask(&Step::of("DELETE", "/apisix/admin/consumers/jack", "")).await;
    assert_eq!(gone.status, 200);
    let removed: Vec<String> =
        told(&desk).into_iter().filter_map(|(key, is_gone)| is_gone.then_some(key)).collect();
    let credentials = ["consumers/jack/credentials/c0", "consumers/jack/credentials/c1"];
    assert_eq!(removed, [&["consumers/jack"], &credentials[..]].concat());
}

#[tokio::test]
async fn a_consumer_at_its_end_takes_its_credentials_with_it_and_all_are_told() {
    // One commit has room for 120: jack and his end, a credential with its end, and 116 more.
    for (count, commits) in [(0, 1), (2, 1), (116, 1), (117, 1), (118, 2), (130, 2)] {
        let desk = Desk::open();
        with_jack(&desk, "?ttl=10", count).await;
        if count > 0 {
            let (path, body) = credential(0);
            let put = Step::of("PUT", &format!("{path}?ttl=10"), &body.to_string());
            assert_eq!(desk.ask(&put).await.status, 200);
        }
        desk.clock.advance(Duration::from_secs(10));
        for commit in 1..=commits {
            desk.api.expire_now().await;
            assert_eq!(desk.keys() == ["bartizan/seal"], commit == commits, "{count}: {commit}");
        }
        let removed = told(&desk).iter().filter(|(_, is_gone)| *is_gone).count();
        assert_eq!(removed, count + 1, "{count}");
    }
}

#[tokio::test]
async fn what_cannot_go_at_its_end_keeps_nothing_else_and_is_tried_again_later() {
    let desk = Desk::open();
    let upstream = json!({ "nodes": { "127.0.0.1:1": 1 } }).to_string();
    for id in ["kept", "other"] {
        let put = Step::of("PUT", &format!("/apisix/admin/upstreams/{id}?ttl=10"), &upstream);
        assert_eq!(desk.ask(&put).await.status, 201);
    }
    // Of more credentials than one commit has room for, none stays either.
    with_jack(&desk, "?ttl=10", 130).await;
    desk.keep("kept");
    desk.clock.advance(Duration::from_secs(10));
    for _ in 0..3 {
        desk.api.expire_now().await;
    }
    let left: Vec<_> =
        desk.keys().into_iter().filter(|key| !key.starts_with("bartizan/")).collect();
    assert_eq!(left, ["upstreams/kept"]);
    // It is left alone for a minute.
    let seen = *desk.proposed().borrow();
    for (seconds, tries) in [(0, 0), (59, 0), (1, 2)] {
        desk.clock.advance(Duration::from_secs(seconds));
        desk.api.expire_now().await;
        assert_eq!(*desk.proposed().borrow(), seen + tries, "{seconds}");
    }
}

#[tokio::test]
async fn what_is_rolled_back_does_not_end_as_what_it_replaces_would() {
    let desk = Desk::open();
    let path = "/apisix/admin/routes/1";
    let put = |path: &str, uri: &str| Step::of("PUT", path, &route(uri).to_string());
    assert_eq!(desk.ask(&put(path, "/a")).await.status, 201);
    let short = desk.ask(&put(&format!("{path}?ttl=10"), "/b")).await;
    assert_eq!(short.status, 200);
    let back = json!({ "revision": 2 }).to_string();
    assert_eq!(desk.ask(&Step::of("POST", "/bartizan/v1/rollback", &back)).await.status, 200);
    desk.clock.advance(Duration::from_secs(11));
    desk.api.expire_now().await;
    let shown = desk.ask(&Step::of("GET", path, "")).await;
    assert_eq!((shown.status, &shown.value()["value"]["uri"]), (200, &json!("/a")));
}

#[tokio::test]
async fn a_rollback_is_whole_or_refused() {
    let document = |upstreams: &[(&str, u16)], digest: &str| {
        let list = upstreams
            .iter()
            .map(|(id, port)| json!({ "id": id, "nodes": { format!("127.0.0.1:{port}"): 1 } }));
        let body = json!({ "upstreams": list.collect::<Vec<_>>() }).to_string();
        let mut step = Step::of("PUT", "/apisix/admin/configs", &body);
        step.fields.push(("X-Digest".to_owned(), digest.to_owned()));
        step
    };
    // The second document writes its digest, `u` and `w`, and the log loses some of these.
    for (history, status, port) in [(1, 404, 2), (2, 404, 2), (3, 404, 2), (4, 200, 1), (9, 200, 1)]
    {
        let desk = Desk::open();
        assert_eq!(desk.ask(&document(&[("u", 1)], "one")).await.status, 202);
        let desk = desk.keeping(history);
        assert_eq!(desk.ask(&document(&[("u", 2), ("w", 1)], "two")).await.status, 202);
        let back = json!({ "revision": 2 }).to_string();
        let answer = desk.ask(&Step::of("POST", "/bartizan/v1/rollback", &back)).await;
        assert_eq!(answer.status, status, "{history}: {}", answer.body);
        let u: Value = serde_json::from_str(&desk.content("upstreams/u")).unwrap();
        assert_eq!(u["nodes"], json!({ format!("127.0.0.1:{port}"): 1 }), "{history}");
    }
}

#[tokio::test]
async fn how_servers_stand_is_told_where_they_are_checked() {
    let desk = Desk::open();
    let server = |server: &str, verdict, last| ServerHealth {
        server: server.into(),
        verdict,
        successes: 1,
        http_failures: 2,
        tcp_failures: 3,
        timeouts: 4,
        last,
    };
    let last = LastProbe {
        at: Timestamp::from_secs(1_700_000_000),
        took: std::time::Duration::from_millis(12),
        fault: Some("it answered with 500".into()),
    };
    let servers =
        vec![server("a:1", Verdict::Unhealthy, Some(last)), server("b:1", Verdict::Healthy, None)];
    desk.stand(servers);
    let plain = json!({ "nodes": { "127.0.0.1:1": 1 } });
    let checked = json!({ "nodes": { "127.0.0.1:1": 1 }, "checks": { "active": {} } });
    for (path, body) in [("upstreams/checked", &checked), ("upstreams/u", &plain)] {
        let put = Step::of("PUT", &format!("/apisix/admin/{path}"), &body.to_string());
        assert_eq!(desk.ask(&put).await.status, 201, "{path}");
    }
    let list = desk.ask(&Step::of("GET", "/bartizan/v1/upstreams", "")).await.value();
    let told = &list["list"][0];
    assert_eq!(told["health"], "partly_healthy");
    let expected = json!([
        {
            "server": "a:1", "health": "unhealthy", "successes": 1, "http_failures": 2,
            "tcp_failures": 3, "timeouts": 4,
            "last_probe": {
                "time": "2023-11-14T22:13:20.000Z", "took_ms": 12,
                "fault": "it answered with 500",
            },
        },
        {
            "server": "b:1", "health": "healthy", "successes": 1, "http_failures": 2,
            "tcp_failures": 3, "timeouts": 4, "last_probe": null,
        },
    ]);
    assert_eq!(told["servers"], expected);
    assert_eq!(list["list"][1]["health"], "not_checked");
    assert!(list["list"][1].get("servers").is_none());
}

#[tokio::test]
async fn what_a_registry_says_is_told_where_it_is_asked() {
    let desk = Desk::open();
    let written = json!({ "service_name": "orders.test", "discovery_type": "dns" });
    for (id, body) in [("found", &written), ("u", &json!({ "nodes": { "127.0.0.1:1": 1 } }))] {
        let put = Step::of("PUT", &format!("/apisix/admin/upstreams/{id}"), &body.to_string());
        assert_eq!(desk.ask(&put).await.status, 201, "{id}");
    }
    let told = async || {
        let list = desk.ask(&Step::of("GET", "/bartizan/v1/upstreams", "")).await.value();
        assert!(list["list"][1].get("found").is_none());
        list["list"][0].get("found").cloned()
    };
    assert_eq!(told().await, None, "nobody follows it yet");
    let server = FoundServer { host: "10.0.0.1".into(), port: 80, weight: 3, priority: -1 };
    let found = |servers, failing: Option<&str>| FoundServers {
        service: "dns/orders.test".into(),
        servers,
        failing: failing.map(str::to_owned),
    };
    desk.find(found(None, Some("no answer")));
    let expected = json!({ "service": "dns/orders.test", "nodes": null, "failing": "no answer" });
    assert_eq!(told().await, Some(expected));
    desk.find(found(Some(vec![server]), None));
    let nodes = json!([{ "host": "10.0.0.1", "port": 80, "weight": 3, "priority": -1 }]);
    let expected = json!({ "service": "dns/orders.test", "nodes": nodes, "failing": null });
    assert_eq!(told().await, Some(expected));
}

#[tokio::test]
async fn every_use_of_an_upstream_is_told() {
    let desk = Desk::open();
    let nodes = json!({ "nodes": { "127.0.0.1:1": 1 } });
    let mut user = route("/a");
    user.as_object_mut().unwrap().shift_remove("upstream");
    user["upstream_id"] = json!(7);
    let service = json!({ "upstream_id": "u" });
    for (path, body) in [
        ("upstreams/u", &nodes),
        ("upstreams/7", &nodes),
        ("routes/1", &user),
        ("routes/2", &user),
        ("services/s", &service),
    ] {
        let put = Step::of("PUT", &format!("/apisix/admin/{path}"), &body.to_string());
        let answer = desk.ask(&put).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.body);
    }
    let list = desk.ask(&Step::of("GET", "/bartizan/v1/upstreams", "")).await.value();
    let told = list["list"].as_array().unwrap().iter();
    let told: Vec<Value> = told.map(|told| json!([told["object"], told["used_by"]])).collect();
    let expected =
        json!([["upstreams/7", ["routes/1", "routes/2"]], ["upstreams/u", ["services/s"]],]);
    assert_eq!(json!(told), expected);
}
