//! Variables: the names by which configuration refers to facts of a request.

mod absent;
mod body;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use value::Seen;

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
    /// `upstream_connect_time`: what it took to connect; nothing on a kept connection.
    UpstreamConnectTime,
    /// `remote_user`: who calls, once proved: the consumer, else the subject of a token.
    RemoteUser,
    /// `realip_remote_addr`: the address at the other end of the connection.
    PeerAddr,
    /// `request`: the request line.
    RequestLine,
    /// `server_name`: the host pattern of the route that matched.
    ServerName,
    /// `hostname`: this machine.
    Hostname,
    /// `pid`: this process.
    Pid,
    /// `time_iso8601`: when the request's head was complete, in UTC.
    TimeIso,
    /// `time_local`: the same, as in a web server's log.
    TimeLocal,
    /// `msec`: the same, in seconds with milliseconds.
    Msec,
    /// `connection`: the number of the connection in this process.
    Connection,
    /// `connection_requests`: how many requests the connection has carried, this one included.
    ConnectionRequests,
    /// `connection_time`: its age in seconds, with milliseconds.
    ConnectionTime,
    /// `ssl_cipher`: as OpenSSL names it.
    SslCipher,
    /// `ssl_session_reused`: `r`, or `.` for a full handshake.
    SslSessionReused,
    /// `ssl_client_raw_cert`: the client's certificate in PEM.
    SslClientRawCert,
    /// `ssl_client_cert`: the same, each line but the first behind a tab.
    SslClientCert,
    /// `ssl_client_escaped_cert`: the same, percent-encoded.
    SslClientEscapedCert,
    /// `ssl_client_v_start`
    SslClientStart,
    /// `ssl_client_v_end`
    SslClientEnd,
    /// `ssl_client_v_remain`: whole days until then.
    SslClientRemain,
    /// `sent_http_x`: the field `x` of the answer.
    SentHttp(String),
    /// `bytes_sent` and `body_bytes_sent`: of the answer's body.
    BytesSent,
    /// `request_length`: of the request's body.
    RequestLength,
    /// `request_completion`: `OK` if the answer reached its end.
    RequestCompletion,
    /// `post_arg_x`, `post_arg.x.y[0]`: what stands in the body under this path.
    PostArg(Box<[Step]>),
}

/// A step of a path into a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member of this name.
    Member(String),
    /// The item of this number.
    Item(usize),
}

/// What whoever reads a variable can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The request, and of the answer what the gateway notes.
    Request,
    /// The fields of the answer and the end of the exchange, too.
    End,
    /// Whatever a filter can be given; whether it stands where that is known is asked later.
    Filter,
}

/// Why a name is not a variable that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VarError {
    /// There is one elsewhere; it has no value here, for this reason.
    #[error("the variable `{0}` is not supported: {1}")]
    Absent(String, &'static str),
    /// It would read the body before it is known who calls.
    #[error("the variable `{0}` reads the body, which happens after authentication; use a plugin")]
    ReadsBody(String),
    /// It would read what is only known when the answer is on its way, or out.
    #[error("the variable `{0}` is only known once there is an answer, to filters and logs")]
    Late(String),
    /// It names several values, or no place in a body.
    #[error("the variable `{0}` names no one place in a body; write it as `post_arg.a.b[0]`")]
    NoPlace(String),
    /// There is no such variable.
    #[error("there is no variable `{0}`")]
    Unknown(String),
}

impl Var {
    /// The variable of this name, with or without a leading `$`.
    pub fn parse(name: &str) -> Result<Self, VarError> {
        Self::parse_within(name, Reach::Request)
    }

    /// The variable of this name, for a reader who can be given so much.
    pub fn parse_within(name: &str, reach: Reach) -> Result<Self, VarError> {
        let name = name.strip_prefix('$').unwrap_or(name);
        let var = Self::named(name).map_or_else(|| Self::parse_family(name), Ok)?;
        let is_late = matches!(var, Self::SentHttp(_)) || var.needs_end();
        match reach {
            Reach::Request if is_late => Err(VarError::Late(name.to_owned())),
            Reach::Request | Reach::End if var.reads_body() => {
                Err(VarError::ReadsBody(name.to_owned()))
            }
            _ => Ok(var),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "uri" | "document_uri" => Self::Uri,
            "request_uri" => Self::RequestUri,
            "args" | "query_string" => Self::Args,
            "request_method" | "method" => Self::RequestMethod,
            "scheme" => Self::Scheme,
            "host" => Self::Host,
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
            "upstream_response_time" | "upstream_header_time" => Self::UpstreamResponseTime,
            "balancer_ip" => Self::BalancerIp,
            "balancer_port" => Self::BalancerPort,
            _ => return Self::named_of_connection(name),
        })
    }

    fn named_of_connection(name: &str) -> Option<Self> {
        Some(match name {
            "binary_remote_addr" => Self::RemoteAddr,
            "realip_remote_addr" => Self::PeerAddr,
            "realip_remote_port" => Self::RemotePort,
            "connection" => Self::Connection,
            "connection_requests" => Self::ConnectionRequests,
            "connection_time" => Self::ConnectionTime,
            "hostname" => Self::Hostname,
            "pid" => Self::Pid,
            "time_iso8601" => Self::TimeIso,
            "time_local" => Self::TimeLocal,
            "msec" => Self::Msec,
            "request" => Self::RequestLine,
            "remote_user" => Self::RemoteUser,
            "server_name" => Self::ServerName,
            "ssl_cipher" => Self::SslCipher,
            "ssl_session_reused" => Self::SslSessionReused,
            "ssl_client_raw_cert" => Self::SslClientRawCert,
            "ssl_client_cert" => Self::SslClientCert,
            "ssl_client_escaped_cert" => Self::SslClientEscapedCert,
            "ssl_client_v_start" => Self::SslClientStart,
            "ssl_client_v_end" => Self::SslClientEnd,
            "ssl_client_v_remain" => Self::SslClientRemain,
            "upstream_connect_time" => Self::UpstreamConnectTime,
            "bytes_sent" | "body_bytes_sent" => Self::BytesSent,
            "request_length" => Self::RequestLength,
            "request_completion" => Self::RequestCompletion,
            _ => return None,
        })
    }

    fn parse_family(name: &str) -> Result<Self, VarError> {
        let field = |rest: &str| rest.to_ascii_lowercase().replace('_', "-");
        let rest = |prefix| name.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty());
        if let Some(rest) = rest("arg_") {
            return Ok(Self::Arg(rest.to_owned()));
        }
        if let Some(rest) = rest("http_") {
            return Ok(Self::Http(field(rest)));
        }
        if let Some(rest) = rest("cookie_") {
            return Ok(Self::Cookie(rest.to_owned()));
        }
        if let Some(rest) = rest("uri_param_") {
            return Ok(Self::UriParam(rest.to_owned()));
        }
        if let Some(rest) = rest("sent_http_") {
            return Ok(Self::SentHttp(field(rest)));
        }
        let owned = || name.to_owned();
        if name.starts_with("post_arg") {
            let path = body::path(name).ok_or_else(|| VarError::NoPlace(owned()))?;
            return Ok(Self::PostArg(path));
        }
        if name.starts_with("graphql_") {
            return Err(VarError::ReadsBody(owned()));
        }
        Err(match absent::why(name) {
            Some(why) => VarError::Absent(owned(), why),
            None => VarError::Unknown(owned()),
        })
    }

    /// True if the value is only known once it is known who calls.
    pub fn needs_identity(&self) -> bool {
        matches!(self, Self::ConsumerName | Self::ConsumerGroupId | Self::RemoteUser)
    }

    /// True if the value is only known once an answer is on its way.
    pub fn needs_answer(&self) -> bool {
        matches!(
            self,
            Self::Status
                | Self::UpstreamStatus
                | Self::UpstreamAddr
                | Self::UpstreamResponseTime
                | Self::UpstreamConnectTime
                | Self::BalancerIp
                | Self::BalancerPort
                | Self::SentHttp(_)
        ) || self.needs_end()
    }

    /// True if the value is only known once the exchange is over.
    pub fn needs_end(&self) -> bool {
        matches!(self, Self::BytesSent | Self::RequestLength | Self::RequestCompletion)
    }

    /// True if the value is in the request's body.
    pub fn reads_body(&self) -> bool {
        matches!(self, Self::PostArg(_))
    }

    /// True if the value is only known once a route was matched.
    pub fn needs_route(&self) -> bool {
        matches!(
            self,
            Self::RouteId
                | Self::RouteName
                | Self::ServiceId
                | Self::ServiceName
                | Self::ServerName
                | Self::UriParam(_)
        )
    }
}
