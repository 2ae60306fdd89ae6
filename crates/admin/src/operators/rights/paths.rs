//! Which paths an editor may serve.

/// A path and what is below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPrefix {
    /// The path, without a slash at its end.
    base: Box<str>,
    /// Whether the path itself is meant, or only what is below it.
    has_itself: bool,
}

impl PathPrefix {
    /// Reads `/shop`, the path itself and all below it, or `/shop/`, all below it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let base = text.strip_suffix('/').unwrap_or(text);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
        let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
        let segments = base.strip_prefix('/')?;
        if !base.bytes().all(is_plain) || !segments.split('/').all(is_segment) {
            return None;
        }
        Some(Self { base: base.into(), has_itself: base.len() == text.len() })
    }

    /// Whether every path that a pattern of the configuration matches is one of these. Paths are
    /// matched as the canonical form spells them, byte by byte.
    pub(super) fn contains(&self, pattern: &str) -> bool {
        // From a wildcard or a parameter on, anything may follow.
        let parameter = pattern.find("/:").map(|at| at + 1);
        let end = [pattern.find(['*', '{', '$']), parameter].into_iter().flatten().min();
        let literal = end.and_then(|end| pattern.get(..end)).unwrap_or(pattern);
        let Some(rest) = literal.strip_prefix(&*self.base) else { return false };
        rest.starts_with('/') || (rest.is_empty() && end.is_none() && self.has_itself)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_ends_where_a_segment_does() {
        let own = PathPrefix::parse("/shop").unwrap();
        let below = PathPrefix::parse("/shop/").unwrap();
        for (pattern, by_own, by_below) in [
            ("/shop", true, false),
            ("/shop/", true, true),
            ("/shop/a", true, true),
            ("/shop/*", true, true),
            ("/shop/:id/x", true, true),
            ("/shop*", false, false),
            ("/shopping", false, false),
            ("/*", false, false),
            ("/", false, false),
            ("*", false, false),
            ("", false, false),
            ("/:team/a", false, false),
            ("/{team}/a", false, false),
            ("/sho", false, false),
            ("/Shop/a", false, false),
            ("/a/shop/", false, false),
            ("/%73hop/", false, false),
        ] {
            assert_eq!(own.contains(pattern), by_own, "{pattern}");
            assert_eq!(below.contains(pattern), by_below, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_plain_path_or_is_all_is_no_confinement() {
        for text in
            ["", "/", "//", "shop", "/a//b", "/a/../b", "/a*", "/a?b", "/%61", "/a/.", "/:a"]
        {
            assert_eq!(PathPrefix::parse(text), None, "{text}");
        }
    }

    /// How the router reads a pattern.
    fn matches(pattern: &str, path: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => pattern == path,
        }
    }

    proptest! {
        #[test]
        fn what_is_inside_matches_no_path_outside(
            own in "(/[ab]{1,2}){1,2}/?",
            literal in "/[ab/]{0,6}",
            star in "\\*?",
        ) {
            let prefix = PathPrefix::parse(&own).unwrap();
            let is_own = |path: &str| {
                let base = own.trim_end_matches('/');
                path.starts_with(&format!("{base}/")) || path == own
            };
            let pattern = format!("{literal}{star}");
            let witness = [literal.clone(), format!("{literal}c"), format!("{literal}/c")];
            let is_outside = witness.iter().any(|path| matches(&pattern, path) && !is_own(path));
            prop_assert_eq!(prefix.contains(&pattern), !is_outside, "{} in {}", pattern, own);
        }
    }
}
