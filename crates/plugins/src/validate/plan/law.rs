//! The law of plans: they never panic, and never say of a body what the strict reader and the
//! validator do not say.

use std::ops::Range;

use bartizan_chain::{JsonLimits, parse_strict};
use jsonschema::Validator;
use serde_json::Value;

use super::node::Verdict;
use super::{Document, Leaf, Plan};

/// What stands in no harmless value, and in no schema that is tried.
const HARM: &str = "\"1' or <b>\"";
/// Values of every type.
const OTHERS: [&str; 6] = ["null", "true", "0.5", HARM, "[]", "{}"];
/// The most leaves of a body that are tried, at its beginning and at its end.
const TRIED_MAX: usize = 16;
/// The most schemas that a path is followed through.
const STEPS_MAX: u32 = 10_000;

/// Holds a plan against the schema that it is of and its validator, on one body. What the plan says.
pub(crate) fn law(
    plan: &Plan,
    schema: &Value,
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
        let held = Claims { schema, validator, body }.hold(&plan.leaves(&document));
        assert_eq!(held, Ok(()), "{schema} on {value}");
    }
    Some(expected)
}

/// What is said of the values of a body that a schema accepts.
pub(super) struct Claims<'c> {
    pub(super) schema: &'c Value,
    pub(super) validator: &'c Validator,
    pub(super) body: &'c [u8],
}

impl Claims<'_> {
    /// Leaves are values in the order of the text. With a harmful text in the place of a harmless one
    /// the body would be refused; in the place of one that is no text, with some value. The names on
    /// the way to a leaf that is said to have such are those of the schema.
    pub(super) fn hold(&self, leaves: &[Leaf]) -> Result<(), String> {
        let mut end = 0;
        for leaf in leaves {
            if leaf.range.start < end {
                return Err(format!("{leaf:?} is out of order"));
            }
            end = leaf.range.end;
        }
        // What the schema or the body says of that very text tells nothing of others.
        let harm = HARM.trim_matches('"').as_bytes();
        let says = |text: &[u8]| text.windows(harm.len()).any(|part| part == harm);
        if says(self.schema.to_string().as_bytes()) || says(self.body) {
            return Ok(());
        }
        let last = leaves.len().saturating_sub(TRIED_MAX).max(TRIED_MAX);
        for leaf in leaves.iter().take(TRIED_MAX).chain(leaves.iter().skip(last)) {
            self.holds(leaf).map_err(|fault| format!("{leaf:?} {fault}"))?;
        }
        Ok(())
    }

    fn holds(&self, leaf: &Leaf) -> Result<(), &'static str> {
        let text = self.body.get(leaf.range.clone()).ok_or("is outside")?;
        let value: Value = serde_json::from_slice(text).map_err(|_| "is no value")?;
        if value.is_array() || value.is_object() || text.trim_ascii() != text {
            return Err("is no leaf");
        }
        // Where a text and a number may stand, a value stands.
        let marked = self.with(&leaf.range, HARM).ok_or("is no place of a text")?;
        self.with(&leaf.range, "0").ok_or("is no place of a number")?;
        if leaf.is_harmless {
            let refuses = |other: &&str| {
                let changed = self.with(&leaf.range, other);
                changed.is_some_and(|changed| !self.validator.is_valid(&changed))
            };
            if text.contains(&b'\\') {
                return Err("has an escape");
            }
            if value.is_string() && !refuses(&HARM) {
                return Err("may be harmful");
            }
            if !OTHERS.iter().any(refuses) {
                return Err("may be anything");
            }
        }
        let harm: Value = serde_json::from_str(HARM).unwrap_or_default();
        let mut path = Vec::new();
        if leaf.is_named && find(&marked, &harm, &mut path) {
            let mut steps = STEPS_MAX;
            if !self.states(self.schema, &path, &mut steps) && steps > 0 {
                return Err("has a name that the schema does not state");
            }
        }
        Ok(())
    }

    /// The body with another text in a place, if that is JSON.
    fn with(&self, place: &Range<usize>, text: &str) -> Option<Value> {
        let (before, after) = (self.body.get(..place.start)?, self.body.get(place.end..)?);
        serde_json::from_slice(&[before, text.as_bytes(), after].concat()).ok()
    }

    /// Whether a schema states the names on a path: none for items of a list.
    fn states(&self, schema: &Value, path: &[Option<String>], steps: &mut u32) -> bool {
        let Some(left) = steps.checked_sub(1) else { return false };
        *steps = left;
        let Some((step, rest)) = path.split_first() else { return true };
        let inner = match step {
            Some(name) => schema.get("properties").and_then(|named| named.get(name)),
            None => schema.get("items"),
        };
        let target = schema.get("$ref").and_then(Value::as_str);
        let target = target.and_then(|to| self.schema.pointer(to.strip_prefix('#')?));
        let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        inner.is_some_and(|inner| self.states(inner, rest, steps))
            || target.into_iter().chain(parts).any(|part| self.states(part, path, steps))
    }
}

/// Finds the path to a value.
fn find(value: &Value, wanted: &Value, path: &mut Vec<Option<String>>) -> bool {
    let mut enters = |name: Option<&String>, inner: &Value| {
        path.push(name.cloned());
        let is_found = find(inner, wanted, path);
        if !is_found {
            path.pop();
        }
        is_found
    };
    match value {
        Value::Array(items) => items.iter().any(|item| enters(None, item)),
        Value::Object(members) => members.iter().any(|(name, inner)| enters(Some(name), inner)),
        leaf => leaf == wanted,
    }
}
