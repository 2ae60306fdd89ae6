//! What a token must say to be accepted: its times, issuer, audience, scopes and claims.

use std::time::Duration;

use bartizan_core::{Reason, Timestamp};
use serde_json::Value;

use super::{ClaimPath, Claims};

/// Why a token with a good signature is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// `typ` says that it is another kind of token (RFC 8725 §3.11).
    #[error("the token's `typ` is not accepted")]
    Type,
    /// A claim that is required is not there.
    #[error("the token has no `{0}`")]
    Missing(&'static str),
    /// A claim has the wrong type or is out of range.
    #[error("the token's `{0}` is malformed")]
    Malformed(&'static str),
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` has not come.
    #[error("the token was issued in the future")]
    IssuedInFuture,
    /// `exp` is further from `iat` than allowed.
    #[error("the token's lifetime is longer than allowed")]
    LivesTooLong,
    /// `iss` is none of the issuers.
    #[error("the token's issuer is not accepted")]
    Issuer,
    /// `aud` has none of the audiences.
    #[error("the token is not meant for this audience")]
    Audience,
    /// A claim that grants scopes has the wrong type.
    #[error("the token's `{0}` does not list scopes")]
    MalformedScopes(Box<str>),
    /// A scope that the route requires was not granted.
    #[error("the token does not grant the scope `{0}`")]
    Scope(Box<str>),
    /// A claim that the route requires is not there or has another value.
    #[error("the token's claim `{0}` does not have a required value")]
    Claim(Box<str>),
    /// A claim that the route requires is not in the token, which says that it is elsewhere.
    #[error("the token says that its `{0}` is elsewhere, where nobody is asked")]
    Elsewhere(Box<str>),
}

impl ClaimFault {
    /// True if the token is good but does not permit this: 403. The others say that it is not: 401.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Scope(_) | Self::Claim(_) | Self::Elsewhere(_))
    }

    /// The public reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Scope(_) | Self::Claim(_) | Self::Elsewhere(_) => Reason::InsufficientScope,
            Self::Expired => Reason::ExpiredCredential,
            Self::Malformed(_) | Self::MalformedScopes(_) => Reason::MalformedCredential,
            _ => Reason::InvalidCredential,
        }
    }
}

/// Which kinds of token are accepted, by the header's `typ`.
///
/// An issuer signs other things with the same keys: logout tokens, security events, proofs of
/// possession. Where they carry their type, the default keeps them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TypeRule {
    /// No type, `JWT` or `at+jwt`.
    #[default]
    Jwt,
    /// `at+jwt` only, as RFC 9068 requires of access tokens.
    AccessToken,
    /// Whatever it says.
    Any,
}

impl TypeRule {
    /// True if a token of this type is accepted. Types are media types: their case does not matter
    /// and `application/` may be left out (RFC 7515 §4.1.9).
    pub fn admits(self, typ: Option<&str>) -> bool {
        const PREFIX: &str = "application/";
        let Some(typ) = typ else { return self != Self::AccessToken };
        let short = match typ.split_at_checked(PREFIX.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
            _ => typ,
        };
        match self {
            Self::Any => true,
            Self::AccessToken => short.eq_ignore_ascii_case("at+jwt"),
            Self::Jwt => short.eq_ignore_ascii_case("jwt") || short.eq_ignore_ascii_case("at+jwt"),
        }
    }
}

/// A value that can never be required.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("claim `{0}` must be required to be one or more texts, numbers or booleans")]
pub struct RequiredClaimError(String);

/// A claim and the values of which it must have one.
///
/// A list in the token has the values that it contains; values are equal if they are so in JSON,
/// with their type (`1` is neither `"1"` nor `1.0`).
#[derive(Clone, Debug, PartialEq)]
pub struct RequiredClaim {
    path: ClaimPath,
    values: Box<[Value]>,
}

impl RequiredClaim {
    /// Requires one of `values`, or the only value if it is not a list.
    pub fn new(path: ClaimPath, values: Value) -> Result<Self, RequiredClaimError> {
        let values = match values {
            Value::Array(list) => list.into_boxed_slice(),
            one => Box::new([one]),
        };
        let usable = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
        if values.is_empty() || !values.iter().all(usable) {
            return Err(RequiredClaimError(path.as_str().to_owned()));
        }
        Ok(Self { path, values })
    }

    /// True if the claims have it.
    pub fn holds(&self, claims: &Claims) -> bool {
        match claims.at(&self.path) {
            Some(Value::Array(list)) => list.iter().any(|value| self.values.contains(value)),
            Some(value) => self.values.contains(value),
            None => false,
        }
    }
}

/// What is asked of a token. The default asks for an expiry and checks every time there is.
#[derive(Clone, Debug)]
pub struct ClaimRules {
    /// Kinds of token.
    pub token_type: TypeRule,
    /// True if `exp` must be there. It is checked whenever it is.
    pub require_exp: bool,
    /// True if `nbf` must be there. It is checked whenever it is.
    pub require_nbf: bool,
    /// How far clocks may differ.
    pub leeway: Duration,
    /// Issuers of which `iss` must be one; with none, it is not looked at.
    pub issuers: Vec<String>,
    /// Audiences of which `aud` must have one; with none, it is not looked at.
    pub audiences: Vec<String>,
    /// Longest time from `iat` to `exp`, both of which are then required.
    pub max_lifetime: Option<Duration>,
    /// Scopes that must all be granted.
    pub required_scopes: Vec<String>,
    /// Claims that grant scopes; with none, `scope` and `scp` do.
    pub scope_claims: Vec<ClaimPath>,
    /// Claims that must all hold.
    pub required_claims: Vec<RequiredClaim>,
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self {
            token_type: TypeRule::Jwt,
            require_exp: true,
            require_nbf: false,
            leeway: Duration::ZERO,
            issuers: Vec::new(),
            audiences: Vec::new(),
            max_lifetime: None,
            required_scopes: Vec::new(),
            scope_claims: Vec::new(),
            required_claims: Vec::new(),
        }
    }
}

impl ClaimRules {
    /// True where a good token is not enough: it must have a scope or a claim.
    pub fn is_grant(&self) -> bool {
        !self.required_scopes.is_empty() || !self.required_claims.is_empty()
    }

    /// Judges claims as of `now`: first whether the token is good, then whether it permits this.
    /// The type is in the header and not judged here but in [`Verified::check`].
    ///
    /// [`Verified::check`]: super::Verified::check
    pub fn check(&self, claims: &Claims, now: Timestamp) -> Result<(), ClaimFault> {
        self.check_times(claims, now)?;
        self.check_parties(claims)?;
        self.check_grants(claims)
    }

    fn check_times(&self, claims: &Claims, now: Timestamp) -> Result<(), ClaimFault> {
        let (expires, not_before) = (claims.expires()?, claims.not_before()?);
        let issued = claims.issued()?;
        if self.require_exp && expires.is_none() {
            return Err(ClaimFault::Missing("exp"));
        }
        if self.require_nbf && not_before.is_none() {
            return Err(ClaimFault::Missing("nbf"));
        }
        if expires.is_some_and(|expires| now >= expires.plus(self.leeway)) {
            return Err(ClaimFault::Expired);
        }
        let latest = now.plus(self.leeway);
        if not_before.is_some_and(|not_before| not_before > latest) {
            return Err(ClaimFault::NotYetValid);
        }
        if issued.is_some_and(|issued| issued > latest) {
            return Err(ClaimFault::IssuedInFuture);
        }
        if let Some(longest) = self.max_lifetime {
            let expires = expires.ok_or(ClaimFault::Missing("exp"))?;
            let issued = issued.ok_or(ClaimFault::Missing("iat"))?;
            if expires.since(issued) > longest {
                return Err(ClaimFault::LivesTooLong);
            }
        }
        Ok(())
    }

    fn check_parties(&self, claims: &Claims) -> Result<(), ClaimFault> {
        if !self.issuers.is_empty() {
            let issuer = claims.issuer()?.ok_or(ClaimFault::Missing("iss"))?;
            if !self.issuers.iter().any(|accepted| accepted == issuer) {
                return Err(ClaimFault::Issuer);
            }
        }
        if !self.audiences.is_empty() {
            let mut audiences = claims.audiences()?.peekable();
            if audiences.peek().is_none() {
                return Err(ClaimFault::Missing("aud"));
            }
            if !audiences.any(|audience| self.audiences.iter().any(|own| own == audience)) {
                return Err(ClaimFault::Audience);
            }
        }
        Ok(())
    }

    fn check_grants(&self, claims: &Claims) -> Result<(), ClaimFault> {
        for scope in &self.required_scopes {
            if !self.grants(claims, scope)? {
                return Err(ClaimFault::Scope(scope.as_str().into()));
            }
        }
        match self.required_claims.iter().find(|required| !required.holds(claims)) {
            Some(required) => {
                let name = required.path.as_str();
                // Aggregated and distributed claims (OpenID Connect Core 1.0 §5.6.2).
                let elsewhere = claims.claim("_claim_names").and_then(|names| names.get(name));
                let is_here = claims.at(&required.path).is_some() || elsewhere.is_none();
                let fault = if is_here { ClaimFault::Claim } else { ClaimFault::Elsewhere };
                Err(fault(name.into()))
            }
            None => Ok(()),
        }
    }

    fn grants(&self, claims: &Claims, scope: &str) -> Result<bool, ClaimFault> {
        if self.scope_claims.is_empty() {
            return Ok(claims.scopes()?.any(|granted| granted == scope));
        }
        for path in &self.scope_claims {
            if claims.scopes_at(path)?.any(|granted| granted == scope) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn claims(value: &Value) -> Claims {
        Claims::parse(value.to_string().as_bytes()).unwrap()
    }

    /// Judges claims that have an `exp` unless `value` says otherwise.
    fn judge(rules: &ClaimRules, value: &Value) -> Result<(), ClaimFault> {
        let mut all = json!({ "exp": NOW + 60 });
        all.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        rules.check(&claims(&all), Timestamp::from_secs(NOW))
    }

    #[test]
    fn a_token_without_expiry_is_refused_unless_the_rules_say_otherwise() {
        let none = claims(&json!({}));
        let at = Timestamp::from_secs(NOW);
        assert_eq!(ClaimRules::default().check(&none, at), Err(ClaimFault::Missing("exp")));
        let lax = ClaimRules { require_exp: false, ..ClaimRules::default() };
        assert_eq!(lax.check(&none, at), Ok(()));
        assert_eq!(judge(&lax, &json!({ "exp": NOW })), Err(ClaimFault::Expired));
        assert_eq!(judge(&lax, &json!({ "exp": "9" })), Err(ClaimFault::Malformed("exp")));
    }

    #[test]
    fn a_token_expires_in_the_second_it_says_plus_leeway() {
        let strict = ClaimRules::default();
        assert_eq!(judge(&strict, &json!({ "exp": NOW + 1 })), Ok(()));
        assert_eq!(judge(&strict, &json!({ "exp": NOW })), Err(ClaimFault::Expired));
        let lax = ClaimRules { leeway: Duration::from_secs(5), ..strict };
        assert_eq!(judge(&lax, &json!({ "exp": NOW - 4 })), Ok(()));
        assert_eq!(judge(&lax, &json!({ "exp": NOW - 5 })), Err(ClaimFault::Expired));
    }

    #[test]
    fn times_that_have_not_come_are_refused_beyond_leeway() {
        let rules = ClaimRules { leeway: Duration::from_secs(5), ..ClaimRules::default() };
        assert_eq!(judge(&rules, &json!({ "nbf": NOW + 5 })), Ok(()));
        assert_eq!(judge(&rules, &json!({ "nbf": NOW + 6 })), Err(ClaimFault::NotYetValid));
        assert_eq!(judge(&rules, &json!({ "iat": NOW + 5 })), Ok(()));
        assert_eq!(judge(&rules, &json!({ "iat": NOW + 6 })), Err(ClaimFault::IssuedInFuture));
        let nbf = ClaimRules { require_nbf: true, ..ClaimRules::default() };
        assert_eq!(judge(&nbf, &json!({})), Err(ClaimFault::Missing("nbf")));
        assert_eq!(judge(&nbf, &json!({ "nbf": NOW })), Ok(()));
    }

    #[test]
    fn a_lifetime_is_measured_from_issue_to_expiry() {
        let longest = Some(Duration::from_secs(100));
        let rules = ClaimRules { max_lifetime: longest, ..ClaimRules::default() };
        assert_eq!(judge(&rules, &json!({ "iat": NOW - 40 })), Ok(()));
        assert_eq!(judge(&rules, &json!({ "iat": NOW - 41 })), Err(ClaimFault::LivesTooLong));
        assert_eq!(judge(&rules, &json!({})), Err(ClaimFault::Missing("iat")));
        let no_exp = ClaimRules { require_exp: false, ..rules };
        let issued = claims(&json!({ "iat": NOW }));
        let checked = no_exp.check(&issued, Timestamp::from_secs(NOW));
        assert_eq!(checked, Err(ClaimFault::Missing("exp")));
    }

    #[test]
    fn the_issuer_is_compared_exactly() {
        let issuers = vec!["https://a.example".to_owned(), "https://b.example".to_owned()];
        let rules = ClaimRules { issuers, ..ClaimRules::default() };
        assert_eq!(judge(&rules, &json!({ "iss": "https://b.example" })), Ok(()));
        assert_eq!(judge(&rules, &json!({})), Err(ClaimFault::Missing("iss")));
        for iss in ["https://a.example/", "https://A.example", "", "https://a.example.evil"] {
            assert_eq!(judge(&rules, &json!({ "iss": iss })), Err(ClaimFault::Issuer), "{iss}");
        }
        let list = judge(&rules, &json!({ "iss": ["https://a.example"] }));
        assert_eq!(list, Err(ClaimFault::Malformed("iss")));
    }

    #[test]
    fn one_common_audience_is_enough() {
        let audiences = vec!["api".to_owned(), "orders".to_owned()];
        let rules = ClaimRules { audiences, ..ClaimRules::default() };
        assert_eq!(judge(&rules, &json!({ "aud": "orders" })), Ok(()));
        assert_eq!(judge(&rules, &json!({ "aud": ["x", "api"] })), Ok(()));
        assert_eq!(judge(&rules, &json!({ "aud": ["x", "API"] })), Err(ClaimFault::Audience));
        assert_eq!(judge(&rules, &json!({ "aud": "api orders" })), Err(ClaimFault::Audience));
        assert_eq!(judge(&rules, &json!({ "aud": [] })), Err(ClaimFault::Missing("aud")));
        assert_eq!(judge(&rules, &json!({})), Err(ClaimFault::Missing("aud")));
        let mixed = judge(&rules, &json!({ "aud": ["api", 1] }));
        assert_eq!(mixed, Err(ClaimFault::Malformed("aud")));
    }

    #[test]
    fn every_required_scope_must_be_granted() {
        let required_scopes = vec!["read".to_owned(), "write".to_owned()];
        let rules = ClaimRules { required_scopes, ..ClaimRules::default() };
        assert_eq!(judge(&rules, &json!({ "scope": "write read" })), Ok(()));
        assert_eq!(judge(&rules, &json!({ "scope": "read", "scp": ["write"] })), Ok(()));
        for value in [json!({}), json!({"scope": "read"}), json!({"scope": "readwrite write"})] {
            let fault = judge(&rules, &value).unwrap_err();
            assert!(fault.is_forbidden(), "{fault}");
            assert_eq!(fault.reason().status(), 403);
        }
    }

    #[test]
    fn a_required_claim_equals_a_scalar_or_is_in_a_list() {
        let one = |path: &str, values: Value| {
            let claim = RequiredClaim::new(ClaimPath::parse(path).unwrap(), values).unwrap();
            ClaimRules { required_claims: vec![claim], ..ClaimRules::default() }
        };
        let roles = one("realm_access.roles", json!(["admin", "owner"]));
        assert_eq!(judge(&roles, &json!({"realm_access": {"roles": ["x", "owner"]}})), Ok(()));
        assert_eq!(judge(&roles, &json!({"realm_access": {"roles": "admin"}})), Ok(()));
        let refused = Err(ClaimFault::Claim("realm_access.roles".into()));
        assert_eq!(judge(&roles, &json!({"realm_access": {"roles": []}})), refused);
        assert_eq!(judge(&roles, &json!({"realm_access": {"roles": [["admin"]]}})), refused);
        assert_eq!(judge(&roles, &json!({"realm_access": {"roles": {"admin": true}}})), refused);
        assert_eq!(judge(&roles, &json!({})), refused);
        let level = one("level", json!(3));
        assert_eq!(judge(&level, &json!({"level": 3})), Ok(()));
        assert!(judge(&level, &json!({"level": "3"})).unwrap_err().is_forbidden());
    }

    #[test]
    fn a_claim_that_is_elsewhere_is_not_there_and_the_cause_says_so() {
        let groups = RequiredClaim::new(ClaimPath::parse("groups").unwrap(), json!("a")).unwrap();
        let rules = ClaimRules { required_claims: vec![groups], ..ClaimRules::default() };
        let refused = |value: Value| judge(&rules, &value).unwrap_err();
        for (value, is_elsewhere) in [
            (json!({"_claim_names": {"groups": "src1"}}), true),
            (json!({"_claim_names": {"groups": "src1"}, "groups": ["b"]}), false),
            (json!({"_claim_names": {"roles": "src1"}}), false),
            (json!({"_claim_names": "groups"}), false),
            (json!({}), false),
        ] {
            let fault = refused(value.clone());
            assert!(fault.is_forbidden(), "{value}");
            assert_eq!(matches!(fault, ClaimFault::Elsewhere(_)), is_elsewhere, "{value}");
        }
    }

    #[test]
    fn a_requirement_that_cannot_be_met_is_refused() {
        for values in [json!([]), json!(null), json!({}), json!(["a", null]), json!([["a"]])] {
            let path = ClaimPath::parse("role").unwrap();
            assert!(RequiredClaim::new(path, values.clone()).is_err(), "{values}");
        }
    }

    #[test]
    fn types_are_media_types() {
        for typ in [None, Some("JWT"), Some("jwt"), Some("application/jwt"), Some("at+jwt")] {
            assert!(TypeRule::Jwt.admits(typ), "{typ:?}");
        }
        for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", "", "application/", "text/jwt"] {
            assert!(!TypeRule::Jwt.admits(Some(typ)), "{typ}");
            assert!(!TypeRule::AccessToken.admits(Some(typ)), "{typ}");
            assert!(TypeRule::Any.admits(Some(typ)), "{typ}");
        }
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/at+jwt"] {
            assert!(TypeRule::AccessToken.admits(Some(typ)), "{typ}");
        }
        assert!(!TypeRule::AccessToken.admits(None));
        assert!(!TypeRule::AccessToken.admits(Some("JWT")));
    }

    proptest::proptest! {
        #[test]
        fn scopes_and_audiences_agree_with_a_naive_reading(
            required in proptest::collection::vec("(read|write|read all)", 0..3),
            scope in proptest::option::of("(|read|write|reads|READ| read  write|read write)"),
            scp in proptest::option::of(proptest::collection::vec("(read|write|read all|)", 0..3)),
            accepted in proptest::collection::vec("(api|orders)", 0..3),
            aud in proptest::option::of(proptest::collection::vec("(api|orders|API|)", 0..3)),
            is_one: bool,
        ) {
            let mut value = json!({});
            let mut granted: Vec<&str> = Vec::new();
            if let Some(text) = &scope {
                value["scope"] = json!(text);
                granted.extend(text.split_ascii_whitespace());
            }
            if let Some(list) = &scp {
                value["scp"] = json!(list);
                granted.extend(list.iter().map(String::as_str));
            }
            let mut audiences = aud.clone().unwrap_or_default();
            if let Some(list) = &aud {
                let only = list.first().filter(|_| is_one).cloned();
                value["aud"] = only.as_ref().map_or_else(|| json!(list), |only| json!(only));
                audiences = only.map_or(audiences, |only| vec![only]);
            }
            let is_granted = required.iter().all(|scope| granted.contains(&scope.as_str()));
            let is_meant = accepted.is_empty() || audiences.iter().any(|own| accepted.contains(own));
            let rules = ClaimRules {
                required_scopes: required,
                audiences: accepted,
                ..ClaimRules::default()
            };
            proptest::prop_assert_eq!(judge(&rules, &value).is_ok(), is_granted && is_meant);
        }

        #[test]
        fn required_claims_agree_with_a_naive_reading(
            wanted in proptest::collection::vec("(a|b|1)", 1..3),
            has in proptest::collection::vec("(a|b|c|1|A)", 0..3),
            form in 0_u8..5,
            is_nested: bool,
        ) {
            // A number is not the text that it is written with; a list has what it contains.
            let first = has.first().cloned().unwrap_or_default();
            let (claim, texts) = match form {
                0 => (json!(has), has),
                1 => (json!(first), vec![first]),
                2 => (json!(1), Vec::new()),
                3 => (json!([has]), Vec::new()),
                _ => (json!({ (first): true }), Vec::new()),
            };
            let is_met = texts.iter().any(|text| wanted.contains(text));
            let value =
                if is_nested { json!({"r": {"roles": claim}}) } else { json!({"r.roles": claim}) };
            let path = ClaimPath::parse("r.roles").unwrap();
            let required = RequiredClaim::new(path, json!(wanted)).unwrap();
            let rules = ClaimRules { required_claims: vec![required], ..ClaimRules::default() };
            proptest::prop_assert_eq!(judge(&rules, &value).is_ok(), is_met);
        }
    }
}
