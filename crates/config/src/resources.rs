//! The resource model of Apache APISIX, typed.

mod kind;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Secret;
use ipnet::IpNet;
use serde_json::Value;

use crate::checks::HealthChecks;
use crate::diagnostic::Place;
use crate::graphql_cost::CostTree;
use crate::managers::SecretManager;

pub use kind::{ResourceKind, ResourceRef};

/// A plugin as written in some resource.
#[derive(Clone, Debug)]
pub struct PluginUse {
    /// The plugin's name; known to exist.
    pub name: Arc<str>,
    /// Its configuration without `_meta`, valid against its schema, secret references resolved.
    pub config: Value,
    /// What `_meta` says.
    pub meta: Meta,
    /// The resource it is written in; state belongs to that.
    pub origin: ResourceRef,
    /// Where its configuration stands, for diagnostics.
    pub place: Place,
}

/// The `_meta` of a plugin.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// The plugin is not run.
    pub disable: bool,
    /// Replaces the body of what the plugin refuses.
    pub error_response: Option<Value>,
    /// Orders the plugin inside its stage.
    pub priority: Option<i32>,
    /// The plugin runs only where this expression holds.
    pub filter: Option<Value>,
}

/// Everything that a store holds, typed, with references that exist.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// Routes in document order.
    pub routes: Vec<Route>,
    /// Services.
    pub services: Vec<Service>,
    /// Upstreams with an id.
    pub upstreams: Vec<Upstream>,
    /// Consumers.
    pub consumers: Vec<Consumer>,
    /// Consumer groups.
    pub consumer_groups: Vec<ConsumerGroup>,
    /// Plugin configs.
    pub plugin_configs: Vec<PluginConfig>,
    /// Global rules.
    pub global_rules: Vec<GlobalRule>,
    /// Certificates.
    pub ssls: Vec<Ssl>,
    /// Plugin metadata.
    pub plugin_metadata: Vec<PluginMetadata>,
    /// Messages and services of gRPC.
    pub protos: Vec<Proto>,
    /// Where references to secrets lead.
    pub managers: Vec<Arc<SecretManager>>,
    /// Routes in quarantine that were never sound.
    pub blocked: Vec<BlockedRoute>,
    /// The objects came one by one, in the order of their names.
    pub is_keyed: bool,
}

impl Resources {
    /// Adds others behind these.
    pub(crate) fn append(&mut self, others: Self) {
        let Self {
            routes,
            services,
            upstreams,
            consumers,
            consumer_groups,
            plugin_configs,
            global_rules,
            ssls,
            plugin_metadata,
            protos,
            managers,
            blocked,
            is_keyed,
        } = others;
        self.routes.extend(routes);
        self.services.extend(services);
        self.upstreams.extend(upstreams);
        self.consumers.extend(consumers);
        self.consumer_groups.extend(consumer_groups);
        self.plugin_configs.extend(plugin_configs);
        self.global_rules.extend(global_rules);
        self.ssls.extend(ssls);
        self.plugin_metadata.extend(plugin_metadata);
        self.protos.extend(protos);
        self.managers.extend(managers);
        self.blocked.extend(blocked);
        self.is_keyed |= is_keyed;
    }
}

/// A change of resources: what it is about and what that touches, the rest being as it was.
#[derive(Clone, Debug, Default)]
pub struct Amendment {
    /// Objects as they are now, among them each that must be compiled again because another one
    /// changed.
    pub put: Resources,
    /// Objects that are no more; nothing refers to them.
    pub gone: Vec<ResourceRef>,
    /// The routes before and after new ones, where the order is that of a document.
    pub between: HashMap<Arc<str>, [Option<Arc<str>>; 2]>,
}

/// What is known of a route in quarantine: nothing is served where it would have been, so that
/// nothing falls through to a wider route.
#[derive(Clone, Debug)]
pub struct BlockedRoute {
    /// Its id.
    pub id: Arc<str>,
    /// Paths, as far as they could be read.
    pub uris: Vec<String>,
    /// Hosts, or its service's; empty means any.
    pub hosts: Vec<String>,
    /// Methods; empty means any.
    pub methods: Vec<String>,
    /// Among routes of equal host and path, the higher one is tried first.
    pub priority: i64,
    /// Where it stands.
    pub place: Place,
}

/// A route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its id.
    pub id: Arc<str>,
    /// Its name, for people.
    pub name: Option<Arc<str>>,
    /// Paths: `/a`, `/a/*`, `/a*`.
    pub uris: Vec<String>,
    /// Hosts, lower case: exact, or `*` followed by a suffix. Empty means any (or the service's).
    pub hosts: Vec<String>,
    /// Methods; empty means any.
    pub methods: Vec<String>,
    /// Client addresses; empty means any.
    pub remote_addrs: Vec<IpNet>,
    /// The `vars` expression as written.
    pub vars: Option<Value>,
    /// Among routes of equal host and path, the higher one is tried first.
    pub priority: i64,
    /// Whether it is served at all (`status: 1`).
    pub is_enabled: bool,
    /// Plugins.
    pub plugins: Vec<PluginUse>,
    /// Plugins shared with other routes.
    pub plugin_config_id: Option<Arc<str>>,
    /// The service it belongs to.
    pub service_id: Option<Arc<str>>,
    /// A shared upstream.
    pub upstream_id: Option<Arc<str>>,
    /// An upstream of its own; its id is that of the route.
    pub upstream: Option<Upstream>,
    /// Overrides the upstream's timeouts.
    pub timeout: Option<Timeouts>,
    /// Whether connections may be upgraded to WebSocket; absent: as its service says, else not.
    pub enable_websocket: Option<bool>,
    /// Labels.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Where it stands.
    pub place: Place,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its id.
    pub id: Arc<str>,
    /// Its name, for people.
    pub name: Option<Arc<str>>,
    /// Hosts for routes that have none.
    pub hosts: Vec<String>,
    /// Plugins.
    pub plugins: Vec<PluginUse>,
    /// A shared upstream.
    pub upstream_id: Option<Arc<str>>,
    /// An upstream of its own.
    pub upstream: Option<Upstream>,
    /// Whether connections of routes that do not say may be upgraded to WebSocket.
    pub enable_websocket: Option<bool>,
    /// What fields of its GraphQL queries cost, where that is said of any.
    pub graphql_costs: Option<Arc<CostTree>>,
    /// Where it stands.
    pub place: Place,
}

/// How to speak to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plaintext HTTP/1.1.
    #[default]
    Http,
    /// HTTP/1.1 over verified TLS.
    Https,
    /// HTTP/2 in plaintext, with prior knowledge.
    Grpc,
    /// HTTP/2 over verified TLS.
    Grpcs,
}

impl Scheme {
    /// True where TLS is spoken.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }

    /// True where HTTP/2 is spoken.
    pub fn is_http2(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }

    /// What the same is called under TLS.
    pub fn under_tls(self) -> &'static str {
        if self.is_http2() { "grpcs" } else { "https" }
    }

    /// The port of a node that names none.
    pub fn default_port(self) -> u16 {
        if self.is_tls() { 443 } else { 80 }
    }
}

/// Where the servers of an upstream are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoundIn {
    /// The registry.
    pub registry: RegistryType,
    /// What they are called there.
    pub service: Arc<str>,
    /// What else it asks for.
    pub args: FoundArgs,
}

/// Where in a registry a service is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FoundArgs {
    /// The namespace, in Nacos.
    pub namespace: Option<Arc<str>>,
    /// The group, in Nacos.
    pub group: Option<Arc<str>>,
}

/// A kind of registry of servers; a node has one of each at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegistryType {
    /// DNS.
    Dns,
    /// Consul.
    Consul,
    /// Kubernetes.
    Kubernetes,
    /// Nacos.
    Nacos,
    /// Eureka.
    Eureka,
}

impl RegistryType {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Consul => "consul",
            Self::Kubernetes => "kubernetes",
            Self::Nacos => "nacos",
            Self::Eureka => "eureka",
        }
    }
}

/// How a server is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Balancing {
    /// In turn, by weight.
    #[default]
    Turns,
    /// The one with the fewest requests under way for its weight.
    LeastConnections,
    /// By a key that the request holds.
    Hash(HashedBy),
    /// The better of two, by how long answers took of late.
    Latency,
}

/// Where the key of consistent hashing is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashedBy {
    /// In this variable.
    Variable(String),
    /// In the header of this name, lower case.
    Header(String),
    /// In the cookie of this name.
    Cookie(String),
    /// In the name of the consumer.
    Consumer,
    /// In this text with variables.
    Combination(String),
}

/// Which Host the upstream sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PassHost {
    /// The client's.
    #[default]
    Pass,
    /// The node's name.
    Node,
    /// This one.
    Rewrite(String),
}

/// Connect, send and read timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Time to connect.
    pub connect: Duration,
    /// Time without progress while sending.
    pub send: Duration,
    /// Time without progress while reading.
    pub read: Duration,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamNode {
    /// Name or address.
    pub host: Arc<str>,
    /// Port; the scheme's default where the document gives none.
    pub port: u16,
    /// Share of the traffic; 0 is none.
    pub weight: u32,
    /// Nodes of higher priority are used first.
    pub priority: i32,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, Default)]
pub struct UpstreamTls {
    /// PEM of the authorities that may have signed its certificate; the system's where absent.
    pub ca_certs: Option<String>,
    /// PEM of our certificate.
    pub client_cert: Option<String>,
    /// PEM of its key.
    pub client_key: Option<Secret>,
    /// The id of an ssl of type client that holds both.
    pub client_cert_id: Option<Arc<str>>,
    /// `danger_tls_verify_off: true`: the upstream's certificate is not verified.
    pub danger_verify_off: bool,
}

/// An upstream.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its id (that of the route or service where it is written inline).
    pub id: Arc<str>,
    /// The resource it is written in.
    pub origin: ResourceRef,
    /// Its name, for people.
    pub name: Option<Arc<str>>,
    /// Servers; none where a registry knows them.
    pub nodes: Vec<UpstreamNode>,
    /// Where the servers are found, if they are not written.
    pub found_in: Option<FoundIn>,
    /// How one of them is chosen.
    pub balancing: Balancing,
    /// How to speak to them.
    pub scheme: Scheme,
    /// Which Host they see.
    pub pass_host: PassHost,
    /// Further tries on other nodes; `None` is the number of nodes less one.
    pub retries: Option<u32>,
    /// Time for all tries together; `None` or zero is no limit of its own.
    pub retry_timeout: Option<Duration>,
    /// Timeouts; `None` is the node's limits.
    pub timeout: Option<Timeouts>,
    /// Idle connections kept per node and worker.
    pub keepalive_size: Option<u32>,
    /// Time an idle connection is kept.
    pub keepalive_idle: Option<Duration>,
    /// Requests on one connection.
    pub keepalive_requests: Option<u32>,
    /// TLS.
    pub tls: UpstreamTls,
    /// Health checks.
    pub checks: Option<Arc<HealthChecks>>,
    /// Where it stands.
    pub place: Place,
}

/// A consumer.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its username.
    pub username: Arc<str>,
    /// Its group.
    pub group_id: Option<Arc<str>>,
    /// Authentication plugins with its keys, and plugins that run for it once it is known.
    pub plugins: Vec<PluginUse>,
    /// Further keys.
    pub credentials: Vec<Credential>,
    /// Labels.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    /// Where it stands.
    pub place: Place,
}

/// A further key of a consumer.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its id.
    pub id: Arc<str>,
    /// One authentication plugin.
    pub plugins: Vec<PluginUse>,
    /// Where it stands.
    pub place: Place,
}

/// A consumer group.
#[derive(Clone, Debug)]
pub struct ConsumerGroup {
    /// Its id.
    pub id: Arc<str>,
    /// Plugins.
    pub plugins: Vec<PluginUse>,
    /// Where it stands.
    pub place: Place,
}

/// A plugin config.
#[derive(Clone, Debug)]
pub struct PluginConfig {
    /// Its id.
    pub id: Arc<str>,
    /// Plugins.
    pub plugins: Vec<PluginUse>,
    /// Where it stands.
    pub place: Place,
}

/// A global rule.
#[derive(Clone, Debug)]
pub struct GlobalRule {
    /// Its id.
    pub id: Arc<str>,
    /// Plugins.
    pub plugins: Vec<PluginUse>,
    /// Where it stands.
    pub place: Place,
}

/// What an ssl is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslType {
    /// A certificate that we show to clients.
    #[default]
    Server,
    /// A certificate that we show to upstreams.
    Client,
}

/// Client certificates of a server name.
#[derive(Clone, Debug)]
pub struct SslClient {
    /// PEM of the authorities whose certificates are accepted.
    pub ca: String,
    /// Intermediate certificates allowed between a client's certificate and the authority.
    pub depth: u8,
    /// Paths that may be requested without a certificate.
    pub skip_mtls_uri_regex: Vec<String>,
}

/// A certificate.
#[derive(Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "`type` is a keyword")]
pub struct Ssl {
    /// Its id.
    pub id: Arc<str>,
    /// What it is for.
    pub ssl_type: SslType,
    /// Server names, lower case: exact, or `*.` and a suffix (one label), or `*`.
    pub snis: Vec<String>,
    /// PEM pairs of chain and key; the first is `cert`/`key`, the rest `certs`/`keys`.
    pub pairs: Vec<(String, Secret)>,
    /// Client certificates.
    pub client: Option<SslClient>,
    /// Versions (`TLSv1.2`, `TLSv1.3`); empty is the listener's.
    pub protocols: Vec<String>,
    /// Whether it is served at all.
    pub is_enabled: bool,
    /// Where it stands.
    pub place: Place,
}

/// Settings of a plugin for the whole node.
#[derive(Clone, Debug)]
pub struct PluginMetadata {
    /// The plugin.
    pub name: Arc<str>,
    /// Its settings.
    pub config: Value,
    /// Where they stand.
    pub place: Place,
}

/// Messages and services of gRPC.
#[derive(Clone, Debug)]
pub struct Proto {
    /// Its id.
    pub id: Arc<str>,
    /// The text of a `.proto` file, or a set of files in base64; whoever compiles it reads it.
    pub content: Arc<str>,
    /// Where it stands.
    pub place: Place,
}
