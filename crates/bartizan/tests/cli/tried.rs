//! A node with an Admin API that is asked with curl, and what is stored and told by then.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::driver::{Bench, Serving};

/// A node whose Admin API is this.
pub(crate) fn node(admin: &str) -> String {
    format!(
        "\
listeners: [{{ address: \"127.0.0.1:0\" }}]
admin: {{ listen: \"127.0.0.1:0\", keys: keys, socket: sock{admin} }}
store: {{ embedded: {{ path: store }} }}
audit: {{ sinks: [{{ file: {{ path: audit.jsonl }} }}] }}
"
    )
}

/// A node with an Admin API, and keys for it.
pub(crate) struct Tried {
    pub(crate) bench: Bench,
    pub(crate) serving: Serving,
    pub(crate) root: String,
}

/// What curl was answered.
pub(crate) struct Heard {
    /// 0 where there was no answer.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Heard {
    /// The value of a field, if there is one.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value.trim_end())
        })
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Runs curl with a body on its standard input.
pub(crate) fn curl(arguments: &[&str], body: &str) -> Heard {
    let mut command = Command::new("curl");
    command.args(["-sS", "-i", "--globoff", "--path-as-is", "--noproxy", "*", "-H", "Expect:"]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let body = body.to_owned();
    // The answer may come before the body is read.
    let writer = std::thread::spawn(move || input.write_all(body.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Heard { status, head: head.to_owned(), body: body.to_owned() }
}

impl Tried {
    pub(crate) fn new() -> Self {
        Self::of(Bench::with(&[("bartizan.yaml", &node(""))]))
    }

    /// A node in a folder that is prepared.
    pub(crate) fn of(bench: Bench) -> Self {
        let serving = bench.serve(&["run"]);
        let mut tried = Self { bench, serving, root: String::new() };
        tried.root = tried.key("root", &["--role", "admin"]);
        tried
    }

    /// Makes a key.
    pub(crate) fn key(&self, name: &str, rights: &[&str]) -> String {
        let usual = ["admin", "key", "create", "--name", name, "--expires", "1d"];
        let key = self.bench.bartizan(&[&usual[..], rights].concat()).succeeds();
        key.trim_end().to_owned()
    }

    /// A call with fields and a body, as it is written.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[&str],
        body: Option<&str>,
    ) -> Heard {
        let url = format!("http://{}{path}", self.serving.admin.unwrap());
        let mut arguments = vec!["-X", method, &url];
        for field in fields {
            arguments.extend(["-H", field]);
        }
        if body.is_some() {
            arguments.extend(["-H", "Content-Type: application/json", "--data-binary", "@-"]);
        }
        curl(&arguments, body.unwrap_or_default())
    }

    /// Status and body of a call.
    pub(crate) fn call(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, String) {
        let key = format!("X-API-KEY: {key}");
        let body = body.map(Value::to_string);
        // Documents of the whole configuration need a digest; nothing else looks at it.
        let heard = self.send(method, path, &[&key, "X-Digest: attempt"], body.as_deref());
        assert_ne!(heard.status, 0, "{method} {path}: no answer");
        (heard.status, heard.body)
    }

    /// Makes an object as one who may.
    pub(crate) fn put(&self, path: &str, object: &Value) {
        let (status, body) = self.call(&self.root, "PUT", path, Some(object));
        assert!(matches!(status, 200 | 201), "{path}: {status} {body}");
    }

    /// Everything that is stored, with its revisions.
    pub(crate) fn stored(&self) -> String {
        self.call(&self.root, "GET", "/apisix/admin/configs", None).1
    }

    /// The events once there are enough of them: they are written a moment after the answer.
    pub(crate) fn events(&self, is_enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        for _ in 0..1_000 {
            let log = self.bench.read("audit.jsonl");
            let whole = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            events = whole.map(|line| serde_json::from_str(line).unwrap()).collect();
            if is_enough(&events) {
                break;
            }
            let _ = self.call(&self.root, "GET", "/bartizan/v1/status", None);
        }
        events
    }

    /// Whether it is told that somebody was kept from one of the node's own listeners.
    pub(crate) fn tells_of_own_listener(&self) -> bool {
        let is_told = |event: &Value| {
            event["detail"].as_str().is_some_and(|text| text.contains("a listener of this gateway"))
        };
        self.events(|events| events.iter().any(is_told)).iter().any(is_told)
    }

    /// How often something was forbidden to anybody, once it was that often, and the details that
    /// are told: of more than ten in a second there is only their number.
    pub(crate) fn forbidden(&self, expected: usize) -> (usize, Vec<String>) {
        let count = |events: &[Value]| -> usize {
            let own = events.iter().filter(|event| event["reason"] == "admin.forbidden");
            own.map(|event| event["count"].as_u64().map_or(1, |n| n.try_into().unwrap())).sum()
        };
        let events = self.events(|events| count(events) >= expected);
        let own = events.iter().filter(|event| event["reason"] == "admin.forbidden");
        let details = own.filter_map(|event| Some(event["detail"].as_str()?.to_owned())).collect();
        (count(&events), details)
    }
}

/// A route that asks for a key, with this upstream.
pub(crate) fn keyed(uri: &str) -> Value {
    json!({
        "uri": uri,
        "plugins": { "key-auth": {}, "any-authenticated": { "reason": "a test" } },
        "upstream": { "nodes": { "127.0.0.1:1": 1 } },
    })
}
