//! A client and servers that speak HTTP/2 by themselves.

use std::future::Future;
use std::sync::{Arc, Mutex};

use bartizan_testkit::Gateway;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::{Connection, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::DuplexStream;

/// A public route to an upstream of gRPC.
pub(crate) const OPEN: &str = r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:50051": 1}, scheme: grpc}
  plugins: {anonymous-access: {reason: a test}}
"#;

/// What is the same for every call.
pub(crate) type Call = (Request<RecvStream>, SendResponse<Bytes>);

/// A client with a connection of its own, which puts up with small messages.
pub(crate) async fn client(gateway: &Gateway) -> SendRequest<Bytes> {
    let mut settings = h2::client::Builder::new();
    settings.data_frame_budget(usize::MAX / 2);
    let (sender, connection) = settings.handshake(gateway.open_http2()).await.unwrap();
    tokio::task::spawn_local(connection);
    sender
}

/// A call whose body is still to come.
pub(crate) fn call(path: &str) -> Request<()> {
    Request::post(format!("http://api.test{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap()
}

/// A call that is over: what came of it.
#[derive(Debug, Default)]
pub(crate) struct Came {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Came {
    /// A field of the head, or of the trailers where the head has none.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name).or(self.trailers.get(name))?;
        Some(value.to_str().unwrap())
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(response: h2::client::ResponseFuture) -> Result<Came, h2::Error> {
    let (head, mut body) = response.await?.into_parts();
    let mut came = Came { status: head.status.as_u16(), fields: head.headers, ..Came::default() };
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        came.body.extend_from_slice(&data);
    }
    came.trailers = body.trailers().await?.unwrap_or_default();
    Ok(came)
}

/// Sends a call with this body, and reads its answer.
pub(crate) async fn ask(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: &'static [u8],
) -> Result<Came, h2::Error> {
    let (response, mut stream) = sender.clone().send_request(request, false)?;
    stream.send_data(Bytes::from_static(body), true)?;
    read(response).await
}

/// Sends data, and waits for the windows that it needs.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes, is_last: bool) {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        while stream.capacity() == 0 {
            std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        }
        let part = data.split_to(stream.capacity().min(data.len()));
        stream.send_data(part, is_last && data.is_empty()).unwrap();
    }
}

/// What the servers of a test have seen, in the order in which it came.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Serves every call that comes, each as a task of its own.
pub(crate) fn serve<F>(
    gateway: &Gateway,
    answer: impl Fn(usize, Call) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    serve_with(gateway, h2::server::Builder::new(), answer);
}

/// The same with settings of the server.
pub(crate) fn serve_with<F>(
    gateway: &Gateway,
    settings: h2::server::Builder,
    answer: impl Fn(usize, Call) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = ()> + 'static,
{
    gateway.upstream().take_over(move |io, number| {
        let (settings, answer) = (settings.clone(), answer.clone());
        async move {
            let mut connection: Connection<DuplexStream, Bytes> =
                settings.handshake(io).await.unwrap();
            while let Some(Ok(call)) = connection.accept().await {
                tokio::task::spawn_local(answer(number, call));
            }
        }
    });
}

/// Reads a request's body to its end.
pub(crate) async fn whole(body: &mut RecvStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        all.extend_from_slice(&data);
    }
    all
}

/// The head of an answer of gRPC.
pub(crate) fn ok() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

/// Trailers with this status.
pub(crate) fn status(code: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.parse().unwrap());
    trailers
}

/// Answers with what was asked.
pub(crate) async fn echo(_: usize, (request, mut respond): Call) {
    let mut body = request.into_body();
    let data = whole(&mut body).await;
    let Ok(mut stream) = respond.send_response(ok(), false) else { return };
    let _ = stream.send_data(data.into(), false);
    let _ = stream.send_trailers(status("0"));
}

/// A frame of HTTP/2.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, 0, 0, 0, 0, 0];
    [&head[..], payload].concat()
}
