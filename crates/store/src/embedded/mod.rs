//! The embedded store: a database in one file, of this process alone.
//!
//! Every acknowledged commit is on disk. Beside the objects it keeps the log of what was written by
//! whom and when, up to a stated number of entries, from which differences are shown and objects
//! rolled back.

mod tables;

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bartizan_core::Clock;
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::fault::{OpenError, StoreError};
use crate::key::Key;
use crate::object::{Changes, Commit, EMBEDDED_COMMIT_MAX, Object, Revision, Snapshot};
use crate::store::Store;

/// Memory for pages that were read.
const CACHE: usize = 16 * 1_024 * 1_024;

/// What an embedded store is made of.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// The file; it is made where there is none, for its owner alone.
    pub path: PathBuf,
    /// Most entries of the log; older ones are dropped.
    pub history: u64,
    /// Where the times of revisions come from.
    pub clock: Clock,
}

/// A database in one file.
#[derive(Debug)]
pub struct Embedded {
    database: Arc<Database>,
    history: u64,
    clock: Clock,
    revision: watch::Sender<u64>,
}

impl Embedded {
    /// Opens the store, which no other process may have open.
    pub fn open(settings: EmbeddedSettings) -> Result<Self, OpenError> {
        let EmbeddedSettings { path, history, clock } = settings;
        let at_path = |error: io::Error| {
            OpenError::new(format!("the store `{}` cannot be opened: {error}", path.display()))
        };
        if !path.try_exists().map_err(at_path)? {
            make(&path).map_err(at_path)?;
        }
        let file = private_file(&path).map_err(at_path)?;
        let database = open_database(file).map_err(|error| not_open(&path, &error))?;
        let revision = tables::prepare(&database).map_err(|error| {
            OpenError::new(format!("the store `{}` cannot be read: {error}", path.display()))
        })?;
        let (revision, _) = watch::channel(revision);
        Ok(Self { database: Arc::new(database), history: history.max(1), clock, revision })
    }

    /// Works on the database where that stalls nobody.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        let worked = spawn_blocking(move || work(&database)).await;
        worked.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string())))
    }
}

/// Opens or makes a file that nobody else may read.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Makes an empty database, which is there whole or not at all: one that is half made, by a process
/// that was killed, could never be opened. Another process may be faster; then its database counts.
fn make(path: &Path) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let unfinished = path.with_file_name(name);
    // Of a process that had the same number.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = open_database(private_file(&unfinished)?).map_err(io::Error::other).map(drop);
    let linked = made.and_then(|()| match std::fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    std::fs::remove_file(&unfinished)?;
    linked?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn open_database(file: File) -> Result<Database, DatabaseError> {
    Builder::new().set_cache_size(CACHE).create_with_backend(FileBackend::new(file)?)
}

fn not_open(path: &Path, error: &DatabaseError) -> OpenError {
    let name = path.display();
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            OpenError::new(format!("the store `{name}` is open in another process"))
                .with_help("one node has one store: stop the other process, or name another file")
        }
        DatabaseError::UpgradeRequired(version) => OpenError::new(format!(
            "the store `{name}` is of the format {version}, which is not read any more"
        )),
        error => OpenError::new(format!("the store `{name}` cannot be opened: {error}"))
            .with_help("it is no database of the gateway, or damaged: name another file"),
    }
}

impl Store for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.work(tables::snapshot).await
    }

    async fn changes(&self, after: u64) -> Result<Changes, StoreError> {
        let mut revision = self.revision.subscribe();
        // The sender lives as long as we do.
        let _ = revision.wait_for(|revision| *revision != after).await;
        self.work(move |database| tables::changes(database, after)).await
    }

    async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
        commit.check(EMBEDDED_COMMIT_MAX)?;
        let (history, at) = (self.history, self.clock.now());
        let sender = self.revision.clone();
        self.work(move |database| {
            let revision = tables::commit(database, &commit, at, history)?;
            // Here and not behind an await: what is on disk is told even if nobody waits any more.
            sender.send_if_modified(|known| {
                let is_newer = revision > *known;
                *known = revision.max(*known);
                is_newer
            });
            Ok(revision)
        })
        .await
    }

    async fn get(&self, key: &Key) -> Result<Option<Object>, StoreError> {
        let key = key.clone();
        self.work(move |database| tables::get(database, &key)).await
    }

    async fn revisions(&self, key: &Key, max: usize) -> Result<Vec<Revision>, StoreError> {
        let key = key.clone();
        self.work(move |database| tables::revisions(database, &key, max)).await
    }

    async fn written(&self, max: usize) -> Result<Vec<(Key, Revision)>, StoreError> {
        self.work(move |database| tables::written(database, max)).await
    }

    async fn revision(&self, key: &Key, number: u64) -> Result<Revision, StoreError> {
        let key = key.clone();
        self.work(move |database| tables::revision(database, &key, number)).await
    }
}
