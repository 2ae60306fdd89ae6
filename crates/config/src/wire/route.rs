//! Routes, services, plugin configs, global rules, and what `_meta` of a plugin holds.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::scalar::{Desc, Host, Id, Labels, Listed, Name, Plugins};
use super::upstream::{TimeoutWire, UpstreamWire};
use crate::node::Network;

/// A route: which requests it takes, which plugins they pass, which upstream answers.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "route")]
#[expect(dead_code, reason = "texts for people and timestamps have no effect")]
pub(crate) struct RouteWire {
    /// The id. Absent: the position in the list, from 1.
    pub(crate) id: Option<Id>,
    /// The name, for people.
    pub(crate) name: Option<Name>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// The path: `/a` only itself, `/a/*` all below, `/a*` all that begin so.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) uri: Option<String>,
    /// Several paths.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(crate) uris: Option<Vec<String>>,
    /// The host: a name, or `*` and a suffix. Absent: that of the service, else any.
    pub(crate) host: Option<Host>,
    /// Several hosts.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(crate) hosts: Option<Vec<Host>>,
    /// The methods. Absent: any.
    #[schemars(extend("uniqueItems" = true))]
    pub(crate) methods: Option<Vec<Method>>,
    /// The address or network of the client.
    pub(crate) remote_addr: Option<Network>,
    /// Several addresses and networks.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(crate) remote_addrs: Option<Vec<Network>>,
    /// An expression over the request that must hold.
    pub(crate) vars: Option<Vec<Value>>,
    /// Among routes of equal host and path, the higher one is tried first.
    #[serde(default)]
    pub(crate) priority: i64,
    /// 0 takes the route out of service.
    #[schemars(extend("enum" = [0, 1]))]
    pub(crate) status: Option<u8>,
    /// Plugins by name.
    pub(crate) plugins: Option<Plugins>,
    /// Plugins shared with other routes.
    pub(crate) plugin_config_id: Option<Id>,
    /// The service it belongs to.
    pub(crate) service_id: Option<Id>,
    /// A shared upstream.
    pub(crate) upstream_id: Option<Id>,
    /// An upstream of its own.
    pub(crate) upstream: Option<UpstreamWire>,
    /// Replaces the timeouts of the upstream.
    pub(crate) timeout: Option<TimeoutWire>,
    /// Whether connections may be upgraded to WebSocket. Absent: as the service says, else not.
    pub(crate) enable_websocket: Option<bool>,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// A method.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(transparent)]
pub(crate) struct Method(pub(crate) String);

/// The methods that a route can name.
pub(crate) const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "PURGE"];

impl JsonSchema for Method {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Method".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "enum": METHODS })
    }
}

/// A service: what several routes share.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "service")]
#[expect(dead_code, reason = "texts for people and timestamps have no effect")]
pub(crate) struct ServiceWire {
    /// The id. Absent: the position in the list, from 1.
    pub(crate) id: Option<Id>,
    /// The name, for people.
    pub(crate) name: Option<Name>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// Hosts of routes that have none of their own.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(crate) hosts: Option<Vec<Host>>,
    /// Plugins by name.
    pub(crate) plugins: Option<Plugins>,
    /// A shared upstream.
    pub(crate) upstream_id: Option<Id>,
    /// An upstream of its own.
    pub(crate) upstream: Option<UpstreamWire>,
    /// What fields of its GraphQL queries cost.
    pub(crate) graphql_cost_decorations: Option<Listed>,
    /// Whether connections may be upgraded to WebSocket, where the route does not say.
    pub(crate) enable_websocket: Option<bool>,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// A plugin config: plugins that several routes share.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "plugin config")]
#[expect(dead_code, reason = "the reader of ids and plugins looks at the document itself")]
pub(crate) struct PluginConfigWire {
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

/// A global rule: plugins that run on every request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "global rule")]
#[expect(dead_code, reason = "the reader of ids and plugins looks at the document itself")]
pub(crate) struct GlobalRuleWire {
    /// The id.
    pub(crate) id: Id,
    /// Plugins by name.
    pub(crate) plugins: Plugins,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// What every plugin takes under `_meta`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "_meta")]
pub(crate) struct MetaWire {
    /// The plugin is not run. Its configuration is checked all the same, and it protects nothing.
    #[serde(default)]
    pub(crate) disable: bool,
    /// Replaces the body of what the plugin refuses.
    #[schemars(extend("type" = ["string", "object"]))]
    pub(crate) error_response: Option<Value>,
    /// Orders the plugin inside its stage.
    pub(crate) priority: Option<i32>,
    /// The plugin runs only where this expression holds. A filter that cannot be evaluated denies.
    pub(crate) filter: Option<Vec<Value>>,
}
