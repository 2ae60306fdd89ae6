//! The node's end of the local socket.

use std::fs::{self, DirBuilder, Permissions};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bartizan_audit::EventKind;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::protocol::{Answer, CallerMade, Made, Request};
use super::{CONNECTIONS_MAX, LINE_MAX, TIME_MAX, is_trusted};
use crate::callers::{CallerKeys, MadeCallerKey};
use crate::operators::NewOperator;
use crate::operators::file::{BookError, beside, check_folder};
use crate::operators::shared::{Author, ChangeError, Operators};
use crate::operators::view::{KeyView, MadeKey};

/// Longest path of a socket (`sun_path` less its end).
const PATH_MAX: usize = 107;
/// How long to wait when the system can accept no connection, such as for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The local socket, bound and ready to serve.
#[derive(Debug)]
pub struct LocalServer {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
    operators: Operators,
    callers: CallersSlot,
}

/// The keys of callers, once the node can change them.
pub type CallersSlot = Arc<OnceLock<CallerKeys>>;

impl LocalServer {
    /// Binds the socket. Must be called within a runtime.
    pub fn bind(path: &Path, operators: Operators) -> Result<Self, BookError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        check_folder(folder.unwrap_or(Path::new(".")))?;
        make_way(path)?;
        let fails = |cause: io::Error| {
            let problem = format!("the socket `{}` cannot be opened: {cause}", path.display());
            BookError::new(problem, "name a path that the node can write to (`admin.socket`)")
        };
        let listener = bind_private(path).map_err(fails)?;
        let metadata = fs::symlink_metadata(path).map_err(fails)?;
        let inode = (metadata.dev(), metadata.ino());
        let callers = CallersSlot::default();
        Ok(Self { listener, path: path.to_owned(), inode, operators, callers })
    }

    /// Where to put what the keys of callers are asked of.
    pub fn callers(&self) -> CallersSlot {
        Arc::clone(&self.callers)
    }

    /// Serves until `stop` is ready, then removes the socket.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let listener: Arc<str> = self.path.to_string_lossy().into();
        let mut connections = JoinSet::new();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => {}
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                        let keys = (self.operators.clone(), Arc::clone(&self.callers));
                        let listener = Arc::clone(&listener);
                        connections.spawn(timeout(TIME_MAX, serve(stream, keys, listener)));
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "the local socket cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // Another node may have taken the path over.
        let is_ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.inode);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Refuses a path at which something else is, or somebody listens.
fn make_way(path: &Path) -> Result<(), BookError> {
    let name = path.display();
    if beside(path, "new").join("s").as_os_str().len() > PATH_MAX {
        let problem = format!("the path of the socket `{name}` is too long");
        return Err(BookError::new(problem, "name one of less than 90 bytes (`admin.socket`)"));
    }
    match fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) => {
            let problem = format!("the socket `{name}` cannot be looked at: {cause}");
            Err(BookError::new(problem, "name another path (`admin.socket`)"))
        }
        Ok(metadata) if !metadata.file_type().is_socket() => {
            let problem = format!("`{name}` is there, and is no socket");
            Err(BookError::new(problem, "name another path (`admin.socket`)"))
        }
        Ok(_) if BlockingStream::connect(path).is_ok() => {
            let problem = format!("another process listens on the socket `{name}`");
            Err(BookError::new(problem, "stop it, or give each node its own (`admin.socket`)"))
        }
        // What a node that was killed left there; it is replaced.
        Ok(_) => Ok(()),
    }
}

/// Binds a socket that nobody else could open at any moment: it is made in a folder of its own,
/// closed to others, and moved into place.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let folder = beside(path, "new");
    let _ = fs::remove_file(folder.join("s"));
    let _ = fs::remove_dir(&folder);
    DirBuilder::new().mode(0o700).create(&folder)?;
    let inside = folder.join("s");
    let bound = UnixListener::bind(&inside).and_then(|listener| {
        fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    });
    let _ = fs::remove_file(&inside);
    let _ = fs::remove_dir(&folder);
    bound
}

/// Serves the one request of a connection.
async fn serve(
    mut stream: UnixStream,
    (operators, callers): (Operators, CallersSlot),
    listener: Arc<str>,
) {
    let own = rustix::process::geteuid().as_raw();
    // A peer of which the kernel does not say who it is is nobody.
    let uid = stream.peer_cred().map_or(u32::MAX, |cred| cred.uid());
    let author = Author { name: format!("uid {uid}").into(), listener };
    let answer = if is_trusted(uid, own) {
        match read(&mut stream).await {
            Ok(request) => {
                // The node makes the change whoever waits for it, so it is told in any case.
                let own = operators.clone();
                let work = async move { answer(own, &callers, request, author).await };
                let done = tokio::spawn(work).await;
                done.unwrap_or_else(|_| refused("something went wrong", "see the node's log"))
            }
            Err(problem) => refused(problem, "use `bartizan admin` of the same version"),
        }
    } else {
        let detail = format!("the user {uid} may not use the local socket");
        operators.tell(EventKind::Denied, detail, &author);
        refused("only the node's own user and root may", "become that user, for example by `sudo`")
    };
    if let Ok(mut line) = serde_json::to_vec(&answer) {
        line.push(b'\n');
        // Who asked is gone if this fails. A key that was made and not told can be revoked.
        let _ = stream.write_all(&line).await;
        let _ = stream.shutdown().await;
    }
}

async fn read(stream: &mut UnixStream) -> Result<Request, String> {
    let limit = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let read = BufReader::new(stream).take(limit).read_until(b'\n', &mut line).await;
    read.map_err(|cause| format!("the request cannot be read: {cause}"))?;
    if line.pop() != Some(b'\n') {
        return Err(format!("the request is no line of at most {LINE_MAX} bytes"));
    }
    serde_json::from_slice(&line).map_err(|error| format!("the request is not known: {error}"))
}

/// Does what is asked for.
async fn answer(
    operators: Operators,
    callers: &CallersSlot,
    request: Request,
    author: Author,
) -> Answer {
    let request = match (about_callers(callers, &request, &author).await, request) {
        (Some(answer), _) => return answer,
        (None, request) => request,
    };
    let done = spawn_blocking(move || about_operators(&operators, request, &author)).await;
    done.unwrap_or_else(|_| refused("something went wrong", "see the node's log"))
}

/// Does what is asked of the keys of callers; `None` where it is something else.
async fn about_callers(slot: &CallersSlot, request: &Request, by: &Author) -> Option<Answer> {
    if !request.is_about_callers() {
        return None;
    }
    let Some(keys) = slot.get() else {
        return Some(refused("the node is not ready yet", "try again in a moment"));
    };
    let seconds = |secs: &u64| Duration::from_secs(*secs);
    let outcome = match request {
        Request::KeyCreate { consumer, lifetime } => {
            keys.create(consumer, seconds(lifetime), by).await.map(caller_made)
        }
        Request::KeyRotate { id, consumer, overlap, lifetime } => {
            let (which, lifetime) = ((&**id, consumer.as_deref()), lifetime.as_ref().map(seconds));
            keys.rotate(which, seconds(overlap), lifetime, by).await.map(caller_made)
        }
        Request::KeyRetire { id, consumer, overlap } => {
            let retired = keys.retire((id, consumer.as_deref()), seconds(overlap), by).await;
            retired.map(|view| Answer::CallerChanged(Box::new(view)))
        }
        Request::KeyList { consumer } => {
            keys.list(consumer.as_deref()).await.map(Answer::CallerKeys)
        }
        _ => return None,
    };
    Some(outcome.unwrap_or_else(|undone| refused(undone.problem, &undone.help)))
}

fn caller_made(made: MadeCallerKey) -> Answer {
    let key = made.key.expose_str().unwrap_or_default().to_owned();
    let MadeCallerKey { view, old, paste, .. } = made;
    Answer::CallerMade(Box::new(CallerMade { key, view, old, paste }))
}

/// Does what is asked of the keys of operators.
fn about_operators(operators: &Operators, request: Request, author: &Author) -> Answer {
    let seconds = Duration::from_secs;
    let outcome = match request {
        Request::KeyCreate { .. }
        | Request::KeyList { .. }
        | Request::KeyRotate { .. }
        | Request::KeyRetire { .. } => {
            return refused("the request is not known", "see the node's log");
        }
        Request::List {} => return Answer::Keys(operators.list()),
        Request::Create { name, rights, lifetime } => {
            let new = NewOperator { name, rights, lifetime: seconds(lifetime) };
            operators.create(&new, author).map(told)
        }
        Request::Rotate { id, overlap, lifetime } => {
            operators.rotate(id, seconds(overlap), lifetime.map(seconds), author).map(told)
        }
        Request::Retire { id, overlap } => {
            operators.retire(id, seconds(overlap), author).map(changed)
        }
        Request::Revoke { id } => operators.revoke(id, author).map(changed),
    };
    outcome.unwrap_or_else(|error| {
        let problem = error.to_string();
        match error {
            ChangeError::Unfit(unfit) => refused(problem, unfit.help),
            ChangeError::Disk(_) | ChangeError::OnlyHere(_) => {
                refused(problem, "give the node room on its disk, and try again")
            }
        }
    })
}

fn told(made: MadeKey) -> Answer {
    let key = made.key.expose_str().unwrap_or_default().to_owned();
    Answer::Made(Box::new(Made { key, view: made.view, old: made.old }))
}

fn changed(view: KeyView) -> Answer {
    Answer::Changed(Box::new(view))
}

fn refused(problem: impl Into<String>, help: &str) -> Answer {
    Answer::Refused { problem: problem.into(), help: help.to_owned() }
}
