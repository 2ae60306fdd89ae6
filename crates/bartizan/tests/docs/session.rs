//! A shell in a folder of its own, the programs it left running, and where they listen.

use std::io::{BufRead, BufReader, PipeReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take. It takes milliseconds, unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Where the documents say that the gateway and its status page listen.
const GATEWAY: &str = "127.0.0.1:9080";
const STATUS: &str = "127.0.0.1:9091";
/// The files that a gateway watches.
const WATCHED: [&str; 2] = ["bartizan.yaml", "resources.yaml"];
/// The end of every node file.
const ONE_WORKER: &str = "\nworkers: 1\n";
/// Any free port.
const ANYWHERE: &str = "127.0.0.1:0";

/// What stands behind the output of each command.
const MARK: &str = "end of the command:";

/// How the documents start the binary, and what they build it with.
const RUN: &str = "cargo run --release -- ";

/// A shell that goes on from command to command.
pub(crate) struct Session {
    folder: TempDir,
    shell: Child,
    input: ChildStdin,
    output: BufReader<PipeReader>,
    /// The files as the document has them.
    files: Vec<(String, String)>,
    /// The address in the document, and the one that is used.
    addresses: Vec<(String, String)>,
    /// Logs of the programs that were left running.
    logs: Vec<PathBuf>,
    /// The log of the gateway, if one runs.
    gateway: Option<PathBuf>,
}

impl Session {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_bartizan")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        std::fs::write(folder.path().join(".curlrc"), "noproxy = \"*\"\nmax-time = 30\n").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut shell = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(folder.path())
            .env("PATH", path)
            .env("HOME", folder.path())
            .env("CURL_HOME", folder.path())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            // What it leaves running ends with it.
            .process_group(0)
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        let output = BufReader::new(reader);
        let (files, addresses, logs) = (Vec::new(), Vec::new(), Vec::new());
        Self { folder, shell, input, output, files, addresses, logs, gateway: None }
    }

    /// Writes a file; if a running gateway watches it, waits until it has been read.
    pub(crate) fn write(&mut self, name: &str, text: &str) {
        self.files.retain(|(known, _)| known != name);
        self.files.push((name.to_owned(), text.to_owned()));
        let told = self.told();
        self.lay(name, text);
        if WATCHED.contains(&file_name(name)) {
            self.wait_for_reading(told);
        }
    }

    /// How many changes the gateway has told of.
    fn told(&self) -> usize {
        self.gateway.as_deref().map_or(0, reloads)
    }

    /// Waits until the gateway, if one runs, has told of one change more.
    fn wait_for_reading(&self, told: usize) {
        if let Some(log) = &self.gateway {
            wait_for("the change is read", || (reloads(log) > told).then_some(()));
        }
    }

    /// The resources that there are in the folder and the ones in it.
    fn resources(&self) -> Vec<(PathBuf, String)> {
        let read = |path: PathBuf| std::fs::read_to_string(&path).ok().map(|text| (path, text));
        self.folders()
            .into_iter()
            .filter_map(|folder| read(folder.join("resources.yaml")))
            .collect()
    }

    /// The folder and the ones in it.
    fn folders(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let inner = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        inner.chain([self.folder.path().to_owned()]).collect()
    }

    /// Puts the node files that a command wrote in the place of those that the document would have.
    fn adopt_node_files(&self) {
        for folder in self.folders() {
            let path = folder.join("bartizan.yaml");
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if text.contains(GATEWAY) {
                let text = text.replace(GATEWAY, ANYWHERE).replace(STATUS, ANYWHERE);
                std::fs::write(path, text + ONE_WORKER).unwrap();
            }
        }
    }

    /// Puts a file into the folder: the gateway listens where it likes, all else is where it is.
    /// It has one event loop: two may tell of two requests in another order than they came.
    fn lay(&self, name: &str, text: &str) {
        let mut text = text.replace(GATEWAY, ANYWHERE).replace(STATUS, ANYWHERE);
        if file_name(name) == "bartizan.yaml" {
            text.push_str(ONE_WORKER);
        }
        std::fs::write(self.folder.path().join(name), self.real(&text)).unwrap();
    }

    /// Runs a command and gives what it printed, with the addresses of the document.
    ///
    /// Panics if it fails.
    pub(crate) fn run(&mut self, command: &str) -> String {
        if let Some(program) = command.strip_suffix(" &") {
            return self.leave_running(program);
        }
        let (resources, told) = (self.resources(), self.told());
        let printed = self.run_through(command);
        if command.starts_with("bartizan init ") {
            self.adopt_node_files();
        } else if self.resources() != resources {
            self.wait_for_reading(told);
        }
        printed
    }

    fn run_through(&mut self, command: &str) -> String {
        let command = self.real(command).replace(RUN, "bartizan ");
        writeln!(self.input, "{command}\nprintf '\\n{MARK}%d\\n' $?").unwrap();
        let mut printed = String::new();
        loop {
            let mut line = Vec::new();
            assert_ne!(self.output.read_until(b'\n', &mut line).unwrap(), 0, "the shell ended");
            let line = String::from_utf8_lossy(&line);
            if let Some(code) = line.strip_prefix(MARK) {
                assert_eq!(code.trim(), "0", "`{command}` failed:\n{printed}");
                // The line end before the mark is not the command's.
                printed.pop();
                return self.written(&printed);
            }
            printed.push_str(&line);
        }
    }

    fn leave_running(&mut self, program: &str) -> String {
        let log = self.folder.path().join(format!(".program-{}.log", self.logs.len()));
        let stated = stated_address(&format!("{program} "));
        let command = match &stated {
            Some(address) => program.replace(address.as_str(), ANYWHERE),
            None => program.to_owned(),
        };
        std::fs::write(&log, "").unwrap();
        self.run_through(&format!("{command} >{} 2>&1 &", log.display()));
        match stated {
            Some(address) => {
                let real = wait_for("it says where it listens", || {
                    stated_address(&std::fs::read_to_string(&log).unwrap())
                });
                self.know(&address, &real);
                // What was written before may name it.
                for (name, text) in self.files.iter().filter(|(_, text)| text.contains(&address)) {
                    self.lay(name, text);
                }
            }
            None => self.learn_from_gateway(&log),
        }
        self.logs.push(log);
        String::new()
    }

    fn learn_from_gateway(&mut self, log: &Path) {
        let served = wait_for("the gateway serves", || {
            let told = entries(log).into_iter().find(|entry| entry["message"] == "serving");
            let text = std::fs::read_to_string(log).unwrap();
            assert!(told.is_some() || !text.contains("error"), "{text}");
            told
        });
        self.know(GATEWAY, served["listeners"].as_str().unwrap());
        if let Some(status) = served["status"].as_str() {
            self.know(STATUS, status);
        }
        self.gateway = Some(log.to_owned());
    }

    fn know(&mut self, written: &str, real: &str) {
        self.addresses.retain(|(known, _)| known != written);
        self.addresses.push((written.to_owned(), real.to_owned()));
    }

    /// A text of the document with the addresses that are used.
    fn real(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (written, real) in &self.addresses {
            text = text.replace(written, real);
        }
        text
    }

    /// What was printed with the addresses of the document.
    fn written(&self, text: &str) -> String {
        let folder = self.folder.path().to_string_lossy();
        let mut text = text.replace(&*folder, "…");
        for (written, real) in &self.addresses {
            text = text.replace(real, written);
        }
        text
    }

    /// What the programs said that were left running, for who looks for a mistake.
    pub(crate) fn logs(&self) -> String {
        self.logs.iter().map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _ = self.shell.wait();
    }
}

/// The first address in a text.
fn stated_address(text: &str) -> Option<String> {
    let at = text.find("127.0.0.1:")?;
    let is_part = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
    let end = text[at..].find(|c| !is_part(c)).unwrap_or(text.len() - at);
    // A line that is still being written may lack digits.
    text[at + end..].contains(|c: char| c.is_whitespace()).then_some(())?;
    Some(text[at..at + end].to_owned())
}

/// The name of a file, without its folder.
fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The lines of a gateway's log.
fn entries(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// How many changes a gateway has taken or refused.
fn reloads(log: &Path) -> usize {
    let told = |entry: &Value| {
        let message = entry["message"].as_str().unwrap_or_default().to_owned();
        message.starts_with("reloaded") || message.starts_with("the change is refused")
    };
    entries(log).iter().filter(|entry| told(entry)).count()
}

/// Waits until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
