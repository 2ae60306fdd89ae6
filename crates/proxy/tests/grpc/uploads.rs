//! Bodies of requests on their way to an upstream.

use std::sync::Arc;
use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::kit::{Call, OPEN, Seen, call, client, frame, ok, send, serve, status};

#[test]
fn pieces_that_come_together_leave_together() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let seen = Seen::default();
        let notes = seen.clone();
        serve(&gateway, move |_, (request, mut respond): Call| {
            let notes = notes.clone();
            async move {
                let mut body = request.into_body();
                while let Some(Ok(data)) = body.data().await {
                    let _ = body.flow_control().release_capacity(data.len());
                    notes.note(data.len().to_string());
                }
                let mut stream = respond.send_response(ok(), false).unwrap();
                stream.send_trailers(status("0")).unwrap();
            }
        });
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let reply = gateway.raw([head, &"1\r\nx\r\n".repeat(5_000), "0\r\n\r\n"].concat()).send();
        assert_eq!(reply.await.trailer("grpc-status"), Some("0"));
        let sizes: Vec<usize> = seen.all().iter().map(|size| size.parse().unwrap()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 5_000);
        assert!(sizes.len() <= 4, "{sizes:?}");
    });
}

/// The sizes of the frames of data in what a client sent.
fn sizes_of_data(mut sent: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let Some((&[a, b, c, kind, _, _, _, _, _], rest)) = sent.split_first_chunk() {
        let size = usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap();
        if kind == 0 {
            sizes.push(size);
        }
        sent = rest.get(size..).unwrap_or_default();
    }
    sizes
}

#[test]
fn single_bytes_do_not_pile_up_before_an_upstream_that_takes_nothing() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let (begin, seen) = (Arc::new(Notify::new()), Seen::default());
        let (begins, notes) = (begin.clone(), seen.clone());
        gateway.upstream().take_over(move |mut io, _| {
            let (begins, notes) = (begins.clone(), notes.clone());
            async move {
                // Windows that are no bound here.
                let settings = frame(4, &[0, 4, 0, 0x10, 0, 0]);
                let window = frame(8, &[0, 0x10, 0, 0]);
                io.write_all(&[settings, window].concat()).await.unwrap();
                begins.notified().await;
                let mut sent = Vec::new();
                let _ =
                    tokio::time::timeout(Duration::from_secs(1), io.read_to_end(&mut sent)).await;
                let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
                for size in sizes_of_data(&sent[preface..]) {
                    notes.note(size.to_string());
                }
            }
        });
        let mut sender = client(&gateway).await;
        let (_response, mut stream) = sender.send_request(call("/"), false).unwrap();
        gateway.advance(Duration::from_millis(1)).await;
        // What lies between the two is full.
        send(&mut stream, Bytes::from(vec![7; 70_000]), false).await;
        for _ in 0..2_000 {
            send(&mut stream, Bytes::from_static(b"x"), false).await;
            gateway.advance(Duration::from_millis(1)).await;
        }
        begin.notify_one();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let sizes: Vec<usize> = seen.all().iter().map(|size| size.parse().unwrap()).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 72_000);
        let small = sizes.iter().filter(|size| **size == 1).count();
        assert!((200..=256).contains(&small), "{small} of {sizes:?}");
    });
}
