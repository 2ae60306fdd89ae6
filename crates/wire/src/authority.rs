//! `host[:port]`: what Host, an absolute-form target and `:authority` hold (RFC 3986 §3.2).
//!
//! Narrower than the RFC's grammar on purpose: a name is letters, digits, `-`, `_` and `.` with no
//! empty label. Percent-encoding and sub-delimiters in a host name are read differently by
//! different parsers, and nobody's name has them. No user information, no IPv6 zone, no future
//! address form.

use std::fmt::Write as _;
use std::net::Ipv6Addr;

/// Longest name that DNS can hold, with its trailing dot.
const NAME_MAX: usize = 254;

/// A valid authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    /// A name or an IPv4 address, without its trailing dot, in the case it came.
    Name(&'a str),
    V6(Ipv6Addr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a.eq_ignore_ascii_case(b),
            (Self::V6(a), Self::V6(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl<'a> Authority<'a> {
    /// Reads `host[:port]`, or says why it could be read in two ways.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "a host that is not ASCII")?;
        let (host, port) = if let Some(inner) = text.strip_prefix('[') {
            let (address, after) = inner.split_once(']').ok_or("an IPv6 host without its end")?;
            let address =
                address.parse().map_err(|_| "a host in brackets that is no IPv6 address")?;
            match after.strip_prefix(':') {
                Some(port) => (Host::V6(address), Some(port)),
                None if after.is_empty() => (Host::V6(address), None),
                None => return Err("bytes after an IPv6 host"),
            }
        } else {
            match text.split_once(':') {
                Some((name, port)) => (Host::Name(host_name(name)?), Some(port)),
                None => (Host::Name(host_name(text)?), None),
            }
        };
        let port = port.map(parse_port).transpose()?.flatten();
        Ok(Self { host, port })
    }

    /// The port, where one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The name or IPv4 address, without its trailing dot, in the case it came.
    pub fn name(&self) -> Option<&'a str> {
        match self.host {
            Host::Name(name) => Some(name),
            Host::V6(_) => None,
        }
    }

    /// The IPv6 address.
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        match self.host {
            Host::Name(_) => None,
            Host::V6(address) => Some(address),
        }
    }

    /// True if both name the same host and port, where `default` is the port of the scheme.
    pub(crate) fn agrees_with(&self, other: &Self, default: u16) -> bool {
        self.host == other.host && self.port.unwrap_or(default) == other.port.unwrap_or(default)
    }

    /// Appends the one form of the host: lower case, IPv6 in brackets in its shortest form.
    pub fn write_host(&self, out: &mut String) {
        match self.host {
            Host::Name(name) => {
                let start = out.len();
                out.push_str(name);
                if let Some(pushed) = out.get_mut(start..) {
                    pushed.make_ascii_lowercase();
                }
            }
            Host::V6(address) => {
                // Writing to a String does not fail.
                let _ = write!(out, "[{address}]");
            }
        }
    }
}

/// True for the bytes of a host name.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// A valid name, without the dot that may end it.
fn host_name(text: &str) -> Result<&str, &'static str> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err("an empty host");
    }
    if text.len() > NAME_MAX {
        return Err("a host name longer than DNS allows");
    }
    let mut after_dot = true;
    for byte in name.bytes() {
        if !is_name_byte(byte) {
            return Err("a byte in the host that is not allowed there");
        }
        if after_dot && byte == b'.' {
            return Err("an empty label in the host");
        }
        after_dot = byte == b'.';
    }
    if after_dot { Err("an empty label in the host") } else { Ok(name) }
}

/// An empty port is none (RFC 3986 §3.2.3).
fn parse_port(text: &str) -> Result<Option<u16>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > 5 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a port that is not a number");
    }
    match text.parse() {
        Ok(0) => Err("port 0"),
        Ok(port) => Ok(Some(port)),
        Err(_) => Err("a port over 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Option<u16>), &'static str> {
        let authority = Authority::parse(text.as_bytes())?;
        let mut host = String::new();
        authority.write_host(&mut host);
        Ok((host, authority.port()))
    }

    #[test]
    fn hosts_have_one_form() {
        for (text, host, port) in [
            ("example.com", "example.com", None),
            ("EXAMPLE.Com.:8443", "example.com", Some(8443)),
            ("example.com:", "example.com", None),
            ("my_service:80", "my_service", Some(80)),
            ("127.0.0.1:9080", "127.0.0.1", Some(9080)),
            ("[::1]", "[::1]", None),
            ("[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]", Some(443)),
        ] {
            assert_eq!(read(text), Ok((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            ".",
            ":80",
            "a..b",
            ".a",
            "a..",
            "user@a",
            "a b",
            " a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a,b",
            "a%2eb",
            "é",
            "a:80:90",
            "a:8o",
            "a:-1",
            "a:+1",
            "a:65536",
            "a:0",
            "a:000080",
            "[::1",
            "::1",
            "[::1]x",
            "[::1%25eth0]",
            "[v1.x]",
            "[127.0.0.1]",
            "a;b",
            "[]",
            "a\t",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(read(&"a".repeat(255)).is_err());
    }

    #[test]
    fn authorities_agree_whatever_their_spelling() {
        let agree = |a: &str, b: &str, default| {
            let (a, b) = (Authority::parse(a.as_bytes()), Authority::parse(b.as_bytes()));
            a.unwrap().agrees_with(&b.unwrap(), default)
        };
        assert!(agree("A.example", "a.example.", 80));
        assert!(agree("a:80", "a", 80) && !agree("a:80", "a", 443));
        assert!(agree("[::1]", "[0:0::1]", 80));
        assert!(!agree("a", "b", 80) && !agree("a:1", "a:2", 80));
    }
}
