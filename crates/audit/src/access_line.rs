//! One line of the access log.
//!
//! The members are told in [`ACCESS_FIELDS`](crate::ACCESS_FIELDS).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bartizan_core::{Reason, RequestId, Timestamp};

use crate::json::{self, key};
use crate::stamp::Stamp;

/// Longest path, in bytes.
const PATH_MAX: usize = 1_024;
/// Longest other value, in bytes.
const TEXT_MAX: usize = 256;

/// What the access log says about a request.
#[derive(Clone, Debug)]
pub struct AccessLine<'a> {
    /// When the request began.
    pub time: Timestamp,
    /// The request's id.
    pub id: RequestId,
    /// The client's address, after trusted proxies.
    pub client: Option<IpAddr>,
    /// The request's method.
    pub method: &'a [u8],
    /// The request's host.
    pub host: &'a [u8],
    /// The canonical path; what follows a `?` is not written.
    pub path: &'a [u8],
    /// `1.0`, `1.1` or `2`.
    pub http: &'static str,
    /// What the client was answered.
    pub status: u16,
    /// Why it was refused or failed.
    pub reason: Option<Reason>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// From the first byte to the last.
    pub total: Duration,
    /// Until the upstream had answered.
    pub upstream_time: Option<Duration>,
    /// The route's id.
    pub route: Option<&'a str>,
    /// The service's id.
    pub service: Option<&'a str>,
    /// The consumer's name.
    pub consumer: Option<&'a str>,
    /// The upstream's node.
    pub upstream: Option<SocketAddr>,
    /// `1.2` or `1.3`.
    pub tls: Option<&'static str>,
    /// The server name of TLS.
    pub sni: Option<&'a str>,
    /// The request's `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
}

impl AccessLine<'_> {
    /// Appends the line.
    pub(crate) fn write(&self, out: &mut Vec<u8>, stamp: &mut Stamp) {
        out.extend_from_slice(b"{\"time\":\"");
        stamp.write(out, self.time);
        out.extend_from_slice(b"\",\"id\":\"");
        out.extend_from_slice(&self.id.encode());
        out.push(b'"');
        if let Some(client) = self.client {
            json::address(out, key!("client"), client);
        }
        let path = self.path.split(|&byte| byte == b'?').next();
        json::text_if(out, key!("method"), Some(self.method), TEXT_MAX);
        json::text_if(out, key!("host"), Some(self.host), TEXT_MAX);
        json::text_if(out, key!("path"), path, PATH_MAX);
        json::text_if(out, key!("http"), Some(self.http.as_bytes()), TEXT_MAX);
        json::number(out, key!("status"), u64::from(self.status));
        if let Some(reason) = self.reason {
            json::word(out, key!("reason"), reason.code());
        }
        json::number(out, key!("bytes_in"), self.bytes_in);
        json::number(out, key!("bytes_out"), self.bytes_out);
        json::number(out, key!("total_us"), micros(self.total));
        if let Some(upstream) = self.upstream_time {
            json::number(out, key!("upstream_us"), micros(upstream));
        }
        put(out, key!("route"), self.route);
        put(out, key!("service"), self.service);
        put(out, key!("consumer"), self.consumer);
        if let Some(upstream) = self.upstream {
            json::socket(out, key!("upstream"), upstream);
        }
        put(out, key!("tls"), self.tls);
        put(out, key!("sni"), self.sni);
        json::text_if(out, key!("user_agent"), self.user_agent, TEXT_MAX);
        out.extend_from_slice(b"}\n");
    }
}

fn put(out: &mut Vec<u8>, key: &str, text: Option<&str>) {
    json::text_if(out, key, text.map(str::as_bytes), TEXT_MAX);
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn value(line: &AccessLine<'_>) -> Value {
        let mut out = Vec::new();
        line.write(&mut out, &mut Stamp::default());
        assert_eq!(out.iter().position(|&byte| byte == b'\n'), Some(out.len() - 1));
        serde_json::from_slice(&out).unwrap()
    }

    fn plain() -> AccessLine<'static> {
        AccessLine {
            time: Timestamp::from_nanos(1_700_000_000_123_000_000),
            id: RequestId::from_bytes([1; 16]),
            client: None,
            method: b"GET",
            host: b"shop.example",
            path: b"/orders?token=secret",
            http: "1.1",
            status: 200,
            reason: None,
            bytes_in: 0,
            bytes_out: 17,
            total: Duration::from_micros(1_500),
            upstream_time: None,
            route: None,
            service: None,
            consumer: None,
            upstream: None,
            tls: None,
            sni: None,
            user_agent: None,
        }
    }

    #[test]
    fn a_line_has_the_documented_names_and_no_query() {
        let bare = json!({
            "time": "2023-11-14T22:13:20.123Z", "id": "01010101-0101-0101-0101-010101010101",
            "method": "GET", "host": "shop.example", "path": "/orders", "http": "1.1",
            "status": 200, "bytes_in": 0, "bytes_out": 17, "total_us": 1_500,
        });
        assert_eq!(value(&plain()), bare);
        let line = AccessLine {
            client: Some([192, 0, 2, 1].into()),
            reason: Some(Reason::UpstreamTimeout),
            upstream_time: Some(Duration::from_millis(1)),
            route: Some("r"),
            service: Some("s"),
            consumer: Some("c"),
            upstream: Some(([10, 0, 0, 2], 80).into()),
            tls: Some("1.3"),
            sni: Some("sni"),
            user_agent: Some(b"curl"),
            ..plain()
        };
        let mut full = bare;
        let more = json!({
            "client": "192.0.2.1", "reason": "upstream.timeout", "upstream_us": 1_000,
            "route": "r", "service": "s", "consumer": "c", "upstream": "10.0.0.2:80",
            "tls": "1.3", "sni": "sni", "user_agent": "curl",
        });
        full.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(value(&line), full);
    }

    proptest! {
        #[test]
        fn any_bytes_read_back_as_their_lossy_text(
            texts in prop::array::uniform4(prop::collection::vec(any::<u8>(), 0..100)),
            names in prop::array::uniform4("\\PC{0,40}"), numbers: (u16, u64, u64), us: (u64, u64),
        ) {
            let [method, host, path, agent] = &texts;
            let [route, service, consumer, sni] = &names;
            let line = AccessLine {
                method, host, path,
                status: numbers.0, bytes_in: numbers.1, bytes_out: numbers.2,
                total: Duration::from_micros(us.0), upstream_time: Some(Duration::from_micros(us.1)),
                route: Some(route), service: Some(service), consumer: Some(consumer),
                sni: Some(sni), user_agent: Some(agent), ..plain()
            };
            let value = value(&line);
            let path = path.split(|&byte| byte == b'?').next().unwrap();
            for (name, bytes) in [
                ("method", method.as_slice()), ("host", host), ("path", path), ("user_agent", agent),
                ("route", route.as_bytes()), ("service", service.as_bytes()),
                ("consumer", consumer.as_bytes()), ("sni", sni.as_bytes()),
            ] {
                prop_assert_eq!(value[name].as_str(), Some(&*String::from_utf8_lossy(bytes)));
            }
            prop_assert_eq!(value["status"].as_u64(), Some(u64::from(numbers.0)));
            prop_assert_eq!(value["bytes_in"].as_u64(), Some(numbers.1));
            prop_assert_eq!(value["bytes_out"].as_u64(), Some(numbers.2));
            prop_assert_eq!(value["total_us"].as_u64(), Some(us.0));
            prop_assert_eq!(value["upstream_us"].as_u64(), Some(us.1));
        }

        #[test]
        fn a_line_is_bounded_whatever_the_client_sends(byte: u8) {
            let long = vec![byte; 50_000];
            let line = AccessLine {
                method: &long, host: &long, path: &long, user_agent: Some(&long), ..plain()
            };
            prop_assert!(value(&line).to_string().len() < 16 * 1_024);
        }
    }
}
