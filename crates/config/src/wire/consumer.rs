//! Consumers, credentials, consumer groups.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{CredentialId, Desc, Id, Labels, Listed, Name, Plugins, Username};

/// A consumer: an account with its keys and the plugins that run for it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "consumer")]
#[expect(dead_code, reason = "texts for people and timestamps have no effect")]
pub(crate) struct ConsumerWire {
    /// The name of the account.
    pub(crate) username: Username,
    /// The same as `username`, if it is given at all.
    pub(crate) id: Option<Username>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// The group whose plugins run for it too.
    pub(crate) group_id: Option<Id>,
    /// Authentication plugins with its keys, and plugins that run for it once it is known.
    pub(crate) plugins: Option<Plugins>,
    /// Further keys.
    pub(crate) credentials: Option<Listed>,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// A credential: a further key of a consumer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "credential")]
#[expect(dead_code, reason = "the reader of ids and plugins looks at the document itself")]
pub(crate) struct CredentialWire {
    /// The id.
    pub(crate) id: CredentialId,
    /// The name, for people.
    pub(crate) name: Option<Name>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// One authentication plugin.
    pub(crate) plugins: Plugins,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// A consumer group: plugins that several consumers share.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "consumer group")]
#[expect(dead_code, reason = "the reader of ids and plugins looks at the document itself")]
pub(crate) struct ConsumerGroupWire {
    /// The id.
    pub(crate) id: Id,
    /// The name, for people.
    pub(crate) name: Option<Name>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// Plugins by name.
    pub(crate) plugins: Plugins,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}
