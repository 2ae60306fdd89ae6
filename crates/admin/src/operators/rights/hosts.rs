//! Which hosts an editor may serve.

/// A host, or all hosts below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    /// This one.
    Exact(Box<str>),
    /// All that end so; begins with a dot.
    Below(Box<str>),
}

impl HostPattern {
    /// Reads `shop.example` or `*.shop.example`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte)
                })
        };
        if !name.split('.').all(is_label) {
            return None;
        }
        Some(match text.strip_prefix('*') {
            Some(suffix) => Self::Below(suffix.into()),
            None => Self::Exact(text.into()),
        })
    }

    /// Whether every host that a pattern of the configuration matches is one of these. There, `*`
    /// and a suffix match whatever ends so, with or without a dot, and a port narrows.
    pub(super) fn contains(&self, pattern: &str) -> bool {
        let pattern = pattern.to_ascii_lowercase();
        match (self, pattern.strip_prefix('*')) {
            (Self::Exact(_), Some(_)) => false,
            (Self::Exact(host), None) => without_port(&pattern) == &**host,
            (Self::Below(below), Some(suffix)) => suffix.ends_with(&**below),
            (Self::Below(below), None) => {
                let host = without_port(&pattern);
                host.len() > below.len() && host.ends_with(&**below)
            }
        }
    }
}

/// A host without the port behind it.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_or_all_below_it() {
        let exact = HostPattern::parse("shop.example").unwrap();
        let below = HostPattern::parse("*.shop.example").unwrap();
        for (pattern, by_exact, by_below) in [
            ("shop.example", true, false),
            ("SHOP.example", true, false),
            ("shop.example:8443", true, false),
            ("a.shop.example", false, true),
            ("a.b.shop.example:80", false, true),
            ("*.shop.example", false, true),
            ("*.a.shop.example", false, true),
            ("*-eu.shop.example", false, true),
            ("*shop.example", false, false),
            ("*.example", false, false),
            ("*", false, false),
            ("", false, false),
            ("shop.example.", false, false),
            (".shop.example", false, false),
            ("evilshop.example", false, false),
            ("shop.example.evil.test", false, false),
            ("[::1]:80", false, false),
            ("shop.example:80:80", false, false),
        ] {
            assert_eq!(exact.contains(pattern), by_exact, "{pattern}");
            assert_eq!(below.contains(pattern), by_below, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_host_or_is_all_is_no_confinement() {
        for text in ["*", "*.", "", ".", "a..b", "*shop.example", "A.b", "a.b:80", "a/b", "*.*.b"] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }

    /// How the router reads a pattern.
    fn matches(pattern: &str, host: &str) -> bool {
        match pattern.strip_prefix('*') {
            Some(suffix) => host.ends_with(suffix),
            None => pattern == host,
        }
    }

    fn host() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]{1,2}", 1..4).prop_map(|labels| labels.join("."))
    }

    proptest! {
        #[test]
        fn what_is_inside_matches_no_host_outside(
            own in host(),
            is_below in any::<bool>(),
            stars in "(|\\*|\\*\\.)",
            suffix in host(),
            front in "[abc.]{0,4}",
        ) {
            let own = if is_below { format!("*.{own}") } else { own };
            let confinement = HostPattern::parse(&own).unwrap();
            let pattern = format!("{stars}{suffix}");
            let ending = pattern.strip_prefix('*').unwrap_or(&pattern);
            // What the router could be asked for, made of the pattern itself.
            let asked = [suffix.clone(), ending.to_owned(), format!("{front}{ending}")];
            for asked in asked.iter().filter(|asked| matches(&pattern, asked)) {
                if confinement.contains(&pattern) && !asked.starts_with('.') {
                    prop_assert!(matches(&own, asked), "{pattern} in {own} serves {asked}");
                }
            }
            // And nothing is refused without a host outside.
            let witness = [format!("c{ending}"), format!("c.{ending}"), ending.to_owned()];
            let is_outside = witness
                .iter()
                .any(|host| matches(&pattern, host) && !matches(&own, host));
            prop_assert_eq!(confinement.contains(&pattern), !is_outside, "{} in {}", pattern, own);
        }
    }
}
