//! The status listener: health, readiness and metrics, over plain HTTP/1.1.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 while the process lives |
//! | `/readyz` | 200 if the node serves, 503 if it has no configuration or drains; why, as JSON |
//! | `/metrics`, `/apisix/prometheus/metrics` | the node's metrics, for Prometheus |
//! | others | the pages of plugins that are in force, such as `node-status` |
//!
//! It asks for no credential and is meant for loopback or a management network: `/readyz` shows
//! the diagnostics of a refused configuration. Limits: [`CONNECTIONS_MAX`] connections, one
//! request on each, five seconds for its head and ten for all of it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::exposition::{self, exposition};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::readiness::Readiness;

/// Connections at a time; more are closed at once.
pub const CONNECTIONS_MAX: usize = 64;
/// Time for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// Time for a connection.
const CONNECTION_TIME: Duration = Duration::from_secs(10);
/// Longest head of a request.
const HEAD_MAX: usize = 16 * 1_024;
/// How long to wait when the system can accept no connection, such as for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const JSON: &str = "application/json";

/// The registry that `/metrics` shows, shared with whoever registers metrics.
pub type SharedRegistry = Arc<Mutex<Registry>>;

/// Finds the page of a plugin by its path: its media type and its text.
pub type FindPage = Arc<dyn Fn(&str) -> Option<(&'static str, String)> + Send + Sync>;

/// What the pages are made of.
#[derive(Clone)]
struct Pages {
    readiness: Readiness,
    registry: SharedRegistry,
    of_plugins: Option<FindPage>,
}

/// The status listener, bound and ready to serve.
pub struct StatusServer {
    listener: TcpListener,
    pages: Pages,
}

impl std::fmt::Debug for StatusServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusServer").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl StatusServer {
    /// Binds the address.
    pub async fn bind(
        address: SocketAddr,
        readiness: Readiness,
        registry: SharedRegistry,
    ) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?, readiness, registry))
    }

    /// Serves on a listener that is bound already.
    pub fn new(listener: TcpListener, readiness: Readiness, registry: SharedRegistry) -> Self {
        Self { listener, pages: Pages { readiness, registry, of_plugins: None } }
    }

    /// Serves the pages of plugins too.
    #[must_use]
    pub fn with_pages(mut self, find: FindPage) -> Self {
        self.pages.of_plugins = Some(find);
        self
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is ready, then cuts what still runs. It should stop last, so that
    /// `/readyz` can tell that the node drains.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                        connections.spawn(serve(stream, self.pages.clone()));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the status listener cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

/// Serves the one request of a connection. Its failure concerns nobody but the client.
async fn serve(stream: TcpStream, pages: Pages) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = pages.answer(request.method(), request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = tokio::time::timeout(CONNECTION_TIME, connection).await;
}

impl Pages {
    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let page = match path {
            "/healthz" => Self::health,
            "/readyz" => Self::ready,
            "/metrics" | "/apisix/prometheus/metrics" => Self::metrics,
            _ => Self::of_plugin,
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            let text = r#"{"error":"method not allowed"}"#;
            let mut answer = self::page(StatusCode::METHOD_NOT_ALLOWED, JSON, text);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        page(self, path)
    }

    fn of_plugin(&self, path: &str) -> Response<Full<Bytes>> {
        match self.of_plugins.as_ref().and_then(|find| find(path)) {
            Some((media, text)) => page(StatusCode::OK, media, text),
            None => page(StatusCode::NOT_FOUND, JSON, r#"{"error":"not found"}"#),
        }
    }

    #[expect(clippy::unused_self, reason = "one of several pages with the same signature")]
    fn health(&self, _path: &str) -> Response<Full<Bytes>> {
        page(StatusCode::OK, JSON, r#"{"status":"ok"}"#)
    }

    fn ready(&self, _path: &str) -> Response<Full<Bytes>> {
        let (is_ready, report) = self.readiness.report();
        let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        page(status, JSON, report.to_string())
    }

    fn metrics(&self, _path: &str) -> Response<Full<Bytes>> {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        exposition(&registry).map_or_else(
            |_| {
                let text = r#"{"error":"the metrics cannot be written"}"#;
                page(StatusCode::INTERNAL_SERVER_ERROR, JSON, text)
            },
            |text| page(StatusCode::OK, exposition::CONTENT_TYPE, text),
        )
    }
}

fn page(
    status: StatusCode,
    content_type: &'static str,
    text: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
