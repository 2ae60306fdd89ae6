//! How this crate asks about plugins, of which it knows none by name.

use serde_json::Value;

/// Where a configuration of a plugin stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// On a route, service, plugin config, global rule or consumer group.
    Config,
    /// On a consumer or credential, for authentication plugins: the consumer's own key.
    Consumer,
    /// In `plugin_metadata`: for the whole node.
    Metadata,
}

impl Slot {
    /// The word for it in a sentence.
    pub(crate) fn place(self) -> &'static str {
        match self {
            Self::Config => "here",
            Self::Consumer => "on a consumer",
            Self::Metadata => "in `plugin_metadata`",
        }
    }
}

/// What is known of a plugin or field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It works.
    Known,
    /// Apache APISIX has it, this does not yet; the text says what is missing or what to use.
    NotYet(&'static str),
    /// Apache APISIX has it, this will not; the text says why and names the safe alternative.
    Refused(&'static str),
    /// Nobody has heard of it.
    Unknown,
}

/// The catalogue of plugins, as the configuration sees it.
///
/// Schemas are those that `schemars` makes. Besides the keywords of JSON Schema, three marks count:
/// `x-secret` (a string whose references resolve and which no report shows), `x-reference` (a
/// string whose references resolve), `x-expects` (what a string stands for, said when its pattern
/// does not match), `x-answers` (a map from values outside of an `enum` or `const` to what is said
/// about them, as in `{"chash": "is not supported yet"}`).
///
/// A field `danger_<name>` has a twin: where Apache APISIX's `<name>` stands in its place with the
/// default of `danger_<name>`, it is accepted and means nothing; with another value it is refused
/// and the twin is named, unless the node accepts what fails open, then it means the twin.
pub trait PluginSchemas: Sync {
    /// The names of all plugins, to suggest one.
    fn names(&self) -> Vec<&'static str>;

    /// What is known of a plugin.
    fn standing(&self, plugin: &str) -> Standing;

    /// The schema of a plugin's configuration; `None` if it takes none in that slot.
    fn schema(&self, plugin: &str, slot: Slot) -> Option<&Value>;

    /// Fields that get an answer of their own: dotted path from the plugin's configuration (items
    /// of a list are `[]`, as in `rules[].key`), and what is known of it.
    fn special_fields(&self, plugin: &str, slot: Slot) -> &[(&'static str, Standing)];

    /// True if the plugin proves who calls. Such plugins take the consumer's slot on consumers and
    /// credentials, others the same configuration as on a route.
    fn is_authentication(&self, plugin: &str) -> bool;
}
