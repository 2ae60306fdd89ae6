//! Where lines go: files and standard output.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::life::Life;

/// How long to wait before what could not be written is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Where a log is written.
pub enum Target {
    /// Standard output.
    Stdout,
    /// The end of a file, which is created for its owner alone (mode 0600).
    File(PathBuf),
    /// Anything else that takes bytes.
    Writer(Box<dyn Write + Send>),
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("Stdout"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Writer(_) => f.write_str("Writer"),
        }
    }
}

/// Why a log cannot be written at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened or created for appending.
    #[error("cannot write to `{path}`: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output is closed.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// The system gives no more threads.
    #[error("cannot start the thread that writes: {0}")]
    Thread(io::Error),
}

/// Why closing a log lost something.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    /// So many lines could not be written in time.
    #[error("{0} lines could not be written in time")]
    Lost(u64),
    /// A write did not come back; how much is lost is not known.
    #[error("a write did not end in time")]
    Stuck,
}

struct Sink {
    /// The file's name, if it can be opened anew.
    path: Option<PathBuf>,
    out: Box<dyn Write + Send>,
    /// How much of the current batch is written.
    done: usize,
    is_failing: bool,
}

impl Sink {
    fn open(target: Target) -> Result<Self, OpenError> {
        let (path, out): (_, Box<dyn Write + Send>) = match target {
            Target::Writer(out) => (None, out),
            Target::Stdout => {
                let fd = io::stdout().as_fd().try_clone_to_owned().map_err(OpenError::Stdout)?;
                (None, Box::new(File::from(fd)))
            }
            Target::File(path) => {
                let file = append(&path)
                    .map_err(|source| OpenError::File { path: path.clone(), source })?;
                (Some(path), Box::new(file))
            }
        };
        Ok(Self { path, out, done: 0, is_failing: false })
    }

    /// Writes on where it stopped; true when the whole batch is written.
    fn write(&mut self, batch: &[u8]) -> bool {
        while let Some(rest) = batch.get(self.done..).filter(|rest| !rest.is_empty()) {
            match self.out.write(rest) {
                Ok(0) => return self.fail(&ErrorKind::WriteZero.into()),
                Ok(n) => self.done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.fail(&error),
            }
        }
        if let Err(error) = self.out.flush() {
            return self.fail(&error);
        }
        if std::mem::take(&mut self.is_failing) {
            tracing::info!(path = self.path(), "the log is written again");
        }
        true
    }

    fn fail(&mut self, error: &io::Error) -> bool {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::error!(path = self.path(), %error, "the log cannot be written");
        }
        false
    }

    /// Opens the file anew, and keeps the old one if that fails.
    fn reopen(&mut self, batch: &[u8]) {
        let Some(path) = &self.path else { return };
        match append(path) {
            Ok(file) => {
                self.out = Box::new(file);
                // A line begun in the old file is written whole into the new one.
                let done = batch.get(..self.done).unwrap_or_default();
                self.done = done.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
            }
            Err(error) => {
                tracing::error!(path = self.path(), %error, "the log cannot be reopened");
            }
        }
    }

    fn path(&self) -> Option<tracing::field::DisplayValue<std::path::Display<'_>>> {
        self.path.as_deref().map(|path| tracing::field::display(path.display()))
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// All sinks of one log. Each gets every batch, in order and whole.
pub(crate) struct Sinks(Vec<Sink>);

impl Sinks {
    pub(crate) fn open(targets: Vec<Target>) -> Result<Self, OpenError> {
        targets.into_iter().map(Sink::open).collect::<Result<_, _>>().map(Self)
    }

    /// Opens the files anew if that was asked for.
    pub(crate) fn reopen_if_asked(&mut self, life: &Life, batch: &[u8]) {
        if life.takes_reopen() {
            self.0.iter_mut().for_each(|sink| sink.reopen(batch));
        }
    }

    /// Writes the batch into every sink, trying again until it works or there is no time left.
    /// False if a part of it is lost.
    pub(crate) fn write(&mut self, batch: &[u8], life: &Life) -> bool {
        self.0.iter_mut().for_each(|sink| sink.done = 0);
        loop {
            self.reopen_if_asked(life, batch);
            let unfinished =
                self.0.iter_mut().filter_map(|sink| (!sink.write(batch)).then_some(()));
            if unfinished.count() == 0 {
                return true;
            }
            if life.is_overdue() {
                return false;
            }
            thread::park_timeout(RETRY);
        }
    }
}
