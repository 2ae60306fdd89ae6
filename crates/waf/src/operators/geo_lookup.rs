//! Whether a database knows where an address is: `@geoLookup`.
//!
//! The database is a file in `MaxMind`'s format (version 2.0), which `SecGeoLookupDb` names anywhere in
//! the rule files. It is read whole and verified when they are loaded. What it says of the address is
//! in `GEO` from then on, until the next lookup: `COUNTRY_CODE` (two letters), `COUNTRY_NAME` (in
//! English), `COUNTRY_CONTINENT` (two letters), `REGION`, `CITY`, `POSTAL_CODE`, `LATITUDE` and
//! `LONGITUDE`; members that the file does not have are empty there. Stock rules hold the operator where
//! a set-up has to turn it on first, so rules load without a database; an exchange in which it is
//! asked all the same counts as not judged.
//!
//! Example: `SecRule REMOTE_ADDR "@geoLookup" "chain,…"` with the chained rule
//! `SecRule GEO:COUNTRY_CODE "@within DE AT CH"`.

use std::collections::HashSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Ask, Captures, OperatorFault, Source};
use crate::text::Expand;

/// The longest text of a database that is taken over, in bytes.
const TEXT_MAX: usize = 256;
/// The members of `GEO` that are texts, each with where makers put it.
const TEXTS: [(&str, &[Path]); 6] = [
    (
        "COUNTRY_CODE",
        &[&[key("country"), key("iso_code")], &[key("country_code")], &[key("country")]],
    ),
    ("COUNTRY_NAME", &[&[key("country"), key("names"), key("en")], &[key("country_name")]]),
    (
        "COUNTRY_CONTINENT",
        &[&[key("continent"), key("code")], &[key("continent_code")], &[key("continent")]],
    ),
    ("REGION", &[&[key("subdivisions"), PathElement::Index(0), key("iso_code")], &[key("region")]]),
    ("CITY", &[&[key("city"), key("names"), key("en")], &[key("city")]]),
    ("POSTAL_CODE", &[&[key("postal"), key("code")], &[key("postal_code")]]),
];
/// The members of `GEO` that are numbers; some makers write them as texts.
const NUMBERS: [(&str, &[Path]); 2] = [
    ("LATITUDE", &[&[key("location"), key("latitude")], &[key("latitude")], &[key("lat")]]),
    ("LONGITUDE", &[&[key("location"), key("longitude")], &[key("longitude")], &[key("lng")]]),
];

type Path = &'static [PathElement<'static>];

const fn key(name: &'static str) -> PathElement<'static> {
    PathElement::Key(name)
}

/// A verified database of places.
pub(crate) struct Places(Reader<Vec<u8>>);

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Places").field(&self.0.metadata().database_type).finish()
    }
}

/// A member of `GEO`: its name and value.
pub(crate) type PlaceFact = (&'static str, Box<[u8]>);

impl Places {
    /// Takes a file's bytes, or says why it is no database.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        verify_places(&reader).map_err(|error| error.to_string())?;
        Ok(Self(reader))
    }

    fn find(&self, address: &[u8]) -> Option<LookupResult<'_, Vec<u8>>> {
        let address: IpAddr = std::str::from_utf8(address).ok()?.trim().parse().ok()?;
        let address = address.to_canonical();
        if address.is_ipv6() && self.0.metadata().ip_version == 4 {
            return None;
        }
        self.0.lookup(address).ok().filter(LookupResult::has_data)
    }

    /// What it knows of an address.
    fn facts(&self, address: &[u8]) -> Vec<PlaceFact> {
        let Some(found) = self.find(address) else { return Vec::new() };
        // Makers differ: what is a mapping in one file is a text in another.
        let text = |path: &Path| found.decode_path::<&str>(path).ok().flatten();
        let cut = |text: &str| text.as_bytes().get(..TEXT_MAX).unwrap_or(text.as_bytes()).into();
        let texts = TEXTS
            .iter()
            .map(|(name, paths)| (*name, paths.iter().find_map(text).map(cut).unwrap_or_default()));
        let number = |path: &Path| match found.decode_path::<f64>(path) {
            Ok(number) => number.map(|number| number.to_string().into_bytes().into()),
            Err(_) => text(path).map(cut),
        };
        let numbers = NUMBERS
            .iter()
            .map(|(name, paths)| (*name, paths.iter().find_map(number).unwrap_or_default()));
        texts.chain(numbers).collect()
    }
}

/// Refuses a database in which something cannot be read.
///
/// The reader's own verification also insists on a description, which published files lack. There
/// each record is read once, as far as it is reached; a tree that is no tree has more networks
/// than its nodes can have.
pub fn verify_places(places: &Reader<Vec<u8>>) -> Result<(), MaxMindDbError> {
    let metadata = places.metadata();
    if !metadata.description.is_empty() && !metadata.database_type.is_empty() {
        return places.verify();
    }
    let mut networks_left = usize::try_from(metadata.node_count).unwrap_or(0).saturating_mul(3);
    let mut seen: HashSet<usize> = HashSet::new();
    for found in places.networks(WithinOptions::default().include_networks_without_data())? {
        let found = found?;
        networks_left = networks_left
            .checked_sub(1)
            .ok_or_else(|| MaxMindDbError::invalid_database("its tree has a cycle"))?;
        if found.offset().is_some_and(|offset| seen.insert(offset)) {
            found.decode::<Anything>()?;
        }
    }
    Ok(())
}

/// A value of any kind, read to its end.
struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Anything {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _value: bool) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_u128<E>(self, _value: u128) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_str<E>(self, _value: &str) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_bytes<E>(self, _value: &[u8]) -> Result<Self, E> {
        Ok(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(Self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(Self)
    }
}

/// `@geoLookup`.
#[derive(Debug)]
pub(crate) struct GeoLookup {
    /// The database; without one, an exchange in which it is asked counts as not judged.
    pub(crate) places: Option<Arc<Places>>,
}

impl GeoLookup {
    /// What the database knows of an address.
    pub(crate) fn facts(&self, address: &[u8]) -> Vec<PlaceFact> {
        self.places.as_ref().map(|places| places.facts(address)).unwrap_or_default()
    }
}

impl Ask for GeoLookup {
    fn compile(_name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        if source.literal()?.is_empty() {
            return Ok(Self { places: None });
        }
        Err(OperatorFault::new("`@geoLookup` takes no argument")
            .with_help("look at the address: `SecRule REMOTE_ADDR \"@geoLookup\"`"))
    }

    fn name(&self) -> &'static str {
        "geoLookup"
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        let Some(places) = &self.places else {
            text.give_up();
            return false;
        };
        places.find(input).is_some()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Memory, RuleSet};

    fn fault(text: &str, files: &Memory) -> String {
        let faults = RuleSet::parse("a.conf", text, files).unwrap_err();
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        fault.to_string()
    }

    #[test]
    fn a_database_that_is_missing_or_broken_is_a_fault_where_it_is_named() {
        let rule = "SecRule REMOTE_ADDR \"@geoLookup\" \"id:1,phase:1,pass\"\n";
        let named = format!("{rule}SecGeoLookupDb places.mmdb\n");
        let told = fault(&named, &Memory::default());
        assert!(told.starts_with("a.conf:2:1: cannot read `places.mmdb`"), "{told}");
        let told = fault(&named, &Memory::default().with("places.mmdb", "no database"));
        assert!(told.starts_with("a.conf:2:1: `places.mmdb` is no sound database"), "{told}");
        let told = fault(&rule.replace("geoLookup", "geoLookup DE"), &Memory::default());
        assert!(told.contains("takes no argument"), "{told}");
    }
}
