//! What is read, what is refused, and how much it is found to ask for.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn measure(text: &str) -> Result<(u64, u64), Fault> {
    let measure = Document::parse(text)?.measure(None)?;
    Ok((measure.depth, measure.fields))
}

#[test]
fn what_is_asked_for_is_measured() {
    for (text, expected) in [
        ("{a}", (1, 1)),
        ("query { a { b { c } } d }", (3, 4)),
        ("{ a b, c\td\n#e }\n}", (1, 4)),
        ("query Q($a: [Int!]! = [1, 2] @x, $b: T) @d(x: 1) { a(b: $a) { c } }", (2, 2)),
        ("{ x: a y: a z: a }", (1, 3)),
        (
            "{ a(b: {c: [1, -2.5e3, \"t\\u00e9\\n\", null, true, E, $v], d: \"\"\"b \\\"\"\" \" \"\"\"}) }",
            (1, 1),
        ),
        ("mutation { a } ", (1, 1)),
        ("subscription S { a { __typename } }", (2, 2)),
        ("{ ... on T { a { b } } ... @include(if: true) { c } ...{ d } }", (2, 4)),
        ("{ ...F } fragment F on T { a { b } }", (2, 2)),
        ("{ a { ...F ...F } } fragment F on T { b { c } }", (3, 5)),
        ("fragment G on T { c } { ...F } fragment F on T @d { a { ...G b } }", (2, 3)),
        ("{ query mutation fragment on true: null }", (1, 5)),
        ("\u{feff}{ a }", (1, 1)),
    ] {
        assert_eq!(measure(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_not_graphql_is_refused() {
    for (text, fault) in [
        ("", Fault::NoOperation),
        ("# nothing", Fault::NoOperation),
        ("{}", Fault::Unexpected),
        ("{ a", Fault::End),
        ("{ a }}", Fault::Unexpected),
        ("a", Fault::Unexpected),
        ("{ a() }", Fault::Unexpected),
        ("{ a(b) }", Fault::Unexpected),
        ("{ a(b: ) }", Fault::Unexpected),
        ("{ a { } }", Fault::Unexpected),
        ("query () { a }", Fault::Unexpected),
        ("query Q { a } query Q { b }", Fault::Duplicate),
        ("{ a } query Q { b }", Fault::Duplicate),
        ("{ ...F } fragment F on T { a } fragment F on T { b }", Fault::Duplicate),
        ("{ ...F }", Fault::UnknownFragment),
        ("{ a } fragment F on T { ...G }", Fault::UnknownFragment),
        ("{ ...F } fragment F on T { ...F }", Fault::Cycle),
        ("{ a } fragment F on T { b { ...G } } fragment G on T { ...F }", Fault::Cycle),
        ("fragment F on T { a }", Fault::NoOperation),
        ("fragment on on T { a } { b }", Fault::Unexpected),
        ("type T { a: Int }", Fault::Unexpected),
        ("schema { query: T }", Fault::Unexpected),
        ("{ a(b: 01) }", Fault::Number),
        ("{ a(b: 1.) }", Fault::Number),
        ("{ a(b: 1x) }", Fault::Number),
        ("{ a(b: 1.5.2) }", Fault::Number),
        ("{ a(b: 1e) }", Fault::Number),
        ("{ a(b: -) }", Fault::Number),
        ("{ a(b: \"x) }", Fault::Text),
        ("{ a(b: \"x\ny\") }", Fault::Text),
        ("{ a(b: \"\\x\") }", Fault::Text),
        ("{ a(b: \"\\u12g4\") }", Fault::Text),
        ("{ a(b: \"\"\"x\"\") }", Fault::Text),
        ("{ a(b: \"\"\"x\\\"\"\") }", Fault::Text),
        ("{ a.b }", Fault::Character),
        ("{ a .. F }", Fault::Character),
        ("{ é }", Fault::Character),
        ("{ a\u{0} }", Fault::Character),
        ("{ a; b }", Fault::Character),
        ("{ a(b: \"\u{1}\") }", Fault::Character),
    ] {
        assert_eq!(measure(text), Err(fault), "{text}");
    }
}

#[test]
fn operations_are_chosen_by_name_or_alone() {
    let document = Document::parse("query A { a } mutation B { b { c } }").unwrap();
    assert_eq!(document.measure(None), Err(Fault::NoOperation));
    assert_eq!(document.measure(Some("C")), Err(Fault::NoOperation));
    assert_eq!(document.measure(Some("A")).unwrap().depth, 1);
    let b = document.measure(Some("B")).unwrap();
    assert_eq!((b.kind, b.depth), (Kind::Mutation, 2));
    assert_eq!(Document::parse("{ a }").unwrap().measure(Some("A")), Err(Fault::NoOperation));
}

#[test]
fn asking_for_the_schema_is_seen_wherever_it_is() {
    let introspects =
        |text: &str| Document::parse(text).unwrap().measure(None).unwrap().introspects;
    assert!(introspects("{ __schema { types { name } } }"));
    assert!(introspects("{ x: __type(name: \"T\") { name } }"));
    assert!(introspects("{ ...F } fragment F on Query { ... on Query { y: __schema { a } } }"));
    assert!(!introspects("{ __schema: a { __typename } }"));
}

#[test]
fn nesting_is_bounded_and_lists_of_fragments_are_not_recursion() {
    let nested = |n: usize| format!("{}a{}", "{a".repeat(n), "}".repeat(n));
    assert_eq!(measure(&nested(NESTING_MAX)), Ok((100, 100)));
    assert_eq!(measure(&nested(NESTING_MAX + 1)), Err(Fault::TooDeep));
    let value = |n: usize| format!("{{ a(b: {}{}) }}", "[".repeat(n), "]".repeat(n));
    assert_eq!(measure(&value(NESTING_MAX - 1)), Ok((1, 1)));
    assert_eq!(measure(&value(NESTING_MAX)), Err(Fault::TooDeep));
    let kind = |n: usize| format!("query($a: {}T{}) {{ a }}", "[".repeat(n), "]".repeat(n));
    assert_eq!(measure(&kind(NESTING_MAX + 1)), Err(Fault::TooDeep));

    let one = |n: usize| format!("fragment F{n} on T {{ a {{ ...F{} }} }} ", n + 1);
    let chain = (0..1_500).map(one).collect::<Vec<_>>().concat();
    let text = format!("{{ ...F0 }} {chain} fragment F1500 on T {{ a }}");
    assert_eq!(measure(&text), Ok((1_501, 1_501)));
}

#[test]
fn tokens_are_bounded() {
    let fields = |n: usize| format!("{{ {} }}", "a ".repeat(n));
    assert_eq!(measure(&fields(TOKENS_MAX - 2)), Ok((1, 19_998)));
    assert_eq!(measure(&fields(TOKENS_MAX - 1)), Err(Fault::TooManyTokens));
}

#[test]
fn fragments_that_expand_to_more_than_can_be_counted_cost_nothing() {
    let one =
        |n: usize| format!("fragment F{n} on T {{ a {{ ...F{0} ...F{0} ...F{0} }} }} ", n + 1);
    let bomb = (0..90).map(one).collect::<Vec<_>>().concat();
    let text = format!("{{ ...F0 }} {bomb} fragment F90 on T {{ a }}");
    assert_eq!(measure(&text), Ok((91, u64::MAX)));
}

/// A selection, from which text and measure are made in two ways.
#[derive(Clone, Debug)]
enum Part {
    Field(Vec<Part>),
    Inline(Vec<Part>),
    Spread(usize),
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let leaf = prop_oneof![Just(Part::Field(Vec::new())), (0_usize..6).prop_map(Part::Spread)];
    let part = leaf.prop_recursive(4, 24, 4, |inner| {
        let inner = prop::collection::vec(inner, 1..4);
        prop_oneof![inner.clone().prop_map(Part::Field), inner.prop_map(Part::Inline)]
    });
    prop::collection::vec(part, 1..4)
}

/// Fragments lead to later ones only, so that there is no cycle; the last has none.
fn write(parts: &[Part], own: usize, count: usize, out: &mut String) {
    out.push('{');
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Field(inner) if inner.is_empty() => write!(out, " f{index} ").unwrap(),
            Part::Field(inner) => {
                write!(out, " x{index}: f(a: [{index}]) @d ").unwrap();
                write(inner, own, count, out);
            }
            Part::Inline(inner) => {
                out.push_str("... on T");
                write(inner, own, count, out);
            }
            Part::Spread(to) => match target(*to, own, count) {
                Some(to) => write!(out, "...F{to}, ").unwrap(),
                None => out.push_str("leaf "),
            },
        }
    }
    out.push('}');
}

fn target(to: usize, own: usize, count: usize) -> Option<usize> {
    let later = count.checked_sub(own)?;
    (later > 0).then(|| own + to % later)
}

/// Depth and fields, with every fragment written out.
fn naive(parts: &[Part], own: usize, fragments: &[Vec<Part>]) -> (u64, u64) {
    let mut whole = (0, 0);
    for part in parts {
        let (depth, fields) = match part {
            Part::Field(inner) => {
                let (depth, fields) = naive(inner, own, fragments);
                (depth + 1, fields + 1)
            }
            Part::Inline(inner) => naive(inner, own, fragments),
            Part::Spread(to) => match target(*to, own, fragments.len()) {
                Some(to) => naive(&fragments[to], to + 1, fragments),
                None => (1, 1),
            },
        };
        whole = (whole.0.max(depth), whole.1 + fields);
    }
    whole
}

proptest! {
    #[test]
    fn arithmetic_is_the_same_as_writing_fragments_out(
        top in parts(),
        fragments in prop::collection::vec(parts(), 0..4),
    ) {
        let mut text = String::new();
        write(&top, 0, fragments.len(), &mut text);
        for (index, parts) in fragments.iter().enumerate() {
            write!(text, " fragment F{index} on T ").unwrap();
            write(parts, index + 1, fragments.len(), &mut text);
        }
        prop_assert_eq!(measure(&text), Ok(naive(&top, 0, &fragments)), "{}", text);
        law(&text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[{}()\\[\\]:!$@=|&.,#\"\\\\\n a-c_0-2e+-]{0,60}") {
        law(&text);
    }

    #[test]
    fn any_text_at_all_is_read_or_refused(text in "\\PC{0,40}") {
        law(&text);
    }
}
