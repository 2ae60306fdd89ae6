//! The payload of a token, with typed access to the registered claims (RFC 7519 §4.1).
//!
//! Reading is strict: a claim of the wrong type is a fault, never a claim that is not there. A
//! token whose `exp` is a string does not live forever.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Timestamp;
use serde_json::{Map, Value};

use super::json::{JsonFault, JsonLimits, parse_object};
use super::{CLAIM_DEPTH_MAX, CLAIM_ITEMS_MAX, ClaimFault};

const LIMITS: JsonLimits = JsonLimits { depth: CLAIM_DEPTH_MAX, items: CLAIM_ITEMS_MAX };
/// The last second of the year 9999. A number beyond is no time in seconds; most likely it is one
/// in milliseconds, which would make the token valid for fifty thousand years.
const NUMERIC_DATE_MAX: f64 = 253_402_300_799.0;
/// Most levels of a path into the claims.
const PATH_LEVELS_MAX: usize = CLAIM_DEPTH_MAX as usize;
/// Members whose names are compared one by one.
const COMPARED_MAX: usize = 12;
/// What an entry of a map or list takes besides its text.
const ITEM_BYTES: usize = 160;

/// What a token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    value: Arc<Value>,
    weight: usize,
}

impl Claims {
    /// Reads the JSON object of a payload, strictly: no member twice, limits on depth and number.
    pub fn parse(payload: &[u8]) -> Result<Self, JsonFault> {
        let parsed = parse_object(payload, LIMITS)?;
        let items = usize::try_from(parsed.items).unwrap_or(usize::MAX);
        let weight = items.saturating_mul(ITEM_BYTES).saturating_add(payload.len());
        Ok(Self { value: Arc::new(Value::Object(parsed.object)), weight })
    }

    /// All of them, as a JSON object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// All of them, to keep: without copying them.
    pub fn shared(&self) -> Arc<Value> {
        Arc::clone(&self.value)
    }

    /// Bytes of memory that they take, about.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// The claim at the top level.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        member(self.value.as_object()?, name)
    }

    /// The claim at `path`. See [`ClaimPath`].
    pub fn at(&self, path: &ClaimPath) -> Option<&Value> {
        let object = self.value.as_object()?;
        let whole = member(object, &path.text);
        let nested = if path.levels.len() > 1 { walk(object, &path.levels) } else { None };
        match (whole, nested) {
            // Two claims answer to the name; which one is meant nobody can tell.
            (Some(_), Some(_)) => None,
            (whole, nested) => whole.or(nested),
        }
    }

    /// `sub`, if it is text.
    pub fn subject(&self) -> Option<&str> {
        self.claim("sub").and_then(Value::as_str)
    }

    /// `jti`, if it is text.
    pub fn token_id(&self) -> Option<&str> {
        self.claim("jti").and_then(Value::as_str)
    }

    /// `iss`.
    pub fn issuer(&self) -> Result<Option<&str>, ClaimFault> {
        match self.claim("iss") {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ClaimFault::Malformed("iss")),
        }
    }

    /// `aud`: one text or a list of them. Nothing at all if it is not there.
    pub fn audiences(&self) -> Result<impl Iterator<Item = &str>, ClaimFault> {
        texts(self.claim("aud")).ok_or(ClaimFault::Malformed("aud"))
    }

    /// `exp`, the time from which on the token is not valid any more.
    pub fn expires(&self) -> Result<Option<Timestamp>, ClaimFault> {
        self.time("exp")
    }

    /// `nbf`, the time before which it is not valid yet.
    pub fn not_before(&self) -> Result<Option<Timestamp>, ClaimFault> {
        self.time("nbf")
    }

    /// `iat`, the time at which it was issued.
    pub fn issued(&self) -> Result<Option<Timestamp>, ClaimFault> {
        self.time("iat")
    }

    /// The scopes granted, from `scope` (RFC 8693 §4.2) and `scp`. Each may be one text with
    /// spaces between the scopes, or a list with one scope in each item.
    pub fn scopes(&self) -> Result<impl Iterator<Item = &str>, ClaimFault> {
        let scope = scope_texts(self.claim("scope")).ok_or(ClaimFault::Malformed("scope"))?;
        let scp = scope_texts(self.claim("scp")).ok_or(ClaimFault::Malformed("scp"))?;
        Ok(scope.chain(scp))
    }

    /// The scopes granted by the claim at `path`: one text with spaces between the scopes, or a list
    /// with one in each item. Nothing at all if it is not there.
    pub fn scopes_at(&self, path: &ClaimPath) -> Result<impl Iterator<Item = &str>, ClaimFault> {
        let malformed = || ClaimFault::MalformedScopes(path.as_str().into());
        scope_texts(self.at(path)).ok_or_else(malformed)
    }

    /// A `NumericDate`: seconds since the epoch, fractions allowed (RFC 7519 §2).
    fn time(&self, name: &'static str) -> Result<Option<Timestamp>, ClaimFault> {
        let malformed = ClaimFault::Malformed(name);
        let number = match self.claim(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(_) => return Err(malformed),
        };
        match number.as_f64() {
            Some(seconds) if (0.0..=NUMERIC_DATE_MAX).contains(&seconds) => {}
            _ => return Err(malformed),
        }
        if let Some(seconds) = number.as_u64() {
            return Ok(Some(Timestamp::from_secs(seconds)));
        }
        let since = number.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok());
        Ok(Some(Timestamp::default().plus(since.ok_or(malformed)?)))
    }
}

/// One text, or the texts of a list; `None` if it is anything else.
fn texts(value: Option<&Value>) -> Option<impl Iterator<Item = &str>> {
    let (one, list): (Option<&str>, &[Value]) = match value {
        None => (None, &[]),
        Some(Value::String(text)) => (Some(text), &[]),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => (None, list),
        Some(_) => return None,
    };
    Some(one.into_iter().chain(list.iter().filter_map(Value::as_str)))
}

fn scope_texts(value: Option<&Value>) -> Option<impl Iterator<Item = &str>> {
    let listed = matches!(value, Some(Value::Array(_)));
    let split = move |text| {
        // A list item is one scope, whatever is in it; a text is split at its spaces.
        let (whole, parts) = if listed { (Some(text), "") } else { (None, text) };
        whole.into_iter().chain(parts.split(' ').filter(|scope: &&str| !scope.is_empty()))
    };
    texts(value).map(|texts| texts.flat_map(split))
}

/// PERF: `cargo xtask bench`, secured: rules ask for eight claims or so, and a few names are compared
/// sooner than one is hashed.
fn member<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if object.len() > COMPARED_MAX {
        return object.get(name);
    }
    object.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
}

fn walk<'v>(object: &'v Map<String, Value>, levels: &[Box<str>]) -> Option<&'v Value> {
    let (first, rest) = levels.split_first()?;
    rest.iter().try_fold(object.get(&**first)?, |value, level| value.as_object()?.get(&**level))
}

/// A path that has no name in it, or too many.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a claim or a path of up to {PATH_LEVELS_MAX} names")]
pub struct ClaimPathError(String);

/// Where a claim stands: `sub`, or with dots into nested objects, `realm_access.roles`.
///
/// Names may have dots themselves (`https://example.com/roles`), so the whole text is also tried
/// as one name at the top. If a token has both, neither counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    text: Box<str>,
    levels: Box<[Box<str>]>,
}

impl ClaimPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        let levels: Box<[Box<str>]> = text.split('.').map(Into::into).collect();
        if text.is_empty() || levels.len() > PATH_LEVELS_MAX {
            return Err(ClaimPathError(text.to_owned()));
        }
        Ok(Self { text: text.into(), levels })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl std::str::FromStr for ClaimPath {
    type Err = ClaimPathError;

    fn from_str(text: &str) -> Result<Self, ClaimPathError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        Claims::parse(value.to_string().as_bytes()).unwrap()
    }

    fn at(value: &Value, path: &str) -> Option<Value> {
        claims(value).at(&ClaimPath::parse(path).unwrap()).cloned()
    }

    #[test]
    fn times_are_numbers_of_seconds_and_may_have_fractions() {
        let secs = |value: Value| claims(&json!({ "exp": value })).expires();
        assert_eq!(secs(json!(0)), Ok(Some(Timestamp::from_secs(0))));
        assert_eq!(secs(json!(1_300_819_380)), Ok(Some(Timestamp::from_secs(1_300_819_380))));
        assert_eq!(secs(json!(1.5)), Ok(Some(Timestamp::from_nanos(1_500_000_000))));
        assert_eq!(secs(json!(1e9)), Ok(Some(Timestamp::from_secs(1_000_000_000))));
        assert_eq!(claims(&json!({})).expires(), Ok(None));
    }

    #[test]
    fn a_time_of_another_form_is_a_fault_and_not_absent() {
        for value in [
            json!("1300819380"),
            json!(null),
            json!(true),
            json!([1_300_819_380]),
            json!({}),
            json!(-1),
            json!(-0.5),
            json!(1_300_819_380_000_u64),
            json!(u64::MAX),
            json!(1e300),
        ] {
            for name in ["exp", "nbf", "iat"] {
                let claims = claims(&json!({ name: value }));
                let read = [claims.expires(), claims.not_before(), claims.issued()];
                assert!(read.contains(&Err(ClaimFault::Malformed(name))), "{name}: {value}");
            }
        }
    }

    #[test]
    fn audiences_are_one_text_or_a_list_of_texts() {
        let audiences = |value: Value| {
            let claims = claims(&json!({ "aud": value }));
            claims.audiences().map(|all| all.map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(audiences(json!("a b")), Ok(vec!["a b".to_owned()]));
        assert_eq!(audiences(json!(["a", "b"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
        for value in [json!(1), json!(null), json!({"a": 1}), json!(["a", 1]), json!([["a"]])] {
            assert_eq!(audiences(value), Err(ClaimFault::Malformed("aud")));
        }
    }

    #[test]
    fn scopes_are_split_in_texts_and_whole_in_lists() {
        let scopes = |value: Value| {
            let claims = claims(&value);
            claims.scopes().map(|all| all.map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(scopes(json!({"scope": " read  write "})).unwrap(), ["read", "write"]);
        assert_eq!(scopes(json!({"scp": ["read", "a b"]})).unwrap(), ["read", "a b"]);
        assert_eq!(scopes(json!({"scope": "a", "scp": "b c"})).unwrap(), ["a", "b", "c"]);
        assert_eq!(scopes(json!({})).unwrap(), Vec::<String>::new());
        assert_eq!(scopes(json!({"scope": "a\tb"})).unwrap(), ["a\tb"]);
        assert_eq!(scopes(json!({"scope": 1})), Err(ClaimFault::Malformed("scope")));
        assert_eq!(scopes(json!({"scp": ["a", 1]})), Err(ClaimFault::Malformed("scp")));
    }

    #[test]
    fn a_claim_is_found_among_few_and_among_many() {
        for count in 0..2 * COMPARED_MAX {
            let named = |n: usize| (format!("claim{n}"), json!(n));
            let value = Value::Object((0..count).map(named).collect());
            for n in 0..=count {
                let expected = (n < count).then(|| json!(n));
                assert_eq!(at(&value, &format!("claim{n}")), expected, "{n} of {count}");
            }
        }
    }

    #[test]
    fn a_path_leads_into_objects() {
        let value = json!({"realm_access": {"roles": ["admin"]}, "a": {"b": {"c": 1}}});
        assert_eq!(at(&value, "realm_access.roles"), Some(json!(["admin"])));
        assert_eq!(at(&value, "a.b.c"), Some(json!(1)));
        assert_eq!(at(&value, "a.b.x"), None);
        assert_eq!(at(&value, "realm_access.roles.0"), None);
    }

    #[test]
    fn a_name_with_dots_is_found_unless_it_is_ambiguous() {
        let value = json!({"https://example.com/roles": "x"});
        assert_eq!(at(&value, "https://example.com/roles"), Some(json!("x")));
        let both = json!({"a.b": "flat", "a": {"b": "nested"}});
        assert_eq!(at(&both, "a.b"), None);
        assert!(ClaimPath::parse("").is_err());
        assert!(ClaimPath::parse(&["a"; 17].join(".")).is_err());
    }
}
