//! The command line's end of the local socket.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::protocol::{Answer, Request};
use super::{ANSWER_MAX, TIME_MAX, is_trusted};
use crate::operators::file::OTHERS_WRITE;

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no node listens on it")]
    NotRunning,
    /// The system does not let this user in.
    #[error("it is another user's")]
    NotAllowed,
    /// Somebody else listens than the node's user.
    #[error("the user {0} listens on it, who is not its owner")]
    Stranger(u32),
    /// The connection broke, or took too long.
    #[error("the node does not answer: {0}")]
    Broken(io::Error),
    /// The answer makes no sense.
    #[error("the answer cannot be read: {0}")]
    Unreadable(serde_json::Error),
}

/// Asks the node that listens on a socket. Blocks for at most twice [`TIME_MAX`].
pub fn ask(path: &Path, request: &Request) -> Result<Answer, AskError> {
    let mut stream = UnixStream::connect(path).map_err(|cause| match cause.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::NotRunning,
        ErrorKind::PermissionDenied => AskError::NotAllowed,
        _ => AskError::Broken(cause),
    })?;
    check_peer(&stream, path)?;
    let limits = stream
        .set_read_timeout(Some(TIME_MAX))
        .and_then(|()| stream.set_write_timeout(Some(TIME_MAX)));
    limits.map_err(AskError::Broken)?;
    let mut line = serde_json::to_vec(request).map_err(AskError::Unreadable)?;
    line.push(b'\n');
    // A node that refuses who asks does not wait for the question; its answer is there all the same.
    let written = stream.write_all(&line);
    let mut answer = Vec::new();
    let limit = u64::try_from(ANSWER_MAX).unwrap_or(u64::MAX);
    let read = BufReader::new(stream.take(limit)).read_until(b'\n', &mut answer);
    if answer.is_empty() {
        let cause = written.and(read.map(|_| ())).err();
        return Err(AskError::Broken(cause.unwrap_or(ErrorKind::UnexpectedEof.into())));
    }
    serde_json::from_slice(&answer).map_err(AskError::Unreadable)
}

/// Refuses to talk to somebody who put a socket of his own there: keys are read from it.
fn check_peer(stream: &UnixStream, path: &Path) -> Result<(), AskError> {
    let credentials = rustix::net::sockopt::socket_peercred(stream);
    let uid = credentials.map_err(|cause| AskError::Broken(cause.into()))?.uid.as_raw();
    let own = rustix::process::geteuid().as_raw();
    if is_trusted(uid, own) {
        return Ok(());
    }
    // Root asks the nodes of others; such a node owns its socket, and the folder that it is in.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::metadata(folder.unwrap_or(Path::new(".")));
    let is_closed = folder.is_ok_and(|folder| {
        (folder.uid() == uid || folder.uid() == 0) && folder.mode() & OTHERS_WRITE == 0
    });
    let is_owner = fs::symlink_metadata(path).is_ok_and(|socket| socket.uid() == uid);
    if own == 0 && is_owner && is_closed { Ok(()) } else { Err(AskError::Stranger(uid)) }
}
