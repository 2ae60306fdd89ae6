//! The listener of the Admin API and the dashboard: HTTP/1.1, over TLS where the node file says so.
//!
//! Limits: [`ADMIN_CONNECTIONS_MAX`] connections, 16 KiB of head, 1.5 MiB of body; ten seconds for
//! a handshake and for a head, thirty for a body. Who is not in `allow` gets no handshake; on
//! plaintext they are told 403.
//!
//! A change does not end with the connection that it came by: the node makes it in any case, so
//! that it must be recorded in any case.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::AdminTls;
use bartizan_core::Clock;
use bartizan_tls::{
    ApplicationProtocol, CertificateSource, CertificateStore, ClientSource, StoreSettings,
    TicketKeys, TlsVersion,
};
use bytes::{Bytes, BytesMut};
use http::header::CONNECTION;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::{Answer, Api, BODY_MAX, LOOK};
use crate::dashboard::{self, Dashboard, FORM_MAX};
use crate::operators::Operator;

/// Connections at a time; more are closed at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;
/// Time for the head of a request, and for a handshake.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Time for the body of a request.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Most of a body that is discarded.
const DISCARDED_MAX: usize = 16 * 1_024 * 1_024;
/// The same, of somebody without a good key.
const UNKNOWN_MAX: usize = 64 * 1_024;
/// Time for a connection.
const CONNECTION_TIME: Duration = Duration::from_secs(600);
/// Changes under way at a time, also those whose connections are gone; more wait.
pub(crate) const CHANGES_MAX: u32 = 64;
/// Time for the changes that are under way when the listener closes.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// Longest head of a request.
const HEAD_MAX: usize = 16 * 1_024;
/// How long to wait when the system can accept no connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listener of the Admin API, bound and ready to serve.
pub struct AdminServer {
    listener: TcpListener,
    gate: Arc<Gate>,
}

/// What a connection must pass, and what answers behind it.
struct Gate {
    api: Api,
    dashboard: Option<Dashboard>,
    allow: Vec<IpNet>,
    tls: Option<CertificateStore>,
    asks_clients: bool,
    /// One permit for each change under way.
    changes: Arc<Semaphore>,
}

impl std::fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminServer").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// The certificate that the listener shows, and what it asks of clients; or what is wrong with it.
fn certificates(tls: &AdminTls, clock: &Clock) -> Result<CertificateStore, String> {
    let source = CertificateSource {
        id: "admin".into(),
        snis: Vec::new(),
        pairs: vec![(tls.cert.clone(), tls.key.clone())],
        client: tls.client_ca.as_ref().map(|ca| ClientSource {
            ca: ca.clone(),
            depth: 1,
            skip_mtls_uri_regex: Vec::new(),
        }),
        protocols: Vec::new(),
    };
    let tickets = TicketKeys::new().map_err(|fault| fault.to_string())?;
    let settings = StoreSettings {
        minimum: TlsVersion::Tls12,
        alpn: &[ApplicationProtocol::Http1],
        default: Some("admin"),
        refused_names: &[],
        tickets: &tickets,
        clock,
        previous: None,
    };
    CertificateStore::build(&[source], &settings).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })
}

impl AdminServer {
    /// Serves on a listener that is bound already; fails where its certificate cannot be shown.
    pub fn new(
        listener: TcpListener,
        api: Api,
        allow: Vec<IpNet>,
        tls: Option<&AdminTls>,
        clock: &Clock,
    ) -> Result<Self, String> {
        let asks_clients = tls.is_some_and(|tls| tls.client_ca.is_some());
        let tls = tls.map(|tls| certificates(tls, clock)).transpose()?;
        let changes = Arc::new(Semaphore::new(CHANGES_MAX as usize));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let dashboard =
            api.has_dashboard().then(|| Dashboard::new(api.clone(), port, tls.is_some()));
        let gate = Arc::new(Gate { api, dashboard, allow, tls, asks_clients, changes });
        Ok(Self { listener, gate })
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is ready, then cuts what still runs, except for changes: these come to
    /// their end, and are recorded.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let changes = Arc::clone(&self.gate.changes);
        self.serve_until(stop).await;
        if timeout(DRAIN_TIME, changes.acquire_many(CHANGES_MAX)).await.is_err() {
            tracing::error!("changes are cut that did not come to their end in time");
        }
    }

    async fn serve_until(self, stop: impl Future<Output = ()>) {
        let mut connections = JoinSet::new();
        connections.spawn(Arc::clone(&self.gate).expire());
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) if connections.len() <= ADMIN_CONNECTIONS_MAX => {
                        let gate = Arc::clone(&self.gate);
                        connections.spawn(async move {
                            let served = gate.connection(stream, peer.ip().to_canonical());
                            let _ = timeout(CONNECTION_TIME, served).await;
                        });
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the admin listener cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

impl Gate {
    fn admits(&self, peer: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&peer))
    }

    /// Serves a connection. Its failure concerns nobody but the client.
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: IpAddr) {
        let is_admitted = self.admits(peer);
        if !is_admitted {
            tracing::warn!(%peer, "the admin listener refuses an address that is not in `allow`");
        }
        match &self.tls {
            None => self.clone().requests(stream, peer, is_admitted).await,
            Some(_) if !is_admitted => {}
            Some(store) => {
                let shaken = timeout(HEAD_TIME, bartizan_tls::accept(stream, store)).await;
                let Ok(Ok((stream, session))) = shaken else { return };
                let is_proved = !self.asks_clients || session.client_certificate.is_some();
                self.clone().requests(stream, peer, is_proved).await;
            }
        }
    }

    async fn requests<S>(self: Arc<Self>, stream: S, peer: IpAddr, is_admitted: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request: Request<Incoming>| {
            let gate = Arc::clone(&self);
            async move { Ok::<_, Infallible>(gate.answer(request, peer, is_admitted).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let _ = connection.await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        is_admitted: bool,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        if !is_admitted {
            let mut response = Response::new(Full::new(Bytes::from_static(b"forbidden")));
            *response.status_mut() = StatusCode::FORBIDDEN;
            return closing(response);
        }
        if let Some(ui) = self.dashboard.as_ref().filter(|_| dashboard::is_of(head.uri.path())) {
            let read = timeout(HEAD_TIME, read(body, FORM_MAX, UNKNOWN_MAX)).await;
            let body = read.ok().flatten();
            let is_whole = body.is_some();
            let response = ui.answer(&head, body, peer).await;
            return if is_whole { response } else { closing(response) };
        }
        if let Some(answer) = self.api.open_answer(&head) {
            return self.api.finish(&head, answer);
        }
        // Before the body: who has no key sends none.
        let operator = match self.api.before_body(&head, peer) {
            Ok(operator) => operator,
            Err(answer) => {
                let _ = timeout(HEAD_TIME, read(body, 0, UNKNOWN_MAX)).await;
                return closing(self.api.finish(&head, answer));
            }
        };
        let read = timeout(BODY_TIME, read(body, BODY_MAX, DISCARDED_MAX)).await;
        let Ok(Some(body)) = read else {
            let answer = crate::api::body_refused();
            return closing(self.api.finish(&head, answer));
        };
        let answer = self.work(&head, body, operator).await;
        self.api.finish(&head, answer)
    }

    /// Does what is asked for.
    async fn work(&self, head: &Parts, body: Bytes, operator: Operator) -> Answer {
        let api = self.api.clone();
        let (head, is_read) = (head.clone(), matches!(head.method, Method::GET | Method::HEAD));
        if is_read {
            return api.answer(head, body, operator).await;
        }
        let change = self.change(async move { api.answer(head, body, operator).await });
        change.await.unwrap_or_else(Answer::failed)
    }

    /// Removes objects at their end, for as long as it is polled.
    async fn expire(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            if self.api.is_expiring() {
                let api = self.api.clone();
                let _ = self.change(async move { api.expire_now().await }).await;
            }
        }
    }

    /// Makes a change in a task of its own, which outlives whoever waits for it; `None` where it
    /// ended by a panic.
    async fn change<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        // It is never closed.
        let permit = Arc::clone(&self.changes).acquire_owned().await;
        let change = tokio::spawn(async move {
            let done = change.await;
            drop(permit);
            done
        });
        let failed = |error| tracing::error!("a request to the Admin API failed: {error}");
        change.await.map_err(failed).ok()
    }
}

/// Reads a body of at most `max` bytes. Of a longer one, so much is discarded that its sender gets
/// to read the answer, up to `discarded_max` bytes.
async fn read(mut body: Incoming, max: usize, discarded_max: usize) -> Option<Bytes> {
    let mut text = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= max {
            text.extend_from_slice(&data);
        } else if length > discarded_max {
            return None;
        }
    }
    (length <= max).then(|| text.freeze())
}

/// Ends the connection after an answer: what follows may be the rest of a body.
fn closing(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
