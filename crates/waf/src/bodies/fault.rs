//! Why a body was not read to its end.

/// Why reading ended. Offsets are bytes from the body's start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// More of something than there may be.
    #[error("more than {1} {0}")]
    TooMany(&'static str, usize),
    /// The text is not UTF-8.
    #[error("{0}: not UTF-8 at byte {1}")]
    NotUtf8(&'static str, usize),
    /// The text breaks the rules of its format.
    #[error("{format}: {problem} at byte {at}")]
    Malformed {
        /// The format's name.
        format: &'static str,
        /// What is wrong.
        problem: &'static str,
        /// Where.
        at: usize,
    },
    /// The `Content-Type` does not say how the body is divided.
    #[error("multipart: {0} in the content type")]
    Boundary(&'static str),
}
