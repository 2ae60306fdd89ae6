//! The metered stream beneath a real HTTP/2 server.

use std::convert::Infallible;
use std::time::Duration;

use bartizan_core::Limits;
use bartizan_wire::{Flood, FloodWatch, MeterLimits, MeteredIo};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn serve() -> (DuplexStream, FloodWatch, JoinHandle<Result<(), hyper::Error>>) {
    let (client, server) = tokio::io::duplex(1 << 16);
    let metered = MeteredIo::new(server, MeterLimits::from(&Limits::default()));
    let watch = metered.watch();
    let service = service_fn(|_: Request<hyper::body::Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    });
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(metered), service);
    (client, watch, tokio::spawn(connection))
}

fn ping() -> Vec<u8> {
    [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat()
}

/// HEADERS of `GET https:///` from the static table, which end the stream.
fn get(stream: u32) -> Vec<u8> {
    [&[0, 0, 3, 1, 5][..], &stream.to_be_bytes(), &[0x82, 0x87, 0x84]].concat()
}

/// A `WINDOW_UPDATE` for which the server resets the stream with `FLOW_CONTROL_ERROR`.
fn overflowing_window_update(stream: u32) -> Vec<u8> {
    [&[0, 0, 4, 8, 0][..], &stream.to_be_bytes(), &0x7fff_ffff_u32.to_be_bytes()].concat()
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_client_is_served() {
    let (client, watch, served) = serve();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    let driver = tokio::spawn(connection);
    for _ in 0..50 {
        let request = Request::get("http://a.example/").body(Full::new(Bytes::new())).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    }
    drop(sender);
    driver.await.unwrap().unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(watch.flood(), None);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_ends_the_connection_and_says_so() {
    let (mut client, watch, served) = serve();
    client.write_all(PREFACE).await.unwrap();
    client.write_all(&ping().repeat(61)).await.unwrap();
    let error = served.await.unwrap().unwrap_err();
    assert_eq!(watch.flood(), Some(Flood::Ping), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn pings_that_come_slowly_are_no_flood() {
    let (mut client, watch, served) = serve();
    client.write_all(PREFACE).await.unwrap();
    for _ in 0..5 {
        client.write_all(&ping().repeat(50)).await.unwrap();
        // Until the last answer is here, the server has read them all.
        let mut answers = vec![0; 50 * 17];
        client.read_exact(&mut answers).await.unwrap();
        tokio::time::advance(Duration::from_secs(11)).await;
    }
    drop(client);
    let _ = served.await.unwrap();
    assert_eq!(watch.flood(), None);
}

#[tokio::test(start_paused = true)]
async fn resets_provoked_from_the_server_are_a_flood() {
    let (client, watch, served) = serve();
    let (mut answers, mut requests) = tokio::io::split(client);
    let reader = tokio::spawn(async move {
        let mut sink = Vec::new();
        let _ = answers.read_to_end(&mut sink).await;
    });
    requests.write_all(PREFACE).await.unwrap();
    for n in 0..400 {
        let stream = n * 2 + 1;
        let frames = [open(stream), overflowing_window_update(stream)].concat();
        if requests.write_all(&frames).await.is_err() {
            break;
        }
    }
    let _ = served.await.unwrap();
    reader.await.unwrap();
    assert_eq!(watch.flood(), Some(Flood::ProvokedResets));
}

/// HEADERS of a POST whose body is to follow.
fn open(stream: u32) -> Vec<u8> {
    let mut frame = get(stream);
    frame[4] = 4;
    frame[9] = 0x83;
    frame
}
