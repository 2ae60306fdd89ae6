//! The kinds of resources, and their names.

use std::fmt;
use std::sync::Arc;

/// The kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// Match rule, plugins, upstream.
    Route,
    /// Plugins, upstream and hosts that several routes share.
    Service,
    /// Nodes and how to reach them.
    Upstream,
    /// An account.
    Consumer,
    /// A further key of a consumer.
    Credential,
    /// Plugins that several consumers share.
    ConsumerGroup,
    /// Plugins that several routes share.
    PluginConfig,
    /// Plugins that run on every request.
    GlobalRule,
    /// Certificates.
    Ssl,
    /// Settings of a plugin for the whole node.
    PluginMetadata,
    /// Where secrets are kept.
    Secret,
    /// Messages and services of gRPC.
    Proto,
    /// What a field of a service's GraphQL queries costs.
    GraphqlCost,
}

impl ResourceKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Route,
        Self::Service,
        Self::Upstream,
        Self::Consumer,
        Self::Credential,
        Self::ConsumerGroup,
        Self::PluginConfig,
        Self::GlobalRule,
        Self::Ssl,
        Self::PluginMetadata,
        Self::Secret,
        Self::Proto,
        Self::GraphqlCost,
    ];

    /// The key in a declarative document and the path segment of the Admin API.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Route => "routes",
            Self::Service => "services",
            Self::Upstream => "upstreams",
            Self::Consumer => "consumers",
            Self::Credential => "credentials",
            Self::ConsumerGroup => "consumer_groups",
            Self::PluginConfig => "plugin_configs",
            Self::GlobalRule => "global_rules",
            Self::Ssl => "ssls",
            Self::PluginMetadata => "plugin_metadata",
            Self::Secret => "secrets",
            Self::Proto => "protos",
            Self::GraphqlCost => "graphql_cost_decorations",
        }
    }

    /// The word for one of them in a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Service => "service",
            Self::Upstream => "upstream",
            Self::Consumer => "consumer",
            Self::Credential => "credential",
            Self::ConsumerGroup => "consumer group",
            Self::PluginConfig => "plugin config",
            Self::GlobalRule => "global rule",
            Self::Ssl => "ssl",
            Self::PluginMetadata => "plugin metadata",
            Self::Secret => "secret manager",
            Self::Proto => "proto",
            Self::GraphqlCost => "graphql cost decoration",
        }
    }

    /// The kind that it stands below in keys and documents, and what is between the two ids.
    pub fn parent(self) -> Option<(Self, &'static str)> {
        match self {
            Self::Credential => Some((Self::Consumer, "/credentials/")),
            Self::GraphqlCost => Some((Self::Service, "/graphql_cost_decorations/")),
            _ => None,
        }
    }

    /// The kind of an object of this id that stands among those of this kind: itself, or one that
    /// stands below it.
    #[must_use]
    pub fn of_id(self, id: &str) -> Self {
        let is_below = |kind: &Self| {
            kind.parent().is_some_and(|(parent, between)| parent == self && id.contains(between))
        };
        [Self::Credential, Self::GraphqlCost].into_iter().find(is_below).unwrap_or(self)
    }
}

impl ResourceRef {
    /// The object that it stands below.
    pub fn owner(&self) -> Option<Self> {
        let (kind, between) = self.kind.parent()?;
        let (owner, _) = self.id.split_once(between)?;
        Some(Self { kind, id: owner.into() })
    }
}

/// The name of one resource: kind and id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceRef {
    /// The kind.
    pub kind: ResourceKind,
    /// The id; a consumer's is its username, a credential's is `username/credentials/id`, and that
    /// of what a GraphQL field costs `service/graphql_cost_decorations/id`.
    pub id: Arc<str>,
}

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.noun(), self.id)
    }
}
