//! Names of fields in which the gateway tells an upstream who calls.
//!
//! A security boundary: whoever could send one of these through the gateway would be whom they
//! please. They are taken out of every request before anything else looks at it, in every case and
//! with `_` in place of `-`, since many servers cannot tell the two apart (CGI, WSGI, Rack).

/// True for a field that asserts identity, in any case, `_` counting as `-`.
///
/// Cheap for all others: the first byte and the one after `x-` decide for nearly every name.
pub fn is_identity_field(name: &[u8]) -> bool {
    match name {
        [b'x' | b'X', b'-' | b'_', rest @ ..] => is_x_identity(rest),
        [b'r' | b'R', ..] => is(name, b"remote-user"),
        [b'c' | b'C', ..] => is(name, b"client-cert") || is(name, b"client-cert-chain"),
        _ => false,
    }
}

/// The same for what follows `x-`.
fn is_x_identity(rest: &[u8]) -> bool {
    match rest.first().map(u8::to_ascii_lowercase) {
        Some(b'a') => is(rest, b"access-token") || starts(rest, b"apisix-"),
        Some(b'b') => starts(rest, b"bartizan-"),
        Some(b'c') => {
            starts(rest, b"consumer-")
                || starts(rest, b"client-cert")
                || is(rest, b"credential-identifier")
        }
        Some(b'f') => is(rest, b"forwarded-user"),
        Some(b'i') => is(rest, b"id-token"),
        Some(b'r') => is(rest, b"remote-user") || is(rest, b"refresh-token"),
        Some(b's') => starts(rest, b"ssl-client-"),
        Some(b'u') => is(rest, b"userinfo"),
        _ => false,
    }
}

fn is(name: &[u8], wanted: &[u8]) -> bool {
    name.len() == wanted.len() && starts(name, wanted)
}

fn starts(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len())
        .is_some_and(|start| start.iter().zip(prefix).all(|(a, b)| folded(*a) == *b))
}

fn folded(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 24] = [
        "x-consumer-username",
        "x-credential-identifier",
        "x-consumer-custom-id",
        "x-consumer-",
        "x-consumer-groups",
        "x-userinfo",
        "x-id-token",
        "x-access-token",
        "x-refresh-token",
        "x-forwarded-user",
        "x-remote-user",
        "remote-user",
        "x-client-cert",
        "x-client-cert-chain",
        "x-client-certificate",
        "x-ssl-client-",
        "x-ssl-client-verify",
        "x-ssl-client-s-dn",
        "client-cert",
        "client-cert-chain",
        "x-apisix-",
        "x-apisix-upstream-status",
        "x-bartizan-",
        "x-bartizan-consumer",
    ];

    #[test]
    fn every_identity_field_is_known_in_every_spelling() {
        for name in NAMES {
            let underscored = name.replace('-', "_");
            let mixed = name.replacen('-', "_", 1);
            for spelling in [name, &underscored, &mixed, &name.to_uppercase()] {
                assert!(is_identity_field(spelling.as_bytes()), "{spelling}");
            }
        }
    }

    #[test]
    fn other_fields_are_left_alone() {
        for name in [
            "",
            "x",
            "x-",
            "host",
            "cookie",
            "authorization",
            "remote",
            "remote-users",
            "client",
            "client-certs",
            "x-consumer",
            "x-consumers",
            "x-forwarded-for",
            "x-forwarded-users",
            "x-request-id",
            "x-access-tokens",
            "x-api-key",
            "x-apisix",
            "x-bartizan",
            "x-ssl-clients",
            "x-ssl-client",
            "x-user",
            "xconsumer-username",
            "x-id-tokens",
            "x-real-ip",
            "content-type",
        ] {
            assert!(!is_identity_field(name.as_bytes()), "{name}");
        }
    }
}
