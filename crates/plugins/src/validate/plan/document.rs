//! A JSON text, read strictly into a list of tokens and nothing else.
//!
//! What is read here, [`bartizan_chain::parse_strict`] reads as well, to the same value: duplicate
//! names, depth, the number of items, invalid UTF-8, lone surrogates and numbers out of range are
//! refused by both. The opposite does not hold: a few rare forms, such as a name with an escape,
//! are left to the other, so a text without tokens is no fault yet.

use std::collections::HashSet;

use bartizan_chain::JsonLimits;
use serde_json::Value;

use super::scan::{hash_at, plain_end};

/// Deepest nesting that `serde_json` reads, whatever the limit says.
const DEPTH_MAX: u32 = 127;
/// Members of an object whose names are compared one by one; those of a larger one are in a set.
const COMPARED_MAX: u32 = 48;
/// A number of more bytes may be out of range, which only a conversion tells.
const PLAIN_NUMBER_MAX: usize = 40;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number, also `-0`.
    Float,
    /// A string that means its own bytes.
    Text,
    /// A string with an escape in it.
    EscapedText,
    /// The name of a member; its value follows.
    Name,
    /// An array; its items follow.
    List,
    /// An object; its members follow.
    Object,
}

/// One value or name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    /// What it is.
    pub(super) kind: Kind,
    /// Where it begins; strings and names without their quotation mark.
    pub(super) start: u32,
    /// Where it ends.
    pub(super) end: u32,
    /// The token after the last one inside.
    pub(super) next: u32,
    /// The members or items of a container, the hash of a name.
    pub(super) info: u32,
}

/// A text and its tokens.
#[derive(Debug)]
pub(crate) struct Document<'b> {
    bytes: &'b [u8],
    tokens: Vec<Token>,
}

impl<'b> Document<'b> {
    /// Reads a text; `None` where it breaks a rule, or has a form that is not read here.
    pub(crate) fn read(bytes: &'b [u8], limits: JsonLimits) -> Option<Self> {
        // A text has no more tokens than bytes, so that a place in either is 32 bits.
        u32::try_from(bytes.len()).ok()?;
        // Most texts are ASCII, which is told sooner than UTF-8.
        if !bytes.is_ascii() {
            std::str::from_utf8(bytes).ok()?;
        }
        let tokens = Vec::with_capacity(room(bytes.len(), limits.items));
        let mut reader = Reader { bytes, tokens, items: limits.items };
        let (start, first) = reader.solid(0);
        let end = reader.value(start, first, limits.depth.min(DEPTH_MAX))?;
        let (end, _) = reader.solid(end);
        (end == bytes.len()).then_some(Self { bytes, tokens: reader.tokens })
    }

    /// A token.
    pub(super) fn token(&self, index: usize) -> Option<Token> {
        self.tokens.get(index).copied()
    }

    /// How many tokens there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// How many bytes there are.
    pub(super) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of a token, as [`Token::start`] and [`Token::end`] say.
    pub(super) fn raw(&self, token: Token) -> &'b [u8] {
        self.bytes.get(token.start as usize..token.end as usize).unwrap_or_default()
    }

    /// Where a value stands in the text, with its quotation marks.
    pub(super) fn range(token: Token) -> std::ops::Range<usize> {
        let quotes = usize::from(matches!(token.kind, Kind::Text | Kind::EscapedText | Kind::Name));
        (token.start as usize - quotes)..(token.end as usize + quotes)
    }

    /// The value of a token.
    pub(super) fn value(&self, token: Token) -> Option<Value> {
        serde_json::from_slice(self.bytes.get(Self::range(token))?).ok()
    }

    /// The text that an escaped string stands for.
    pub(super) fn unescaped(&self, token: Token) -> Option<String> {
        serde_json::from_slice(self.bytes.get(Self::range(token))?).ok()
    }
}

/// The tokens that room is made for before a text is read: as many as a usual text of that size
/// has, and never more than any text within the limit can have, a name and a value for each item.
fn room(size: usize, items: u32) -> usize {
    let most = (items as usize).saturating_mul(2).saturating_add(1);
    (size / 8 + 4).min(most)
}

/// A place in a text, or among its tokens.
#[expect(clippy::cast_possible_truncation, reason = "`Document::read` takes no longer text")]
#[inline]
fn place(at: usize) -> u32 {
    at as u32
}

/// Reads a text from one place to the next; whoever reads a part says where it ends, or nothing if
/// it is not read here.
///
/// PERF: `cargo xtask bench plugins` (`request-validation`): places are handed on rather than kept,
/// so that they stay in registers, and what is behind the end reads as a byte that stands nowhere.
struct Reader<'b> {
    bytes: &'b [u8],
    tokens: Vec<Token>,
    /// Members and items that there may still be.
    items: u32,
}

impl Reader<'_> {
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// The first place from here on that is no space, and what stands there.
    #[inline]
    fn solid(&self, mut at: usize) -> (usize, u8) {
        loop {
            match self.byte(at) {
                b' ' | b'\n' | b'\r' | b'\t' => at += 1,
                byte => return (at, byte),
            }
        }
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize, info: u32) {
        let next = place(self.tokens.len() + 1);
        self.tokens.push(Token { kind, start: place(start), end: place(end), next, info });
    }

    /// The value that begins with a byte which is no space.
    fn value(&mut self, at: usize, first: u8, depth: u32) -> Option<usize> {
        match first {
            b'"' => self.text(at + 1),
            b'-' | b'0'..=b'9' => self.number(at, first),
            b'{' => self.object(at, depth.checked_sub(1)?),
            b'[' => self.list(at, depth.checked_sub(1)?),
            b't' => self.word(at, b"true", Kind::Bool),
            b'f' => self.word(at, b"false", Kind::Bool),
            b'n' => self.word(at, b"null", Kind::Null),
            _ => None,
        }
    }

    fn word(&mut self, at: usize, word: &[u8], kind: Kind) -> Option<usize> {
        let end = at + word.len();
        (self.bytes.get(at..end)? == word).then_some(())?;
        self.push(kind, at, end, 0);
        Some(end)
    }

    /// A container has ended before this place.
    fn close(&mut self, index: usize, end: usize, count: u32) -> Option<usize> {
        let next = place(self.tokens.len());
        let token = self.tokens.get_mut(index)?;
        (token.next, token.end, token.info) = (next, place(end), count);
        Some(end)
    }

    /// `depth` is what containers inside have left.
    fn list(&mut self, at: usize, depth: u32) -> Option<usize> {
        let index = self.tokens.len();
        self.push(Kind::List, at, at, 0);
        let (mut at, mut first) = self.solid(at + 1);
        if first == b']' {
            return self.close(index, at + 1, 0);
        }
        let mut count = 0;
        loop {
            let end = self.value(at, first, depth)?;
            self.items = self.items.checked_sub(1)?;
            count += 1;
            match self.solid(end) {
                (comma, b',') => (at, first) = self.solid(comma + 1),
                (bracket, b']') => return self.close(index, bracket + 1, count),
                _ => return None,
            }
        }
    }

    fn object(&mut self, at: usize, depth: u32) -> Option<usize> {
        let index = self.tokens.len();
        self.push(Kind::Object, at, at, 0);
        let (mut at, mut first) = self.solid(at + 1);
        if first == b'}' {
            return self.close(index, at + 1, 0);
        }
        let mut known = Known::default();
        let mut count = 0;
        loop {
            self.items = self.items.checked_sub(1)?;
            // A name that means its own bytes.
            let end = plain_end(self.bytes, at + 1);
            if first != b'"' || self.byte(end) != b'"' {
                return None;
            }
            self.push(Kind::Name, at + 1, end, hash_at(self.bytes, at + 1, end));
            if !known.admits(self, index, count) {
                return None;
            }
            count += 1;
            let (colon, b':') = self.solid(end + 1) else { return None };
            let (start, first_of_value) = self.solid(colon + 1);
            let end = self.value(start, first_of_value, depth)?;
            match self.solid(end) {
                (comma, b',') => (at, first) = self.solid(comma + 1),
                (brace, b'}') => return self.close(index, brace + 1, count),
                _ => return None,
            }
        }
    }

    /// What begins behind a quotation mark.
    #[inline]
    fn text(&mut self, start: usize) -> Option<usize> {
        let end = plain_end(self.bytes, start);
        if self.byte(end) == b'"' {
            self.push(Kind::Text, start, end, 0);
            return Some(end + 1);
        }
        self.escaped_text(start, end)
    }

    /// The same, where something is at `at` that a plain text does not have.
    #[cold]
    fn escaped_text(&mut self, start: usize, mut at: usize) -> Option<usize> {
        loop {
            match self.byte(at) {
                b'"' => break,
                b'\\' => at = plain_end(self.bytes, self.escape(at + 1)?),
                _ => return None,
            }
        }
        self.push(Kind::EscapedText, start, at, 0);
        Some(at + 1)
    }

    /// What follows a backslash.
    fn escape(&self, at: usize) -> Option<usize> {
        match self.byte(at) {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
            b'u' => match self.unit(at + 1)? {
                // A low surrogate follows a high one and stands nowhere else.
                0xdc00..=0xdfff => None,
                0xd800..=0xdbff => {
                    let follows = self.bytes.get(at + 5..at + 7)? == b"\\u";
                    let is_low = matches!(self.unit(at + 7)?, 0xdc00..=0xdfff);
                    (follows && is_low).then_some(at + 11)
                }
                _ => Some(at + 5),
            },
            _ => None,
        }
    }

    /// Four hexadecimal digits.
    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 4)?;
        digits.iter().try_fold(0, |unit, byte| Some(unit * 16 + char::from(*byte).to_digit(16)?))
    }

    /// Where the digits end, of which there is one at least.
    #[inline]
    fn digits(&self, start: usize) -> Option<usize> {
        let mut at = start;
        while self.byte(at).is_ascii_digit() {
            at += 1;
        }
        (at > start).then_some(at)
    }

    #[inline]
    fn number(&mut self, start: usize, first: u8) -> Option<usize> {
        let is_negative = first == b'-';
        let whole = start + usize::from(is_negative);
        let is_zero = self.byte(whole) == b'0';
        let mut at = self.digits(whole)?;
        if is_zero && at > whole + 1 {
            return None;
        }
        let mut kind = if is_negative && is_zero { Kind::Float } else { Kind::Integer };
        if self.byte(at) == b'.' {
            at = self.digits(at + 1)?;
            kind = Kind::Float;
        }
        let has_exponent = matches!(self.byte(at), b'e' | b'E');
        if has_exponent {
            let has_sign = matches!(self.byte(at + 1), b'+' | b'-');
            at = self.digits(at + 1 + usize::from(has_sign))?;
            kind = Kind::Float;
        }
        if has_exponent || at - start > PLAIN_NUMBER_MAX {
            serde_json::from_slice::<f64>(self.bytes.get(start..at)?).ok()?;
        }
        self.push(kind, start, at, 0);
        Some(at)
    }
}

/// The names of an object so far.
#[derive(Default)]
struct Known<'b> {
    /// A bit for each name; two may share one.
    bits: u64,
    /// All of them, where they are many.
    many: Option<HashSet<&'b [u8]>>,
}

impl<'b> Known<'b> {
    /// Takes in the name that was read last; false if the object has it already.
    fn admits(&mut self, reader: &Reader<'b>, object: usize, count: u32) -> bool {
        let Some(last) = reader.tokens.last().copied() else { return false };
        let raw = |token: Token| reader.bytes.get(token.start as usize..token.end as usize);
        let Some(name) = raw(last) else { return false };
        let before = || {
            let mut at = object + 1;
            std::iter::from_fn(move || {
                let token = reader.tokens.get(at)?;
                // The value's token follows the name's; where there is none, the name is the last.
                at = reader.tokens.get(at + 1)?.next as usize;
                Some(*token)
            })
        };
        if count < COMPARED_MAX {
            let bit = 1 << (last.info & 63);
            let is_new = self.bits & bit == 0;
            self.bits |= bit;
            return is_new
                || !before().any(|token| token.info == last.info && raw(token) == Some(name));
        }
        self.many.get_or_insert_with(|| before().filter_map(raw).collect()).insert(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_for_no_more_tokens_than_a_text_may_have() {
        assert_eq!(room(800, 1_000), 104);
        assert_eq!(room(8 << 20, 1_000), 2_001);
        // As many as fit: a name and a value for each item, and the object itself.
        let text = br#"{"a":{"b":1}}"#;
        let document = Document::read(text, JsonLimits { depth: 2, items: 2 }).unwrap();
        assert_eq!(document.len(), room(usize::MAX, 2));
    }
}
