//! Path patterns with one named segment or more: `/orders/{owner}/*`.

use std::borrow::Cow;

use bartizan_config::Invalid;
use bartizan_wire::decode_segment;

/// A compiled path pattern.
#[derive(Debug)]
pub(super) struct PathPattern {
    segments: Box<[Segment]>,
    is_open: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Named(Box<str>),
}

impl PathPattern {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let inner = text
            .strip_prefix('/')
            .ok_or_else(|| Invalid::new(format!("`{text}` does not begin with a slash")))?;
        let (inner, is_open) = match inner.strip_suffix("/*") {
            Some(inner) => (inner, true),
            None => (inner, false),
        };
        let segments = inner.split('/').map(segment).collect::<Result<Box<[_]>, _>>()?;
        let names: Vec<_> = segments.iter().filter_map(Segment::name).collect();
        let twice =
            names.iter().enumerate().find(|(i, name)| names.iter().skip(i + 1).any(|n| n == *name));
        if let Some((_, name)) = twice {
            return Err(Invalid::new(format!("`{{{name}}}` stands there twice")));
        }
        Ok(Self { segments, is_open })
    }

    /// The names in it, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// The decoded segment of this name; `None` where the path is another one, or there is nothing
    /// in the segment.
    pub(super) fn capture<'p>(&self, path: &'p str, name: &str) -> Option<Cow<'p, str>> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let mut found = None;
        for segment in &self.segments {
            let part = decode_segment(parts.next()?)?;
            match segment {
                Segment::Literal(literal) if **literal == *part => {}
                Segment::Literal(_) => return None,
                Segment::Named(own) if **own == *name => found = Some(part),
                Segment::Named(_) if part.is_empty() => return None,
                Segment::Named(_) => {}
            }
        }
        // An open pattern asks for the slash and takes whatever follows, a closed one for the end.
        if parts.next().is_some() != self.is_open {
            return None;
        }
        found.filter(|value| !value.is_empty())
    }
}

impl Segment {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Literal(_) => None,
        }
    }
}

fn segment(text: &str) -> Result<Segment, Invalid> {
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(Invalid::new(format!("`{text}` is not a name in braces")));
        }
        return Ok(Segment::Named(name.into()));
    }
    if text.contains(['{', '}', '*']) {
        return Err(Invalid::new(format!("`{text}` is neither plain text nor a name in braces"))
            .with_help("a segment is either, whole; `*` stands only at the end, after a slash"));
    }
    if matches!(text, "." | "..") {
        return Err(Invalid::new(format!("no path that is forwarded has a segment `{text}`")));
    }
    Ok(Segment::Literal(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(pattern: &str, path: &str) -> Option<String> {
        let pattern = PathPattern::parse(pattern).unwrap();
        pattern.capture(path, "owner").map(Cow::into_owned)
    }

    #[test]
    fn a_path_of_the_pattern_gives_its_segment_decoded() {
        for (pattern, path, expected) in [
            ("/orders/{owner}/*", "/orders/alice/7", "alice"),
            ("/orders/{owner}/*", "/orders/alice/7/items", "alice"),
            ("/orders/{owner}/*", "/orders/alice/", "alice"),
            ("/orders/{owner}", "/orders/al%20ice", "al ice"),
            ("/{owner}", "/%C3%A9", "é"),
            ("/a/{x}/{owner}", "/a/1/2", "2"),
            ("/{owner}/", "/alice/", "alice"),
        ] {
            assert_eq!(capture(pattern, path).as_deref(), Some(expected), "{pattern} {path}");
        }
    }

    #[test]
    fn any_other_path_gives_nothing() {
        for (pattern, path) in [
            ("/orders/{owner}/*", "/orders/alice"),
            ("/orders/{owner}/*", "/invoices/alice/7"),
            ("/orders/{owner}", "/orders/alice/7"),
            ("/orders/{owner}", "/orders/alice/"),
            ("/orders/{owner}", "/Orders/alice"),
            ("/orders/{owner}", "/orders/"),
            ("/orders/{owner}", "/orders/%FF"),
            ("/a/{x}/{owner}", "/a//2"),
            ("/{owner}", "*"),
        ] {
            assert_eq!(capture(pattern, path), None, "{pattern} {path}");
        }
    }

    #[test]
    fn patterns_that_mean_something_else_are_refused() {
        for text in ["orders/{a}", "/{a}/{a}", "/x{a}", "/{}", "/{a-b}", "/a/*/b", "/a*", "/../{a}"]
        {
            assert!(PathPattern::parse(text).is_err(), "{text}");
        }
    }

    /// A path and a pattern, segment by segment, with the value of the segment called `owner`.
    fn naive(pattern: &str, path: &str) -> Option<String> {
        let decoded = |part: &str| part.replace("%20", " ").replace("%41", "A");
        let (mut own, mut asked): (Vec<&str>, Vec<&str>) =
            (pattern.split('/').collect(), path.split('/').collect());
        if own.last() == Some(&"*") {
            own.pop();
            if asked.len() <= own.len() {
                return None;
            }
            asked.truncate(own.len());
        }
        let fits = |(own, asked): (&&str, &&str)| {
            if own.starts_with('{') { !asked.is_empty() } else { **own == decoded(asked) }
        };
        let is_same = own.len() == asked.len() && own.iter().zip(&asked).all(fits);
        let at = own.iter().position(|own| *own == "{owner}")?;
        is_same.then(|| decoded(asked[at]))
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_comparing_segment_by_segment(
            before in "(/[ab]){0,1}(/\\{x\\})?(/b)?",
            after in "(/(a|\\{y\\})){0,1}(/\\*|/)?",
            path in "(/(a|b|%41|a%20b|)){1,5}",
        ) {
            let pattern = format!("{before}/{{owner}}{after}");
            proptest::prop_assert_eq!(capture(&pattern, &path), naive(&pattern, &path), "{}", pattern);
        }
    }
}
