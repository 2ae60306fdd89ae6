//! What must stand in a value for a pattern to be found in it.
//!
//! The pattern is walked once. Of each part it is known either exactly which texts it can be, while
//! these are few, or at least which texts one of must stand in whatever it matches, and of which
//! kinds of bytes one must be there. Case does not count. The walk may know too little; it never
//! claims too much, which a property test shows.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::byte_mask::ByteMask;
use crate::operators::Needs;

/// The most texts that a part is known to be exactly.
const EXACT_MAX: usize = 250;
/// The longest text that is followed exactly.
const EXACT_LENGTH_MAX: usize = 24;
/// The most texts of which one is required.
const LITERALS_MAX: usize = 4_000;
/// The most different bytes of a class that are followed exactly.
const CLASS_MAX: usize = 12;

type Texts = BTreeSet<Vec<u8>>;

/// What is known of a part.
#[derive(Clone, Debug, Default)]
struct Known {
    /// All that it can be, in lower case.
    exact: Option<Texts>,
    /// One of these stands in whatever it matches; empty if nothing is known.
    literals: Texts,
    /// Of each, a byte stands in whatever it matches.
    masks: Vec<ByteMask>,
}

/// What a pattern needs.
pub(super) fn of(hir: &Hir) -> Needs {
    let known = walk(hir);
    let literals = best(&known);
    let mut masks = known.masks;
    if let Some(exact) = &known.exact
        && let Some(mask) = mask_of(exact)
    {
        masks.push(mask);
    }
    masks.sort_by_key(|mask| format!("{mask:?}"));
    masks.dedup();
    Needs {
        literals: literals.into_iter().map(Into::into).collect(),
        masks,
        length_min: hir.properties().minimum_len().unwrap_or(0),
    }
}

fn walk(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::exactly([Vec::new()].into()),
        HirKind::Literal(literal) => literal_of(&literal.0),
        HirKind::Class(class) => class_of(class),
        HirKind::Capture(capture) => walk(&capture.sub),
        HirKind::Repetition(repetition) => {
            let sub = walk(&repetition.sub);
            match (repetition.min, repetition.max) {
                (1, Some(1)) => sub,
                (0, Some(1)) => match sub.exact {
                    Some(mut exact) if exact.len() < EXACT_MAX => {
                        exact.insert(Vec::new());
                        Known::exactly(exact)
                    }
                    _ => Known::default(),
                },
                (0, _) => Known::default(),
                (min, max) => repeated(&sub, min, max),
            }
        }
        HirKind::Concat(parts) => concat(parts.iter().map(walk)),
        HirKind::Alternation(parts) => alternation(&parts.iter().map(walk).collect::<Vec<_>>()),
    }
}

impl Known {
    fn exactly(exact: Texts) -> Self {
        Self { exact: Some(exact), ..Self::default() }
    }
}

fn literal_of(bytes: &[u8]) -> Known {
    let text = bytes.to_ascii_lowercase();
    if text.len() <= EXACT_LENGTH_MAX {
        return Known::exactly([text].into());
    }
    let masks = mask_of(&[text.clone()].into()).into_iter().collect();
    Known { exact: None, literals: [text].into(), masks }
}

fn class_of(class: &Class) -> Known {
    let mut bytes = BTreeSet::new();
    let mut mask = ByteMask::NONE;
    match class {
        Class::Bytes(class) => {
            for range in class.ranges() {
                mask = mask.or(ByteMask::of_range(range.start(), range.end()));
                bytes.extend((range.start()..=range.end()).map(|byte| byte.to_ascii_lowercase()));
            }
        }
        // Patterns look at bytes; where characters slip in, nothing is claimed.
        Class::Unicode(_) => return Known::default(),
    }
    if bytes.is_empty() {
        return Known::default();
    }
    if bytes.len() <= CLASS_MAX {
        return Known::exactly(bytes.into_iter().map(|byte| vec![byte]).collect());
    }
    Known { exact: None, literals: Texts::new(), masks: vec![mask] }
}

fn repeated(sub: &Known, min: u32, max: Option<u32>) -> Known {
    let whole = (min == max.unwrap_or(0) && min <= 4).then(|| {
        let copies = (0..min).map(|_| sub.clone());
        concat(copies)
    });
    if let Some(whole) = whole
        && whole.exact.is_some()
    {
        return whole;
    }
    // At least once: what one time needs, all of it needs.
    let mut masks = sub.masks.clone();
    masks.extend(sub.exact.as_ref().and_then(mask_of));
    Known { exact: None, literals: best(sub), masks }
}

fn concat(parts: impl Iterator<Item = Known>) -> Known {
    let mut run: Texts = [Vec::new()].into();
    let mut is_whole = true;
    let mut chosen = Texts::new();
    let mut masks = Vec::new();
    let end = |run: &Texts, chosen: &mut Texts, masks: &mut Vec<ByteMask>| {
        masks.extend(mask_of(run));
        if value(run) > value(chosen) {
            chosen.clone_from(run);
        }
    };
    for part in parts {
        masks.extend(part.masks.iter().copied());
        if value(&part.literals) > value(&chosen) {
            chosen.clone_from(&part.literals);
        }
        let Some(exact) = &part.exact else {
            is_whole = false;
            end(&run, &mut chosen, &mut masks);
            run = [Vec::new()].into();
            continue;
        };
        if let Some(longer) = crossed(&run, exact) {
            run = longer;
        } else {
            is_whole = false;
            end(&run, &mut chosen, &mut masks);
            run.clone_from(exact);
        }
    }
    if is_whole {
        return Known { exact: Some(run), literals: chosen, masks };
    }
    end(&run, &mut chosen, &mut masks);
    Known { exact: None, literals: chosen, masks }
}

/// Every text of `run` followed by every one of `next`, unless that is too much.
fn crossed(run: &Texts, next: &Texts) -> Option<Texts> {
    if run.len() * next.len() > EXACT_MAX {
        return None;
    }
    let mut longer = Texts::new();
    for first in run {
        for second in next {
            if first.len() + second.len() > EXACT_LENGTH_MAX {
                return None;
            }
            longer.insert([&first[..], &second[..]].concat());
        }
    }
    Some(longer)
}

fn alternation(parts: &[Known]) -> Known {
    let exact = parts.iter().map(|part| part.exact.as_ref()).collect::<Option<Vec<_>>>();
    if let Some(exact) = exact
        && exact.iter().map(|texts| texts.len()).sum::<usize>() <= EXACT_MAX
    {
        return Known::exactly(exact.into_iter().flatten().cloned().collect());
    }
    let mut literals = Texts::new();
    let mut mask = Some(ByteMask::NONE);
    for part in parts {
        let of_part = best(part);
        if of_part.is_empty() || literals.len() + of_part.len() > LITERALS_MAX {
            literals.clear();
            // One part without a literal, or one too many: nothing is required of all.
            return Known { exact: None, literals, masks: masks_of_any(parts) };
        }
        literals.extend(of_part);
        let own = part.masks.first().copied();
        let own = own.or_else(|| part.exact.as_ref().and_then(mask_of));
        mask = mask.zip(own).map(|(mask, own)| mask.or(own));
    }
    Known { exact: None, literals, masks: mask.into_iter().collect() }
}

/// The mask that any of the parts needs.
fn masks_of_any(parts: &[Known]) -> Vec<ByteMask> {
    let masks = parts.iter().map(|part| {
        let own = part.masks.first().copied();
        own.or_else(|| part.exact.as_ref().and_then(mask_of))
    });
    let masks = masks.collect::<Option<Vec<_>>>();
    masks.map(|masks| masks.into_iter().fold(ByteMask::NONE, ByteMask::or)).into_iter().collect()
}

/// The best set of texts one of which must be there: of what is exact or what is required.
fn best(known: &Known) -> Texts {
    match &known.exact {
        Some(exact) if value(exact) >= value(&known.literals) && value(exact) > 0 => exact.clone(),
        _ => known.literals.clone(),
    }
}

/// How much a set tells; 0 if nothing. Long and few is good; a letter or two stand everywhere.
fn value(texts: &Texts) -> usize {
    let Some(shortest) = texts.iter().map(Vec::len).min() else { return 0 };
    if shortest == 0 {
        return 0;
    }
    let is_plain = |text: &Vec<u8>| {
        text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'_'))
    };
    // A single letter, digit or blank is in nearly every value.
    if texts.iter().any(|text| text.len() == 1 && is_plain(text)) {
        return 0;
    }
    let rarity = if texts.iter().any(is_plain) { 0 } else { 12 };
    let size = usize::try_from(texts.len().ilog2()).unwrap_or(0);
    1 + (shortest.min(8) * 16 + rarity + 40).saturating_sub(size * 4)
}

/// A mask that every one of the texts meets, by the rarest kind of byte in each.
fn mask_of(texts: &Texts) -> Option<ByteMask> {
    let mut mask = ByteMask::NONE;
    for text in texts {
        let rarest = text.iter().min_by_key(|byte| match byte {
            b'a'..=b'z' => 4,
            b'0'..=b'9' => 3,
            b' ' | b'-' | b'.' | b'/' | b'_' => 2,
            _ => 1,
        })?;
        mask = mask.or(ByteMask::of(&[*rarest, rarest.to_ascii_uppercase()]));
    }
    (!texts.is_empty()).then_some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(pattern: &str) -> Needs {
        of(&super::super::parse(pattern.as_bytes()))
    }

    fn literals(pattern: &str) -> Vec<String> {
        needs(pattern).literals.iter().map(|l| String::from_utf8_lossy(l).into_owned()).collect()
    }

    #[test]
    fn patterns_tell_what_they_need() {
        for (pattern, wanted) in [
            ("(?i)select", &["select"][..]),
            ("(?i)union\\s+select", &["select"]),
            ("(?i)(?:exec|execute)\\s*\\(", &["exec"]),
            ("a.c", &[]),
            ("(?:foo|ba[rz])x", &["barx", "bazx", "foox"]),
            ("foo?", &["fo", "foo"]),
            ("(?i)\\b(?:cat|dog)s?\\b", &["cat", "cats", "dog", "dogs"]),
            ("[^a-z]+", &[]),
            ("(?:a|)", &[]),
        ] {
            let found = literals(pattern);
            let is_same =
                found == wanted || wanted.iter().all(|w| found.iter().any(|f| f.contains(w)));
            assert!(is_same && found.is_empty() == wanted.is_empty(), "{pattern}: {found:?}");
        }
    }

    #[test]
    fn classes_become_masks() {
        let needs = needs("[^0-9A-Za-z]+");
        assert!(needs.literals.is_empty());
        assert!(needs.masks.iter().all(|mask| !mask.meets(ByteMask::of(b"abc09XYZ"))));
        assert!(needs.masks.iter().all(|mask| mask.meets(ByteMask::of(b"'"))));
    }
}
