//! Decides from looks at files whether their content has changed. No I/O and no clock: a
//! [`Source`] looks and reads, and the caller says when.
//!
//! * A file is read when two looks in a row were equal, so that one that is being written is left
//!   alone, and counts as read only if a third look after that is equal too.
//! * Content decides, not metadata: a touch is no change.
//! * A change is reported for all files at once, when none of them is still being written: a
//!   certificate and its key, or the entries of a Kubernetes `ConfigMap`, arrive together. One
//!   that is written all the time holds the others back for [`SETTLE_MAX`] looks.
//! * A file that cannot be read is content of its own kind: going away and coming back are changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::disk::{Digest, Look};

/// How many looks files wait for another that is still being written: ten seconds.
pub(crate) const SETTLE_MAX: u32 = 20;

/// Looks at files and reads them.
pub(crate) trait Source {
    /// What the metadata says now.
    fn look(&mut self, path: &Path) -> Look;
    /// The digest of the content; `None` if it cannot be read.
    fn digest(&mut self, path: &Path) -> Option<Digest>;
}

/// What is known of one file.
#[derive(Debug)]
struct Watched {
    /// What the node has loaded; `None` if it could not.
    loaded: Option<Digest>,
    /// The look under which the content is known to be `loaded`.
    settled: Option<Look>,
    /// The last look, if it was another.
    candidate: Option<Look>,
    /// How many looks in a row were different.
    restless: u32,
}

/// What one look told.
enum Verdict {
    Same,
    Settling,
    Changed(Option<Digest>, Look),
}

impl Watched {
    fn new(loaded: Option<Digest>) -> Self {
        Self { loaded, settled: None, candidate: None, restless: 0 }
    }

    fn poll(&mut self, path: &Path, source: &mut dyn Source) -> Verdict {
        let look = source.look(path);
        if self.settled == Some(look) {
            self.candidate = None;
            self.restless = 0;
            return Verdict::Same;
        }
        if self.candidate.replace(look) != Some(look) {
            return self.settling(path);
        }
        let content = if look.is_readable() { source.digest(path) } else { None };
        let after = source.look(path);
        if after != look {
            self.candidate = Some(after);
            return self.settling(path);
        }
        if content == self.loaded {
            self.accept(content, look);
            return Verdict::Same;
        }
        Verdict::Changed(content, look)
    }

    fn settling(&mut self, path: &Path) -> Verdict {
        self.restless = self.restless.saturating_add(1);
        if self.restless == SETTLE_MAX {
            tracing::warn!(path = %path.display(), "the file changes all the time");
        }
        Verdict::Settling
    }

    fn accept(&mut self, content: Option<Digest>, look: Look) {
        *self = Self { settled: Some(look), ..Self::new(content) };
    }
}

/// The files that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    files: BTreeMap<PathBuf, Watched>,
    /// How many looks a change has waited for files that are being written.
    waited: u32,
    /// Changes that nobody has taken yet.
    pending: BTreeSet<PathBuf>,
}

impl Watch {
    /// From now on watches exactly these files, of which the node has loaded this content.
    pub(crate) fn watch(&mut self, files: impl IntoIterator<Item = (PathBuf, Option<Digest>)>) {
        let mut before = std::mem::take(&mut self.files);
        for (path, loaded) in files {
            let known = before.remove(&path).filter(|known| known.loaded == loaded);
            self.files.insert(path, known.unwrap_or_else(|| Watched::new(loaded)));
        }
        // A change of a file that was loaded again since is found anew if the load missed it.
        self.pending.clear();
        self.waited = 0;
    }

    /// Looks at every file once.
    pub(crate) fn poll(&mut self, source: &mut dyn Source) {
        let mut changed = Vec::new();
        let mut is_settling = false;
        for (path, file) in &mut self.files {
            match file.poll(path, source) {
                Verdict::Same => {}
                Verdict::Settling => is_settling = true,
                Verdict::Changed(content, look) => changed.push((path.clone(), content, look)),
            }
        }
        if changed.is_empty() {
            self.waited = 0;
            return;
        }
        if is_settling && self.waited < SETTLE_MAX {
            self.waited += 1;
            return;
        }
        self.waited = 0;
        for (path, content, look) in changed {
            if let Some(file) = self.files.get_mut(&path) {
                file.accept(content, look);
                self.pending.insert(path);
            }
        }
    }

    /// The files that changed since the last call.
    pub(crate) fn take(&mut self) -> Option<Vec<PathBuf>> {
        let pending = std::mem::take(&mut self.pending);
        (!pending.is_empty()).then(|| pending.into_iter().collect())
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
