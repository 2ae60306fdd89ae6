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

    /// Everything that is stored.
    pub(crate) fn stored(&self) -> Vec<String> {
        let kinds = [
            "routes",
            "services",
            "upstreams",
            "consumers",
            "consumer_groups",
            "plugin_configs",
            "global_rules",
            "plugin_metadata",
            "ssls",
            "secrets",
            "protos",
            "configs",
        ];
        let read = |kind| self.call(&self.root, "GET", &format!("/apisix/admin/{kind}"), None).1;
        kinds.into_iter().map(read).collect()
    }

    /// The events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        let log = self.bench.read("audit.jsonl");
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The details of what was forbidden, of one operator.
    pub(crate) fn forbidden(&self, operator: &str) -> Vec<String> {
        let events = self.events().into_iter();
        events
            .filter(|event| event["reason"] == "admin.forbidden" && event["operator"] == operator)
            .map(|event| event["detail"].as_str().unwrap().to_owned())
            .collect()
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
