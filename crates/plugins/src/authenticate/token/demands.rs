//! What configuration asks of the claims of a token.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_config::{Invalid, PathStep};
use bartizan_core::Span;
use serde_json::Value;

use crate::jose::{ClaimPath, ClaimRules, RequiredClaim, TypeRule};

/// Most that clocks may differ. RFC 7519 §4.1.4 speaks of a few minutes.
const LEEWAY_MAX: Duration = Duration::from_secs(600);

/// What is asked of claims, under the same names in every plugin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demands<'c> {
    /// `required_scopes`
    pub(crate) required_scopes: Option<&'c Vec<String>>,
    /// `scope_claims`
    pub(crate) scope_claims: Option<&'c Vec<String>>,
    /// `required_claims`
    pub(crate) required_claims: Option<&'c BTreeMap<String, Value>>,
    /// `max_lifetime`
    pub(crate) max_lifetime: Option<Span>,
    /// `leeway`
    pub(crate) leeway: Option<Span>,
}

impl Demands<'_> {
    /// The rules, which demand nothing yet of issuer and audience, nor that `exp` be there.
    pub(crate) fn rules(&self) -> Result<ClaimRules, Invalid> {
        let leeway = self.leeway.map_or(Duration::ZERO, |span| span.0);
        if leeway > LEEWAY_MAX {
            return Err(Invalid::at("leeway", "clocks may differ by ten minutes at most"));
        }
        if self.max_lifetime.is_some_and(|span| span.0.is_zero()) {
            return Err(Invalid::at("max_lifetime", "no token could be valid"));
        }
        Ok(ClaimRules {
            token_type: TypeRule::Any,
            require_exp: false,
            leeway,
            max_lifetime: self.max_lifetime.map(|span| span.0),
            required_scopes: texts("required_scopes", self.required_scopes, is_scope)?,
            scope_claims: self.scope_claims()?,
            required_claims: self.required_claims()?,
            ..ClaimRules::default()
        })
    }

    fn scope_claims(&self) -> Result<Vec<ClaimPath>, Invalid> {
        const KEY: &str = "scope_claims";
        if self.scope_claims.is_some() && self.required_scopes.is_none() {
            return Err(Invalid::at(KEY, "there are no `required_scopes` to look for"));
        }
        let parse = |(index, text): (usize, &String)| {
            ClaimPath::parse(text).map_err(|error| Invalid::at_item(KEY, index, error.to_string()))
        };
        self.scope_claims.into_iter().flatten().enumerate().map(parse).collect()
    }

    fn required_claims(&self) -> Result<Vec<RequiredClaim>, Invalid> {
        const KEY: &str = "required_claims";
        if self.required_claims.is_some_and(BTreeMap::is_empty) {
            return Err(Invalid::at(KEY, "nothing is required"));
        }
        let claims = self.required_claims.into_iter().flatten();
        claims
            .map(|(name, values)| {
                let fault =
                    |problem| Invalid::at(name, problem).under(PathStep::Key(KEY.to_owned()));
                let path = ClaimPath::parse(name).map_err(|error| fault(error.to_string()))?;
                RequiredClaim::new(path, values.clone()).map_err(|error| fault(error.to_string()))
            })
            .collect()
    }
}

/// A list that is left out, or that names something.
pub(crate) fn texts(
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

/// A time that configuration may choose between bounds, in seconds.
pub(crate) fn within(
    key: &str,
    span: Duration,
    least: u64,
    most: u64,
) -> Result<Duration, Invalid> {
    if (Duration::from_secs(least)..=Duration::from_secs(most)).contains(&span) {
        return Ok(span);
    }
    Err(Invalid::at(key, format!("must be from {least}s to {most}s")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_and_times_last_between_their_bounds() {
        let span = |ms| Some(Span(Duration::from_millis(ms)));
        for (ms, is_good) in [(0, true), (599_999, true), (600_000, true), (600_001, false)] {
            let demands = Demands { leeway: span(ms), ..Demands::default() };
            let leeway = demands.rules().map(|rules| rules.leeway.as_millis());
            assert_eq!(leeway.ok(), is_good.then_some(ms.into()), "{ms}");
        }
        for (ms, is_good) in [(0, false), (1, true)] {
            let demands = Demands { max_lifetime: span(ms), ..Demands::default() };
            assert_eq!(demands.rules().is_ok(), is_good, "{ms}");
        }
        for (ms, is_good) in [
            (999, false),
            (1_000, true),
            (1_001, true),
            (59_999, true),
            (60_000, true),
            (60_001, false),
        ] {
            let span = Duration::from_millis(ms);
            let told = within("key", span, 1, 60);
            assert_eq!(told.ok(), is_good.then_some(span), "{ms}");
        }
    }
}
