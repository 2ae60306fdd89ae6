//! From text to tokens (GraphQL, October 2021, §2.1).

use super::{Fault, TOKENS_MAX};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Mark(u8),
    /// `...`
    Spread,
    /// A name.
    Name,
    /// A number or a text: a value that stands for itself.
    Literal,
}

/// A token, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind,
    pub(super) text: &'t str,
}

/// The tokens of a text; behind a fault there are none.
pub(super) struct Lexer<'t> {
    rest: &'t str,
    left: usize,
    is_broken: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text, left: TOKENS_MAX, is_broken: false }
    }

    /// Passes over what has no meaning.
    fn skip(&mut self) {
        loop {
            let ignored = |c: char| matches!(c, '\u{feff}' | '\t' | ' ' | '\n' | '\r' | ',');
            self.rest = self.rest.trim_start_matches(ignored);
            let Some(comment) = self.rest.strip_prefix('#') else { return };
            let end = comment.find(['\n', '\r']).unwrap_or(comment.len());
            self.rest = comment.get(end..).unwrap_or_default();
        }
    }

    fn token(&mut self) -> Result<Option<Token<'t>>, Fault> {
        self.skip();
        let rest = self.rest;
        let Some(first) = rest.bytes().next() else { return Ok(None) };
        self.left = self.left.checked_sub(1).ok_or(Fault::TooManyTokens)?;
        let (kind, length) = match first {
            b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|'
            | b'}' => (TokenKind::Mark(first), 1),
            b'.' if rest.starts_with("...") => (TokenKind::Spread, 3),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => (TokenKind::Name, name_length(rest)),
            b'-' | b'0'..=b'9' => (TokenKind::Literal, number_length(rest)?),
            b'"' => (TokenKind::Literal, text_length(rest)?),
            _ => return Err(Fault::Character),
        };
        let (text, rest) = rest.split_at_checked(length).ok_or(Fault::Character)?;
        self.rest = rest;
        Ok(Some(Token { kind, text }))
    }
}

impl<'t> Iterator for Lexer<'t> {
    type Item = Result<Token<'t>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_broken {
            return None;
        }
        let token = self.token();
        self.is_broken = token.is_err();
        token.transpose()
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

fn name_length(text: &str) -> usize {
    text.bytes().take_while(|byte| is_name_byte(*byte)).count()
}

/// The length of a number; what follows at once must not look like more of it (§2.9.1).
fn number_length(text: &str) -> Result<usize, Fault> {
    let digits = |from: usize| {
        let rest = text.as_bytes().get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let byte = |at: usize| text.as_bytes().get(at).copied();
    let sign = usize::from(byte(0) == Some(b'-'));
    let whole = digits(sign);
    if whole == 0 || (whole > 1 && byte(sign) == Some(b'0')) {
        return Err(Fault::Number);
    }
    let mut end = sign + whole;
    if byte(end) == Some(b'.') {
        let part = digits(end + 1);
        if part == 0 {
            return Err(Fault::Number);
        }
        end += 1 + part;
    }
    if matches!(byte(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(byte(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == 0 {
            return Err(Fault::Number);
        }
        end += 1 + sign + exponent;
    }
    match byte(end) {
        Some(next) if next == b'.' || is_name_byte(next) => Err(Fault::Number),
        _ => Ok(end),
    }
}

/// The length of a text, quotes included.
fn text_length(text: &str) -> Result<usize, Fault> {
    if let Some(block) = text.strip_prefix("\"\"\"") {
        return block_length(block).map(|length| length + 3);
    }
    let mut bytes = text.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Ok(at + 1),
            b'\n' | b'\r' => return Err(Fault::Text),
            0..=8 | 11..=31 => return Err(Fault::Character),
            b'\\' => match bytes.next() {
                Some((_, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {}
                Some((_, b'u')) => {
                    for _ in 0..4 {
                        if !bytes.next().is_some_and(|(_, digit)| digit.is_ascii_hexdigit()) {
                            return Err(Fault::Text);
                        }
                    }
                }
                _ => return Err(Fault::Text),
            },
            _ => {}
        }
    }
    Err(Fault::Text)
}

/// The length of a block text behind its first quotes; `\"""` does not end it.
fn block_length(text: &str) -> Result<usize, Fault> {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(found) = rest.find("\"\"\"") else { return Err(Fault::Text) };
        let before = rest.get(..found).unwrap_or_default();
        if before.bytes().any(|byte| byte < 32 && !matches!(byte, b'\t' | b'\n' | b'\r')) {
            return Err(Fault::Character);
        }
        at += found + 3;
        if !before.ends_with('\\') {
            return Ok(at);
        }
    }
    Err(Fault::Text)
}
