//! The consumer that a token names.

use std::sync::Arc;

use bartizan_chain::{Consumer, ConsumerIndex};
use bartizan_config::Invalid;

use crate::jose::{ClaimPath, Claims};

/// Why a token names no consumer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameFault {
    /// The claim is not there, or is no text.
    #[error("the token has no text `{0}` that names a consumer")]
    Missing(Box<str>),
    /// Nobody has that name.
    #[error("the consumer that the token names does not exist")]
    Unknown,
}

/// The claim that names the consumer.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerClaim(ClaimPath);

impl ConsumerClaim {
    /// Reads `consumer_claim`.
    pub(crate) fn compile(claim: Option<&String>) -> Result<Option<Self>, Invalid> {
        let path = claim.map(|claim| ClaimPath::parse(claim)).transpose();
        let path = path.map_err(|error| Invalid::at("consumer_claim", error.to_string()))?;
        Ok(path.map(Self))
    }

    /// The consumer, who must exist.
    pub(crate) fn consumer<'k>(
        &self,
        claims: &Claims,
        consumers: &'k ConsumerIndex,
    ) -> Result<&'k Arc<Consumer>, NameFault> {
        let name = claims.at(&self.0).and_then(|name| name.as_str());
        let name = name.ok_or_else(|| NameFault::Missing(self.0.as_str().into()))?;
        consumers.by_name(name).ok_or(NameFault::Unknown)
    }
}
