//! Spend limits: how often, how fast, how many at once.

mod amount;
pub mod graphql_limit_count;
mod key;
pub mod limit_conn;
pub mod limit_count;
pub mod limit_req;
mod metrics;
mod refusal;
pub(crate) mod table;
pub mod workflow;
