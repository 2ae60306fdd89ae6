//! The grammar of one field line (RFC 9112 §5).

use super::swar::find_byte;
use crate::fields::is_token_byte;

/// Each byte of a field name in lower case; zero for what is not a token.
static LOWER: [u8; 256] = lower_table();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn lower_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if is_token_byte(byte) {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
}

/// Where name and value are, as start and length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldLine {
    pub(crate) name: (usize, usize),
    pub(crate) value: (usize, usize),
    /// The name contains `_`, so that it may imitate another name where the two are confused.
    pub(crate) has_underscore: bool,
}

impl FieldLine {
    /// The same, seen from where the line starts at `by`.
    pub(crate) fn moved_by(self, by: usize) -> Self {
        let (name, value) = (self.name, self.value);
        Self { name: (name.0 + by, name.1), value: (value.0 + by, value.1), ..self }
    }

    pub(crate) fn name_in<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        stretch(block, self.name)
    }

    pub(crate) fn value_in<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        stretch(block, self.value)
    }
}

fn stretch(block: &[u8], (start, len): (usize, usize)) -> &[u8] {
    block.get(start..start + len).unwrap_or_default()
}

/// Reads a line that has no control bytes but tab, and makes its name lower case in place.
///
/// No white space before the name (obsolete line folding) or before the colon, no empty name. White
/// space around the value is not part of it.
#[inline]
pub(crate) fn read_field_line(line: &mut [u8]) -> Result<FieldLine, &'static str> {
    let name_len = match find_byte(line, b':') {
        None => return Err(fault_in(line, "a field line without a colon")),
        Some(0) => return Err("an empty field name"),
        Some(colon) => colon,
    };
    let name = line.get_mut(..name_len).unwrap_or_default();
    let (mut is_token, mut has_underscore) = (true, false);
    // Without an early end, since nearly every name is valid.
    for byte in name.iter_mut() {
        let lower = lower(*byte);
        is_token &= lower != 0;
        has_underscore |= lower == b'_';
        // What is no token stays, to be named in the refusal.
        *byte = if lower == 0 { *byte } else { lower };
    }
    if !is_token {
        return Err(fault_in(name, "a byte in a field name that is not allowed there"));
    }
    let after = line.get(name_len + 1..).unwrap_or_default();
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let lead = after.iter().position(|b| !is_space(b)).unwrap_or(after.len());
    let end = after.iter().rposition(|b| !is_space(b)).map_or(lead, |last| last + 1);
    let value = (name_len + 1 + lead, end - lead);
    Ok(FieldLine { name: (0, name_len), value, has_underscore })
}

#[inline]
fn lower(byte: u8) -> u8 {
    LOWER.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Which fault it is that a name has; `otherwise` if it is none that has a name of its own.
#[cold]
fn fault_in(name: &[u8], otherwise: &'static str) -> &'static str {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    match name.iter().position(|b| lower(*b) == 0) {
        Some(0) if name.first().is_some_and(is_space) => "a folded line",
        Some(at) if name.get(at).is_some_and(is_space) => "white space in or after a field name",
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(String, String), &'static str> {
        let mut bytes = line.as_bytes().to_vec();
        let read = read_field_line(&mut bytes)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok((text(read.name_in(&bytes)), text(read.value_in(&bytes))))
    }

    #[test]
    fn names_become_lower_case_and_values_lose_the_space_around_them() {
        for (line, name, value) in [
            ("Host: a.example", "host", "a.example"),
            ("X:", "x", ""),
            ("X: \t ", "x", ""),
            ("X:a", "x", "a"),
            ("X:  a b\t", "x", "a b"),
            ("X: Ünï", "x", "Ünï"),
            ("X:::", "x", "::"),
        ] {
            assert_eq!(read(line), Ok((name.to_owned(), value.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_is_not_a_field_line_is_refused() {
        for line in
            ["", "novalue", ": a", " a: b", "\ta: b", "a : b", "a b: c", "a\u{e9}: b", "(a): b"]
        {
            assert!(read(line).is_err(), "{line:?}");
        }
    }
}
