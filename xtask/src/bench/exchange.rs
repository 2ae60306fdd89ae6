//! The client's side: connections, and one request with its answer over HTTP/1.1 or HTTP/2.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

/// A request that is sent many times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Bytes of the body.
    pub(crate) body: usize,
    /// The body itself, in place of so many bytes.
    #[serde(default)]
    pub(crate) content: Option<String>,
}

impl Request {
    /// A `GET` without further headers.
    pub(crate) fn get(path: &str) -> Self {
        Self {
            method: "GET".into(),
            path: path.into(),
            headers: Vec::new(),
            body: 0,
            content: None,
        }
    }

    /// The request as HTTP/1.1 writes it.
    pub(crate) fn to_bytes(&self, closes: bool) -> Bytes {
        let Self { method, path, headers, body, content } = self;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("user-agent")) {
            text.push_str("User-Agent: bench\r\n");
        }
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if let Some(content) = content {
            text.extend(["Content-Length: ", &content.len().to_string(), "\r\n"]);
        } else if *body > 0 {
            let length = body.to_string();
            text.push_str("Content-Type: application/octet-stream\r\n");
            text.extend(["Content-Length: ", &length, "\r\n"]);
        }
        if closes {
            text.push_str("Connection: close\r\n");
        }
        text.push_str("\r\n");
        if let Some(content) = content {
            text.push_str(content);
            return text.into_bytes().into();
        }
        let mut bytes = text.into_bytes();
        bytes.resize(bytes.len() + body, b'x');
        bytes.into()
    }
}

/// An answer, its body counted rather than kept.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) length: usize,
    /// Whether the body is the upstream's: nothing but its one letter.
    pub(crate) is_intact: bool,
    /// Whether the other side closes after it.
    pub(crate) closes: bool,
}

/// What a connection speaks over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// A client's certificate and its key, by their files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClientFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The least that a client of all four proxies has in common: TLS 1.3, X25519, AES-128-GCM, no
/// resumption; the certificate is verified.
pub(crate) fn connector(authority: &Path, protocol: &[u8]) -> Result<TlsConnector> {
    connector_of(authority, protocol, None)
}

/// The same for a client who shows a certificate where it is asked for one.
pub(crate) fn connector_of(
    authority: &Path,
    protocol: &[u8],
    client: Option<&ClientFiles>,
) -> Result<TlsConnector> {
    let mut suite = provider::default_provider();
    suite.cipher_suites = vec![provider::cipher_suite::TLS13_AES_128_GCM_SHA256];
    suite.kx_groups = vec![provider::kx_group::X25519];
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(suite))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some(ClientFiles { certificate, key }) => config.with_client_auth_cert(
            vec![CertificateDer::from_pem_file(certificate)?],
            PrivateKeyDer::from_pem_file(key)?,
        )?,
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Opens a connection, from a given address if there is one.
pub(crate) async fn connect(target: SocketAddr, from: Option<IpAddr>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(address) = from {
        socket.bind((address, 0).into())?;
    }
    let stream = socket.connect(target).await.context("cannot connect")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Opens a connection and, with a connector, TLS over it.
pub(crate) async fn open(
    target: SocketAddr,
    from: Option<IpAddr>,
    tls: Option<&TlsConnector>,
) -> Result<Box<dyn Stream>> {
    let stream = connect(target, from).await?;
    let Some(tls) = tls else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from("localhost")?;
    Ok(Box::new(tls.connect(name, stream).await.context("the TLS handshake failed")?))
}

/// Sends a request over HTTP/1.1 and reads its answer.
pub(crate) async fn exchange(
    stream: &mut (impl Stream + ?Sized),
    buffer: &mut BytesMut,
    request: &Bytes,
) -> Result<Answer> {
    stream.write_all(request).await?;
    stream.flush().await?;
    let (mut answer, head, length) = loop {
        if let Some(parsed) = parse(buffer)? {
            break parsed;
        }
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended before an answer");
    };
    buffer.advance(head);
    answer.is_intact = true;
    let Some(length) = length else { return chunked(stream, buffer, answer).await };
    answer.length = length;
    let mut missing = length;
    loop {
        let here = missing.min(buffer.len());
        answer.is_intact &= buffer[..here.min(16)].iter().all(|byte| *byte == b'x');
        buffer.advance(here);
        missing -= here;
        if missing == 0 {
            return Ok(answer);
        }
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended inside an answer");
    }
}

/// Reads a body in chunks up to its last one; the answer's length is that of the chunks.
async fn chunked(
    stream: &mut (impl Stream + ?Sized),
    buffer: &mut BytesMut,
    mut answer: Answer,
) -> Result<Answer> {
    loop {
        while let Some(line) = buffer.windows(2).position(|pair| pair == b"\r\n") {
            let size = std::str::from_utf8(&buffer[..line])?;
            let size = usize::from_str_radix(size, 16).context("a size of a chunk")?;
            let end = line + 2 + size + 2;
            if buffer.len() < end {
                break;
            }
            buffer.advance(end);
            answer.length += size;
            if size == 0 {
                return Ok(answer);
            }
        }
        ensure!(stream.read_buf(buffer).await? > 0, "the connection ended inside an answer");
    }
}

type Parsed = (Answer, usize, Option<usize>);

/// The answer at the start of a buffer, the length of its head and that of its body; none where
/// that comes in chunks.
fn parse(buffer: &[u8]) -> Result<Option<Parsed>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(buffer)? else { return Ok(None) };
    let mut answer = Answer { status: response.code.unwrap_or_default(), ..Answer::default() };
    let (mut length, mut is_chunked) = (None, false);
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        if header.name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse()?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = value.eq_ignore_ascii_case("chunked");
        } else if header.name.eq_ignore_ascii_case("connection") {
            answer.closes = value.eq_ignore_ascii_case("close");
        }
        answer.headers.push((header.name.to_ascii_lowercase(), value.into_owned()));
    }
    match length {
        Some(length) => Ok(Some((answer, head, Some(length)))),
        None if is_chunked => Ok(Some((answer, head, None))),
        None => bail!("an answer with status {} that states no length", answer.status),
    }
}

/// A connection that speaks HTTP/2; it ends when the last copy of this is dropped.
pub(crate) async fn open_http2(
    target: SocketAddr,
    tls: &TlsConnector,
) -> Result<h2::client::SendRequest<Bytes>> {
    let stream = connect(target, None).await?;
    let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
    ensure!(stream.get_ref().1.alpn_protocol() == Some(b"h2"), "HTTP/2 was not agreed upon");
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 24)
        .handshake(stream)
        .await?;
    // Its failure shows in the requests.
    drop(tokio::spawn(connection));
    Ok(sender)
}

/// Sends a request over HTTP/2 and reads its answer.
pub(crate) async fn exchange_http2(
    sender: &h2::client::SendRequest<Bytes>,
    request: &Request,
) -> Result<Answer> {
    let mut head = http::Request::builder()
        .method(request.method.as_str())
        .uri(format!("https://localhost{}", request.path))
        .header("user-agent", "bench");
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    let mut sender = sender.clone().ready().await?;
    let (response, mut body) = sender.send_request(head.body(())?, request.body == 0)?;
    ensure!(request.content.is_none(), "over HTTP/2, bodies have no content of their own");
    if request.body > 0 {
        body.send_data(Bytes::from(vec![b'x'; request.body]), true)?;
    }
    let (head, mut body) = response.await?.into_parts();
    let mut answer = Answer { status: head.status.as_u16(), is_intact: true, ..Answer::default() };
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        answer.headers.push((name.to_string(), value));
    }
    while let Some(piece) = body.data().await {
        let piece = piece?;
        answer.length += piece.len();
        answer.is_intact &= piece.iter().take(16).all(|byte| *byte == b'x');
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_states_the_length_of_its_body() {
        let request = Request { method: "POST".into(), body: 3, ..Request::get("/a") };
        let text = String::from_utf8(request.to_bytes(true).to_vec()).unwrap();
        assert!(text.starts_with("POST /a HTTP/1.1\r\nHost: localhost\r\n"));
        assert!(text.contains("\r\nContent-Length: 3\r\n"));
        assert!(text.ends_with("Connection: close\r\n\r\nxxx"));
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
        let (answer, head, length) =
            parse(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody")
                .unwrap()
                .unwrap();
        assert_eq!((answer.status, answer.closes, head, length), (200, true, 57, Some(4)));
    }
}
