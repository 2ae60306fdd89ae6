//! What variables are for a request.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use bartizan_core::Timestamp;
use bartizan_wire::{Fields, QueryFault, Version, decode_segment};

use super::{Var, body};
use crate::context::RequestCx;

/// What a variable is read from.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The request.
    pub(crate) cx: &'a RequestCx,
    /// The fields of the answer, where it is on its way.
    pub(crate) answer: Option<&'a Fields>,
}

impl Var {
    /// The variable's value for a request; `None` where it has none. What a client can repeat must
    /// occur once, since a rule and the upstream could otherwise read different ones.
    pub fn value<'a>(&self, cx: &'a RequestCx) -> Result<Option<Cow<'a, str>>, QueryFault> {
        self.value_in(Seen { cx, answer: None })
    }

    /// The same, for whoever can see more than the request.
    pub(crate) fn value_in<'a>(&self, seen: Seen<'a>) -> Result<Option<Cow<'a, str>>, QueryFault> {
        let cx = seen.cx;
        let value = match self {
            Self::Arg(name) => return cx.canonical().query_value(name),
            Self::Http(name) => {
                return Ok(cx.fields.single(name)?.map(String::from_utf8_lossy));
            }
            Self::Cookie(name) => return cookie(cx, name),
            Self::PostArg(path) => {
                return cx.body_value().map_or(Ok(None), |value| body::at(value, path));
            }
            Self::SentHttp(name) => seen.answer.and_then(|fields| joined(fields, name)),
            Self::RouteId
            | Self::RouteName
            | Self::ServiceId
            | Self::ServiceName
            | Self::ServerName => self.route_value(cx).map(Cow::Borrowed),
            var if var.needs_answer() => self.answer_value(cx),
            _ => self.own_value(cx),
        };
        Ok(value)
    }

    /// What the request says, and what the gateway knows of it by itself.
    fn own_value<'a>(&self, cx: &'a RequestCx) -> Option<Cow<'a, str>> {
        match self {
            Self::UriParam(name) => cx.path_parameter(name).and_then(decode_segment),
            Self::Uri => Some(Cow::Borrowed(cx.canonical().path())),
            Self::RequestUri => Some(String::from_utf8_lossy(cx.canonical().raw_target())),
            Self::Args => cx.canonical().query().map(Cow::Borrowed),
            Self::RequestMethod => Some(Cow::Borrowed(cx.canonical().method().as_str())),
            Self::Scheme => {
                Some(Cow::Borrowed(if cx.peer.tls.is_some() { "https" } else { "http" }))
            }
            Self::Host => Some(Cow::Borrowed(cx.canonical().host())),
            Self::RemoteAddr => Some(text(cx.client())),
            Self::ServerPort => Some(text(cx.peer.local.port())),
            Self::RemotePort => Some(text(cx.peer.address.port())),
            Self::ServerAddr => Some(text(cx.peer.local.ip().to_canonical())),
            Self::ServerProtocol => Some(Cow::Borrowed(protocol(cx))),
            Self::PeerAddr => Some(text(cx.peer.address.ip().to_canonical())),
            Self::RequestLine => Some(request_line(cx)),
            Self::ContentLength => cx.declared_length.map(text),
            Self::Https => cx.peer.tls.as_ref().map(|_| Cow::Borrowed("on")),
            Self::IsArgs => {
                let query = cx.canonical().query().filter(|query| !query.is_empty());
                query.map(|_| Cow::Borrowed("?"))
            }
            Self::RequestId => Some(text(cx.id)),
            Self::RequestTime => Some(seconds(cx.clock.now().since(cx.received).as_millis())),
            Self::ConsumerName => consumer(cx).map(|c| Cow::Borrowed(c.username())),
            Self::ConsumerGroupId => consumer(cx).and_then(|c| c.group_id()).map(Cow::Borrowed),
            Self::RemoteUser => {
                let proved = cx.identity().filter(|identity| !identity.is_anonymous());
                proved.map(crate::identity::Identity::display)
            }
            Self::Hostname => Some(Cow::Borrowed(&*cx.peer.begun.machine)),
            Self::Pid => Some(text(std::process::id())),
            Self::TimeIso => Some(Cow::Owned(cx.received.to_rfc3339())),
            Self::TimeLocal => Some(log_time(cx.received)),
            Self::Msec => Some(seconds(cx.received.as_millis().into())),
            Self::Connection => Some(text(cx.peer.begun.number)),
            Self::ConnectionRequests => Some(text(cx.peer.requests())),
            Self::ConnectionTime => {
                cx.peer.begun.at.map(|at| seconds(cx.clock.now().since(at).as_millis()))
            }
            _ => self.tls_value(cx),
        }
    }

    fn route_value<'a>(&self, cx: &'a RequestCx) -> Option<&'a str> {
        let route = &cx.matched()?.route;
        match self {
            Self::RouteId => Some(&route.id),
            Self::RouteName => route.name.as_deref(),
            Self::ServiceId => route.service_id.as_deref(),
            Self::ServerName => cx.matched()?.host.as_deref(),
            _ => route.service_name.as_deref(),
        }
    }

    fn answer_value<'a>(&self, cx: &'a RequestCx) -> Option<Cow<'a, str>> {
        let upstream = &cx.upstream;
        match self {
            Self::Status => cx.status.map(text),
            Self::UpstreamStatus => upstream.status.map(text),
            Self::UpstreamAddr => upstream.address.map(text),
            Self::UpstreamResponseTime => upstream.response_time.map(|t| seconds(t.as_millis())),
            Self::UpstreamConnectTime => upstream.connect_time.map(|t| seconds(t.as_millis())),
            Self::BytesSent => cx.over.map(|over| text(over.bytes_out)),
            Self::RequestLength => cx.over.map(|over| text(over.bytes_in)),
            Self::RequestCompletion => {
                cx.over.filter(|over| over.is_complete).map(|_| Cow::Borrowed("OK"))
            }
            Self::BalancerIp => upstream.address.map(|a| text(a.ip())),
            Self::BalancerPort => upstream.address.map(|a| text(a.port())),
            _ => None,
        }
    }

    fn tls_value<'a>(&self, cx: &'a RequestCx) -> Option<Cow<'a, str>> {
        let tls = cx.peer.tls.as_ref()?;
        let certificate = tls.client_certificate.as_deref();
        match self {
            Self::SslProtocol => Some(Cow::Borrowed(tls.version)),
            Self::SslServerName => tls.sni.as_deref().map(Cow::Borrowed),
            Self::SslCipher => tls.cipher.map(Cow::Borrowed),
            Self::SslSessionReused => Some(Cow::Borrowed(if tls.is_resumed { "r" } else { "." })),
            Self::SslClientVerify => {
                Some(Cow::Borrowed(if certificate.is_some() { "SUCCESS" } else { "NONE" }))
            }
            Self::SslClientSubject => certificate.and_then(|c| c.subject()).map(Cow::Borrowed),
            Self::SslClientIssuer => certificate.and_then(|c| c.issuer()).map(Cow::Borrowed),
            Self::SslClientSerial => certificate.and_then(|c| c.serial()).map(Cow::Borrowed),
            Self::SslClientFingerprint => certificate.map(|c| Cow::Borrowed(c.fingerprint())),
            Self::SslClientRawCert => certificate.map(|c| Cow::Owned(pem(c))),
            Self::SslClientCert => certificate.map(|c| Cow::Owned(pem(c).replace('\n', "\n\t"))),
            Self::SslClientEscapedCert => certificate.map(|c| Cow::Owned(escaped(&pem(c)))),
            Self::SslClientStart => certificate?.not_before().map(asn1_time),
            Self::SslClientEnd => certificate?.not_after().map(asn1_time),
            Self::SslClientRemain => {
                let left = certificate?.not_after()?.since(cx.clock.now());
                Some(text(left.as_secs() / 86_400))
            }
            _ => None,
        }
    }
}

/// All values of a field.
fn joined<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, str>> {
    let mut values = fields.all(name).map(String::from_utf8_lossy);
    let mut joined = values.next()?;
    for value in values {
        let joined = joined.to_mut();
        joined.push_str(", ");
        joined.push_str(&value);
    }
    Some(joined)
}

fn protocol(cx: &RequestCx) -> &'static str {
    match cx.version {
        Version::Http2 => "HTTP/2.0",
        other => other.name(),
    }
}

fn request_line<'a>(cx: &RequestCx) -> Cow<'a, str> {
    let target = String::from_utf8_lossy(cx.canonical().raw_target());
    Cow::Owned(format!("{} {target} {}", cx.canonical().method(), protocol(cx)))
}

/// A certificate in PEM, without the end of the last line.
fn pem(certificate: &bartizan_tls::ClientCertificate) -> String {
    let mut pem = certificate.pem();
    pem.truncate(pem.trim_end().len());
    pem
}

/// Percent-encoded, but for what RFC 3986 §2.3 leaves as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// `Nov  3 20:52:46 2026 GMT`
fn asn1_time<'a>(time: Timestamp) -> Cow<'a, str> {
    let [year, month, day, clock] = words(&time.to_rfc3339()).map(str::to_owned);
    Cow::Owned(format!("{month} {:>2} {clock} {year} GMT", day.trim_start_matches('0')))
}

/// `03/Nov/2026:20:52:46 +0000`
fn log_time<'a>(time: Timestamp) -> Cow<'a, str> {
    let [year, month, day, clock] = words(&time.to_rfc3339()).map(str::to_owned);
    Cow::Owned(format!("{day}/{month}/{year}:{clock} +0000"))
}

/// Year, month in letters, day and time of day of an RFC 3339 time.
fn words(time: &str) -> [&str; 4] {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let part = |from: usize, to: usize| time.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().ok().and_then(|month| month.checked_sub(1));
    let month = month.and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    [part(0, 4), month, part(8, 10), part(11, 19)]
}

fn consumer(cx: &RequestCx) -> Option<&crate::consumers::Consumer> {
    cx.identity()?.consumer().map(|c| &**c)
}

fn text<'a>(value: impl fmt::Display) -> Cow<'a, str> {
    Cow::Owned(format!("{value}"))
}

fn seconds<'a>(ms: u128) -> Cow<'a, str> {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write!(out, "{}.{:03}", ms / 1_000, ms % 1_000);
    Cow::Owned(out)
}

/// The value of a cookie that must occur once (RFC 6265 §4.2).
fn cookie<'a>(cx: &'a RequestCx, name: &str) -> Result<Option<Cow<'a, str>>, QueryFault> {
    let mut found = None;
    for line in cx.fields.all("cookie") {
        for pair in line.split(|b| *b == b';') {
            let pair = pair.trim_ascii();
            let Some(value) = pair.strip_prefix(name.as_bytes()).and_then(|v| v.strip_prefix(b"="))
            else {
                continue;
            };
            if found.replace(String::from_utf8_lossy(value)).is_some() {
                return Err(QueryFault::Repeated);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_web_servers_and_openssl_do() {
        let time = Timestamp::from_rfc3339("2026-11-03T20:52:46.123Z").unwrap();
        assert_eq!(log_time(time), "03/Nov/2026:20:52:46 +0000");
        assert_eq!(asn1_time(time), "Nov  3 20:52:46 2026 GMT");
        let time = Timestamp::from_rfc3339("2026-01-30T00:00:00Z").unwrap();
        assert_eq!(asn1_time(time), "Jan 30 00:00:00 2026 GMT");
    }

    #[test]
    fn escaping_leaves_what_needs_none() {
        assert_eq!(escaped("-----BEGIN a+/=\n"), "-----BEGIN%20a%2B%2F%3D%0A");
    }
}
