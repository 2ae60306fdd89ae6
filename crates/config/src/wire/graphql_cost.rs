//! What fields of GraphQL queries cost.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Number;

use super::scalar::{DecorationId, Desc, FieldPath, Id, Labels, Name};

/// A GraphQL cost decoration: what a field of a service's queries costs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "graphql cost decoration")]
#[expect(dead_code, reason = "texts for people and timestamps have no effect")]
pub(crate) struct GraphqlCostWire {
    /// The id.
    pub(crate) id: DecorationId,
    /// The name, for people.
    pub(crate) name: Option<Name>,
    /// What it is for.
    pub(crate) desc: Option<Desc>,
    /// Labels.
    pub(crate) labels: Option<Labels>,
    /// The service it belongs to: the one that it is written in.
    pub(crate) service_id: Option<Id>,
    /// The field, by its path from the root of an operation: `orders.items`. It may begin with
    /// `Query`, `Mutation` or `Subscription` for the root of those.
    pub(crate) field_path: FieldPath,
    /// What the field costs by itself; up to six decimals.
    #[serde(default = "one")]
    #[schemars(extend("minimum" = 0, "maximum" = 1_000_000_000))]
    pub(crate) add_value: Number,
    /// Arguments whose values are added to that.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub(crate) add_arguments: Vec<String>,
    /// How often what is asked for below the field is counted; up to six decimals.
    #[serde(default = "one")]
    #[schemars(extend("minimum" = 0, "maximum" = 1_000_000_000))]
    pub(crate) mul_value: Number,
    /// Arguments whose values multiply that.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub(crate) mul_arguments: Vec<String>,
    /// When it was made; has no effect.
    pub(crate) create_time: Option<i64>,
    /// When it was last changed; has no effect.
    pub(crate) update_time: Option<i64>,
}

fn one() -> Number {
    1.into()
}
