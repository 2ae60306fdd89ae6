//! What ends calls that move.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use bytes::Bytes;

use super::kit::{Call, Came, OPEN, call, client, ok, read, serve, status, whole};

const KEYED: &str = r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:50051": 1}, scheme: grpc}
  plugins: {key-auth: {}, any-authenticated: {reason: a test}}
consumers:
- username: alice
  plugins: {key-auth: {key: alice-key, danger_weak_secret: true, expires_at: 'ENDS'}}
"#;

/// Makes two calls on which something moves every forty seconds for two minutes, with fields of
/// these values: one that is answered from the start, and one that is not answered before its end.
async fn long_calls(gateway: &Gateway, field: (&'static str, &str)) -> (bool, Came) {
    serve(gateway, |_, (request, mut respond): Call| async move {
        let is_answered = request.uri().path() == "/talk";
        let mut body = request.into_body();
        if !is_answered {
            whole(&mut body).await;
        }
        let mut stream = respond.send_response(ok(), false).unwrap();
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            let _ = stream.send_data(data, false);
        }
        let _ = stream.send_trailers(status("0"));
    });
    let sender = client(gateway).await;
    let mut calls = ["/talk", "/listen"].map(|path| {
        let mut request = call(path);
        request.headers_mut().insert(field.0, field.1.parse().unwrap());
        sender.clone().send_request(request, false).unwrap()
    });
    for _ in 0..3 {
        for (_, stream) in &mut calls {
            stream.send_data(Bytes::from_static(b"x"), false).unwrap();
        }
        gateway.advance(Duration::from_secs(40)).await;
    }
    let [(talk, _one), (listen, _other)] = calls;
    let is_cut = read(talk).await.is_err();
    (is_cut, read(listen).await.unwrap())
}

fn told(gateway: &Gateway, member: &str) -> Vec<String> {
    let events = gateway.events();
    events.iter().map(|event| event[member].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_call_ends_with_the_credential_that_it_was_made_with() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let ends = gateway.now().plus(Duration::from_secs(90)).to_rfc3339();
        let ends = format!("{}Z", &ends[..19]);
        gateway.reload(&KEYED.replace("ENDS", &ends)).unwrap();
        let (is_cut, came) = long_calls(&gateway, ("apikey", "alice-key")).await;
        assert!(is_cut);
        assert_eq!(came.field("grpc-status"), Some("16"));
        assert_eq!(told(&gateway, "reason"), ["auth.expired_credential"; 2]);
        assert_eq!(told(&gateway, "consumer"), ["alice"; 2]);
    });
}

#[test]
fn no_call_goes_on_for_longer_than_the_node_lets_it() {
    run(async {
        // What the caller says can only make it shorter.
        for timeout in ["3M", "99999999H"] {
            let node = "limits: {grpc_time: 90s}\n";
            let gateway = Gateway::builder().node(node).resources(OPEN).start();
            let (is_cut, came) = long_calls(&gateway, ("grpc-timeout", timeout)).await;
            assert!(is_cut);
            assert_eq!(came.field("grpc-status"), Some("4"));
            assert_eq!(told(&gateway, "reason"), ["http.request_timeout"; 2]);
            let detail = "the call took longer than `limits.grpc_time`";
            assert_eq!(told(&gateway, "detail"), [detail; 2]);
            assert!(gateway.metrics().contains("limit=\"grpc_time\"} 2"), "{}", gateway.metrics());
        }
    });
}
