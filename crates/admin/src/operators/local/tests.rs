use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::*;
use crate::operators::samples::Sample;
use crate::operators::{KeyState, Operators};

/// A node's socket at work.
struct Served {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn serve(path: &Path, operators: Operators) -> Served {
    let server = LocalServer::bind(path, operators).unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.serve(async { drop(stopped.await) }));
    Served { path: path.to_owned(), stop, task }
}

impl Served {
    async fn ask(&self, request: Request) -> Result<Answer, AskError> {
        let path = self.path.clone();
        spawn_blocking(move || ask(&path, &request)).await.unwrap()
    }

    async fn make(&self, request: Request) -> Made {
        match self.ask(request).await {
            Ok(Answer::Made(made)) => *made,
            other => panic!("{other:?}"),
        }
    }

    async fn say(&self, bytes: Vec<u8>) -> Value {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        // The node may answer, and close, before all of it is sent.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        serde_json::from_slice(&answer).unwrap_or(Value::Null)
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

fn create(name: &str) -> Request {
    let rights = serde_json::from_value(json!({ "role": "admin" })).unwrap();
    Request::Create { name: name.to_owned(), rights, lifetime: 3_600 }
}

#[tokio::test]
async fn keys_are_made_listed_rotated_and_ended() {
    let sample = Sample::new();
    let served = serve(&sample.folder.path().join("sock"), sample.operators.clone());
    let Made { key, view, old } = served.make(create("alice")).await;
    assert_eq!(old, None);
    let peer = [127, 0, 0, 1].into();
    assert_eq!(sample.operators.judge(Some(key.as_bytes()), peer).unwrap().name(), "alice");
    let rotate = Request::Rotate { id: view.id, overlap: 60, lifetime: None };
    let Made { view: next, old, .. } = served.make(rotate).await;
    let old = old.unwrap();
    assert_eq!((old.id, old.state, next.state), (view.id, KeyState::Retiring, KeyState::Next));
    let revoke = Request::Revoke { id: next.id };
    assert!(
        matches!(served.ask(revoke.clone()).await, Ok(Answer::Changed(key)) if key.id == next.id)
    );
    let Ok(Answer::Refused { problem, .. }) = served.ask(revoke).await else { panic!("twice") };
    assert!(problem.contains("revoked already"), "{problem}");
    let Ok(Answer::Keys(keys)) = served.ask(Request::List {}).await else { panic!("no list") };
    let states: Vec<KeyState> = keys.iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Retiring, KeyState::Retired]);
    served.stop().await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_changes_nothing() {
    let sample = Sample::new();
    let served = serve(&sample.folder.path().join("sock"), sample.operators.clone());
    let before = fs::read(sample.path()).unwrap();
    for (said, problem) in [
        (&b""[..], "no line"),
        (b"{\"do\":\"list\"}", "no line"),
        (b"\n", "EOF"),
        (b"{\"do\":\"dance\"}\n", "unknown variant `dance`"),
        (b"{\"do\":\"revoke\",\"id\":\"../etc\"}\n", "no id of a key"),
        (b"{\"do\":\"retire\",\"id\":\"00000000\",\"overlap\":-1}\n", "invalid value"),
        (b"{\"do\":\"revoke\",\"id\":\"00000000\",\"force\":true}\n", "unknown field `force`"),
        (b"GET / HTTP/1.1\r\n\r\n", "expected value"),
    ] {
        let answer = served.say(said.to_vec()).await;
        let told = answer["refused"]["problem"].as_str().unwrap();
        assert!(told.contains(problem), "{told}: {problem}");
    }
    served.say(vec![b'x'; LINE_MAX * 4]).await;
    assert_eq!(fs::read(sample.path()).unwrap(), before);
    served.stop().await;
}

#[tokio::test]
async fn silent_connections_hold_nobody_up_and_are_bounded() {
    let sample = Sample::new();
    let served = serve(&sample.folder.path().join("sock"), sample.operators.clone());
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(UnixStream::connect(&served.path).await.unwrap());
    }
    let Err(AskError::Broken(_)) = served.ask(Request::List {}).await else {
        panic!("one too many is served");
    };
    silent.pop();
    // The place is free as soon as the node has seen that the other is gone.
    let asked = async {
        while served.ask(Request::List {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIME_MAX / 2, asked).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_gone_at_the_end() {
    let sample = Sample::new();
    let path = sample.folder.path().join("sock");
    let served = serve(&path, sample.operators.clone());
    assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let refused = LocalServer::bind(&path, sample.operators.clone()).unwrap_err();
    assert!(refused.to_string().contains("another process listens"), "{refused}");
    served.stop().await;
    assert!(!path.exists());
    let names: Vec<_> = fs::read_dir(sample.folder.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "the book and its lock: {names:?}");
    let Err(AskError::NotRunning) = ask(&path, &Request::List {}) else { panic!("who answers?") };
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_replaced_and_nothing_else_is() {
    let sample = Sample::new();
    let path = sample.folder.path().join("sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let Err(AskError::NotRunning) = ask(&path, &Request::List {}) else { panic!("who answers?") };
    let served = serve(&path, sample.operators.clone());
    assert!(matches!(served.ask(Request::List {}).await, Ok(Answer::Keys(_))));
    served.stop().await;
    fs::write(&path, "a file of somebody").unwrap();
    let refused = LocalServer::bind(&path, sample.operators.clone()).unwrap_err();
    assert!(refused.to_string().contains("is no socket"), "{refused}");
    fs::set_permissions(sample.folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let refused = LocalServer::bind(&sample.folder.path().join("s"), sample.operators.clone());
    assert!(refused.unwrap_err().to_string().contains("other users can put files"));
    let long = sample.folder.path().join("s".repeat(100));
    assert!(LocalServer::bind(&long, sample.operators.clone()).is_err());
}

#[test]
fn only_the_nodes_user_and_root_are_trusted() {
    assert!(is_trusted(0, 1_000) && is_trusted(1_000, 1_000) && is_trusted(0, 0));
    assert!(!is_trusted(1_000, 0) && !is_trusted(1_001, 1_000) && !is_trusted(u32::MAX, 1_000));
}
