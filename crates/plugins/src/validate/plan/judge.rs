//! Holding a document against a plan.

use std::borrow::Cow;
use std::cell::Cell;

use jsonschema::Validator;

use super::document::{Document, Kind, Token};
use super::node::{
    Additional, ListRule, Node, NodeId, NumberRule, ObjectRule, Others, TextRule, Types, Values,
    Verdict,
};
use super::number::Number;

/// Deepest nesting of schemas that are judged, in values and at one value.
const DEPTH_MAX: u32 = 192;
/// How often a token may be looked at, on average, before the document is left to others: schemas
/// that try alternatives inside alternatives could otherwise look at it forever.
const LOOKS_PER_TOKEN: u32 = 32;
/// How often a byte may be read into a value for another validator, on average: every level of a
/// schema that leads to itself could otherwise have all that is below it read again.
const READINGS_MAX: usize = 4;
/// Bytes of a small document that cost nothing.
const FREE_BYTES: usize = 1_024;
/// Digits of an integer that is what is written; longer ones may have been rounded.
const INTEGER_MAX: u32 = 18;
/// Items that are compared with each other one by one.
const COMPARED_MAX: u32 = 32;

/// A document being judged.
pub(super) struct Judge<'p, 'd> {
    pub(super) nodes: &'p [Node],
    pub(super) document: &'p Document<'d>,
    looks: Cell<u32>,
    /// Bytes that may still be read into values.
    readings: Cell<usize>,
}

impl<'p, 'd> Judge<'p, 'd> {
    pub(super) fn new(nodes: &'p [Node], document: &'p Document<'d>) -> Self {
        let tokens = u32::try_from(document.len()).unwrap_or(u32::MAX);
        let looks = Cell::new(tokens.saturating_add(64).saturating_mul(LOOKS_PER_TOKEN));
        let bytes = document.size().saturating_add(FREE_BYTES);
        let readings = Cell::new(bytes.saturating_mul(READINGS_MAX));
        Self { nodes, document, looks, readings }
    }

    /// Counts a look at a token; false if there were too many.
    pub(super) fn may_look(&self) -> bool {
        let left = self.looks.get().checked_sub(1);
        self.looks.set(left.unwrap_or(0));
        left.is_some()
    }

    /// What a schema says of the value at a token.
    pub(super) fn value(&self, id: NodeId, at: usize, depth: u32) -> Verdict {
        let (Some(node), Some(token)) = (self.nodes.get(id), self.document.token(at)) else {
            return Verdict::Unsure;
        };
        if depth > DEPTH_MAX || !self.may_look() {
            return Verdict::Unsure;
        }
        let verdict = self.typed(node, token);
        if verdict != Verdict::Holds {
            return verdict;
        }
        let verdict = match (token.kind, node) {
            (Kind::Text | Kind::EscapedText, Node { text: Some(rule), .. }) => {
                self.text(rule, token)
            }
            (Kind::Integer | Kind::Float, Node { number: Some(rule), .. }) => {
                self.number(rule, token)
            }
            (Kind::Object, Node { object: Some(rule), .. }) => self.object(rule, token, at, depth),
            (Kind::List, Node { list: Some(rule), .. }) => self.list(rule, token, at, depth),
            _ => Verdict::Holds,
        };
        if verdict != Verdict::Holds || (node.values.is_empty() && node.others.is_empty()) {
            return verdict;
        }
        let values = node.values.iter().map(|values| self.one_of(values, token));
        let others = node.others.iter().map(|others| self.others(others, at, token, depth));
        all(values.chain(others))
    }

    fn typed(&self, node: &Node, token: Token) -> Verdict {
        if node.types.has(Types::of(token.kind)) {
            return Verdict::Holds;
        }
        if token.kind == Kind::Float && node.types.has(Types::INTEGER) {
            // 1.0 is an integer as well (JSON Schema 2020-12, 4.2.1), not so in draft 4.
            let is_whole = Number::read(self.document, token).and_then(Number::is_whole);
            return Verdict::known(is_whole.map(|is| is && node.floats_may_be_integers));
        }
        Verdict::Fails
    }

    /// The text of a string.
    fn string(&self, token: Token) -> Option<Cow<'d, str>> {
        if token.kind == Kind::EscapedText {
            return self.document.unescaped(token).map(Cow::Owned);
        }
        std::str::from_utf8(self.document.raw(token)).ok().map(Cow::Borrowed)
    }

    fn text(&self, rule: &TextRule, token: Token) -> Verdict {
        let length = u64::from(token.end - token.start);
        let is_plain = token.kind == Kind::Text;
        // A code point takes one to four bytes.
        let fits_anyway = is_plain && length <= rule.most && length / 4 >= rule.least;
        if fits_anyway && rule.pattern.is_none() && rule.format.is_none() {
            return Verdict::Holds;
        }
        let Some(text) = self.string(token) else { return Verdict::Unsure };
        if !fits_anyway {
            let count = text.chars().count() as u64;
            if count < rule.least || count > rule.most {
                return Verdict::Fails;
            }
        }
        if let Some(pattern) = &rule.pattern {
            let verdict = pattern.matches(&text);
            if verdict != Verdict::Holds {
                return verdict;
            }
        }
        match &rule.format {
            Some(format) => Verdict::of(format.validator.is_valid(&text.into_owned().into())),
            None => Verdict::Holds,
        }
    }

    fn number(&self, rule: &NumberRule, token: Token) -> Verdict {
        let Some(number) = Number::read(self.document, token) else { return Verdict::Unsure };
        for (limit, wanted) in &rule.bounds {
            let order = number.compare(*limit);
            let verdict = Verdict::known(order.map(|order| wanted.contains(&order)));
            if verdict != Verdict::Holds {
                return verdict;
            }
        }
        match (&rule.multiple_of, number) {
            (None, _) => Verdict::Holds,
            (Some(multiple), Number::Integer(own)) if multiple.integer.is_some() => {
                Verdict::known(multiple.integer.and_then(|of| own.checked_rem(of)).map(|r| r == 0))
            }
            (Some(multiple), _) => self.foreign(&multiple.validator, token),
        }
    }

    fn list(&self, rule: &ListRule, token: Token, at: usize, depth: u32) -> Verdict {
        if !(rule.least..=rule.most).contains(&u64::from(token.info)) {
            return Verdict::Fails;
        }
        if let Some(items) = rule.items {
            let verdict = all(self.items(token, at).map(|at| self.value(items, at, depth + 1)));
            if verdict != Verdict::Holds {
                return verdict;
            }
        }
        match &rule.unique {
            Some(_) if token.info < 2 => Verdict::Holds,
            Some(validator) => {
                let simple = if token.info <= COMPARED_MAX { self.differ(token, at) } else { None };
                simple.map_or_else(|| self.foreign(validator, token), Verdict::of)
            }
            None => Verdict::Holds,
        }
    }

    /// The tokens of the items of a list.
    pub(super) fn items(&self, list: Token, at: usize) -> impl Iterator<Item = usize> {
        let end = list.next as usize;
        let next = move |at: &usize| self.document.token(*at).map(|token| token.next as usize);
        std::iter::successors(Some(at + 1), next).take_while(move |at| *at < end)
    }

    /// Whether no two items are the same; `None` where that takes more than a look at their bytes.
    fn differ(&self, list: Token, at: usize) -> Option<bool> {
        let is_plain = |token: &Token| match token.kind {
            Kind::Text | Kind::Bool | Kind::Null => true,
            Kind::Integer => token.end - token.start <= INTEGER_MAX,
            _ => false,
        };
        for one in self.items(list, at) {
            let one = self.document.token(one).filter(is_plain)?;
            for other in self.items(list, at) {
                let other = self.document.token(other).filter(is_plain)?;
                if other.start >= one.start {
                    break;
                }
                let same = self.document.raw(one) == self.document.raw(other);
                if same && one.kind == other.kind {
                    return Some(false);
                }
            }
        }
        Some(true)
    }

    fn object(&self, rule: &ObjectRule, token: Token, at: usize, depth: u32) -> Verdict {
        if !(rule.least..=rule.most).contains(&u64::from(token.info)) {
            return Verdict::Fails;
        }
        let mut missing = rule.required;
        let (mut at, end) = (at + 1, token.next as usize);
        while at < end {
            let (Some(name), Some(value)) = (self.document.token(at), self.document.token(at + 1))
            else {
                return Verdict::Unsure;
            };
            let (allowed, is_required) = self.member(rule, name);
            missing = missing.saturating_sub(usize::from(is_required));
            let verdict = match allowed {
                Additional::Any => Verdict::Holds,
                Additional::None => Verdict::Fails,
                Additional::Schema(node) => self.value(node, at + 1, depth + 1),
            };
            if verdict != Verdict::Holds {
                return verdict;
            }
            at = value.next as usize;
        }
        Verdict::of(missing == 0)
    }

    /// What is said of a member's value, and whether there must be such a member.
    pub(super) fn member(&self, rule: &ObjectRule, name: Token) -> (Additional, bool) {
        let index = rule.names.find(name.info, self.document.raw(name));
        match index.and_then(|index| rule.members.get(index)) {
            Some(member) if member.is_named => {
                (member.node.map_or(Additional::Any, Additional::Schema), member.is_required)
            }
            Some(member) => (rule.additional, member.is_required),
            None => (rule.additional, false),
        }
    }

    /// Whether a schema states a member of this name.
    pub(super) fn states(&self, rule: &ObjectRule, name: Token) -> bool {
        let index = rule.names.find(name.info, self.document.raw(name));
        index.and_then(|index| rule.members.get(index)).is_some_and(|member| member.is_named)
    }

    /// The names of an object's members, and the tokens of their values.
    pub(super) fn members(&self, object: Token, at: usize) -> impl Iterator<Item = (Token, usize)> {
        let mut at = at + 1;
        let end = object.next as usize;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (name, value) = (self.document.token(at)?, at + 1);
            at = self.document.token(value)?.next as usize;
            Some((name, value))
        })
    }

    fn one_of(&self, values: &Values, token: Token) -> Verdict {
        let found = match token.kind {
            Kind::Null | Kind::Bool => values.words.contains(&self.document.raw(token)),
            Kind::Text if values.texts.is_empty() => {
                let raw = self.document.raw(token);
                values.few_texts.iter().any(|text| text.as_bytes() == raw)
            }
            Kind::Text | Kind::EscapedText | Kind::Name => {
                let Some(text) = self.string(token) else { return Verdict::Unsure };
                values.texts.contains(&*text) || values.few_texts.iter().any(|own| **own == *text)
            }
            Kind::Integer => match Number::read(self.document, token) {
                Some(Number::Integer(own)) => {
                    let is_listed = values.integers.binary_search(&own).is_ok();
                    if !is_listed && values.has_others {
                        return self.listed(values, token);
                    }
                    is_listed
                }
                _ => return Verdict::Unsure,
            },
            Kind::Float => {
                if values.has_others || !values.integers.is_empty() {
                    return self.listed(values, token);
                }
                false
            }
            Kind::List | Kind::Object => {
                if values.has_others {
                    return self.listed(values, token);
                }
                false
            }
        };
        Verdict::of(found)
    }

    /// Asks the validator of the list.
    fn listed(&self, values: &Values, token: Token) -> Verdict {
        let validator = values.validator.as_ref();
        validator.map_or(Verdict::Unsure, |validator| self.foreign(validator, token))
    }

    fn others(&self, others: &Others, at: usize, token: Token, depth: u32) -> Verdict {
        let value = |id: NodeId| self.value(id, at, depth + 1);
        match others {
            Others::All(ids) => all(ids.iter().map(|id| value(*id))),
            Others::Any(ids) => {
                let mut verdict = Verdict::Fails;
                for id in ids {
                    match value(*id) {
                        Verdict::Holds => return Verdict::Holds,
                        Verdict::Unsure => verdict = Verdict::Unsure,
                        Verdict::Fails => {}
                    }
                }
                verdict
            }
            Others::One(ids) => {
                let mut count = 0_u32;
                for id in ids {
                    match value(*id) {
                        Verdict::Holds => count += 1,
                        Verdict::Unsure => return Verdict::Unsure,
                        Verdict::Fails => {}
                    }
                }
                Verdict::of(count == 1)
            }
            Others::Not(id) => match value(*id) {
                Verdict::Holds => Verdict::Fails,
                Verdict::Fails => Verdict::Holds,
                Verdict::Unsure => Verdict::Unsure,
            },
            Others::If(id, then, or) => {
                let next = match value(*id) {
                    Verdict::Holds => then,
                    Verdict::Fails => or,
                    Verdict::Unsure => return Verdict::Unsure,
                };
                next.map_or(Verdict::Holds, value)
            }
            Others::Foreign(validator) => self.foreign(validator, token),
            Others::Unknown => Verdict::Unsure,
        }
    }

    /// Asks a validator of its own, unless too much was read for such before.
    fn foreign(&self, validator: &Validator, token: Token) -> Verdict {
        let size = Document::range(token).len();
        let Some(left) = self.readings.get().checked_sub(size) else { return Verdict::Unsure };
        self.readings.set(left);
        Verdict::known(self.document.value(token).map(|value| validator.is_valid(&value)))
    }
}

/// The first verdict that is not that all is well.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let mut verdicts = verdicts;
    verdicts.find(|verdict| *verdict != Verdict::Holds).unwrap_or(Verdict::Holds)
}
