//! Why a registry told nothing.

use bartizan_net::{CallError, ConnectError};

use crate::found::FOUND_MAX;

/// Why there is no list of servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no answer to a call.
    #[error(transparent)]
    Call(CallError),
    /// There was no whole answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(std::time::Duration),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The registry would not or could not say.
    #[error("the registry answers {0}")]
    Refused(String),
    /// What it said is not of the form.
    #[error("not a valid answer: {0}")]
    Malformed(String),
    /// It named too many servers.
    #[error("{0} servers, more than {FOUND_MAX}")]
    TooMany(usize),
}
