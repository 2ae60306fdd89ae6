//! What is read of answers: lists and texts are held against their bounds while they are read, so
//! that no answer becomes much more than it is long.
//!
//! Hosts, ports, weights and states, which whoever registers a server writes, are read whatever they
//! are: they are at fault for that server alone, and must not keep all others from being known.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest name and the longest host, as in DNS.
pub(crate) const TEXT_MAX: usize = 253;

/// What stands for a host that is too long, or no text. It is none, so that the server is left out.
const NO_HOST: &str = " ";
/// What stands for a port that is none, so that the server is left out.
pub(crate) const NO_PORT: u16 = 0;

/// A name of something. An answer with a longer one is not of the form.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) Arc<str>);

/// A host as it is told, whether it can be one or not; empty where there is none.
#[derive(Debug, Default)]
pub(crate) struct Host(pub(crate) Arc<str>);

/// A list of so many at most.
#[derive(Debug)]
pub(crate) struct List<T, const MAX: usize>(pub(crate) Vec<T>);

/// The same, of which a single one may be written without a list.
#[derive(Debug)]
pub(crate) struct OneOrMore<T, const MAX: usize>(pub(crate) Vec<T>);

/// A number, a truth, or either as text; or what is none of that.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Scalar {
    Number(f64),
    Flag(bool),
    Text(Arc<str>),
    #[default]
    Other,
}

impl Scalar {
    /// A number, whether whole or not.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            Self::Flag(_) | Self::Other => None,
        }
    }

    /// A whole number from nothing up.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and between the bounds"
    )]
    pub(crate) fn whole(&self) -> Option<u32> {
        let fits =
            |number: &f64| (0.0..=f64::from(u32::MAX)).contains(number) && number.fract() == 0.0;
        self.number().filter(fits).map(|number| number as u32)
    }

    /// A port, or [`NO_PORT`].
    pub(crate) fn port(&self) -> u16 {
        self.whole().and_then(|number| u16::try_from(number).ok()).unwrap_or(NO_PORT)
    }

    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Flag(flag) => *flag,
            Self::Text(text) => &**text == "true",
            Self::Number(_) | Self::Other => false,
        }
    }

    pub(crate) fn is_text(&self, other: &str) -> bool {
        matches!(self, Self::Text(text) if &**text == other)
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
        Ok(Self(match Option::<Scalar>::deserialize(from)? {
            None => Arc::default(),
            Some(Scalar::Text(text)) => text,
            Some(_) => NO_HOST.into(),
        }))
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

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    #[expect(clippy::cast_precision_loss, reason = "what it changes is beyond every bound")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "what it changes is beyond every bound")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(if text.len() <= TEXT_MAX { Scalar::Text(text.into()) } else { Scalar::Other })
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Scalar, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| Scalar::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Scalar, A::Error> {
        IgnoredAny.visit_map(members).map(|_| Scalar::Other)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(json: &str) -> Scalar {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn a_scalar_is_read_whatever_it_is() {
        for (json, number, whole, port) in [
            ("8080", Some(8_080.0), Some(8_080), 8_080),
            ("8080.0", Some(8_080.0), Some(8_080), 8_080),
            (r#""8080""#, Some(8_080.0), Some(8_080), 8_080),
            ("1", Some(1.0), Some(1), 1),
            ("65535", Some(65_535.0), Some(65_535), 65_535),
            ("65536", Some(65_536.0), Some(65_536), 0),
            ("4294967295", Some(4_294_967_295.0), Some(u32::MAX), 0),
            ("4294967296", Some(4_294_967_296.0), None, 0),
            ("0", Some(0.0), Some(0), 0),
            ("-1", Some(-1.0), None, 0),
            ("-0.5", Some(-0.5), None, 0),
            ("80.5", Some(80.5), None, 0),
            ("1e300", Some(1e300), None, 0),
            (r#""x""#, None, None, 0),
            (r#""inf""#, None, None, 0),
            (r#""""#, None, None, 0),
            ("true", None, None, 0),
            ("null", None, None, 0),
            ("[80]", None, None, 0),
            (r#"{"a": [80]}"#, None, None, 0),
        ] {
            let scalar = scalar(json);
            assert_eq!((scalar.number(), scalar.whole(), scalar.port()), (number, whole, port));
        }
        for (json, is_true) in [("true", true), (r#""true""#, true), (r#""TRUE""#, false)] {
            assert_eq!(scalar(json).is_true(), is_true, "{json}");
        }
    }

    #[test]
    fn texts_are_read_up_to_a_length() {
        let of = |length: usize| format!("\"{}\"", "a".repeat(length));
        let (fits, over) = (of(TEXT_MAX), of(TEXT_MAX + 1));
        assert!(matches!(scalar(&fits), Scalar::Text(text) if text.len() == TEXT_MAX));
        assert_eq!(scalar(&over), Scalar::Other);
        let host = |json: &str| serde_json::from_str::<Host>(json).map(|host| host.0).unwrap();
        assert_eq!(host(&fits).len(), TEXT_MAX);
        for (json, expected) in [(&*over, NO_HOST), ("5", NO_HOST), ("null", ""), (r#""""#, "")] {
            assert_eq!(&*host(json), expected, "{json}");
        }
        assert!(serde_json::from_str::<Name>(&fits).is_ok());
        let refused = serde_json::from_str::<Name>(&over).unwrap_err().to_string();
        assert!(refused.contains("a name of more than 253 bytes"), "{refused}");
    }

    #[test]
    fn lists_are_read_up_to_a_length() {
        let list = |text: &str| serde_json::from_str::<List<u8, 2>>(text).map(|list| list.0);
        assert_eq!(list("[1, 2]").unwrap(), [1, 2]);
        let refused = list("[1, 2, 3]").unwrap_err().to_string();
        assert!(refused.contains("a list of more than 2"), "{refused}");
    }
}
