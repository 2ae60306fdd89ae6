//! Configurations change under load: no request is lost, and none sees half of one and half of
//! another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::harness::{Gateway, Pki, Setup, Upstream, quoted, until};

const RELOADS: usize = 200;
const CLIENTS: usize = 4;

/// One configuration: the upstream, the path that it gets, and a field of the answer all say the
/// same word.
fn configuration(word: &str, upstream: &Upstream) -> String {
    format!(
        "\
routes:
- id: only
  uri: /*
  plugins:
    anonymous-access: {{reason: a test}}
    proxy-rewrite: {{uri: /{word}}}
    response-rewrite: {{headers: {{set: {{X-Word: {word}}}}}}}
  upstream: {{nodes: {{'{}': 1}}}}
",
        upstream.address()
    )
}

fn says(word: &'static str) -> Upstream {
    Upstream::start(move |peer, seen| {
        peer.answer(200, format!("{word} {}", seen.target));
        true
    })
}

#[test]
fn two_hundred_reloads_under_load_lose_no_request_and_halve_none() {
    let (one, two) = (says("one"), says("two"));
    let configurations = [configuration("one", &one), configuration("two", &two)];
    let gateway = Arc::new(Setup::default().workers(2).serve(&configurations[0]));
    let is_over = Arc::new(AtomicBool::new(false));
    let served = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let total = |served: &[AtomicUsize; 2]| -> usize {
        served.iter().map(|count| count.load(Ordering::SeqCst)).sum()
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (gateway, is_over, served) = (gateway.clone(), is_over.clone(), served.clone());
            std::thread::spawn(move || {
                let mut client = gateway.connect();
                let mut count = 0_usize;
                while !is_over.load(Ordering::SeqCst) {
                    // Half of the clients keep their connection, the others take new ones.
                    if number % 2 == 0 && count.is_multiple_of(5) {
                        client = gateway.connect();
                    }
                    let reply = client.get("/");
                    assert_eq!((reply.status, reply.is_complete), (200, true), "{reply:?}");
                    let word = reply.field("x-word").unwrap().to_owned();
                    assert_eq!(reply.text(), format!("{word} /{word}"));
                    served[usize::from(word == "two")].fetch_add(1, Ordering::SeqCst);
                    count += 1;
                }
            })
        })
        .collect();
    for reload in 1..=RELOADS {
        let before = total(&served);
        gateway.apply(&configurations[reload % 2]);
        until("a request is served", || {
            total(&served) > before || clients.iter().any(std::thread::JoinHandle::is_finished)
        });
    }
    is_over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("a client that was served well");
    }
    let (first, second) = (served[0].load(Ordering::SeqCst), served[1].load(Ordering::SeqCst));
    println!(
        "{RELOADS} reloads, {} requests from {CLIENTS} clients: {first} by one configuration, \
         {second} by the other, none lost, none mixed",
        first + second
    );
    assert!(first >= RELOADS / 10 && second >= RELOADS / 10);
    let seen = one.seen().len() + two.seen().len();
    assert_eq!(seen, first + second, "each request was sent once");
    assert!(gateway.events().is_empty());
}

#[test]
fn a_request_that_has_begun_ends_under_the_configuration_it_began_with() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let slow = Upstream::start(move |peer, seen| {
        gone.lock().unwrap().recv().unwrap();
        peer.answer(200, format!("one {}", seen.target));
        true
    });
    let two = says("two");
    let gateway = Gateway::serving(&configuration("one", &slow));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the upstream has it", || !slow.seen().is_empty());
    gateway.apply(&configuration("two", &two));
    assert_eq!(gateway.connect().get("/").text(), "two /two");
    go.send(()).unwrap();
    let reply = client.reply("GET");
    assert_eq!((reply.text().as_str(), reply.field("x-word")), ("one /one", Some("one")));
    assert_eq!(client.get("/").text(), "two /two");
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let upstream = Upstream::plain();
    let (old, new) = (Pki::new("old"), Pki::new("new"));
    let resources = |pki: &Pki| {
        let issued = pki.server(&["api.test"]);
        format!(
            "{}ssls:\n- {{id: a, snis: [api.test], cert: {}, key: {}}}\n",
            super::harness::open_route(upstream.address(), ""),
            quoted(&issued.chain),
            quoted(issued.key.expose_str().unwrap()),
        )
    };
    let gateway =
        Setup::default().listeners("{address: '127.0.0.1:0', tls: {}}").serve(&resources(&old));
    let mut first = old.connect(gateway.address(), "api.test", &["http/1.1"]);
    assert_eq!(first.get("/1").text(), "/1");
    gateway.apply(&resources(&new));
    let mut second = new.connect(gateway.address(), "api.test", &["http/1.1"]);
    assert_eq!(second.get("/2").text(), "/2");
    assert_eq!(first.get("/3").text(), "/3");
    drop((first, second));
    assert!(gateway.events().is_empty());
}

#[test]
fn a_renewed_certificate_of_a_listener_is_shown_to_new_connections_and_old_ones_go_on() {
    let upstream = Upstream::plain();
    let (old, new) = (Pki::new("old"), Pki::new("new"));
    let setup = |pki: &Pki| {
        let issued = pki.server(&["api.test"]);
        Setup::default().listeners(&super::listeners::tls_listener(&issued, ""))
    };
    let resources = super::harness::open_route(upstream.address(), "");
    let gateway = setup(&old).serve(&resources);
    let mut first = old.connect(gateway.address(), "api.test", &["http/1.1"]);
    assert_eq!(first.get("/1").text(), "/1");
    gateway.apply_renewed(&setup(&new), &resources);
    let mut second = new.connect(gateway.address(), "api.test", &["http/1.1"]);
    assert_eq!(second.get("/2").text(), "/2");
    assert_eq!(first.get("/3").text(), "/3");
    drop((first, second));
    assert!(gateway.events().is_empty());
}
