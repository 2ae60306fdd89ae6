//! A strict reader of JSON: one meaning or none.
//!
//! Two parsers that disagree on which of two equal members counts are how a signed token comes to
//! say different things to the gateway and to the service behind it (RFC 7515 §10.12), so a member
//! that occurs twice is refused at any depth. Depth, number of members and items, and trailing
//! bytes are bounded; `serde_json` refuses invalid UTF-8, lone surrogates and numbers out of range.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not acceptable JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// It is not JSON (RFC 8259), or something follows it.
    #[error("not valid JSON")]
    Syntax,
    /// An object has the same member twice.
    #[error("a member occurs twice")]
    Duplicate,
    /// It is nested more deeply than allowed.
    #[error("nested too deeply")]
    TooDeep,
    /// It has more members and items than allowed.
    #[error("too many members")]
    TooMany,
    /// It is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Members that an object usually has.
const MEMBERS_USUAL: usize = 8;

/// How much of it is read.
#[derive(Clone, Copy)]
pub(crate) struct JsonLimits {
    /// Deepest nesting; a flat object has depth one.
    pub(crate) depth: u32,
    /// Most members and items in all.
    pub(crate) items: u32,
}

/// What was read, and how many members and items it has.
pub(crate) struct Parsed {
    pub(crate) object: Map<String, Value>,
    pub(super) items: u32,
}

/// Reads exactly one object.
pub(crate) fn parse_object(text: &[u8], limits: JsonLimits) -> Result<Parsed, JsonFault> {
    let spent = Spent { items: Cell::new(0), limits, fault: Cell::new(JsonFault::Syntax) };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value =
        Node { spent: &spent, depth: 0 }.deserialize(&mut reader).map_err(|_| spent.fault.get())?;
    reader.end().map_err(|_| JsonFault::Syntax)?;
    match value {
        Value::Object(object) => Ok(Parsed { object, items: spent.items.get() }),
        _ => Err(JsonFault::NotAnObject),
    }
}

struct Spent {
    items: Cell<u32>,
    limits: JsonLimits,
    fault: Cell<JsonFault>,
}

impl Spent {
    fn fail<E: Error>(&self, fault: JsonFault) -> E {
        self.fault.set(fault);
        E::custom(fault)
    }

    fn spend<E: Error>(&self) -> Result<(), E> {
        let items = self.items.get().saturating_add(1);
        self.items.set(items);
        if items > self.limits.items { Err(self.fail(JsonFault::TooMany)) } else { Ok(()) }
    }
}

#[derive(Clone, Copy)]
struct Node<'s> {
    spent: &'s Spent,
    depth: u32,
}

impl Node<'_> {
    fn inside<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.saturating_add(1);
        if depth > self.spent.limits.depth {
            return Err(self.spent.fail(JsonFault::TooDeep));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inside)? {
            self.spent.spend()?;
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        // Claims are about eight; what is inside of them is mostly nothing.
        let mut object = Map::with_capacity(if self.depth == 0 { MEMBERS_USUAL } else { 0 });
        while let Some(name) = access.next_key::<String>()? {
            self.spent.spend()?;
            let value = access.next_value_seed(inside)?;
            if object.insert(name, value).is_some() {
                return Err(self.spent.fail(JsonFault::Duplicate));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JsonLimits = JsonLimits { depth: 3, items: 5 };

    fn fault(text: &str) -> Option<JsonFault> {
        parse_object(text.as_bytes(), LIMITS).err()
    }

    #[test]
    fn it_agrees_with_serde_json_on_what_it_accepts() {
        let text = r#" {"a": [1, -2, 0.5], "b": {"c": null}} "#;
        let limits = JsonLimits { depth: 3, items: 6 };
        let parsed = parse_object(text.as_bytes(), limits).unwrap();
        let expected: Map<String, Value> = serde_json::from_str(text).unwrap();
        assert_eq!(parsed.object, expected);
        assert_eq!(parsed.items, 6);
    }

    #[test]
    fn a_member_that_occurs_twice_is_refused_at_any_depth_and_in_any_spelling() {
        assert_eq!(fault(r#"{"a":1,"a":1}"#), Some(JsonFault::Duplicate));
        assert_eq!(fault(r#"{"a":1,"\u0061":2}"#), Some(JsonFault::Duplicate));
        assert_eq!(fault(r#"{"x":[{"a":1,"a":1}]}"#), Some(JsonFault::Duplicate));
        assert_eq!(fault(r#"{"a":1,"A":2}"#), None);
    }

    #[test]
    fn depth_and_number_are_bounded() {
        assert_eq!(fault(r#"{"a":[[1]]}"#), None);
        assert_eq!(fault(r#"{"a":[[[1]]]}"#), Some(JsonFault::TooDeep));
        assert_eq!(fault(r#"{"a":[1,2,3,4]}"#), None);
        assert_eq!(fault(r#"{"a":[1,2,3,4,5]}"#), Some(JsonFault::TooMany));
        let bomb = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(fault(&bomb), Some(JsonFault::TooDeep));
    }

    #[test]
    fn only_one_whole_object_is_accepted() {
        for text in ["", " ", "{", "{}{}", "{} x", "{,}", "{'a':1}", "\u{feff}{}", "{\"a\":1,}"] {
            assert_eq!(fault(text), Some(JsonFault::Syntax), "{text}");
        }
        for text in ["null", "[]", "1", "\"{}\""] {
            assert_eq!(fault(text), Some(JsonFault::NotAnObject), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_and_broken_text_are_refused() {
        for text in [r#"{"a":1e999}"#, r#"{"a":NaN}"#, r#"{"a":01}"#, r#"{"a":"\ud800"}"#] {
            assert_eq!(fault(text), Some(JsonFault::Syntax), "{text}");
        }
        let broken = parse_object(b"{\"a\":\"\xff\"}", LIMITS).err();
        assert_eq!(broken, Some(JsonFault::Syntax));
    }
}
