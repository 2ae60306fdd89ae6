//! The JSON reader (RFC 8259).
//!
//! JSON is not read as YAML: a YAML scanner refuses escaped surrogate pairs and tabs between
//! values, and accepts comments and unquoted text.

use serde_json::Number;

use super::{Content, MapBuilder, Member, Node, check_size, problem};
use crate::diagnostic::{Diagnostic, Place, SourceId};

struct Reader<'t> {
    source: SourceId,
    text: &'t str,
    at: usize,
    nodes: usize,
    problems: Vec<Diagnostic>,
}

/// Reads a JSON document.
pub(super) fn read(source: SourceId, text: &str) -> Result<Node, Vec<Diagnostic>> {
    let skipped = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader { source, text, at: skipped, nodes: 0, problems: Vec::new() };
    let outcome = reader.document();
    match outcome {
        Ok(root) if reader.problems.is_empty() => Ok(root),
        Ok(_) => Err(reader.problems),
        Err(fatal) => {
            reader.problems.push(fatal);
            Err(reader.problems)
        }
    }
}

impl Reader<'_> {
    fn place(&self, start: usize) -> Place {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Place { source: self.source, start: offset(start), end: offset(self.at) }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        if is_next {
            self.at += 1;
        }
        is_next
    }

    /// The character here is not what JSON has at this point.
    fn unexpected(&mut self, expected: &str) -> Diagnostic {
        let start = self.at;
        let next = self.text.get(start..).and_then(|rest| rest.chars().next());
        self.at += next.map_or(0, char::len_utf8);
        let found = next.map_or("the end".to_owned(), |c| crate::words::quoted(&c.to_string()));
        problem(self.place(start), format!("not JSON: expected {expected}, found {found}"))
    }

    fn document(&mut self) -> Result<Node, Diagnostic> {
        self.skip_space();
        let root = self.value(0)?;
        self.skip_space();
        if self.peek().is_some() {
            return Err(self.unexpected("the end"));
        }
        Ok(root)
    }

    fn value(&mut self, depth: usize) -> Result<Node, Diagnostic> {
        let start = self.at;
        check_size(self.place(start), depth, &mut self.nodes)?;
        let content = match self.peek() {
            Some(b'{') => self.map(depth + 1)?,
            Some(b'[') => self.list(depth + 1)?,
            Some(b'"') => Content::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Content::Number(self.number()?),
            Some(b'a'..=b'z') => self.word()?,
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { content, place: self.place(start) })
    }

    fn word(&mut self) -> Result<Content, Diagnostic> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, content) in [
            ("true", Content::Bool(true)),
            ("false", Content::Bool(false)),
            ("null", Content::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(content);
            }
        }
        Err(self.unexpected("a value"))
    }

    fn list(&mut self, depth: usize) -> Result<Content, Diagnostic> {
        self.at += 1;
        check_size(self.place(self.at - 1), depth, &mut self.nodes)?;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Content::List(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Content::List(items));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, Diagnostic> {
        self.at += 1;
        check_size(self.place(self.at - 1), depth, &mut self.nodes)?;
        let mut map = MapBuilder::default();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Content::Map(map.members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a key in quotes"));
            }
            let start = self.at;
            let key = self.string()?;
            let key_place = self.place(start);
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.skip_space();
            let value = self.value(depth)?;
            if let Err(repeated) = map.insert(Member { key, key_place, value }) {
                self.problems.push(repeated);
            }
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Content::Map(map.members));
            }
            if !self.eat(b',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn number(&mut self) -> Result<Number, Diagnostic> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        text.parse().map_err(|_| problem(self.place(start), "a number must have a finite value"))
    }

    fn digits(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    /// A string, from its opening quote.
    fn string(&mut self) -> Result<String, Diagnostic> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest
                .find(|c: char| c == '"' || c == '\\' || u32::from(c) < 0x20)
                .unwrap_or(rest.len());
            text.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                _ => return Err(self.unexpected("the end of the string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Diagnostic> {
        let start = self.at;
        self.at += 1;
        let simple = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(self.unexpected("an escape")),
        };
        self.at += 1;
        Ok(simple)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, Diagnostic> {
        self.at += 1;
        let first = self.hex()?;
        let code = match first {
            0xD800..=0xDBFF if self.eat(b'\\') && self.eat(b'u') => match self.hex()? {
                second @ 0xDC00..=0xDFFF => 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => first,
            },
            code => code,
        };
        char::from_u32(code)
            .ok_or_else(|| problem(self.place(start), "not JSON: half of a surrogate pair"))
    }

    fn hex(&mut self) -> Result<u32, Diagnostic> {
        let mut value = 0;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) else {
                return Err(self.unexpected("a hexadecimal digit"));
            };
            value = value * 16 + digit;
            self.at += 1;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_agree_with_the_usual_reader() {
        for text in [
            r#"{"a": [1, -2, 2.5e3, -0, true, false, null], "b\/": "\ud83d\ude00 \u00e9 \n\t"}"#,
            "\t[ ]\r\n",
            "18446744073709551616",
            "\"\"",
        ] {
            let expected: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(read(SourceId(0), text).unwrap().to_json(), expected);
        }
    }

    #[test]
    fn places_cover_values_with_their_quotes_and_brackets() {
        let text = r#"{"ä": {"b": "c"}}"#;
        let root = read(SourceId(0), text).unwrap();
        let inner = root.get("ä").unwrap();
        let slice = |place: Place| &text[place.start as usize..place.end as usize];
        assert_eq!(slice(inner.place), r#"{"b": "c"}"#);
        assert_eq!(slice(inner.members()[0].key_place), r#""b""#);
        assert_eq!(slice(inner.members()[0].value.place), r#""c""#);
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        for (text, start, problem) in [
            ("", 0, "not JSON: expected a value, found the end"),
            ("{\"a\": 1,}", 8, "not JSON: expected a key in quotes, found `}`"),
            ("[1 2]", 3, "not JSON: expected `,` or `]`, found `2`"),
            ("{\"a\" 1}", 5, "not JSON: expected `:`, found `1`"),
            ("{} #END", 3, "not JSON: expected the end, found `#`"),
            ("01", 1, "not JSON: expected the end, found `1`"),
            ("1.", 2, "not JSON: expected a digit, found the end"),
            ("1e999", 0, "a number must have a finite value"),
            ("\"\\ud83d\"", 1, "not JSON: half of a surrogate pair"),
            ("\"a\nb\"", 2, r"not JSON: expected the end of the string, found `\n`"),
            ("nul", 0, "not JSON: expected a value, found `n`"),
            (r#"{"a":1,"a":2}"#, 7, "the key `a` is given twice in this map"),
        ] {
            let problems = read(SourceId(0), text).unwrap_err();
            assert_eq!(problems[0].problem, problem, "{text}");
            assert_eq!(problems[0].place.unwrap().start, start, "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(SourceId(0), &nested(64)).is_ok());
        assert!(read(SourceId(0), &nested(65)).is_err());
        assert!(read(SourceId(0), &"[".repeat(1_000_000)).is_err());
    }
}
