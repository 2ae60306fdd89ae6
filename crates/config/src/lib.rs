//! From text to typed resources: a document that remembers where everything stands, the node file,
//! the resource model of Apache APISIX, references, merging, and diagnostics that show the place.
//!
//! Architecture invariant: this crate knows no plugin by name. What a plugin accepts is asked of
//! [`PluginSchemas`].

mod diagnostic;
mod resources;

pub use diagnostic::{Diagnostic, Invalid, PathStep, Place, SourceId};
pub use resources::{
    Consumer, ConsumerGroup, Credential, GlobalRule, Meta, PassHost, PluginConfig, PluginMetadata,
    PluginUse, ResourceKind, ResourceRef, Resources, Route, Scheme, Service, Ssl, SslClient,
    SslType, Timeouts, Upstream, UpstreamNode, UpstreamTls,
};
