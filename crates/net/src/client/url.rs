//! Addresses of servers as configuration writes them.

use std::sync::Arc;

use http::Uri;

/// Why a text is no address that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Not of the form.
    #[error("is not a URL such as `https://auth.example:8443/check`")]
    Form,
    /// Another scheme than `http` and `https`.
    #[error("has the scheme `{0}`; `http` and `https` are there")]
    Scheme(String),
    /// A user or password in it.
    #[error("holds a user name or password, which belong into a field for secrets")]
    UserInfo,
    /// A part behind `#`, which is never sent.
    #[error("has a fragment, which is never sent")]
    Fragment,
    /// A host that is neither a name nor an address.
    #[error("names the host `{0}`, which is neither a name nor an address")]
    Host(String),
}

/// The address of a server and of something on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https`.
    pub is_tls: bool,
    /// Name or address, an IPv6 one in brackets; lower case.
    pub host: Arc<str>,
    /// The port, the scheme's own where none is written.
    pub port: u16,
    /// The value of Host: without the scheme's own port.
    pub authority: Arc<str>,
    /// Path and query; `/` where nothing is written.
    pub target: Arc<str>,
}

impl Url {
    /// Reads an absolute URL.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        if text.contains('#') {
            return Err(UrlFault::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| UrlFault::Form)?;
        let scheme = uri.scheme_str().ok_or(UrlFault::Form)?;
        let (is_tls, default) = match scheme {
            "http" => (false, 80),
            "https" => (true, 443),
            other => return Err(UrlFault::Scheme(other.to_owned())),
        };
        let authority = uri.authority().ok_or(UrlFault::Form)?;
        if authority.as_str().contains('@') {
            return Err(UrlFault::UserInfo);
        }
        let host = authority.host().to_ascii_lowercase();
        if !is_host(&host) {
            return Err(UrlFault::Host(host));
        }
        // A colon with nothing, or no port, behind it.
        let port = match (authority.port_u16(), authority.as_str().len() > host.len()) {
            (Some(0), _) | (None, true) => return Err(UrlFault::Form),
            (port, _) => port.unwrap_or(default),
        };
        let authority = if port == default { host.clone() } else { format!("{host}:{port}") };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('?') { format!("/{target}") } else { target.to_owned() };
        Ok(Self {
            is_tls,
            host: host.into(),
            port,
            authority: authority.into(),
            target: target.into(),
        })
    }
}

/// True for a name of letters, digits, `-`, `_` and `.`, an IPv4 address, and an IPv6 address in
/// brackets.
pub fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=253).contains(&host.len())
        && host.bytes().all(is_allowed)
        && host.trim_end_matches('.').split('.').all(|label| (1..=63).contains(&label.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_is_read_into_its_parts() {
        for (text, is_tls, host, port, authority, target) in [
            ("http://a.example", false, "a.example", 80, "a.example", "/"),
            ("https://A.example/x?y=1", true, "a.example", 443, "a.example", "/x?y=1"),
            ("http://127.0.0.1:8181/v1", false, "127.0.0.1", 8181, "127.0.0.1:8181", "/v1"),
            ("https://[::1]:443/", true, "[::1]", 443, "[::1]", "/"),
            ("http://a?x=1", false, "a", 80, "a", "/?x=1"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(
                (url.is_tls, &*url.host, url.port, &*url.authority, &*url.target),
                (is_tls, host, port, authority, target)
            );
        }
    }

    #[test]
    fn what_has_no_one_meaning_is_refused() {
        for (text, fault) in [
            ("a.example", UrlFault::Form),
            ("/x", UrlFault::Form),
            ("http://", UrlFault::Form),
            ("http://a:/", UrlFault::Form),
            ("http://a:0/", UrlFault::Form),
            ("http://a:99999/", UrlFault::Form),
            ("http://a b/", UrlFault::Form),
            ("http://a/\r\nx: y", UrlFault::Form),
            ("ftp://a/", UrlFault::Scheme("ftp".into())),
            ("http://u:p@a/", UrlFault::UserInfo),
            ("http://a/#x", UrlFault::Fragment),
            ("http://a..b/", UrlFault::Host("a..b".into())),
            ("http://a!b/", UrlFault::Host("a!b".into())),
        ] {
            assert_eq!(Url::parse(text), Err(fault), "{text}");
        }
    }
}
