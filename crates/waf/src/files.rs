//! Where rules and their data files are read from.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest file of rules or data.
pub(crate) const FILE_SIZE_MAX: u64 = 16 << 20;

/// The largest database.
const DATABASE_SIZE_MAX: u64 = 256 << 20;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// There is no such file, or it cannot be read.
    #[error("cannot read `{0}`: {1}")]
    Unreadable(String, std::io::Error),
    /// It is larger than a file of rules may be.
    #[error("`{0}` is larger than 16 MiB")]
    TooLarge(String),
    /// It is larger than a database may be.
    #[error("`{0}` is larger than 256 MiB")]
    DatabaseTooLarge(String),
}

/// A place that files are read from while a rule set is loaded.
pub trait Files {
    /// The file `name`, seen from the file `from`.
    fn read(&self, from: &str, name: &str) -> Result<Vec<u8>, FileFault>;

    /// The database `name`, seen from the file `from`: it may be larger than what is text.
    fn read_database(&self, from: &str, name: &str) -> Result<Vec<u8>, FileFault> {
        self.read(from, name)
    }

    /// The names that a pattern with `*` or `?` in its last part stands for, sorted; the name itself
    /// if there is no such sign in it.
    fn list(&self, from: &str, pattern: &str) -> Result<Vec<String>, FileFault>;
}

/// A folder; names may also be absolute.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Reads from `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn resolve(&self, from: &str, name: &str) -> PathBuf {
        let beside = Path::new(from).parent().unwrap_or_else(|| Path::new(""));
        self.root.join(beside).join(name)
    }

    /// A file of at most `max` bytes; None if it is larger.
    fn read_up_to(&self, from: &str, name: &str, max: u64) -> Result<Option<Vec<u8>>, FileFault> {
        let path = self.resolve(from, name);
        let unreadable = |error| FileFault::Unreadable(path.display().to_string(), error);
        // Opening a pipe would wait for whoever writes to it.
        if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(unreadable(std::io::Error::other("it is no file")));
        }
        let file = std::fs::File::open(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= max))
    }
}

impl Files for Folder {
    fn read(&self, from: &str, name: &str) -> Result<Vec<u8>, FileFault> {
        let bytes = self.read_up_to(from, name, FILE_SIZE_MAX)?;
        bytes.ok_or_else(|| FileFault::TooLarge(name.to_owned()))
    }

    fn read_database(&self, from: &str, name: &str) -> Result<Vec<u8>, FileFault> {
        let bytes = self.read_up_to(from, name, DATABASE_SIZE_MAX)?;
        bytes.ok_or_else(|| FileFault::DatabaseTooLarge(name.to_owned()))
    }

    fn list(&self, from: &str, pattern: &str) -> Result<Vec<String>, FileFault> {
        if !pattern.contains(['*', '?']) {
            return Ok(vec![pattern.to_owned()]);
        }
        let path = Path::new(pattern);
        let sign = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let parent = path.parent().unwrap_or_else(|| Path::new(""));
        let folder = self.resolve(from, &parent.to_string_lossy());
        let unreadable = |error| FileFault::Unreadable(folder.display().to_string(), error);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            let Some(name) = name.to_str() else { continue };
            if fits(sign.as_bytes(), name.as_bytes()) {
                names.push(parent.join(name).to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Files that are held in memory, by name.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.0.insert(name.to_owned(), bytes.into());
        self
    }
}

impl Files for Memory {
    fn read(&self, _from: &str, name: &str) -> Result<Vec<u8>, FileFault> {
        self.0.get(name).cloned().ok_or_else(|| {
            FileFault::Unreadable(name.to_owned(), std::io::ErrorKind::NotFound.into())
        })
    }

    fn list(&self, _from: &str, pattern: &str) -> Result<Vec<String>, FileFault> {
        if !pattern.contains(['*', '?']) {
            return Ok(vec![pattern.to_owned()]);
        }
        let names = self.0.keys().filter(|name| fits(pattern.as_bytes(), name.as_bytes()));
        Ok(names.cloned().collect())
    }
}

/// True if `name` is what `pattern` stands for: `*` any bytes, `?` one byte.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut i) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while i < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at, i));
                at += 1;
            }
            Some(sign) if *sign == b'?' || Some(sign) == name.get(i) => {
                at += 1;
                i += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                at = star + 1;
                i = from + 1;
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(|sign| *sign == b'*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_stand_for_names() {
        for (pattern, name, is_fit) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.example", false),
            ("REQUEST-9??-*.conf", "REQUEST-942-SQLI.conf", true),
            ("a*b*c", "aXbYbc", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), is_fit, "{pattern} {name}");
        }
    }

    #[test]
    fn files_in_memory_are_listed_in_order() {
        let files = Memory::default().with("b.conf", "2").with("a.conf", "1").with("x.data", "");
        assert_eq!(files.list("", "*.conf").unwrap(), ["a.conf", "b.conf"]);
        assert_eq!(files.read("", "a.conf").unwrap(), b"1");
        assert!(files.read("", "c.conf").is_err());
    }
}
