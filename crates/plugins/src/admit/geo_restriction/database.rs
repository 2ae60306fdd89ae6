//! Databases of places by address, in `MaxMind`'s format (version 2.0).
//!
//! A database is read whole and verified when the configuration compiles, so that a broken file is
//! a diagnostic and not a request that goes wrong. Makers lay records out differently; which
//! members a file has is found out then, too.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, OnceLock};

use bartizan_chain::CompileCx;
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_waf::verify_places;
use maxminddb::{LookupResult, PathElement, Reader, WithinOptions};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

type Path = &'static [PathElement<'static>];
type Found<'d> = LookupResult<'d, Vec<u8>>;

/// Where makers put the code of a country (ISO 3166-1 alpha-2).
const COUNTRY: &[Path] = &[
    &[PathElement::Key("country"), PathElement::Key("iso_code")],
    &[PathElement::Key("country_code")],
    &[PathElement::Key("country")],
];
/// Where makers put the code of a continent.
const CONTINENT: &[Path] = &[
    &[PathElement::Key("continent"), PathElement::Key("code")],
    &[PathElement::Key("continent_code")],
    &[PathElement::Key("continent")],
];
/// Where makers put the number of an autonomous system.
const NETWORK: &[Path] = &[
    &[PathElement::Key("autonomous_system_number")],
    &[PathElement::Key("asn")],
    &[PathElement::Key("traits"), PathElement::Key("autonomous_system_number")],
];

/// A fact of an address that lists are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Country,
    Continent,
    Network,
}

impl Fact {
    const ALL: [Self; 3] = [Self::Country, Self::Continent, Self::Network];

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Country => "countries",
            Self::Continent => "continents",
            Self::Network => "networks",
        }
    }

    fn places(self) -> &'static [Path] {
        match self {
            Self::Country => COUNTRY,
            Self::Continent => CONTINENT,
            Self::Network => NETWORK,
        }
    }

    fn is_at(self, found: &Found<'_>, path: Path) -> bool {
        match self {
            Self::Network => number(found, path).is_ok_and(|number| number.is_some()),
            Self::Country | Self::Continent => code(found, path).is_ok_and(|code| code.is_some()),
        }
    }
}

/// A code of two letters.
pub(super) type Code = [u8; 2];

/// What a record holds does not fit its place: the file changed under us, or was never sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A verified database.
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    /// Where its records have each fact.
    paths: [Option<Path>; 3],
}

/// The record of one address; `None` where the database has none.
pub(super) struct Record<'d> {
    found: Option<Found<'d>>,
    paths: &'d [Option<Path>; 3],
}

impl Database {
    /// Takes a file's bytes, or says why it is no database.
    pub(super) fn new(bytes: Vec<u8>) -> Result<Self, String> {
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        verify_places(&reader).map_err(|error| error.to_string())?;
        let mut paths = [None; 3];
        // Most records have all that any has; only what a database lacks is looked for to the end.
        let networks = reader.networks(WithinOptions::default());
        for found in networks.map_err(|error| error.to_string())? {
            let found = found.map_err(|error| error.to_string())?;
            for (path, fact) in paths.iter_mut().zip(Fact::ALL).filter(|(path, _)| path.is_none()) {
                *path = fact.places().iter().copied().find(|path| fact.is_at(&found, path));
            }
            if paths.iter().all(Option::is_some) {
                break;
            }
        }
        Ok(Self { reader, paths })
    }

    pub(super) fn has(&self, fact: Fact) -> bool {
        path(&self.paths, fact).is_some()
    }

    pub(super) fn record(&self, address: IpAddr) -> Result<Record<'_>, Broken> {
        let paths = &self.paths;
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return Ok(Record { found: None, paths });
        }
        let found = self.reader.lookup(address).map_err(|_| Broken)?;
        Ok(Record { found: Some(found).filter(LookupResult::has_data), paths })
    }
}

impl Record<'_> {
    pub(super) fn code(&self, fact: Fact) -> Result<Option<Code>, Broken> {
        match (&self.found, path(self.paths, fact)) {
            (Some(found), Some(path)) => code(found, path),
            _ => Ok(None),
        }
    }

    pub(super) fn network(&self) -> Result<Option<u32>, Broken> {
        match (&self.found, path(self.paths, Fact::Network)) {
            (Some(found), Some(path)) => number(found, path),
            _ => Ok(None),
        }
    }
}

fn path(paths: &[Option<Path>; 3], fact: Fact) -> Option<Path> {
    paths.get(fact as usize).copied().flatten()
}

fn code(found: &Found<'_>, path: Path) -> Result<Option<Code>, Broken> {
    let text = found.decode_path::<&str>(path).map_err(|_| Broken)?;
    let code = text.and_then(|text| Code::try_from(text.as_bytes()).ok());
    Ok(code.map(|code| code.map(|letter| letter.to_ascii_uppercase())))
}

/// A number, or a text such as `AS64500`.
fn number(found: &Found<'_>, path: Path) -> Result<Option<u32>, Broken> {
    let number = found.decode_path::<Number>(path).map_err(|_| Broken)?;
    Ok(number.and_then(|number| number.0))
}

/// A number in whatever type; `None` where a text is none.
struct Number(Option<u32>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number of a network")
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(u32::try_from(number).ok()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Number, E> {
        Ok(Number(text.strip_prefix("AS").unwrap_or(text).parse().ok()))
    }
}

/// A database that plugins share, for as long as one of them holds it.
#[derive(Clone)]
pub(super) struct Shared(Arc<OnceLock<Database>>);

impl Shared {
    /// The database in a file, which is watched from then on. A file that has been read and not
    /// changed since is not read again, however many plugins name it.
    pub(super) fn open(cx: &CompileCx<'_>, key: &str, path: &str) -> Result<Self, Invalid> {
        let fault = |cause: String| Invalid::at(key, format!("`{path}`: {cause}"));
        let barred = |why: &str| Invalid::at(key, format!("`{path}` {why}"));
        let full = cx.resolve_path(path).map_err(barred)?;
        // Opening a pipe would wait for whoever writes to it.
        if std::fs::metadata(&full).is_ok_and(|found| !found.is_file()) {
            return Err(fault("is not a file".to_owned()));
        }
        let file = File::open(&full).map_err(|error| fault(error.to_string()))?;
        let facts = file.metadata().map_err(|error| fault(error.to_string()))?;
        if !facts.is_file() {
            return Err(fault("is not a file".to_owned()));
        }
        let max = cx.node.limits.geo_database.0;
        let too_large = || fault(format!("is larger than `limits.geo_database` ({max} bytes)"));
        if facts.len() > max {
            return Err(too_large());
        }
        let version = (facts.dev(), facts.ino(), facts.len());
        let times = (facts.mtime(), facts.mtime_nsec(), facts.ctime(), facts.ctime_nsec());
        let state = format!("{} {version:?} {times:?}", full.display());
        let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(cx.plugin) };
        let slot = cx.node.registry.state(&node, cx.plugin, state, OnceLock::new);
        if slot.get().is_none() {
            let mut bytes = Vec::new();
            let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes);
            read.map_err(|error| fault(error.to_string()))?;
            if bytes.len() as u64 > max {
                return Err(too_large());
            }
            let database = Database::new(bytes).map_err(|cause| {
                fault(format!("is no sound database: {cause}"))
                    .with_help("a file in MaxMind's format, such as `GeoLite2-Country.mmdb`")
            })?;
            // Compiling is one at a time; were it not, whoever came first would have read the same.
            let _ = slot.set(database);
        }
        Ok(Self(slot))
    }

    pub(super) fn get(&self) -> Result<&Database, Broken> {
        self.0.get().ok_or(Broken)
    }

    #[cfg(test)]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
