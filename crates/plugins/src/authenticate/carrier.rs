//! What authentication plugins share: where a credential is carried, the realm they name, and the
//! consumer that stands in for callers without one.

use std::borrow::Cow;
use std::sync::Arc;

use bartizan_chain::{BodyNeed, CompileCx, ConsumerIndex, IdentityParts, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage};
use bartizan_wire::{is_field_name, is_identity_field};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Longest realm, as in Apache APISIX.
const REALM_MAX: usize = 128;

/// The protection space that a 401 names (RFC 9110 §11.5). It cannot end the quoted string it is
/// put into.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Realm(String);

impl Realm {
    /// The challenge of a scheme: `Bearer realm="api"`.
    pub(crate) fn challenge(realm: Option<&Self>, scheme: &str, default: &str) -> String {
        format!("{scheme} {}", Self::parameter(realm, default))
    }

    /// The parameter alone: `realm="api"`.
    pub(crate) fn parameter(realm: Option<&Self>, default: &str) -> String {
        let realm = realm.map_or(default, |realm| &realm.0);
        format!("realm=\"{realm}\"")
    }
}

impl JsonSchema for Realm {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Realm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": REALM_MAX,
            "pattern": r"^[ -!#-\[\]-~]+$",
            "x-expects": "visible ASCII characters without quotes and backslashes",
        })
    }
}

impl TryFrom<String> for Realm {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=REALM_MAX).contains(&text.len());
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        if fits && text.bytes().all(is_plain) {
            return Ok(Self(text));
        }
        Err("a realm has 1 to 128 visible ASCII characters without quotes and backslashes")
    }
}

/// The name of a field that carries a credential, in lower case.
pub(crate) fn field_name(key: &str, text: &str) -> Result<Box<str>, Invalid> {
    let name = text.to_ascii_lowercase();
    if !is_field_name(name.as_bytes()) {
        return Err(Invalid::at(key, format!("`{text}` is not the name of a header field")));
    }
    if is_identity_field(name.as_bytes()) {
        let problem = format!("`{text}` is taken out of every request before plugins see it");
        return Err(Invalid::at(key, problem)
            .with_help("upstreams believe such fields; let clients send another one"));
    }
    Ok(name.into_boxed_str())
}

/// The name of a query parameter or cookie that carries a credential.
pub(crate) fn parameter_name(key: &str, text: String) -> Result<Box<str>, Invalid> {
    if text.is_empty() {
        return Err(Invalid::at(key, "the name is empty"));
    }
    Ok(text.into_boxed_str())
}

/// The consumer that callers become who prove nothing.
///
/// It is no proof: the identity counts as anonymous, so that a route still has to say that it is
/// open, with `anonymous-access`.
#[derive(Clone, Debug)]
pub(crate) struct StandIn {
    username: Arc<str>,
    reason: Arc<str>,
}

impl StandIn {
    /// The consumer of `anonymous_consumer`, which must exist.
    pub(crate) fn compile(
        username: Option<String>,
        cx: &CompileCx<'_>,
    ) -> Result<Option<Self>, Invalid> {
        const KEY: &str = "anonymous_consumer";
        let Some(username) = username else { return Ok(None) };
        if !(cx.has_consumer)(&username) {
            return Err(Invalid::at(KEY, format!("there is no consumer `{username}`"))
                .with_help("add the consumer first: who is let in under a name must have it"));
        }
        let reason = Arc::from(format!("`{KEY}` of `{}`", cx.plugin));
        Ok(Some(Self { username: username.into(), reason }))
    }

    /// Who takes the place of a caller that was refused with `denial`.
    ///
    /// Only for a lack of proof: a credential that was sent twice stays refused, and so does one
    /// that is good but does not permit this.
    pub(crate) fn take_over(
        &self,
        consumers: &ConsumerIndex,
        denial: Denial,
    ) -> Result<IdentityParts, Denial> {
        if denial.status() != 401 {
            return Err(denial);
        }
        let Some(consumer) = consumers.by_name(&self.username) else {
            let detail = format!("there is no consumer `{}` to stand in", self.username);
            let mut gone = Denial::new(Reason::InvalidCredential, detail);
            gone.fields.clone_from(&denial.fields);
            return Err(gone);
        };
        Ok(IdentityParts {
            consumer: Some(consumer.clone()),
            anonymous_reason: Some(self.reason.clone()),
            ..IdentityParts::default()
        })
    }
}

/// What a plugin needs that proves who calls, and that somebody does where nobody stands in. One
/// that reads the body does so when all has been allowed that needs none.
pub(crate) fn traits(stand_in: Option<&StandIn>, body: BodyNeed) -> Traits {
    let stages: &[Stage] = if body.is_some() {
        &[Stage::Authenticate, Stage::Authorize]
    } else {
        &[Stage::Authenticate]
    };
    let mut traits = Traits { body, ..Traits::in_stages(stages) };
    traits.proves.authentication = stand_in.is_none();
    traits
}

/// Who calls: whoever was proved, with what was learnt beside, or else the one that stands in, of
/// whom nothing is known.
pub(crate) fn settle<T: Default>(
    proof: Result<(IdentityParts, T), Denial>,
    stand_in: Option<&StandIn>,
    consumers: &ConsumerIndex,
) -> Result<(IdentityParts, T), Denial> {
    match (proof, stand_in) {
        (Err(denial), Some(stand_in)) => Ok((stand_in.take_over(consumers, denial)?, T::default())),
        (proof, _) => proof,
    }
}

#[cfg(test)]
mod tests {
    use bartizan_chain::Consumer;

    use super::*;

    fn guest() -> (StandIn, ConsumerIndex) {
        let mut index = ConsumerIndex::default();
        index.add_consumer(Arc::new(Consumer::new("guest".into(), None, Vec::new())));
        (StandIn { username: "guest".into(), reason: "declared".into() }, index)
    }

    fn missing() -> Denial {
        Denial::new(Reason::MissingCredential, "").with_field("www-authenticate", "x".to_owned())
    }

    #[test]
    fn a_stand_in_is_anonymous() {
        let (stand_in, index) = guest();
        let parts = stand_in.take_over(&index, missing()).unwrap();
        assert_eq!(parts.consumer.unwrap().username(), "guest");
        assert_eq!(parts.anonymous_reason.as_deref(), Some("declared"));
    }

    #[test]
    fn nobody_stands_in_for_an_ambiguous_or_insufficient_credential() {
        let (stand_in, index) = guest();
        for reason in [Reason::AmbiguousCredential, Reason::InsufficientScope] {
            let denial = stand_in.take_over(&index, Denial::new(reason, "")).unwrap_err();
            assert_eq!(denial.reason, reason);
        }
    }

    #[test]
    fn a_stand_in_that_has_gone_refuses_with_the_same_challenge() {
        let (stand_in, _) = guest();
        let denial = stand_in.take_over(&ConsumerIndex::default(), missing()).unwrap_err();
        assert_eq!(denial.reason, Reason::InvalidCredential);
        assert_eq!(denial.fields.len(), 1);
    }

    #[test]
    fn who_was_proved_is_taken_and_else_whoever_may_stand_in() {
        let (stand_in, index) = guest();
        let name = |settled: Result<(IdentityParts, u8), Denial>| {
            let (parts, beside) = settled.map_err(|denial| denial.reason)?;
            Ok((parts.subject.or(parts.anonymous_reason).unwrap().to_string(), beside))
        };
        let proved = || {
            let subject = Some("alice".into());
            Ok((IdentityParts { subject, ..IdentityParts::default() }, 7))
        };
        let refused = || Err(missing());
        let ambiguous = || Err(Denial::new(Reason::AmbiguousCredential, ""));
        let told = |proof, stand_in| name(settle(proof, stand_in, &index));
        for stand_in in [None, Some(&stand_in)] {
            assert_eq!(told(proved(), stand_in), Ok(("alice".to_owned(), 7)));
            assert_eq!(told(ambiguous(), stand_in), Err(Reason::AmbiguousCredential));
        }
        assert_eq!(told(refused(), None), Err(Reason::MissingCredential));
        assert_eq!(told(refused(), Some(&stand_in)), Ok(("declared".to_owned(), 0)));
    }

    #[test]
    fn a_plugin_proves_who_calls_where_nobody_stands_in() {
        let (stand_in, _) = guest();
        let body = BodyNeed::Bytes { max: 1 };
        for (stand_in, body, proves, reads) in [
            (None, BodyNeed::None, true, false),
            (Some(&stand_in), BodyNeed::None, false, false),
            (None, body, true, true),
        ] {
            let traits = traits(stand_in, body);
            assert_eq!(traits.proves.authentication, proves);
            assert_eq!(traits.stages.contains(Stage::Authorize), reads);
            assert_eq!((traits.body, traits.stages.contains(Stage::Authenticate)), (body, true));
        }
    }

    #[test]
    fn a_realm_cannot_end_its_quotes() {
        for text in ["", "a\"b", "a\\b", "a\nb", "é", &"x".repeat(129)] {
            assert!(Realm::try_from(text.to_owned()).is_err(), "{text}");
        }
        let realm = Realm::try_from("my api".to_owned()).unwrap();
        assert_eq!(Realm::challenge(Some(&realm), "apikey", "key"), "apikey realm=\"my api\"");
        assert_eq!(Realm::challenge(None, "apikey", "key"), "apikey realm=\"key\"");
    }

    #[test]
    fn fields_are_named_in_lower_case() {
        assert_eq!(&*field_name("header", "X-Api-Key").unwrap(), "x-api-key");
        for text in ["", "a b", "a:", "é", "a\r\nb", "X-Access-Token", "x_consumer_key"] {
            assert!(field_name("header", text).is_err(), "{text}");
        }
    }
}
