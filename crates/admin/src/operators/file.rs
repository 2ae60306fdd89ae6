//! The file of the book: read once, owned by one process, replaced whole or not at all.
//!
//! A change is written to a new file beside it, which is synced, renamed into place, and the
//! folder synced: after a crash there is the old book or the new one. What was acknowledged is
//! there.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::book::Book;

/// Longest file.
pub(super) const FILE_MAX: u64 = 1_024 * 1_024;
/// The permissions of others.
const OTHERS: u32 = 0o077;
/// The permissions of others to write.
pub(super) const OTHERS_WRITE: u32 = 0o022;

/// Why the operators' keys cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct BookError {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl BookError {
    pub(super) fn new(problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: help.into() }
    }
}

/// The file of a book, locked for this process.
#[derive(Debug)]
pub(super) struct BookFile {
    path: PathBuf,
    folder: PathBuf,
    /// Holds the lock; another file than the book itself, which every change replaces.
    _lock: File,
}

impl BookFile {
    /// Opens the book at a path; where there is none, a new one is made.
    pub(super) fn open(path: &Path) -> Result<(Self, Book), BookError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        check_folder(&folder)?;
        let lock = lock(path)?;
        let file = Self { path: path.to_owned(), folder, _lock: lock };
        let Some(content) = file.read()? else {
            let book = Book::new().map_err(|none| BookError::new(none.to_string(), "try again"))?;
            file.write(&book).map_err(|cause| file.fails("write", &cause))?;
            return Ok((file, book));
        };
        let book = Book::parse(&content).map_err(|problem| {
            let text = if content.is_empty() { "it is empty".to_owned() } else { problem };
            BookError::new(
                format!("the operators' keys in `{}` cannot be read: {text}", path.display()),
                "put back a copy of the file, or move it away: the node then begins a new book, \
                 and keys are made anew with `bartizan admin key create`",
            )
        })?;
        Ok((file, book))
    }

    /// Replaces the book. When this returns without error, it is on the disk.
    pub(super) fn write(&self, book: &Book) -> io::Result<()> {
        let content = book.to_bytes().map_err(io::Error::other)?;
        if content.len() as u64 > FILE_MAX {
            return Err(io::Error::other("the book is larger than 1 MiB"));
        }
        let new = beside(&self.path, "new");
        // What a crash left there.
        match fs::remove_file(&new) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// The content; nothing if there is no file.
    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, BookError> {
        let path = &self.path;
        let mut options = OpenOptions::new();
        let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
        let file = match options.read(true).custom_flags(no_follow).open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(self.fails("read", &cause)),
        };
        let metadata = file.metadata().map_err(|cause| self.fails("read", &cause))?;
        let name = path.display();
        if !metadata.is_file() {
            let problem = format!("the operators' keys `{name}` are not a regular file");
            return Err(BookError::new(problem, "name another path"));
        }
        if !is_ours(metadata.uid()) {
            let problem = format!("`{name}` belongs to the user {}", metadata.uid());
            return Err(BookError::new(problem, "it must belong to the user of the node: `chown`"));
        }
        if metadata.mode() & OTHERS != 0 {
            let problem =
                format!("`{name}` is open to other users (mode {:04o})", metadata.mode() & 0o7777);
            let help = format!("see who has read or changed it, then `chmod 600 {name}`");
            return Err(BookError::new(problem, help));
        }
        let mut content = Zeroizing::new(Vec::new());
        let read = file.take(FILE_MAX + 1).read_to_end(&mut content);
        read.map_err(|cause| self.fails("read", &cause))?;
        if content.len() as u64 > FILE_MAX {
            let problem = format!("`{name}` is larger than 1 MiB, so it is no book of keys");
            return Err(BookError::new(problem, "name another path"));
        }
        Ok(Some(content))
    }

    fn fails(&self, what: &str, cause: &io::Error) -> BookError {
        let problem =
            format!("cannot {what} the operators' keys `{}`: {cause}", self.path.display());
        BookError::new(problem, "the node must be able to read and replace that file")
    }
}

/// Whether a file's owner is this process's user, or root.
fn is_ours(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Refuses a folder in which other users could replace what is in it. One that is not there is
/// made, for this user alone.
pub(super) fn check_folder(folder: &Path) -> Result<(), BookError> {
    let name = folder.display();
    let fails = |cause: io::Error| {
        BookError::new(format!("cannot use the folder `{name}`: {cause}"), "name another path")
    };
    let metadata = match fs::metadata(folder) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            DirBuilder::new().mode(0o700).create(folder).map_err(fails)?;
            fs::metadata(folder)
        }
        metadata => metadata,
    };
    let metadata = metadata.map_err(fails)?;
    if !metadata.is_dir() {
        return Err(BookError::new(format!("`{name}` is not a folder"), "name another path"));
    }
    if !is_ours(metadata.uid()) || metadata.mode() & OTHERS_WRITE != 0 {
        let problem = format!(
            "other users can put files into `{name}` (owner {}, mode {:04o})",
            metadata.uid(),
            metadata.mode() & 0o7777
        );
        let help =
            "use a folder that belongs to the user of the node and that only it may write to";
        return Err(BookError::new(problem, help));
    }
    Ok(())
}

/// Takes the lock of a book, which two nodes never have together.
fn lock(path: &Path) -> Result<File, BookError> {
    let lock = beside(path, "lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&lock).map_err(|cause| {
        let problem = format!("cannot lock the operators' keys with `{}`: {cause}", lock.display());
        BookError::new(problem, "the node must be able to make that file")
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(BookError::new(
            format!("the operators' keys `{}` are in use by another node", path.display()),
            "stop the other one, or give each its own file (`admin.keys`)",
        )),
        Err(TryLockError::Error(cause)) => Err(BookError::new(
            format!("cannot lock the operators' keys `{}`: {cause}", path.display()),
            "name a file on a local disk (`admin.keys`)",
        )),
    }
}

/// A hidden file beside another.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
