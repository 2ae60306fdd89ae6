//! What is read of answers: lists and texts are held against their bounds while they are read, so
//! that no answer becomes much more than it is long.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest name and the longest host, as in DNS.
pub(crate) const TEXT_MAX: usize = 253;

/// What stands for a host that is too long. It is none, so that the server is left out.
const NO_HOST: &str = " ";

/// A name of something. An answer with a longer one is not of the form.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) Arc<str>);

/// A host as it is told, whether it can be one or not.
#[derive(Debug, Default)]
pub(crate) struct Host(pub(crate) Arc<str>);

/// A list of so many at most.
#[derive(Debug)]
pub(crate) struct List<T, const MAX: usize>(pub(crate) Vec<T>);

/// The same, of which a single one may be written without a list.
#[derive(Debug)]
pub(crate) struct OneOrMore<T, const MAX: usize>(pub(crate) Vec<T>);

/// A number, a truth, or either as text.
#[derive(Debug)]
pub(crate) enum Scalar {
    Number(u64),
    Flag(bool),
    Text(Arc<str>),
}

impl Scalar {
    pub(crate) fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => u32::try_from(*number).ok(),
            Self::Text(text) => text.parse().ok(),
            Self::Flag(_) => None,
        }
    }

    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Flag(flag) => *flag,
            Self::Text(text) => &**text == "true",
            Self::Number(_) => false,
        }
    }
}

/// The fault of a list with one too many.
pub(crate) fn too_many<E: Error>(max: usize) -> E {
    E::custom(format_args!("a list of more than {max}"))
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Option<Arc<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok((text.len() <= TEXT_MAX).then(|| text.into()))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = from.deserialize_str(TextVisitor)?;
        let long = || D::Error::custom(format_args!("a name of more than {TEXT_MAX} bytes"));
        text.map(Self).ok_or_else(long)
    }
}

impl<'de> Deserialize<'de> for Host {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = from.deserialize_str(TextVisitor)?;
        Ok(Self(text.unwrap_or_else(|| NO_HOST.into())))
    }
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() >= MAX {
                return Err(too_many(MAX));
            }
            list.push(item);
        }
        Ok(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        Ok(vec![T::deserialize(MapAccessDeserializer::new(members))?])
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ListVisitor::<T, MAX>(PhantomData)).map(Self)
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for OneOrMore<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ListVisitor::<T, MAX>(PhantomData)).map(Self)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a truth or a text")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        // What is longer is no number and no truth.
        Ok(Scalar::Text(if text.len() <= TEXT_MAX { text } else { "" }.into()))
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}
