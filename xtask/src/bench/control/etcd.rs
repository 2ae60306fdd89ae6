//! An etcd of the run's own, filled and changed through its JSON gateway.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bench::process::Pinned;
use crate::bench::proxies::{LOAD_CORE, free_address};
use crate::tools::{self, Program};

/// Most changes of one transaction.
const BATCH: usize = 128;
/// Time until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that ends with the run.
pub(super) struct EtcdServer {
    client: SocketAddr,
    _process: Pinned,
}

impl EtcdServer {
    /// An empty server.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        tools::require(&[Program { name: "etcd", package: "etcd-server" }])?;
        let program = tools::locate("etcd").context("etcd is not there")?;
        let data = folder.join("etcd");
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let (client, peer) = (free_address()?, free_address()?);
        let (url, peer) = (format!("http://{client}"), format!("http://{peer}"));
        let (data, first) = (data.display().to_string(), format!("default={peer}"));
        let words = [
            "--data-dir",
            &data,
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &first,
            "--unsafe-no-fsync",
        ];
        let process = Pinned::start(LOAD_CORE, &program, &words, &folder.join("etcd.log"))?;
        let this = Self { client, _process: process };
        let start = Instant::now();
        while this.post("/v3/maintenance/status", &json!({})).is_err() {
            if start.elapsed() > PATIENCE {
                bail!("etcd does not answer");
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(this)
    }

    /// The endpoint.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.client)
    }

    /// Writes an object.
    pub(super) fn put(&self, key: &str, value: &Value) -> Result<()> {
        self.post("/v3/kv/put", &pair(key, value)).map(drop)
    }

    /// Writes many objects.
    pub(super) fn put_all(&self, objects: &[(String, Value)]) -> Result<()> {
        for batch in objects.chunks(BATCH) {
            let puts: Vec<Value> = batch
                .iter()
                .map(|(key, value)| json!({ "request_put": pair(key, value) }))
                .collect();
            self.post("/v3/kv/txn", &json!({ "success": puts }))?;
        }
        Ok(())
    }

    fn post(&self, path: &str, body: &Value) -> Result<String> {
        let mut stream = TcpStream::connect(self.client)?;
        let body = body.to_string();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + &body).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { bail!("etcd: {answer}") }
    }
}

fn pair(key: &str, value: &Value) -> Value {
    let encode = |text: &str| STANDARD.encode(text);
    json!({ "key": encode(&format!("/apisix/{key}")), "value": encode(&value.to_string()) })
}
