//! Texts of rewrites: plain text, variables, and what a pattern captured (`$1`).

use std::fmt::Write as _;

use bartizan_chain::{RequestCx, Var};
use bartizan_config::Invalid;
use bartizan_wire::{QueryFault, decode_segment};

/// A compiled text. `\$` is a dollar; what has no value reads as nothing.
#[derive(Debug)]
pub(crate) struct RewriteText {
    pieces: Box<[Piece]>,
}

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Var(Var),
    Capture(usize),
}

/// How a value is put into the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Escape {
    /// As it is.
    None,
    /// Percent-encoded, unless it is a part of a URI already, so that a value never becomes
    /// structure: another segment, a query, a parameter.
    Uri,
}

/// A piece of a text that is not compiled yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// What stands there, `\$` included.
    Text(&'t str),
    /// The name of a variable, or the number of a capture.
    Var(&'t str),
}

impl Token<'_> {
    /// Appends the token as it can be written.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Var(name) => {
                out.push_str("${");
                out.push_str(name);
                out.push('}');
            }
        }
    }
}

/// Cuts a text into what stands there and the variables in between.
pub(crate) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut at) = (text, 0);
    while let Some(found) = rest.get(at..).and_then(|text| text.find(['$', '\\'])) {
        at += found;
        let (literal, from) = rest.split_at(at);
        let name = from.strip_prefix('$').map(variable_name).filter(|(name, _)| !name.is_empty());
        let Some((name, after)) = name else {
            at += if from.starts_with("\\$") { 2 } else { 1 };
            continue;
        };
        if !literal.is_empty() {
            tokens.push(Token::Text(literal));
        }
        tokens.push(Token::Var(name));
        (rest, at) = (after, 0);
    }
    if !rest.is_empty() {
        tokens.push(Token::Text(rest));
    }
    tokens
}

impl RewriteText {
    /// Compiles a text in which captures up to `captures_max` may stand.
    pub(crate) fn parse(text: &str, captures_max: usize) -> Result<Self, Invalid> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("\\$") {
                literal.push('$');
                rest = after;
                continue;
            }
            let name =
                from.strip_prefix('$').map(variable_name).filter(|(name, _)| !name.is_empty());
            let Some((name, after)) = name else {
                let mut chars = from.chars();
                literal.extend(chars.next());
                rest = chars.as_str();
                continue;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(piece(name, captures_max)?);
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces: pieces.into() })
    }

    /// The text, if it is the same for every request.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The variables in it.
    pub(crate) fn vars(&self) -> impl Iterator<Item = &Var> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Var(var) => Some(var),
            Piece::Text(_) | Piece::Capture(_) => None,
        })
    }

    /// Appends the text for a request. `captures` are what the pattern caught, the whole first.
    pub(crate) fn render(
        &self,
        cx: &RequestCx,
        captures: &[String],
        escape: Escape,
        out: &mut String,
    ) -> Result<(), QueryFault> {
        // A credential that was taken out of the query must not come back through a variable.
        let outgoing = cx.outgoing();
        let value = |var: &Var| match (escape, var) {
            (Escape::Uri, Var::Uri) => Ok(Some(outgoing.path().to_owned())),
            (Escape::Uri, Var::UriParam(name)) => Ok(cx.path_parameter(name).map(segments)),
            (_, Var::Args) => Ok(outgoing.query().map(str::to_owned)),
            (_, Var::RequestUri) => Ok(Some(outgoing.path_and_query().to_owned())),
            _ => Ok(var.value(cx)?.map(Into::into)),
        };
        self.render_with(&value, captures, escape, out)
    }

    fn render_with(
        &self,
        value: &dyn Fn(&Var) -> Result<Option<String>, QueryFault>,
        captures: &[String],
        escape: Escape,
        out: &mut String,
    ) -> Result<(), QueryFault> {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Capture(index) => {
                    out.push_str(captures.get(*index).map_or("", String::as_str));
                }
                Piece::Var(var) => {
                    let value = value(var)?.unwrap_or_default();
                    if escape == Escape::Uri && !is_part_of_uri(var) {
                        encode(&value, out);
                    } else {
                        out.push_str(&value);
                    }
                }
            }
        }
        Ok(())
    }
}

fn piece(name: &str, captures_max: usize) -> Result<Piece, Invalid> {
    if let Ok(index) = name.parse::<usize>() {
        if index > captures_max {
            return Err(Invalid::new(format!("there is no capture `${name}`")));
        }
        return Ok(Piece::Capture(index));
    }
    Var::parse(name).map(Piece::Var).map_err(|error| Invalid::new(error.to_string()))
}

/// A number is a name of its own, so that `$1x` is the first capture and an `x`.
fn variable_name(text: &str) -> (&str, &str) {
    if let Some((name, rest)) = text.strip_prefix('{').and_then(|t| t.split_once('}')) {
        return (name, rest);
    }
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let ends =
        |c: char| !(c.is_ascii_digit() || !is_number && (c.is_ascii_alphabetic() || c == '_'));
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// True for what is canonical and encoded already.
fn is_part_of_uri(var: &Var) -> bool {
    matches!(var, Var::Uri | Var::Args | Var::RequestUri | Var::UriParam(_))
}

/// Segments of a path, each encoded so that it is one wherever it is put: a path may hold `&` and
/// `=` as they are, a query may not.
fn segments(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        encode(&decode_segment(segment).unwrap_or_default(), &mut out);
    }
    out
}

/// Percent-encodes all that is not unreserved (RFC 3986 §2.3).
pub(crate) fn encode(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(text: &str, value: &str, captures: &[&str], escape: Escape) -> String {
        let text = RewriteText::parse(text, 9).unwrap();
        let captures: Vec<String> = captures.iter().map(|&c| c.to_owned()).collect();
        let mut out = String::new();
        text.render_with(&|_| Ok(Some(value.to_owned())), &captures, escape, &mut out).unwrap();
        out
    }

    #[test]
    fn text_variables_and_captures_are_told_apart() {
        for (text, expected) in [
            ("/a", "/a"),
            ("/$1/x", "/one/x"),
            ("/$1x", "/onex"),
            ("/${1}2", "/one2"),
            ("/$arg_id-$2", "/v-two"),
            (r"/\$1", "/$1"),
            (r"/\d$", r"/\d$"),
            ("/$0", "/all"),
            ("/$7", "/"),
        ] {
            assert_eq!(render(text, "v", &["all", "one", "two"], Escape::None), expected, "{text}");
        }
    }

    #[test]
    fn tokens_say_the_same_as_the_text() {
        for text in ["/a", "/${1}2", "$uri/x$arg_id", r"\$1$2", "$", "a$-b", r"\\$uri"] {
            let mut written = String::new();
            for token in tokens(text) {
                token.write(&mut written);
            }
            let pieces = |text: &str| RewriteText::parse(text, 9).unwrap().pieces;
            assert_eq!(pieces(text), pieces(&written), "{text}");
        }
        assert_eq!(tokens("a$uri/"), [Token::Text("a"), Token::Var("uri"), Token::Text("/")]);
    }

    #[test]
    fn faults_name_what_is_not_there() {
        for (text, problem) in [("$3", "no capture `$3`"), ("$nope", "no variable `nope`")] {
            let fault = RewriteText::parse(text, 2).unwrap_err();
            assert!(fault.problem.contains(problem), "{fault}");
        }
    }

    #[test]
    fn values_are_encoded_unless_they_are_parts_of_a_uri() {
        assert_eq!(render("/$arg_id", "a/../b?c", &[], Escape::Uri), "/a%2F..%2Fb%3Fc");
        assert_eq!(render("$uri?$args", "/a%20b", &[], Escape::Uri), "/a%20b?/a%20b");
    }

    proptest! {
        #[test]
        fn an_encoded_value_is_never_structure(value in ".{0,20}") {
            let out = render("$arg_x", &value, &[], Escape::Uri);
            let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
            prop_assert!(out.bytes().all(is_plain));
        }
    }
}
