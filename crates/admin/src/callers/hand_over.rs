//! Giving a new key to whoever needs it: into a file, to a command, or to where secrets are kept.

use std::env::var_os;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Secret;
use tokio::time::{sleep, timeout};

use crate::plane::Later;

/// Time for a command, and for who keeps keys elsewhere.
pub const COMMAND_TIME: Duration = Duration::from_secs(30);
/// How often the node looks whether it ended.
const LOOK: Duration = Duration::from_millis(20);

/// Where a new key goes.
#[derive(Clone, Debug)]
pub enum Recipient {
    /// A file, which is replaced whole and is readable by its owner alone.
    File(PathBuf),
    /// A program with its arguments, which reads the key from its standard input. Only if it ends
    /// with 0 does it have the key.
    Command(Vec<String>),
    /// Who keeps it elsewhere.
    Keeper(Arc<dyn Keeper>),
}

/// Who keeps keys somewhere else, such as in Vault.
pub trait Keeper: fmt::Debug + Send + Sync {
    /// Keeps a key in the place of the one before it, or says where and why not.
    fn keep<'a>(&'a self, key: &'a Secret) -> Later<'a, Result<(), String>>;
}

/// Why a key did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    /// The file cannot be replaced.
    #[error("the file `{0}` cannot be replaced: {1}")]
    File(PathBuf, io::Error),
    /// The command cannot be started, or not be told the key.
    #[error("the command `{0}` cannot be run: {1}")]
    Start(String, io::Error),
    /// The command says no.
    #[error("the command `{0}` ended with {1}")]
    Refused(String, std::process::ExitStatus),
    /// The command takes too long; it was ended.
    #[error("the command `{0}` took longer than {COMMAND_TIME:?}")]
    Slow(String),
    /// Who keeps it does not.
    #[error("{0}")]
    Unkept(String),
    /// Who keeps it takes too long.
    #[error("keeping it elsewhere took longer than {COMMAND_TIME:?}")]
    Late,
}

impl Recipient {
    /// Gives it the key; to a file or a command as one line.
    pub(super) async fn take(&self, key: &Secret) -> Result<(), NotTaken> {
        let line = Secret::new([key.expose(), b"\n"].concat());
        match self {
            Self::File(path) => {
                let (path, named) = (path.clone(), path.clone());
                let written = tokio::task::spawn_blocking(move || replace(&path, &line)).await;
                let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
                written.map_err(|cause| NotTaken::File(named, cause))
            }
            Self::Command(words) => run(words, &line).await,
            Self::Keeper(keeper) => match timeout(COMMAND_TIME, keeper.keep(key)).await {
                Ok(kept) => kept.map_err(NotTaken::Unkept),
                Err(_) => Err(NotTaken::Late),
            },
        }
    }
}

/// Replaces a file whole: whoever reads it has the old key or the new one.
fn replace(path: &Path, line: &Secret) -> io::Result<()> {
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    match fs::remove_file(&new) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(line.expose())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Runs a command, without a shell, and tells it the key.
async fn run(words: &[String], line: &Secret) -> Result<(), NotTaken> {
    let (program, arguments) = words.split_first().map_or(("", words), |(p, rest)| (p, rest));
    let named = || program.to_owned();
    let mut command = Command::new(program);
    // What the node keeps in its environment is none of the command's business.
    command.env_clear();
    command.envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, var_os(name)?))));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|cause| NotTaken::Start(named(), cause))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A line has room in the pipe. A command that does not read it says by its exit code
        // whether it has the key.
        let _ = stdin.write_all(line.expose());
    }
    let ended = async {
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => sleep(LOOK).await,
                Err(cause) => return Err(cause),
            }
        }
    };
    match timeout(COMMAND_TIME, ended).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(NotTaken::Refused(named(), status)),
        Ok(Err(cause)) => Err(NotTaken::Start(named(), cause)),
        Err(_) => {
            // One that is gone meanwhile cannot be ended, and need not be.
            let _ = child.kill().and_then(|()| child.wait());
            Err(NotTaken::Slow(named()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_holds_the_last_key_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice.key");
        fs::write(folder.path().join(".alice.key.new"), "left there by a crash").unwrap();
        for key in ["first", "second"] {
            Recipient::File(path.clone()).take(&Secret::new(key)).await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{key}\n"));
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = Recipient::File(folder.path().join("no/such/folder"));
        let told = nowhere.take(&Secret::new("third")).await.unwrap_err().to_string();
        assert!(told.contains("cannot be replaced") && !told.contains("third"), "{told}");
    }

    #[tokio::test]
    async fn a_command_reads_the_key_and_says_whether_it_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("got").to_string_lossy().into_owned();
        let command = |words: &[&str]| {
            Recipient::Command(words.iter().map(|word| (*word).to_owned()).collect())
        };
        command(&["/usr/bin/tee", &path]).take(&Secret::new("first")).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
        // Words are words: there is no shell that would read them.
        let told = command(&["/bin/false", ";", "true"]).take(&Secret::new("k")).await;
        assert!(matches!(told, Err(NotTaken::Refused(..))), "{told:?}");
        let told = command(&["/no/such/program"]).take(&Secret::new("k")).await;
        assert!(matches!(told, Err(NotTaken::Start(..))), "{told:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_takes_too_long_is_ended() {
        let begun = tokio::time::Instant::now();
        let slow = Recipient::Command(["/bin/sleep", "600"].map(str::to_owned).to_vec());
        let told = slow.take(&Secret::new("k")).await;
        assert!(matches!(told, Err(NotTaken::Slow(_))), "{told:?}");
        let past = begun.elapsed();
        assert!(past >= COMMAND_TIME && past < COMMAND_TIME + LOOK, "{past:?}");
    }

    /// One who never says whether the key is kept.
    #[derive(Debug)]
    struct Silent;

    impl Keeper for Silent {
        fn keep<'a>(&'a self, _: &'a Secret) -> Later<'a, Result<(), String>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_it_elsewhere_has_as_long_as_a_command() {
        let begun = tokio::time::Instant::now();
        let told = Recipient::Keeper(Arc::new(Silent)).take(&Secret::new("k")).await;
        assert!(matches!(told, Err(NotTaken::Late)), "{told:?}");
        assert!(begun.elapsed() >= COMMAND_TIME && begun.elapsed() < 2 * COMMAND_TIME);
    }
}
