use std::net::Ipv4Addr;

use bartizan_core::Timestamp;
use bartizan_core::metrics::NodeMetrics;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

struct Node {
    address: SocketAddr,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn node() -> Node {
    let (readiness, registry) = (Readiness::new(), SharedRegistry::default());
    let metrics = NodeMetrics::default();
    metrics.requests.inc();
    metrics.register(&mut registry.lock().unwrap());
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let server = StatusServer::bind(address, readiness.clone(), registry).await.unwrap();
    let address = server.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(server.serve(async {
        let _ = stopped.await;
    }));
    Node { address, readiness, stop, served }
}

/// What the server sends until it closes; nothing if it resets the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    match stream.read_to_string(&mut text).await {
        Ok(_) => text,
        Err(_) => String::new(),
    }
}

impl Node {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request and returns status, head and body.
    async fn ask(&self, line: &str) -> (u16, String, String) {
        let mut stream = self.connect().await;
        let request = format!("{line} HTTP/1.1\r\nHost: node\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask(&format!("GET {path}")).await;
        (status, body)
    }
}

#[tokio::test]
async fn a_living_node_is_healthy_before_it_is_ready() {
    let node = node().await;
    assert_eq!(node.get("/healthz").await, (200, r#"{"status":"ok"}"#.to_owned()));
    assert_eq!(node.get("/readyz").await.0, 503);
}

#[tokio::test]
async fn readiness_tells_what_is_served_and_what_was_refused() {
    let node = node().await;
    node.readiness.loaded(3, Timestamp::from_secs(1_700_000_000), vec!["route `a`".to_owned()]);
    node.readiness.refused(Timestamp::from_secs(1_700_000_001), "line 3: unknown key `uris_`");
    let (status, body) = node.get("/readyz").await;
    let report: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &report["generation"]), (200, &Value::from(3)));
    assert_eq!(report["last_error"], "line 3: unknown key `uris_`");
    assert_eq!(report["quarantined"][0], "route `a`");
    node.readiness.draining();
    let (status, body) = node.get("/readyz").await;
    assert_eq!(status, 503);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["draining"], true);
}

#[tokio::test]
async fn metrics_are_at_both_addresses() {
    let node = node().await;
    for path in ["/metrics", "/apisix/prometheus/metrics"] {
        let (status, head, body) = node.ask(&format!("GET {path}")).await;
        assert_eq!(status, 200);
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert!(body.contains("\nbartizan_requests_total 1\n"), "{body}");
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let node = node().await;
    let (status, head, body) = node.ask("HEAD /healthz").await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 15"), "{head}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let node = node().await;
    for path in ["/", "/healthz/", "/metrics/x", "/apisix/admin/routes"] {
        assert_eq!(node.get(path).await.0, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let (status, head, _) = node.ask(&format!("{method} /metrics")).await;
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("allow: get, head"), "{head}");
    }
}

#[tokio::test]
async fn a_connection_serves_one_request() {
    let node = node().await;
    let (_, head, _) = node.ask("GET /healthz").await;
    assert!(head.contains("connection: close"), "{head}");
    let mut stream = node.connect().await;
    let request = "GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n".repeat(3);
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(rest(stream).await.matches("HTTP/1.1 200").count() <= 1);
}

#[tokio::test]
async fn connections_beyond_the_bound_are_closed_and_room_comes_back() {
    let node = node().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(node.connect().await);
    }
    assert_eq!(rest(node.connect().await).await, "");
    drop(silent);
    loop {
        let mut stream = node.connect().await;
        let sent = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n").await;
        if sent.is_ok() && rest(stream).await.starts_with("HTTP/1.1 200") {
            break;
        }
    }
}

/// The clock is paused and moves when nothing else can happen: only the server waits by it.
#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_or_too_little_is_let_go() {
    let node = node().await;
    for sent in ["", "GET /healthz HT"] {
        let mut stream = node.connect().await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        let started = tokio::time::Instant::now();
        assert!(!rest(stream).await.contains("200"));
        assert!(started.elapsed() <= CONNECTION_TIME);
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let node = node().await;
    let mut stream = node.connect().await;
    let head =
        format!("GET /healthz HTTP/1.1\r\nHost: node\r\nx: {}\r\n\r\n", "a".repeat(HEAD_MAX));
    let _ = stream.write_all(head.as_bytes()).await;
    assert!(!rest(stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_server_that_is_stopped_ends() {
    let node = node().await;
    let open = node.connect().await;
    node.stop.send(()).unwrap();
    node.served.await.unwrap();
    assert_eq!(rest(open).await, "");
    assert!(TcpStream::connect(node.address).await.is_err());
}

#[tokio::test]
async fn pages_of_plugins_are_served_while_they_are_there() {
    let (readiness, registry) = (Readiness::new(), SharedRegistry::default());
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let find: FindPage =
        Arc::new(|path| (path == "/apisix/status").then(|| ("application/json", "{}".to_owned())));
    let server = StatusServer::bind(address, readiness.clone(), registry).await.unwrap();
    let server = server.with_pages(find);
    let address = server.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(server.serve(async {
        let _ = stopped.await;
    }));
    let node = Node { address, readiness, stop, served };
    assert_eq!(node.get("/apisix/status").await, (200, "{}".to_owned()));
    assert_eq!(node.get("/v1/server_info").await.0, 404);
    assert_eq!(node.ask("POST /apisix/status").await.0, 405);
}
