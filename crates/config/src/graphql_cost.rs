//! What fields of GraphQL queries cost, by where they stand in a query.

use std::collections::BTreeMap;

use serde_json::Number;

/// Millionths in a whole.
const WHOLE: u128 = 1_000_000;

/// Digits that are kept behind the point.
const PLACES: usize = 6;

/// Most decorations of one service.
pub const DECORATIONS_MAX: usize = 1_000;

/// What a field costs. Amounts are in millionths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCost {
    /// What it costs by itself.
    pub add: u128,
    /// Arguments whose values are added to that.
    pub add_arguments: Box<[String]>,
    /// How often what is below it is counted.
    pub multiply: u128,
    /// Arguments whose values multiply that.
    pub multiply_arguments: Box<[String]>,
}

/// Fields that have a cost of their own, by their path from the root of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostTree {
    /// What the field at this place costs.
    pub cost: Option<FieldCost>,
    /// The places below it, by the names of fields.
    pub below: BTreeMap<Box<str>, CostTree>,
    /// Some of it is in quarantine: nobody knows what queries cost.
    pub is_broken: bool,
}

impl CostTree {
    /// Adds what the field at a path such as `orders.items` costs; false where that is known.
    pub(crate) fn add(&mut self, path: &str, cost: FieldCost) -> bool {
        let mut place = self;
        for name in path.split('.') {
            place = place.below.entry(name.into()).or_default();
        }
        let is_new = place.cost.is_none();
        place.cost.get_or_insert(cost);
        is_new
    }
}

/// A number in millionths; what is wrong with it where it has more decimals, or is out of range.
pub(crate) fn millionths(number: &Number) -> Result<u128, &'static str> {
    // The shortest text that reads as the same number is what was written.
    let text = match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => float.to_string(),
        None => number.to_string(),
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    if part.len() > PLACES {
        return Err("has more than 6 decimals");
    }
    let digits = |text: &str| text.parse::<u64>().map_err(|_| "is out of range");
    let part = digits(&format!("{part}{}", "0".repeat(PLACES - part.len())))?;
    Ok(u128::from(digits(whole)?) * WHOLE + u128::from(part))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn numbers_are_read_exactly() {
        let read = |value: Value| match value {
            Value::Number(number) => millionths(&number),
            _ => Err("no number"),
        };
        assert_eq!(read(json!(2)), Ok(2_000_000));
        assert_eq!(read(json!(0.1)), Ok(100_000));
        assert_eq!(read(json!(0.000_001)), Ok(1));
        assert_eq!(read(json!(u64::MAX)), Ok(u128::from(u64::MAX) * WHOLE));
        assert_eq!(read(json!(0.000_000_1)), Err("has more than 6 decimals"));
        assert_eq!(read(json!(-1)), Err("is out of range"));
        assert_eq!(read(json!(1e300)), Err("is out of range"));
    }

    #[test]
    fn a_place_has_one_cost() {
        let cost = |add| FieldCost {
            add,
            add_arguments: Box::default(),
            multiply: WHOLE,
            multiply_arguments: Box::default(),
        };
        let mut tree = CostTree::default();
        assert!(tree.add("a.b", cost(1)) && tree.add("a", cost(2)) && !tree.add("a.b", cost(3)));
        assert_eq!(tree.below["a"].below["b"].cost, Some(cost(1)));
    }
}
