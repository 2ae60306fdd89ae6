//! What a field's name means to the codec.

use smallvec::SmallVec;

use crate::identity_fields::is_identity_field;

/// What the codec does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Passes.
    Plain,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    /// Belongs to a WebSocket handshake.
    WebSocket,
    /// Ends at the next hop (RFC 9110 §7.6.1); removed.
    HopByHop,
    /// Asks a backend to take another method or path for the real one; removed from requests.
    Override,
    /// Asserts identity, or imitates one of the others with `_` for `-`; removed from requests.
    Forged,
}

/// The role of a lower-case name.
pub(crate) fn role(name: &[u8], has_underscore: bool) -> Role {
    let role = exact_role(name);
    if role != Role::Plain {
        return role;
    }
    if is_identity_field(name) || (has_underscore && imitates(name)) {
        return Role::Forged;
    }
    Role::Plain
}

pub(crate) fn exact_role(name: &[u8]) -> Role {
    let is = |wanted: &str, role| if name == wanted.as_bytes() { role } else { Role::Plain };
    match (name.len(), name.first()) {
        (2, Some(b't')) => is("te", Role::HopByHop),
        (4, Some(b'h')) => is("host", Role::Host),
        (6, Some(b'e')) => is("expect", Role::Expect),
        (7, Some(b'u')) => is("upgrade", Role::Upgrade),
        (7, Some(b't')) => is("trailer", Role::HopByHop),
        (10, Some(b'c')) => is("connection", Role::Connection),
        (10, Some(b'k')) => is("keep-alive", Role::HopByHop),
        (13, Some(b'x')) => match name {
            b"x-http-method" | b"x-rewrite-url" => Role::Override,
            _ => Role::Plain,
        },
        (14, Some(b'c')) => is("content-length", Role::ContentLength),
        (14, Some(b'h')) => is("http2-settings", Role::HopByHop),
        (14, Some(b'x')) => is("x-original-url", Role::Override),
        (16, Some(b'p')) => is("proxy-connection", Role::HopByHop),
        (17, Some(b't')) => is("transfer-encoding", Role::TransferEncoding),
        (17, Some(b'x')) => is("x-method-override", Role::Override),
        (17 | 20..=22 | 24, Some(b's')) => match name {
            b"sec-websocket-key"
            | b"sec-websocket-accept"
            | b"sec-websocket-version"
            | b"sec-websocket-protocol"
            | b"sec-websocket-extensions" => Role::WebSocket,
            _ => Role::Plain,
        },
        (22, Some(b'x')) => is("x-http-method-override", Role::Override),
        _ => Role::Plain,
    }
}

/// True if the name reads as one that matters where `_` and `-` are taken for the same.
fn imitates(name: &[u8]) -> bool {
    let folded: SmallVec<[u8; 64]> =
        name.iter().map(|b| if *b == b'_' { b'-' } else { *b }).collect();
    exact_role(&folded) != Role::Plain || is_protected(&folded)
}

/// True for a lower-case name that security depends on, so that `Connection` may not have it
/// removed between the hop that checked it and the one that relies on it.
pub(crate) fn is_protected(name: &[u8]) -> bool {
    matches!(
        name,
        b"authorization"
            | b"proxy-authorization"
            | b"host"
            | b"cookie"
            | b"set-cookie"
            | b"forwarded"
            | b"x-real-ip"
    ) || name.starts_with(b"x-forwarded-")
        || name.starts_with(b"content-")
        || is_identity_field(name)
}

/// True for a lower-case name that a trailer section may not carry (RFC 9110 §6.5.1): framing,
/// routing, authentication, request modifiers, response control, how content is to be read.
pub(crate) fn is_forbidden_in_trailers(name: &[u8]) -> bool {
    let has_underscore = name.contains(&b'_');
    role(name, has_underscore) != Role::Plain
        || name.starts_with(b"x-forwarded-")
        || name.starts_with(b"if-")
        || name.starts_with(b"access-control-")
        || matches!(
            name,
            b"age"
                | b"authorization"
                | b"cache-control"
                | b"content-disposition"
                | b"content-encoding"
                | b"content-location"
                | b"content-range"
                | b"content-type"
                | b"cookie"
                | b"date"
                | b"expires"
                | b"forwarded"
                | b"location"
                | b"max-forwards"
                | b"origin"
                | b"pragma"
                | b"proxy-authenticate"
                | b"proxy-authorization"
                | b"range"
                | b"retry-after"
                | b"set-cookie"
                | b"strict-transport-security"
                | b"vary"
                | b"via"
                | b"warning"
                | b"www-authenticate"
                | b"x-real-ip"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Role {
        role(name.as_bytes(), name.contains('_'))
    }

    #[test]
    fn every_name_has_its_role() {
        for (name, expected) in [
            ("te", Role::HopByHop),
            ("trailer", Role::HopByHop),
            ("keep-alive", Role::HopByHop),
            ("proxy-connection", Role::HopByHop),
            ("http2-settings", Role::HopByHop),
            ("connection", Role::Connection),
            ("upgrade", Role::Upgrade),
            ("host", Role::Host),
            ("content-length", Role::ContentLength),
            ("transfer-encoding", Role::TransferEncoding),
            ("expect", Role::Expect),
            ("sec-websocket-key", Role::WebSocket),
            ("sec-websocket-accept", Role::WebSocket),
            ("sec-websocket-version", Role::WebSocket),
            ("sec-websocket-protocol", Role::WebSocket),
            ("sec-websocket-extensions", Role::WebSocket),
            ("sec_websocket_key", Role::Forged),
            ("sec-fetch-mode", Role::Plain),
            ("x-http-method-override", Role::Override),
            ("x-http-method", Role::Override),
            ("x-method-override", Role::Override),
            ("x-original-url", Role::Override),
            ("x-rewrite-url", Role::Override),
            ("x-consumer-username", Role::Forged),
            ("x_consumer_username", Role::Forged),
            ("content_length", Role::Forged),
            ("transfer_encoding", Role::Forged),
            ("x_forwarded_for", Role::Forged),
            ("x_http_method_override", Role::Forged),
            ("x_real_ip", Role::Forged),
            ("x-forwarded-for", Role::Plain),
            ("x-real-ip", Role::Plain),
            ("accept", Role::Plain),
            ("my_field", Role::Plain),
            ("content-type", Role::Plain),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
    }

    #[test]
    fn what_security_depends_on_is_protected() {
        for name in [
            "authorization",
            "proxy-authorization",
            "host",
            "cookie",
            "set-cookie",
            "forwarded",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-proto",
            "content-type",
            "content-encoding",
            "x-consumer-username",
            "client-cert",
        ] {
            assert!(is_protected(name.as_bytes()), "{name}");
        }
        assert!(!is_protected(b"x-trace") && !is_protected(b"te") && !is_protected(b"accept"));
    }

    #[test]
    fn trailers_may_carry_checksums_and_not_meaning() {
        for name in [
            "digest",
            "content-digest",
            "repr-digest",
            "x-checksum",
            "server-timing",
            "grpc-status",
        ] {
            assert!(!is_forbidden_in_trailers(name.as_bytes()), "{name}");
        }
        for name in [
            "content-length",
            "transfer-encoding",
            "host",
            "authorization",
            "cookie",
            "set-cookie",
            "x-consumer-username",
            "x_userinfo",
            "x-forwarded-for",
            "forwarded",
            "trailer",
            "te",
            "connection",
            "content-type",
            "content-encoding",
            "expect",
            "range",
            "if-match",
            "cache-control",
            "www-authenticate",
            "x-http-method-override",
            "x-real-ip",
            "upgrade",
        ] {
            assert!(is_forbidden_in_trailers(name.as_bytes()), "{name}");
        }
    }
}
