//! What operations cost by what a service says.

use bartizan_config::{CostTree, FieldCost};
use serde_json::json;

use super::price::WHOLE;
use super::*;

/// A path, what is added and by which arguments, what is multiplied by and by which.
type Written<'w> = (&'w str, u128, &'w [&'w str], u128, &'w [&'w str]);

fn tree(costs: &[Written<'_>]) -> CostTree {
    let mut tree = CostTree::default();
    for (path, add, add_arguments, multiply, multiply_arguments) in costs {
        let mut place = &mut tree;
        for name in path.split('.') {
            place = place.below.entry(name.into()).or_default();
        }
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        place.cost = Some(FieldCost {
            add: add * WHOLE,
            add_arguments: texts(add_arguments),
            multiply: multiply * WHOLE,
            multiply_arguments: texts(multiply_arguments),
        });
    }
    tree
}

fn lists() -> CostTree {
    tree(&[
        ("people", 1, &[], 1, &["first"]),
        ("Query.people.ships", 1, &[], 1, &["first"]),
        ("search", 2, &["weight"], 3, &[]),
    ])
}

fn cost(text: &str, way: Way) -> Result<u128, PriceFault> {
    let variables = json!({"n": 5, "none": null, "text": "5"});
    Document::parse(text)?;
    let cost = price(text, None, variables.as_object(), (&lists(), way), &mut { STEPS_MAX });
    cost.map(|cost| cost.div_ceil(WHOLE))
}

#[test]
fn arguments_multiply_what_is_below_and_add_to_what_is_there() {
    for (text, all, deepest, priced) in [
        ("{ a { b c } }", 3, 2, 0),
        ("{ people(first: 20) { name ships(first: 10) { name } } }", 241, 221, 21),
        ("{ x: people(first: 20) { name } }", 21, 21, 1),
        ("{ people { name } }", 2, 2, 1),
        ("{ people(first: 0) { name } }", 2, 2, 1),
        ("{ people(first: null) { name } }", 2, 2, 1),
        ("query($n: Int) { people(first: $n) { name } }", 6, 6, 1),
        ("query($m: Int = 7) { people(first: $m) { name } }", 8, 8, 1),
        ("query($none: Int = 7) { people(first: $none) { name } }", 2, 2, 1),
        ("{ search(weight: 4, x: \"y\") { a b } }", 12, 9, 6),
        ("mutation { people(first: 2) { ships(first: 10) { name } } }", 5, 5, 1),
        ("{ people(first: 3) { ...F } } fragment F on P { ships(first: 2) { id } }", 10, 10, 4),
        ("{ ... on Q { people(first: 3) { id } } }", 4, 4, 1),
    ] {
        assert_eq!(cost(text, Way::All), Ok(all), "{text}");
        assert_eq!(cost(text, Way::Deepest), Ok(deepest), "{text}");
        assert_eq!(cost(text, Way::Priced), Ok(priced), "{text}");
    }
}

#[test]
fn amounts_are_counted_to_the_millionth_and_up_to_what_can_be_counted() {
    let field = |add: u128, multiply: u128| FieldCost {
        add,
        add_arguments: ["weight".to_owned()].into(),
        multiply,
        multiply_arguments: ["first".to_owned(), "last".to_owned()].into(),
    };
    let priced = |cost: FieldCost, arguments: &str| {
        let mut tree = CostTree::default();
        tree.below.entry("a".into()).or_default().cost = Some(cost);
        let text = format!("{{ a{arguments} {{ b }} }}");
        price(&text, None, None, (&tree, Way::All), &mut { STEPS_MAX })
    };
    for (add, multiply, arguments, expected) in [
        // Nothing for the field itself, nothing for what is below it, or both.
        (0, WHOLE, "", WHOLE),
        (WHOLE, 0, "", WHOLE),
        (0, 0, "(first: 7)", 0),
        (0, 0, "(first: 7, weight: 2)", 2 * WHOLE),
        (1, 1, "", 2),
        (0, WHOLE / 2, "(first: 3)", WHOLE * 3 / 2),
        // Every argument multiplies; one of 0 does not.
        (0, WHOLE, "(first: 3, last: 4)", 12 * WHOLE),
        (0, WHOLE, "(first: 0, last: 4)", 4 * WHOLE),
        (0, WHOLE, "(weight: 0)", WHOLE),
        (0, WHOLE, "(first: 18446744073709551615)", u128::from(u64::MAX) * WHOLE),
    ] {
        assert_eq!(priced(field(add, multiply), arguments), Ok(expected), "{arguments}");
    }
    for (arguments, is_counted) in [
        ("(first: 18446744073709551615, last: 18446744)", true),
        ("(first: 18446744073709551615, last: 18446745)", false),
        ("(first: 18446744073709551615, last: 18446744073709551615)", false),
    ] {
        assert_eq!(priced(field(0, WHOLE), arguments).is_ok(), is_counted, "{arguments}");
    }
    // What is below, in millionths, times the factor, in millionths, has 128 bits.
    let lists = |first: u64| {
        cost(
            &format!("{{ people(first: {first}) {{ ships(first: {}) {{ id }} }} }}", u64::MAX),
            Way::All,
        )
    };
    assert_eq!(lists(18_446_744), Ok((1_u128 << 64) * 18_446_744 + 1));
    assert_eq!(lists(18_446_745), Err(PriceFault::TooMuch));
    let most = u128::MAX - WHOLE;
    assert_eq!(priced(field(most, WHOLE), ""), Ok(u128::MAX));
    assert_eq!(priced(field(most + 1, WHOLE), ""), Err(PriceFault::TooMuch));
    assert_eq!(priced(field(most, 0), "(weight: 1)"), Ok(u128::MAX));
    assert_eq!(priced(field(most + 1, 0), "(weight: 1)"), Err(PriceFault::TooMuch));
}

#[test]
fn what_no_number_is_told_of_has_no_cost() {
    for text in [
        "{ people(first: -1) { name } }",
        "{ people(first: 1.5) { name } }",
        "{ people(first: \"1\") { name } }",
        "{ people(first: [1]) { name } }",
        "{ people(first: 18446744073709551616) { name } }",
        "{ people(first: 1, first: 100) { name } }",
        "query($text: Int) { people(first: $text) { name } }",
        "query($m: [Int] = [1]) { people(first: $m) { name } }",
    ] {
        assert_eq!(cost(text, Way::All), Err(PriceFault::Amount), "{text}");
    }
    // What prices nothing may be anything.
    assert_eq!(cost("{ a(first: -1) { people: b(first: []) } }", Way::All), Ok(2));
}

#[test]
fn nothing_overflows_and_nothing_takes_long() {
    let most = u64::MAX;
    let far = format!("{{ people(first: {most}) {{ ships(first: {most}) {{ id }} }} }}");
    assert_eq!(cost(&far, Way::All), Err(PriceFault::TooMuch));
    // Each fragment takes in the next twice.
    let bomb = |levels: u32| {
        let spread = |at: u32| format!("fragment F{at} on T {{ ...F{0} ...F{0} }} ", at + 1);
        let fragments: String = (0..levels).map(spread).collect();
        format!("{{ ...F0 }} {fragments} fragment F{levels} on T {{ a }}")
    };
    // One step for the first, two for each spread and one for each field.
    let steps = |levels: u32| 1 + (2_u32.pow(levels + 1) - 2) + 2_u32.pow(levels);
    assert!(steps(15) <= STEPS_MAX && steps(16) > STEPS_MAX);
    assert_eq!(cost(&bomb(15), Way::All), Ok(32_768));
    assert_eq!(cost(&bomb(16), Way::All), Err(PriceFault::TooMuch));
    let chain = |length: usize| {
        let spread = |at: usize| format!("fragment F{at} on T {{ ...F{} }} ", at + 1);
        let fragments: String = (0..length).map(spread).collect();
        format!("{{ ...F0 }} {fragments} fragment F{length} on T {{ a }}")
    };
    assert_eq!(cost(&chain(198), Way::All), Ok(1));
    assert_eq!(cost(&chain(199), Way::All), Err(PriceFault::TooMuch));
    // What one has counted is not there for the next.
    let mut steps = STEPS_MAX;
    let mut next = || price(&bomb(15), None, None, (&lists(), Way::All), &mut steps);
    assert_eq!((next(), next()), (Ok(32_768 * WHOLE), Err(PriceFault::TooMuch)));
}
