//! What expressions decide, and what is none.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::json;

use super::*;

fn holds(expr: &Value, facts: &[(&str, &'static str)]) -> bool {
    let expr = Expr::compile(expr).unwrap();
    let known: Vec<_> = facts.iter().map(|(n, v)| (Var::parse(n).unwrap(), *v)).collect();
    let value =
        |var: &Var| Ok(known.iter().find(|(v, _)| v == var).map(|(_, text)| Cow::Borrowed(*text)));
    expr.node.holds(&value).unwrap()
}

#[test]
fn every_operator_decides_as_documented() {
    for (expr, value, expected) in [
        (json!([["arg_x", "==", "a"]]), "a", true),
        (json!([["arg_x", "a"]]), "b", false),
        (json!([["arg_x", "~=", "a"]]), "b", true),
        (json!([["arg_x", "~=", 2]]), "2.0", false),
        (json!([["arg_x", "~=", 2]]), "x", true),
        // A text on the right is compared as text, whatever it says.
        (json!([["arg_x", "==", "2"]]), "2.0", false),
        (json!([["arg_x", "==", "2"]]), "2", true),
        (json!([["arg_x", 2]]), "2.0", true),
        (json!([["arg_x", true]]), "true", true),
        (json!([["arg_x", ">", "2"]]), "10", true),
        (json!([["arg_x", ">=", 3]]), "2.9", false),
        (json!([["arg_x", "<", 2]]), "1.5", true),
        (json!([["arg_x", "<=", 2]]), "2.1", false),
        (json!([["arg_x", "in", [1, 2]]]), "2", true),
        (json!([["arg_x", "in", []]]), "", false),
        (json!([["arg_x", "!", "~~", "^a"]]), "b", true),
        (json!([["arg_x", "!", "~*", "^A"]]), "a", false),
        (json!([["arg_x", "!", ">", 2]]), "x", true),
        (json!([["arg_x", "!", "has", "b"]]), "a, c", true),
        (json!([["arg_x", "!", "~=", "a"]]), "a", true),
        (json!([["arg_x", "!", "ipmatch", ["::/0"]]]), "::1", false),
        (json!([["arg_x", "ipmatch", ["::/0"]]]), "10.0.0.1", false),
        (json!([["arg_x", "==", 2]]), "2.0", true),
        (json!([["arg_x", "==", 0]]), "-0", true),
        (json!([["arg_x", ">", 2]]), "inf", false),
        (json!([["arg_x", ">", 2]]), "3", true),
        (json!([["arg_x", ">=", "3"]]), "3", true),
        (json!([["arg_x", "<", 2]]), "x", false),
        (json!([["arg_x", "<=", 2]]), "2", true),
        (json!([["arg_x", "~~", "^a+$"]]), "aaa", true),
        (json!([["arg_x", "~~", "^a+$"]]), "AAA", false),
        (json!([["arg_x", "~*", "^a+$"]]), "AAA", true),
        (json!([["arg_x", "in", ["a", "b"]]]), "b", true),
        (json!([["arg_x", "!", "in", ["a", "b"]]]), "b", false),
        (json!([["arg_x", "has", "b"]]), "a, b", true),
        (json!([["arg_x", "ipmatch", ["10.0.0.0/8", "::1"]]]), "10.1.2.3", true),
        (json!([["arg_x", "ipmatch", ["10.0.0.0/8"]]]), "11.0.0.1", false),
    ] {
        assert_eq!(holds(&expr, &[("arg_x", value)]), expected, "{expr} on {value}");
    }
}

#[test]
fn groups_combine_and_negate() {
    let facts = [("arg_a", "1"), ("arg_b", "2")];
    let a = json!(["arg_a", "==", "1"]);
    let c = json!(["arg_c", "==", "1"]);
    assert!(holds(&json!(["OR", c, a]), &facts));
    assert!(!holds(&json!(["AND", c, a]), &facts));
    assert!(!holds(&json!(["!OR", c, a]), &facts));
    assert!(holds(&json!(["!AND", c, a]), &facts));
    assert!(holds(&json!([a, ["OR", c, ["arg_b", ">", 1]]]), &facts));
    assert!(holds(&json!([]), &facts));
    assert!(holds(&json!(["!OR", c, ["!AND", a, ["OR", a, c]]]), &facts));
    assert!(!holds(&json!(["!AND", a, ["AND", a, ["!OR", c]]]), &facts));
}

#[test]
fn groups_are_nested_sixteen_deep_and_no_deeper() {
    let nested =
        |depth: usize| (0..depth).fold(json!([["arg_x", "a"]]), |inner, _| json!(["AND", inner]));
    assert!(Expr::compile(&nested(15)).is_ok());
    let fault = Expr::compile(&nested(16)).unwrap_err();
    assert!(fault.problem.contains("more than 16 deep"), "{}", fault.problem);
}

#[test]
fn an_absent_value_satisfies_only_negations() {
    assert!(!holds(&json!([["arg_x", "==", "a"]]), &[]));
    assert!(holds(&json!([["arg_x", "~=", "a"]]), &[]));
    assert!(!holds(&json!([["arg_x", "<", 5]]), &[]));
}

#[test]
fn faults_say_where_and_why() {
    for (expr, path, problem) in [
        (json!([["arg_x", "=~", "a"]]), vec![0, 2], "there is no operator `=~`"),
        (json!([["remote_adr", "==", "a"]]), vec![0, 0], "there is no variable `remote_adr`"),
        (json!([["arg_x", "ipmatch", ["10.0.0.0/40"]]]), vec![0, 2], "neither an address"),
        (json!([["arg_x", "~~", "(?=a)"]]), vec![0, 2], "needs backtracking"),
        (json!([["arg_x", "!", "~*", r"(a)\1"]]), vec![0, 3], "needs backtracking"),
        (json!([["arg_x", ">", "x"]]), vec![0, 2], "is a number"),
        (json!([["arg_x", "in", "a"]]), vec![0, 2], "is a list"),
        (json!([["post_arg_x", "==", "1"]]), vec![0, 0], "reads the body"),
        (json!("x"), vec![], "is a list"),
        (json!(["OR"]), vec![], "at least one"),
    ] {
        let fault = Expr::compile(&expr).unwrap_err();
        let steps: Vec<_> = path.into_iter().map(PathStep::Index).collect();
        // The operator's own place is the operand's: the condition is short.
        assert_eq!(fault.path, steps, "{expr}");
        assert!(fault.problem.contains(problem), "{}", fault.problem);
    }
}

/// Values that are nearly what the operands ask for.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{0,3}",
        "-?[0-2](\\.0|\\.5|)",
        "[ab](, ?[ab]){0,2}",
        "10\\.0\\.[0-2]\\.[0-2]",
        "(::1|::2|2001:db8::1|::ffff:10\\.0\\.0\\.1)",
        prop::sample::select(vec!["inf", "nan", "1e0", "+1", "true", "A", " a"])
            .prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => value().prop_map(Value::from),
        1 => (-2_i64..3).prop_map(Value::from),
        1 => Just(json!(0.5)),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

/// An operator with an operand that it mostly takes.
fn test() -> impl Strategy<Value = (&'static str, Value)> {
    let any_of = |operators: &[&'static str]| prop::sample::select(operators.to_vec());
    let network = "(10\\.0\\.[0-2]\\.[0-2](/(8|22|23|24|31|32))?|::[12](/12[678])?)";
    let number = "-?[0-2](\\.0|\\.5)?".prop_map(Value::from);
    prop_oneof![
        2 => (any_of(&["==", "~="]), scalar()),
        2 => (any_of(&[">", ">=", "<", "<="]), prop_oneof![number, scalar()]),
        2 => (any_of(&["~~", "~*", "has"]), scalar()),
        1 => (any_of(&["in"]), prop::collection::vec(scalar(), 0..4).prop_map(Value::from)),
        1 => (any_of(&["ipmatch"]), prop::collection::vec(network, 0..3).prop_map(Value::from)),
    ]
}

/// One condition or a group; most of them compile.
fn expression() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["arg_x", "$arg_x", "http_y", "http_Y", "uri"]);
    let condition = (name, test(), 0_u8..6).prop_map(|(name, (op, operand), form)| match form {
        0 if op == "==" => json!([name, operand]),
        1 | 2 => json!([name, "!", op, operand]),
        _ => json!([name, op, operand]),
    });
    condition.prop_recursive(3, 12, 3, |inner| {
        let heads = vec![None, Some("AND"), Some("OR"), Some("!AND"), Some("!OR")];
        (prop::sample::select(heads), prop::collection::vec(inner, 1..4)).prop_map(
            |(head, inner)| head.map(Value::from).into_iter().chain(inner).collect::<Value>(),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn every_expression_decides_as_its_naive_reading(
        expression in expression(),
        facts in prop::collection::vec(
            (prop::sample::select(vec!["arg_x", "http_y", "uri"]), value()), 0..4),
    ) {
        let facts = facts.iter().map(|(name, value)| format!("{name}={value}"));
        let lines: Vec<String> = [json!([expression]).to_string()].into_iter().chain(facts).collect();
        law::vars(lines.join("\n").as_bytes());
    }
}

/// The property above would hold of a compiler that refuses everything.
#[test]
fn most_of_what_is_generated_compiles() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let drawn = (0..200).filter_map(|_| expression().new_tree(&mut runner).ok());
    let compiles = |tree: &_| Expr::compile(&json!([ValueTree::current(tree)])).is_ok();
    let compiled = drawn.filter(|tree| compiles(tree)).count();
    assert!(compiled > 100, "{compiled} of 200");
}
