//! The node file, `bartizan.yaml`: what one gateway process is, apart from what it routes.
//!
//! The types are the file: their documentation and schema are its reference. Relative paths start
//! at the folder of the file. Certificates and keys are read when the file is.

mod admin;
mod api_keys;
mod complete;
mod discovery;
mod forms;
mod lent;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;

use bartizan_core::{Compatibility, Limits, RouterMode, Secret};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::plugin_schemas::Standing;
use crate::schema::Special;
use crate::terms::References;

pub use admin::{Admin, AdminTls};
pub use api_keys::{ApiKeys, HashKeyConfig, KeyInVault, KeyRecipient, KeyRotation};
pub(crate) use complete::complete;
pub use discovery::{
    ConsulDiscovery, Discovery, DnsDiscovery, DnsRecords, EurekaDiscovery, KubernetesDiscovery,
    NacosDiscovery,
};
pub(crate) use forms::Network;
pub(crate) use store::is_local;
pub use store::{
    EncryptAs, Encryption, EncryptionKey, EtcdSnapshot, EtcdStore, EtcdTls, Store, StoreReferences,
};

/// The configuration of a node.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own, none is a state")]
pub struct NodeConfig {
    /// Where clients connect.
    #[schemars(length(min = 1))]
    pub listeners: Vec<Listener>,
    /// Worker threads, each with its own event loop and upstream connections. Absent: one for each
    /// processor.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u32>,
    /// Where routes, consumers and the other resources are kept. Small set-ups write them under
    /// `resources` instead; with `admin` alone it is `embedded: {path: bartizan.store}`, beside the
    /// node file.
    #[serde(default)]
    pub store: Option<Store>,
    /// Registries that know the servers of upstreams.
    #[serde(default)]
    pub discovery: Discovery,
    /// Whose wire habits the node follows: error bodies, reject codes, headers and defaults. What a
    /// route must prove is the same.
    #[serde(default)]
    pub compatibility: Compatibility,
    /// What every route must have.
    #[serde(default)]
    pub security: Security,
    /// The Admin API, by which operators change what is in a `store`. Absent: nobody can.
    #[serde(default)]
    pub admin: Option<Admin>,
    /// How the keys of callers are made and kept. Absent: keys stand in the store as they are.
    #[serde(default)]
    pub api_keys: Option<ApiKeys>,
    /// Where the node tells how it is and serves metrics. Absent: nowhere.
    #[serde(default)]
    pub status: Option<Status>,
    /// The record of refusals and errors.
    #[serde(default)]
    pub audit: Audit,
    /// The record of every request. Absent: none is written.
    #[serde(default)]
    pub access_log: AccessLog,
    /// Addresses and networks of proxies in front of this node, whose word about the client's
    /// address counts.
    #[serde(default, deserialize_with = "forms::networks")]
    #[schemars(with = "Vec<forms::Network>")]
    pub trusted_proxies: Vec<IpNet>,
    /// Sizes, counts and waits.
    #[serde(default)]
    pub limits: Limits,
    /// Accepts the fields of Apache APISIX that fail open, such as `allow_degradation: true` and
    /// `tls.verify: false`, under their own names. Without it they are refused, and the `danger_`
    /// field that means the same is named.
    #[serde(default)]
    pub danger_accept_apisix_fail_open: bool,
    /// Lets upstreams be at link-local addresses and at the metadata services of clouds. Whoever
    /// can name an upstream, or answers for its name, can then read this machine's cloud
    /// credentials through the gateway.
    #[serde(default)]
    pub danger_allow_link_local: bool,
    /// Takes several slashes in a path as one before it is routed.
    #[serde(default = "forms::yes")]
    pub merge_slashes: bool,
    /// In which order host and path choose a route, and whether paths have parameters.
    #[serde(default)]
    pub router: RouterMode,
    /// Takes the slash from the end of every path, so that `/users/` is `/users`: what is matched,
    /// inspected and forwarded has none.
    #[serde(default)]
    pub delete_uri_tail_slash: bool,
    /// Takes the parameters from every segment of a path, so that `/users;v=1/7` is `/users/7`, as
    /// servlets read it: what is matched, inspected and forwarded has none. Without it a `;` in a
    /// path is refused, since programs differ in what they make of it.
    #[serde(default)]
    pub normalize_uri_like_servlet: bool,
    /// Takes `%2F` in a path as a part of its segment and forwards it so, instead of refusing it.
    /// An upstream that decodes it before it looks at the path serves another path than the one
    /// that was authorised. Dot segments beside it are refused all the same.
    #[serde(default)]
    pub danger_match_uri_encoded_slash: bool,
    /// What happens to a change of the resources that holds an error. Absent: `reject_all` for
    /// files, whose author waits for the answer, and `quarantine` for stores that others write to.
    #[serde(default)]
    pub on_invalid: Option<OnInvalid>,
    /// The node file itself.
    #[serde(skip)]
    pub path: PathBuf,
    /// What the objects may read of this machine, as `store` says.
    #[serde(skip)]
    pub references: References,
}

/// A port that clients connect to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Address and port, as in `0.0.0.0:8443` or `[::]:8443`.
    #[schemars(extend("format" = "socket-address"))]
    pub address: SocketAddr,
    /// TLS. A listener without it that is reachable from other machines answers only with a
    /// redirect to https.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Serves plaintext HTTP to other machines: everyone on the way can read and change it.
    #[serde(default)]
    pub danger_plaintext: bool,
}

/// TLS of a listener. Certificates of the resources (`ssls`) are served as well.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListenerTls {
    /// The oldest version that is spoken.
    pub minimum: TlsVersion,
    /// Certificates for the names that they are issued to.
    pub certificates: Vec<ListenerCertificate>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// A certificate of a listener.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerCertificate {
    /// The chain, leaf first: a path to a PEM file, `$file://…`, `$env://…` or the PEM itself.
    // Once the file is read, this is the PEM.
    #[schemars(length(min = 1), extend("x-reference" = true))]
    pub cert: String,
    /// Its key, in the same forms.
    #[schemars(extend("minLength" = 1))]
    pub key: Secret,
    /// Served to clients that name no server (no SNI). Without such a certificate they are refused.
    #[serde(default)]
    pub default: bool,
}

/// What every route must have, or the configuration is refused.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// The protections without which no route is accepted. Absent: `authentication` and `grant`.
    /// `waf` asks for the plugin of that name, which must block.
    #[schemars(extend("uniqueItems" = true))]
    pub require: Vec<Requirement>,
    /// Must be given where `require` leaves out `authentication`: routes without a plugin that
    /// proves who calls are then accepted without a word.
    pub danger_allow_unauthenticated_routes: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            require: vec![Requirement::Authentication, Requirement::Grant],
            danger_allow_unauthenticated_routes: false,
        }
    }
}

/// A protection that can be required of every route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Requirement {
    /// A plugin that proves who calls, or `anonymous-access` with a reason.
    Authentication,
    /// A plugin that decides what the caller may do, or `any-authenticated` with a reason.
    Grant,
    /// A limit on how much.
    Limit,
    /// A description of what may be sent.
    Schema,
    /// Inspection of what is sent.
    Waf,
    /// Verified TLS to the upstream.
    UpstreamTls,
}

/// Where the node tells how it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Address and port. It has no authentication: keep it on the loopback or a private network.
    #[schemars(extend("format" = "socket-address"))]
    pub address: SocketAddr,
}

/// The record of refusals and errors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Where events are written. Absent: standard output.
    #[schemars(length(min = 1))]
    pub sinks: Vec<Sink>,
    /// What happens when events come faster than the sinks take them. Absent: `count`.
    pub on_full: OnFull,
}

impl Default for Audit {
    fn default() -> Self {
        Self { sinks: vec![Sink::Stdout], on_full: OnFull::default() }
    }
}

/// The record of every request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLog {
    /// Where entries are written.
    pub sinks: Vec<Sink>,
}

/// Where records are written, one JSON object in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// A file, which is appended to.
    File {
        /// Its path.
        path: PathBuf,
    },
}

/// What happens when audit events come faster than the sinks take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// Events are dropped and counted.
    #[default]
    Count,
    /// Requests whose events have no room are refused.
    Deny,
}

/// What happens to a change of the resources that holds an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// The whole change is refused and the running configuration stays.
    RejectAll,
    /// An object at fault keeps its last good version; a route that never had one answers 503
    /// where it would have been served, anything else is left out. The rest of the change applies.
    /// Where leaving something out could let through what it was meant to stop (a global rule,
    /// settings of a plugin, a certificate that asks clients for theirs), the whole change is
    /// refused all the same.
    Quarantine,
}

impl NodeConfig {
    /// What happens to a change of the resources that holds an error.
    pub fn on_invalid(&self) -> OnInvalid {
        self.on_invalid.unwrap_or(match self.store {
            None | Some(Store::File { .. }) => OnInvalid::RejectAll,
            Some(Store::Embedded { .. } | Store::Etcd(_)) => OnInvalid::Quarantine,
        })
    }
}

/// Keys that a node file will have.
pub(crate) fn specials() -> Vec<Special> {
    [("telemetry", "metrics are served by `status`")]
        .into_iter()
        .map(|(path, why)| Special {
            path: path.to_owned(),
            owner: "a node".to_owned(),
            standing: Standing::NotYet(why),
        })
        .collect()
}
