//! Who calls: proved, never claimed.

use std::borrow::Cow;
use std::sync::Arc;

use bartizan_core::{Denial, Reason, Timestamp};
use serde_json::Value;

use crate::consumers::Consumer;

/// What an authentication plugin states about the caller.
#[derive(Clone, Debug, Default)]
pub struct IdentityParts {
    /// The account, where one belongs to the credential.
    pub consumer: Option<Arc<Consumer>>,
    /// The credential that was shown, by its id.
    pub credential: Option<Arc<str>>,
    /// The subject that a token names.
    pub subject: Option<Arc<str>>,
    /// The claims of a token, an object.
    pub claims: Option<Arc<Value>>,
    /// When the credential ends; long streams end with it.
    pub expires: Option<Timestamp>,
    /// Why nobody needs to be known here.
    pub anonymous_reason: Option<Arc<str>>,
}

/// The proved identity of a caller. Made only with an [`IdentityKey`].
#[derive(Clone, Debug)]
pub struct Identity {
    method: &'static str,
    parts: IdentityParts,
}

/// The right to make an [`Identity`]; the chain lends it in the Authenticate stage.
#[derive(Debug)]
pub struct IdentityKey(());

impl IdentityKey {
    /// The one place that makes the key; private to the chain.
    pub(crate) const fn lend() -> Self {
        Self(())
    }
}

impl Identity {
    /// States an identity that `method` (the plugin's name) has proved.
    pub fn new(_key: &IdentityKey, method: &'static str, parts: IdentityParts) -> Self {
        Self { method, parts }
    }

    /// Both identities as one, unless they name different accounts.
    pub(crate) fn merge(self, other: Self) -> Result<Self, Denial> {
        let (a, b) = (self.parts, other.parts);
        let names =
            |parts: &IdentityParts| parts.consumer.as_ref().map(|c| c.username().to_owned());
        if let (Some(first), Some(second)) = (names(&a), names(&b))
            && first != second
        {
            let detail = format!("`{}` and `{}` name two accounts", self.method, other.method);
            return Err(Denial::new(Reason::InvalidCredential, detail));
        }
        let is_anonymous = a.anonymous_reason.is_some() && b.anonymous_reason.is_some();
        let parts = IdentityParts {
            consumer: a.consumer.or(b.consumer),
            credential: a.credential.or(b.credential),
            subject: a.subject.or(b.subject),
            claims: a.claims.or(b.claims),
            expires: a.expires.into_iter().chain(b.expires).min(),
            anonymous_reason: a.anonymous_reason.filter(|_| is_anonymous),
        };
        Ok(Self { method: self.method, parts })
    }

    /// The plugin that proved it.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The account, where there is one.
    pub fn consumer(&self) -> Option<&Arc<Consumer>> {
        self.parts.consumer.as_ref()
    }

    /// The credential shown, by its id.
    pub fn credential(&self) -> Option<&str> {
        self.parts.credential.as_deref()
    }

    /// The subject that a token names.
    pub fn subject(&self) -> Option<&str> {
        self.parts.subject.as_deref()
    }

    /// When the credential ends.
    pub fn expires(&self) -> Option<Timestamp> {
        self.parts.expires
    }

    /// True where anonymity was declared in place of a proof.
    pub fn is_anonymous(&self) -> bool {
        self.parts.anonymous_reason.is_some()
    }

    /// A claim by its dotted path (`realm_access.roles`). A claim whose own name has dots wins.
    pub fn claim(&self, path: &str) -> Option<&Value> {
        let claims = self.parts.claims.as_deref()?;
        if let Some(value) = claims.get(path) {
            return Some(value);
        }
        path.split('.').try_fold(claims, |value, step| value.get(step))
    }

    /// A name for this caller in logs: the consumer's, else the token's subject.
    pub fn display(&self) -> Cow<'_, str> {
        match (&self.parts.consumer, &self.parts.subject) {
            (Some(consumer), _) => Cow::Borrowed(consumer.username()),
            (None, Some(subject)) => Cow::Borrowed(subject),
            (None, None) => Cow::Borrowed("anonymous"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(method: &'static str, parts: IdentityParts) -> Identity {
        Identity::new(&IdentityKey::lend(), method, parts)
    }

    fn account(name: &str) -> IdentityParts {
        let consumer = Consumer::new(Arc::from(name), None, Vec::new());
        IdentityParts { consumer: Some(Arc::new(consumer)), ..IdentityParts::default() }
    }

    #[test]
    fn two_proofs_of_one_account_are_one_identity() {
        let claims = serde_json::json!({"scope": "read"});
        let token = IdentityParts { claims: Some(Arc::new(claims)), ..account("alice") };
        let merged = identity("key-auth", account("alice")).merge(identity("jwt-auth", token));
        let merged = merged.unwrap();
        assert_eq!(merged.display(), "alice");
        assert!(merged.claim("scope").is_some());
    }

    #[test]
    fn two_accounts_in_one_request_are_refused() {
        let merged = identity("a", account("alice")).merge(identity("b", account("bob")));
        assert_eq!(merged.unwrap_err().reason, Reason::InvalidCredential);
    }

    #[test]
    fn claims_are_found_by_dotted_path_and_whole_names_win() {
        let claims = serde_json::json!({"a": {"b": 1}, "x.y": 2, "x": {"y": 3}});
        let parts = IdentityParts { claims: Some(Arc::new(claims)), ..Default::default() };
        let identity = identity("jwt-auth", parts);
        assert_eq!(identity.claim("a.b"), Some(&1.into()));
        assert_eq!(identity.claim("x.y"), Some(&2.into()));
        assert_eq!(identity.claim("a.c"), None);
    }
}
