//! One meaning of a JSON body: duplicate keys, depth, size and invalid UTF-8 are refused.

use std::fmt;

use bartizan_core::Limits;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Bounds of a JSON text.
#[derive(Clone, Copy, Debug)]
pub struct JsonLimits {
    /// Deepest nesting.
    pub depth: u32,
    /// Most members and items in all.
    pub items: u32,
}

impl From<&Limits> for JsonLimits {
    fn from(limits: &Limits) -> Self {
        Self { depth: limits.json_depth, items: limits.json_items }
    }
}

/// Why a JSON text was not accepted; for operators, it names no content.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JsonFault(String);

/// Parses a JSON text that has exactly one meaning (RFC 8259 §4 leaves duplicates open; two
/// parsers that choose differently are how a validated body becomes another one behind us).
pub fn parse_strict(text: &[u8], limits: JsonLimits) -> Result<Value, JsonFault> {
    let text = std::str::from_utf8(text).map_err(|_| JsonFault("not UTF-8".into()))?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut items = limits.items;
    let value = Strict { depth: limits.depth, items: &mut items }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| JsonFault(error.to_string()))
}

struct Strict<'a> {
    depth: u32,
    items: &'a mut u32,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(&mut self) -> Result<Strict<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Strict { depth, items: self.items })
    }

    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        *self.items = self.items.checked_sub(1).ok_or_else(|| E::custom("too many items"))?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) =
            seq.next_element_seed(Strict { depth: inner.depth, items: inner.items })?
        {
            inner.count()?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            inner.count()?;
            if object.contains_key(&key) {
                return Err(A::Error::custom("duplicate key"));
            }
            let value = map.next_value_seed(Strict { depth: inner.depth, items: inner.items })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: JsonLimits = JsonLimits { depth: 4, items: 10 };

    #[test]
    fn a_text_with_one_meaning_parses_as_serde_json_does() {
        for text in [r#"{"a":[1,-2,3.5,null,true,"x"],"b":{"c":{}}}"#, "7", "\"é\"", "[]"] {
            let strict = parse_strict(text.as_bytes(), LIMITS).unwrap();
            assert_eq!(strict, serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_text_with_two_meanings_is_refused() {
        for text in [
            &br#"{"a":1,"a":2}"#[..],
            br#"{"a":1,"\u0061":2}"#,
            br#"{"x":[{"a":1,"a":1}]}"#,
            b"{\"a\":\"\xff\"}",
            b"{} {}",
            b"{\"a\":1,}",
            b"NaN",
            b"1e999",
            b"",
        ] {
            assert!(parse_strict(text, LIMITS).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn the_bounds_are_those_of_the_node() {
        let node = Limits { json_depth: 2, json_items: 3, ..Limits::default() };
        let limits = JsonLimits::from(&node);
        for (text, fits) in [("[[],1,2]", true), ("[[[]]]", false), ("[1,2,3,4]", false)] {
            assert_eq!(parse_strict(text.as_bytes(), limits).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse_strict(nested(4).as_bytes(), LIMITS).is_ok());
        assert!(parse_strict(nested(5).as_bytes(), LIMITS).is_err());
    }

    #[test]
    fn items_are_bounded_exactly() {
        let list = |n: usize| format!("[{}]", vec!["1"; n].join(","));
        assert!(parse_strict(list(10).as_bytes(), LIMITS).is_ok());
        assert!(parse_strict(list(11).as_bytes(), LIMITS).is_err());
    }
}
