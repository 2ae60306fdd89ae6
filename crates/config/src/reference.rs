//! References to secrets: text that names where the value is kept.
//!
//! `$env://NAME` is an environment variable, `$env://NAME/key` a member of the JSON object in it,
//! `$file://path` a file (relative to the document; one line end at its end is not part of the
//! value). Values are read when the configuration is loaded and only where the field is a secret,
//! a certificate or a key: anywhere else they could leak into answers and logs.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::words::quoted;

/// Largest value that a reference may stand for, in bytes.
const REFERENCE_MAX: u64 = 1 << 20;

/// What a configuration reaches outside of its own text.
pub trait Surroundings {
    /// The value of an environment variable.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file, refused if it is longer than `limit` bytes.
    fn file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The documents in a folder, in the order of their names; `None` where it is no folder.
    fn folder(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        let _ = path;
        Ok(None)
    }
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

/// The kinds of references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Env,
    File,
    Secret,
}

/// The kind of reference that a text is, and what it names.
fn split(text: &str) -> Option<(Kind, &str)> {
    let (scheme, name) = text.strip_prefix('$')?.split_once("://")?;
    let kind = [("env", Kind::Env), ("file", Kind::File), ("secret", Kind::Secret)]
        .into_iter()
        .find(|(known, _)| scheme.eq_ignore_ascii_case(known))?
        .1;
    Some((kind, name))
}

/// True if the text is a reference.
pub(crate) fn is_reference(text: &str) -> bool {
    split(text).is_some()
}

/// Resolves references, each once.
pub(crate) struct Resolver<'a> {
    surroundings: &'a dyn Surroundings,
    known: RefCell<HashMap<(PathBuf, String), Result<String, String>>>,
    files: RefCell<BTreeSet<PathBuf>>,
}

impl<'a> Resolver<'a> {
    /// Nothing is resolved yet.
    pub(crate) fn new(surroundings: &'a dyn Surroundings) -> Self {
        Self { surroundings, known: RefCell::default(), files: RefCell::default() }
    }

    /// Where values come from.
    pub(crate) fn surroundings(&self) -> &'a dyn Surroundings {
        self.surroundings
    }

    /// Notes that a file belongs to the configuration.
    pub(crate) fn note(&self, path: &Path) {
        self.files.borrow_mut().insert(path.to_owned());
    }

    /// The files that belong to the configuration, also those that could not be read.
    pub(crate) fn into_files(self) -> Vec<PathBuf> {
        self.files.into_inner().into_iter().collect()
    }

    /// The value of a reference in a document of `folder`, or what is wrong with it.
    pub(crate) fn resolve(&self, reference: &str, folder: &Path) -> Result<String, String> {
        let key = (folder.to_owned(), reference.to_owned());
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        let value = match split(reference) {
            Some((Kind::Env, name)) => self.variable(name),
            Some((Kind::File, path)) => self.text_file(&folder.join(path)),
            Some((Kind::Secret, _)) => {
                Err("`$secret://` references are not supported yet: use `$env://` or `$file://`"
                    .to_owned())
            }
            None => Ok(reference.to_owned()),
        };
        self.known.borrow_mut().insert(key, value.clone());
        value
    }

    fn variable(&self, name: &str) -> Result<String, String> {
        let (name, member) = match name.split_once('/') {
            Some((name, member)) => (name, Some(member)),
            None => (name, None),
        };
        let value = self
            .surroundings
            .variable(name)
            .ok_or_else(|| format!("the environment variable {} is not set", quoted(name)))?;
        let value = match member {
            None => value,
            Some(member) => serde_json::from_str::<serde_json::Value>(&value)
                .ok()
                .and_then(|object| object.get(member)?.as_str().map(str::to_owned))
                .ok_or_else(|| {
                    format!(
                        "the environment variable {} is no JSON object with the text {}",
                        quoted(name),
                        quoted(member)
                    )
                })?,
        };
        if value.is_empty() {
            return Err(format!("the environment variable {} is empty", quoted(name)));
        }
        Ok(value)
    }

    /// The text of a file without the line end at its end.
    pub(crate) fn text_file(&self, path: &Path) -> Result<String, String> {
        self.note(path);
        let shown = quoted(&path.to_string_lossy());
        let bytes = self
            .surroundings
            .file(path, REFERENCE_MAX)
            .map_err(|error| format!("the file {shown} cannot be read: {error}"))?;
        let mut text =
            String::from_utf8(bytes).map_err(|_| format!("the file {shown} is not UTF-8"))?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        if text.is_empty() {
            return Err(format!("the file {shown} is empty"));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Surroundings for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "KEY" => Some("s3cret".to_owned()),
                "JSON" => Some(r#"{"a": "x", "n": 1}"#.to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }

        fn file(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
            match path.to_str() {
                Some("/etc/b/key") => Ok(b"from file\r\n".to_vec()),
                Some("/abs") => Ok(b"absolute".to_vec()),
                Some("/etc/b/bad") => Ok(b"\xff".to_vec()),
                _ => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
            }
        }
    }

    #[test]
    fn references_stand_for_values_or_say_what_is_wrong() {
        let resolver = Resolver::new(&Fixed);
        for (reference, value) in [
            ("$env://KEY", Ok("s3cret")),
            ("$ENV://KEY", Ok("s3cret")),
            ("$env://JSON/a", Ok("x")),
            ("$file://key", Ok("from file")),
            ("$file:///abs", Ok("absolute")),
            ("$env://NO", Err("the environment variable `NO` is not set")),
            ("$env://EMPTY", Err("the environment variable `EMPTY` is empty")),
            (
                "$env://JSON/n",
                Err("the environment variable `JSON` is no JSON object with the text `n`"),
            ),
            ("$file://no", Err("the file `/etc/b/no` cannot be read: no such file")),
            ("$file://bad", Err("the file `/etc/b/bad` is not UTF-8")),
            (
                "$secret://vault/1/a/b",
                Err("`$secret://` references are not supported yet: use `$env://` or `$file://`"),
            ),
        ] {
            assert!(is_reference(reference));
            let expected = value.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(resolver.resolve(reference, Path::new("/etc/b")), expected, "{reference}");
        }
        assert_eq!(resolver.into_files().len(), 4);
    }

    #[test]
    fn other_text_is_no_reference() {
        for text in ["$uri", "env://KEY", "$http://x", "$env:/KEY", "", "$"] {
            assert!(!is_reference(text), "{text}");
        }
    }

    #[test]
    fn files_over_the_limit_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "12345").unwrap();
        assert_eq!(System.file(file.path(), 5).unwrap(), b"12345");
        assert!(System.file(file.path(), 4).is_err());
    }
}
