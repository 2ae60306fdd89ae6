//! The listener, asked over connections of this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::AdminTls;
use bartizan_core::Clock;
use bartizan_tls::{Authority, KeyKind, Validity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::desk::Desk;
use super::play::Step;
use super::route;
use crate::api::BODY_MAX;
use crate::certificates::AdminCertificates;
use crate::dashboard::FORM_MAX;
use crate::server::{ADMIN_CONNECTIONS_MAX, AdminServer, CHANGES_MAX, DRAIN_TIME};

/// A desk that listens.
struct Listening {
    desk: Desk,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    async fn open() -> Self {
        Self::over(None).await
    }

    async fn over(tls: Option<Arc<AdminCertificates>>) -> Self {
        let desk = Desk::open();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let allow = vec!["127.0.0.1/32".parse().unwrap()];
        let server = AdminServer::new(listener, desk.api.clone(), allow, tls);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server.serve(async move {
            let _ = stopped.await;
        }));
        // The key of the seal is written before anything else.
        assert_eq!(desk.ask(&Step::of("GET", "/apisix/admin/routes", "")).await.status, 200);
        Self { desk, address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The status of what is answered to these bytes.
    async fn status(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        String::from_utf8_lossy(&head[9..]).into_owned()
    }

    /// All of what is answered to these bytes.
    async fn answer(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn stop(self) -> Desk {
        self.stop.send(()).unwrap();
        self.task.await.unwrap();
        self.desk
    }
}

#[tokio::test]
async fn a_change_whose_client_is_gone_is_made_and_told() {
    let listening = Listening::open().await;
    let turn = listening.desk.hold().await;
    let mut proposed = listening.desk.proposed();
    let mut client = listening.connect().await;
    let put = Step::of("PUT", "/apisix/admin/routes/1", &route("/a").to_string());
    client.write_all(&listening.desk.wire(&put)).await.unwrap();
    proposed.changed().await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty(), "who has left is not waited for");
    // Told to stop, the listener waits for what it has begun.
    let stopped = tokio::spawn(listening.stop());
    tokio::task::yield_now().await;
    drop(turn);
    let desk = stopped.await.unwrap();
    assert!(desk.keys().contains(&"routes/1".to_owned()));
    assert!(desk.told().contains("\"object\":\"routes/1\""), "{}", desk.told());
}

#[tokio::test]
async fn a_change_that_does_not_end_is_waited_for_so_long() {
    let listening = Listening::open().await;
    let _turn = listening.desk.hold().await;
    let mut proposed = listening.desk.proposed();
    let mut client = listening.connect().await;
    let put = Step::of("PUT", "/apisix/admin/routes/1", &route("/a").to_string());
    client.write_all(&listening.desk.wire(&put)).await.unwrap();
    proposed.changed().await.unwrap();
    // From here on nothing happens but time.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    listening.stop().await;
    let waited = begun.elapsed();
    assert!(waited >= DRAIN_TIME && waited < DRAIN_TIME + Duration::from_millis(10), "{waited:?}");
}

#[tokio::test]
async fn so_many_changes_are_under_way_at_a_time_and_the_next_waits() {
    let listening = Listening::open().await;
    let turn = listening.desk.hold().await;
    let mut proposed = listening.desk.proposed();
    let before = *proposed.borrow();
    let most = usize::try_from(CHANGES_MAX).unwrap();
    let mut clients = Vec::new();
    for n in 1..=most + 1 {
        let path = format!("/apisix/admin/routes/{n}");
        let put = Step::of("PUT", &path, &route(&format!("/{n}")).to_string());
        let mut client = listening.connect().await;
        client.write_all(&listening.desk.wire(&put)).await.unwrap();
        clients.push(client);
        proposed.wait_for(|count| *count == before + n.min(most)).await.unwrap();
    }
    // What reads does not wait, and by then the last one would have come.
    let get = listening.desk.wire(&Step::of("GET", "/apisix/admin/routes", ""));
    assert_eq!(listening.status(&get).await, "200");
    assert_eq!(*proposed.borrow(), before + most);
    drop(turn);
    for mut client in clients {
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head[9..], b"201");
    }
    listening.stop().await;
}

#[tokio::test]
async fn so_many_connections_are_served_and_the_next_is_closed() {
    let listening = Listening::open().await;
    let mut clients = Vec::new();
    for n in 1..=ADMIN_CONNECTIONS_MAX {
        let mut client = listening.connect().await;
        client.write_all(b"HEAD /apisix/admin HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
        let mut head = [0; 12];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(&head[9..], b"200", "{n}");
        clients.push(client);
    }
    let mut next = listening.connect().await;
    assert_eq!(next.read(&mut [0]).await.unwrap(), 0);
    listening.stop().await;
}

#[tokio::test]
async fn what_ends_while_the_listener_stops_is_told() {
    let listening = Listening::open().await;
    let path = "/apisix/admin/routes/1?ttl=1";
    let put = Step::of("PUT", path, &route("/a").to_string());
    assert_eq!(listening.desk.ask(&put).await.status, 201);
    let turn = listening.desk.hold().await;
    let mut proposed = listening.desk.proposed();
    listening.desk.clock.advance(Duration::from_secs(1));
    proposed.changed().await.unwrap();
    let stopped = tokio::spawn(listening.stop());
    tokio::task::yield_now().await;
    drop(turn);
    let desk = stopped.await.unwrap();
    assert!(!desk.keys().contains(&"routes/1".to_owned()));
    assert!(desk.told().contains("at the end of its time to live"), "{}", desk.told());
}

#[tokio::test]
async fn bodies_and_heads_have_a_greatest_length() {
    let listening = Listening::open().await;
    let object = route("/a").to_string();
    for (length, status) in [(BODY_MAX - 1, "200"), (BODY_MAX, "200"), (BODY_MAX + 1, "400")] {
        let body = object.clone() + &" ".repeat(length - object.len());
        let step = Step::of("POST", "/apisix/admin/schema/validate/routes", &body);
        let told = listening.status(&listening.desk.wire(&step)).await;
        assert_eq!(told, status, "a body of {length} bytes");
    }
    let mut step = Step::of("GET", "/apisix/admin/routes", "");
    step.fields.push(("X-Long".to_owned(), String::new()));
    let rest = listening.desk.wire(&step).len();
    for (length, status) in [(15_000, "200"), (16_383, "200"), (16_385, "431")] {
        step.fields = vec![("X-Long".to_owned(), "x".repeat(length - rest))];
        let told = listening.status(&listening.desk.wire(&step)).await;
        assert_eq!(told, status, "a head of {length} bytes");
    }
    listening.stop().await;
}

#[tokio::test]
async fn a_form_of_the_dashboard_has_a_greatest_length() {
    let listening = Listening::open().await;
    // What is read is a form without a key; what is not is no form.
    for (length, words) in [
        (FORM_MAX - 1, "Enter the key of an operator."),
        (FORM_MAX, "Enter the key of an operator."),
        (FORM_MAX + 1, "The form could not be read."),
    ] {
        let body = format!("x={}", "x".repeat(length - 2));
        let request = format!(
            "POST /ui/session HTTP/1.1\r\nHost: {}\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}",
            listening.address
        );
        let told = listening.answer(request.as_bytes()).await;
        assert!(told.contains(words), "{length}: {told}");
    }
    listening.stop().await;
}

/// A certificate for the listener, in the time of the system.
fn certificate() -> AdminTls {
    let now = Clock::System.now();
    let validity = Validity::starting(now, Duration::from_secs(24 * 3_600));
    let authority = Authority::create("test", validity).unwrap();
    let issued = authority.issue_server(&["admin.test"], validity, KeyKind::EcP256).unwrap();
    AdminTls { cert: issued.chain, key: issued.key, client_ca: None }
}

/// After how long a connection ends on which this is sent and nothing else.
async fn patience(listening: &Listening, sent: &[u8]) -> Duration {
    let mut client = listening.connect().await;
    client.write_all(sent).await.unwrap();
    let begun = Instant::now();
    let _ = client.read_to_end(&mut Vec::new()).await;
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn who_sends_nothing_or_half_of_it_is_let_go() {
    let listening = Listening::open().await;
    let (ten, thirty) = (Duration::from_secs(10), Duration::from_secs(30));
    let step = Step::of("POST", "/apisix/admin/schema/validate/routes", &route("/a").to_string());
    let whole = listening.desk.wire(&step);
    let half = whole.len() - 10;
    for (sent, expected) in [
        (&b""[..], ten),
        (b"GET /apisix/admin/routes HTTP/1.1\r\nHost: a", ten),
        (&whole[..half], thirty),
    ] {
        let took = patience(&listening, sent).await;
        let is_due = took >= expected && took < expected + Duration::from_secs(2);
        assert!(is_due, "{}: {took:?}", String::from_utf8_lossy(sent));
    }
    listening.stop().await;
    let tls = AdminCertificates::new(&certificate(), &Clock::System).unwrap();
    let listening = Listening::over(Some(Arc::new(tls))).await;
    // Half of what a handshake begins with.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let took = patience(&listening, sent).await;
        assert!(took >= ten && took < ten + Duration::from_secs(2), "{took:?}");
    }
    listening.stop().await;
}

#[test]
fn certificates_that_cannot_be_shown_replace_none() {
    let own = AdminCertificates::new(&certificate(), &Clock::System).unwrap();
    let before = own.current();
    let other = AdminTls { key: certificate().key, ..certificate() };
    let asking = AdminTls { client_ca: Some(certificate().cert), ..certificate() };
    for unfit in [other, asking] {
        assert!(own.renew(&unfit, &Clock::System).is_err());
        assert!(Arc::ptr_eq(&before, &own.current()));
    }
    own.renew(&certificate(), &Clock::System).unwrap();
    assert!(!Arc::ptr_eq(&before, &own.current()));
}

#[tokio::test]
async fn a_body_is_asked_for_only_of_who_shows_a_good_key() {
    let listening = Listening::open().await;
    let mut step = Step::of("POST", "/apisix/admin/schema/validate/routes", "{}");
    step.fields.push(("Expect".to_owned(), "100-continue".to_owned()));
    let known = listening.desk.wire(&step);
    step.fields.push(("X-API-KEY".to_owned(), "wrong".to_owned()));
    let unknown = listening.desk.wire(&step);
    for (whole, status) in [(known, "100"), (unknown, "401")] {
        let head = &whole[..whole.len() - step.body.len()];
        assert_eq!(listening.status(head).await, status);
    }
    listening.stop().await;
}
