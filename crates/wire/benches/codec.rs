//! What the codec costs per request.

use bartizan_wire::{
    BodyLength, Canonical, ConnectionUse, HeadLimits, HeadScan, OutgoingRequest, OutgoingResponse,
    PathPolicy, Progress, RequestHead, Version, encode_request, encode_response, parse_request,
    parse_response,
};
use bytes::BytesMut;
use divan::{Bencher, black_box};
use http::{Method, StatusCode};

fn main() {
    divan::main();
}

const REQUEST: &str = "GET /api/v1/orders/4711?expand=items HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl\r\n\
    X-Request-Id: 0190b6f4-7d5c-7c44-a5a1-1f2c3d4e5f60\r\n\
    Connection: keep-alive\r\n\r\n";

const RESPONSE: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 1024\r\n\
    Date: Tue, 24 Nov 2026 10:00:00 GMT\r\n\
    Server: backend\r\n\
    Cache-Control: no-store\r\n\
    ETag: \"33a64df5\"\r\n\r\n";

fn parse(buffer: &mut BytesMut, scan: &mut HeadScan) -> RequestHead {
    match parse_request(buffer, scan, &HeadLimits::default()) {
        Ok(Progress::Complete(head)) => head,
        other => panic!("{other:?}"),
    }
}

fn request() -> RequestHead {
    parse(&mut BytesMut::from(REQUEST), &mut HeadScan::default())
}

/// A connection's buffer, from which one request after another is parsed.
#[divan::bench(sample_size = 500)]
fn request_parsed(bencher: Bencher<'_, '_>) {
    let mut buffer = BytesMut::with_capacity(16 << 10);
    let mut scan = HeadScan::default();
    bencher.bench_local(|| {
        buffer.extend_from_slice(black_box(REQUEST.as_bytes()));
        parse(&mut buffer, &mut scan)
    });
}

#[divan::bench(sample_size = 500)]
fn response_parsed(bencher: Bencher<'_, '_>) {
    let mut buffer = BytesMut::with_capacity(16 << 10);
    let mut scan = HeadScan::default();
    bencher.bench_local(|| {
        buffer.extend_from_slice(black_box(RESPONSE.as_bytes()));
        parse_response(&mut buffer, &mut scan, &HeadLimits::default(), &Method::GET)
    });
}

#[divan::bench(sample_size = 500)]
fn plain_target_canonicalised(bencher: Bencher<'_, '_>) {
    let head = request();
    bencher.bench_local(|| Canonical::from_request(black_box(&head), true, PathPolicy::default()));
}

#[divan::bench(sample_size = 500)]
fn encoded_target_canonicalised(bencher: Bencher<'_, '_>) {
    let text = REQUEST.replace("/orders/", "//%6frders/./x/../caf%c3%a9/");
    let head = parse(&mut BytesMut::from(text.as_str()), &mut HeadScan::default());
    bencher.bench_local(|| Canonical::from_request(black_box(&head), true, PathPolicy::default()));
}

#[divan::bench(sample_size = 500)]
fn request_encoded(bencher: Bencher<'_, '_>) {
    let head = request();
    let mut out = Vec::with_capacity(4 << 10);
    bencher.bench_local(|| {
        out.clear();
        let request = OutgoingRequest {
            method: &head.method,
            target: "/api/v1/orders/4711?expand=items",
            host: "api.example.com",
            fields: black_box(&head.fields),
            lines: None,
            forwarded_host: None,
            body: BodyLength::None,
            connection: ConnectionUse::KeepAlive,
            websocket: false,
            expect_continue: false,
        };
        encode_request(&mut out, &request)
    });
}

#[divan::bench(sample_size = 500)]
fn response_encoded(bencher: Bencher<'_, '_>) {
    let mut buffer = BytesMut::from(RESPONSE);
    let limits = HeadLimits::default();
    let parsed = parse_response(&mut buffer, &mut HeadScan::default(), &limits, &Method::GET);
    let Ok(Progress::Complete(head)) = parsed else { panic!("{parsed:?}") };
    let mut out = Vec::with_capacity(4 << 10);
    bencher.bench_local(|| {
        out.clear();
        let response = OutgoingResponse {
            status: StatusCode::OK,
            version: Version::Http11,
            method: &Method::GET,
            fields: black_box(&head.fields),
            body: head.body,
            declared_length: None,
            connection: ConnectionUse::KeepAlive,
        };
        encode_response(&mut out, &response)
    });
}
