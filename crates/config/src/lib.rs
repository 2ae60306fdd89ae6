//! From text to typed resources: a document that remembers where everything stands, the node file,
//! the resource model of Apache APISIX, references, merging, and diagnostics that show the place.
//!
//! Architecture invariant: this crate knows no plugin by name. What a plugin accepts is asked of
//! [`PluginSchemas`].

mod checks;
mod diagnostic;
mod document;
mod draft;
mod field_path;
mod graphql_cost;
mod load;
mod managers;
mod many;
mod merge;
mod node;
mod plugin_schemas;
mod publish;
mod read;
mod reference;
mod report;
mod resources;
mod schema;
mod secret_fields;
mod secrets;
mod sources;
mod surroundings;
mod terms;
mod wire;
mod words;

pub use checks::{ActiveCheck, CheckKind, CheckRule, HealthChecks, Hidden, PassiveCheck};
pub use diagnostic::{Diagnostic, Invalid, PathStep, Place, SourceId};
pub use document::{Content, Format, Member, Node, read};
pub use draft::{
    Draft, Ledger, ObjectAt, ObjectChange, ObjectFacts, ObjectName, Pages, StoredObject, Turn,
    objects_at,
};
pub use graphql_cost::{CostTree, DECORATIONS_MAX, FieldCost};
pub use load::{Failure, Loaded, LoadedResources, Loader, load_node, load_resources};
pub use managers::{
    Aws, Gcp, Keeper, KvVersion, SecretManager, SecretName, ServiceAccount, Vault, VaultAuth,
};
pub use merge::{Shared, SharedObjects, effective_hosts, effective_plugins, effective_upstream};
pub use node::{
    AccessLog, Admin, AdminTls, ApiKeys, Audit, ConsulDiscovery, Discovery, DnsDiscovery,
    DnsRecords, EncryptAs, Encryption, EncryptionKey, EtcdSnapshot, EtcdStore, EtcdTls,
    EurekaDiscovery, HashKeyConfig, KeyInVault, KeyRecipient, KeyRotation, KubernetesDiscovery,
    Listener, ListenerCertificate, ListenerTls, NacosDiscovery, NodeConfig, OnFull, OnInvalid,
    Requirement, Security, Sink, Status, Store, StoreReferences, TlsVersion,
};
pub use plugin_schemas::{PluginSchemas, Slot, Standing};
pub use publish::{node_schema, resources_schema};
pub use reference::{AUTH_FILE, Unreadable, is_of_machine, is_reference, unreadable};
pub use report::{one_line, render};
pub use resources::{
    Amendment, Balancing, BlockedRoute, Consumer, ConsumerGroup, Credential, FoundArgs, FoundIn,
    GlobalRule, HashedBy, Meta, PassHost, PluginConfig, PluginMetadata, PluginUse, Proto,
    RegistryType, ResourceKind, ResourceRef, Resources, Route, Scheme, Service, Ssl, SslClient,
    SslType, Timeouts, Upstream, UpstreamNode, UpstreamTls,
};
pub use schema::unsupported_keywords;
pub use secret_fields::{SecretFields, secret_fields};
pub use secrets::{kind_at, resource_schema, secrets_in};
pub use sources::{Position, Sources, locate};
pub use surroundings::{Nowhere, SecretFault, Surroundings, System, read_file_up_to};
pub use terms::References;
