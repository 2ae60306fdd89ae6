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
        (r"(a){,0}(b)(c)\2", "no times"),
        (r"(a){00,000}(b)(c)\2", "no times"),
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

    /// Groups that are told apart in places that tables found are those of the whole search.
    #[test]
    fn groups_in_places_are_those_of_the_value(
        pattern in "(\\^|\\\\b)?([ab.]|\\(a\\|[bc]+\\)|\\(\\?:ab\\|a\\|c\\)|\\(a\\*b\\?\\)|\\[ab\\])([*+?]\\??|\\{1,2\\})?{1,4}(\\$|\\\\b)?",
        input in "[abc \\n]{0,12}",
        is_global: bool,
    ) {
        let Ok((built, needs)) = Pattern::build(pattern.as_bytes()) else { return Ok(()) };
        prop_assume!(!built.goes_back());
        let rx = Rx { pattern: Some(built), text: None, is_global, needs };
        let whole = builder().build_from_hir(&parse(pattern.as_bytes())).unwrap();
        let (mut wanted, mut seen) = (Captures::default(), Captures::default());
        for groups in whole.captures_iter(&input).take(rx.places()) {
            let groups = groups.iter().map(|span| span.map_or("", |span| &input[span.range()]));
            groups.for_each(|group| wanted.push(group.as_bytes()));
        }
        let holds = rx.holds(input.as_bytes(), &Notes::default(), Some(&mut seen));
        prop_assert_eq!((holds, seen.groups()), (whole.is_match(&input), wanted.groups()));
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

#[test]
fn what_looks_like_no_repetition_is_none() {
    for (pattern, value) in
        [(r"\x7b0}(?=a)", "{0}a"), (r"[{0}]{1}(?=a)", "}a"), ("a{0,1}(?=b)", "ab")]
    {
        assert!(found(pattern, value).is_some(), "{pattern}");
    }
}

#[test]
fn a_look_behind_goes_so_far_and_no_farther() {
    let behind = |length: usize| format!("(?<=a{{{length}}})b");
    for length in [254, 255] {
        assert!(found(&behind(length), &format!("{}b", "a".repeat(length))).is_some());
        assert!(found(&behind(length), &format!("{}b", "a".repeat(length - 1))).is_none());
    }
    let fault = Pattern::build(behind(256).as_bytes()).err().unwrap();
    assert!(fault.problem.contains("above 255"), "{}", fault.problem);
}

#[test]
fn programs_have_so_many_steps_and_no_more() {
    let program = |count: u32| {
        let read = |text: &str| regex_automata::util::syntax::parse_with(text, &syntax()).unwrap();
        program::compile(&read(&format!("a{{{count}}}")))
    };
    // Where the whole begins is a step as well.
    assert!(program(49_998).is_ok() && program(49_999).is_ok());
    let fault = program(50_000).err().unwrap();
    assert!(fault.problem.contains("50,000"), "{}", fault.problem);
}

#[test]
fn a_search_takes_so_many_steps_and_no_more() {
    let read = regex_automata::util::syntax::parse_with("a*b", &syntax()).unwrap();
    let program = program::compile(&read).unwrap();
    let search = |length: usize| {
        let value = vec![b'a'; length];
        let mut machine = Machine::new(&program, &value);
        let found = machine.search(|from| (from == 0).then_some(0));
        (matches!(found, Found::GivenUp), machine.cost() - 2 * value.len() + 1)
    };
    // Four for each letter, forwards and back, and four more: each counts twice.
    assert_eq!(search(24_998), (false, 199_992));
    assert_eq!(search(24_999), (false, 200_000));
    assert!(search(25_000).0);
}

#[test]
fn a_search_without_a_table_that_would_take_too_long_is_given_up_and_paid_for() {
    // Every byte leads to states of its own, so that the table fills at once.
    let rx = rx("[ab]*a[ab]{3000}c");
    let ask = |length: usize| {
        let notes = Notes::default();
        let holds = rx.holds(letters(length).as_bytes(), &notes, None);
        (holds, notes.gave_up.get(), notes.spent.get())
    };
    let (holds, gave_up, spent) = ask(4_000);
    assert!(!holds && !gave_up && spent > 1_000_000, "{spent}");
    let (holds, gave_up, spent) = ask(1 << 20);
    assert!(!holds && gave_up && spent == 64 << 20, "{spent}");
}

/// A pattern like this one, so often repeated that a byte costs a power of two.
fn of_cost(cost: usize, pattern: impl Fn(usize) -> String) -> Rx {
    let about = cost * 8;
    let mut costly = (about - 64..about + 64).step_by(4).map(|times| rx(&pattern(times)));
    costly.find(|rx| rx.pattern.as_ref().unwrap().slow_cost() == cost).unwrap()
}

/// Letters that lead to states of their own, so that no table holds those of `[ab]*a[ab]{1000}`.
fn letters(count: usize) -> String {
    let mut seed = 1_u32;
    let letters = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if seed >> 31 == 1 { 'a' } else { 'b' }
    });
    letters.take(count).collect()
}

#[test]
fn groups_of_a_value_that_would_take_too_long_are_given_up_and_paid_for() {
    let rx = rx("([ab]*a[ab]{3000}c|[ab])");
    let (mut captures, notes) = (Captures::default(), Notes::default());
    assert!(rx.holds(letters(1 << 19).as_bytes(), &notes, Some(&mut captures)));
    assert!(notes.gave_up.get() && captures.groups().is_empty());
    assert_eq!(notes.spent.get(), 64 << 20);
}

#[test]
fn groups_are_told_apart_in_what_was_found_and_not_in_all_of_the_value() {
    let rx = rx("(a(?:a[ab]{3000})?)");
    let (mut captures, notes) = (Captures::default(), Notes::default());
    let value = format!("{}a{}", "d".repeat(1 << 20), "d".repeat(1 << 20));
    assert!(rx.holds(value.as_bytes(), &notes, Some(&mut captures)));
    assert!(!notes.gave_up.get() && notes.spent.get() < 4 << 20, "{}", notes.spent.get());
    assert_eq!(captures.groups().len(), 2);
}

/// What is asked, with groups or without, that it holds; what is looked at without a table is all of
/// a value that begins with the letters.
fn costs(rx: &Rx, begin: &str, length: usize, has_groups: bool) -> (bool, bool, usize) {
    let (mut captures, notes) = (Captures::default(), Notes::default());
    let value = format!("{begin}{}", "d".repeat(length - begin.len()));
    let holds = rx.holds(value.as_bytes(), &notes, has_groups.then_some(&mut captures));
    assert_eq!(captures.groups().is_empty(), !has_groups || notes.gave_up.get());
    (holds, notes.gave_up.get(), notes.spent.get())
}

#[test]
fn searches_without_a_table_cost_so_much_and_no_more() {
    const COST: usize = 1_024;
    let most = (64 << 20) / COST;
    let (a, letters) = ("a", letters(1_500));
    let whole = of_cost(COST, |times| format!("[ab]*a[ab]{{{times}}}c"));
    let groups = of_cost(COST, |times| format!("([ab]*a[ab]{{{times}}}c|[ab])"));
    let found = of_cost(COST, |times| format!("(a(?:a[ab]{{{times}}})?)d*"));
    for (length, is_given_up) in [(most - 1, false), (most, false), (most + 1, true)] {
        let spent = COST * length.min(most);
        // No letter behind the beginning, which fills the table, is part of the pattern.
        assert_eq!(costs(&whole, &letters, length, false), (false, is_given_up, spent));
        assert_eq!(costs(&groups, &letters, length, true), (true, is_given_up, spent));
        // What was found is all of the value; to find it is paid for as well.
        assert_eq!(costs(&found, a, length, true), (true, is_given_up, spent + length));
    }
}

#[test]
fn what_groups_find_is_paid_for() {
    let (rx, mut captures, notes) = (rx("(a+)(b*)"), Captures::default(), Notes::default());
    let value = "a".repeat(10_000);
    assert!(rx.holds(value.as_bytes(), &notes, Some(&mut captures)));
    assert!(notes.spent.get() >= 10_000, "{}", notes.spent.get());
}
