//! Server names: how they are written, and the index in which a handshake finds its certificate.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use foldhash::fast::RandomState;
use rustls_pki_types::DnsName;

use crate::TlsFault;

/// A host name in the one form in which names are compared: lower case, without a final dot.
pub fn normalise(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// A server name as configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum NamePattern {
    /// This name.
    Exact(String),
    /// Any one label in front of this name.
    Wildcard(String),
    /// Any name.
    Any,
}

impl NamePattern {
    /// Reads `a.example`, `*.example` or `*`.
    pub(crate) fn parse(text: &str) -> Result<Self, TlsFault> {
        let bad = || TlsFault::BadName { name: text.to_owned() };
        if text == "*" {
            return Ok(Self::Any);
        }
        let name = normalise(text).into_owned();
        let (is_wildcard, base) =
            name.strip_prefix("*.").map_or((false, name.as_str()), |base| (true, base));
        DnsName::try_from(base).map_err(|_| bad())?;
        Ok(if is_wildcard { Self::Wildcard(base.to_owned()) } else { Self::Exact(name) })
    }

    /// A name that the pattern covers, with which a certificate's own names can be asked.
    pub(crate) fn sample(&self) -> Option<String> {
        match self {
            Self::Exact(name) => Some(name.clone()),
            Self::Wildcard(base) => Some(format!("any.{base}")),
            Self::Any => None,
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(base) => write!(f, "*.{base}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Values by server name: the exact name, else the wildcard of its parent, else any.
#[derive(Debug)]
pub(crate) struct NameIndex<T> {
    exact: HashMap<Box<str>, T, RandomState>,
    wildcard: HashMap<Box<str>, T, RandomState>,
    any: Option<T>,
}

impl<T> Default for NameIndex<T> {
    fn default() -> Self {
        Self { exact: HashMap::default(), wildcard: HashMap::default(), any: None }
    }
}

impl<T: Copy> NameIndex<T> {
    /// Puts `value` in the place of the pattern.
    pub(crate) fn insert(&mut self, pattern: NamePattern, value: T) {
        match pattern {
            NamePattern::Exact(name) => {
                self.exact.insert(name.into_boxed_str(), value);
            }
            NamePattern::Wildcard(base) => {
                self.wildcard.insert(base.into_boxed_str(), value);
            }
            NamePattern::Any => self.any = Some(value),
        }
    }

    /// The value for `name`; a wildcard covers exactly one label.
    pub(crate) fn find(&self, name: &str) -> Option<T> {
        let name = normalise(name);
        self.exact
            .get(name.as_ref())
            .or_else(|| name.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent)))
            .copied()
            .or(self.any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(names: &[&'static str]) -> NameIndex<usize> {
        let mut index = NameIndex::default();
        for (i, name) in names.iter().enumerate() {
            index.insert(NamePattern::parse(name).unwrap(), i);
        }
        index
    }

    #[test]
    fn exact_wins_over_wildcard_and_wildcard_over_any() {
        let index = index(&["*", "*.example.com", "a.example.com"]);
        assert_eq!(index.find("a.example.com"), Some(2));
        assert_eq!(index.find("b.example.com"), Some(1));
        assert_eq!(index.find("other.org"), Some(0));
    }

    #[test]
    fn a_wildcard_covers_exactly_one_label() {
        let index = index(&["*.example.com"]);
        assert_eq!(index.find("example.com"), None);
        assert_eq!(index.find("a.b.example.com"), None);
        assert_eq!(index.find("a.example.com"), Some(0));
    }

    #[test]
    fn case_and_a_final_dot_do_not_matter() {
        let index = index(&["A.Example.COM."]);
        assert_eq!(index.find("a.example.com"), Some(0));
        assert_eq!(index.find("a.EXAMPLE.com."), Some(0));
    }

    #[test]
    fn what_tls_cannot_carry_is_no_server_name() {
        for name in ["", "10.0.0.1", "a b", "*.", "a.*.b", "**", "*.*", "[::1]", "a/b"] {
            assert!(NamePattern::parse(name).is_err(), "{name}");
        }
    }

    /// What a pattern is worth for a name, if it is for it: exact, one label in front, any.
    fn worth(pattern: &str, name: &str) -> Option<u8> {
        let plain = |text: &str| text.trim_end_matches('.').to_ascii_lowercase();
        let (pattern, name) = (plain(pattern), plain(name));
        if pattern == "*" {
            return Some(0);
        }
        let labels = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let (own, asked) = (labels(&pattern), labels(&name));
        let fits = own.len() == asked.len()
            && own.iter().zip(&asked).all(|(own, asked)| own == "*" || own == asked);
        fits.then_some(if own[0] == "*" { 1 } else { 2 })
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_comparing_label_by_label(
            patterns in proptest::collection::vec(
                "(\\*|(\\*\\.|)([aA]\\.|)(b\\.|)(example|EXAMPLE|xample)\\.com\\.?)", 1..8),
            name in "([abx]\\.){0,3}([eE]xample|xample)\\.com\\.?",
        ) {
            let mut index = NameIndex::default();
            for (number, pattern) in patterns.iter().enumerate() {
                index.insert(NamePattern::parse(pattern).unwrap(), number);
            }
            // Of two patterns that are the same the last is kept.
            let numbered = patterns.iter().enumerate();
            let naive = numbered.filter_map(|(n, own)| Some((worth(own, &name)?, n))).max();
            proptest::prop_assert_eq!(index.find(&name), naive.map(|(_, number)| number));
        }
    }
}
