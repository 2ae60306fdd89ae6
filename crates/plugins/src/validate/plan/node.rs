//! A schema as the hot path reads it.

use std::cmp::Ordering;
use std::collections::HashSet;

use jsonschema::Validator;

use super::document::Kind;
use super::names::Names;
use super::number::Number;
use super::pattern::Pattern;

/// What a schema says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It fits.
    Holds,
    /// It does not.
    Fails,
    /// Somebody else must judge.
    Unsure,
}

impl Verdict {
    /// A verdict that is sure.
    pub(super) fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    /// A verdict that may not be.
    pub(super) fn known(holds: Option<bool>) -> Self {
        holds.map_or(Self::Unsure, Self::of)
    }
}

/// Where a schema stands in the plan.
pub(super) type NodeId = usize;

/// Types of values, each a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(pub(super) u8);

impl Types {
    /// Every type.
    pub(super) const ALL: Self = Self(0x7f);
    /// Whole numbers.
    pub(super) const INTEGER: u8 = 1 << 2;
    /// Any number.
    pub(super) const NUMBER: u8 = 1 << 3;
    /// Strings.
    pub(super) const STRING: u8 = 1 << 4;

    /// The type that a schema names.
    pub(super) fn named(name: &str) -> Option<u8> {
        Some(match name {
            "null" => 1,
            "boolean" => 1 << 1,
            "integer" => Self::INTEGER,
            // Whole ones among them: whoever allows everything else allows everything.
            "number" => Self::NUMBER | Self::INTEGER,
            "string" => Self::STRING,
            "array" => 1 << 5,
            "object" => 1 << 6,
            _ => return None,
        })
    }

    /// The types that a token may be of.
    pub(super) fn of(kind: Kind) -> u8 {
        match kind {
            Kind::Null => 1,
            Kind::Bool => 1 << 1,
            Kind::Integer => Self::INTEGER | Self::NUMBER,
            Kind::Float => Self::NUMBER,
            Kind::Text | Kind::EscapedText | Kind::Name => Self::STRING,
            Kind::List => 1 << 5,
            Kind::Object => 1 << 6,
        }
    }

    /// True if one of these is among them.
    pub(super) fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// One schema.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) types: Types,
    /// Whether 1.0 is an integer: not in draft 4.
    pub(super) floats_may_be_integers: bool,
    pub(super) text: Option<Box<TextRule>>,
    pub(super) number: Option<Box<NumberRule>>,
    pub(super) list: Option<Box<ListRule>>,
    pub(super) object: Option<Box<ObjectRule>>,
    /// `enum` and `const`.
    pub(super) values: Box<[Values]>,
    /// What is said of the value by other schemas.
    pub(super) others: Box<[Others]>,
}

impl Node {
    /// A schema that says nothing yet.
    pub(super) fn open() -> Self {
        Self {
            types: Types::ALL,
            floats_may_be_integers: true,
            text: None,
            number: None,
            list: None,
            object: None,
            values: Box::default(),
            others: Box::default(),
        }
    }

    /// A schema that nothing fits.
    pub(super) fn shut() -> Self {
        Self { types: Types(0), ..Self::open() }
    }

    /// A schema of which nothing is known here.
    pub(super) fn unknown() -> Self {
        Self { others: [Others::Unknown].into(), ..Self::open() }
    }

    /// True if nothing is known of it.
    pub(super) fn is_unknown(&self) -> bool {
        matches!(*self.others, [Others::Unknown])
    }
}

/// Rules of strings.
#[derive(Debug)]
pub(super) struct TextRule {
    /// Least and most code points.
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) pattern: Option<Pattern>,
    pub(super) format: Option<Format>,
}

/// A format.
#[derive(Debug)]
pub(super) struct Format {
    /// A schema of the format alone.
    pub(super) validator: Validator,
    /// Whether what has it can do no harm, and it is really checked.
    pub(super) is_harmless: bool,
}

/// Rules of numbers.
#[derive(Debug, Default)]
pub(super) struct NumberRule {
    /// Other numbers, and how this one may stand to them.
    pub(super) bounds: Box<[(Number, [Ordering; 2])]>,
    pub(super) multiple_of: Option<Multiple>,
}

/// `multipleOf`.
#[derive(Debug)]
pub(super) struct Multiple {
    /// The divisor, where it is a plain integer.
    pub(super) integer: Option<i128>,
    /// A schema of the keyword alone.
    pub(super) validator: Validator,
}

/// Rules of arrays.
#[derive(Debug)]
pub(super) struct ListRule {
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) items: Option<NodeId>,
    /// A schema of `uniqueItems` alone.
    pub(super) unique: Option<Validator>,
}

/// Rules of objects.
#[derive(Debug)]
pub(super) struct ObjectRule {
    pub(super) least: u64,
    pub(super) most: u64,
    pub(super) names: Names,
    /// What is known of each of the names.
    pub(super) members: Box<[Member]>,
    pub(super) required: usize,
    pub(super) additional: Additional,
}

/// A member that a schema names.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Member {
    pub(super) node: Option<NodeId>,
    pub(super) is_named: bool,
    pub(super) is_required: bool,
}

/// What other members may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Additional {
    /// Anything.
    Any,
    /// There may be none.
    None,
    /// What a schema says.
    Schema(NodeId),
}

/// The values that one `enum` or `const` allows.
#[derive(Debug)]
pub(super) struct Values {
    /// `null`, `true` and `false`, where they are among them.
    pub(super) words: Box<[&'static [u8]]>,
    /// In ascending order.
    pub(super) integers: Box<[i128]>,
    /// PERF: `cargo xtask bench plugins` (`request-validation`): to compare a few texts is cheaper
    /// than to hash one, so these are empty where there are only a few.
    pub(super) texts: HashSet<Box<str>>,
    /// All texts, where they are few.
    pub(super) few_texts: Box<[Box<str>]>,
    /// Containers and fractions are among them.
    pub(super) has_others: bool,
    /// A schema of the keyword alone, where numbers or containers are among them.
    pub(super) validator: Option<Validator>,
}

/// Schemas that speak of the same value.
#[derive(Debug)]
pub(super) enum Others {
    /// All of them hold: `allOf`, `$ref`.
    All(Box<[NodeId]>),
    /// One at least.
    Any(Box<[NodeId]>),
    /// One and no other.
    One(Box<[NodeId]>),
    /// It does not hold.
    Not(NodeId),
    /// `if`, `then`, `else`.
    If(NodeId, Option<NodeId>, Option<NodeId>),
    /// The whole schema, judged by a validator of its own.
    Foreign(Box<Validator>),
    /// Only the validator of the whole schema can tell.
    Unknown,
}
