//! What a configuration reaches outside of its own text: variables, files, secret managers.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::vault::{SecretName, Vault};

/// What a configuration reaches outside of its own text.
pub trait Surroundings {
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

    /// What a Vault keeps under a name. It is not asked now: where the value is not there yet, it
    /// can be fetched, and the configuration be judged again.
    fn secret(&self, vault: &Arc<Vault>, name: &SecretName) -> Result<String, SecretFault> {
        let _ = (vault, name);
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
        let mut content = Vec::new();
        std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
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
