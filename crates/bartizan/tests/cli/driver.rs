//! A folder of one's own, the binary in it, and what came of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A folder that the binary runs in.
pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let bench = Self::new();
        for (name, text) in files {
            bench.write(name, text);
        }
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces a piece of text that must be there.
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, &text.replace(from, to));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Runs it to its end.
    pub(crate) fn bartizan(&self, arguments: &[&str]) -> Ended {
        Self::ended(self.command(arguments).output().unwrap())
    }

    /// Runs it to its end with a text on its standard input.
    pub(crate) fn bartizan_reads(&self, arguments: &[&str], input: &str) -> Ended {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Self::ended(child.wait_with_output().unwrap())
    }

    fn ended(output: Output) -> Ended {
        Ended {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same as another user, which only root can.
    pub(crate) fn command_as(&self, user: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={user}"), format!("--regid={user}")]);
        command.arg("--clear-groups").arg(env!("CARGO_BIN_EXE_bartizan")).args(arguments);
        command.current_dir(self.folder.path());
        command
    }

    /// Starts it, and waits until it serves.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Serving {
        Self::serving(self.command(arguments))
    }

    /// Starts a command that serves, and waits until it does.
    pub(crate) fn serving(mut command: Command) -> Serving {
        command.arg("--log-format=json").arg("--log-level=info");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut serving = Serving {
            child,
            log,
            listeners: Vec::new(),
            status: None,
            admin: None,
            is_stopped: false,
        };
        let started = serving.log_line("serving");
        let listeners = started["listeners"].as_str().unwrap();
        serving.listeners = listeners.split(", ").map(|text| text.parse().unwrap()).collect();
        serving.status = started["status"].as_str().map(|text| text.parse().unwrap());
        serving.admin = started["admin"].as_str().map(|text| text.parse().unwrap());
        serving
    }
}

/// A run that is over.
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Standard output of a success.
    #[track_caller]
    pub(crate) fn succeeds(self) -> String {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.stdout, self.stderr);
        self.stdout
    }

    /// Standard output of a check that found what it should not.
    #[track_caller]
    pub(crate) fn ends_unmet(self) -> String {
        assert_eq!(self.status.code(), Some(1), "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error of a failure.
    #[track_caller]
    pub(crate) fn fails_with(self, code: i32) -> String {
        assert_eq!(self.status.code(), Some(code), "{}\n{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// A node that serves; it is killed if the test forgets it.
pub(crate) struct Serving {
    child: Child,
    log: BufReader<ChildStderr>,
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) status: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    is_stopped: bool,
}

impl Serving {
    /// Waits for a message in the log.
    pub(crate) fn log_line(&mut self, message: &str) -> Value {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it ended:\n{seen}");
            seen.push_str(&line);
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            if entry["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return entry;
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.is_stopped = true;
        self.child.wait().unwrap()
    }

    /// A request over plaintext to the first listener.
    pub(crate) fn get(&self, path: &str, fields: &str) -> String {
        exchange(self.listeners[0], path, fields)
    }

    /// A page of the status listener.
    pub(crate) fn status_page(&self, path: &str) -> String {
        exchange(self.status.unwrap(), path, "")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if !self.is_stopped {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// One request and everything that comes back.
pub(crate) fn exchange(address: SocketAddr, path: &str, fields: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The permission bits of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
