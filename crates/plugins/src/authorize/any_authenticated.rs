//! Declares that everybody whose identity is proved may call a route, and why.
//!
//! Authentication alone is no grant: a route also has to say who of those may use it. Where that
//! is really everyone, this plugin says so. A request without an identity is refused, and so is
//! one whose anonymity was only declared (`anonymous-access`, `anonymous_consumer`).
//!
//! ```yaml
//! any-authenticated:
//!   reason: every customer may read the catalogue
//! ```
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! One comparison.
//!
//! # What it cannot do
//!
//! It knows nothing of objects: who may call the route may name any object in it; where objects
//! belong to somebody, use `object-guard`.

use bartizan_chain::{CompileCx, Flow, Identity, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::declared::Declared;

/// The configuration of `any-authenticated`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Why everyone who is known may do this; told in the event of every refusal.
    reason: Declared,
}

/// Compiled `any-authenticated`.
pub struct AnyAuthenticated {
    detail: String,
}

impl Plugin for AnyAuthenticated {
    const NAME: &'static str = "any-authenticated";
    const PRIORITY: i32 = 2390;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Authorize]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let reason = config.reason.text();
        Ok(Self { detail: format!("open to every proved identity (`{reason}`), this one is not") })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authorize]);
        traits.proves.grant = true;
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let is_proved = cx.identity().map(|identity: &Identity| !identity.is_anonymous());
        self.admit(is_proved.unwrap_or(false)).map(|()| Flow::Continue)
    }
}

impl AnyAuthenticated {
    fn admit(&self, is_proved: bool) -> Result<(), Denial> {
        if is_proved {
            return Ok(());
        }
        Err(Denial::new(Reason::IdentityRequired, self.detail.clone()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn who_is_proved_passes_and_nobody_else() {
        let plugin: AnyAuthenticated = Bench::new().compile(&json!({ "reason": "all" })).unwrap();
        assert!(plugin.traits().proves.grant && !plugin.traits().proves.authentication);
        assert!(plugin.admit(true).is_ok());
        let denial = plugin.admit(false).unwrap_err();
        assert_eq!((denial.reason, denial.status()), (Reason::IdentityRequired, 401));
        assert!(denial.detail.contains("`all`"));
    }

    #[test]
    fn a_reason_must_be_given() {
        for config in [json!({}), json!({ "reason": " " }), json!({ "reason": "x".repeat(300) })] {
            Bench::new().fault::<AnyAuthenticated>(&config);
        }
    }
}
