//! What is compared: the cases, and who takes part in each.

use super::exchange::Request;
use super::keys::{Claims, Issuer};
use super::load::Mode;
use super::upstream::{ACCEPTED, LARGE, SMALL};

use anyhow::Result;

/// Routes of the secured cases.
pub(crate) const ROUTES: usize = 1000;
/// Consumers, each on a route of its own.
pub(crate) const CONSUMERS: usize = 64;
/// The body of the secured route with a schema: 1 KiB.
const ORDER: &str = include_str!("../../../bench/order.json");
/// Connections of the ordinary cases.
const CONNECTIONS: usize = 32;
/// Connections of HTTP/2, eight streams each.
const CONNECTIONS_HTTP2: usize = 4;

/// A measured case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Case {
    /// HTTP/1.1 keep-alive, 1 KiB
    Plain,
    /// The same under TLS 1.3
    Tls,
    /// A new TLS 1.3 connection for each request
    Handshake,
    /// HTTP/2 under TLS 1.3
    Http2,
    /// A POST of 64 KiB
    Post,
    /// A response of 100 KB
    Large,
    /// TLS, RS256 token, limit, addresses, CORS, headers, log
    Secured,
    /// The secured route with a POST of 1 KiB of JSON that is held against a schema
    Schema,
    /// The first case with two workers
    Workers,
    /// Memory of an idle connection, plain and TLS
    Memory,
}

impl Case {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 10] = [
        Self::Plain,
        Self::Tls,
        Self::Handshake,
        Self::Http2,
        Self::Post,
        Self::Large,
        Self::Secured,
        Self::Schema,
        Self::Workers,
        Self::Memory,
    ];

    /// The name in the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain HTTP/1.1 keep-alive, 1 KiB",
            Self::Tls => "TLS 1.3 keep-alive, 1 KiB",
            Self::Handshake => "new TLS 1.3 connection per request",
            Self::Http2 => "HTTP/2 under TLS 1.3, 1 KiB",
            Self::Post => "64 KiB POST",
            Self::Large => "100 KB response",
            Self::Secured => "secured route under TLS",
            Self::Schema => "secured route with a schema under TLS, 1 KiB POST",
            Self::Workers => "plain HTTP/1.1 keep-alive, two workers",
            Self::Memory => "memory per idle connection",
        }
    }

    /// Requests of one round, enough for half a second of the fastest proxy's time.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Plain | Self::Tls | Self::Http2 | Self::Workers => 30_000,
            Self::Secured | Self::Schema => 12_000,
            Self::Post | Self::Large => 8_000,
            Self::Handshake => 3_000,
            Self::Memory => 2_000,
        }
    }

    /// Who takes part.
    pub(crate) fn variants(self) -> &'static [Variant] {
        match self {
            Self::Secured => &[Variant::Token, Variant::CachedToken, Variant::NoToken],
            Self::Schema => &[Variant::Schema, Variant::CachedSchema],
            Self::Workers => &[Variant::TwoWorkers],
            _ => &[Variant::Open],
        }
    }

    /// Whether its requests travel under TLS.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Handshake | Self::Http2 | Self::Secured | Self::Schema)
    }

    /// How its requests travel.
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Handshake => Mode::Fresh,
            Self::Http2 => Mode::Http2,
            Self::Memory => Mode::Idle,
            _ => Mode::KeepAlive,
        }
    }

    /// Over how many connections.
    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Http2 => CONNECTIONS_HTTP2,
            Self::Memory => self.count(),
            _ => CONNECTIONS,
        }
    }

    /// Bytes of the body of each answer.
    pub(crate) fn length(self) -> usize {
        match self {
            Self::Post | Self::Schema => ACCEPTED,
            Self::Large => LARGE,
            _ => SMALL,
        }
    }

    /// The requests, sent in turn.
    pub(crate) fn requests(self, issuer: &Issuer) -> Result<Vec<Request>> {
        Ok(match self {
            Self::Post => {
                vec![Request { method: "POST".into(), body: 64 * 1024, ..Request::get("/orders") }]
            }
            Self::Large => vec![Request::get("/orders/large")],
            Self::Secured | Self::Schema => {
                let each = (0..CONSUMERS).map(|number| {
                    let token = issuer.token(Claims::good(&consumer(number)))?;
                    Ok(self.secured(number, &token))
                });
                each.collect::<Result<_>>()?
            }
            _ => vec![Request::get("/orders/1")],
        })
    }

    /// The request of one consumer to its own route.
    pub(crate) fn secured(self, number: usize, token: &str) -> Request {
        let mut request = secured_request(number, token);
        if self == Self::Schema {
            request.method = "POST".into();
            request.content = Some(ORDER.into());
            request.headers.push(("Content-Type".into(), "application/json".into()));
        }
        request
    }
}

fn secured_request(number: usize, token: &str) -> Request {
    // Routes are spread, so that no proxy finds them all at the start of a list.
    let route = route(number * (ROUTES / CONSUMERS));
    let mut request = Request::get(&format!("/{route}/items/1"));
    request.headers.push(("Origin".into(), "https://app.example.com".into()));
    request.headers.push(("Authorization".into(), format!("Bearer {token}")));
    request
}

/// The name of a route.
pub(crate) fn route(number: usize) -> String {
    format!("route-{number:04}")
}

/// The name of a consumer.
pub(crate) fn consumer(number: usize) -> String {
    format!("consumer-{number:02}")
}

/// How a proxy is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Variant {
    /// One worker, an open route.
    Open,
    /// Two workers, an open route.
    TwoWorkers,
    /// The secured route.
    Token,
    /// The secured route with a cache of verified tokens.
    CachedToken,
    /// The secured route without authentication.
    NoToken,
    /// The secured route with a schema.
    Schema,
    /// The same with a cache of verified tokens.
    CachedSchema,
}

impl Variant {
    /// What it adds to the name of a proxy.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::TwoWorkers => ", two workers",
            Self::Token => ", token",
            Self::CachedToken => ", token cache",
            Self::NoToken => ", no token",
            Self::Schema => ", token, schema",
            Self::CachedSchema => ", token cache, schema",
        }
    }

    /// Whether requests without a good token are refused.
    pub(crate) fn needs_token(self) -> bool {
        matches!(self, Self::Token | Self::CachedToken) || self.has_schema()
    }

    /// Whether bodies are held against a schema.
    pub(crate) fn has_schema(self) -> bool {
        matches!(self, Self::Schema | Self::CachedSchema)
    }

    /// Whether verified tokens are remembered.
    pub(crate) fn remembers(self) -> bool {
        matches!(self, Self::CachedToken | Self::CachedSchema)
    }

    /// Whether it is configured as the secured route.
    pub(crate) fn is_secured(self) -> bool {
        self.needs_token() || self == Self::NoToken
    }
}
