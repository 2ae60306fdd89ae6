//! Valid requests mean to us what they mean to hyper.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bartizan_wire::{
    BodyLength, BodyReader, ChunkLimits, HeadLimits, HeadScan, Progress, parse_request,
};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

/// Method, target, fields without framing, body.
type Meaning = (String, String, Vec<(String, Vec<u8>)>, Vec<u8>);

const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

fn ours(bytes: &[u8]) -> Meaning {
    let mut buffer = BytesMut::from(bytes);
    let head = match parse_request(&mut buffer, &mut HeadScan::default(), &HeadLimits::default()) {
        Ok(Progress::Complete(head)) => head,
        other => panic!("{other:?}"),
    };
    let mut reader = BodyReader::new(head.body, ChunkLimits::default());
    let (mut body, mut rest) = (Vec::new(), &buffer[..]);
    while !reader.is_done() {
        let taken = reader.take(rest).unwrap();
        body.extend_from_slice(&rest[taken.data]);
        rest = &rest[taken.consumed..];
    }
    assert!(rest.is_empty(), "bytes left over");
    assert!(head.body != BodyLength::None || body.is_empty());
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    let mut fields: Vec<_> = head.fields.iter().map(|f| (text(f.name), f.value.to_vec())).collect();
    fields.sort();
    (head.method.to_string(), text(&head.target), fields, body)
}

async fn hypers(bytes: Vec<u8>) -> Meaning {
    let seen: Arc<Mutex<Option<Meaning>>> = Arc::default();
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let keep = Arc::clone(&seen);
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let keep = Arc::clone(&keep);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            let mut fields: Vec<_> = parts
                .headers
                .iter()
                .filter(|(name, _)| !FRAMING.contains(&name.as_str()))
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect();
            fields.sort();
            let meaning = (parts.method.to_string(), parts.uri.to_string(), fields, body);
            *keep.lock().unwrap() = Some(meaning);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    client.write_all(&bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service);
    connection.await.unwrap();
    let meaning = seen.lock().unwrap().take();
    meaning.unwrap()
}

fn chunks(body: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in body.chunks(size) {
        out.extend_from_slice(format!("{:X}\r\n", piece.len()).as_bytes());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn valid_request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE"), Just("QUERY")];
    let target =
        "/[a-z0-9~._-]{0,8}(/[a-zA-Z0-9%]{0,0}[a-z]{1,5}){0,3}(\\?[a-z]{1,4}=[a-z0-9+]{0,6})?";
    let name = "[Xx]-[A-Za-z0-9!#$&'*+.^|~-]{1,12}";
    let value = "([!-~]([ -~\t]{0,20}[!-~])?)?";
    let fields = prop::collection::vec((name, value), 0..6);
    let body = prop::collection::vec(any::<u8>(), 0..60);
    (method, target, fields, prop::option::of((body, 0..20_usize))).prop_map(
        |(method, target, fields, body)| {
            let lines: Vec<_> = fields.iter().map(|(n, v)| [n, ": ", v, "\r\n"].concat()).collect();
            let lines = lines.concat();
            let (framing, body) = match body {
                None => (String::new(), Vec::new()),
                Some((body, 0)) => (format!("Content-Length: {}\r\n", body.len()), body),
                Some((body, size)) => {
                    ("Transfer-Encoding: chunked\r\n".to_owned(), chunks(&body, size))
                }
            };
            let head =
                format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n{lines}{framing}\r\n");
            [head.as_bytes(), &body].concat()
        },
    )
}

proptest! {
    #[test]
    fn valid_requests_mean_the_same_to_hyper(bytes in valid_request()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let theirs = runtime.block_on(hypers(bytes.clone()));
        prop_assert_eq!(ours(&bytes), theirs);
    }
}
