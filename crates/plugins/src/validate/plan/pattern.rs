//! Patterns, and the simple ones among them that need no engine.

use std::ops::RangeInclusive;

use jsonschema::Validator;
use serde_json::Value;

use super::node::Verdict;

/// Most repetitions that one part of a simple pattern may name.
const REPEATS_MAX: usize = 65_535;

/// A pattern of a schema.
#[derive(Debug)]
pub(super) struct Pattern {
    simple: Option<Simple>,
    /// A schema of the pattern alone.
    validator: Validator,
}

impl Pattern {
    /// A pattern and the validator that knows it.
    pub(super) fn new(pattern: &str, validator: Validator) -> Self {
        Self { simple: Simple::parse(pattern), validator }
    }

    /// Whether a text matches.
    pub(super) fn matches(&self, text: &str) -> Verdict {
        let simple = self.simple.as_ref().and_then(|simple| simple.matches(text.as_bytes()));
        let verdict =
            simple.unwrap_or_else(|| self.validator.is_valid(&Value::String(text.to_owned())));
        Verdict::of(verdict)
    }

    /// Whether a text that matches is made of ASCII letters, digits, `_` and `-` alone. With dots, it
    /// may be the name of a file.
    pub(super) fn is_harmless(&self) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        self.simple.as_ref().is_some_and(|simple| {
            simple.parts.iter().all(|part| (0..128).all(|b| !part.class.has(b) || is_plain(b)))
                && simple.parts.iter().all(|part| !part.class.is_open)
        })
    }
}

/// A set of ASCII characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Class {
    bits: u128,
    /// Made by what it is not: characters beyond ASCII are in it.
    is_open: bool,
}

impl Class {
    fn has(&self, byte: u8) -> bool {
        byte < 128 && self.bits & (1 << byte) != 0
    }

    fn with(mut self, bytes: RangeInclusive<u8>) -> Self {
        for byte in bytes {
            self.bits |= 1_u128.checked_shl(byte.into()).unwrap_or(0);
        }
        self
    }

    fn named(letter: u8) -> Option<Self> {
        let none = Self::default();
        match letter {
            b'd' => Some(none.with(b'0'..=b'9')),
            b'w' => {
                let letters = none.with(b'a'..=b'z').with(b'A'..=b'Z');
                Some(letters.with(b'0'..=b'9').with(b'_'..=b'_'))
            }
            // A letter with a backslash may mean anything, a mark means itself; `\<` and `\>` are
            // ends of words for the engine behind the validator.
            mark if mark.is_ascii_punctuation() && !matches!(mark, b'<' | b'>') => {
                Some(none.with(mark..=mark))
            }
            _ => None,
        }
    }
}

/// A class and how often it stands.
#[derive(Clone, Copy, Debug)]
struct Part {
    class: Class,
    least: usize,
    most: usize,
}

/// `^`, classes of ASCII characters with bounds, `$`: one character of look-ahead decides.
#[derive(Debug)]
struct Simple {
    parts: Box<[Part]>,
}

impl Simple {
    fn parse(pattern: &str) -> Option<Self> {
        let inner = pattern.strip_prefix('^')?.strip_suffix('$')?;
        let mut rest = inner.as_bytes();
        let mut parts: Vec<Part> = Vec::new();
        while !rest.is_empty() {
            let class = read_class(&mut rest)?;
            let (least, most) = read_bounds(&mut rest)?;
            parts.push(Part { class, least, most });
        }
        // A part of variable length takes all that it can. That is right only if nothing that it
        // takes could have been for what follows, up to the next part that must be there.
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| part.least != part.most) {
            for later in parts.get(index + 1..)? {
                let meets = part.class.bits & later.class.bits != 0;
                if meets || (part.class.is_open && later.class.is_open) {
                    return None;
                }
                if later.least > 0 {
                    break;
                }
            }
        }
        Some(Self { parts: parts.into() })
    }

    /// `None` where a character beyond ASCII decides.
    fn matches(&self, text: &[u8]) -> Option<bool> {
        let mut at = 0;
        for part in &self.parts {
            let rest = text.get(at..)?;
            let fits = rest.iter().take(part.most).take_while(|byte| part.class.has(**byte));
            let count = fits.count();
            at += count;
            if count < part.most && text.get(at).is_some_and(|byte| !byte.is_ascii()) {
                return None;
            }
            if count < part.least {
                return Some(false);
            }
        }
        Some(at == text.len())
    }
}

fn read_class(rest: &mut &[u8]) -> Option<Class> {
    let none = Class::default();
    let (first, after) = rest.split_first()?;
    *rest = after;
    match first {
        b'[' => read_set(rest),
        b'\\' => {
            let (escaped, after) = rest.split_first()?;
            *rest = after;
            Class::named(*escaped)
        }
        b'^' | b'$' | b'.' | b'|' | b'?' | b'*' | b'+' | b'(' | b')' | b']' | b'{' | b'}' => None,
        byte if byte.is_ascii_graphic() || *byte == b' ' => Some(none.with(*byte..=*byte)),
        _ => None,
    }
}

fn read_set(rest: &mut &[u8]) -> Option<Class> {
    let is_open = rest.first() == Some(&b'^');
    if is_open {
        *rest = rest.get(1..)?;
    }
    let mut set = Class::default();
    loop {
        match **rest {
            [b']', ref after @ ..] => {
                *rest = after;
                break;
            }
            // Engines do not agree on what these mean inside.
            [b'[' | b'&' | b'~' | b'^', ..] | [b'-', b'-', ..] => return None,
            [b'\\', escaped, ref after @ ..] => {
                let named = Class::named(escaped)?;
                set.bits |= named.bits;
                *rest = after;
                // A range may not begin here.
                if let [b'-', end, ..] = **rest
                    && end != b']'
                {
                    return None;
                }
            }
            [from, b'-', to, ref after @ ..] if to != b']' => {
                let is_plain = from.is_ascii_alphanumeric() && to.is_ascii_alphanumeric();
                if !is_plain || from > to {
                    return None;
                }
                set = set.with(from..=to);
                *rest = after;
            }
            [byte, ref after @ ..] if byte.is_ascii_graphic() || byte == b' ' => {
                set = set.with(byte..=byte);
                *rest = after;
            }
            _ => return None,
        }
    }
    if set.bits == 0 {
        return None;
    }
    Some(if is_open { Class { bits: !set.bits, is_open } } else { set })
}

fn read_bounds(rest: &mut &[u8]) -> Option<(usize, usize)> {
    let (bounds, after) = match **rest {
        [b'?', ref after @ ..] => ((0, 1), after),
        [b'*', ref after @ ..] => ((0, usize::MAX), after),
        [b'+', ref after @ ..] => ((1, usize::MAX), after),
        [b'{', ref inner @ ..] => {
            let end = inner.iter().position(|byte| *byte == b'}')?;
            let (numbers, after) = inner.split_at_checked(end)?;
            (counted(std::str::from_utf8(numbers).ok()?)?, after.get(1..)?)
        }
        _ => return Some((1, 1)),
    };
    // What follows would make the bounds lazy or greedy in another way.
    if let Some(b'?' | b'*' | b'+' | b'{') = after.first() {
        return None;
    }
    *rest = after;
    Some(bounds)
}

fn counted(text: &str) -> Option<(usize, usize)> {
    let number = |text: &str| {
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse().ok()).flatten().filter(|number| *number <= REPEATS_MAX)
    };
    let (least, most) = match text.split_once(',') {
        None => (number(text)?, number(text)?),
        Some((least, "")) => (number(least)?, usize::MAX),
        Some((least, most)) => (number(least)?, number(most)?),
    };
    (least <= most).then_some((least, most))
}
