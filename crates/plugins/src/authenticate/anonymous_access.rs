//! Declares that a route may be called by anybody, and why.
//!
//! Routes are closed until something says otherwise; this says it, where everyone who reads the
//! configuration sees it. It stands for authentication and grant at once. Nobody is asked for a
//! credential; where an authentication plugin of the same route has already proved who calls, that
//! identity is kept.
//!
//! ```yaml
//! anonymous-access:
//!   reason: the price list is public
//! ```
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! Nothing.
//!
//! # What it cannot do
//!
//! It does not make another authentication plugin optional: with `key-auth` beside it a key is
//! needed, unless that has an `anonymous_consumer`. It is no reason to leave out a limit.

use std::sync::Arc;

use bartizan_chain::{
    CompileCx, Flow, Identity, IdentityKey, IdentityParts, Kinship, Nothing, Plugin, RequestCx,
    Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::declared::Declared;

/// The configuration of `anonymous-access`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Why nobody needs to be known here; kept with the identity of every call.
    reason: Declared,
}

/// Compiled `anonymous-access`.
pub struct AnonymousAccess {
    reason: Arc<str>,
}

impl Plugin for AnonymousAccess {
    const NAME: &'static str = "anonymous-access";
    const PRIORITY: i32 = 2450;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        Ok(Self { reason: config.reason.text().clone() })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authenticate]);
        traits.proves.authentication = true;
        traits.proves.grant = true;
        traits
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        cx.identify(Identity::new(key, Self::NAME, self.parts()))?;
        Ok(Flow::Continue)
    }
}

impl AnonymousAccess {
    fn parts(&self) -> IdentityParts {
        IdentityParts { anonymous_reason: Some(self.reason.clone()), ..IdentityParts::default() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn it_stands_for_authentication_and_grant_and_names_nobody() {
        let plugin: AnonymousAccess = Bench::new().compile(&json!({ "reason": "public" })).unwrap();
        let proves = plugin.traits().proves;
        assert!(proves.authentication && proves.grant);
        let parts = plugin.parts();
        assert_eq!(parts.anonymous_reason.as_deref(), Some("public"));
        assert!(parts.consumer.is_none() && parts.claims.is_none());
    }

    #[test]
    fn a_reason_must_be_given() {
        for config in [json!({}), json!({ "reason": "" }), json!({ "reason": "  " })] {
            Bench::new().fault::<AnonymousAccess>(&config);
        }
    }
}
