//! What configuration asks of claims.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_config::{Invalid, PathStep};

use super::config::{Config, TimeClaim, TokenType};
use crate::jose::{ClaimPath, ClaimRules, RequiredClaim, TypeRule};

/// Most that clocks may differ. RFC 7519 §4.1.4 speaks of a few minutes.
const LEEWAY_MAX: Duration = Duration::from_secs(600);

/// The rules of a configuration; those about issuer and audience where they are for all tokens.
pub(super) fn rules(config: &Config, is_apisix: bool) -> Result<ClaimRules, Invalid> {
    let must_state = |claim| config.claims_to_verify.iter().flatten().any(|c| *c == claim);
    let leeway = config.leeway.map_or(Duration::ZERO, |span| span.0);
    if leeway > LEEWAY_MAX {
        return Err(Invalid::at("leeway", "clocks may differ by ten minutes at most"));
    }
    if config.max_lifetime.is_some_and(|span| span.0.is_zero()) {
        return Err(Invalid::at("max_lifetime", "no token could be valid"));
    }
    Ok(ClaimRules {
        token_type: match config.token_type {
            TokenType::Jwt => TypeRule::Jwt,
            TokenType::AccessToken => TypeRule::AccessToken,
        },
        require_exp: !is_apisix || config.jwks.is_some() || must_state(TimeClaim::Exp),
        require_nbf: must_state(TimeClaim::Nbf),
        leeway,
        issuers: texts("issuers", config.issuers.as_ref(), |_| true)?,
        audiences: texts("audiences", config.audiences.as_ref(), |_| true)?,
        max_lifetime: config.max_lifetime.map(|span| span.0),
        required_scopes: texts("required_scopes", config.required_scopes.as_ref(), is_scope)?,
        scope_claims: scope_claims(config)?,
        required_claims: required_claims(config)?,
    })
}

fn scope_claims(config: &Config) -> Result<Vec<ClaimPath>, Invalid> {
    const KEY: &str = "scope_claims";
    if config.scope_claims.is_some() && config.required_scopes.is_none() {
        return Err(Invalid::at(KEY, "there are no `required_scopes` to look for"));
    }
    let parse = |(index, text): (usize, &String)| {
        ClaimPath::parse(text).map_err(|error| Invalid::at_item(KEY, index, error.to_string()))
    };
    config.scope_claims.iter().flatten().enumerate().map(parse).collect()
}

/// A list that is left out, or that names something.
pub(super) fn texts(
    key: &str,
    list: Option<&Vec<String>>,
    is_valid: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Invalid> {
    let Some(list) = list else { return Ok(Vec::new()) };
    if list.is_empty() {
        return Err(Invalid::at(key, "the list is empty"));
    }
    match list.iter().position(|text| text.is_empty() || !is_valid(text)) {
        Some(index) => {
            let text = list.get(index).map_or("", String::as_str);
            Err(Invalid::at_item(key, index, format!("`{text}` cannot be in a token")))
        }
        None => Ok(list.clone()),
    }
}

/// A scope token (RFC 6749 §3.3), which fits into a quoted string too.
fn is_scope(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\'))
}

fn required_claims(config: &Config) -> Result<Vec<RequiredClaim>, Invalid> {
    const KEY: &str = "required_claims";
    if config.required_claims.as_ref().is_some_and(BTreeMap::is_empty) {
        return Err(Invalid::at(KEY, "nothing is required"));
    }
    let claims = config.required_claims.iter().flatten();
    claims
        .map(|(name, values)| {
            let fault = |problem| Invalid::at(name, problem).under(PathStep::Key(KEY.to_owned()));
            let path = ClaimPath::parse(name).map_err(|error| fault(error.to_string()))?;
            RequiredClaim::new(path, values.clone()).map_err(|error| fault(error.to_string()))
        })
        .collect()
}
