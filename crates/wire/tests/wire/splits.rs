//! The laws of `bartizan_wire::fuzz`, on inputs made of what attacks are made of.

use bartizan_wire::fuzz;
use proptest::prelude::*;

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")]
}

fn field() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("Content-Length"),
        Just("Transfer-Encoding"),
        Just("Connection"),
        Just("Upgrade"),
        Just("Expect"),
        Just("TE"),
        Just("X-Consumer-Username"),
        Just("Cookie"),
        Just("Accept"),
        Just("X"),
    ];
    let value = prop_oneof![
        Just("5"),
        Just("0"),
        Just("chunked"),
        Just("gzip"),
        Just("close"),
        Just("keep-alive"),
        Just("upgrade"),
        Just("websocket"),
        Just("100-continue"),
        Just("x, y"),
        Just(""),
        Just("a\tb"),
    ];
    let colon = prop_oneof![8 => Just(": "), 2 => Just(":"), 1 => Just(" : "), 1 => Just("")];
    (name, colon, value, line_end()).prop_map(|(n, c, v, e)| format!("{n}{c}{v}{e}"))
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method =
        prop_oneof![4 => Just("GET"), 3 => Just("POST"), 1 => Just("OPTIONS"), 1 => Just("G T")];
    let target = prop_oneof![
        4 => Just("/"), 2 => Just("/a/../b?c=%20"), 1 => Just("*"), 1 => Just("http://a/x"), 1 => Just("/%2f"),
    ];
    let version = prop_oneof![8 => Just("HTTP/1.1"), 2 => Just("HTTP/1.0"), 1 => Just("HTTP/3.0")];
    let host =
        prop_oneof![8 => Just("Host: a\r\n"), 1 => Just(""), 1 => Just("Host: a\r\nHost: b\r\n")];
    (
        method,
        target,
        version,
        line_end(),
        host,
        prop::collection::vec(field(), 0..5),
        "[a-z\r\n]{0,9}",
    )
        .prop_map(|(m, t, v, e, h, f, rest)| {
            format!("{m} {t} {v}{e}{h}{}\r\n{rest}", f.concat()).into_bytes()
        })
}

fn response() -> impl Strategy<Value = Vec<u8>> {
    let status = prop_oneof![
        4 => Just("200 OK"), 1 => Just("204 x"), 1 => Just("304 x"), 1 => Just("101 x"), 1 => Just("100"),
        1 => Just("999 x"),
    ];
    let version = prop_oneof![8 => Just("HTTP/1.1"), 2 => Just("HTTP/1.0"), 1 => Just("HTTP/2")];
    (version, status, line_end(), prop::collection::vec(field(), 0..5), "[a-z\r\n]{0,9}")
        .prop_map(|(v, s, e, f, rest)| format!("{v} {s}{e}{}\r\n{rest}", f.concat()).into_bytes())
}

/// A client's preface and its empty SETTINGS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

proptest! {
    #[test]
    fn requests_do_not_depend_on_cuts_and_can_be_forwarded(bytes in request()) {
        fuzz::request_head(&bytes);
    }

    #[test]
    fn responses_do_not_depend_on_cuts_and_can_be_forwarded(bytes in response()) {
        fuzz::response_head(&bytes);
    }

    #[test]
    fn no_bytes_break_a_law(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz::request_head(&bytes);
        fuzz::response_head(&bytes);
        fuzz::chunked(&bytes);
        fuzz::canonical(&bytes);
        fuzz::h2_connection(&[PREFACE, &bytes].concat());
        fuzz::hpack(&bytes);
    }
}
