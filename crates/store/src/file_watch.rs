//! Watches the files from which a configuration was read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::disk::{Digest, Disk};
use crate::watch::Watch;

/// How often files are looked at. A change is reported after one to two intervals.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// A file that a configuration was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Where it is.
    pub path: PathBuf,
    /// What was read; `None` if it could not be read.
    pub digest: Option<Digest>,
}

/// The content of files is not what was loaded any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which files, in order, each once.
    pub files: Vec<PathBuf>,
}

/// Watches the files of a node: its resources, and those they refer to.
///
/// It looks at their metadata twice a second, which works on every file system and for every way
/// of replacing a file: written in place, renamed over, or reached through a symbolic link that is
/// swapped, as Kubernetes does. A change is reported when the new content rests and differs.
#[derive(Debug)]
pub struct FileWatch {
    watch: Arc<Mutex<Watch>>,
    disk: Disk,
    interval: Option<Interval>,
}

impl FileWatch {
    /// Watches the files that were loaded. Content of more than `size_max` bytes
    /// (`limits.document`) counts as unreadable.
    ///
    /// What was loaded is told by its digest, so that no change between reading and watching is
    /// missed.
    pub fn new(loaded: impl IntoIterator<Item = Loaded>, size_max: u64) -> Self {
        let mut store = Self { watch: Arc::default(), disk: Disk { size_max }, interval: None };
        store.watch(loaded);
        store
    }

    /// From now on watches exactly these files: called after every attempt to load them, also one
    /// that was refused, with what was read.
    pub fn watch(&mut self, loaded: impl IntoIterator<Item = Loaded>) {
        self.lock().watch(loaded.into_iter().map(|file| (file.path, file.digest)));
    }

    /// Looks at the files once, on the calling thread.
    pub fn poll_once(&mut self) -> Option<Change> {
        let mut disk = self.disk;
        let mut watch = self.lock();
        watch.poll(&mut disk);
        watch.take().map(|files| Change { files })
    }

    /// Waits for the next change. Dropping the future loses none.
    pub async fn changed(&mut self) -> Change {
        loop {
            let interval = self.interval.get_or_insert_with(|| {
                let mut interval = interval(INTERVAL);
                interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
                interval
            });
            interval.tick().await;
            let (watch, mut disk) = (Arc::clone(&self.watch), self.disk);
            // A look that panics or is cut off by shutdown has told nothing; the next one will.
            let _ = spawn_blocking(move || lock(&watch).poll(&mut disk)).await;
            if let Some(files) = self.lock().take() {
                return Change { files };
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        lock(&self.watch)
    }
}

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    const SIZE_MAX: u64 = 1_024;

    fn store(paths: &[&Path]) -> FileWatch {
        let loaded = paths.iter().map(|path| Loaded {
            path: path.to_path_buf(),
            digest: fs::read(path).ok().map(|content| Digest::of(&content)),
        });
        let mut store = FileWatch::new(loaded, SIZE_MAX);
        assert_eq!((store.poll_once(), store.poll_once()), (None, None));
        store
    }

    fn files(change: Option<Change>) -> Vec<PathBuf> {
        change.map(|change| change.files).unwrap_or_default()
    }

    /// What two looks report.
    fn two_looks(store: &mut FileWatch) -> Vec<PathBuf> {
        assert_eq!(store.poll_once(), None);
        files(store.poll_once())
    }

    #[test]
    fn a_file_that_is_replaced_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("a"), folder.path().join("a.new"));
        fs::write(&path, "old").unwrap();
        let mut store = store(&[&path]);
        fs::write(&new, "new").unwrap();
        fs::rename(&new, &path).unwrap();
        assert_eq!(two_looks(&mut store), [path]);
        assert_eq!(store.poll_once(), None);
    }

    #[test]
    fn a_file_that_is_written_in_place_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut store = store(&[&path]);
        fs::write(&path, "longer").unwrap();
        assert_eq!(two_looks(&mut store), [path]);
    }

    #[test]
    fn the_same_content_under_another_inode_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, new) = (folder.path().join("a"), folder.path().join("a.new"));
        fs::write(&path, "same").unwrap();
        let mut store = store(&[&path]);
        fs::write(&new, "same").unwrap();
        fs::rename(&new, &path).unwrap();
        assert!(two_looks(&mut store).is_empty());
    }

    #[test]
    fn a_swapped_folder_of_a_config_map_changes_all_its_files_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["..1", "..2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("crt"), format!("crt {version}")).unwrap();
            fs::write(at(version).join("key"), format!("key {version}")).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/crt", at("crt")).unwrap();
        symlink("..data/key", at("key")).unwrap();
        let mut store = store(&[&at("crt"), &at("key")]);
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(two_looks(&mut store), [at("crt"), at("key")]);
    }

    #[test]
    fn going_away_and_coming_back_are_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "x").unwrap();
        let mut store = store(&[&path]);
        fs::remove_file(&path).unwrap();
        assert_eq!(two_looks(&mut store), std::slice::from_ref(&path));
        fs::write(&path, "x").unwrap();
        assert_eq!(two_looks(&mut store), [path]);
    }

    #[test]
    fn what_is_too_long_or_no_file_counts_as_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        let (long, exact) = (folder.path().join("long"), folder.path().join("exact"));
        fs::write(&long, [0; 1_025]).unwrap();
        fs::write(&exact, [0; 1_024]).unwrap();
        let paths = [PathBuf::from("/dev/null"), exact.clone(), long];
        let unread = paths.map(|path| Loaded { path, digest: None });
        let mut store = FileWatch::new(unread, SIZE_MAX);
        assert_eq!(two_looks(&mut store), [exact]);
    }

    #[test]
    fn a_document_that_comes_or_goes_is_a_change_of_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (path, document) = (folder.path().to_owned(), folder.path().join("a.yaml"));
        let loaded = Loaded { path: path.clone(), digest: Some(Digest::of_names(&[])) };
        let mut store = FileWatch::new([loaded], SIZE_MAX);
        assert_eq!((store.poll_once(), store.poll_once()), (None, None));
        fs::write(folder.path().join("no-document"), "").unwrap();
        assert!(two_looks(&mut store).is_empty());
        fs::write(&document, "").unwrap();
        assert_eq!(two_looks(&mut store), std::slice::from_ref(&path));
        fs::remove_file(&document).unwrap();
        assert_eq!(two_looks(&mut store), [path]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_tells_the_next_change_and_is_cancelled_without_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        let mut store = store(&[&path]);
        fs::write(&path, "other").unwrap();
        // What a wait that was dropped leaves behind: the looks happened, nobody took the change.
        let watch = Arc::clone(&store.watch);
        for _ in 0..2 {
            let mut disk = store.disk;
            lock(&watch).poll(&mut disk);
        }
        assert_eq!(store.changed().await.files, std::slice::from_ref(&path));
        fs::write(&path, "another").unwrap();
        assert_eq!(store.changed().await.files, [path]);
    }
}
