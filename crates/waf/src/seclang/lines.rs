//! Lines: continuations put together, comments left out, and words with the place of every byte.

use std::sync::Arc;

use super::faults::Faults;
use crate::fault::{Place, RuleFault};

/// The longest line, its continuations included, in bytes.
pub(super) const LINE_SIZE_MAX: usize = 1 << 20;

/// The longest excerpt of a fault, in bytes.
const EXCERPT_MAX: usize = 120;

/// How much of a long line is shown before the place of a fault, in bytes.
const EXCERPT_BEFORE: usize = 40;

/// A line with its continuations.
#[derive(Debug)]
pub(super) struct Line<'a> {
    file: &'a Arc<str>,
    /// What stands in it; the backslashes and line ends of continuations are gone.
    pub(super) text: String,
    /// The lines of the file that it is made of.
    parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    /// Where it begins in the text of the whole.
    at: usize,
    /// Its number, from 1.
    number: usize,
    /// As it stands in the file, without its end.
    whole: &'a str,
}

impl Line<'_> {
    /// Where byte `at` of the text stands in the file.
    pub(super) fn place(&self, at: usize) -> Place {
        let (number, column, _) = self.locate(at);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Place { file: Arc::clone(self.file), line: small(number), column: small(column) }
    }

    fn locate(&self, at: usize) -> (usize, usize, &str) {
        let behind = self.parts.partition_point(|part| part.at <= at);
        match self.parts.get(behind.saturating_sub(1)) {
            Some(part) => (part.number, (at - part.at).min(part.whole.len()) + 1, part.whole),
            None => (1, 1, ""),
        }
    }

    /// A fault at byte `at` of the text.
    pub(super) fn fault(
        &self,
        at: usize,
        problem: impl Into<String>,
        help: Option<String>,
    ) -> RuleFault {
        let (_, column, whole) = self.locate(at);
        let excerpt = excerpt(whole, column - 1);
        RuleFault { place: self.place(at), excerpt, problem: problem.into(), help }
    }
}

/// The part of a line around a byte.
pub(crate) fn excerpt(whole: &str, at: usize) -> String {
    if whole.len() <= EXCERPT_MAX {
        return whole.to_owned();
    }
    let start = whole.floor_char_boundary(at.saturating_sub(EXCERPT_BEFORE));
    let end = whole.floor_char_boundary(start.saturating_add(EXCERPT_MAX).min(whole.len()));
    let before = if start > 0 { "…" } else { "" };
    let behind = if end < whole.len() { "…" } else { "" };
    format!("{before}{}{behind}", whole.get(start..end).unwrap_or_default())
}

/// The lines of a file that say something.
pub(super) struct Lines<'a> {
    file: &'a Arc<str>,
    source: std::iter::Enumerate<std::str::Lines<'a>>,
}

impl<'a> Lines<'a> {
    /// Of the file `file`, whose text is `source`.
    pub(super) fn new(file: &'a Arc<str>, source: &'a str) -> Self {
        Self { file, source: source.lines().enumerate() }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        loop {
            let (index, whole) = self.source.next()?;
            let mut line = Line { file: self.file, text: String::new(), parts: Vec::new() };
            let mut next = Some((index, whole));
            while let Some((index, whole)) = next {
                line.parts.push(Part { at: line.text.len(), number: index + 1, whole });
                next = None;
                let Some(text) = continued(whole) else {
                    line.text.push_str(whole);
                    break;
                };
                line.text.push_str(text);
                // A remark that ends in a backslash is no reason to lose the rule below it; a rule
                // that was commented out by its first line is one whole.
                if !is_remark(&line.text) {
                    next = self.source.next();
                }
            }
            let text = line.text.trim_start_matches([' ', '\t', '\u{feff}']);
            if !text.is_empty() && !text.starts_with('#') {
                return Some(line);
            }
        }
    }
}

/// The text of a line that the next one continues, without the backslash at its end.
fn continued(whole: &str) -> Option<&str> {
    let text = whole.strip_suffix('\\')?;
    let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
    backslashes.is_multiple_of(2).then_some(text)
}

fn is_remark(text: &str) -> bool {
    let Some(remark) = text.trim_start().strip_prefix('#') else { return false };
    let remark = remark.trim_start_matches(['#', ' ', '\t']);
    !remark.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("Sec"))
}

/// What reading needs at every step: the line, and where faults go.
pub(super) struct Cx<'a> {
    /// The line.
    pub(super) line: &'a Line<'a>,
    /// What is wrong so far.
    pub(super) faults: &'a mut Faults,
}

impl Cx<'_> {
    /// Reports a fault; `None`, so that it can end a function.
    pub(super) fn fail<T>(
        &mut self,
        at: usize,
        problem: impl Into<String>,
        help: Option<String>,
    ) -> Option<T> {
        self.faults.push(self.line.fault(at, problem, help));
        None
    }
}

/// A piece of a line, escapes undone, which knows where each byte of it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// What it says.
    pub(super) text: String,
    /// Where each byte stands in the text of the line.
    origin: Vec<usize>,
    /// Where its end stands.
    end: usize,
}

impl Word {
    /// The bytes `from` to `to` of `line`, as they stand.
    pub(super) fn of(line: &str, from: usize, to: usize) -> Self {
        let text = line.get(from..to).unwrap_or_default().to_owned();
        Self { origin: (from..from + text.len()).collect(), text, end: to }
    }

    /// Where byte `at` of it stands in the line.
    pub(super) fn at(&self, at: usize) -> usize {
        self.origin.get(at).copied().unwrap_or(self.end)
    }

    /// Where it begins in the line.
    pub(super) fn start(&self) -> usize {
        self.at(0)
    }

    /// Bytes `from` to `to` of it.
    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        Self {
            text: self.text.get(from..to).unwrap_or_default().to_owned(),
            origin: self.origin.get(from..to).unwrap_or_default().to_vec(),
            end: self.at(to),
        }
    }

    /// What follows byte `from`.
    pub(super) fn rest(&self, from: usize) -> Self {
        self.slice(from, self.text.len())
    }

    /// Without white space around it.
    pub(super) fn trimmed(&self) -> Self {
        let from = self.text.len() - self.text.trim_start().len();
        self.slice(from, from + self.text.trim().len())
    }

    /// The two sides of the first `sign`.
    pub(super) fn split(&self, sign: char) -> Option<(Self, Self)> {
        let at = self.text.find(sign)?;
        Some((self.slice(0, at), self.rest(at + sign.len_utf8())))
    }

    /// With every backslash before a `quote` taken away.
    pub(super) fn unescaped(&self, quote: char) -> Self {
        let mut out = Self { end: self.end, ..Self::default() };
        let mut chars = self.text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                out.push(c, self, at);
                continue;
            }
            match chars.next() {
                Some((_, next)) if next == quote => out.push(next, self, at),
                Some((behind, next)) => {
                    out.push(c, self, at);
                    out.push(next, self, behind);
                }
                None => out.push(c, self, at),
            }
        }
        out
    }

    fn push(&mut self, c: char, source: &Self, at: usize) {
        self.text.push(c);
        self.origin.extend((at..at + c.len_utf8()).map(|byte| source.at(byte)));
    }
}

/// Where the quoted text that begins at byte `from` of `text` ends: at a `quote` with no backslash
/// before it that is itself meant.
pub(super) fn closing(text: &str, from: usize, quote: u8) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().skip(from);
    while let Some((at, byte)) = bytes.next() {
        if byte == b'\\' {
            bytes.next();
        } else if byte == quote {
            return Some(at);
        }
    }
    None
}

/// The words of a line.
pub(super) fn words(cx: &mut Cx<'_>) -> Option<Vec<Word>> {
    let line = &cx.line.text;
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        at = line.len() - rest.trim_start_matches([' ', '\t', '\u{feff}']).len();
        let Some(first) = line.as_bytes().get(at).copied() else { return Some(words) };
        if first != b'"' && first != b'\'' {
            let end = bare_end(line, at);
            words.push(Word::of(line, at, end));
            at = end;
            continue;
        }
        let Some(end) = closing(line, at + 1, first) else {
            let quote = char::from(first);
            let help = if line.trim_end().ends_with('\\') {
                "nothing may stand behind the `\\` that continues a line, not even spaces"
            } else {
                "end every line of a directive but its last one with `\\`"
            };
            return cx.fail(at, format!("the {quote} is not closed"), Some(help.to_owned()));
        };
        words.push(Word::of(line, at + 1, end).unescaped(char::from(first)));
        at = end + 1;
        if line.as_bytes().get(at).is_some_and(|byte| !matches!(byte, b' ' | b'\t')) {
            let quote = char::from(first);
            let help = format!("write `\\{quote}` for a quote inside of quotes");
            return cx.fail(at, format!("text right behind the closing {quote}"), Some(help));
        }
    }
}

/// Where the word without quotes that begins at `from` ends. `ARGS:'/a b/'` is one word.
fn bare_end(line: &str, from: usize) -> usize {
    let bytes = line.as_bytes();
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' => break,
            b':' if bytes.get(at + 1) == Some(&b'\'') => {
                at = closing(line, at + 2, b'\'').unwrap_or(at) + 1;
            }
            _ => at += 1,
        }
    }
    at
}
