//! Admits or refuses clients by address.
//!
//! Exactly one list: with `whitelist` only its addresses pass; with `blacklist` all but its
//! addresses pass. The address is the client's, after `trusted_proxies` and `real-ip`. An IPv4
//! client on an IPv6 socket is compared as the IPv4 address it is.
//!
//! ```yaml
//! ip-restriction:
//!   whitelist: [10.0.0.0/8, "2001:db8::/32"]
//! ```
//!
//! # Headers
//!
//! It reads none: `X-Forwarded-For` counts only through `trusted_proxies` or `real-ip`.
//!
//! # What it costs
//!
//! A binary search among the entries.
//!
//! # What it cannot do
//!
//! It cannot tell clients apart that share an address, and proves nothing about who calls.

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::IpAddr;

use crate::networks::Networks;

/// The configuration of `ip-restriction`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Addresses and networks that pass; all others are refused.
    #[schemars(length(min = 1))]
    whitelist: Option<Vec<String>>,
    /// Addresses and networks that are refused; all others pass.
    #[schemars(length(min = 1))]
    blacklist: Option<Vec<String>>,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    message: Option<String>,
    /// The status of a refusal.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 403, max = 404))]
    response_code: u16,
}

fn forbidden() -> u16 {
    403
}

/// Compiled `ip-restriction`.
pub struct IpRestriction {
    nets: Networks,
    admits_listed: bool,
    message: Option<String>,
    status: u16,
}

impl Plugin for IpRestriction {
    const NAME: &'static str = "ip-restriction";
    const PRIORITY: i32 = 3000;
    const KINSHIP: Kinship = Kinship::Same;
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
        let nets = Networks::read(key, &list)?;
        Ok(Self { nets, admits_listed, message: config.message, status: config.response_code })
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
        if self.admits(cx.client()) {
            return Ok(Flow::Continue);
        }
        let list = if self.admits_listed { "not on the white list" } else { "on the black list" };
        let mut denial = Denial::new(Reason::AddressDenied, format!("{} is {list}", cx.client()))
            .with_status(self.status);
        if let Some(message) = &self.message {
            denial = denial.with_message(message);
        }
        Err(denial)
    }
}

impl IpRestriction {
    fn admits(&self, client: IpAddr) -> bool {
        self.nets.contain(client) == self.admits_listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(list: &[&str], admits_listed: bool) -> IpRestriction {
        let list: Vec<String> = list.iter().map(|text| (*text).to_owned()).collect();
        let nets = Networks::read("whitelist", &list).unwrap();
        IpRestriction { nets, admits_listed, message: None, status: 403 }
    }

    #[test]
    fn a_white_list_admits_only_what_it_names() {
        let plugin = plugin(&["10.0.0.0/8", "2001:db8::1"], true);
        for (ip, expected) in
            [("10.9.9.9", true), ("11.0.0.1", false), ("2001:db8::1", true), ("2001:db8::2", false)]
        {
            assert_eq!(plugin.admits(ip.parse().unwrap()), expected, "{ip}");
        }
    }

    #[test]
    fn a_black_list_refuses_only_what_it_names() {
        let plugin = plugin(&["10.0.0.0/8"], false);
        assert!(!plugin.admits("10.0.0.1".parse().unwrap()));
        assert!(plugin.admits("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn mapped_addresses_are_the_addresses_they_map() {
        assert!(!plugin(&["10.0.0.0/8"], false).admits("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!plugin(&["::ffff:10.0.0.0/104"], false).admits("10.0.0.1".parse().unwrap()));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(
            list in proptest::collection::vec((0_u32..4, 0_u8..=32), 1..4),
            base in 0_u32..4,
            flipped in 0_u32..32,
            is_mapped: bool,
            admits_listed: bool,
        ) {
            // Addresses differ from a network in one bit at most: those are the near misses.
            let v4 = |base: u32| 0xc000_0200_u32 | base << 5;
            let address = v4(base) ^ 1 << flipped;
            let within = |(net, length): &(u32, u8)| {
                *length == 0 || (address ^ v4(*net)) >> (32 - u32::from(*length)) == 0
            };
            let naive = list.iter().any(within) == admits_listed;
            let text = |(net, length): &(u32, u8)| {
                format!("{}/{length}", std::net::Ipv4Addr::from(v4(*net)))
            };
            let texts: Vec<String> = list.iter().map(text).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let address = std::net::Ipv4Addr::from(address);
            let asked =
                if is_mapped { address.to_ipv6_mapped().into() } else { IpAddr::from(address) };
            proptest::prop_assert_eq!(plugin(&texts, admits_listed).admits(asked), naive);
        }
    }
}
