//! Where what the upstream is told comes from.

use std::borrow::Cow;

use bartizan_chain::{Consumer, Identity};
use serde_json::Value;

/// Something that is known of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The consumer's name.
    Consumer,
    /// The consumer's group.
    Group,
    /// The credential's id.
    Credential,
    /// The subject of a token or certificate.
    Subject,
    /// The plugin that proved the identity.
    Method,
    /// A claim.
    Claim(Box<str>),
    /// A label of the consumer.
    Label(Box<str>),
}

impl Source {
    /// Reads what configuration says.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let named = |prefix: &str| text.strip_prefix(prefix).filter(|name| !name.is_empty());
        if let Some(name) = named("claim.") {
            return Some(Self::Claim(name.into()));
        }
        if let Some(name) = named("label.") {
            return Some(Self::Label(name.into()));
        }
        Some(match text {
            "consumer" => Self::Consumer,
            "group" => Self::Group,
            "credential" => Self::Credential,
            "subject" => Self::Subject,
            "method" => Self::Method,
            _ => return None,
        })
    }

    /// What it is for this caller; nothing where it is not known.
    pub(super) fn value<'i>(&self, identity: &'i Identity) -> Option<Cow<'i, Value>> {
        let consumer: Option<&Consumer> = identity.consumer().map(|consumer| &**consumer);
        let text = match self {
            Self::Consumer => consumer.map(Consumer::username),
            Self::Group => consumer.and_then(Consumer::group_id),
            Self::Credential => identity.credential(),
            Self::Subject => identity.subject(),
            Self::Method => Some(identity.method()),
            Self::Label(name) => consumer.and_then(|consumer| consumer.label(name)),
            Self::Claim(path) => return identity.claim(path).map(Cow::Borrowed),
        };
        text.map(|text| Cow::Owned(Value::from(text)))
    }

    /// The same as the value of a header: texts as they are, everything else as JSON.
    pub(super) fn text(&self, identity: &Identity) -> Option<String> {
        match self.value(identity)?.into_owned() {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        }
    }
}
