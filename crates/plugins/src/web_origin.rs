//! Where a page stands: scheme, host and port of a URL (RFC 6454).

use bartizan_chain::RequestCx;
use bartizan_wire::Authority;

use crate::prepare::redirect::came_by_https;

/// Scheme, host and port of an http or https URL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WebOrigin<'a> {
    pub(crate) is_https: bool,
    pub(crate) authority: Authority<'a>,
}

impl<'a> WebOrigin<'a> {
    /// The origin of a URL: `None` where that is of another scheme or none at all, an error where
    /// its host could be read in two ways.
    pub(crate) fn of_url(url: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let Some((is_https, rest)) = scheme(url) else { return Ok(None) };
        // A browser takes a backslash for a slash; whoever else reads it may not.
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
        let authority = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        Ok(Some(Self { is_https, authority: Authority::parse(authority)? }))
    }

    /// An origin by itself, as it stands in `Origin`: nothing follows the port.
    pub(crate) fn parse(origin: &'a [u8]) -> Result<Self, &'static str> {
        let (is_https, rest) = scheme(origin).ok_or("not of http or https")?;
        Ok(Self { is_https, authority: Authority::parse(rest)? })
    }

    /// The port, also where the scheme implies it.
    pub(crate) fn port(&self) -> u16 {
        self.authority.port().unwrap_or(if self.is_https { 443 } else { 80 })
    }

    /// True if both name the same host, in whatever case.
    pub(crate) fn has_host_of(&self, other: &Authority<'_>) -> bool {
        match (self.authority.name(), other.name()) {
            (Some(own), Some(other)) => own.eq_ignore_ascii_case(other),
            (None, None) => self.authority.ipv6() == other.ipv6(),
            _ => false,
        }
    }
}

/// True for the origin that was asked. Where the request came by https, so must the page have.
pub(crate) fn is_own(cx: &RequestCx, origin: &WebOrigin<'_>) -> bool {
    let Ok(asked) = Authority::parse(cx.canonical().authority().as_bytes()) else { return false };
    if came_by_https(cx) && !origin.is_https {
        return false;
    }
    // TLS may end in front of us: the page's scheme says which port is the usual one.
    let usual = if origin.is_https { 443 } else { 80 };
    origin.has_host_of(&asked) && origin.port() == asked.port().unwrap_or(usual)
}

/// True if a browser says that a page of another origin than the one that was asked makes the
/// request: by an `Origin` that is not that one, can be read in two ways, or stands there twice.
/// What is no browser says nothing.
pub fn comes_from_another_origin(cx: &RequestCx) -> bool {
    match cx.fields.single("origin") {
        Ok(None) => false,
        Ok(Some(origin)) => !WebOrigin::parse(origin).is_ok_and(|origin| is_own(cx, &origin)),
        Err(_) => true,
    }
}

/// An origin that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    is_https: bool,
    /// In lower case, an IPv6 address in brackets.
    host: String,
    port: u16,
}

impl Site {
    /// Keeps an origin.
    pub(crate) fn of(origin: &WebOrigin<'_>) -> Self {
        let mut host = String::new();
        origin.authority.write_host(&mut host);
        Self { is_https: origin.is_https, host, port: origin.port() }
    }

    /// True if both are the same origin.
    pub(crate) fn is(&self, origin: &WebOrigin<'_>) -> bool {
        self.is_https == origin.is_https
            && self.port == origin.port()
            && Authority::parse(self.host.as_bytes()).is_ok_and(|host| origin.has_host_of(&host))
    }
}

/// Whether the scheme is https, and what follows `://`.
fn scheme(url: &[u8]) -> Option<(bool, &[u8])> {
    [(false, "http://"), (true, "https://")].into_iter().find_map(|(is_https, prefix)| {
        let (start, rest) = url.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix.as_bytes()).then_some((is_https, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Option<(bool, String, u16)>, &'static str> {
        Ok(WebOrigin::of_url(url.as_bytes())?.map(|origin| {
            let mut host = String::new();
            origin.authority.write_host(&mut host);
            (origin.is_https, host, origin.port())
        }))
    }

    #[test]
    fn urls_have_one_origin() {
        for (url, is_https, host, port) in [
            ("https://Example.com", true, "example.com", 443),
            ("HTTP://example.com.:8080/a?b", false, "example.com", 8080),
            ("http://example.com?https://evil.test/", false, "example.com", 80),
            ("http://example.com#@evil.test", false, "example.com", 80),
            ("https://[2001:DB8::1]:8443/", true, "[2001:db8::1]", 8443),
        ] {
            assert_eq!(read(url), Ok(Some((is_https, host.to_owned(), port))), "{url}");
        }
    }

    #[test]
    fn hosts_that_could_be_read_in_two_ways_are_no_hosts() {
        for url in [
            "https://good.test@evil.test/",
            "https://evil.test\\@good.test/",
            "https:///good.test",
            "https://good.test:80:80/",
            "https://good.test%2eevil.test/",
            "https://[::1/",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }

    #[test]
    fn origins_are_the_same_by_scheme_host_and_port() {
        let origin = |text: &'static str| WebOrigin::parse(text.as_bytes()).unwrap();
        for (one, other, expected) in [
            ("https://A.test", "https://a.test:443", true),
            ("http://a.test", "https://a.test", false),
            ("https://a.test:8443", "https://a.test", false),
            ("https://a.test", "https://b.test", false),
            ("https://[::1]", "https://[0:0::1]", true),
            ("https://[::1]", "https://a.test", false),
        ] {
            assert_eq!(Site::of(&origin(one)).is(&origin(other)), expected, "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_web_page_has_no_origin() {
        for url in ["", "/orders", "//good.test/", "about:blank", "android-app://good.test/"] {
            assert_eq!(read(url), Ok(None), "{url}");
        }
        for origin in ["null", "https://a.test/", "https://a.test?", "ftp://a.test"] {
            assert!(WebOrigin::parse(origin.as_bytes()).is_err(), "{origin}");
        }
    }
}
