//! A row of the catalogue: what is known of a plugin without an instance of it.

use bartizan_chain::{CompileCx, CredentialEntry, Kinship, Nothing, Plugin, Unsupported};
use bartizan_config::Invalid;
use bartizan_core::StageSet;
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::AnyPlugin;

type Compile = Box<dyn Fn(&Value, &mut CompileCx<'_>) -> Result<AnyPlugin, Invalid> + Send + Sync>;
type Credential = fn(&Value, &mut CompileCx<'_>) -> Result<CredentialEntry, Invalid>;

/// What the catalogue knows of a plugin.
pub struct Entry {
    /// Its name in configuration.
    pub name: &'static str,
    /// Its published priority.
    pub priority: i32,
    /// How it stands to Apache APISIX's.
    pub kinship: Kinship,
    /// Every stage that some configuration of it runs in.
    pub stages: StageSet,
    /// Whether consumers and credentials configure it.
    pub is_authentication: bool,
    /// The schema of its configuration on routes and the like.
    pub config_schema: Value,
    /// The schema of its configuration on consumers, where it has one.
    pub consumer_schema: Option<Value>,
    /// The schema of its metadata, where it has some.
    pub metadata_schema: Option<Value>,
    /// Fields that are answered specially.
    pub unsupported: &'static [(&'static str, Unsupported)],
    /// Consumer fields that are answered specially.
    pub unsupported_consumer: &'static [(&'static str, Unsupported)],
    /// Makes an instance.
    pub compile: Compile,
    /// Makes an entry of the credential index.
    pub credential: Credential,
}

/// The row of a plugin; `wrap` puts an instance into the dispatch enum.
pub(crate) fn entry<P: Plugin>(wrap: fn(P) -> AnyPlugin) -> Entry {
    Entry {
        name: P::NAME,
        priority: P::PRIORITY,
        kinship: P::KINSHIP,
        stages: P::STAGES,
        is_authentication: P::IS_AUTHENTICATION,
        config_schema: schema::<P::Config>(),
        consumer_schema: optional_schema::<P::ConsumerConfig>(),
        metadata_schema: optional_schema::<P::Metadata>(),
        unsupported: P::UNSUPPORTED,
        unsupported_consumer: P::UNSUPPORTED_CONSUMER,
        compile: Box::new(move |value, cx| read(value).and_then(|c| P::compile(c, cx)).map(wrap)),
        credential: |value, cx| read(value).and_then(|config| P::credential(config, cx)),
    }
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Invalid> {
    T::deserialize(value).map_err(|error| Invalid::new(error.to_string()))
}

fn schema<T: JsonSchema>() -> Value {
    SchemaGenerator::default().into_root_schema_for::<T>().to_value()
}

fn optional_schema<T: JsonSchema>() -> Option<Value> {
    (T::schema_name() != Nothing::schema_name()).then(schema::<T>)
}
