//! Why a token is worth nothing, or nobody knows what it is worth.

use std::sync::Arc;

use bartizan_core::{Denial, Reason};
use bartizan_net::CallError;
use http::StatusCode;

use super::super::provider::MetadataFault;
use super::super::token::NameFault;
use crate::jose::{ClaimFault, JsonFault};
use crate::waiting::Crowded;

/// A call that asks about a token.
pub(super) const ABOUT_TOKEN: &str = "introspection";

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

    /// Whether the issuer answers, as far as this tells; what it does not answer may be the token's
    /// doing, and whoever invents tokens shall not have everybody else's issuer left alone.
    pub(super) fn answers(&self) -> Option<bool> {
        match self {
            Self::Busy(..)
            | Self::Full
            | Self::Unsigned
            | Self::Resting
            | Self::Late
            | Self::Nowhere => None,
            Self::TooLarge(ABOUT_TOKEN, _) | Self::MediaType | Self::Json(_) | Self::Member(_) => {
                Some(true)
            }
            Self::Status(ABOUT_TOKEN, status) => Some(is_about_token(*status)),
            Self::Call(..) | Self::TooLarge(..) | Self::Status(..) | Self::Metadata(_) => {
                Some(false)
            }
        }
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

/// True for what an issuer may say of the question itself, and not of us, of its haste or of itself.
fn is_about_token(status: StatusCode) -> bool {
    let is_about_us = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    );
    status.is_client_error() && !is_about_us
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_may_have_caused_does_not_tell_that_its_issuer_is_away() {
        let call = || CallError::TooLarge(1);
        for (fault, answers) in [
            (AskFault::Busy(ABOUT_TOKEN, Arc::from("")), None),
            (AskFault::Full, None),
            (AskFault::Unsigned, None),
            (AskFault::Resting, None),
            (AskFault::Late, None),
            (AskFault::Nowhere, None),
            (AskFault::call(ABOUT_TOKEN, &call()), Some(true)),
            (AskFault::call("metadata", &call()), Some(false)),
            (AskFault::MediaType, Some(true)),
            (AskFault::Json(JsonFault::Duplicate), Some(true)),
            (AskFault::Member("active"), Some(true)),
            (AskFault::Call(ABOUT_TOKEN, Arc::from("")), Some(false)),
            (AskFault::Metadata(MetadataFault::Issuer), Some(false)),
        ] {
            assert_eq!(fault.answers(), answers, "{fault}");
        }
    }

    #[test]
    fn an_issuer_answers_with_what_it_says_of_the_question() {
        for (status, answers) in [
            (302, false),
            (399, false),
            (400, true),
            (401, false),
            (403, true),
            (404, true),
            (408, false),
            (414, true),
            (429, false),
            (499, true),
            (500, false),
            (503, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(AskFault::Status(ABOUT_TOKEN, status).answers(), Some(answers), "{status}");
            assert_eq!(AskFault::Status("metadata", status).answers(), Some(false), "{status}");
        }
    }
}
