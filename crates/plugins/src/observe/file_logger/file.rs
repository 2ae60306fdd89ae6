//! The file that entries are appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_net::{Reach, Task};
use bytes::Bytes;

use crate::observe::batch::{Deliver, Undelivered};

/// What may be written besides files.
const STREAMS: [&str; 2] = ["/dev/stdout", "/dev/stderr"];

/// A file, opened when the first batch is there.
pub(super) struct LogFile {
    reach: Arc<dyn Reach>,
    open: Arc<Mutex<Open>>,
}

struct Open {
    path: PathBuf,
    file: Option<File>,
    /// The last line was not written to its end.
    is_torn: bool,
}

impl LogFile {
    pub(super) fn new(path: PathBuf, reach: Arc<dyn Reach>) -> Self {
        let open = Open { path, file: None, is_torn: false };
        Self { reach, open: Arc::new(Mutex::new(open)) }
    }

    async fn append(&self, batch: &[Bytes]) -> Result<usize, Undelivered> {
        let outcome = Arc::new(Mutex::new(None));
        let (open, batch, out) = (self.open.clone(), batch.to_vec(), outcome.clone());
        let work = move || {
            let written = open.lock().unwrap_or_else(PoisonError::into_inner).append(&batch);
            *out.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
        };
        self.reach.run_blocking(Box::new(work)).await;
        let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.unwrap_or_else(|| Err(Undelivered::new(&"nobody could write")))
    }
}

impl Deliver for LogFile {
    fn deliver<'a>(&'a mut self, batch: &'a [Bytes]) -> Task<'a, Result<usize, Undelivered>> {
        Box::pin(self.append(batch))
    }

    fn reopen(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.file = None;
        open.is_torn = false;
    }
}

impl Open {
    fn append(&mut self, batch: &[Bytes]) -> Result<usize, Undelivered> {
        let fail = |path: &Path, error: &io::Error, done| {
            Err(Undelivered { cause: format!("`{}`: {error}", path.display()), done })
        };
        let file = match &mut self.file {
            Some(file) => file,
            None => match open(&self.path) {
                Ok(file) => self.file.insert(file),
                Err(error) => return fail(&self.path, &error, 0),
            },
        };
        let mut bytes = Vec::with_capacity(batch.iter().map(|entry| entry.len() + 1).sum());
        if self.is_torn {
            bytes.push(b'\n');
        }
        let mut ends = Vec::with_capacity(batch.len());
        for entry in batch {
            bytes.extend_from_slice(entry);
            bytes.push(b'\n');
            ends.push(bytes.len());
        }
        let (written, outcome) = write(file, &bytes);
        let done = ends.iter().take_while(|end| **end <= written).count();
        match outcome {
            Ok(()) => {
                self.is_torn = false;
                Ok(0)
            }
            Err(error) => {
                let last = written.checked_sub(1).and_then(|at| bytes.get(at));
                self.is_torn = last.map_or(self.is_torn, |byte| *byte != b'\n');
                self.file = None;
                fail(&self.path, &error, done)
            }
        }
    }
}

/// Writes as much as goes; tells how much that was.
fn write(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

/// Opens the end of a file. A pipe or device would hold up whoever opens it.
fn open(path: &Path) -> io::Result<File> {
    let is_stream = STREAMS.iter().any(|stream| Path::new(stream) == path);
    if !is_stream && std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("is there and is no file"));
    }
    OpenOptions::new().append(true).create(!is_stream).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open_at(path: &Path) -> Open {
        Open { path: path.to_owned(), file: None, is_torn: false }
    }

    #[test]
    fn a_file_is_created_for_its_owner_and_appended_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        open_at(&path).append(&[Bytes::from_static(b"1")]).unwrap();
        open_at(&path).append(&[Bytes::from_static(b"2"), Bytes::from_static(b"3")]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"1\n2\n3\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_was_torn_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        std::fs::write(&path, b"{\"to").unwrap();
        let mut open = Open { is_torn: true, ..open_at(&path) };
        open.append(&[Bytes::from_static(b"1")]).unwrap();
        open.append(&[Bytes::from_static(b"2")]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"to\n1\n2\n");
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let fault = open_at(folder.path()).append(&[Bytes::from_static(b"1")]).unwrap_err();
        assert!(fault.cause.contains("is no file"), "{}", fault.cause);
        let fault = open_at(Path::new("/dev/null")).append(&[Bytes::from_static(b"1")]);
        assert!(fault.unwrap_err().cause.contains("is no file"));
        let nowhere = folder.path().join("no/such/folder");
        let fault = open_at(&nowhere).append(&[Bytes::from_static(b"1")]).unwrap_err();
        assert_eq!(fault.done, 0);
    }

    #[test]
    fn a_full_disk_tells_how_much_was_written() {
        // A device that takes nothing, opened past the check for files.
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut open = Open { file: Some(file), ..open_at(Path::new("/dev/full")) };
        let fault = open.append(&[Bytes::from_static(b"1")]).unwrap_err();
        assert_eq!((fault.done, open.file.is_none()), (0, true));
    }
}
