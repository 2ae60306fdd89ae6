//! Tells what the node is, at `/v1/server_info` of the status listener.
//!
//! ```yaml
//! server-info: {}
//! ```
//!
//! Write it in a global rule; it is about the node, not about a route, and the page is there as long
//! as it is in force anywhere. The page is JSON: `id` and `hostname` (the name of the machine),
//! `version` (`bartizan/…`), `boot_time` and `up_time` in seconds.
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! Nothing for requests.
//!
//! # What it cannot do
//!
//! It asks for no credential where the status listener does not, and a version helps whoever looks
//! for a known weakness: keep the status listener on loopback or a network for operators. On a
//! route the page can be put with `public-api`, behind that route's authentication.
//!
//! # How it differs from Apache APISIX
//!
//! The page is on the status listener, and nothing is reported to etcd.

use std::sync::Arc;

use bartizan_chain::{CompileCx, Kinship, Nothing, Page, Plugin, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Clock, Stage, StageSet, Timestamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::node_page::node_page;

/// Where the page is.
pub(crate) const PATH: &str = "/v1/server_info";

/// The configuration of `server-info`: it has no fields.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Compiled `server-info`.
pub struct ServerInfo(#[expect(dead_code, reason = "held, the page is there")] Arc<InfoPage>);

pub(crate) struct InfoPage {
    hostname: Arc<str>,
    started: Timestamp,
    clock: Clock,
}

impl Page for InfoPage {
    fn media(&self) -> &'static str {
        "application/json"
    }

    fn text(&self) -> String {
        json!({
            "id": &*self.hostname,
            "hostname": &*self.hostname,
            "version": concat!("bartizan/", env!("CARGO_PKG_VERSION")),
            "boot_time": self.started.as_secs(),
            "up_time": self.clock.now().since(self.started).as_secs(),
        })
        .to_string()
    }
}

impl Plugin for ServerInfo {
    const NAME: &'static str = "server-info";
    const PRIORITY: i32 = 990;
    const KINSHIP: Kinship = Kinship::Different("on the status listener");
    const STAGES: StageSet = StageSet::of(&[Stage::Observe]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(_config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let make = || InfoPage {
            hostname: cx.node.outside.hostname.clone(),
            started: cx.node.started,
            clock: cx.node.clock.clone(),
        };
        Ok(Self(node_page(cx, PATH, make)))
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Observe])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_core::ManualClock;
    use serde_json::Value;

    use super::*;
    use crate::fixture::Bench;

    proptest::proptest! {
        #[test]
        fn the_time_since_the_start_is_told(seconds in 0_u64..10_000_000) {
            let mut bench = Bench::new();
            let start = Timestamp::from_secs(1_000_000);
            let clock = ManualClock::at(start);
            bench.node.clock = Clock::Manual(clock.clone());
            bench.node.started = start;
            let _plugin: ServerInfo = bench.compile(&json!({})).unwrap();
            clock.advance(Duration::from_secs(seconds));
            let text = bench.node.pages.find(PATH).unwrap().text();
            let told: Value = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(&told["up_time"], &json!(seconds));
            proptest::prop_assert_eq!(&told["boot_time"], &json!(1_000_000));
        }
    }
}
