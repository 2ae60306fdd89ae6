//! Where a page stands: the host of a URL.

use bartizan_wire::Authority;

/// The host of an http or https URL, and its port where one is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WebOrigin<'a> {
    pub(crate) authority: Authority<'a>,
}

impl<'a> WebOrigin<'a> {
    /// The origin of a URL: `None` where that is of another scheme or none at all, an error where
    /// its host could be read in two ways.
    pub(crate) fn of_url(url: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let Some(rest) = after_scheme(url) else { return Ok(None) };
        // A browser takes a backslash for a slash; whoever else reads it may not.
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
        let authority = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        Ok(Some(Self { authority: Authority::parse(authority)? }))
    }
}

/// What follows `http://` or `https://`.
fn after_scheme(url: &[u8]) -> Option<&[u8]> {
    ["http://", "https://"].into_iter().find_map(|prefix| {
        let (start, rest) = url.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Option<String>, &'static str> {
        Ok(WebOrigin::of_url(url.as_bytes())?.map(|origin| {
            let mut host = String::new();
            origin.authority.write_host(&mut host);
            host
        }))
    }

    #[test]
    fn urls_have_one_host() {
        for (url, host) in [
            ("https://Example.com", "example.com"),
            ("HTTP://example.com.:8080/a?b", "example.com"),
            ("http://example.com?https://evil.test/", "example.com"),
            ("http://example.com#@evil.test", "example.com"),
            ("https://[2001:DB8::1]:8443/", "[2001:db8::1]"),
        ] {
            assert_eq!(read(url), Ok(Some(host.to_owned())), "{url}");
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
    fn what_is_no_web_page_has_no_origin() {
        for url in ["", "/orders", "//good.test/", "about:blank", "android-app://good.test/"] {
            assert_eq!(read(url), Ok(None), "{url}");
        }
    }
}
