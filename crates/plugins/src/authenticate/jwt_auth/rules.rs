//! What configuration asks of claims.

use bartizan_config::Invalid;

use super::super::token::{Demands, texts};
use super::config::{Config, TimeClaim, TokenType};
use crate::jose::{ClaimRules, TypeRule};

/// The rules of a configuration; those about issuer and audience where they are for all tokens.
pub(super) fn rules(config: &Config, is_apisix: bool) -> Result<ClaimRules, Invalid> {
    let must_state = |claim| config.claims_to_verify.iter().flatten().any(|c| *c == claim);
    let demands = Demands {
        required_scopes: config.required_scopes.as_ref(),
        scope_claims: config.scope_claims.as_ref(),
        required_claims: config.required_claims.as_ref(),
        max_lifetime: config.max_lifetime,
        leeway: config.leeway,
    };
    Ok(ClaimRules {
        token_type: match config.token_type {
            TokenType::Jwt => TypeRule::Jwt,
            TokenType::AccessToken => TypeRule::AccessToken,
        },
        require_exp: !is_apisix || config.jwks.is_some() || must_state(TimeClaim::Exp),
        require_nbf: must_state(TimeClaim::Nbf),
        issuers: texts("issuers", config.issuers.as_ref(), |_| true)?,
        audiences: texts("audiences", config.audiences.as_ref(), |_| true)?,
        ..demands.rules()?
    })
}
