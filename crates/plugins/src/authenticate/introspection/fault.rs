//! Why a token is worth nothing, or nobody knows what it is worth.

use std::sync::Arc;

use bartizan_core::{Denial, Reason};
use bartizan_net::CallError;
use http::StatusCode;

use super::super::provider::MetadataFault;
use super::super::token::NameFault;
use crate::jose::{ClaimFault, JsonFault};
use crate::waiting::Crowded;

/// Why an issuer did not say what a token is worth.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AskFault {
    #[error("{0}: {1}")]
    Call(&'static str, Arc<str>),
    /// More calls wait on this worker than may; the issuer has no part in that.
    #[error("{0}: {1}")]
    Busy(&'static str, Arc<str>),
    /// So many questions to it are under way on the node as may be.
    #[error("as many questions to this issuer are under way as a quarter of `limits.calls`")]
    Full,
    #[error("{0}: an answer of more than {1} bytes")]
    TooLarge(&'static str, usize),
    #[error("{0}: the issuer answers {1}")]
    Status(&'static str, StatusCode),
    #[error("introspection: the answer is not `application/json`")]
    MediaType,
    #[error("introspection: the answer cannot be read: {0}")]
    Json(JsonFault),
    #[error("introspection: `{0}` of the answer is not what RFC 7662 says")]
    Member(&'static str),
    #[error(transparent)]
    Metadata(#[from] MetadataFault),
    #[error("the assertion of the client could not be signed")]
    Unsigned,
    #[error("the issuer did not answer before, and is left alone for a while")]
    Resting,
    #[error("another request asked, and its answer did not come in time")]
    Late,
    #[error("this worker reaches nothing")]
    Nowhere,
}

impl AskFault {
    /// Why a call brought no answer.
    pub(super) fn call(what: &'static str, error: &CallError) -> Self {
        match error {
            CallError::TooLarge(most) => Self::TooLarge(what, *most),
            CallError::Busy(_) => Self::Busy(what, error.to_string().into()),
            _ => Self::Call(what, error.to_string().into()),
        }
    }

    /// True where the issuer is at fault, so that it is left alone when that goes on.
    pub(super) fn is_of_the_issuer(&self) -> bool {
        !matches!(
            self,
            Self::Busy(..)
                | Self::Full
                | Self::Unsigned
                | Self::Resting
                | Self::Late
                | Self::Nowhere
        )
    }

    /// The result as the metric tells it.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Call(..) | Self::Nowhere | Self::Late => "unreachable",
            Self::Busy(..) | Self::Full => "busy",
            Self::TooLarge(..) => "too_large",
            Self::Status(..) => "status",
            Self::MediaType | Self::Json(_) | Self::Member(_) => "answer",
            Self::Metadata(fault) => fault.label(),
            Self::Unsigned => "unsigned",
            Self::Resting => "resting",
        }
    }
}

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the token's issuer says that it is not active")]
    Inactive,
    #[error("the token is no access token that can be used here: its `{0}` is another")]
    Kind(&'static str),
    #[error("the token was issued to a client that is not accepted")]
    Client,
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    #[error(transparent)]
    Name(#[from] NameFault),
    #[error(transparent)]
    Ask(#[from] AskFault),
    #[error("{}", Crowded::CAUSE)]
    Crowded,
}

impl From<Crowded> for Fault {
    fn from(_: Crowded) -> Self {
        Self::Crowded
    }
}

impl Fault {
    /// The refusal, without a challenge.
    pub(super) fn denial(&self) -> Denial {
        let reason = match self {
            Self::Claim(fault) => fault.reason(),
            Self::Ask(_) => Reason::IntrospectionFailed,
            Self::Crowded => Reason::TooManyWaiting,
            Self::Inactive | Self::Kind(_) | Self::Client | Self::Name(_) => {
                Reason::InvalidCredential
            }
        };
        Denial::new(reason, self.to_string())
    }
}
