//! Takes the client's address from what a trusted proxy says.
//!
//! Behind a load balancer every connection comes from the balancer. Where the connection's own
//! address is one of `trusted_addresses`, the client's address is read from `source`: the last
//! entry of the list that stands there, or with `recursive` the right-most that is not itself
//! trusted. A field that occurs several times is one list, as proxies that append leave it. From
//! everybody else the header is hearsay and not read.
//!
//! ```yaml
//! real-ip:
//!   source: http_x_forwarded_for
//!   trusted_addresses: [10.0.0.0/8]
//!   recursive: true
//! ```
//!
//! A trusted proxy that says nothing leaves the address as it is; one that says something that is
//! no address gets 400. An entry is an address, with or without a port: `192.0.2.1`,
//! `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]:443`.
//!
//! # Headers
//!
//! The one that `source` names is read, from trusted connections only.
//!
//! # What it costs
//!
//! The length of the header.
//!
//! # What it cannot do
//!
//! It runs after the route is matched, so that it is not for `remote_addrs` of routes; for a whole
//! node use `trusted_proxies` instead. It cannot tell whether a trusted proxy tells the truth.
//!
//! # How it differs from Apache APISIX
//!
//! `trusted_addresses` is required: without it any client could choose its own address. A trusted
//! proxy that sends what is no address gets 400.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits, Var};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::Fields;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::networks::Networks;

/// The configuration of `real-ip`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the address stands: `http_<field>`, `arg_<parameter>` or `cookie_<name>`.
    #[schemars(length(min = 1, max = 256))]
    source: String,
    /// Addresses and networks of the proxies whose word is taken; at least one.
    #[schemars(length(min = 1))]
    trusted_addresses: Option<Vec<String>>,
    /// Whether trusted proxies in the list are passed over, from the right.
    #[serde(default)]
    recursive: bool,
}

/// Compiled `real-ip`.
pub struct RealIp {
    source: Var,
    source_name: String,
    trusted: Networks,
    is_recursive: bool,
}

impl Plugin for RealIp {
    const NAME: &'static str = "real-ip";
    const PRIORITY: i32 = 23_000;
    const KINSHIP: Kinship = Kinship::Different(
        "`trusted_addresses` is required; a trusted proxy that sends no address gets 400",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Prepare]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let source =
            Var::parse(&config.source).map_err(|error| Invalid::at("source", error.to_string()))?;
        if !matches!(source, Var::Http(_) | Var::Arg(_) | Var::Cookie(_)) {
            let problem = format!("`{}` is nothing that a proxy sends", config.source);
            return Err(Invalid::at("source", problem)
                .with_help("for example `http_x_forwarded_for` or `http_x_real_ip`"));
        }
        let Some(list) = config.trusted_addresses.filter(|list| !list.is_empty()) else {
            return Err(Invalid::new("needs `trusted_addresses`").with_help(
                "the proxies in front of this gateway: from anybody else the address \
                            would be whatever the client likes",
            ));
        };
        let trusted = Networks::read("trusted_addresses", &list)?;
        let (source_name, is_recursive) = (config.source, config.recursive);
        Ok(Self { source, source_name, trusted, is_recursive })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Prepare])
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        if !self.trusted.contain(cx.peer.address.ip()) {
            return Ok(Flow::Continue);
        }
        let said = match &self.source {
            Var::Http(name) => Ok(listed(&cx.fields, name)),
            other => other.value(cx).map_err(|_| Fault::Unreadable),
        };
        match said.and_then(|said| said.map(|list| self.client(&list)).transpose()) {
            Ok(None) => Ok(Flow::Continue),
            Ok(Some(client)) => {
                cx.set_client(client);
                Ok(Flow::Continue)
            }
            Err(fault) => {
                let peer = cx.peer.address.ip();
                let detail = format!("`{}` from {peer}: {fault}", self.source_name);
                Err(Denial::new(Reason::BadClientAddress, detail))
            }
        }
    }
}

/// Why what a trusted proxy says is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("an entry is no address")]
    NotAnAddress,
    #[error("there is no entry")]
    Empty,
    #[error("it occurs more than once, or is no text")]
    Unreadable,
}

/// All values of a field as one list (RFC 9110 §5.3); bytes outside of UTF-8 are no address.
fn listed<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, str>> {
    let mut values = fields.all(name).map(String::from_utf8_lossy);
    let first = values.next()?;
    Some(values.fold(first, |list, value| Cow::Owned(format!("{list},{value}"))))
}

impl RealIp {
    /// The client's address out of a list whose last entry comes from a trusted peer.
    fn client(&self, list: &str) -> Result<IpAddr, Fault> {
        let mut entries = list.rsplit(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mut client = address(entries.next().ok_or(Fault::Empty)?)?;
        while self.is_recursive && self.trusted.contain(client) {
            let Some(entry) = entries.next() else { break };
            client = address(entry)?;
        }
        Ok(client)
    }
}

fn address(entry: &str) -> Result<IpAddr, Fault> {
    let bare = entry.parse::<IpAddr>().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    bare.or_else(with_port)
        .or_else(in_brackets)
        .map(|address| address.to_canonical())
        .ok_or(Fault::NotAnAddress)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    fn plugin(is_recursive: bool) -> RealIp {
        let config = json!({
            "source": "http_x_forwarded_for",
            "trusted_addresses": ["10.0.0.0/8", "2001:db8::/32"],
            "recursive": is_recursive,
        });
        Bench::new().compile(&config).unwrap()
    }

    #[test]
    fn the_last_entry_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.0.0.1", "10.0.0.1"),
            ("x,,192.0.2.1, ", "192.0.2.1"),
            ("192.0.2.1:8080", "192.0.2.1"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(plugin(false).client(list), Ok(client.parse().unwrap()), "{list}");
        }
    }

    #[test]
    fn recursion_stops_at_the_first_stranger_from_the_right() {
        for (list, client) in [
            ("6.6.6.6, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
            ("192.0.2.1, 2001:db8::1, 10.0.0.1:99", "192.0.2.1"),
            ("10.0.0.9, 10.0.0.1", "10.0.0.9"),
            ("unknown, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        ] {
            assert_eq!(plugin(true).client(list), Ok(client.parse().unwrap()), "{list}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_where_it_counts() {
        for list in
            ["", " , ", "unknown", "192.0.2.1, _hidden", "192.0.2", "192.0.2.1:99999", "[::1"]
        {
            assert!(plugin(false).client(list).is_err(), "{list}");
        }
        assert_eq!(plugin(true).client("unknown, 10.0.0.1"), Err(Fault::NotAnAddress));
        assert_eq!(plugin(false).client(","), Err(Fault::Empty));
    }

    #[test]
    fn repeated_fields_are_one_list() {
        let mut fields = Fields::new();
        assert_eq!(listed(&fields, "x-forwarded-for"), None);
        fields.append("x-forwarded-for", "1.1.1.1, 2.2.2.2");
        fields.append("x-forwarded-for", "3.3.3.3");
        assert_eq!(listed(&fields, "x-forwarded-for").as_deref(), Some("1.1.1.1, 2.2.2.2,3.3.3.3"));
    }

    #[test]
    fn without_trusted_proxies_it_does_not_compile() {
        for (config, problem) in [
            (json!({ "source": "http_x_real_ip" }), "needs `trusted_addresses`"),
            (json!({ "source": "http_x", "trusted_addresses": [] }), "needs `trusted_addresses`"),
            (json!({ "source": "http_x", "trusted_addresses": ["x"] }), "invalid ip address: `x`"),
            (
                json!({ "source": "uri", "trusted_addresses": ["::1"] }),
                "nothing that a proxy sends",
            ),
            (json!({ "source": "htp_x", "trusted_addresses": ["::1"] }), "no variable `htp_x`"),
        ] {
            let fault = Bench::new().fault::<RealIp>(&config);
            assert!(fault.problem.contains(problem), "{}", fault.problem);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_client_cannot_write_past_the_address_that_a_proxy_appended(
            claimed in "[ -~]{0,40}",
            real: u32,
        ) {
            let real = IpAddr::V4(Ipv4Addr::from(real));
            proptest::prop_assume!(!plugin(true).trusted.contain(real));
            let list = format!("{claimed}, {real}, 10.0.0.1");
            proptest::prop_assert_eq!(plugin(true).client(&list), Ok(real));
        }
    }
}
