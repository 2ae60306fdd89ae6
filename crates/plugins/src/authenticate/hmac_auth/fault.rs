//! Why a request is refused.

use bartizan_core::{Denial, Reason};

use super::params::ParamFault;
use crate::authenticate::replays::ReplayFault;

/// APISIX's answer to every fault of a signature.
const MESSAGE: &str = "client request can't be validated";

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("no field `authorization`")]
    Missing,
    #[error("the field `authorization` occurs more than once")]
    Repeated,
    #[error("{0}")]
    Params(#[from] ParamFault),
    #[error("the algorithm is not allowed here")]
    Algorithm,
    #[error("`{0}` is not signed")]
    NotSigned(&'static str),
    #[error("a header that has to be signed is not")]
    HeaderNotSigned,
    #[error("a signed header is absent")]
    AbsentHeader,
    #[error("a signed header occurs more than once")]
    RepeatedHeader,
    #[error("the field `date` is absent, occurs twice or is no date")]
    Date,
    #[error("the field `date` is too far from the time here")]
    Skew,
    #[error("the field `digest` is not one `SHA-256=` with canonical base64")]
    Digest,
    #[error("nobody has a key of this name")]
    UnknownKey,
    #[error("the signature does not verify")]
    Signature,
    #[error("the body is not what the field `digest` says")]
    Body,
    #[error(transparent)]
    Replay(#[from] ReplayFault),
}

impl Fault {
    fn reason(self) -> Reason {
        match self {
            Self::Missing | Self::Params(ParamFault::OtherScheme) => Reason::MissingCredential,
            Self::Repeated => Reason::AmbiguousCredential,
            Self::Params(_) | Self::AbsentHeader | Self::RepeatedHeader => {
                Reason::MalformedCredential
            }
            Self::Date | Self::Digest => Reason::MalformedCredential,
            Self::Skew => Reason::ExpiredCredential,
            Self::Replay(ReplayFault::Again) => Reason::Replayed,
            Self::Replay(ReplayFault::Full) => Reason::ReplaysFull,
            Self::Algorithm
            | Self::NotSigned(_)
            | Self::HeaderNotSigned
            | Self::UnknownKey
            | Self::Signature
            | Self::Body => Reason::InvalidCredential,
        }
    }

    /// The refusal, with the challenge where another credential would help.
    pub(super) fn denial(self, challenge: &str) -> Denial {
        let reason = self.reason();
        let denial = Denial::new(reason, self.to_string());
        let message = match self {
            Self::Missing => format!("{MESSAGE}: missing Authorization header"),
            Self::Params(ParamFault::OtherScheme) => {
                format!("{MESSAGE}: Authorization header does not start with 'Signature'")
            }
            Self::Repeated | Self::Replay(ReplayFault::Full) => return denial,
            _ => MESSAGE.to_owned(),
        };
        denial.with_apisix_message(message).with_field("www-authenticate", challenge.to_owned())
    }
}
