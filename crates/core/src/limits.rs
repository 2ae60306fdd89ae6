//! Every size, count and wait of the data plane: default, reason, and the name that settings and
//! metrics use.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::units::{ByteSize, Span};

/// One row of the table of limits.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The key under `limits:` in the node file, and the label of `bartizan_limit_hits_total`.
    pub name: &'static str,
    /// What it bounds and why.
    pub documentation: &'static str,
    /// The default as it would be written.
    pub default: &'static str,
}

macro_rules! limits {
    ($( $(#[doc = $doc:literal])+ $name:ident : $type:ident = $default:literal; )+) => {
        /// The limits of a node; each can be set under `limits:` in the node file.
        #[derive(Clone, Debug, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $( $(#[doc = $doc])+ #[schemars(extend("default" = limits!(@value $type $default)))] pub $name: limits!(@type $type), )+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $( $name: limits!(@value $type $default), )+ }
            }
        }

        /// The table of limits, for the reference and the metrics.
        pub const LIMITS: &[Limit] = &[ $( Limit {
            name: stringify!($name),
            documentation: concat!($($doc, "\n",)+),
            default: stringify!($default),
        }, )+ ];
    };
    (@type size) => { ByteSize };
    (@type time) => { Span };
    (@type count) => { u32 };
    (@value size $value:literal) => { ByteSize($value) };
    (@value time $value:literal) => { Span(Duration::from_millis($value)) };
    (@value count $value:literal) => { $value };
}

limits! {
    /// Longest request line; over it 414.
    request_line: size = 8_192;
    /// Longest single header field; over it 431.
    field: size = 16_384;
    /// Longest header block; over it 431.
    header_block: size = 32_768;
    /// Most header fields; over it 431.
    fields: count = 100;
    /// Longest extension of a chunk; over it 400.
    chunk_extension: size = 256;
    /// Longest trailer section; over it 431.
    trailers: size = 8_192;
    /// Largest request body; over it 413.
    body: size = 1_048_576;
    /// Largest `max_req_body_size` or `max_resp_body_size` that a plugin may ask for.
    body_max: size = 67_108_864;
    /// Largest body that a plugin may have buffered for inspection; over it 413.
    inspected_body: size = 1_048_576;
    /// Largest body of an answer that a plugin may have held before it decides on it; over it 502.
    inspected_response: size = 1_048_576;
    /// Memory of the compressors of answers at a time; over it answers go out uncompressed.
    compression_memory: size = 268_435_456;
    /// Deepest nesting of a JSON body.
    json_depth: count = 64;
    /// Most members and items of a JSON body in all.
    json_items: count = 100_000;
    /// Most connections of the node; 0 is the smaller of 65,536 and the descriptor limit less 512.
    connections: count = 0;
    /// Most connections of one client address, or of one /64 of IPv6.
    connections_per_address: count = 1_024;
    /// Requests served on one connection before it is closed.
    requests_per_connection: count = 10_000;
    /// Time for a TLS handshake.
    handshake: time = 10_000;
    /// Time until the first byte of the first request.
    first_byte: time = 10_000;
    /// Time for a header block, from its first byte.
    header_time: time = 10_000;
    /// Time a kept-alive connection may be idle.
    idle: time = 60_000;
    /// Least rate of a request body in bytes per second, measured over ten seconds.
    body_rate: size = 1_024;
    /// Time a body may take before its rate is measured.
    body_grace: time = 5_000;
    /// Time to connect to an upstream, where the upstream does not say.
    upstream_connect: time = 5_000;
    /// Time without progress while sending to an upstream.
    upstream_send: time = 60_000;
    /// Time without progress while an upstream answers.
    upstream_read: time = 60_000;
    /// Time until the head of the answer. Its body may go on for as long as it moves: see
    /// `upstream_read` and `idle`.
    request_time: time = 300_000;
    /// WebSocket connections of the node; over it 503. With `audit.on_full: deny` at most half of
    /// `audit_queue`, in which each keeps a place.
    websockets: count = 4_096;
    /// Time a WebSocket connection may live, whatever moves on it. Keys and passwords have no end
    /// of their own: this is how long one that was withdrawn can go on.
    websocket_time: time = 14_400_000;
    /// Longest frame, and longest message of several frames, of a WebSocket connection, as it
    /// travels; over it the connection is closed with 1009.
    websocket_message: size = 16_777_216;
    /// Time that a call of gRPC may take, whatever moves on it. Keys and passwords have no end of their
    /// own: this is how long one that was withdrawn can go on.
    grpc_time: time = 14_400_000;
    /// HTTP/2: concurrent streams of a connection.
    h2_streams: count = 100;
    /// HTTP/2: largest header list.
    h2_header_list: size = 32_768;
    /// HTTP/2: CONTINUATION frames of one header block.
    h2_continuations: count = 8;
    /// HTTP/2: window memory of a connection.
    h2_window: size = 1_048_576;
    /// HTTP/2: RST_STREAM frames from the client in ten seconds (CVE-2023-44487).
    h2_resets: count = 200;
    /// HTTP/2: resets that the client provokes from us in ten seconds (CVE-2025-8671).
    h2_provoked_resets: count = 100;
    /// HTTP/2: PING frames in ten seconds.
    h2_pings: count = 60;
    /// HTTP/2: SETTINGS frames in ten seconds.
    h2_settings: count = 20;
    /// HTTP/2: PRIORITY frames in ten seconds.
    h2_priorities: count = 200;
    /// HTTP/2: empty DATA frames in ten seconds.
    h2_empty_data: count = 200;
    /// Idle upstream connections kept per node and worker.
    upstream_idle: count = 256;
    /// Time an idle upstream connection is kept.
    upstream_idle_time: time = 55_000;
    /// Calls of plugins to other servers that may wait at a time, per worker; over it 503.
    calls: count = 1_024;
    /// Bytes of entries that may wait for one sink of a logger; over it entries are dropped and
    /// counted.
    sink_queue: size = 16_777_216;
    /// Events that may wait for the audit sinks.
    audit_queue: count = 8_192;
    /// Buffers of 32 KiB that may wait for the access log's sinks.
    access_queue: count = 256;
    /// Denials of one peer and reason in a second that are told one by one; more are folded.
    audit_fold: count = 10;
    /// Keys that one rate limit counts at a time; over it requests with new keys are refused.
    limit_keys: count = 1_000_000;
    /// Signatures that are remembered so that none is good twice; over it requests are refused.
    replay_keys: count = 100_000;
    /// Addresses, names and beginnings of credentials whose failures `auth-throttle` counts at a
    /// time, each; over it passwords are refused that were not seen good before.
    failed_keys: count = 100_000;
    /// Users whose good passwords `auth-throttle` remembers; over it those of others do not pass
    /// while they are locked.
    known_users: count = 100_000;
    /// Pieces of work, such as passwords to be hashed, that may wait for the CPU pool; over it 503. With
    /// 0 there are none.
    cpu_queue: count = 1_024;
    /// Time that such work may take, waiting included; over it 503.
    cpu_wait: time = 5_000;
    /// Longest time that a plugin may hold a request back before it goes on.
    delay: time = 30_000;
    /// Requests that one plugin of one resource holds back at a time; over it they are refused.
    delayed: count = 1_024;
    /// Largest database of places that a plugin reads.
    geo_database: size = 268_435_456;
    /// Largest configuration document.
    document: size = 67_108_864;
    /// Time that running exchanges get when the node shuts down.
    drain: time = 30_000;
}

/// The limit that a cause names as `limits.NAME`, so that whatever refuses for a limit is counted.
pub fn limit_named_in(cause: &str) -> Option<&'static str> {
    let (_, rest) = cause.split_once("`limits.")?;
    let (name, _) = rest.split_once('`')?;
    LIMITS.iter().find(|limit| limit.name == name).map(|limit| limit.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_replace_defaults_one_by_one() {
        let limits: Limits =
            serde_json::from_str(r#"{"request_line": "4KiB", "idle": "5s"}"#).unwrap();
        assert_eq!(limits.request_line, ByteSize(4096));
        assert_eq!(limits.idle.0, Duration::from_secs(5));
        assert_eq!(limits.field, Limits::default().field);
    }

    #[test]
    fn unknown_limits_are_refused() {
        assert!(serde_json::from_str::<Limits>(r#"{"request_lines": 1}"#).is_err());
    }

    #[test]
    fn a_cause_names_its_limit() {
        assert_eq!(limit_named_in("a field over `limits.field`"), Some("field"));
        assert_eq!(limit_named_in("over `limits.nonsense`"), None);
        assert_eq!(limit_named_in("too large"), None);
    }
}
