//! The client that plugins ask servers with, over streams in memory and a paused clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_core::Limits;
use bartizan_net::{
    Answered, Call, CallError, CallLimits, Client, ConnectError, EgressPolicy, Endpoint, Keep,
    Network, NoReach, Reach, Streamed, Target, Task, UpstreamIo, Url,
};
use bartizan_wire::Fields;
use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Handle;

/// What a server does on one connection: for each request, the bytes that it answers; none and it
/// stays silent. It closes behind the last.
type Script = Vec<Option<Vec<u8>>>;

/// Servers in memory, one for each connection.
#[derive(Debug, Default)]
struct Scripted {
    scripts: Mutex<VecDeque<Script>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    fn new(scripts: &[&[Option<&str>]]) -> Arc<Self> {
        let bytes = |step: Option<&str>| step.map(|text| text.as_bytes().to_vec());
        let scripts =
            scripts.iter().map(|steps| steps.iter().copied().map(bytes).collect()).collect();
        Arc::new(Self { scripts: Mutex::new(scripts), seen: Arc::default() })
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut io: DuplexStream, script: Script, seen: Arc<Mutex<Vec<String>>>) {
    for step in script {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"END") {
            match io.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        seen.lock().unwrap().push(String::from_utf8(request).unwrap());
        match step {
            Some(answer) => io.write_all(&answer).await.unwrap(),
            None => std::future::pending().await,
        }
    }
}

impl Reach for Scripted {
    fn connect<'a>(
        &'a self,
        _target: &'a Target,
        _limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>> {
        let script = self.scripts.lock().unwrap().pop_front().expect("a server");
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(serve(far, script, self.seen.clone()));
        Box::pin(std::future::ready(Ok(UpstreamIo::Virtual(near))))
    }

    fn send_datagrams<'a>(
        &'a self,
        _target: &'a Target,
        _datagrams: &'a [Bytes],
        _limit: Duration,
    ) -> Task<'a, Result<(), ConnectError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn spawn(&self, task: Task<'static, ()>) {
        tokio::spawn(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}

const LIMITS: CallLimits = CallLimits {
    time: Duration::from_secs(3),
    answer: 10,
    keep: Keep { size: 5, idle: Duration::from_secs(60) },
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(&Url::parse(url).unwrap(), None).unwrap()
}

async fn ask(client: &Client, body: &str, limits: &CallLimits) -> Result<Answered, CallError> {
    let method = if body.is_empty() { Method::GET } else { Method::POST };
    let fields = Fields::new();
    let call = Call { method: &method, target: "/x", fields: &fields, body: body.as_bytes() };
    client.call(&endpoint("http://auth.test:8080/x"), &call, limits).await
}

async fn failure(steps: &[Option<&str>]) -> CallError {
    let client = Client::new(Scripted::new(&[steps]), &Limits::default());
    ask(&client, "", &LIMITS).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_serves_the_next_call() {
    let reach = Scripted::new(&[&[Some(OK), Some(OK)]]);
    let client = Client::new(reach.clone(), &Limits::default());
    assert_eq!(ask(&client, "", &LIMITS).await.unwrap().text(), "ok");
    assert_eq!(ask(&client, "bodyEND", &LIMITS).await.unwrap().status, 200);
    assert_eq!(
        reach.seen(),
        [
            "GET /x HTTP/1.1\r\nhost: auth.test:8080\r\n\r\n",
            "POST /x HTTP/1.1\r\nhost: auth.test:8080\r\ncontent-length: 7\r\n\r\n",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_while_idle_is_replaced_once() {
    let reach = Scripted::new(&[&[Some(OK)], &[Some(OK)]]);
    let client = Client::new(reach.clone(), &Limits::default());
    ask(&client, "", &LIMITS).await.unwrap();
    assert_eq!(ask(&client, "", &LIMITS).await.unwrap().status, 200);
    assert_eq!(reach.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_where_that_is_not_asked_for_or_too_old() {
    let reach = Scripted::new(&[&[Some(OK), None], &[Some(OK), None], &[Some(OK)]]);
    let client = Client::new(reach.clone(), &Limits::default());
    let none = CallLimits { keep: Keep { size: 0, ..LIMITS.keep }, ..LIMITS };
    ask(&client, "", &none).await.unwrap();
    assert!(reach.seen()[0].contains("connection: close\r\n"));
    ask(&client, "", &LIMITS).await.unwrap();
    tokio::time::advance(LIMITS.keep.idle).await;
    ask(&client, "", &LIMITS).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_ends_when_the_time_is_over() {
    let error = failure(&[None]).await;
    assert_eq!(error.to_string(), "no answer within 3000 ms");
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_a_greatest_length() {
    let exactly = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n\
                   8\r\n01234567\r\n";
    let until_close = "HTTP/1.1 200 OK\r\n\r\n0123456789a";
    let client = Client::new(Scripted::new(&[&[Some(exactly)]]), &Limits::default());
    assert_eq!(ask(&client, "", &LIMITS).await.unwrap().body().len(), 10);
    for answer in [chunked, until_close] {
        let error = failure(&[Some(answer)]).await;
        assert_eq!(error.to_string(), "an answer of more than 10 bytes");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_lasts_until_the_end_is_whole_and_not_kept() {
    let reach = Scripted::new(&[&[Some("HTTP/1.1 200 OK\r\n\r\nok")], &[Some(OK)]]);
    let client = Client::new(reach, &Limits::default());
    assert_eq!(ask(&client, "", &LIMITS).await.unwrap().text(), "ok");
    assert_eq!(ask(&client, "", &LIMITS).await.unwrap().text(), "ok");
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_two_meanings_is_none() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let error = failure(&[Some(answer)]).await;
        assert!(matches!(error, CallError::Malformed(_)), "{answer}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_is_an_error() {
    for answer in ["", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok"]
    {
        let error = failure(&[Some(answer)]).await;
        assert!(matches!(error, CallError::Closed(_)), "{answer}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_follows_an_answer_is_never_the_next_one() {
    let smuggled = format!("{OK}HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    let reach = Scripted::new(&[&[Some(&smuggled), None], &[Some(OK)]]);
    let client = Client::new(reach, &Limits::default());
    ask(&client, "", &LIMITS).await.unwrap();
    assert_eq!(ask(&client, "", &LIMITS).await.unwrap().status, 200);
}

#[tokio::test(start_paused = true)]
async fn informational_answers_are_passed_over() {
    let answer = format!("HTTP/1.1 103 Early\r\nLink: x\r\n\r\n{OK}");
    let client = Client::new(Scripted::new(&[&[Some(&answer)]]), &Limits::default());
    assert_eq!(ask(&client, "", &LIMITS).await.unwrap().status, 200);
}

/// The same server, asked for a whole answer and for one that is read while it comes.
async fn both_ways(answer: &str) -> [Result<u16, CallError>; 2] {
    let client =
        Client::new(Scripted::new(&[&[Some(answer)], &[Some(answer)]]), &Limits::default());
    let whole = ask(&client, "", &LIMITS).await.map(|answered| answered.status.as_u16());
    let streamed = open(&client).await.map(|streamed| streamed.status().as_u16());
    [whole, streamed]
}

async fn open(client: &Client) -> Result<Streamed, CallError> {
    let fields = Fields::new();
    let call = Call { method: &Method::GET, target: "/x", fields: &fields, body: b"" };
    client.open(&endpoint("http://auth.test:8080/x"), &call, LIMITS.time).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_announced_so_often_and_no_more() {
    let announced = |count| format!("{}{OK}", "HTTP/1.1 103 Early\r\n\r\n".repeat(count));
    for (answer, is_fine) in [
        (announced(31), true),
        (announced(32), true),
        (announced(33), false),
        (format!("HTTP/1.1 101 Switching\r\n\r\n{OK}"), false),
    ] {
        for outcome in both_ways(&answer).await {
            match outcome {
                Ok(status) => assert_eq!((status, is_fine), (200, true), "{answer}"),
                Err(CallError::Malformed(_)) => assert!(!is_fine, "{answer}"),
                Err(error) => panic!("{answer}: {error}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_is_read_by_large_parts() {
    let body = "x".repeat(40_000);
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let client = Client::new(Scripted::new(&[&[Some(&answer)]]), &Limits::default());
    let mut streamed = open(&client).await.unwrap();
    let mut parts = Vec::new();
    while let Some(part) = streamed.next().await.unwrap() {
        parts.push(part.len());
    }
    assert_eq!(parts.iter().sum::<usize>(), body.len());
    assert!(parts.len() <= 4, "{parts:?}");
}

#[tokio::test(start_paused = true)]
async fn only_so_many_calls_wait() {
    let limits = Limits { calls: 1, ..Limits::default() };
    let client = Client::new(Scripted::new(&[&[None], &[Some(OK)]]), &limits);
    let (first, second) = tokio::join!(ask(&client, "", &LIMITS), ask(&client, "", &LIMITS));
    assert!(matches!(first, Err(CallError::Timeout(_))));
    let error = second.unwrap_err().to_string();
    assert_eq!(error, "1 calls wait already, over `limits.calls`");
    assert!(ask(&client, "", &LIMITS).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_field_that_would_end_its_line_is_not_sent() {
    let client = Client::new(Scripted::new(&[]), &Limits::default());
    let mut fields = Fields::new();
    fields.append("x-uri", "/a\r\nx-admin: 1");
    let call = Call { method: &Method::GET, target: "/", fields: &fields, body: b"" };
    let error = client.call(&endpoint("http://a/"), &call, &LIMITS).await.unwrap_err();
    assert!(matches!(error, CallError::Unsendable(_)), "{error}");
}

#[tokio::test]
async fn the_network_obeys_its_policy_and_a_later_one() {
    let network = Arc::new(Network::new(Handle::current(), EgressPolicy::default()));
    let client = Client::new(network.clone(), &Limits::default());
    let fields = Fields::new();
    let call = Call { method: &Method::GET, target: "/", fields: &fields, body: b"" };
    let error =
        client.call(&endpoint("http://169.254.169.254/latest"), &call, &LIMITS).await.unwrap_err();
    assert!(error.to_string().contains("link-local"), "{error}");

    let (_listener, port) = crate::listen().await;
    let own = vec![([127, 0, 0, 1], port).into()];
    network.obey(EgressPolicy { own, danger_allow_link_local: false });
    let url = format!("http://127.0.0.1:{port}/");
    let error = client.call(&endpoint(&url), &call, &LIMITS).await.unwrap_err();
    assert!(error.to_string().contains("a listener of this gateway"), "{error}");
}

#[tokio::test]
async fn datagrams_go_where_the_policy_allows() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = |host: &str| Target {
        host: host.into(),
        port: socket.local_addr().unwrap().port(),
        tls: None,
    };
    let network = Network::new(Handle::current(), EgressPolicy::default());
    let datagrams = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
    network.send_datagrams(&target("127.0.0.1"), &datagrams, LIMITS.time).await.unwrap();
    let mut buffer = [0; 16];
    for expected in ["one", "two"] {
        let count = socket.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], expected.as_bytes());
    }
    let error = network.send_datagrams(&target("169.254.169.254"), &datagrams, LIMITS.time).await;
    assert!(error.unwrap_err().to_string().contains("link-local"));
}

#[tokio::test]
async fn without_a_world_outside_nothing_is_reached() {
    let client = Client::new(Arc::new(NoReach), &Limits::default());
    let error = ask(&client, "", &LIMITS).await.unwrap_err();
    assert!(matches!(error, CallError::Connect(_)), "{error}");
}
