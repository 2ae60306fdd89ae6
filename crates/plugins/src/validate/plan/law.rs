//! The law of plans: they never panic, and never say of a body what the strict reader and the
//! validator do not say.

use bartizan_chain::{JsonLimits, parse_strict};
use jsonschema::Validator;
use serde_json::Value;

use super::node::Verdict;
use super::{Document, Plan};

/// Holds a plan against a validator of the same schema, on one body. What the plan says.
pub(crate) fn law(
    plan: &Plan,
    validator: &Validator,
    body: &[u8],
    limits: JsonLimits,
) -> Option<bool> {
    let document = Document::read(body, limits)?;
    let value = parse_strict(body, limits);
    let value =
        value.as_ref().map_err(|fault| format!("{}: {fault}", String::from_utf8_lossy(body)));
    assert!(value.is_ok(), "only one reader takes {value:?}");
    let value = value.ok()?;
    let expected = validator.is_valid(value);
    let verdict = plan.judge(&document);
    match verdict {
        Verdict::Unsure => return None,
        sure => assert_eq!(sure == Verdict::Holds, expected, "{value} by {plan:?}"),
    }
    if expected {
        harmless(plan, &document, body, value);
    }
    Some(expected)
}

/// What is called harmless is a number, a word, or a string without an escape.
fn harmless(plan: &Plan, document: &Document<'_>, body: &[u8], value: &Value) {
    let mut last = None;
    for leaf in plan.leaves(document).into_iter().filter(|leaf| leaf.is_harmless) {
        assert!(last.is_none_or(|last| last < leaf.index), "leaves out of order");
        last = Some(leaf.index);
        let text = body.get(leaf.range.clone()).unwrap_or_default();
        let inner: Value = serde_json::from_slice(text).unwrap_or_default();
        assert!(!text.is_empty() && !text.contains(&b'\\'), "{leaf:?} of {value}");
        assert!(!inner.is_array() && !inner.is_object(), "{leaf:?} of {value}");
        assert!(has(value, &inner), "{leaf:?} of {value}");
    }
}

/// True if a value is another one, or has it somewhere inside.
fn has(value: &Value, inner: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| has(item, inner)),
        Value::Object(members) => members.values().any(|member| has(member, inner)),
        leaf => leaf == inner,
    }
}
