//! Services that are asked while a request waits, over real sockets.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::harness::{Gateway, PATIENCE, Pki, ServerTls, Setup, Upstream, quoted, until};

/// A guarded route `/guarded/*`, and an open one for everything else.
fn guarded(upstream: &Upstream, plugin: &str) -> String {
    let node = upstream.address();
    format!(
        "\
routes:
- id: guarded
  uri: /guarded/*
  plugins:
    anonymous-access: {{reason: a test}}
    {plugin}
  upstream: {{nodes: {{'{node}': 1}}}}
- id: open
  uri: /*
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{nodes: {{'{node}': 1}}}}
"
    )
}

/// A service that lets through whoever asks for a path with `yes` in it.
fn decides() -> Upstream {
    Upstream::start(|peer, seen| {
        let may = seen.field("x-forwarded-uri").is_some_and(|uri| uri.contains("yes"));
        if may {
            peer.send("HTTP/1.1 200 OK\r\nX-User: alice\r\nContent-Length: 0\r\n\r\n");
        } else {
            peer.answer(403, "not for you");
        }
        true
    })
}

#[test]
fn a_service_decides_over_connections_that_each_worker_keeps() {
    let (upstream, service) = (Upstream::plain(), decides());
    let plugin = format!(
        "forward-auth: {{uri: 'http://{}/', upstream_headers: [X-User]}}",
        service.address()
    );
    let gateway = Setup::default().workers(2).serve(&guarded(&upstream, &plugin));
    for _ in 0..10 {
        let mut client = gateway.connect();
        for _ in 0..5 {
            client.send("GET /guarded/yes HTTP/1.1\r\nHost: a\r\nX-User: root\r\n\r\n");
            assert_eq!(client.reply("GET").status, 200);
            let refused = client.get("/guarded/no");
            assert_eq!((refused.status, refused.text().as_str()), (403, "not for you"));
        }
    }
    assert_eq!((upstream.seen().len(), service.seen().len()), (50, 100));
    assert!(upstream.seen().iter().all(|seen| seen.field("x-user").as_deref() == Some("alice")));
    assert!(service.connections() <= 2, "{} connections", service.connections());
    let refused = gateway.events().len();
    assert_eq!(refused, 50);
}

#[test]
fn a_service_under_tls_decides_only_where_it_proves_to_be_the_host() {
    let upstream = Upstream::plain();
    let (pki, other) = (Pki::new("auth"), Pki::new("other"));
    let service =
        Upstream::start_tls(ServerTls::showing(&pki.server(&["localhost"])), |peer, _| {
            peer.answer(200, r#"{"result":{"allow":true}}"#);
            true
        });
    let resources = |host: &str, pki: &Pki| {
        let plugin = format!(
            "opa: {{host: 'https://{host}:{}', policy: x, ca_certs: {}}}",
            service.address().port(),
            quoted(&pki.root())
        );
        guarded(&upstream, &plugin)
    };
    let gateway = Gateway::serving(&resources("localhost", &pki));
    assert_eq!(gateway.connect().get("/guarded/x").status, 200);
    for (host, pki) in [("localhost", &other), ("127.0.0.1", &pki)] {
        gateway.apply(&resources(host, pki));
        assert_eq!(gateway.connect().get("/guarded/x").status, 503);
    }
    assert_eq!(service.seen().len(), 1);
    let details = gateway.events();
    let says = |part: &str| details.iter().any(|event| event["detail"].to_string().contains(part));
    assert!(says("not signed by an authority that is trusted here"), "{details:#?}");
    assert!(says("the certificate is for `localhost`"), "{details:#?}");
}

#[test]
fn a_service_that_hangs_holds_up_only_those_who_ask_it() {
    let upstream = Upstream::plain();
    let (go, gone) = channel::<()>();
    let gone = Arc::new(Mutex::new(gone));
    let service = Upstream::start(move |_, _| {
        let _ = gone.lock().unwrap().recv();
        false
    });
    let plugin = format!("forward-auth: {{uri: 'http://{}/', timeout: 60000}}", service.address());
    let gateway = Setup::default().limits("calls: 2").serve(&guarded(&upstream, &plugin));
    let mut waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut client = gateway.connect();
            client.send("GET /guarded/x HTTP/1.1\r\nHost: a\r\n\r\n");
            client
        })
        .collect();
    until("the service is asked", || service.connections() == 2);
    let started = Instant::now();
    let mut client = gateway.connect();
    assert_eq!(client.get("/open").status, 200);
    assert_eq!(client.get("/guarded/one-too-many").status, 503);
    assert_eq!(client.get("/open").status, 200);
    assert!(started.elapsed() < PATIENCE);
    assert!(gateway.metrics().contains("bartizan_limit_hits_total{limit=\"calls\"} 1"));
    drop(go);
    for client in &mut waiting {
        assert_eq!(client.reply("GET").status, 503);
    }
    assert_eq!(upstream.seen().len(), 2);
}

#[test]
fn a_late_answer_is_none_and_addresses_of_clouds_are_never_asked() {
    let upstream = Upstream::plain();
    let service = Upstream::start(|peer, _| {
        peer.wait_for_end();
        false
    });
    let late = format!("forward-auth: {{uri: 'http://{}/', timeout: 100}}", service.address());
    let gateway = Gateway::serving(&guarded(&upstream, &late));
    let started = Instant::now();
    assert_eq!(gateway.connect().get("/guarded/x").status, 503);
    assert!(started.elapsed() >= Duration::from_millis(100));
    let own = format!("forward-auth: {{uri: 'http://{}/'}}", gateway.address());
    for plugin in ["opa: {host: 'http://169.254.169.254', policy: x}", own.as_str()] {
        gateway.apply(&guarded(&upstream, plugin));
        assert_eq!(gateway.connect().get("/guarded/x").status, 503);
    }
    let details = gateway.events();
    let says = |part: &str| details.iter().any(|event| event["detail"].to_string().contains(part));
    for part in ["no answer within 100 ms", "link-local", "a listener of this gateway"] {
        assert!(says(part), "{part}: {details:#?}");
    }
    assert!(upstream.seen().is_empty());
}
