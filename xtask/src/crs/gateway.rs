//! Tests run against a gateway as it is shipped: rules in `mode: detect`, requests over a socket,
//! and what matched from the log of `waf`, found by the id that the answer carries.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::backend;
use super::cases::{Case, Stage};
use super::direct::Outcome;
use super::log_line;

/// Requests that are under way at a time.
const LANES: usize = 16;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_MAX: usize = 4 << 20;
/// What the last request holds, which every rule set finds.
const LAST: &[u8] =
    b"GET /?last=%27%20OR%20%271%27=%271%3Cscript%3E HTTP/1.1\r\nHost: last.test\r\n\
    User-Agent: last\r\nAccept: */*\r\nConnection: close\r\n\r\n";

/// A gateway under test, ended when this is dropped.
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

/// What came back for a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    status: Option<u16>,
    id: Option<String>,
    /// Why the gateway refused it, if it did.
    pub(crate) refusal: Option<String>,
}

impl Reply {
    /// True if there is an answer at all.
    pub(crate) fn is_there(&self) -> bool {
        self.status.is_some()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It has no state that is worth an orderly end.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Gateway {
    /// Starts `program` with the rules of `text`.
    pub(super) fn start(program: &Path, text: &str) -> Result<Self> {
        Self::serve(program, text, &resources(backend::start()?))
    }

    /// Starts `program` with the rules of `text` in `all.conf`, and these resources.
    pub(crate) fn serve(program: &Path, text: &str, resources: &str) -> Result<Self> {
        let folder = Setup::write(text, resources)?;
        let log = std::fs::File::create(folder.path.join("out.txt"))?;
        let mut command = Command::new(program);
        command.arg("run").arg("-c").arg(folder.path.join("bartizan.yaml"));
        let command = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child =
            command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let Setup { address, path } = folder;
        let mut gateway = Self { child, address, folder: path };
        gateway.wait_for_it()?;
        Ok(gateway)
    }

    /// What `program` says of such a configuration.
    pub(crate) fn faults(program: &Path, text: &str, resources: &str) -> Result<String> {
        let folder = Setup::write(text, resources)?;
        let mut command = Command::new(program);
        command.arg("check").arg("-c").arg(folder.path.join("bartizan.yaml"));
        let output = command.output();
        std::fs::remove_dir_all(&folder.path)?;
        let output = output.with_context(|| format!("cannot start {}", program.display()))?;
        if output.status.success() {
            return Ok(String::new());
        }
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn wait_for_it(&mut self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if self.child.try_wait()?.is_some() {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(50));
        }
        let told = std::fs::read_to_string(self.folder.join("out.txt")).unwrap_or_default();
        bail!("the gateway does not serve: {told}")
    }

    /// Sends every stage of every case; what came of each, in the same order.
    pub(super) fn run(&self, cases: &[&Case]) -> Result<Vec<Vec<(Reply, Outcome)>>> {
        let next = AtomicUsize::new(0);
        let lane = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(case) = cases.get(index) else { return done };
                let replies: Vec<Reply> =
                    case.stages.iter().map(|stage| self.exchange(&stage.request)).collect();
                done.push((index, replies));
            }
        };
        let mut replies = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
            let ended = lanes.into_iter().map(|lane| {
                // A lane that broke off would leave its cases to be taken for others.
                lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            ended.flatten().collect::<Vec<_>>()
        });
        replies.sort_by_key(|(index, _)| *index);
        let log = self.log()?;
        let told = |reply: Reply| {
            let found = reply.id.as_ref().and_then(|id| log.get(id)).cloned().unwrap_or_default();
            let outcome = Outcome { ids: found.0, log: found.1, status: reply.status };
            (reply, outcome)
        };
        Ok(replies.into_iter().map(|(_, all)| all.into_iter().map(told).collect()).collect())
    }

    /// The log by request, once everything is in it: it is written in order, and the last request
    /// is sent when all others have their answer.
    fn log(&self) -> Result<HashMap<String, (Vec<u32>, String)>> {
        let last = self.exchange(LAST).id.context("the last request got no answer")?;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(20) {
            let text = std::fs::read_to_string(self.folder.join("waf.jsonl")).unwrap_or_default();
            let entries: HashMap<_, _> = text.lines().filter_map(entry).collect();
            if entries.contains_key(&last) {
                return Ok(entries);
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
        bail!("the log of the rules does not come")
    }

    /// Sends a request; what comes back.
    pub(crate) fn exchange(&self, request: &[u8]) -> Reply {
        let mut bytes = Vec::new();
        // Whatever ends the connection: what was said before counts.
        let _ = self.bytes(request, &mut bytes);
        parse(&bytes)
    }

    fn bytes(&self, request: &[u8], bytes: &mut Vec<u8>) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut part = [0; 16 << 10];
        while !is_complete(bytes) && bytes.len() < ANSWER_MAX {
            let count = stream.read(&mut part)?;
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(part.get(..count).unwrap_or_default());
        }
        Ok(())
    }
}

/// The files of a gateway, and where it is to listen.
struct Setup {
    path: PathBuf,
    address: SocketAddr,
}

impl Setup {
    fn write(text: &str, resources: &str) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("bartizan-crs-{process}-{number}"));
        std::fs::create_dir_all(&path)?;
        // Free until the gateway takes it.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        std::fs::write(path.join("all.conf"), text)?;
        std::fs::write(path.join("resources.yaml"), resources)?;
        let node = format!(
            "listeners: [{{address: \"{address}\"}}]\nstore: {{file: {{path: resources.yaml}}}}\n\
             audit: {{sinks: [{{file: {{path: audit.jsonl}}}}]}}\n"
        );
        std::fs::write(path.join("bartizan.yaml"), node)?;
        Ok(Self { path, address })
    }
}

fn resources(upstream: u16) -> String {
    format!(
        "plugin_metadata:
  - id: waf
    rule_sets: {{crs: {{files: [all.conf]}}}}
    log: waf.jsonl
routes:
  - id: all
    uri: /*
    upstream: {{nodes: {{\"127.0.0.1:{upstream}\": 1}}}}
    plugins:
      anonymous-access: {{reason: the regression tests of a rule set}}
      request-id: {{}}
      waf: {{rule_set: crs, mode: detect, paranoia_level: 4}}
"
    )
}

/// The id of a line of the log, with the rules that matched, also as an error log would show them.
fn entry(line: &str) -> Option<(String, (Vec<u32>, String))> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let exchange = &entry["transaction"];
    let (mut ids, mut log) = (Vec::new(), String::new());
    for message in exchange["messages"].as_array()? {
        let details = &message["details"];
        let id = details["ruleId"].as_str()?;
        ids.push(id.parse().ok()?);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        log.push_str(&log_line(id, &text(&message["message"]), &text(&details["data"])));
    }
    Some((exchange["unique_id"].as_str()?.to_owned(), (ids, log)))
}

fn head(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(bytes.get(..end)?).into_owned();
    Some((head, bytes.get(end + 4..).unwrap_or_default()))
}

fn field(head: &str, wanted: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
    })
}

/// An answer with an id is enough without its body; a refusal tells the reason in it.
fn is_complete(bytes: &[u8]) -> bool {
    head(bytes).is_some_and(|(head, body)| {
        let length = field(&head, "content-length").and_then(|length| length.parse().ok());
        length.is_some_and(|length: usize| body.len() >= length)
            || body.ends_with(b"0\r\n\r\n")
            || head.starts_with("HTTP/1.1 204")
            || head.starts_with("HTTP/1.1 304")
    })
}

fn parse(bytes: &[u8]) -> Reply {
    let Some((head, body)) = head(bytes) else { return Reply::default() };
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let problem = field(&head, "content-type").is_some_and(|kind| kind.contains("problem+json"));
    let problem: Option<Value> = problem.then(|| serde_json::from_slice(body).ok()).flatten();
    let text = |name: &str| Some(problem.as_ref()?[name].as_str()?.to_owned());
    let id = text("request_id").or_else(|| field(&head, "x-request-id"));
    Reply { status, id, refusal: text("code") }
}

/// How a stage that the gateway refused before any rule ran is counted: nothing where a refusal was
/// expected, else the reason.
pub(super) fn refused(stage: &Stage, reply: &Reply) -> Option<Result<(), String>> {
    let expected = &stage.expected;
    if reply.status.is_none() {
        return Some(if expected.fails { Ok(()) } else { Err("no answer".to_owned()) });
    }
    let code = reply.refusal.as_ref()?;
    let is_ours = !code.starts_with("upstream.");
    let is_expected = is_ours
        && (expected.fails
            || reply.status.is_some_and(|status| expected.statuses.contains(&status)));
    Some(if is_expected { Ok(()) } else { Err(code.clone()) })
}
