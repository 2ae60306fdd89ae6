//! What operations cost where a service says what fields of its queries cost.
//!
//! Here there is a tree, since what a fragment costs depends on where it is put in. It is small, as
//! the text is, and what it expands to is counted while it is walked.

use std::collections::HashMap;

use bartizan_config::{CostTree, FieldCost};
use serde_json::{Map, Value};

use super::document::Parser;
use super::lexer::TokenKind;
use super::{Fault, Kind};

/// Millionths in a whole.
pub(super) const WHOLE: u128 = crate::decimal::WHOLE as u128;
/// Most fields and fragments that are counted for a request, each as often as it is put in.
pub(crate) const STEPS_MAX: u32 = 100_000;
/// Deepest nesting of selections, those of fragments included.
const DEPTH_MAX: u32 = 200;

/// How the costs of fields make that of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The most expensive way down.
    Deepest,
    /// All fields.
    All,
    /// The fields that have a cost of their own, and no others.
    Priced,
}

/// Why a cost cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PriceFault {
    #[error("the query: {0}")]
    Query(#[from] Fault),
    #[error("an argument by which a field is priced is no whole number, or is given twice")]
    Amount,
    #[error("more fields and fragments, or deeper nested, than a cost is told of")]
    TooMuch,
}

/// The value of an argument, as far as costs are concerned.
#[derive(Clone, Copy, Debug)]
enum Amount<'t> {
    Nothing,
    Number(u64),
    Variable(&'t str),
    Other,
}

enum Item<'t> {
    Field { name: &'t str, arguments: Vec<(&'t str, Amount<'t>)>, below: Vec<Item<'t>> },
    Spread(&'t str),
}

struct Operation<'t> {
    kind: Kind,
    defaults: HashMap<&'t str, Amount<'t>>,
    selection: Vec<Item<'t>>,
}

/// What an operation costs, in millionths: the one of this name, or the only one, of a document
/// that can be executed. Each field and fragment that is counted is taken from `steps`.
pub(crate) fn price(
    text: &str,
    name: Option<&str>,
    variables: Option<&Map<String, Value>>,
    (costs, way): (&CostTree, Way),
    steps: &mut u32,
) -> Result<u128, PriceFault> {
    let mut parser = Parser::new(text)?;
    let mut operation = None;
    let mut fragments = HashMap::new();
    while let Some(token) = parser.next {
        if token.kind == TokenKind::Name && token.text == "fragment" {
            let (own, selection) = parser.fragment_tree()?;
            fragments.insert(own, selection);
        } else {
            let (own, read) = parser.operation_tree()?;
            if name.is_none() || name == own {
                operation = Some(read);
            }
        }
    }
    let operation = operation.ok_or(Fault::NoOperation)?;
    let root = match operation.kind {
        Kind::Query => "Query",
        Kind::Mutation => "Mutation",
        Kind::Subscription => "Subscription",
    };
    let defaults = &operation.defaults;
    let mut till = Till { fragments: &fragments, defaults, variables, way, left: steps };
    till.selection(&operation.selection, [costs.below.get(root), Some(costs)], 0)
}

impl<'t> Parser<'t> {
    fn operation_tree(&mut self) -> Result<(Option<&'t str>, Operation<'t>), Fault> {
        let (mut defaults, mut selection) = (HashMap::new(), Vec::new());
        if self.at(b'{') {
            self.selection_tree(&mut selection)?;
            return Ok((None, Operation { kind: Kind::Query, defaults, selection }));
        }
        let kind = self.kind()?;
        let is_named = self.next.is_some_and(|token| token.kind == TokenKind::Name);
        let name = if is_named { Some(self.name()?) } else { None };
        if self.takes(b'(')? {
            loop {
                self.expect(b'$')?;
                let variable = self.name()?;
                self.expect(b':')?;
                self.type_reference()?;
                if self.takes(b'=')? {
                    defaults.insert(variable, self.amount()?);
                }
                self.directives()?;
                if self.takes(b')')? {
                    break;
                }
            }
        }
        self.directives()?;
        self.selection_tree(&mut selection)?;
        Ok((name, Operation { kind, defaults, selection }))
    }

    fn fragment_tree(&mut self) -> Result<(&'t str, Vec<Item<'t>>), Fault> {
        self.name()?;
        let name = self.name()?;
        self.name()?;
        self.name()?;
        self.directives()?;
        let mut selection = Vec::new();
        self.selection_tree(&mut selection)?;
        Ok((name, selection))
    }

    fn selection_tree(&mut self, out: &mut Vec<Item<'t>>) -> Result<(), Fault> {
        self.nested(|parser| {
            parser.expect(b'{')?;
            loop {
                if parser.next.is_some_and(|token| token.kind == TokenKind::Spread) {
                    parser.take()?;
                    parser.spread_tree(out)?;
                } else {
                    out.push(parser.field_tree()?);
                }
                if parser.takes(b'}')? {
                    return Ok(());
                }
            }
        })
    }

    fn spread_tree(&mut self, out: &mut Vec<Item<'t>>) -> Result<(), Fault> {
        let is_name = self.next.is_some_and(|token| token.kind == TokenKind::Name);
        if is_name && self.next.is_some_and(|token| token.text != "on") {
            out.push(Item::Spread(self.name()?));
            return self.directives();
        }
        if is_name {
            self.name()?;
            self.name()?;
        }
        self.directives()?;
        self.selection_tree(out)
    }

    fn field_tree(&mut self) -> Result<Item<'t>, Fault> {
        let mut name = self.name()?;
        if self.takes(b':')? {
            name = self.name()?;
        }
        let mut arguments = Vec::new();
        if self.takes(b'(')? {
            loop {
                let argument = self.name()?;
                self.expect(b':')?;
                arguments.push((argument, self.amount()?));
                if self.takes(b')')? {
                    break;
                }
            }
        }
        self.directives()?;
        let mut below = Vec::new();
        if self.at(b'{') {
            self.selection_tree(&mut below)?;
        }
        Ok(Item::Field { name, arguments, below })
    }

    /// Reads a value.
    fn amount(&mut self) -> Result<Amount<'t>, Fault> {
        let Some(token) = self.next else { return Err(Fault::End) };
        let amount = match token.kind {
            TokenKind::Literal => token.text.parse().map_or(Amount::Other, Amount::Number),
            TokenKind::Name if token.text == "null" => Amount::Nothing,
            TokenKind::Mark(b'$') => {
                self.take()?;
                return Ok(Amount::Variable(self.name()?));
            }
            _ => Amount::Other,
        };
        self.value()?;
        Ok(amount)
    }
}

/// Counts what an operation costs.
struct Till<'a, 't> {
    fragments: &'a HashMap<&'t str, Vec<Item<'t>>>,
    defaults: &'a HashMap<&'t str, Amount<'t>>,
    variables: Option<&'a Map<String, Value>>,
    way: Way,
    left: &'a mut u32,
}

/// Where a selection stands among the fields that have costs: under the root of its kind, and under
/// that of any.
type Places<'c> = [Option<&'c CostTree>; 2];

impl<'t> Till<'_, 't> {
    fn selection(
        &mut self,
        items: &[Item<'t>],
        places: Places<'_>,
        depth: u32,
    ) -> Result<u128, PriceFault> {
        if depth > DEPTH_MAX {
            return Err(PriceFault::TooMuch);
        }
        let mut sum = 0_u128;
        for item in items {
            *self.left = self.left.checked_sub(1).ok_or(PriceFault::TooMuch)?;
            let cost = match item {
                Item::Spread(name) => {
                    let fragments = self.fragments;
                    let fragment = fragments.get(name).ok_or(Fault::UnknownFragment)?;
                    self.selection(fragment, places, depth + 1)?
                }
                Item::Field { name, arguments, below } => {
                    let here = places.map(|place| place.and_then(|place| place.below.get(*name)));
                    let below = self.selection(below, here, depth + 1)?;
                    let own = here.into_iter().flatten().find_map(|place| place.cost.as_ref());
                    self.field(own, arguments, below)?
                }
            };
            sum = match self.way {
                Way::Deepest => sum.max(cost),
                Way::All | Way::Priced => sum.checked_add(cost).ok_or(PriceFault::TooMuch)?,
            };
        }
        Ok(sum)
    }

    /// What a field costs with what is asked for below it.
    fn field(
        &self,
        cost: Option<&FieldCost>,
        arguments: &[(&'t str, Amount<'t>)],
        below: u128,
    ) -> Result<u128, PriceFault> {
        let Some(cost) = cost else {
            let own = if self.way == Way::Priced { 0 } else { WHOLE };
            return below.checked_add(own).ok_or(PriceFault::TooMuch);
        };
        let (mut add, mut factor) = (cost.add, cost.multiply);
        for name in &cost.add_arguments {
            let amount = self.argument(name, arguments)?.unwrap_or_default();
            let amount = u128::from(amount).checked_mul(WHOLE);
            add = amount.and_then(|more| add.checked_add(more)).ok_or(PriceFault::TooMuch)?;
        }
        for name in &cost.multiply_arguments {
            // What a server makes of none may well be all.
            let amount = self.argument(name, arguments)?.unwrap_or(1).max(1);
            factor = factor.checked_mul(amount.into()).ok_or(PriceFault::TooMuch)?;
        }
        let below = below.checked_mul(factor).map(|below| below.div_ceil(WHOLE));
        below.and_then(|below| below.checked_add(add)).ok_or(PriceFault::TooMuch)
    }

    /// The value of an argument that prices; `None` where it is not given.
    fn argument(
        &self,
        name: &str,
        arguments: &[(&'t str, Amount<'t>)],
    ) -> Result<Option<u64>, PriceFault> {
        let mut given = arguments.iter().filter(|(own, _)| *own == name);
        let (first, second) = (given.next(), given.next());
        if second.is_some() {
            return Err(PriceFault::Amount);
        }
        match first.map_or(Amount::Nothing, |(_, amount)| *amount) {
            Amount::Variable(variable) => self.variable(variable),
            other => plain(other),
        }
    }

    fn variable(&self, name: &str) -> Result<Option<u64>, PriceFault> {
        match self.variables.and_then(|variables| variables.get(name)) {
            Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(PriceFault::Amount),
            None => plain(self.defaults.get(name).copied().unwrap_or(Amount::Nothing)),
        }
    }
}

fn plain(amount: Amount<'_>) -> Result<Option<u64>, PriceFault> {
    match amount {
        Amount::Nothing => Ok(None),
        Amount::Number(number) => Ok(Some(number)),
        Amount::Variable(_) | Amount::Other => Err(PriceFault::Amount),
    }
}
