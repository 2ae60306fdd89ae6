//! The resources as they are written: one type for each kind, from which its schema comes.
//!
//! A field of Apache APISIX is here if it works; if not, it is in [`specials`] with its answer, or
//! its values are in the field's `x-answers`.

mod aws;
mod checks;
mod consumer;
mod gcp;
mod graphql_cost;
mod proto;
mod route;
mod scalar;
mod secret;
mod specials;
mod ssl;
mod upstream;

use std::sync::LazyLock;

use serde_json::Value;

pub(crate) use aws::AwsWire;
pub(crate) use checks::{ActiveWire, CheckTypeWire, ChecksWire, PassiveWire};
pub(crate) use consumer::{ConsumerGroupWire, ConsumerWire, CredentialWire};
pub(crate) use gcp::{GcpWire, ServiceAccountFile, ServiceAccountWire};
pub(crate) use graphql_cost::GraphqlCostWire;
pub(crate) use proto::ProtoWire;
pub(crate) use route::{
    GlobalRuleWire, METHODS, MetaWire, PluginConfigWire, RouteWire, ServiceWire,
};
pub(crate) use scalar::{Host, Id, Labels, VaultPath};
pub(crate) use secret::{ManagerTlsWire, SecretWire, VaultAuthWire, VaultWire};
pub(crate) use specials::{COLLECTIONS_NOT_YET, meta_specials, specials};
pub(crate) use ssl::{SslProtocol, SslTypeWire, SslWire};
pub(crate) use upstream::{
    Balancer, DiscoveryTypeWire, HashOnWire, NodesWire, PassHostWire, SchemeWire, TimeoutWire,
    UpstreamWire,
};

use crate::resources::ResourceKind;

/// The schema of a type, with its definitions.
pub(crate) fn schema_of<T: schemars::JsonSchema>() -> Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// The schema of a resource as it is written; `None` for plugin metadata, whose plugin decides.
pub(crate) fn schema(kind: ResourceKind) -> Option<Value> {
    Some(match kind {
        ResourceKind::Route => schema_of::<RouteWire>(),
        ResourceKind::Service => schema_of::<ServiceWire>(),
        ResourceKind::Upstream => schema_of::<UpstreamWire>(),
        ResourceKind::Consumer => schema_of::<ConsumerWire>(),
        ResourceKind::Credential => schema_of::<CredentialWire>(),
        ResourceKind::ConsumerGroup => schema_of::<ConsumerGroupWire>(),
        ResourceKind::PluginConfig => schema_of::<PluginConfigWire>(),
        ResourceKind::GlobalRule => schema_of::<GlobalRuleWire>(),
        ResourceKind::Ssl => schema_of::<SslWire>(),
        ResourceKind::Secret => schema_of::<SecretWire>(),
        ResourceKind::Proto => schema_of::<ProtoWire>(),
        ResourceKind::GraphqlCost => schema_of::<GraphqlCostWire>(),
        ResourceKind::PluginMetadata => return None,
    })
}

/// The schema of a secret manager, by its id.
pub(crate) fn manager_schema(id: &str) -> &'static Value {
    static VAULT: LazyLock<Value> = LazyLock::new(schema_of::<VaultWire>);
    static AWS: LazyLock<Value> = LazyLock::new(schema_of::<AwsWire>);
    static GCP: LazyLock<Value> = LazyLock::new(schema_of::<GcpWire>);
    match id.split_once('/') {
        Some(("aws", _)) => &AWS,
        Some(("gcp", _)) => &GCP,
        _ => &VAULT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::unsupported_keywords;

    #[test]
    fn every_keyword_of_every_schema_is_checked() {
        for kind in ResourceKind::ALL {
            let Some(schema) = schema(kind) else { continue };
            assert_eq!(unsupported_keywords(&schema), Vec::<String>::new(), "{kind:?}");
        }
        assert_eq!(unsupported_keywords(&schema_of::<crate::NodeConfig>()), Vec::<String>::new());
    }

    #[test]
    fn every_field_of_every_resource_is_documented() {
        fn look(schema: &Value, pointer: &str) {
            for (key, field) in schema["properties"].as_object().into_iter().flatten() {
                assert!(field["description"].is_string(), "{pointer}.{key}");
                look(field, &format!("{pointer}.{key}"));
            }
            for (key, definition) in schema["$defs"].as_object().into_iter().flatten() {
                look(definition, key);
            }
        }
        for kind in ResourceKind::ALL {
            look(&schema(kind).unwrap_or_default(), kind.noun());
        }
        look(&schema_of::<crate::NodeConfig>(), "node");
    }
}
