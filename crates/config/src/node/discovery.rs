//! Registries that know the servers of upstreams.

mod complete;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bartizan_core::{Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) use complete::complete;

/// Registries that know the servers of upstreams, by the `discovery_type` that upstreams name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Discovery {
    /// DNS: the addresses of a name, or what its SRV records say.
    pub dns: Option<DnsDiscovery>,
    /// Consul: the instances of a service that pass their checks.
    pub consul: Option<ConsulDiscovery>,
    /// Kubernetes: the endpoints of a service that are ready.
    pub kubernetes: Option<KubernetesDiscovery>,
    /// Nacos: the instances of a service that are healthy and enabled.
    pub nacos: Option<NacosDiscovery>,
    /// Eureka: the instances of an application that are up.
    pub eureka: Option<EurekaDiscovery>,
}

/// Servers found in Nacos.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NacosDiscovery {
    /// Members of one Nacos with the path of its API, as in `https://nacos.internal:8848/nacos`.
    /// Another one is asked where one does not answer.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 1024)))]
    pub servers: Vec<String>,
    /// The user, where Nacos asks for one.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256))]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// How often it is asked, each time after the half of it to all of it.
    #[serde(default = "interval")]
    pub interval: Span,
    /// The authorities that may have signed the certificates of the servers: a path to a PEM file,
    /// `$file://…`, `$env://…` or the PEM itself. Absent: those of the system.
    #[serde(default)]
    #[schemars(extend("x-reference" = true))]
    pub ca_certs: Option<String>,
    /// Time for an answer.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Accepts servers on other machines that are not `https`: everyone on the way can read the
    /// password, and say where requests go.
    #[serde(default)]
    pub danger_plaintext: bool,
}

/// Servers found in Eureka.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EurekaDiscovery {
    /// Members of one Eureka with the path of its API, as in
    /// `https://eureka.internal:8761/eureka`. Another one is asked where one does not answer.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 1024)))]
    pub servers: Vec<String>,
    /// The user, where Eureka asks for one.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256))]
    pub username: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// How often it is asked, each time after the half of it to all of it.
    #[serde(default = "interval")]
    pub interval: Span,
    /// The weight of an instance whose metadata name none.
    #[serde(default = "instance_weight")]
    pub weight: u32,
    /// The authorities that may have signed the certificates of the servers: a path to a PEM file,
    /// `$file://…`, `$env://…` or the PEM itself. Absent: those of the system.
    #[serde(default)]
    #[schemars(extend("x-reference" = true))]
    pub ca_certs: Option<String>,
    /// Time for an answer.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Accepts servers on other machines that are not `https`: everyone on the way can read the
    /// password, and say where requests go.
    #[serde(default)]
    pub danger_plaintext: bool,
}

fn interval() -> Span {
    Span(Duration::from_secs(10))
}

fn instance_weight() -> u32 {
    100
}

/// Servers found in Consul.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsulDiscovery {
    /// Agents or servers of one Consul, as in `https://consul.internal:8501`. Another one is asked
    /// where one does not answer.
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 1024)))]
    pub servers: Vec<String>,
    /// The token, which must be allowed to read the services and their nodes.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The authorities that may have signed the certificates of the servers: a path to a PEM file,
    /// `$file://…`, `$env://…` or the PEM itself. Absent: those of the system.
    #[serde(default)]
    #[schemars(extend("x-reference" = true))]
    pub ca_certs: Option<String>,
    /// Time for an answer, beside the minute that Consul waits for a change.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Accepts servers on other machines that are not `https`: everyone on the way can read the
    /// token, and say where requests go.
    #[serde(default)]
    pub danger_plaintext: bool,
}

/// Servers found in Kubernetes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubernetesDiscovery {
    /// The API server. Absent: that of the cluster in which the node runs.
    #[serde(default = "api_server")]
    #[schemars(extend("minLength" = 1, "maxLength" = 1024))]
    pub server: String,
    /// The token of an account that may list and watch `endpointslices`. Absent: `token_file`.
    #[serde(default)]
    pub token: Option<Secret>,
    /// The file that holds the token. It is read at each call, since Kubernetes renews it.
    #[serde(default = "token_file")]
    #[schemars(extend("minLength" = 1))]
    pub token_file: PathBuf,
    /// The authorities that may have signed the certificate of the API server: a path to a PEM
    /// file, `$file://…`, `$env://…` or the PEM itself. Absent: those that Kubernetes gives to its
    /// containers.
    #[serde(default = "cluster_authorities")]
    #[schemars(extend("x-reference" = true, "minLength" = 1))]
    pub ca_certs: String,
    /// The weight of each endpoint.
    #[serde(default = "endpoint_weight")]
    pub weight: u32,
    /// Time for an answer.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Accepts a server on another machine that is not `https`: everyone on the way can read the
    /// token, and say where requests go.
    #[serde(default)]
    pub danger_plaintext: bool,
}

fn timeout() -> Span {
    Span(Duration::from_secs(5))
}

fn api_server() -> String {
    "https://kubernetes.default.svc".to_owned()
}

fn token_file() -> PathBuf {
    PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount/token")
}

fn cluster_authorities() -> String {
    "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt".to_owned()
}

fn endpoint_weight() -> u32 {
    50
}

/// Servers found by DNS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsDiscovery {
    /// The DNS servers, as in `10.0.0.2`, `10.0.0.2:8600` or `[2001:db8::53]:53`. Another one is
    /// asked where one does not answer. They are asked over TCP.
    #[serde(default)]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 64)))]
    pub servers: Vec<String>,
    /// The file that names the DNS servers instead, as in `/etc/resolv.conf`. Of it only lines with
    /// `nameserver` count; it is read when the node starts.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub resolv_conf: Option<PathBuf>,
    /// In which order types of records are asked for. The first that there are any of counts.
    #[serde(default = "order")]
    #[schemars(length(min = 1, max = 5), extend("uniqueItems" = true))]
    pub order: Vec<DnsRecords>,
    /// The servers that were read.
    #[serde(skip)]
    pub addresses: Vec<SocketAddr>,
}

/// A type of DNS records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum DnsRecords {
    /// What there was the last time.
    #[serde(rename = "last")]
    Last,
    /// Hosts with ports, weights and priorities (RFC 2782).
    #[serde(rename = "SRV")]
    Srv,
    /// IPv4 addresses.
    #[serde(rename = "A")]
    A,
    /// IPv6 addresses (RFC 3596).
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Another name, which is then asked for, where the DNS server did not do so itself.
    #[serde(rename = "CNAME")]
    Cname,
}

fn order() -> Vec<DnsRecords> {
    use DnsRecords::{A, Aaaa, Cname, Last, Srv};
    vec![Last, Srv, A, Aaaa, Cname]
}
