//! Values of directives and actions: numbers, sizes, choices, ids.

use std::fmt::Display;
use std::str::FromStr;

use super::faults::{choices, did_you_mean, quoted};
use super::lines::{Cx, Word};
use super::script::{EngineMode, IdRanges, LimitAction};
use crate::name_pattern::name_pattern;

/// The parts of an audit record.
const AUDIT_PARTS: &str = "ABCDEFGHIJKZ";

/// The most ids and ranges in one list.
const IDS_MAX: usize = 10_000;

/// A whole number from `min` to `max`.
pub(super) fn number<T: FromStr + PartialOrd + Display + Copy>(
    cx: &mut Cx<'_>,
    value: &Word,
    min: T,
    max: T,
) -> Option<T> {
    let is_plain = !value.text.is_empty() && value.text.bytes().all(|byte| byte.is_ascii_digit());
    let found = value.text.parse::<T>().ok().filter(|_| is_plain);
    if let Some(number) = found.filter(|number| *number >= min && *number <= max) {
        return Some(number);
    }
    let problem = format!("{} is not a number from {min} to {max}", quoted(&value.text));
    cx.fail(value.start(), problem, None)
}

/// A number of bytes.
pub(super) fn size(cx: &mut Cx<'_>, value: &Word) -> Option<u64> {
    number(cx, value, 0, 1_u64 << 40)
}

/// One of some names, case ignored.
pub(super) fn choice<T: Copy>(cx: &mut Cx<'_>, value: &Word, known: &[(&str, T)]) -> Option<T> {
    let found = known.iter().find(|(name, _)| name.eq_ignore_ascii_case(&value.text));
    if let Some((_, meaning)) = found {
        return Some(*meaning);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let help = did_you_mean(&value.text, names.iter().copied());
    let problem = format!("expected {}, found {}", choices(&names), quoted(&value.text));
    cx.fail(value.start(), problem, help)
}

/// `On` or `Off`.
pub(super) fn on_off(cx: &mut Cx<'_>, value: &Word) -> Option<bool> {
    choice(cx, value, &[("On", true), ("Off", false)])
}

/// `On`, `DetectionOnly` or `Off`.
pub(super) fn engine_mode(cx: &mut Cx<'_>, value: &Word) -> Option<EngineMode> {
    let known = [
        ("On", EngineMode::On),
        ("DetectionOnly", EngineMode::DetectionOnly),
        ("Off", EngineMode::Off),
    ];
    choice(cx, value, &known)
}

/// `On`, `Off` or `RelevantOnly`.
pub(super) fn audit_mode(cx: &mut Cx<'_>, value: &Word) -> Option<()> {
    let known = [("On", ()), ("Off", ()), ("RelevantOnly", ())];
    choice(cx, value, &known)
}

/// `Reject` or `ProcessPartial`.
pub(super) fn limit_action(cx: &mut Cx<'_>, value: &Word) -> Option<LimitAction> {
    let known = [("Reject", LimitAction::Reject), ("ProcessPartial", LimitAction::ProcessPartial)];
    choice(cx, value, &known)
}

/// The parts of an audit record: all of them or, behind a sign, what is added or taken away.
pub(super) fn audit_changes(cx: &mut Cx<'_>, value: &Word) -> Option<()> {
    parts(cx, value, usize::from(value.text.starts_with(['+', '-'])))
}

fn parts(cx: &mut Cx<'_>, value: &Word, from: usize) -> Option<()> {
    let letters = value.text.get(from..).unwrap_or_default();
    let help = Some(format!("the parts of an audit record are the letters `{AUDIT_PARTS}`"));
    if letters.is_empty() {
        return cx.fail(value.start(), "no part is named", help);
    }
    if let Some((at, letter)) = letters.char_indices().find(|(_, c)| !AUDIT_PARTS.contains(*c)) {
        let problem = format!("there is no part {}", quoted(&letter.to_string()));
        return cx.fail(value.at(from + at), problem, help);
    }
    Some(())
}

/// A text that is not empty.
pub(super) fn filled(cx: &mut Cx<'_>, value: &Word) -> Option<Box<str>> {
    if value.text.is_empty() {
        return cx.fail(value.start(), "the value is empty", None);
    }
    Some(value.text.as_str().into())
}

/// A pattern that names, tags or messages are looked through with.
pub(super) fn pattern(cx: &mut Cx<'_>, value: &Word) -> Option<Box<str>> {
    let text = filled(cx, value)?;
    if let Err(problem) = name_pattern(&text) {
        let help = "write `\\` before a sign of patterns that is to stand for itself";
        let problem = format!("the pattern {} {problem}", quoted(&text));
        return cx.fail(value.start(), problem, Some(help.to_owned()));
    }
    Some(text)
}

/// Ids and ranges of ids, with spaces or commas between them.
pub(super) fn ids(cx: &mut Cx<'_>, value: &Word) -> Option<IdRanges> {
    let mut ranges = Vec::new();
    let mut at = 0;
    for part in value.text.split([' ', '\t', ',']) {
        let word = value.slice(at, at + part.len());
        at += part.len() + 1;
        if !word.text.is_empty() {
            ranges.push(range(cx, &word)?);
        }
        if ranges.len() > IDS_MAX {
            return cx.fail(word.start(), format!("more than {IDS_MAX} ids in one list"), None);
        }
    }
    if ranges.is_empty() {
        return cx.fail(value.start(), "no id is named", None);
    }
    Some(IdRanges(ranges))
}

fn range(cx: &mut Cx<'_>, word: &Word) -> Option<(u32, u32)> {
    let Some((first, last)) = word.split('-') else {
        let id = number(cx, word, 1, u32::MAX)?;
        return Some((id, id));
    };
    let first = number(cx, &first, 1, u32::MAX)?;
    let last = number(cx, &last, 1, u32::MAX)?;
    if first > last {
        let help = format!("write `{last}-{first}`");
        return cx.fail(word.start(), "the range ends before it begins", Some(help));
    }
    Some((first, last))
}
