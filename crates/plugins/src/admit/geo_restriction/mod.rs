//! Admits or refuses clients by where their address is: country, continent, or the network that it
//! belongs to (its autonomous system).
//!
//! ```yaml
//! geo-restriction:
//!   database: GeoLite2-Country.mmdb
//!   allow: {countries: [DE, AT, CH]}
//! ```
//!
//! `allow` and `deny` name countries by their code of two letters (ISO 3166-1), continents (`AF`,
//! `AN`, `AS`, `EU`, `NA`, `OC`, `SA`) and networks by their number (`64500`). An address is on a
//! list if any of what stands there is true of it. The address is the client's, after
//! `trusted_proxies` and `real-ip`; an IPv4 client on an IPv6 socket is the IPv4 address it is.
//!
//! Precedence: `deny` wins. With `allow` only what it names passes; with `deny` alone all others
//! pass. **`unknown`** is what happens where the database does not say what a list asks for, so
//! that the address could be on it: `deny` unless `allow` is written. Addresses of private networks
//! are unknown in most databases, and so is whatever is newer than the file. A record that cannot
//! be read refuses.
//!
//! The database is any file in `MaxMind`'s format (version 2.0). Country and continent are read from
//! `country.iso_code` and `continent.code`, `country_code` and `continent_code`, or `country` and
//! `continent`; the number of a network from `autonomous_system_number`, `asn` or
//! `traits.autonomous_system_number`. Most makers ship networks in a file of their own, which is
//! `network_database`. What a list asks for and no record of the file has is refused when the
//! configuration is loaded, as is a file that is broken or larger than `limits.geo_database`.
//!
//! Files are read when the configuration is loaded, verified, shared by all plugins that name them,
//! and watched: a new file (put in place by renaming) is taken without a restart, and one that is
//! broken leaves the old one in force.
//!
//! Answers: `response_code` (403) `admit.place_denied`, with `message` if there is one. The event
//! says which address, and what decided. It runs before anything asks who calls; in a global rule
//! also where no route matches.
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! One walk through the tree of each database, well below a microsecond, and the size of the files
//! in memory. Reading a file of 60 MiB takes about a second, once for each change.
//!
//! # What it cannot do
//!
//! It knows addresses, not people: whoever hires a server or a tunnel is where that is. Databases
//! err. It proves nothing about who calls.

mod database;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use database::{Broken, Code, Fact, Shared};

/// The configuration of `geo-restriction`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database's file, read when the configuration is loaded and watched.
    #[schemars(length(min = 1, max = 4096))]
    database: String,
    /// The file that says which network an address belongs to, where `database` does not.
    #[schemars(length(min = 1, max = 4096))]
    network_database: Option<String>,
    /// What passes; all others are refused.
    allow: Option<Places>,
    /// What is refused, whatever `allow` says.
    deny: Option<Places>,
    /// What happens where the database does not say what the lists ask for.
    #[serde(default)]
    unknown: Unknown,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    message: Option<String>,
    /// The status of a refusal.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 403, max = 404))]
    response_code: u16,
}

/// Where addresses can be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// Countries by their code of two letters, such as `DE`.
    #[schemars(length(min = 1, max = 300), inner(regex(pattern = r"^[A-Z]{2}$")))]
    countries: Option<Vec<String>>,
    /// Continents by their code.
    #[schemars(length(min = 1, max = 7))]
    continents: Option<Vec<Continent>>,
    /// Networks by the number of their autonomous system, such as `64500`.
    #[schemars(length(min = 1, max = 10_000), inner(range(min = 1)))]
    networks: Option<Vec<u32>>,
}

/// A continent.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum Continent {
    /// Africa
    Af,
    /// Antarctica
    An,
    /// Asia
    As,
    /// Europe
    Eu,
    /// North America
    Na,
    /// Oceania
    Oc,
    /// South America
    Sa,
}

/// What happens to addresses that the database does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Unknown {
    /// They are refused.
    #[default]
    Deny,
    /// They pass.
    Allow,
}

fn forbidden() -> u16 {
    403
}

/// A compiled list; each part sorted, `None` where it asks for nothing of the kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    countries: Option<Box<[Code]>>,
    continents: Option<Box<[Code]>>,
    networks: Option<Box<[u32]>>,
}

/// Compiled `geo-restriction`.
pub struct GeoRestriction {
    places: Shared,
    networks: Option<Shared>,
    rules: Rules,
    message: Option<String>,
    status: u16,
}

/// What the lists say.
#[derive(Debug)]
struct Rules {
    allow: Option<List>,
    deny: Option<List>,
    unknown: Unknown,
}

/// What is known of an address, as far as the lists ask for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    country: Option<Code>,
    continent: Option<Code>,
    network: Option<u32>,
}

/// Whether an address is on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Yes,
    No,
    /// It could be: something that the list asks for is not known.
    Perhaps,
}

/// Why an address is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("is in a place that is denied")]
    Denied,
    #[error("is in no place that is allowed")]
    NotAllowed,
    #[error("is in no place that the database knows")]
    Unknown,
    #[error("has a record that cannot be read")]
    Broken,
}

impl Plugin for GeoRestriction {
    const NAME: &'static str = "geo-restriction";
    const PRIORITY: i32 = 2995;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Admit]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.allow.is_none() && config.deny.is_none() {
            return Err(Invalid::new("needs `allow` or `deny`"));
        }
        let places = Shared::open(cx, "database", &config.database)?;
        let networks = config.network_database.as_deref();
        let networks =
            networks.map(|path| Shared::open(cx, "network_database", path)).transpose()?;
        let list = |key: &str, list: Option<Places>| {
            list.map(|list| list.compile(&places, networks.as_ref()))
                .transpose()
                .map_err(|fault| fault.under(PathStep::Key(key.to_owned())))
        };
        let rules = Rules {
            allow: list("allow", config.allow)?,
            deny: list("deny", config.deny)?,
            unknown: config.unknown,
        };
        if networks.is_some() && !rules.ask(|list| list.networks.is_some()) {
            return Err(Invalid::at("network_database", "no list names a network"));
        }
        Ok(Self { places, networks, rules, message: config.message, status: config.response_code })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Admit])
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let address = cx.client().to_canonical();
        let known = self.known(address).map_err(|Broken| Fault::Broken);
        let Err(fault) = known.and_then(|known| self.rules.judge(known)) else {
            return Ok(Flow::Continue);
        };
        let detail = format!("{address} {fault}");
        let mut denial = Denial::new(Reason::PlaceDenied, detail).with_status(self.status);
        if let Some(message) = &self.message {
            denial = denial.with_message(message.clone());
        }
        Err(denial)
    }
}

impl GeoRestriction {
    fn known(&self, address: IpAddr) -> Result<Known, Broken> {
        let record = self.places.get()?.record(address)?;
        let mut known = Known::default();
        if self.rules.ask(|list| list.countries.is_some()) {
            known.country = record.code(Fact::Country)?;
        }
        if self.rules.ask(|list| list.continents.is_some()) {
            known.continent = record.code(Fact::Continent)?;
        }
        if self.rules.ask(|list| list.networks.is_some()) {
            known.network = match &self.networks {
                Some(networks) => networks.get()?.record(address)?.network()?,
                None => record.network()?,
            };
        }
        Ok(known)
    }
}

impl Rules {
    /// Whether any list asks for something.
    fn ask(&self, asks: impl Fn(&List) -> bool) -> bool {
        [&self.allow, &self.deny].into_iter().flatten().any(asks)
    }

    fn judge(&self, known: Known) -> Result<(), Fault> {
        let unknown = match self.unknown {
            Unknown::Deny => Err(Fault::Unknown),
            Unknown::Allow => Ok(()),
        };
        match self.deny.as_ref().map_or(Listed::No, |list| list.lists(known)) {
            Listed::Yes => return Err(Fault::Denied),
            Listed::Perhaps => unknown?,
            Listed::No => {}
        }
        match self.allow.as_ref().map_or(Listed::Yes, |list| list.lists(known)) {
            Listed::Yes => Ok(()),
            Listed::Perhaps => unknown,
            Listed::No => Err(Fault::NotAllowed),
        }
    }
}

impl List {
    fn lists(&self, known: Known) -> Listed {
        let parts = [
            part(self.countries.as_deref(), known.country),
            part(self.continents.as_deref(), known.continent),
            part(self.networks.as_deref(), known.network),
        ];
        if parts.contains(&Listed::Yes) {
            Listed::Yes
        } else if parts.contains(&Listed::Perhaps) {
            Listed::Perhaps
        } else {
            Listed::No
        }
    }
}

fn part<T: Ord>(list: Option<&[T]>, known: Option<T>) -> Listed {
    match (list, known) {
        (Some(_), None) => Listed::Perhaps,
        (Some(list), Some(known)) if list.binary_search(&known).is_ok() => Listed::Yes,
        _ => Listed::No,
    }
}

impl Places {
    fn compile(self, places: &Shared, networks: Option<&Shared>) -> Result<List, Invalid> {
        if self.countries.is_none() && self.continents.is_none() && self.networks.is_none() {
            return Err(Invalid::new("names nothing")
                .with_help("one of `countries`, `continents` and `networks`"));
        }
        for (fact, is_asked, database) in [
            (Fact::Country, self.countries.is_some(), places),
            (Fact::Continent, self.continents.is_some(), places),
            (Fact::Network, self.networks.is_some(), networks.unwrap_or(places)),
        ] {
            if is_asked && !database.get().is_ok_and(|database| database.has(fact)) {
                let names = fact.plural();
                let fault = Invalid::at(names, format!("the database knows no {names}"));
                return Err(match fact {
                    Fact::Network => fault.with_help("name one that does in `network_database`"),
                    Fact::Country | Fact::Continent => fault,
                });
            }
        }
        let code = |text: &String| Code::try_from(text.as_bytes()).unwrap_or_default();
        let countries = self.countries.map(|list| list.iter().map(code).collect());
        let continents =
            self.continents.map(|list| list.into_iter().map(Continent::code).collect());
        Ok(List {
            countries: countries.map(sorted),
            continents: continents.map(sorted),
            networks: self.networks.map(sorted),
        })
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Box<[T]> {
    list.sort_unstable();
    list.into()
}

impl Continent {
    fn code(self) -> Code {
        *match self {
            Self::Af => b"AF",
            Self::An => b"AN",
            Self::As => b"AS",
            Self::Eu => b"EU",
            Self::Na => b"NA",
            Self::Oc => b"OC",
            Self::Sa => b"SA",
        }
    }
}
