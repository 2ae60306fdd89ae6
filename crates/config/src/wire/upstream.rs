//! Upstreams.

use std::borrow::Cow;

use bartizan_core::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::checks::ChecksWire;
use super::scalar::{Desc, Host, Id, Labels, Name, Pem};

/// An upstream: the servers that answer, and how to reach them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "upstream")]
#[expect(dead_code, reason = "texts for people and timestamps have no effect")]
pub(crate) struct UpstreamWire {
    /// The id. Absent: the position in the list, from 1. Inline it has no effect.
    pub(crate) id: Option<Id>,
    /// The name, for people.
    pub(crate) name: Option<Name>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// The servers: a map from `host:port` to weight, or a list.
    pub(crate) nodes: Option<NodesWire>,
    /// What the servers are found by in a registry, instead of `nodes`; how it is written depends on
    /// `discovery_type`.
    #[schemars(length(min = 1, max = 256))]
    pub(crate) service_name: Option<String>,
    /// The registry that knows the servers, which the node must have under `discovery`.
    pub(crate) discovery_type: Option<DiscoveryTypeWire>,
    /// What `discovery_type: nacos` asks for besides.
    pub(crate) discovery_args: Option<DiscoveryArgsWire>,
    /// How a server is chosen.
    #[serde(default, rename = "type")]
    pub(crate) balancer: Balancer,
    /// What `chash` finds the key in. With other types only `vars` is accepted, which Apache APISIX
    /// writes out and which then has no effect.
    pub(crate) hash_on: Option<HashOnWire>,
    /// What `chash` hashes: the name of a variable, header or cookie, or for `vars_combinations` a
    /// text with variables such as `$host$uri`.
    #[schemars(length(min = 1, max = 1024))]
    pub(crate) key: Option<String>,
    /// How to speak to the servers.
    #[serde(default)]
    pub(crate) scheme: SchemeWire,
    /// Which Host they see: the client's (`pass`), the server's name (`node`) or `upstream_host`
    /// (`rewrite`).
    #[serde(default)]
    pub(crate) pass_host: PassHostWire,
    /// The Host for `pass_host: rewrite`.
    pub(crate) upstream_host: Option<Host>,
    /// Further tries on other servers. Absent: as many as there are other servers.
    pub(crate) retries: Option<u32>,
    /// Seconds for all tries together. Absent or 0: no limit of its own.
    #[schemars(range(min = 0))]
    pub(crate) retry_timeout: Option<f64>,
    /// Timeouts. Absent: those of the node.
    pub(crate) timeout: Option<TimeoutWire>,
    /// Connections that are kept open.
    pub(crate) keepalive_pool: Option<KeepaliveWire>,
    /// TLS towards the servers.
    pub(crate) tls: Option<TlsWire>,
    /// Health checks. Absent: servers are not probed, and all are used.
    pub(crate) checks: Option<ChecksWire>,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

/// How a server is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Balancer {
    /// In turn, by weight.
    #[default]
    Roundrobin,
    /// By what the request says of `key`: the same value, the same server, on every gateway that
    /// has the same servers. Without a value the client's address counts. A server that goes takes
    /// only its own values with it; its values, and those of one that fails, are spread over all
    /// others. Clients choose values, so that they can choose servers.
    Chash,
    /// The one with the fewest requests under way for its weight.
    #[serde(rename = "least_conn")]
    LeastConn,
    /// The better of two that chance names: the one whose answers come sooner of late. Weights do
    /// not matter, but for 0.
    Ewma,
}

/// What consistent hashing finds its key in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum HashOnWire {
    /// In the variable that `key` names, such as `uri` or `arg_user`.
    #[default]
    Vars,
    /// In the header that `key` names.
    Header,
    /// In the cookie that `key` names.
    Cookie,
    /// In the name of the consumer.
    Consumer,
    /// In a text with variables.
    VarsCombinations,
}

/// How to speak to an upstream.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline, extend("x-answers" = {
    "kafka": "is not supported yet",
    "tcp": "is not supported yet: streams are not proxied",
    "tls": "is not supported yet: streams are not proxied",
    "udp": "is not supported yet: streams are not proxied"
}))]
pub(crate) enum SchemeWire {
    /// Plaintext HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over verified TLS.
    Https,
    /// HTTP/2 in plaintext, with prior knowledge: for gRPC.
    Grpc,
    /// HTTP/2 over verified TLS: for gRPC.
    Grpcs,
}

/// Where in Nacos a service is.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoveryArgsWire {
    /// The namespace. Absent: `public`.
    #[schemars(length(min = 1, max = 256))]
    pub(crate) namespace_id: Option<String>,
    /// The group. Absent: `DEFAULT_GROUP`.
    #[schemars(length(min = 1, max = 256))]
    pub(crate) group_name: Option<String>,
}

/// A registry of servers.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline, extend("x-answers" = {
    "consul_kv": "is not supported yet",
    "tars": "is refused: its registry is a MySQL database, which would have to be read under its \
             own password; name the servers in `nodes`"
}))]
pub(crate) enum DiscoveryTypeWire {
    /// DNS. The name may have a port, as in `orders.internal:8080`.
    Dns,
    /// Consul.
    Consul,
    /// Nacos.
    Nacos,
    /// Eureka. The name is that of an application.
    Eureka,
    /// Kubernetes. The name is that of a service with its namespace and port, as in
    /// `shop/orders:https`.
    Kubernetes,
}

/// Which Host an upstream sees.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum PassHostWire {
    /// The client's.
    #[default]
    Pass,
    /// The server's name.
    Node,
    /// `upstream_host`.
    Rewrite,
}

/// The servers of an upstream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub(crate) enum NodesWire {
    /// From `host:port` to weight.
    Map(WeightsWire),
    /// One by one.
    List(Vec<NodeWire>),
}

/// A map from `host:port` to weight.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct WeightsWire(pub(crate) Map<String, Value>);

impl JsonSchema for WeightsWire {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Weights".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": "integer", "minimum": 0, "format": "uint32" }
        })
    }
}

/// One server of an upstream.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeWire {
    /// A host name or an address.
    #[schemars(length(min = 1))]
    pub(crate) host: String,
    /// The port. Absent: that of the scheme.
    #[schemars(range(min = 1))]
    pub(crate) port: Option<u16>,
    /// The share of the traffic; 0 is none.
    pub(crate) weight: u32,
    /// Servers of higher priority are used first.
    #[serde(default)]
    pub(crate) priority: i32,
    /// What others note about the server, at most 64 members and 16 KiB. It is kept and has no
    /// effect.
    #[schemars(extend("maxProperties" = 64))]
    pub(crate) metadata: Option<Map<String, Value>>,
}

/// Timeouts in seconds.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeoutWire {
    /// Seconds to connect.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) connect: f64,
    /// Seconds without progress while sending.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) send: f64,
    /// Seconds without progress while reading.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub(crate) read: f64,
}

/// Connections that are kept open to an upstream.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeepaliveWire {
    /// Most idle connections for each server and worker.
    #[schemars(range(min = 1))]
    pub(crate) size: Option<u32>,
    /// Seconds that an idle connection is kept.
    #[schemars(range(min = 0))]
    pub(crate) idle_timeout: Option<f64>,
    /// Most requests on one connection.
    #[schemars(range(min = 1))]
    pub(crate) requests: Option<u32>,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsWire {
    /// Certificates are verified unless `danger_tls_verify_off` says otherwise. `false` is refused,
    /// unless the node accepts fields that fail open.
    pub(crate) verify: Option<bool>,
    /// The upstream's certificate is not verified: whoever is on the way can take its place.
    #[serde(default)]
    pub(crate) danger_tls_verify_off: bool,
    /// The authorities that may have signed the upstream's certificate. Absent: the system's.
    pub(crate) ca_certs: Option<Pem>,
    /// Our certificate.
    pub(crate) client_cert: Option<Pem>,
    /// The key of our certificate.
    #[schemars(extend("minLength" = 64, "maxLength" = 65536))]
    pub(crate) client_key: Option<Secret>,
    /// The id of an ssl of type client that holds both.
    pub(crate) client_cert_id: Option<Id>,
}
