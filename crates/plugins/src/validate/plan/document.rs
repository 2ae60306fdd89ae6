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
        u32::try_from(bytes.len()).ok()?;
        std::str::from_utf8(bytes).ok()?;
        let tokens = Vec::with_capacity(room(bytes.len(), limits.items));
        let mut reader = Reader { bytes, at: 0, tokens, items: limits.items };
        reader.space();
        reader.value(limits.depth.min(DEPTH_MAX))?;
        reader.space();
        (reader.at == bytes.len()).then_some(Self { bytes, tokens: reader.tokens })
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

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    tokens: Vec<Token>,
    /// Members and items that there may still be.
    items: u32,
}

impl Reader<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// The next byte that is no space is taken.
    #[inline]
    fn take(&mut self) -> Option<u8> {
        self.space();
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize, info: u32) -> Option<()> {
        let next = u32::try_from(self.tokens.len() + 1).ok()?;
        let (start, end) = (u32::try_from(start).ok()?, u32::try_from(end).ok()?);
        self.tokens.push(Token { kind, start, end, next, info });
        Some(())
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        match self.peek()? {
            b'"' => self.text(),
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word(b"true", Kind::Bool),
            b'f' => self.word(b"false", Kind::Bool),
            b'n' => self.word(b"null", Kind::Null),
            _ => None,
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Option<()> {
        let start = self.at;
        self.at += word.len();
        (self.bytes.get(start..self.at)? == word).then_some(())?;
        self.push(kind, start, self.at, 0)
    }

    /// A container begins; the token's index.
    fn open(&mut self, kind: Kind) -> Option<usize> {
        let index = self.tokens.len();
        self.push(kind, self.at, self.at, 0)?;
        self.at += 1;
        self.space();
        Some(index)
    }

    fn close(&mut self, index: usize, count: u32) -> Option<()> {
        let next = u32::try_from(self.tokens.len()).ok()?;
        let end = u32::try_from(self.at).ok()?;
        let token = self.tokens.get_mut(index)?;
        (token.next, token.end, token.info) = (next, end, count);
        Some(())
    }

    fn list(&mut self, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let index = self.open(Kind::List)?;
        if self.peek()? == b']' {
            self.at += 1;
            return self.close(index, 0);
        }
        let mut count = 0;
        loop {
            self.value(depth)?;
            self.items = self.items.checked_sub(1)?;
            count += 1;
            match self.take()? {
                b',' => self.space(),
                b']' => return self.close(index, count),
                _ => return None,
            }
        }
    }

    fn object(&mut self, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let index = self.open(Kind::Object)?;
        if self.peek()? == b'}' {
            self.at += 1;
            return self.close(index, 0);
        }
        let mut known = Known::default();
        let mut count = 0;
        loop {
            self.items = self.items.checked_sub(1)?;
            self.name()?;
            if !known.admits(self, index, count) {
                return None;
            }
            count += 1;
            if self.take()? != b':' {
                return None;
            }
            self.space();
            self.value(depth)?;
            match self.take()? {
                b',' => self.space(),
                b'}' => return self.close(index, count),
                _ => return None,
            }
        }
    }

    /// A name that means its own bytes.
    fn name(&mut self) -> Option<()> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let end = plain_end(self.bytes, start);
        self.at = end;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        self.push(Kind::Name, start, end, hash_at(self.bytes, start, end))
    }

    fn text(&mut self) -> Option<()> {
        let start = self.at + 1;
        self.at = start;
        let mut kind = Kind::Text;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    kind = Kind::EscapedText;
                    self.escape()?;
                }
                _ => return None,
            }
        }
        let end = self.at;
        self.at += 1;
        self.push(kind, start, end, 0)
    }

    fn escape(&mut self) -> Option<()> {
        let escaped = *self.bytes.get(self.at + 1)?;
        self.at += 2;
        match escaped {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.unit()? {
                // A low surrogate follows a high one and stands nowhere else.
                0xdc00..=0xdfff => None,
                0xd800..=0xdbff => {
                    let follows = self.bytes.get(self.at..self.at + 2)? == b"\\u";
                    self.at += 2;
                    (follows && matches!(self.unit()?, 0xdc00..=0xdfff)).then_some(())
                }
                _ => Some(()),
            },
            _ => None,
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, byte| Some(unit * 16 + char::from(*byte).to_digit(16)?))
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.at;
        let is_negative = self.peek()? == b'-';
        self.at += usize::from(is_negative);
        let is_zero = self.peek()? == b'0';
        let first = self.at;
        self.digits()?;
        if is_zero && self.at > first + 1 {
            return None;
        }
        let mut kind = if is_negative && is_zero { Kind::Float } else { Kind::Integer };
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            kind = Kind::Float;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
            kind = Kind::Float;
        }
        if has_exponent || self.at - start > PLAIN_NUMBER_MAX {
            serde_json::from_slice::<f64>(self.bytes.get(start..self.at)?).ok()?;
        }
        self.push(kind, start, self.at, 0)
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
