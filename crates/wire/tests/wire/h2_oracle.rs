//! A client of another make understands our HTTP/2, and we understand its.

use std::time::Duration;

use bartizan_core::Limits;
use bartizan_wire::{
    BodyLength, ConnectionLimits, ConnectionUse, Fields, H2Connection, H2Event, OutgoingResponse,
    TakenBody, Version,
};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Fields and a body, of a request or an answer.
type Message = (Vec<(String, String)>, Vec<u8>);

/// Serves: each answer has the fields and the body of its request, and a trailer.
async fn mirror(mut io: DuplexStream) {
    let mut connection = H2Connection::new(ConnectionLimits::from(&Limits::default()));
    let mut buffer = vec![0; 1_000];
    let mut open: Vec<(u32, Vec<u8>, bool, usize)> = Vec::new();
    loop {
        while !connection.pending().is_empty() {
            let Ok(count) = io.write(connection.pending()).await else { return };
            connection.advance(count);
        }
        let Ok(count) = io.read(&mut buffer).await else { return };
        if count == 0 {
            return;
        }
        connection.receive(&buffer[..count], &|| Duration::ZERO).unwrap();
        while let Some(event) = connection.next_event() {
            let H2Event::Opened { stream, head } = event else { continue };
            let mut fields = head.unwrap().fields;
            fields.remove("host");
            let mut own = Fields::new();
            for field in fields.iter() {
                own.append(field.name.to_vec(), field.value.to_vec());
            }
            let head = OutgoingResponse {
                status: StatusCode::OK,
                version: Version::Http2,
                method: &Method::POST,
                fields: &own,
                body: BodyLength::Chunked,
                declared_length: None,
                connection: ConnectionUse::KeepAlive,
            };
            connection.send_head(stream, &head, false).unwrap();
            open.push((stream, Vec::new(), false, 0));
        }
        for (stream, body, is_whole, sent) in &mut open {
            loop {
                match connection.take_body(*stream) {
                    TakenBody::Data(data) => body.extend_from_slice(&data),
                    TakenBody::End => break *is_whole = true,
                    TakenBody::Wait | TakenBody::Gone => break,
                }
            }
            *sent += connection.send_data(*stream, &body[*sent..], false);
            if *is_whole && *sent == body.len() {
                let mut trailers = Fields::new();
                trailers.append("x-length", body.len().to_string());
                connection.send_trailers(*stream, &trailers);
                *is_whole = false;
            }
        }
    }
}

async fn ask(sender: &h2::client::SendRequest<Bytes>, message: &Message) -> Message {
    let mut request = Request::builder().method("POST").uri("https://a.test/x");
    for (name, value) in &message.0 {
        request = request.header(name, value);
    }
    let mut sender = sender.clone().ready().await.unwrap();
    let (response, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
    body.send_data(Bytes::from(message.1.clone()), true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut data = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        data.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["x-length"], data.len().to_string());
    let text = |value: &http::HeaderValue| String::from_utf8(value.as_bytes().to_vec()).unwrap();
    let fields = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    (fields.collect(), data)
}

fn message() -> impl Strategy<Value = Message> {
    let name = prop_oneof![
        3 => prop::sample::select(vec!["accept", "user-agent", "x-trace", "etag", "x-long-name"])
            .prop_map(str::to_owned),
        1 => "x-[a-z0-9]{1,20}",
    ];
    let value = prop_oneof![3 => "[!-~]{0,40}", 1 => "[a-z]{1,10}( [a-z]{1,10}){0,30}"];
    let body = prop_oneof![4 => 0..2_000_usize, 1 => 100_000..300_000_usize];
    let body = body.prop_map(|n| (0..n).map(|k| u8::try_from(k % 251).unwrap()).collect());
    let fields = prop::collection::btree_map(name, value, 0..12);
    (fields.prop_map(|map| map.into_iter().collect()), body)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn another_client_gets_back_what_it_sent(list in prop::collection::vec(message(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answers = runtime.block_on(async {
            let (client, server) = tokio::io::duplex(4_096);
            tokio::spawn(mirror(server));
            let (sender, connection) = h2::client::handshake(client).await.unwrap();
            tokio::spawn(connection);
            // All at once, so that frames of different streams mix.
            let asking: Vec<_> = list
                .iter()
                .map(|message| {
                    let (sender, message) = (sender.clone(), message.clone());
                    tokio::spawn(async move { ask(&sender, &message).await })
                })
                .collect();
            let mut answers = Vec::new();
            for answer in asking {
                answers.push(answer.await.unwrap());
            }
            answers
        });
        for ((mut fields, body), (mut wanted, whole)) in answers.into_iter().zip(list) {
            fields.sort();
            wanted.sort();
            prop_assert_eq!(fields, wanted);
            prop_assert!(body == whole, "{} bytes of {}", body.len(), whole.len());
        }
    }
}
