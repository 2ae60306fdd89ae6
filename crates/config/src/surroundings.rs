//! What a configuration reaches outside of its own text: variables, files, secret managers.

use std::fs::{File, metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::managers::{SecretManager, SecretName};

/// What a configuration reaches outside of its own text. Long ones are read by several threads.
pub trait Surroundings: Sync {
    /// Whether there is anything outside. Where there is not, every reference stands for a value
    /// that is not known: nothing is asked, and neither a value nor whether there is one is told.
    fn are_known(&self) -> bool {
        true
    }

    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file, refused if it is longer than `limit` bytes.
    fn file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The documents in a folder, in the order of their names; `None` where it is no folder.
    fn folder(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        let _ = path;
        Ok(None)
    }

    /// What a secret manager keeps under a name. It is not asked now: where the value is not there yet, it
    /// can be fetched, and the configuration be judged again.
    fn secret(
        &self,
        manager: &Arc<SecretManager>,
        name: &SecretName,
    ) -> Result<String, SecretFault> {
        let _ = (manager, name);
        Err(SecretFault::Refused("secret managers are not asked here".to_owned()))
    }
}

/// Why there is no value of a secret manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretFault {
    /// Nobody has asked for it yet.
    NotFetched,
    /// It cannot be had.
    Refused(String),
}

/// The environment and the files of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Surroundings for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let content = read_file_up_to(path, limit)?;
        if u64::try_from(content.len()).unwrap_or(u64::MAX) > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {limit} bytes"),
            ));
        }
        Ok(content)
    }

    fn folder(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        if !path.is_dir() {
            return Ok(None);
        }
        let mut documents = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let path = entry?.path();
            if is_document(&path) {
                documents.push(path);
            }
        }
        documents.sort();
        Ok(Some(documents))
    }
}

/// The content of a regular file, one byte more than `max` at most, which whoever asks takes for too
/// long. Anything else, such as a pipe, which would be waited for, is refused without being opened.
pub fn read_file_up_to(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    if !metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut content = Vec::new();
    File::open(path)?.take(max.saturating_add(1)).read_to_end(&mut content)?;
    Ok(content)
}

/// Files that end in `.yaml`, `.yml` or `.json` and are not hidden. A link to a file counts: this is
/// how Kubernetes fills a folder.
fn is_document(path: &Path) -> bool {
    let is_hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let is_named =
        ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known));
    !is_hidden && is_named && !path.is_dir()
}

/// Nothing outside of the text, for what is judged on behalf of somebody who may not know it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nowhere;

impl Surroundings for Nowhere {
    fn are_known(&self) -> bool {
        false
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path, _: u64) -> io::Result<Vec<u8>> {
        Err(io::Error::other("no file is read here"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_over_the_limit_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(System.file(file.path(), 5).unwrap(), b"12345");
        assert!(System.file(file.path(), 4).is_err());
    }

    #[test]
    fn what_is_no_file_is_neither_read_nor_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [&pipe, folder.path(), Path::new("/dev/zero")] {
            let told = System.file(path, 100).unwrap_err().to_string();
            assert_eq!(told, "it is no file", "{}", path.display());
        }
        let link = folder.path().join("link");
        std::fs::write(folder.path().join("file"), "text").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert_eq!(System.file(&link, 100).unwrap(), b"text");
    }
}
