//! Messages and services of gRPC.

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{Desc, Id, Labels, Name};

/// A proto: the messages and services of gRPC that plugins translate from and to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "proto")]
#[expect(dead_code, reason = "texts for people and timestamps have no effect")]
pub(crate) struct ProtoWire {
    /// The id. Absent: the position in the list, from 1.
    pub(crate) id: Option<Id>,
    /// The name, for people.
    pub(crate) name: Option<Name>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// The text of a `.proto` file, or in base64 what `protoc --include_imports
    /// --descriptor_set_out` makes of several. A text imports `google/protobuf/*.proto` only.
    #[schemars(length(min = 1, max = 1_048_576))]
    pub(crate) content: String,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}
