//! Says a pattern of PCRE in the dialect of the matcher, byte for byte.
//!
//! The two dialects write some things in the same way and mean others: `\<` is a sign here and the
//! start of a word there, `&&` in a class two signs here and an intersection there. So every pattern
//! is read as PCRE reads it, and written anew in ASCII. What the matcher does not know at all is
//! written as a group with a name of its own, which `program.rs` knows: `l` and `b` for what is to
//! follow or precede, `L` and `B` for what is not to, `a` for what is never given back, `r` for a
//! group that is found again.

use std::fmt::Write as _;

use crate::operators::OperatorFault;

/// The kinds of white space that PCRE's `\h` and `\v` stand for, without the brackets.
const HORIZONTAL: &str = r"\x09\x20\xa0";
const VERTICAL: &str = r"\x0a\x0b\x0c\x0d\x85";

/// `pattern` in the dialect of the matcher.
pub(super) fn translate(pattern: &[u8]) -> Result<Translated, OperatorFault> {
    let groups = memchr::memchr_iter(b'(', pattern).count();
    let out = String::with_capacity(pattern.len());
    let mut reader = Reader {
        rest: pattern,
        out,
        groups,
        atom: 0,
        open: Vec::new(),
        marks: 0,
        repeats_none: false,
    };
    while let Some(byte) = reader.next() {
        reader.take(byte)?;
    }
    let (goes_back, repeats_none) = (reader.marks > 0, reader.repeats_none);
    Ok(Translated { pattern: reader.out, goes_back, repeats_none })
}

/// A pattern in the dialect of the matcher.
#[derive(Debug)]
pub(super) struct Translated {
    pub(super) pattern: String,
    /// Whether there are groups in it that only `program.rs` knows.
    pub(super) goes_back: bool,
    /// Whether something in it is repeated no times, so that it is not there.
    pub(super) repeats_none: bool,
}

struct Reader<'p> {
    rest: &'p [u8],
    out: String,
    groups: usize,
    /// Where what a repetition would repeat begins.
    atom: usize,
    /// Where the groups begin that are not closed.
    open: Vec<usize>,
    /// How many groups have a name of ours.
    marks: usize,
    repeats_none: bool,
}

/// A member of a class.
enum Member {
    Byte(u8),
    Set(String),
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn skip(&mut self, text: &[u8]) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    fn take(&mut self, byte: u8) -> Result<(), OperatorFault> {
        if !matches!(byte, b'*' | b'+' | b'?' | b'{') {
            self.atom = self.out.len();
        }
        match byte {
            b'\\' => self.escape(),
            b'[' => self.class(),
            b'(' => self.group(),
            b'*' | b'+' | b'?' => {
                self.out.push(char::from(byte));
                self.after_quantifier()
            }
            b'{' => self.braces(),
            b')' => {
                self.atom = self.open.pop().unwrap_or(self.atom);
                self.out.push(')');
                Ok(())
            }
            b'.' | b'^' | b'$' | b'|' => {
                self.out.push(char::from(byte));
                Ok(())
            }
            // White space may mean nothing, under `(?x)`; written as a number it would.
            _ if byte.is_ascii_whitespace() || byte == b'#' => {
                self.out.push(char::from(byte));
                Ok(())
            }
            _ => {
                push_byte(&mut self.out, byte);
                Ok(())
            }
        }
    }

    fn after_quantifier(&mut self) -> Result<(), OperatorFault> {
        if self.skip(b"?") {
            self.out.push('?');
        } else if self.skip(b"+") {
            let mark = self.mark("a");
            self.out.insert_str(self.atom, &mark);
            self.out.push(')');
        }
        if matches!(self.peek(), Some(b'*' | b'+' | b'?')) {
            return Err(OperatorFault::new("the pattern repeats a repetition"));
        }
        Ok(())
    }

    /// `{`, which is only a repetition if what follows is one.
    fn braces(&mut self) -> Result<(), OperatorFault> {
        let end = self.rest.iter().position(|byte| *byte == b'}');
        let inner = end.and_then(|end| self.rest.get(..end)).unwrap_or_default();
        let (min, max) = inner
            .iter()
            .position(|byte| *byte == b',')
            .map_or((inner, None), |at| (inner.get(..at).unwrap_or_default(), inner.get(at + 1..)));
        let is_number = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        let is_there = !min.is_empty() || max.is_some_and(|max| !max.is_empty());
        if end.is_none() || !is_there || !is_number(min) || !max.is_none_or(is_number) {
            self.atom = self.out.len();
            self.out.push_str("\\{");
            return Ok(());
        }
        let most = max.unwrap_or(min);
        self.repeats_none |= !most.is_empty() && most.iter().all(|digit| *digit == b'0');
        self.out.push('{');
        self.out.push_str(if min.is_empty() { "0" } else { "" });
        self.out.extend(inner.iter().copied().map(char::from));
        self.out.push('}');
        self.rest = self.rest.get(inner.len() + 1..).unwrap_or_default();
        self.after_quantifier()
    }

    fn group(&mut self) -> Result<(), OperatorFault> {
        if self.peek() == Some(b'*') {
            return Err(OperatorFault::new("the pattern holds a verb, such as `(*UTF8)`"));
        }
        if !self.skip(b"?") {
            self.open.push(self.out.len());
            self.out.push('(');
            return Ok(());
        }
        if self.skip(b"#") {
            while self.next().is_some_and(|byte| byte != b')') {}
            return Ok(());
        }
        for (look, name) in [(&b"="[..], "l"), (b"!", "L"), (b"<=", "b"), (b"<!", "B"), (b">", "a")]
        {
            if self.skip(look) {
                let mark = self.mark(name);
                self.open.push(self.out.len());
                self.out.push_str(&mark);
                return Ok(());
            }
        }
        for (start, what) in [
            (&b"|"[..], "groups that share numbers"),
            (b"(", "conditions"),
            (b"R", "recursion"),
            (b"&", "recursion"),
            (b"P>", "recursion"),
            (b"P=", "references by name"),
        ] {
            if self.rest.starts_with(start) {
                return Err(backtracking(what));
            }
        }
        for (start, end) in [(&b"P<"[..], b'>'), (b"<", b'>'), (b"'", b'\'')] {
            if self.skip(start) {
                // Groups are found by number; names are not needed.
                while self.next().is_some_and(|byte| byte != end) {}
                self.open.push(self.out.len());
                self.out.push('(');
                return Ok(());
            }
        }
        self.flags()
    }

    /// `i`, `i:`, `-i)` and the like, behind `(?`.
    fn flags(&mut self) -> Result<(), OperatorFault> {
        let start = self.out.len();
        self.out.push_str("(?");
        while let Some(byte) = self.next() {
            match byte {
                b'i' | b'm' | b's' | b'x' | b'U' | b'-' => self.out.push(char::from(byte)),
                b')' if self.out.ends_with("(?") => {
                    self.out.truncate(self.out.len() - 2);
                    return Ok(());
                }
                b':' | b')' => {
                    if byte == b':' {
                        self.open.push(start);
                    }
                    self.out.push(char::from(byte));
                    return Ok(());
                }
                b'0'..=b'9' | b'+' => return Err(backtracking("recursion")),
                _ => break,
            }
        }
        Err(OperatorFault::new("the pattern holds a group of an unknown kind")
            .with_help("known are `(…)`, `(?:…)`, `(?<name>…)` and the flags `imsxU`"))
    }

    fn escape(&mut self) -> Result<(), OperatorFault> {
        let Some(byte) = self.next() else {
            return Err(OperatorFault::new("the pattern ends with a backslash"));
        };
        match byte {
            b'b' | b'B' | b'A' | b'z' => {
                self.out.push('\\');
                self.out.push(char::from(byte));
            }
            b'Z' => self.out.push_str(r"(?:\x0a?\z)"),
            b'R' => {
                let _ = write!(self.out, r"(?:\x0d\x0a|[{VERTICAL}])");
            }
            b'N' => self.out.push_str(r"[^\x0a]"),
            b'Q' => {
                while !self.rest.is_empty() && !self.skip(b"\\E") {
                    let byte = self.next().unwrap_or_default();
                    push_byte(&mut self.out, byte);
                }
            }
            b'E' => {}
            b'k' | b'g' => return Err(backtracking("references by name")),
            b'1'..=b'9' if self.is_reference(byte) => {
                let mut number = usize::from(byte - b'0');
                while let Some(digit @ b'0'..=b'9') = self.peek() {
                    number = number.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
                    self.next();
                }
                let mark = self.mark(&format!("r{number}"));
                // The letter tells whether case counts.
                let _ = write!(self.out, "{mark}a)");
            }
            _ => match self.member(byte)? {
                Member::Byte(byte) => push_byte(&mut self.out, byte),
                Member::Set(set) => self.out.push_str(&set),
            },
        }
        Ok(())
    }

    /// The beginning of a group with a name of ours.
    fn mark(&mut self, name: &str) -> String {
        self.marks += 1;
        format!("(?P<{name}_{}>", self.marks)
    }

    /// Whether `\1` and the like means a group rather than a byte in octal.
    fn is_reference(&self, first: u8) -> bool {
        let more = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).take(2);
        let number =
            more.fold(usize::from(first - b'0'), |sum, digit| sum * 10 + usize::from(digit - b'0'));
        number < 10 || number <= self.groups
    }

    /// What stands behind a backslash and means the same inside and outside a class.
    fn member(&mut self, byte: u8) -> Result<Member, OperatorFault> {
        Ok(match byte {
            b'd' | b'D' | b'w' | b'W' | b's' | b'S' => {
                Member::Set(format!("\\{}", char::from(byte)))
            }
            b'h' => Member::Set(format!("[{HORIZONTAL}]")),
            b'H' => Member::Set(format!("[^{HORIZONTAL}]")),
            b'v' => Member::Set(format!("[{VERTICAL}]")),
            b'V' => Member::Set(format!("[^{VERTICAL}]")),
            b'n' => Member::Byte(b'\n'),
            b'r' => Member::Byte(b'\r'),
            b't' => Member::Byte(b'\t'),
            b'f' => Member::Byte(0x0c),
            b'a' => Member::Byte(0x07),
            b'e' => Member::Byte(0x1b),
            b'c' => Member::Byte(self.next().unwrap_or(b'@').to_ascii_uppercase() ^ 0x40),
            b'x' => Member::Byte(self.hexadecimal()?),
            b'0'..=b'7' => {
                let more = self.rest.iter().take(2).take_while(|byte| matches!(byte, b'0'..=b'7'));
                let (count, value) = more
                    .fold((0, u32::from(byte - b'0')), |(count, sum), digit| {
                        (count + 1, sum * 8 + u32::from(digit - b'0'))
                    });
                self.rest = self.rest.get(count..).unwrap_or_default();
                Member::Byte(byte_of(value)?)
            }
            b'p' | b'P' | b'X' => {
                return Err(OperatorFault::new("patterns look at bytes, not at characters"));
            }
            _ if byte.is_ascii_alphanumeric() => {
                let name = char::from(byte);
                return Err(OperatorFault::new(format!(
                    "the pattern holds `\\{name}`, which is unknown"
                )));
            }
            _ => Member::Byte(byte),
        })
    }

    /// What follows `\x`: at most two digits, or any number in braces.
    fn hexadecimal(&mut self) -> Result<u8, OperatorFault> {
        let is_braced = self.skip(b"{");
        let mut value = 0_u32;
        let mut count = 0;
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(16)) {
            if count == 2 && !is_braced {
                break;
            }
            value = value.saturating_mul(16).saturating_add(digit);
            count += 1;
            self.next();
        }
        if is_braced && !self.skip(b"}") {
            return Err(OperatorFault::new("`\\x{` is not closed in the pattern"));
        }
        byte_of(value)
    }

    fn class(&mut self) -> Result<(), OperatorFault> {
        self.out.push('[');
        if self.skip(b"^") {
            self.out.push('^');
        }
        let mut is_first = true;
        loop {
            let Some(byte) = self.next() else {
                return Err(OperatorFault::new("a class is not closed in the pattern"));
            };
            if byte == b']' && !is_first {
                self.out.push(']');
                return Ok(());
            }
            is_first = false;
            match self.class_member(byte)? {
                None => {}
                Some(Member::Set(set)) => self.out.push_str(&set),
                Some(Member::Byte(first)) => self.range(first)?,
            }
        }
    }

    /// A byte of a class, or a range that begins with it.
    fn range(&mut self, first: u8) -> Result<(), OperatorFault> {
        push_in_class(&mut self.out, first);
        let [b'-', next, ..] = self.rest else { return Ok(()) };
        if *next == b']' {
            return Ok(());
        }
        self.skip(b"-");
        let Some(byte) = self.next() else { return Ok(()) };
        match self.class_member(byte)? {
            Some(Member::Byte(last)) if last < first => {
                Err(OperatorFault::new("a range of a class is upside down in the pattern")
                    .with_help("write the smaller one first"))
            }
            Some(Member::Byte(last)) => {
                self.out.push('-');
                push_in_class(&mut self.out, last);
                Ok(())
            }
            Some(Member::Set(set)) => {
                push_in_class(&mut self.out, b'-');
                self.out.push_str(&set);
                Ok(())
            }
            None => {
                push_in_class(&mut self.out, b'-');
                Ok(())
            }
        }
    }

    fn class_member(&mut self, byte: u8) -> Result<Option<Member>, OperatorFault> {
        if byte == b'[' && self.peek() == Some(b':') {
            let end = self.rest.windows(2).position(|two| two == b":]");
            let name = end.and_then(|end| self.rest.get(1..end));
            if let Some(name) = name.filter(|name| is_class_name(name)) {
                let set = format!("[:{}:]", String::from_utf8_lossy(name));
                self.rest = self.rest.get(name.len() + 3..).unwrap_or_default();
                return Ok(Some(Member::Set(set)));
            }
        }
        if byte != b'\\' {
            return Ok(Some(Member::Byte(byte)));
        }
        match self.next() {
            None => Err(OperatorFault::new("the pattern ends with a backslash")),
            Some(b'b') => Ok(Some(Member::Byte(0x08))),
            Some(b'Q' | b'E') => Ok(None),
            Some(byte) => self.member(byte).map(Some),
        }
    }
}

fn is_class_name(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"^").unwrap_or(name);
    !name.is_empty() && name.iter().all(u8::is_ascii_lowercase)
}

fn byte_of(value: u32) -> Result<u8, OperatorFault> {
    u8::try_from(value).map_err(|_| {
        OperatorFault::new("the pattern holds a character above 255; patterns look at bytes")
            .with_help("write the bytes of its UTF-8 form, such as `\\xe2\\x82\\xac`")
    })
}

/// Writes a byte that means itself.
fn push_byte(out: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'/' | b'<' | b'>' | b'=' | b'"' | b'\'')
    {
        out.push(char::from(byte));
    } else {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// Writes a byte that means itself in a class.
fn push_in_class(out: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() {
        out.push(char::from(byte));
    } else {
        let _ = write!(out, "\\x{byte:02x}");
    }
}

fn backtracking(what: &str) -> OperatorFault {
    OperatorFault::new(format!("the pattern needs backtracking ({what}), which can take for ever"))
        .with_help("say the same with a second, chained rule")
}

#[cfg(test)]
mod tests {
    use super::translate;

    #[test]
    fn what_the_dialects_mean_differently_is_written_anew() {
        for (pattern, wanted) in [
            (r"\<b", "<b"),
            (r"[a&&b]", r"[a\x26\x26b]"),
            (r"[a-c--]", r"[a-c\x2d\x2d]"),
            (r"[[]", r"[\x5b]"),
            (r"[]a]", r"[\x5da]"),
            (r"[^]\d-x]", r"[^\x5d\d\x2dx]"),
            (r"[[:alpha:]-]", r"[[:alpha:]\x2d]"),
            (r"[+--]", r"[\x2b-\x2d]"),
            (r"a{", r"a\{"),
            (r"a{,3}", "a{0,3}"),
            (r"a{2,}?", "a{2,}?"),
            (r"\x{e2}\x4\x", r"\xe2\x04\x00"),
            (r"\012\0", r"\x0a\x00"),
            (r"(?#note)a", "a"),
            (r"(?<n>a)(?P<m>b)(?:c)", "(a)(b)(?:c)"),
            (r"(?i)a(?-i:b)", "(?i)a(?-i:b)"),
            (r"\Qa.b\E.", r"a\x2eb."),
            ("é+", r"\xc3\xa9+"),
            (r"a}]", r"a\x7d\x5d"),
            (r"x(?:ab)++", "x(?P<a_1>(?:ab)+)"),
            (r"xa*+[bc]?+", r"x(?P<a_1>a*)(?P<a_2>[bc]?)"),
            (r"(?<!a|b)c(?=d)", "(?P<B_1>a|b)c(?P<l_2>d)"),
            (r"(?>a)(b)\1", "(?P<a_1>a)(b)(?P<r1_2>a)"),
        ] {
            let found = translate(pattern.as_bytes());
            let found = found.map_or_else(|fault| fault.problem, |found| found.pattern);
            assert_eq!(found, wanted, "{pattern}");
        }
    }

    #[test]
    fn what_cannot_be_bounded_or_is_rare_is_refused_with_advice() {
        for pattern in ["(?R)", r"\k<n>", "(?|a)", "(?(1)a|b)", "(?P=n)"] {
            let fault = translate(pattern.as_bytes()).err().unwrap();
            assert!(fault.problem.contains("backtracking"), "{pattern}: {}", fault.problem);
            assert!(fault.help.is_some());
        }
        for pattern in
            ["a\\", "[a", "[b-a]", r"\x{20ac}", r"\p{L}", r"\y", "(*UTF8)a", "(?u)a", "a**"]
        {
            assert!(translate(pattern.as_bytes()).is_err(), "{pattern}");
        }
    }
}
