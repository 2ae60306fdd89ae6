//! The example API: orders of several customers. It checks nothing, as many APIs do, and notes
//! each request that reaches it.
//!
//! Limits: the last [`SEEN_MAX`] requests are noted, a body is read up to [`BODY_MAX`] bytes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::failure::Failure;

/// Requests that are noted.
const SEEN_MAX: usize = 1_024;
/// Largest body that is read.
const BODY_MAX: usize = 1 << 20;
/// Connections at a time.
const CONNECTIONS_MAX: usize = 256;
/// The field that names a request of the self-check.
pub(crate) const PROBE: &str = "x-probe";

/// A request as the example API saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its method.
    pub(crate) method: String,
    /// Its target.
    pub(crate) target: String,
    /// The consumer that the gateway names.
    pub(crate) consumer: Option<String>,
    /// The request of the self-check that it is.
    pub(crate) probe: Option<String>,
    /// Whether a token or key came with it.
    pub(crate) has_credential: bool,
}

/// The log of the example API. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<VecDeque<Seen>>>);

impl Log {
    fn note(&self, seen: Seen) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == SEEN_MAX {
            log.pop_front();
        }
        log.push_back(seen);
    }

    /// What was noted, oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The example API, bound and ready to serve.
#[derive(Debug)]
pub(crate) struct ExampleApi {
    listener: TcpListener,
    log: Log,
}

impl ExampleApi {
    /// Listens on the loopback at `port`, or at a free one if that is taken or 0.
    pub(crate) async fn bind(port: u16) -> Result<Self, Failure> {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = match TcpListener::bind(at(port)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(at(0)).await,
        };
        let listener = listener.map_err(|cause| {
            Failure::new(format!("the example API finds no free port: {cause}"))
        })?;
        Ok(Self { listener, log: Log::default() })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        self.listener
            .local_addr()
            .map_err(|cause| Failure::new(format!("the example API has no address: {cause}")))
    }

    /// Its log.
    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                    // Without descriptors the gateway in front has the same problem and says so.
                    let Ok((stream, _)) = accepted else { continue };
                    let log = self.log.clone();
                    connections.spawn(async move {
                        let service = service_fn(move |request| answer(log.clone(), request));
                        let _ = http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
            }
        }
    }
}

async fn answer(log: Log, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let field = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    log.note(Seen {
        method: request.method().to_string(),
        target: request.uri().to_string(),
        consumer: field("x-consumer-username"),
        probe: field(PROBE),
        has_credential: field("authorization").is_some() || field("apikey").is_some(),
    });
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(page(StatusCode::BAD_REQUEST, &json!({ "error": "no body" }))),
    };
    let (status, value) = resource(&head.method, head.uri.path(), &body);
    Ok(page(status, &value))
}

/// What the API holds at a path.
fn resource(method: &Method, path: &str, body: &[u8]) -> (StatusCode, Value) {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (method, segments.as_slice()) {
        (&Method::GET, ["orders", customer, number]) => (
            StatusCode::OK,
            json!({ "customer": customer, "order": number, "item": "tea", "quantity": 2 }),
        ),
        (&Method::POST, ["orders", customer, _]) => (
            StatusCode::CREATED,
            json!({
                "customer": customer,
                "order": "3",
                "accepted": serde_json::from_slice(body).unwrap_or(Value::Null),
            }),
        ),
        (&Method::GET, ["quotes", item]) => {
            (StatusCode::OK, json!({ "item": item, "price": "4.20" }))
        }
        (&Method::GET, ["reports", name]) => {
            (StatusCode::OK, json!({ "report": name, "revenue": 1_000_000 }))
        }
        (&Method::GET, ["prices"]) => (StatusCode::OK, json!({ "tea": "4.20", "cake": "3.10" })),
        _ => (StatusCode::NOT_FOUND, json!({ "error": "there is no such thing" })),
    }
}

fn page(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *page.status_mut() = status;
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_itself_refuses_nobody() {
        for path in ["/orders/alice/1", "/orders/bob/2", "/reports/revenue", "/quotes/tea"] {
            assert_eq!(resource(&Method::GET, path, b"").0, StatusCode::OK, "{path}");
        }
        let (status, _) = resource(&Method::POST, "/orders/bob/new", b"1; DROP TABLE orders");
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(resource(&Method::GET, "/", b"").0, StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_log_is_bounded_and_keeps_the_newest() {
        let log = Log::default();
        for number in 0..=SEEN_MAX {
            log.note(Seen {
                method: "GET".to_owned(),
                target: number.to_string(),
                consumer: None,
                probe: None,
                has_credential: false,
            });
        }
        let seen = log.seen();
        assert_eq!((seen.len(), seen[0].target.as_str()), (SEEN_MAX, "1"));
    }
}
