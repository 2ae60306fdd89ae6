//! Writing files so that nothing is ever half-written and no secret is readable by others.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use aws_lc_rs::rand;

use crate::failure::Failure;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// Its owner (mode 0600).
    Owner,
    /// Whoever may look into its folder (mode 0644).
    Folder,
}

impl Privacy {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Folder => 0o644,
        }
    }
}

/// Writes a file under a temporary name beside it and renames it into place: whoever reads sees
/// the old content or the new.
pub(crate) fn write(path: &Path, content: &[u8], privacy: Privacy) -> Result<(), Failure> {
    put(path, content, privacy).map_err(|cause| Failure::file("write", path, &cause))
}

fn put(path: &Path, content: &[u8], privacy: Privacy) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let mut random = [0; 8];
    rand::fill(&mut random).map_err(|_| io::Error::other("no randomness"))?;
    let suffix = u64::from_be_bytes(random);
    let temporary = path.with_file_name(format!(".{}.{suffix:016x}", name.to_string_lossy()));
    let result =
        fill(&temporary, content, privacy).and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        // The first failure is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

fn fill(path: &Path, content: &[u8], privacy: Privacy) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file: File = options.write(true).create_new(true).mode(privacy.mode()).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes a folder and those above it, readable by the owner alone; one that exists is tightened.
pub(crate) fn private_folder(path: &Path) -> Result<(), Failure> {
    let fail = |cause| Failure::file("create the folder", path, &cause);
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
    let permissions = std::fs::metadata(path).map_err(fail)?.permissions();
    if permissions.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(
            |cause| {
                Failure::file("close to other users the folder", path, &cause)
                    .with_help("it must belong to you, or name another one")
            },
        )?;
    }
    Ok(())
}

/// Text of 256 random bits, for a key or secret.
pub(crate) fn random_secret() -> Result<String, Failure> {
    use base64::Engine as _;
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Failure::new("the operating system gave no randomness"))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "old and open").unwrap();
        write(&path, b"new", Privacy::Owner).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, std::fs::read(&path).unwrap()), (0o600, b"new".to_vec()));
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(write(&taken, b"new", Privacy::Folder).is_err());
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn a_folder_that_was_open_is_closed_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        private_folder(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let (first, second) = (random_secret().unwrap(), random_secret().unwrap());
        assert_eq!(first.len(), 43);
        assert_ne!(first, second);
    }
}
