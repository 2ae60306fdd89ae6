//! Why a secret cannot be had, in our own words.

use bartizan_net::CallError;

/// Longest answer that is read, in bytes.
pub(crate) const ANSWER_MAX: usize = 1 << 20;

/// Why a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// What is written about the secret manager cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// There is no answer.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It answers that it does not work now.
    #[error("it is sealed or out of order (status {0})")]
    OutOfOrder(u16),
    /// Too many requests.
    #[error("it is asked too often (status 429)")]
    TooOften,
    /// The token may not read this, or is not valid any more.
    #[error("the token is not valid, or its policies do not let it read the path (status 403)")]
    Denied,
    /// The token may not write this.
    #[error("the token is not valid, or its policies do not let it write the path (status 403)")]
    MayNotWrite,
    /// What the gateway shows is not accepted.
    #[error("it does not accept {0}")]
    NotAccepted(&'static str),
    /// Whoever the gateway is may not read this.
    #[error("the gateway may not read it (status {0})")]
    MayNotRead(u16),
    /// Whoever is to be let in is not.
    #[error("it does not let the gateway in by `{method}` (status {status})")]
    NotLetIn {
        /// How it was tried.
        method: &'static str,
        /// What it answered.
        status: u16,
    },
    /// There is nothing at the path.
    #[error("there is nothing at the path{0}")]
    Absent(&'static str),
    /// The answer names another place.
    #[error("it sends the gateway elsewhere (status {0}), which is not followed: name that server")]
    Redirected(u16),
    /// The answer is too long.
    #[error("its answer is longer than {ANSWER_MAX} bytes")]
    TooLarge,
    /// The answer makes no sense.
    #[error("its answer is {0}")]
    Broken(&'static str),
    /// Another status.
    #[error("it answers with the status {0}")]
    Status(u16),
}

impl Fault {
    /// The secret is known not to be there: what was read before is not used any longer.
    pub(crate) fn is_definite(&self) -> bool {
        matches!(self, Self::Absent(_))
    }

    /// Nothing else can be had from that server either, for now.
    pub(crate) fn is_of_server(&self) -> bool {
        matches!(
            self,
            Self::Unusable(_)
                | Self::Unreachable(_)
                | Self::OutOfOrder(_)
                | Self::TooOften
                | Self::NotAccepted(_)
                | Self::NotLetIn { .. }
        )
    }

    /// What a status other than success means.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            300..=399 => Self::Redirected(status),
            403 => Self::Denied,
            404 => Self::Absent(""),
            // 412 and 472 to 474 are of clusters that are not in step, or stand by.
            412 | 472..=474 | 500..=599 => Self::OutOfOrder(status),
            429 => Self::TooOften,
            other => Self::Status(other),
        }
    }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        match error {
            CallError::TooLarge(_) => Self::TooLarge,
            error => Self::Unreachable(error.to_string()),
        }
    }
}
