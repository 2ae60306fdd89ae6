//! JSON (RFC 8259), flattened: `{"a": [{"b": 1}]}` is the argument `json.a.array_0.b` of value `1`.
//!
//! Scalars are text, numbers as they are written, `null` the empty value. The empty key is called
//! `empty-key`. Empty objects and arrays leave nothing. A name that stands twice is two arguments.

use std::borrow::Cow;
use std::io::Write as _;
use std::ops::Range;

use super::{Arg, BodyLimits, Bytes, Fault, Parsed};
use crate::transformations::hex;

/// Reads a body of JSON; `known` are the places of values that are known to be harmless, and of those
/// whose names are, in order.
pub(crate) fn json<'a>(
    body: &'a [u8],
    limits: &BodyLimits,
    [proven, stated]: [&[Range<usize>]; 2],
) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    let mut reader = Reader {
        body,
        at: 0,
        limits,
        path: b"json".to_vec(),
        open: Vec::new(),
        args: &mut parsed.args,
        decoded: 0,
        start: 0,
        known: [(proven, &mut parsed.proven), (stated, &mut parsed.stated)],
    };
    // Strings are cut out of text that is known to be UTF-8: one pass for all of them.
    let fault = match std::str::from_utf8(body) {
        Ok(_) => reader.document().err(),
        Err(error) => {
            reader.body = body.get(..error.valid_up_to()).unwrap_or_default();
            let end = reader.body.len();
            let fault = reader.document().err().filter(|_| reader.at < end);
            Some(fault.unwrap_or(Fault::NotUtf8("JSON", end)))
        }
    };
    parsed.fault = fault;
    parsed
}

/// An object or array that is being read.
struct Open {
    /// How much of the path is its own.
    path_length: usize,
    /// How many members or items were begun.
    count: usize,
    is_object: bool,
}

struct Reader<'a, 'r> {
    body: &'a [u8],
    at: usize,
    limits: &'r BodyLimits,
    path: Vec<u8>,
    open: Vec<Open>,
    args: &'r mut Vec<Arg<'a>>,
    /// Bytes that were written anew.
    decoded: usize,
    /// Where the scalar that is being read begins.
    start: usize,
    /// The places of harmless values that are still to come, and the arguments that are such values;
    /// the same for those with harmless names.
    known: [(&'r [Range<usize>], &'r mut Vec<usize>); 2],
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<(), Fault> {
        self.value()?;
        while let Some(open) = self.open.last() {
            let (is_object, is_first) = (open.is_object, open.count == 0);
            let end = if is_object { b'}' } else { b']' };
            let next = self.next_sign();
            if next == Some(end) {
                self.at += 1;
                self.open.pop();
                continue;
            }
            if !is_first {
                self.expect(b',', "no comma between values")?;
            }
            self.enter()?;
            self.value()?;
        }
        match self.next_sign() {
            None => Ok(()),
            Some(_) => Err(self.fault("more than one value")),
        }
    }

    /// Makes the path that of the next member or item.
    fn enter(&mut self) -> Result<(), Fault> {
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        self.path.truncate(open.path_length);
        let index = open.count;
        open.count += 1;
        if !open.is_object {
            self.path.extend_from_slice(b".array_");
            // Writing to a Vec does not fail.
            let _ = write!(self.path, "{index}");
            return Ok(());
        }
        self.expect(b'"', "no name of a member")?;
        let key = self.string()?;
        self.path.push(b'.');
        self.path.extend_from_slice(if key.is_empty() { b"empty-key" } else { &key });
        self.expect(b':', "no colon behind a name")
    }

    /// Reads a scalar, or the start of an object or array.
    fn value(&mut self) -> Result<(), Fault> {
        let Some(sign) = self.next_sign() else { return Err(self.fault("no value")) };
        self.start = self.at;
        match sign {
            b'{' | b'[' => {
                if self.open.len() == self.limits.depth {
                    return Err(Fault::TooMany("levels of nesting", self.limits.depth));
                }
                self.at += 1;
                let path_length = self.path.len();
                self.open.push(Open { path_length, count: 0, is_object: sign == b'{' });
                Ok(())
            }
            b'"' => {
                self.at += 1;
                let value = self.string()?;
                self.leaf(value)
            }
            b'-' | b'0'..=b'9' => {
                let value = self.number()?;
                self.leaf(Cow::Borrowed(value))
            }
            _ => {
                let value = self.word()?;
                self.leaf(Cow::Borrowed(value))
            }
        }
    }

    fn leaf(&mut self, value: Bytes<'a>) -> Result<(), Fault> {
        if self.args.len() == self.limits.args {
            return Err(Fault::TooMany("arguments", self.limits.args));
        }
        // Deep paths repeat in each leaf: the names could grow as the square of the body.
        self.decoded += self.path.len();
        if self.decoded > self.limits.decoded {
            return Err(Fault::TooMany("bytes of decoded text", self.limits.decoded));
        }
        for (places, found) in &mut self.known {
            while let Some((next, rest)) = places.split_first()
                && next.start <= self.start
            {
                *places = rest;
                if *next == (self.start..self.at) {
                    found.push(self.args.len());
                }
            }
        }
        self.args.push(Arg { name: Cow::Owned(self.path.clone()), value });
        Ok(())
    }

    /// Passes over white space; the sign that follows.
    fn next_sign(&mut self) -> Option<u8> {
        loop {
            let sign = *self.body.get(self.at)?;
            if !matches!(sign, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(sign);
            }
            self.at += 1;
        }
    }

    fn expect(&mut self, sign: u8, problem: &'static str) -> Result<(), Fault> {
        if self.next_sign() != Some(sign) {
            return Err(self.fault(problem));
        }
        self.at += 1;
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// Reads a string whose opening quote is read.
    fn string(&mut self) -> Result<Bytes<'a>, Fault> {
        let run = self.run()?;
        if self.rest().first() == Some(&b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(run));
        }
        let mut text = run.to_vec();
        loop {
            if self.rest().first() == Some(&b'"') {
                self.at += 1;
                self.decoded += text.len();
                return Ok(Cow::Owned(text));
            }
            self.escape(&mut text)?;
            text.extend_from_slice(self.run()?);
        }
    }

    /// Reads up to a quote or backslash.
    fn run(&mut self) -> Result<&'a [u8], Fault> {
        let rest = self.rest();
        let Some((run, _)) =
            memchr::memchr2(b'"', b'\\', rest).and_then(|at| rest.split_at_checked(at))
        else {
            return Err(self.fault("a string without an end"));
        };
        // PERF: no early exit, so that it runs over many bytes at a time.
        if run.iter().fold(0, |found, byte| found | u8::from(*byte < 0x20)) != 0 {
            return Err(self.fault("a control character in a string"));
        }
        self.at += run.len();
        Ok(run)
    }

    fn escape(&mut self, text: &mut Vec<u8>) -> Result<(), Fault> {
        let byte = match self.rest() {
            [_, b'u', a, b, c, d, ..] if let Some(code) = hex::four([*a, *b, *c, *d]) => {
                self.at += 6;
                let mut utf8 = [0; 4];
                let sign = self.character(code);
                text.extend_from_slice(sign.encode_utf8(&mut utf8).as_bytes());
                return Ok(());
            }
            [_, sign @ (b'"' | b'\\' | b'/'), ..] => *sign,
            [_, b'b', ..] => 0x08,
            [_, b'f', ..] => 0x0c,
            [_, b'n', ..] => b'\n',
            [_, b'r', ..] => b'\r',
            [_, b't', ..] => b'\t',
            _ => return Err(self.fault("an unknown escape")),
        };
        self.at += 2;
        text.push(byte);
        Ok(())
    }

    /// The character of an escape; takes the second half of a pair. Half a pair is `?`.
    fn character(&mut self, code: u32) -> char {
        if let (0xd800..=0xdbff, [b'\\', b'u', a, b, c, d, ..]) = (code, self.rest())
            && let Some(low @ 0xdc00..=0xdfff) = hex::four([*a, *b, *c, *d])
        {
            self.at += 6;
            let code = 0x1_0000 + ((code & 0x3ff) << 10 | low & 0x3ff);
            return char::from_u32(code).unwrap_or('?');
        }
        char::from_u32(code).unwrap_or('?')
    }

    fn number(&mut self) -> Result<&'a [u8], Fault> {
        let rest = self.rest();
        let mut end = usize::from(rest.first() == Some(&b'-'));
        let digits = |from: usize| {
            let tail = rest.get(from..).unwrap_or_default();
            tail.iter().take_while(|byte| byte.is_ascii_digit()).count()
        };
        let whole = digits(end);
        let has_zero = rest.get(end) == Some(&b'0');
        let mut is_valid = whole > 0 && !(has_zero && whole > 1);
        end += whole;
        if rest.get(end) == Some(&b'.') {
            let count = digits(end + 1);
            is_valid &= count > 0;
            end += count + 1;
        }
        if let Some(b'e' | b'E') = rest.get(end) {
            end += 1 + usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let count = digits(end);
            is_valid &= count > 0;
            end += count;
        }
        if !is_valid {
            return Err(self.fault("a malformed number"));
        }
        self.at += end;
        Ok(rest.get(..end).unwrap_or_default())
    }

    /// Reads `true`, `false` or `null`.
    fn word(&mut self) -> Result<&'a [u8], Fault> {
        let rest = self.rest();
        for (word, length) in [("true", 4), ("false", 5), ("null", 0)] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(rest.get(..length).unwrap_or_default());
            }
        }
        Err(self.fault("no value"))
    }

    fn fault(&self, problem: &'static str) -> Fault {
        Fault::Malformed { format: "JSON", problem, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (Vec<String>, Option<String>) {
        let parsed = json(body.as_bytes(), &BodyLimits::default(), [&[], &[]]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let args = parsed.args.iter().map(|arg| text(&arg.name) + "=" + &text(&arg.value));
        (args.collect(), parsed.fault.map(|fault| fault.to_string()))
    }

    fn leaves(body: &str) -> Vec<String> {
        let (args, fault) = read(body);
        assert_eq!(fault, None, "{body}");
        args
    }

    #[test]
    fn leaves_are_named_by_their_path() {
        let body = r#" {"a": [true, null, {"b": -1.50e3}, [0]], "": "x", "c": {}, "d": []} "#;
        let expected = [
            "json.a.array_0=true",
            "json.a.array_1=",
            "json.a.array_2.b=-1.50e3",
            "json.a.array_3.array_0=0",
            "json.empty-key=x",
        ];
        assert_eq!(leaves(body), expected);
        assert_eq!(leaves("\"x\""), ["json=x"]);
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(leaves(r#"{"a\/\n":"\"\\\u00e9\ud83d\ude00\ud800!"}"#), ["json.a/\n=\"\\é😀?!"]);
    }

    #[test]
    fn what_is_no_json_is_a_fault_and_what_was_read_stays() {
        for (body, fault) in [
            ("", "no value at byte 0"),
            (r#"{"a":1}x"#, "more than one value at byte 7"),
            (r#"{"a":1,}"#, "no name of a member at byte 7"),
            ("[1 2]", "no comma between values at byte 3"),
            ("[01]", "a malformed number at byte 1"),
            ("[1.]", "a malformed number at byte 1"),
            ("[nul]", "no value at byte 1"),
            (r#"["\x"]"#, "an unknown escape at byte 2"),
            (r#"["a"#, "a string without an end at byte 2"),
            ("[\"\n\"]", "a control character in a string at byte 2"),
            ("[1", "no comma between values at byte 2"),
        ] {
            assert_eq!(read(body).1, Some(format!("JSON: {fault}")), "{body}");
        }
        assert_eq!(read(r#"{"a":1}x"#).0, ["json.a=1"]);
        let parsed = json(b"[1,\"\xff\"]", &BodyLimits::default(), [&[], &[]]);
        assert_eq!((parsed.args.len(), parsed.fault), (1, Some(Fault::NotUtf8("JSON", 4))));
    }

    #[test]
    fn limits_are_faults() {
        let limits = BodyLimits { args: 2, depth: 3, decoded: 1_000, ..BodyLimits::default() };
        assert_eq!(json(b"[[[1,2]]]", &limits, [&[], &[]]).fault, None);
        let fault = |body: &[u8]| json(body, &limits, [&[], &[]]).fault;
        assert_eq!(fault(b"[1,2,3]"), Some(Fault::TooMany("arguments", 2)));
        assert_eq!(fault(b"[[[[1]]]]"), Some(Fault::TooMany("levels of nesting", 3)));
        let long = format!("{{\"{}\":[1,2]}}", "a".repeat(600));
        let expected = Fault::TooMany("bytes of decoded text", 1_000);
        assert_eq!(fault(long.as_bytes()), Some(expected));
    }
}
