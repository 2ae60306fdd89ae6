//! Structured fields (RFC 9651), as far as signatures and digests need them: dictionaries whose
//! members are items or lists of items, with parameters.
//!
//! One reading or none: what occurs twice is refused, where the standard lets the last one win, so
//! that no two readers can disagree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest field, most members of a dictionary or list, and most parameters.
const FIELD_MAX: usize = 8 * 1024;
const MEMBERS_MAX: usize = 32;
const PARAMETERS_MAX: usize = 16;

/// A value without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    Text(String),
    Token(String),
    Integer(i64),
    Bytes(Vec<u8>),
    Boolean(bool),
}

/// A value with parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) bare: Bare,
    pub(super) parameters: Parameters,
}

/// Names with values, in their order.
pub(super) type Parameters = Vec<(String, Bare)>;

/// What a member of a dictionary is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Item(Item),
    List(Vec<Item>, Parameters),
}

/// Why a field is none that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum StructureFault {
    #[error("is longer than 8 KiB")]
    TooLong,
    #[error("is no structured field that is understood")]
    Syntax,
    #[error("has too many members or parameters")]
    TooMany,
    #[error("names something twice")]
    Twice,
}

/// Reads a dictionary (RFC 9651 §4.2.2).
pub(super) fn dictionary(field: &[u8]) -> Result<Vec<(String, Member)>, StructureFault> {
    if field.len() > FIELD_MAX {
        return Err(StructureFault::TooLong);
    }
    let text = std::str::from_utf8(field).map_err(|_| StructureFault::Syntax)?;
    let mut reader = Reader { rest: text.trim_matches(' ') };
    let mut members: Vec<(String, Member)> = Vec::new();
    if reader.rest.is_empty() {
        return Ok(members);
    }
    loop {
        let name = reader.key()?;
        let member = if reader.take('=') {
            reader.member()?
        } else {
            let parameters = reader.parameters()?;
            Member::Item(Item { bare: Bare::Boolean(true), parameters })
        };
        add(&mut members, name, member, MEMBERS_MAX)?;
        reader.skip(&[' ', '\t']);
        if reader.rest.is_empty() {
            return Ok(members);
        }
        if !reader.take(',') {
            return Err(StructureFault::Syntax);
        }
        reader.skip(&[' ', '\t']);
    }
}

fn add<T>(
    list: &mut Vec<(String, T)>,
    name: String,
    value: T,
    most: usize,
) -> Result<(), StructureFault> {
    if list.iter().any(|(other, _)| *other == name) {
        return Err(StructureFault::Twice);
    }
    if list.len() >= most {
        return Err(StructureFault::TooMany);
    }
    list.push((name, value));
    Ok(())
}

/// True for the name of a member (RFC 9651 §3.1.2).
pub(super) fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') && text.bytes().all(is_of_key)
}

fn is_of_key(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn take(&mut self, letter: char) -> bool {
        let after = self.rest.strip_prefix(letter);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip(&mut self, letters: &[char]) {
        self.rest = self.rest.trim_start_matches(letters);
    }

    /// As many letters as fit.
    fn run(&mut self, fits: impl Fn(u8) -> bool) -> &'t str {
        let end = self.rest.bytes().position(|byte| !fits(byte)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at_checked(end).unwrap_or(("", self.rest));
        self.rest = rest;
        run
    }

    fn key(&mut self) -> Result<String, StructureFault> {
        let key = self.run(is_of_key);
        if is_key(key) { Ok(key.to_owned()) } else { Err(StructureFault::Syntax) }
    }

    fn member(&mut self) -> Result<Member, StructureFault> {
        if !self.take('(') {
            return self.item().map(Member::Item);
        }
        let mut items = Vec::new();
        loop {
            self.skip(&[' ']);
            if self.take(')') {
                return Ok(Member::List(items, self.parameters()?));
            }
            if items.len() >= MEMBERS_MAX {
                return Err(StructureFault::TooMany);
            }
            items.push(self.item()?);
            if !self.rest.starts_with([' ', ')']) {
                return Err(StructureFault::Syntax);
            }
        }
    }

    fn item(&mut self) -> Result<Item, StructureFault> {
        let bare = self.bare()?;
        Ok(Item { bare, parameters: self.parameters()? })
    }

    fn parameters(&mut self) -> Result<Parameters, StructureFault> {
        let mut parameters = Vec::new();
        while self.take(';') {
            self.skip(&[' ']);
            let name = self.key()?;
            let value = if self.take('=') { self.bare()? } else { Bare::Boolean(true) };
            add(&mut parameters, name, value, PARAMETERS_MAX)?;
        }
        Ok(parameters)
    }

    fn bare(&mut self) -> Result<Bare, StructureFault> {
        let first = self.rest.bytes().next().ok_or(StructureFault::Syntax)?;
        match first {
            b'"' => self.text(),
            b':' => {
                let rest = self.rest.strip_prefix(':').ok_or(StructureFault::Syntax)?;
                let (encoded, rest) = rest.split_once(':').ok_or(StructureFault::Syntax)?;
                self.rest = rest;
                let bytes = STANDARD.decode(encoded).map_err(|_| StructureFault::Syntax)?;
                Ok(Bare::Bytes(bytes))
            }
            b'?' => match self.rest.split_at_checked(2) {
                Some((word @ ("?0" | "?1"), rest)) => {
                    self.rest = rest;
                    Ok(Bare::Boolean(word == "?1"))
                }
                _ => Err(StructureFault::Syntax),
            },
            b'-' | b'0'..=b'9' => {
                let digits = self.run(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'));
                // One spelling for each number: what is written again is what was signed.
                let number: i64 = digits.parse().map_err(|_| StructureFault::Syntax)?;
                let is_plain = number.to_string() == digits && digits.len() <= 15;
                if is_plain { Ok(Bare::Integer(number)) } else { Err(StructureFault::Syntax) }
            }
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                let fits = |b: u8| bartizan_wire::is_token_byte(b) || matches!(b, b':' | b'/');
                Ok(Bare::Token(self.run(fits).to_owned()))
            }
            _ => Err(StructureFault::Syntax),
        }
    }

    fn text(&mut self) -> Result<Bare, StructureFault> {
        let mut text = String::new();
        let mut letters = self.rest.strip_prefix('"').unwrap_or(self.rest).chars();
        loop {
            match letters.next() {
                Some('"') => break,
                Some('\\') => match letters.next() {
                    Some(letter @ ('"' | '\\')) => text.push(letter),
                    _ => return Err(StructureFault::Syntax),
                },
                Some(letter @ ' '..='~') => text.push(letter),
                _ => return Err(StructureFault::Syntax),
            }
        }
        self.rest = letters.as_str();
        Ok(Bare::Text(text))
    }
}

/// Writes an item (RFC 9651 §4.1.3).
pub(super) fn write_item(item: &Item, out: &mut String) {
    write_bare(&item.bare, out);
    write_parameters(&item.parameters, out);
}

/// Writes a list with its parameters (RFC 9651 §4.1.1.1).
pub(super) fn write_list(items: &[Item], parameters: &Parameters, out: &mut String) {
    out.push('(');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        write_item(item, out);
    }
    out.push(')');
    write_parameters(parameters, out);
}

fn write_parameters(parameters: &Parameters, out: &mut String) {
    for (name, value) in parameters {
        out.push(';');
        out.push_str(name);
        if *value != Bare::Boolean(true) {
            out.push('=');
            write_bare(value, out);
        }
    }
}

fn write_bare(bare: &Bare, out: &mut String) {
    match bare {
        Bare::Text(text) => {
            out.push('"');
            for letter in text.chars() {
                if matches!(letter, '"' | '\\') {
                    out.push('\\');
                }
                out.push(letter);
            }
            out.push('"');
        }
        Bare::Token(token) => out.push_str(token),
        Bare::Integer(number) => out.push_str(&number.to_string()),
        Bare::Bytes(bytes) => {
            out.push(':');
            STANDARD.encode_string(bytes, out);
            out.push(':');
        }
        Bare::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a text of a length.
    type Make<'m> = &'m dyn Fn(usize) -> String;

    /// So many of them, each with a name of its own.
    fn several(count: usize, each: impl Fn(usize) -> String, between: &str) -> String {
        (0..count).map(each).collect::<Vec<_>>().join(between)
    }

    #[test]
    fn a_field_has_so_much_in_it_and_no_more() {
        let of = |length: usize| format!("a=\"{}\"", "x".repeat(length - "a=\"\"".len()));
        let members = |count| several(count, |n| format!("a{n}"), ", ");
        let list = |count| format!("a=({})", several(count, |n| format!("\"{n}\""), " "));
        let parameters = |count| format!("a{}", several(count, |n| format!(";p{n}"), ""));
        let table: [(usize, StructureFault, Make<'_>); 4] = [
            (FIELD_MAX, StructureFault::TooLong, &of),
            (MEMBERS_MAX, StructureFault::TooMany, &members),
            (MEMBERS_MAX, StructureFault::TooMany, &list),
            (PARAMETERS_MAX, StructureFault::TooMany, &parameters),
        ];
        for (most, fault, make) in table {
            for count in [most - 1, most] {
                assert!(dictionary(make(count).as_bytes()).is_ok(), "{fault}: {count}");
            }
            assert_eq!(dictionary(make(most + 1).as_bytes()), Err(fault), "{most}");
        }
    }

    fn written(members: &[(String, Member)]) -> String {
        let mut out = String::new();
        for (index, (name, member)) in members.iter().enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            out.push_str(name);
            match member {
                Member::Item(item) if item.bare == Bare::Boolean(true) => {
                    write_parameters(&item.parameters, &mut out);
                }
                Member::Item(item) => {
                    out.push('=');
                    write_item(item, &mut out);
                }
                Member::List(items, parameters) => {
                    out.push('=');
                    write_list(items, parameters, &mut out);
                }
            }
        }
        out
    }

    #[test]
    fn signatures_of_the_standard_are_read_and_written_alike() {
        for text in [
            "sig1=(\"@method\" \"@authority\" \"@path\" \"content-digest\" \"content-length\" \
             \"content-type\");created=1618884473;keyid=\"test-key-rsa-pss\"",
            "sig-b21=();created=1618884473;keyid=\"test-key-rsa-pss\";nonce=\"b3k2pp5k7z-50gnwp.yemd\"",
            "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
            "a, b;x;y=?0, c=tok/en:1, d=-5",
        ] {
            assert_eq!(written(&dictionary(text.as_bytes()).unwrap()), text);
        }
        let loose = "a=(  \"x\"   \"y\" );k=1 ,\t b=1";
        assert_eq!(written(&dictionary(loose.as_bytes()).unwrap()), "a=(\"x\" \"y\");k=1, b=1");
    }

    #[test]
    fn what_has_two_readings_has_none() {
        for (text, fault) in [
            ("a=1, a=2", StructureFault::Twice),
            ("a;x=1;x=2", StructureFault::Twice),
            ("a=1,", StructureFault::Syntax),
            ("a=1 b=2", StructureFault::Syntax),
            ("A=1", StructureFault::Syntax),
            ("a=(\"x\"\"y\")", StructureFault::Syntax),
            ("a=(\"x\"", StructureFault::Syntax),
            ("a=\"x", StructureFault::Syntax),
            ("a=\"\\n\"", StructureFault::Syntax),
            ("a=\"é\"", StructureFault::Syntax),
            ("a=:AB==:", StructureFault::Syntax),
            ("a=:AAE:", StructureFault::Syntax),
            ("a=01", StructureFault::Syntax),
            ("a=-0", StructureFault::Syntax),
            ("a=1.0", StructureFault::Syntax),
            ("a=1234567890123456", StructureFault::Syntax),
            ("a=?2", StructureFault::Syntax),
            ("a=((\"x\"))", StructureFault::Syntax),
        ] {
            assert_eq!(dictionary(text.as_bytes()), Err(fault), "{text}");
        }
        let many: Vec<String> = (0..33).map(|n| format!("a{n}")).collect();
        assert_eq!(dictionary(many.join(",").as_bytes()), Err(StructureFault::TooMany));
        assert_eq!(dictionary(&[b' '; FIELD_MAX + 1]), Err(StructureFault::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else(
            text in "[ab=(),;\" :?0-9*\\\\-]{0,24}",
        ) {
            if let Ok(members) = dictionary(text.as_bytes()) {
                let again = written(&members);
                proptest::prop_assert_eq!(&dictionary(again.as_bytes()), &Ok(members));
                // Only spaces, and how truth is written, may differ.
                let plain = |text: &str| text.replace([' ', '\t'], "").replace("=?1", "");
                proptest::prop_assert_eq!(plain(&again), plain(&text));
            }
        }
    }
}
