//! Why a request is refused.

use bartizan_core::{Denial, Reason};

use super::structured::StructureFault;
use crate::authenticate::replays::ReplayFault;

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("there is no field `signature-input`")]
    Missing,
    #[error("there is no signature of the label that is asked for")]
    NoLabel,
    #[error("there are several signatures, and `label` says of none that it counts")]
    Several,
    #[error("the field `{0}` {1}")]
    Field(&'static str, StructureFault),
    #[error("the signature's list holds something that cannot be signed here")]
    Components,
    #[error("the signature's list holds one thing twice")]
    CoveredTwice,
    #[error(
        "the signature's list holds something with the parameter `{0}`, which is not known here"
    )]
    ComponentParameter(&'static str),
    #[error("the signature's list holds something that only answers have")]
    OfResponses,
    #[error("the signature's list holds `@query-param` without a `name` in its one spelling")]
    ParameterName,
    #[error("a parameter of the query that is signed is absent")]
    AbsentParameter,
    #[error("a parameter of the query that is signed occurs more than once")]
    RepeatedParameter,
    #[error("the signature's `{0}` is missing")]
    Parameter(&'static str),
    #[error("the signature has a parameter that is not known, or one of another type")]
    UnknownParameter,
    #[error("the signature's `tag` is another than asked for")]
    Tag,
    #[error("the signature's `alg` is another than the key's")]
    Algorithm,
    #[error("the signature was made too long ago, or in the future")]
    Age,
    #[error("the signature has expired")]
    Expired,
    #[error("something that has to be signed is not")]
    NotSigned,
    #[error("a field that is signed is absent")]
    AbsentField,
    #[error("something that is signed is no text")]
    NotText,
    #[error("what is signed is too long")]
    TooLong,
    #[error("the field `content-digest` has no digest that is known here")]
    NoDigest,
    #[error("nobody has a key of this name")]
    UnknownKey,
    #[error("the signature does not verify")]
    Signature,
    #[error("there is a body, and no digest of it is signed")]
    BodyNotSigned,
    #[error("the body is not what the field `content-digest` says")]
    Body,
    #[error(transparent)]
    Replay(#[from] ReplayFault),
}

impl Fault {
    fn reason(self) -> Reason {
        match self {
            Self::Missing | Self::NoLabel => Reason::MissingCredential,
            Self::Several => Reason::AmbiguousCredential,
            Self::Field(..)
            | Self::Components
            | Self::CoveredTwice
            | Self::ComponentParameter(_)
            | Self::OfResponses
            | Self::ParameterName
            | Self::AbsentParameter
            | Self::RepeatedParameter
            | Self::Parameter(_)
            | Self::UnknownParameter
            | Self::AbsentField
            | Self::NotText
            | Self::TooLong
            | Self::NoDigest => Reason::MalformedCredential,
            Self::Age | Self::Expired => Reason::ExpiredCredential,
            Self::Replay(ReplayFault::Again) => Reason::Replayed,
            Self::Replay(ReplayFault::Full) => Reason::ReplaysFull,
            Self::Tag
            | Self::Algorithm
            | Self::NotSigned
            | Self::UnknownKey
            | Self::Signature
            | Self::BodyNotSigned
            | Self::Body => Reason::InvalidCredential,
        }
    }

    /// The refusal, which tells what has to be signed where another signature would help.
    pub(super) fn denial(self, challenge: &str, accepted: &str) -> Denial {
        let denial = Denial::new(self.reason(), self.to_string());
        if denial.status() != 401 {
            return denial;
        }
        denial
            .with_field("www-authenticate", challenge.to_owned())
            .with_field("accept-signature", accepted.to_owned())
    }
}
