//! Path patterns of routes: `/a/b` is one path, `/a/*` and `/a*` are all that begin so, and where
//! the router takes parameters `/u/:id/files/*rest` is a template of whole segments.

/// Longest pattern, in bytes.
pub const PATH_PATTERN_MAX: usize = 4_096;
/// Most parameters of a template.
pub const PATH_PARAMETERS_MAX: usize = 16;

/// What a pattern asks for after its literal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathTail<'p> {
    /// Nothing.
    End,
    /// Anything, also nothing.
    Any,
    /// These segments, of which the first is a parameter.
    Segments(&'p str),
}

/// A segment of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathSegment<'p> {
    /// Text that stands for itself.
    Literal(&'p str),
    /// One segment that is not empty, by its name.
    Parameter(&'p str),
    /// Whatever follows, also nothing, by its name; the name may be empty.
    Rest(&'p str),
}

impl<'p> PathSegment<'p> {
    fn read(text: &'p str) -> Self {
        match text.as_bytes().first() {
            Some(b':') => Self::Parameter(text.get(1..).unwrap_or_default()),
            Some(b'*') => Self::Rest(text.get(1..).unwrap_or_default()),
            _ => Self::Literal(text),
        }
    }

    fn name(self) -> Option<&'p str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) => Some(name),
            Self::Rest(name) => Some(name).filter(|name| !name.is_empty()),
        }
    }
}

/// What is wrong with a pattern, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPatternFault {
    /// What is wrong, to stand after the pattern.
    pub problem: String,
    /// The remedy.
    pub help: &'static str,
}

/// The segments of a tail.
pub fn path_segments(tail: &str) -> impl Iterator<Item = PathSegment<'_>> {
    tail.split('/').map(PathSegment::read)
}

/// The literal text of a pattern and what follows it.
pub fn split_path_pattern(pattern: &str) -> (&str, PathTail<'_>) {
    let mut start = 0;
    for text in pattern.split('/') {
        match PathSegment::read(text) {
            PathSegment::Parameter(_) => {
                let (literal, tail) = pattern.split_at_checked(start).unwrap_or((pattern, ""));
                return (literal, PathTail::Segments(tail));
            }
            PathSegment::Rest(_) => {
                return (pattern.get(..start).unwrap_or(pattern), PathTail::Any);
            }
            PathSegment::Literal(_) => start += text.len() + 1,
        }
    }
    match pattern.strip_suffix('*') {
        Some(literal) => (literal, PathTail::Any),
        None => (pattern, PathTail::End),
    }
}

/// True if the pattern has names that only a router with parameters reads.
pub fn has_path_names(pattern: &str) -> bool {
    pattern.split('/').any(|text| PathSegment::read(text).name().is_some())
}

/// Refuses patterns that match no path, or another one than they seem to.
pub fn check_path_pattern(pattern: &str) -> Result<(), PathPatternFault> {
    let fault = |problem: &str, help| Err(PathPatternFault { problem: problem.into(), help });
    let Some(text) = pattern.strip_prefix('/') else {
        return fault("does not begin with `/`", "write `/*` for all paths");
    };
    if pattern.len() > PATH_PATTERN_MAX {
        return fault("has more than 4096 bytes", "shorten it, or end it with `*`");
    }
    if text.contains(['?', '#']) {
        return fault("holds more than a path", "match the query with `vars`");
    }
    let is_template = text.split('/').any(|segment| segment.starts_with(':'));
    let mut names: Vec<&str> = Vec::new();
    let mut segments = text.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        let read = PathSegment::read(segment);
        if segment == ":" {
            return fault("has a parameter without a name", "write `:id` for one segment");
        }
        if let Some(name) = read.name() {
            check_name(name, &names)?;
            names.push(name);
        }
        if names.len() > PATH_PARAMETERS_MAX {
            let help = "name those that are read, and end with `/*`";
            return fault("has more than 16 parameters", help);
        }
        let stars = segment.bytes().filter(|byte| *byte == b'*').count();
        let ends_so = match read {
            PathSegment::Rest(_) => stars == 1 && is_last,
            PathSegment::Parameter(_) => stars == 0,
            PathSegment::Literal(_) => {
                stars == 0 || (stars == 1 && is_last && !is_template && segment.ends_with('*'))
            }
        };
        if !ends_so {
            let help = "only a `*` at the end stands for any text, and after parameters only as a \
                        segment of its own";
            return fault("has a `*` before its end", help);
        }
    }
    Ok(())
}

/// A name can be read as the variable `uri_param_…`.
fn check_name(name: &str, known: &[&str]) -> Result<(), PathPatternFault> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.bytes().all(is_word) {
        return Err(PathPatternFault {
            problem: format!("has a parameter `{name}`, which is no name"),
            help: "letters, digits and `_` make a name, which is a whole segment",
        });
    }
    if known.contains(&name) {
        return Err(PathPatternFault {
            problem: format!("has the parameter `{name}` twice"),
            help: "give each segment a name of its own",
        });
    }
    Ok(())
}

/// What stands in a path for the parameter of this name, as it is written there. `None` where the
/// pattern has no such parameter.
pub fn path_parameter<'t>(pattern: &str, path: &'t str, name: &str) -> Option<&'t str> {
    let (literal, _) = split_path_pattern(pattern);
    // A template begins after a slash, so that segments of both are the same from here on.
    let mut rest = Some(path.get(literal.len()..)?);
    for segment in path_segments(pattern.get(literal.len()..)?) {
        let here = rest?;
        if let PathSegment::Rest(own) = segment {
            return Some(here).filter(|_| own == name && !name.is_empty());
        }
        let (text, after) = match here.split_once('/') {
            Some((text, after)) => (text, Some(after)),
            None => (here, None),
        };
        if segment == PathSegment::Parameter(name) {
            return Some(text);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_literal_text_and_a_tail() {
        for (pattern, expected) in [
            ("/a/b", ("/a/b", PathTail::End)),
            ("/a/*", ("/a/", PathTail::Any)),
            ("/a*", ("/a", PathTail::Any)),
            ("/u/:id", ("/u/", PathTail::Segments(":id"))),
            ("/u/:id/x/*", ("/u/", PathTail::Segments(":id/x/*"))),
            ("/f/*path", ("/f/", PathTail::Any)),
            ("/v1/a:verb", ("/v1/a:verb", PathTail::End)),
        ] {
            assert_eq!(split_path_pattern(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_that_mean_something_else_are_refused() {
        for (pattern, problem) in [
            ("a", "begin with `/`"),
            ("/a?b", "more than a path"),
            ("/a/*/b", "`*` before its end"),
            ("/a**", "`*` before its end"),
            ("/*a*", "no name"),
            ("/u/:id/a*", "`*` before its end"),
            ("/u/:id*", "no name"),
            ("/u/:", "without a name"),
            ("/u/:a-b", "no name"),
            ("/u/:id/:id", "twice"),
            ("/u/:id/*id", "twice"),
        ] {
            let fault = check_path_pattern(pattern).expect_err(pattern);
            assert!(fault.problem.contains(problem), "{pattern}: {}", fault.problem);
        }
        for pattern in ["/", "/*", "/a/b*", "/a/*", "/u/:id", "/u/:id/*", "/f/*rest", "/v1/a:b"] {
            assert_eq!(check_path_pattern(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn a_template_has_at_most_sixteen_parameters() {
        let of = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("p{n}")).collect();
            format!("/:{}", names.join("/:"))
        };
        for (count, is_good) in [(15, true), (16, true), (17, false)] {
            assert_eq!(check_path_pattern(&of(count)).is_ok(), is_good, "{count}");
        }
    }

    #[test]
    fn a_pattern_has_at_most_4096_bytes() {
        for (length, is_good) in [(4_095, true), (4_096, true), (4_097, false)] {
            let pattern = format!("/{}", "x/".repeat(length / 2 - 1)) + &"y".repeat(1 + length % 2);
            assert_eq!(pattern.len(), length);
            assert_eq!(check_path_pattern(&pattern).is_ok(), is_good, "{length}");
        }
    }

    #[test]
    fn parameters_are_read_where_they_stand() {
        for (pattern, path, name, expected) in [
            ("/u/:id", "/u/7", "id", Some("7")),
            ("/u/:id/x/:part", "/u/7/x/a%20b", "part", Some("a%20b")),
            ("/u/:id/*rest", "/u/7/a/b", "rest", Some("a/b")),
            ("/u/:id/*rest", "/u/7/", "rest", Some("")),
            ("/f/*path", "/f/a/b", "path", Some("a/b")),
            ("/u/:id", "/u/7", "other", None),
            ("/u/:id/*", "/u/7/a", "", None),
            ("/u/*", "/u/7", "id", None),
        ] {
            assert_eq!(path_parameter(pattern, path, name), expected, "{pattern} {path} {name}");
        }
    }
}
