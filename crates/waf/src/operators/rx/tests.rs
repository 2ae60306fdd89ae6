//! Patterns that go back, and laws that hold for all.

use std::cell::Cell;

use proptest::prelude::*;
use regex_automata::Input;

use super::machine::{Found, Groups, Machine};
use super::pattern::{builder, syntax};
use super::*;
use crate::variable::{Selector, Variable};

/// Notes what an operator says beside its verdict.
#[derive(Default)]
struct Notes {
    gave_up: Cell<bool>,
    spent: Cell<usize>,
}

impl Expand for Notes {
    fn expand(&self, _variable: Variable, _selector: &Selector, _out: &mut Vec<u8>) {}

    fn give_up(&self) {
        self.gave_up.set(true);
    }

    fn spend(&self, work: usize) {
        self.spent.set(self.spent.get() + work);
    }
}

fn rx(pattern: &str) -> Rx {
    let (pattern, needs) = Pattern::build(pattern.as_bytes())
        .unwrap_or_else(|fault| panic!("{pattern}: {}", fault.problem));
    Rx { pattern: Some(pattern), text: None, is_global: false, needs }
}

/// What the pattern finds, and its groups.
fn found(pattern: &str, input: &str) -> Option<Vec<String>> {
    let mut captures = Captures::default();
    let (rx, notes) = (rx(pattern), Notes::default());
    let is_found = rx.holds(input.as_bytes(), &notes, Some(&mut captures));
    assert!(!notes.gave_up.get(), "{pattern} in {input}");
    assert_eq!(is_found, rx.holds(input.as_bytes(), &notes, None));
    is_found.then(|| {
        captures.groups().iter().map(|group| String::from_utf8_lossy(group).into_owned()).collect()
    })
}

#[test]
fn faults_are_told_apart() {
    let too_large = Pattern::build(b"(?:a{1000}){1000}").err().unwrap();
    assert!(too_large.problem.contains("more than 10 MiB"), "{}", too_large.problem);
    assert!(Pattern::build(b"a(").err().unwrap().problem.contains("cannot be read"));
    for (pattern, wanted) in [
        ("(?<=a*)b", "no longest length"),
        (r"\2(a)", "no group 2"),
        ("(?<=a(?!b))c", "a look or a reference in it"),
        (r"(a)(?<!\1)c", "a look or a reference in it"),
        (r"(a){0}(b)(c)\2", "no times"),
        ("(?=a", "cannot be read"),
    ] {
        let fault = Pattern::build(pattern.as_bytes()).err().unwrap();
        assert!(fault.problem.contains(wanted), "{pattern}: {}", fault.problem);
    }
}

/// Pattern, value, and what is found with its groups: the outcomes of Python's `re`, which knows the
/// same constructs.
const OUTCOMES: &[(&str, &str, Option<&[&str]>)] = &[
    (r"<\?(?!xml)", "<?php", Some(&["<?"])),
    (r"<\?(?!xml)", "<?xml", None),
    (r"<\?(?!xml)", "<?", Some(&["<?"])),
    (r"<\?(?!xml)", "<?xm", Some(&["<?"])),
    (r"<\?(?!xml)", "a<?xml <?x", Some(&["<?"])),
    (r"(?<!&(?:amp)|&(?:quo));|=", "a;b", Some(&[";"])),
    (r"(?<!&(?:amp)|&(?:quo));|=", "&amp;", None),
    (r"(?<!&(?:amp)|&(?:quo));|=", "&quo;x", None),
    (r"(?<!&(?:amp)|&(?:quo));|=", "&amp;;", Some(&[";"])),
    (r"(?<!&(?:amp)|&(?:quo));|=", "x=y", Some(&["="])),
    (r"(?i)\b(\w+)\b\s*(?:=\s*\b\1\b|<>\s*(?!\b\1\b)\w+)", "1=1", Some(&["1=1", "1"])),
    (r"(?i)\b(\w+)\b\s*(?:=\s*\b\1\b|<>\s*(?!\b\1\b)\w+)", "a = A", Some(&["a = A", "a"])),
    (r"(?i)\b(\w+)\b\s*(?:=\s*\b\1\b|<>\s*(?!\b\1\b)\w+)", "1=2", None),
    (r"(?i)\b(\w+)\b\s*(?:=\s*\b\1\b|<>\s*(?!\b\1\b)\w+)", "a<>b", Some(&["a<>b", "a"])),
    (r"(?i)\b(\w+)\b\s*(?:=\s*\b\1\b|<>\s*(?!\b\1\b)\w+)", "a<>a", None),
    (r"(?i)\b(\w+)\b\s*(?:=\s*\b\1\b|<>\s*(?!\b\1\b)\w+)", "ab=abc", None),
    (r"(?i)\b(\w+)\b\s*(?:=\s*\b\1\b|<>\s*(?!\b\1\b)\w+)", "x y=y", Some(&["y=y", "y"])),
    (r"[^x\s]++y", "aby", None),
    (r"[^x\s]++y", "abzy y", None),
    (r"[^x\s]++y", "ab y", None),
    (r"^(a?)(?:\1)*b$", "b", Some(&["b", ""])),
    (r"^(a?)(?:\1)*b$", "aaab", Some(&["aaab", "a"])),
    (r"(?:(?=a))*ab", "ab", Some(&["ab"])),
    (r"a++b", "aaab", Some(&["aaab"])),
    (r"a++b", "aaac", None),
    (r"(?>a|ab)c", "abc", None),
    (r"(?>a|ab)c", "ac", Some(&["ac"])),
    (r"(a*)*b\1", "aabaa", Some(&["aab", ""])),
    (r"(a*)*b\1", "b", Some(&["b", ""])),
    (r"(a*)*b\1", "aab", Some(&["aab", ""])),
    (r"(?=(a+))a*b\1", "baaabac", Some(&["aba", "a"])),
    (r"(?=(a+))a*b\1", "aab", None),
    (r"(?<=a)b(?=c)", "abc", Some(&["b"])),
    (r"(?<=a)b(?=c)", "bc", None),
    (r"(?<=a)b(?=c)", "abd", None),
    (r"(?<=ab|c)d", "abd", Some(&["d"])),
    (r"(?<=ab|c)d", "cd", Some(&["d"])),
    (r"(?<=ab|c)d", "bd", None),
    (r"(a)?(?!b)\w", "ac", Some(&["ac", "a"])),
    (r"(a)?(?!b)\w", "ab", Some(&["a", ""])),
    (r"(a)?(?!b)\w", "b", None),
    (r"(?:x|(?:y++))z", "yyz", Some(&["yyz"])),
    (r"(?:x|(?:y++))z", "xz", Some(&["xz"])),
    (r"(?:x|(?:y++))z", "yx", None),
    (r"^(?!.*admin)\w+", "user", Some(&["user"])),
    (r"^(?!.*admin)\w+", "admin", None),
    (r"^(?!.*admin)\w+", "superadmin1", None),
    (r"(abc)(?i:\1)", "abcABC", Some(&["abcABC", "abc"])),
    (r"(abc)\1", "abcABC", None),
    (r"(?i)(ab|c)\1", "cC", Some(&["cC", "c"])),
];

#[test]
fn what_goes_back_finds_what_it_should() {
    for (pattern, input, wanted) in OUTCOMES {
        let seen = found(pattern, input);
        let seen =
            seen.as_ref().map(|groups| groups.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(seen.as_deref(), *wanted, "{pattern} in {input:?}");
    }
}

#[test]
fn a_search_that_goes_back_too_often_is_given_up_and_paid_for() {
    let rx = rx("^(?:a|aa)+(?=c)");
    let ask = |input: &str| {
        let notes = Notes::default();
        let holds = rx.holds(input.as_bytes(), &notes, None);
        (holds, notes.gave_up.get(), notes.spent.get())
    };
    let (holds, gave_up, spent) = ask("aaac");
    assert!(holds && !gave_up && spent < 200, "{spent}");
    assert_eq!(ask("bbbb"), (false, false, 0), "nothing wide is found, so nothing is tried");
    let (holds, gave_up, spent) = ask(&"a".repeat(60));
    assert!(!holds && gave_up && spent > 100_000, "{spent}");
}

proptest! {
    /// Where there is nothing to go back for, the machine finds what the automaton finds.
    #[test]
    fn the_machine_agrees_with_the_automaton(
        pattern in "(\\^|\\\\b)?([ab.]|\\(a\\|[bc]+\\)|\\(\\?:ab\\|a\\|c\\)|\\(a\\*b\\?\\)|\\[ab\\])([*+?]\\??|\\{1,2\\})?{1,4}",
        input in "[abc \\n]{0,12}",
    ) {
        let parsed = regex_automata::util::syntax::parse_with(&pattern, &syntax());
        prop_assume!(parsed.is_ok());
        let parsed = parsed.unwrap();
        let regex = builder().build_from_hir(&parsed).unwrap();
        let program = program::compile(&parsed).unwrap();
        let mut machine = Machine::new(&program, input.as_bytes());
        let seen = match machine.search(Some) {
            Found::Groups(groups) => Some(groups),
            Found::Nothing => None,
            Found::GivenUp => return Err(TestCaseError::fail("given up")),
        };
        let mut wanted = regex.create_captures();
        regex.captures(Input::new(&input), &mut wanted);
        let wanted: Option<Groups> = wanted
            .is_match()
            .then(|| wanted.iter().map(|span| span.map(|span| span.range())).collect());
        prop_assert_eq!(seen.map(|groups| groups[0].clone()), wanted.map(|groups| groups[0].clone()));
    }
}

#[test]
fn empty_matches_in_bytes_that_are_no_text_are_found() {
    let rx = rx(r"\x89\x83|||\xd6");
    for value in [&b"\x89\x83|\xd6\x07"[..], b"\x83", b"\xc3\xa9", b"\xed\xa0\x80", b""] {
        let (notes, mut captures) = (Notes::default(), Captures::default());
        assert!(rx.find_from(value, 0).is_some(), "{value:?}");
        assert!(rx.holds(value, &notes, Some(&mut captures)), "{value:?}");
        assert!(!captures.groups().is_empty() && !notes.gave_up.get(), "{value:?}");
    }
}
