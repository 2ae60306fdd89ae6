//! Laws that hold for all operators, and what libmodsecurity says of them.

mod naive;

use std::collections::BTreeMap;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::*;
use crate::files::Memory;
use crate::variable::{Selector, Variable};

/// No macro has a value.
struct Nothing;

impl Expand for Nothing {
    fn give_up(&self) {}

    fn expand(&self, _variable: Variable, _selector: &Selector, _out: &mut Vec<u8>) {}
}

fn operator(name: &str, argument: &[u8]) -> Operator {
    let argument = Text::literal(argument);
    Operator::compile(name, &argument, &Memory::default(), "")
        .unwrap_or_else(|fault| panic!("{name} {argument:?}: {}", fault.problem))
}

fn is_met(needs: &Needs, value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let mut literals = needs.literals.iter();
    let has_literal = needs.literals.is_empty()
        || literals.any(|literal| memchr::memmem::find(&lower, literal).is_some());
    let kinds = ByteMask::of(value);
    has_literal
        && needs.masks.iter().all(|mask| kinds.meets(*mask))
        && value.len() >= needs.length_min
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    let digits = hexadecimal.trim_start_matches('-').as_bytes();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// `record.py` says how the file was made, and how it is made anew.
#[test]
fn operators_decide_as_libmodsecurity_does() {
    let mut operators = BTreeMap::new();
    let mut deviations = Vec::new();
    for line in include_str!("verdicts.txt").lines() {
        let [name, argument, value, holds, found] = *line.split(' ').collect::<Vec<_>>() else {
            panic!("{line}");
        };
        let argument = bytes(argument);
        let key = (name, argument.clone());
        let operator = operators.entry(key).or_insert_with(|| operator(name, &argument));
        let value = bytes(value);
        let mut captures = Captures::default();
        let is_held = operator.holds(&value, &Nothing, Some(&mut captures));
        let first = captures.groups().first().map(|group| group.to_vec()).unwrap_or_default();
        // `\Z` takes in the line end that it stands before; only what is captured tells.
        let is_same = first == bytes(found) || argument.ends_with(b"\\Z");
        if is_held != (holds == "1") || (is_held && !is_same) {
            let argument = String::from_utf8_lossy(&argument);
            let first = String::from_utf8_lossy(&first);
            let value = value.escape_ascii();
            deviations.push(format!(
                "{name} {argument} `{value}`: {is_held} `{first}`, not {holds} {found}"
            ));
        }
        if is_held {
            assert!(is_met(&operator.needs(), &value), "{line}");
        }
    }
    assert!(deviations.is_empty(), "{} deviations:\n{}", deviations.len(), deviations.join("\n"));
}

/// A generator of pseudo-random numbers; the same ones in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound.max(1)
    }
}

/// Appends a text that the pattern fits, assertions aside.
fn write_sample(hir: &Hir, dice: &mut Dice, out: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Unicode(_)) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(Class::Bytes(class)) => {
            let range = class.ranges()[dice.below(class.ranges().len())];
            let width = usize::from(range.end() - range.start()) + 1;
            out.push(range.start() + u8::try_from(dice.below(width)).unwrap());
        }
        HirKind::Capture(capture) => write_sample(&capture.sub, dice, out),
        HirKind::Repetition(repetition) => {
            let max = repetition.max.unwrap_or(repetition.min + 3).min(repetition.min + 3);
            let more = dice.below((max - repetition.min) as usize + 1);
            for _ in 0..(repetition.min as usize + more).min(40) {
                write_sample(&repetition.sub, dice, out);
            }
        }
        HirKind::Concat(parts) => parts.iter().for_each(|part| write_sample(part, dice, out)),
        HirKind::Alternation(parts) => write_sample(&parts[dice.below(parts.len())], dice, out),
    }
}

/// How many of the samples of `pattern` it matched; each of them met what the pattern needs.
fn sound_samples(pattern: &[u8], dice: &mut Dice) -> usize {
    let operator = operator("rx", pattern);
    let needs = operator.needs();
    let hir = rx::parse(pattern);
    let mut matched = 0;
    for round in 0..40 {
        let mut value = b"a ".to_vec();
        value.truncate(round % 3);
        write_sample(&hir, dice, &mut value);
        if round % 4 == 3 && !value.is_empty() {
            let at = dice.below(value.len());
            value[at] = u8::try_from(dice.below(256)).unwrap();
        }
        for value in [value.to_ascii_uppercase(), value.to_ascii_lowercase(), value] {
            if operator.holds(&value, &Nothing, None) {
                matched += 1;
                let pattern = String::from_utf8_lossy(pattern);
                let shown = value.escape_ascii();
                assert!(is_met(&needs, &value), "{pattern}: `{shown}` {needs:?}");
            }
        }
    }
    matched
}

/// Pieces of which patterns are put together.
const PIECES: [&str; 28] = [
    "a",
    "Bc",
    "[a-z]",
    "[^a-z]",
    "(?:foo|bar|ba[xyz])",
    "(?i:Select)",
    "\\s+",
    "\\b",
    ".*",
    "[;|&]",
    "(?:x|)",
    "\\d{2,3}",
    "k?",
    "(ab)+",
    "<",
    "^",
    "$",
    "[[:alnum:]]",
    "(?:union\\s+all|insert)",
    "\\W",
    "(?:a|b|[^c])",
    "\\.\\.",
    "(?:[sS]h|[kK]sh)",
    "\\x00",
    "[\\x80-\\xff]",
    "(?:cmd(?:32)?)*",
    "=",
    "\\(",
];

#[test]
fn whatever_a_pattern_matches_meets_its_needs() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut matched = 0;
    for _ in 0..1_500 {
        let count = 1 + dice.below(5);
        let mut pattern = String::new();
        for number in 0..count {
            if number > 0 && dice.below(6) == 0 {
                pattern.push('|');
            }
            pattern.push_str(PIECES[dice.below(PIECES.len())]);
        }
        matched += sound_samples(pattern.as_bytes(), &mut dice);
    }
    assert!(matched > 20_000, "{matched}");
}

/// Clean values of which the detectors are not asked are clean for the detectors too.
#[test]
fn what_detectors_find_meets_their_needs() {
    const PARTS: [&str; 32] = [
        "a", "or", "1", "1f", "0b1", "1e5", "0x", "select", "union", "_", "'", "\"", " ", "=", "<",
        ">", "/", "-", "--", "#", "(", ")", ";", ",", "onload", "script", "\0", "`", "!", "&", "@",
        ".",
    ];
    let detectors = ["detectSQLi", "detectXSS"].map(|name| operator(name, b""));
    let mut dice = Dice(0x0123_4567_89ab_cdef);
    let mut found = 0;
    for round in 0..60_000 {
        // Every other value is of words alone.
        let parts = if round % 2 == 0 { 10 } else { PARTS.len() };
        let value: String = (0..=dice.below(8)).map(|_| PARTS[dice.below(parts)]).collect();
        for detector in &detectors {
            if detector.holds(value.as_bytes(), &Nothing, None) {
                found += 1;
                assert!(is_met(&detector.needs(), value.as_bytes()), "{value:?}");
            }
        }
    }
    assert!(found > 300, "{found}");
}

#[test]
fn operators_from_outside_are_refused_with_a_reason() {
    for (name, _) in REFUSED {
        let fault = Operator::compile(name, &Text::default(), &Memory::default(), "");
        assert!(fault.err().unwrap().problem.contains("is not supported: "), "{name}");
    }
}

/// Patterns of a rule set, one a line in the file that `RX_PATTERNS` names: what they cost to load,
/// what they need, and that samples of them meet it.
#[test]
fn patterns_of_a_rule_set_are_sound() {
    let Some(path) = std::env::var_os("RX_PATTERNS") else {
        println!("skipped: RX_PATTERNS names no file of patterns");
        return;
    };
    let text = std::fs::read(path).unwrap();
    let patterns: Vec<&[u8]> =
        text.split(|byte| *byte == b'\n').filter(|p| !p.is_empty()).collect();
    let started = std::time::Instant::now();
    let operators: Vec<Operator> = patterns
        .iter()
        .filter(|pattern| memchr::memmem::find(pattern, b"%{").is_none())
        .map(|pattern| operator("rx", pattern))
        .collect();
    let took = started.elapsed();
    let (mut literals, mut masks, mut nothing, mut texts) = (0, 0, 0, 0);
    for operator in &operators {
        let needs = operator.needs();
        texts += needs.literals.len();
        match (needs.literals.is_empty(), needs.masks.is_empty()) {
            (false, _) => literals += 1,
            (true, false) => masks += 1,
            (true, true) => nothing += 1,
        }
    }
    let memory: usize = operators.iter().map(Operator::rx_memory).sum();
    println!(
        "{} patterns: {took:?} to load, {memory} bytes; {literals} with literals ({texts}), \
         {masks} with masks alone, {nothing} with nothing",
        operators.len()
    );
    let mut dice = Dice(0x0fed_cba9_8765_4321);
    let mut matched = 0;
    for pattern in patterns.iter().filter(|p| memchr::memmem::find(p, b"%{").is_none()) {
        let found = sound_samples(pattern, &mut dice);
        matched += usize::from(found > 0);
    }
    println!("{matched} patterns matched a sample of themselves");
    assert!(matched > 0);
}
