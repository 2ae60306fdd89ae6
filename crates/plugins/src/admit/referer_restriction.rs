//! Admits or refuses requests by the page they come from, as `Referer` names it.
//!
//! Exactly one list of hosts: with `whitelist` only requests from its hosts pass; with `blacklist`
//! all others pass. An entry is a host (`shop.example.com`, `[2001:db8::1]`), `*` and what the host
//! ends in (`*.example.com`), or `*` for any host. `*.example.com` does not mean `example.com`
//! itself, and `*example.com` means `badexample.com` too. Case, port, path and a dot at the end do
//! not matter.
//!
//! ```yaml
//! referer-restriction:
//!   whitelist: [shop.example.com, "*.shop.example.com"]
//! ```
//!
//! Precedence: a header that occurs twice, or an http URL whose host could be read in two ways
//! (`https://good.example@evil.example/`), is refused whatever the lists say. A request without the
//! header is refused, unless `bypass_missing` is set; what names no web page (`about:blank`, an
//! app, a bare path) counts as no header. It runs before anything asks who calls; in a global rule
//! also where no route matches.
//!
//! Answers: 403 `admit.referer_denied`, with `message` if there is one. The event says why, without
//! the header, whose query may hold secrets.
//!
//! # Headers
//!
//! `Referer` is read; none is set.
//!
//! # What it costs
//!
//! One comparison per entry, nothing allocated.
//!
//! # What it cannot do
//!
//! It holds off what browsers send on behalf of other sites: images that are linked to, forms that
//! are posted. With `bypass_missing` not even that, since any page can ask the browser to leave the
//! header out. It holds off no program, which writes what it likes there; `csrf` protects sessions.
//!
//! # How it differs from Apache APISIX
//!
//! Case does not matter; an unreadable or repeated header is refused instead of being taken for
//! none, also with `bypass_missing`; an entry with a port, which could never match, is refused.

use std::net::Ipv6Addr;

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::{Authority, Fields};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::web_origin::WebOrigin;

/// The configuration of `referer-restriction`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Hosts of pages whose requests pass; all others are refused.
    #[schemars(length(min = 1), inner(regex(pattern = r"^(\*|\*?[0-9a-zA-Z._\[\]:-]+)$")))]
    whitelist: Option<Vec<String>>,
    /// Hosts of pages whose requests are refused; all others pass.
    #[schemars(length(min = 1), inner(regex(pattern = r"^(\*|\*?[0-9a-zA-Z._\[\]:-]+)$")))]
    blacklist: Option<Vec<String>>,
    /// Whether requests pass that do not say which page they come from.
    #[serde(default)]
    bypass_missing: bool,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    message: Option<String>,
}

/// An entry of a list.
#[derive(Debug)]
enum HostPattern {
    Any,
    Name(Box<str>),
    EndsIn(Box<str>),
    V6(Ipv6Addr),
}

/// Compiled `referer-restriction`.
pub struct RefererRestriction {
    hosts: Box<[HostPattern]>,
    admits_listed: bool,
    admits_missing: bool,
    message: Option<String>,
}

/// What is wrong with the page that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("no `Referer` that names a web page")]
    Missing,
    #[error("more than one `Referer`")]
    Repeated,
    #[error("a `Referer` with {0}")]
    Unreadable(&'static str),
    #[error("a `Referer` that is not on the white list")]
    NotListed,
    #[error("a `Referer` on the black list")]
    Listed,
}

impl Plugin for RefererRestriction {
    const NAME: &'static str = "referer-restriction";
    const PRIORITY: i32 = 2990;
    const KINSHIP: Kinship =
        Kinship::Different("a field that cannot be read or is sent twice is refused");
    const STAGES: StageSet = StageSet::of(&[Stage::Admit]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let (key, list, admits_listed) = match (config.whitelist, config.blacklist) {
            (Some(list), None) => ("whitelist", list, true),
            (None, Some(list)) => ("blacklist", list, false),
            (Some(_), Some(_)) => {
                return Err(Invalid::at("blacklist", "there is also a `whitelist`")
                    .with_help("give one of both: what is not on a white list is refused anyway"));
            }
            (None, None) => return Err(Invalid::new("needs a `whitelist` or a `blacklist`")),
        };
        let read = |(index, text): (usize, &String)| {
            HostPattern::parse(text).map_err(|problem| {
                Invalid::at_item(key, index, format!("`{text}`: {problem}"))
                    .with_help("a host such as `shop.example.com`, or `*.example.com`")
            })
        };
        Ok(Self {
            hosts: list.iter().enumerate().map(read).collect::<Result<_, _>>()?,
            admits_listed,
            admits_missing: config.bypass_missing,
            message: config.message,
        })
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
        let Err(fault) = self.judge(&cx.fields) else { return Ok(Flow::Continue) };
        let mut denial = Denial::new(Reason::RefererDenied, fault.to_string());
        if let Some(message) = &self.message {
            denial = denial.with_message(message.clone());
        }
        Err(denial)
    }
}

impl RefererRestriction {
    fn judge(&self, fields: &Fields) -> Result<(), Fault> {
        let referer = fields.single("referer").map_err(|_| Fault::Repeated)?;
        let origin = WebOrigin::of_url(referer.unwrap_or_default()).map_err(Fault::Unreadable)?;
        match origin {
            None if self.admits_missing => Ok(()),
            None => Err(Fault::Missing),
            Some(origin) => match (self.lists(&origin.authority), self.admits_listed) {
                (true, false) => Err(Fault::Listed),
                (false, true) => Err(Fault::NotListed),
                _ => Ok(()),
            },
        }
    }

    fn lists(&self, host: &Authority<'_>) -> bool {
        self.hosts.iter().any(|pattern| pattern.fits(host))
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (ending, is_ending) = text.strip_prefix('*').map_or((text, false), |rest| (rest, true));
        if is_ending && ending.is_empty() {
            return Ok(Self::Any);
        }
        let bare = if is_ending { ending.strip_prefix('.').unwrap_or(ending) } else { ending };
        let authority = Authority::parse(bare.as_bytes())?;
        if bare.ends_with(':') || authority.port().is_some() {
            return Err("a host is compared without its port");
        }
        match (authority.name(), authority.ipv6()) {
            (Some(_), _) if is_ending => Ok(Self::EndsIn(ending.trim_end_matches('.').into())),
            (Some(name), _) => Ok(Self::Name(name.into())),
            (None, Some(address)) if !is_ending => Ok(Self::V6(address)),
            _ => Err("an address has no ending"),
        }
    }

    fn fits(&self, host: &Authority<'_>) -> bool {
        let name = host.name().map(str::as_bytes);
        match self {
            Self::Any => true,
            Self::Name(own) => name.is_some_and(|name| name.eq_ignore_ascii_case(own.as_bytes())),
            Self::EndsIn(ending) => name.is_some_and(|name| {
                let start = name.len().checked_sub(ending.len());
                let end = start.and_then(|start| name.get(start..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
            }),
            Self::V6(address) => host.ipv6() == Some(*address),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    fn judge(config: &serde_json::Value, referer: &str) -> Result<(), Fault> {
        let plugin: RefererRestriction = Bench::new().compile(config).unwrap();
        let mut fields = Fields::new();
        fields.append("referer", referer.to_owned());
        plugin.judge(&fields)
    }

    #[test]
    fn hosts_and_endings_are_compared_without_case_port_and_path() {
        let config = json!({"whitelist": ["Shop.Example.com", "*.example.org", "[2001:db8::1]"]});
        for (referer, expected) in [
            ("https://shop.example.com/a?b", Ok(())),
            ("http://SHOP.example.com.:8080", Ok(())),
            ("https://a.b.Example.org/", Ok(())),
            ("https://example.org/", Err(Fault::NotListed)),
            ("https://badexample.org/", Err(Fault::NotListed)),
            ("https://shop.example.com.evil.test/", Err(Fault::NotListed)),
            ("https://evil.test/?https://shop.example.com/", Err(Fault::NotListed)),
            ("https://[2001:DB8:0::1]:8443/", Ok(())),
            ("https://[2001:db8::2]/", Err(Fault::NotListed)),
            ("about:blank", Err(Fault::Missing)),
            ("/orders", Err(Fault::Missing)),
        ] {
            assert_eq!(judge(&config, referer), expected, "{referer}");
        }
    }

    #[test]
    fn a_host_that_could_be_read_in_two_ways_is_refused_whatever_the_list() {
        for referer in ["https://good.test@evil.test/", "https://evil.test\\@good.test/"] {
            for list in ["whitelist", "blacklist"] {
                let config = json!({list: ["good.test"], "bypass_missing": true});
                assert!(matches!(judge(&config, referer), Err(Fault::Unreadable(_))), "{referer}");
            }
        }
    }

    #[test]
    fn entries_that_could_never_match_are_refused() {
        for entry in ["a.test:80", "a.test:", "a..b", "[::1", "*[::1]", "*..a", "."] {
            let fault = Bench::new().fault::<RefererRestriction>(&json!({"blacklist": [entry]}));
            assert_eq!(fault.path.len(), 2, "{entry}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(
            entries in prop::collection::vec("(\\*\\.?)?[ab]{1,2}(\\.[ab]{1,2})?", 1..5),
            host in "[ab]{1,2}(\\.[abAB]{1,2}){0,2}",
        ) {
            let lower = host.to_lowercase();
            let naive = entries.iter().any(|entry| match entry.strip_prefix('*') {
                Some(ending) => lower.ends_with(ending),
                None => lower == *entry,
            });
            let config = json!({"whitelist": entries});
            prop_assert_eq!(judge(&config, &format!("https://{host}/")).is_ok(), naive);
        }
    }
}
