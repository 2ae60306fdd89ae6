//! By whose rules objects are read, and what they may read of this machine.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::node::{NodeConfig, StoreReferences};
use crate::reference::Resolver;
use crate::surroundings::Surroundings;

/// What a node says about how its objects are read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// `danger_accept_apisix_fail_open`.
    pub(crate) accepts_fail_open: bool,
    /// What the objects may read.
    pub(crate) references: References,
}

impl Terms {
    /// Those of a node.
    pub(crate) fn of(node: &NodeConfig) -> Self {
        Self {
            accepts_fail_open: node.danger_accept_apisix_fail_open,
            references: node.references.clone(),
        }
    }

    /// Resolves references as far as they may be.
    pub(crate) fn resolver<'a>(&self, surroundings: &'a dyn Surroundings) -> Resolver<'a> {
        Resolver::new(surroundings).within(self.references.clone())
    }
}

/// What objects may read of this machine. Whoever writes one chooses where its secrets are sent, so
/// that whatever it can read can leave the machine.
#[derive(Clone, Debug, Default)]
pub enum References {
    /// Whatever this process can: the objects are written by operators of the node.
    #[default]
    Any,
    /// What the node file lists.
    Listed(Arc<StoreReferences>),
    /// Nothing: the objects are those of another machine, and are only looked at.
    Nothing,
}

impl References {
    /// Whether a variable may be read; if not, what is to be said behind its name.
    pub fn variable(&self, name: &str) -> Result<(), &'static str> {
        self.admit(|listed| listed.env.iter().any(|known| known == name))
    }

    /// Whether a file may be read whose path is written so in an object of that folder; if not,
    /// what is to be said behind its name. Paths are compared as they are written, and `..` leads
    /// nowhere: where links lead is up to whoever made them.
    pub fn file(&self, folder: &Path, written: &Path) -> Result<(), &'static str> {
        self.admit(|listed| {
            let climbs = written.components().any(|part| part == Component::ParentDir);
            let path = absolute(&folder.join(written));
            !climbs && listed.files.iter().any(|known| path.starts_with(absolute(known)))
        })
    }

    fn admit(&self, is_in: impl Fn(&StoreReferences) -> bool) -> Result<(), &'static str> {
        match self {
            Self::Any => Ok(()),
            Self::Listed(listed) if is_in(listed) => Ok(()),
            Self::Listed(_) => {
                Err("may not be read for objects of the store: list it in `store.etcd.references`")
            }
            Self::Nothing => Err("is of this machine, and not read for objects of another one"),
        }
    }
}

/// The path from the root; as it is, where the working directory is not known.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The path from the root without `.` and `..`, as far as can be told without looking.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in absolute(path).components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(env: &[&str], files: &[&str]) -> References {
        References::Listed(Arc::new(StoreReferences {
            env: env.iter().map(|name| (*name).to_owned()).collect(),
            files: files.iter().map(PathBuf::from).collect(),
        }))
    }

    #[test]
    fn a_variable_is_read_if_it_is_listed() {
        let references = listed(&["TOKEN"], &["/etc/b/TOKENS"]);
        for (name, is_listed) in
            [("TOKEN", true), ("TOKENS", false), ("TOKE", false), ("token", false), ("", false)]
        {
            assert_eq!(references.variable(name).is_ok(), is_listed, "{name}");
        }
        assert!(References::Any.variable("TOKENS").is_ok());
        assert!(References::Nothing.variable("TOKEN").is_err());
    }

    #[test]
    fn a_file_is_read_if_it_or_a_folder_above_it_is_listed() {
        let references = listed(&["secret"], &["/etc/b/lent", "/srv/key"]);
        for (path, is_listed) in [
            ("lent/a", true),
            ("./lent/a/b", true),
            ("/etc/b/lent/a", true),
            ("lent//a", true),
            ("/srv/key", true),
            ("lent", true),
            ("lent2/a", false),
            ("key", false),
            ("/srv/key2", false),
            ("/srv", false),
            ("lent/../key", false),
            ("../b/lent/a", false),
            ("/etc/b/lent/../key", false),
            ("", false),
        ] {
            let told = references.file(Path::new("/etc/b"), Path::new(path));
            assert_eq!(told.is_ok(), is_listed, "{path}");
        }
        assert!(References::Any.file(Path::new("/etc/b"), Path::new("../key")).is_ok());
        assert!(References::Nothing.file(Path::new("/etc/b"), Path::new("lent/a")).is_err());
        let here = std::env::current_dir().unwrap();
        let relative = listed(&[], &["lent"]);
        assert!(relative.file(Path::new(""), &here.join("lent/a")).is_ok());
        assert!(relative.file(&here, Path::new("lent/a")).is_ok());
    }

    #[test]
    fn nothing_is_open_where_nothing_is_listed() {
        let references = listed(&[], &[]);
        assert!(references.variable("HOME").is_err());
        assert!(references.file(Path::new("/etc/b"), Path::new("key")).is_err());
        assert!(references.file(Path::new("/"), Path::new("/")).is_err());
    }
}
