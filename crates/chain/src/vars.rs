//! Variables: the names by which configuration refers to facts of a request.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use bartizan_wire::{QueryFault, Version, decode_segment};

use crate::context::RequestCx;

/// A variable, resolved when the configuration compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Var {
    /// `uri`: the canonical path.
    Uri,
    /// `request_uri`: path and query as received.
    RequestUri,
    /// `args` and `query_string`: the query.
    Args,
    /// `arg_x`: a query parameter.
    Arg(String),
    /// `http_x_y`: the field `x-y`.
    Http(String),
    /// `cookie_x`: a cookie.
    Cookie(String),
    /// `uri_param_x`: what stands in the path for the parameter `:x` of the route's pattern, decoded.
    UriParam(String),
    /// `request_method`
    RequestMethod,
    /// `scheme`
    Scheme,
    /// `host`
    Host,
    /// `remote_addr`: the client's address.
    RemoteAddr,
    /// `remote_port`: the port at the other end of the connection.
    RemotePort,
    /// `server_addr`: our address of the connection.
    ServerAddr,
    /// `server_port`
    ServerPort,
    /// `server_protocol`: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    ServerProtocol,
    /// `https`: `on` behind TLS, else nothing.
    Https,
    /// `is_args`: `?` where there is a query, else nothing.
    IsArgs,
    /// `content_length`: of the body, where the client declared it.
    ContentLength,
    /// `ssl_client_s_dn`
    SslClientSubject,
    /// `ssl_client_i_dn`
    SslClientIssuer,
    /// `ssl_client_serial`
    SslClientSerial,
    /// `ssl_client_fingerprint`
    SslClientFingerprint,
    /// `ssl_client_verify`: `SUCCESS` or `NONE`.
    SslClientVerify,
    /// `ssl_protocol`
    SslProtocol,
    /// `ssl_server_name`
    SslServerName,
    /// `consumer_name`
    ConsumerName,
    /// `consumer_group_id`
    ConsumerGroupId,
    /// `route_id`
    RouteId,
    /// `route_name`
    RouteName,
    /// `service_id`
    ServiceId,
    /// `service_name`
    ServiceName,
    /// `request_id` and `apisix_request_id`
    RequestId,
    /// `request_time`: seconds since the head was complete, with milliseconds.
    RequestTime,
    /// `status`: what the client gets.
    Status,
    /// `upstream_status`
    UpstreamStatus,
    /// `upstream_addr`
    UpstreamAddr,
    /// `upstream_response_time`
    UpstreamResponseTime,
    /// `balancer_ip`
    BalancerIp,
    /// `balancer_port`
    BalancerPort,
}

/// A prefix of names, and what it makes of the rest.
type Family = (&'static str, fn(&str) -> Var);

/// Variables of nginx and Apache APISIX that there are, and that have no value here.
const NOT_YET: [&str; 24] = [
    "binary_remote_addr",
    "body_bytes_sent",
    "bytes_sent",
    "connection",
    "connection_requests",
    "connection_time",
    "document_root",
    "limit_rate",
    "msec",
    "pid",
    "pipe",
    "rate_limiting_info",
    "realip_remote_addr",
    "realip_remote_port",
    "realpath_root",
    "remote_user",
    "request",
    "request_body",
    "request_body_file",
    "request_completion",
    "request_filename",
    "request_length",
    "resp_body",
    "server_name",
];

/// Beginnings of such names.
const FAMILIES_NOT_YET: [&str; 12] = [
    "apisix_",
    "balancer_",
    "geoip_",
    "llm_",
    "nginx_",
    "proxy_",
    "sent_http_",
    "sent_trailer_",
    "ssl_",
    "tcpinfo_",
    "time_",
    "upstream_",
];

/// Why a name is not a variable that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarError {
    /// Apache APISIX has it; this gateway does not yet.
    #[error("the variable `{0}` is not supported yet")]
    NotYet(String),
    /// It would read the body before it is known who calls.
    #[error("the variable `{0}` reads the body, which happens after authentication; use a plugin")]
    ReadsBody(String),
    /// There is no such variable.
    #[error("there is no variable `{0}`")]
    Unknown(String),
}

impl Var {
    /// The variable of this name, with or without a leading `$`.
    pub fn parse(name: &str) -> Result<Self, VarError> {
        let name = name.strip_prefix('$').unwrap_or(name);
        let var = match name {
            "uri" | "document_uri" => Self::Uri,
            "request_uri" => Self::RequestUri,
            "args" | "query_string" => Self::Args,
            "request_method" | "method" => Self::RequestMethod,
            "scheme" => Self::Scheme,
            "host" | "hostname" => Self::Host,
            "remote_addr" => Self::RemoteAddr,
            "remote_port" => Self::RemotePort,
            "server_addr" => Self::ServerAddr,
            "server_port" => Self::ServerPort,
            "server_protocol" => Self::ServerProtocol,
            "https" => Self::Https,
            "is_args" => Self::IsArgs,
            "content_type" => Self::Http("content-type".to_owned()),
            "content_length" => Self::ContentLength,
            "ssl_client_s_dn" => Self::SslClientSubject,
            "ssl_client_i_dn" => Self::SslClientIssuer,
            "ssl_client_serial" => Self::SslClientSerial,
            "ssl_client_fingerprint" => Self::SslClientFingerprint,
            "ssl_client_verify" => Self::SslClientVerify,
            "ssl_protocol" => Self::SslProtocol,
            "ssl_server_name" => Self::SslServerName,
            "consumer_name" => Self::ConsumerName,
            "consumer_group_id" => Self::ConsumerGroupId,
            "route_id" => Self::RouteId,
            "route_name" => Self::RouteName,
            "service_id" => Self::ServiceId,
            "service_name" => Self::ServiceName,
            "request_id" | "apisix_request_id" => Self::RequestId,
            "request_time" => Self::RequestTime,
            "status" => Self::Status,
            "upstream_status" => Self::UpstreamStatus,
            "upstream_addr" => Self::UpstreamAddr,
            "upstream_response_time" => Self::UpstreamResponseTime,
            "balancer_ip" => Self::BalancerIp,
            "balancer_port" => Self::BalancerPort,
            _ => return Self::parse_family(name),
        };
        Ok(var)
    }

    fn parse_family(name: &str) -> Result<Self, VarError> {
        let families: [Family; 4] = [
            ("arg_", |rest| Self::Arg(rest.to_owned())),
            ("http_", |rest| Self::Http(rest.to_ascii_lowercase().replace('_', "-"))),
            ("cookie_", |rest| Self::Cookie(rest.to_owned())),
            ("uri_param_", |rest| Self::UriParam(rest.to_owned())),
        ];
        for (prefix, make) in families {
            if let Some(rest) = name.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
                return Ok(make(rest));
            }
        }
        let name = name.to_owned();
        if name.starts_with("post_arg") || name.starts_with("graphql_") {
            return Err(VarError::ReadsBody(name));
        }
        if NOT_YET.contains(&&*name) || FAMILIES_NOT_YET.iter().any(|f| name.starts_with(f)) {
            return Err(VarError::NotYet(name));
        }
        Err(VarError::Unknown(name))
    }

    /// True if the value is only known once it is known who calls.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::ConsumerName | Self::ConsumerGroupId)
    }

    /// True if the value is only known once an answer is on its way.
    pub fn needs_answer(&self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::UpstreamStatus
                | Self::UpstreamAddr
                | Self::UpstreamResponseTime
                | Self::BalancerIp
                | Self::BalancerPort
        )
    }

    /// The variable's value for a request; `None` where it has none. What a client can repeat must
    /// occur once, since a rule and the upstream could otherwise read different ones.
    pub fn value<'a>(&self, cx: &'a RequestCx) -> Result<Option<Cow<'a, str>>, QueryFault> {
        let value = match self {
            Self::Arg(name) => return cx.canonical().query_value(name),
            Self::Http(name) => {
                return Ok(cx.fields.single(name)?.map(String::from_utf8_lossy));
            }
            Self::Cookie(name) => return cookie(cx, name),
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
            Self::ServerProtocol => Some(Cow::Borrowed(match cx.version {
                Version::Http2 => "HTTP/2.0",
                other => other.name(),
            })),
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
            Self::RouteId | Self::RouteName | Self::ServiceId | Self::ServiceName => {
                self.route_value(cx).map(Cow::Borrowed)
            }
            Self::Status
            | Self::UpstreamStatus
            | Self::UpstreamAddr
            | Self::UpstreamResponseTime
            | Self::BalancerIp
            | Self::BalancerPort => self.answer_value(cx),
            _ => self.tls_value(cx),
        };
        Ok(value)
    }

    fn route_value<'a>(&self, cx: &'a RequestCx) -> Option<&'a str> {
        let route = &cx.matched()?.route;
        match self {
            Self::RouteId => Some(&route.id),
            Self::RouteName => route.name.as_deref(),
            Self::ServiceId => route.service_id.as_deref(),
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
            Self::BalancerIp => upstream.address.map(|a| text(a.ip())),
            _ => upstream.address.map(|a| text(a.port())),
        }
    }

    fn tls_value<'a>(&self, cx: &'a RequestCx) -> Option<Cow<'a, str>> {
        let tls = cx.peer.tls.as_ref()?;
        let certificate = tls.client_certificate.as_deref();
        match self {
            Self::SslProtocol => Some(Cow::Borrowed(tls.version)),
            Self::SslServerName => tls.sni.as_deref().map(Cow::Borrowed),
            Self::SslClientVerify => {
                Some(Cow::Borrowed(if certificate.is_some() { "SUCCESS" } else { "NONE" }))
            }
            Self::SslClientSubject => certificate.and_then(|c| c.subject()).map(Cow::Borrowed),
            Self::SslClientIssuer => certificate.and_then(|c| c.issuer()).map(Cow::Borrowed),
            Self::SslClientSerial => certificate.and_then(|c| c.serial()).map(Cow::Borrowed),
            Self::SslClientFingerprint => certificate.map(|c| Cow::Borrowed(c.fingerprint())),
            _ => None,
        }
    }
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
    fn names_resolve_with_and_without_the_dollar() {
        assert_eq!(Var::parse("$remote_addr"), Ok(Var::RemoteAddr));
        assert_eq!(Var::parse("http_X_Tenant"), Ok(Var::Http("x-tenant".into())));
        assert_eq!(Var::parse("arg_id"), Ok(Var::Arg("id".into())));
        assert_eq!(Var::parse("cookie_Session"), Ok(Var::Cookie("Session".into())));
        assert_eq!(Var::parse("uri_param_id"), Ok(Var::UriParam("id".into())));
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let name = |n: &str| n.to_owned();
        assert_eq!(Var::parse("post_arg_x"), Err(VarError::ReadsBody(name("post_arg_x"))));
        assert_eq!(Var::parse("time_iso8601"), Err(VarError::NotYet(name("time_iso8601"))));
        for nginx in NOT_YET.into_iter().chain(["sent_http_x", "upstream_http_x", "ssl_cipher"]) {
            assert_eq!(Var::parse(nginx), Err(VarError::NotYet(name(nginx))));
        }
        assert_eq!(Var::parse("uri_param_"), Err(VarError::Unknown(name("uri_param_"))));
        assert_eq!(Var::parse("remote_adr"), Err(VarError::Unknown(name("remote_adr"))));
        assert_eq!(Var::parse("arg_"), Err(VarError::Unknown(name("arg_"))));
    }
}
