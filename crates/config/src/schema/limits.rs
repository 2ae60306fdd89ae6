//! Numbers and lists.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::walk::{Marks, Step, Walk, list};
use super::{Fault, Findings};
use crate::diagnostic::Place;
use crate::document::Node;

impl<'a> Walk<'a> {
    /// Checks the range of a number.
    pub(super) fn number(
        &self,
        here: Place,
        number: &Number,
        schema: &Map<String, Value>,
        out: &mut Findings,
    ) {
        let by_format = schema.get("format").and_then(Value::as_str).and_then(range_of_format);
        let (format_least, format_most) = by_format.unzip();
        let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_number).cloned();
        for (limit, fits, words) in [
            (limit("minimum").or(format_least), is_at_least as Fits, "at least"),
            (limit("maximum").or(format_most), is_at_most, "at most"),
            (limit("exclusiveMinimum"), is_more, "more than"),
            (limit("exclusiveMaximum"), is_less, "less than"),
        ] {
            if let Some(limit) = limit
                && !fits(compare(number, &limit))
            {
                let problem = format!("{} must be {words} {limit}, is `{number}`", self.name());
                self.tell(out, here, Fault::Value, problem);
            }
        }
    }

    /// Checks a list and its items.
    pub(super) fn list(
        &mut self,
        items: &'a [Node],
        here: Place,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let count = u64::try_from(items.len()).unwrap_or(u64::MAX);
        if let Some(least) = limit("minItems").filter(|least| count < *least) {
            let problem = if items.is_empty() {
                format!("{} is an empty list", self.name())
            } else {
                format!("{} needs at least {least} items, has {count}", self.name())
            };
            self.tell(out, here, Fault::Value, problem);
        }
        if let Some(most) = limit("maxItems").filter(|most| count > *most) {
            let problem = format!("{} may have at most {most} items, has {count}", self.name());
            self.tell(out, here, Fault::Value, problem);
        }
        let must_differ = schema.get("uniqueItems").and_then(Value::as_bool) == Some(true);
        let mut seen = HashSet::new();
        let leading = list(schema, "prefixItems");
        let rest = schema.get("items");
        for (index, item) in items.iter().enumerate() {
            self.steps.push(Step::Index(index));
            if must_differ && !seen.insert(item.to_json().to_string()) {
                self.tell(out, item.place, Fault::Value, "the item is given twice".to_owned());
            }
            match leading.get(index).or(rest) {
                Some(schema) => self.value(item, item.place, schema, marks, out),
                None => self.unchecked(item, marks, out),
            }
            self.steps.pop();
        }
    }
}

type Fits = fn(Option<Ordering>) -> bool;

fn is_at_least(order: Option<Ordering>) -> bool {
    order.is_some_and(Ordering::is_ge)
}

fn is_at_most(order: Option<Ordering>) -> bool {
    order.is_some_and(Ordering::is_le)
}

fn is_more(order: Option<Ordering>) -> bool {
    order.is_some_and(Ordering::is_gt)
}

fn is_less(order: Option<Ordering>) -> bool {
    order.is_some_and(Ordering::is_lt)
}

fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// The range of an integer type that `schemars` names in `format` without writing it out.
fn range_of_format(format: &str) -> Option<(Number, Number)> {
    Some(match format {
        "uint8" => (0.into(), u8::MAX.into()),
        "uint16" => (0.into(), u16::MAX.into()),
        "uint32" => (0.into(), u32::MAX.into()),
        "uint64" | "uint" => (0.into(), u64::MAX.into()),
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "int64" | "int" => (i64::MIN.into(), i64::MAX.into()),
        _ => return None,
    })
}
