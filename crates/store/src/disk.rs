//! Real files: their metadata and the digest of their content.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use bartizan_config::{Surroundings, System};

use crate::watch::Source;

/// The SHA-256 digest of a file's content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of content that was loaded.
    pub fn of(content: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(content);
        Self::finish(context)
    }

    /// The digest of what a folder holds: the names of its documents, in their order.
    pub fn of_names(documents: &[PathBuf]) -> Self {
        let mut context = Context::new(&SHA256);
        for document in documents {
            context.update(document.as_os_str().as_encoded_bytes());
            context.update(&[0]);
        }
        Self::finish(context)
    }

    fn finish(context: Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a look at a file's metadata tells. Symbolic links are followed, so that swapping one is
/// another inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// There is no such file.
    Missing,
    /// Something that is not a regular file; reading it could take forever.
    NotAFile,
    /// The system refuses to look.
    Unreadable,
    /// A regular file.
    File {
        /// When its content changed, in seconds and nanoseconds.
        modified: (i64, i64),
        /// When its inode changed, which a forged modification time does not hide.
        changed: (i64, i64),
        /// Its length.
        len: u64,
        /// Its device and inode.
        inode: (u64, u64),
    },
    /// A folder, whose content is the names of the documents in it.
    Folder {
        /// When a name was added or removed.
        modified: (i64, i64),
        /// When its inode changed, so also who may read it.
        changed: (i64, i64),
        /// Its device and inode.
        inode: (u64, u64),
    },
}

impl Look {
    /// Whether there is content to read.
    pub(crate) fn is_readable(self) -> bool {
        matches!(self, Self::File { .. } | Self::Folder { .. })
    }

    fn of(metadata: &Metadata) -> Self {
        if metadata.is_dir() {
            return Self::Folder {
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
                inode: (metadata.dev(), metadata.ino()),
            };
        }
        if !metadata.is_file() {
            return Self::NotAFile;
        }
        Self::File {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            len: metadata.len(),
            inode: (metadata.dev(), metadata.ino()),
        }
    }

    #[cfg(test)]
    pub(crate) fn fake(version: u64, len: usize) -> Self {
        let len = len as u64;
        Self::File { modified: (0, 0), changed: (0, 0), len, inode: (0, version) }
    }
}

/// The file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// A longer file counts as unreadable.
    pub(crate) size_max: u64,
}

impl Source for Disk {
    fn look(&mut self, path: &Path) -> Look {
        match fs::metadata(path) {
            Ok(metadata) => Look::of(&metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Look::Missing,
            Err(_) => Look::Unreadable,
        }
    }

    fn digest(&mut self, path: &Path) -> Option<Digest> {
        match System.folder(path) {
            Ok(Some(documents)) => Some(Digest::of_names(&documents)),
            Ok(None) => digest(path, self.size_max).ok().flatten(),
            Err(_) => None,
        }
    }
}

/// The digest of a file of at most `size_max` bytes.
fn digest(path: &Path, size_max: u64) -> io::Result<Option<Digest>> {
    let mut file = File::open(path)?.take(size_max.saturating_add(1));
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1_024];
    let mut len = 0_u64;
    loop {
        let n = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        context.update(buffer.get(..n).unwrap_or_default());
        len = len.saturating_add(n as u64);
    }
    Ok((len <= size_max).then(|| Digest::finish(context)))
}
