//! The upstream of all cases: as little as answers correctly. Its time is not measured.
//!
//! Paths below `/p/` and `/q/`, which `bench plugins` uses, are answered with 1 KiB of JSON, and those
//! below `/v1/data/` like a policy engine that allows. `/introspection`, which `bench identity` uses,
//! says of every token but [`WITHDRAWN`] that it is good. Otherwise `POST` reads a body of stated length and answers `ok`; a path that ends in `/large` answers
//! 100 KB, any other 1 KiB.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, bail};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// Bytes of the ordinary answer.
pub(crate) const SMALL: usize = 1024;
/// Bytes of the large answer.
pub(crate) const LARGE: usize = 100 * 1000;
/// Bytes of the answer to a `POST`.
pub(crate) const ACCEPTED: usize = 2;
/// The most bytes of a head.
const HEAD_MAX: usize = 64 * 1024;

/// Options of the hidden task.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where to listen, on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Where to take whatever comes, as streams and as datagrams.
    #[arg(long)]
    sink: Option<u16>,
}

/// The body of answers in JSON: 1 KiB.
const JSON: &[u8] = include_bytes!("../../../bench/answer.json");
/// What a policy engine and an issuer of tokens answer.
const ALLOWED: &[u8] = br#"{"active":true,"aud":"orders","result":{"allow":true}}"#;
/// What an issuer of opaque tokens answers, and what it says of the one that it withdrew.
const ACTIVE: &[u8] = br#"{"active":true,"aud":"orders-api","sub":"consumer-00","exp":4102444800}"#;
const INACTIVE: &[u8] = br#"{"active":false}"#;
/// The opaque token that was withdrawn.
pub(crate) const WITHDRAWN: &str = "withdrawn-token-0123456789";

/// Serves until it is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    super::runtime()?.block_on(async {
        let listener = TcpListener::bind(address).await.context("cannot listen")?;
        if let Some(port) = options.sink {
            take_everything(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        }
        loop {
            let (stream, _) = listener.accept().await?;
            // A connection that breaks shows as an error of the load generator.
            drop(tokio::spawn(serve(stream)));
        }
    })
}

/// Takes streams and datagrams, and looks at none.
async fn take_everything(address: SocketAddr) -> Result<()> {
    let streams = TcpListener::bind(address).await.context("cannot listen")?;
    let datagrams = UdpSocket::bind(address).await.context("cannot listen")?;
    drop(tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while datagrams.recv(&mut buffer).await.is_ok() {}
    }));
    drop(tokio::spawn(async move {
        while let Ok((mut stream, _)) = streams.accept().await {
            drop(tokio::spawn(async move {
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
            }));
        }
    }));
    Ok(())
}

/// The answers, heads included.
struct Answers {
    small: Bytes,
    large: Bytes,
    accepted: Bytes,
    json: Bytes,
    allowed: Bytes,
    active: Bytes,
    inactive: Bytes,
}

impl Answers {
    fn new() -> Self {
        let of = |length: usize| {
            let mut answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
                 Content-Length: {length}\r\n\r\n"
            )
            .into_bytes();
            answer.resize(answer.len() + length, b'x');
            Bytes::from(answer)
        };
        let of_json = |body: &[u8]| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-User: alice\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            Bytes::from([head.as_bytes(), body].concat())
        };
        Self {
            small: of(SMALL),
            large: of(LARGE),
            accepted: of(ACCEPTED),
            json: of_json(JSON),
            allowed: of_json(ALLOWED),
            active: of_json(ACTIVE),
            inactive: of_json(INACTIVE),
        }
    }
}

async fn serve(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let answers = Answers::new();
    let mut buffer = BytesMut::with_capacity(128 * 1024);
    loop {
        let Some(request) = next_request(&mut stream, &mut buffer).await? else { return Ok(()) };
        let mut answer = match request {
            Request::Json => answers.json.clone(),
            Request::Question => answers.allowed.clone(),
            Request::Introspection { is_withdrawn: false } => answers.active.clone(),
            Request::Introspection { is_withdrawn: true } => answers.inactive.clone(),
            Request::Post => answers.accepted.clone(),
            Request::Large => answers.large.clone(),
            Request::Other => answers.small.clone(),
        };
        stream.write_all_buf(&mut answer).await?;
    }
}

enum Request {
    Json,
    Question,
    Introspection { is_withdrawn: bool },
    Post,
    Large,
    Other,
}

/// Reads one request with its body; `None` at the end of the connection.
async fn next_request(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Option<Request>> {
    loop {
        if let Some((mut request, head, body)) = parse(buffer)? {
            buffer.advance(head);
            let mut missing = body;
            loop {
                let here = missing.min(buffer.len());
                if let Request::Introspection { is_withdrawn } = &mut request {
                    // A form this short comes in one piece.
                    let mut windows = buffer[..here].windows(WITHDRAWN.len());
                    *is_withdrawn |= windows.any(|window| window == WITHDRAWN.as_bytes());
                }
                buffer.advance(here);
                missing -= here;
                if missing == 0 {
                    return Ok(Some(request));
                }
                if stream.read_buf(buffer).await? == 0 {
                    bail!("the connection ended inside a body");
                }
            }
        }
        if buffer.len() > HEAD_MAX {
            bail!("a head that does not end");
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The request at the start of a buffer, the length of its head and that of its body.
fn parse(buffer: &[u8]) -> Result<Option<(Request, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(buffer)? else { return Ok(None) };
    let mut body = 0;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            body = std::str::from_utf8(header.value)?.parse()?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("bodies must state their length");
        }
    }
    let kind = match (request.method, request.path) {
        (_, Some(path)) if path.starts_with("/p/") || path.starts_with("/q/") => Request::Json,
        (_, Some(path)) if path.starts_with("/v1/data/") || path == "/introspect" => {
            Request::Question
        }
        (_, Some("/introspection")) => Request::Introspection { is_withdrawn: false },
        (Some("POST"), _) => Request::Post,
        (_, Some(path)) if path.ends_with("/large") => Request::Large,
        _ => Request::Other,
    };
    Ok(Some((kind, head, body)))
}
