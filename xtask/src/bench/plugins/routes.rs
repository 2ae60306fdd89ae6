//! Processor time of the gateway itself: two routes for each entry, one with the plugin and one
//! without it, asked in turn.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::BytesMut;
use serde_json::{Value, json};

use super::super::exchange::{Request, exchange, open};
use super::super::load::{Mode, Spec};
use super::super::process::Pinned;
use super::super::proxies::{LOAD_CORE, PROXY_CORE, build_gateway, free_address, wait_until_open};
use super::super::report::median;
use super::super::{Running, per_request};
use super::{Asked, FOLDER, List, Listed, PluginOptions, Side, find, output};
use crate::costs::Cost;

/// Connections that requests come over.
const CONNECTIONS: usize = 16;

impl Asked {
    fn request(&self) -> Request {
        let headers = self.headers.iter().filter(|(name, _)| *name != "host");
        Request {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
            body: 0,
            content: self.body.clone(),
        }
    }
}

/// Measures each entry.
pub(super) async fn measure(
    program: &Path,
    options: &PluginOptions,
    costs: &mut [Cost],
) -> Result<()> {
    println!("measuring the gateway");
    let gateway = build_gateway()?;
    let folder = std::path::absolute(FOLDER)?;
    let (upstream, sink) = (free_address()?, free_address()?);
    let server = upstream.to_string();
    let ports = [upstream.port().to_string(), sink.port().to_string()];
    let words = ["upstream", "--port", &ports[0], "--sink", &ports[1]];
    let log = folder.join("upstream.log");
    let _upstream = Pinned::start(LOAD_CORE, &std::env::current_exe()?, &words, &log)?;
    let list = output(program, &["list", FOLDER, &server, &ports[1]])?;
    let list: List = serde_json::from_str(&list)?;

    let address = free_address()?;
    let configuration = folder.join("bartizan.yaml");
    // JSON is YAML.
    fs::write(&configuration, configure(&list, &folder, address, upstream)?.to_string())?;
    let log = folder.join("bartizan.log");
    let words = ["run", "-c", &configuration.to_string_lossy()];
    let mut process = Pinned::start(PROXY_CORE, &gateway, &words, &log)?;
    let start = wait_until_open(&mut process, address).await;
    start.with_context(|| format!("the gateway does not start; see {}", log.display()))?;
    for entry in list.entries.iter().filter(|entry| options.wants(&entry.name)) {
        let rounds = pairs(entry, options, address, &process).await;
        let rounds = rounds.with_context(|| format!("`{}`", entry.name))?;
        let middle = median(&rounds);
        println!("{}: {middle:.2} µs: {rounds:.2?}", entry.name);
        find(costs, &entry.name)?.gateway_us = Some(middle);
    }
    Ok(())
}

/// The differences of the pairs, in microseconds for each request.
async fn pairs(
    entry: &Listed,
    options: &PluginOptions,
    address: SocketAddr,
    process: &Pinned,
) -> Result<Vec<f64>> {
    for side in [&entry.without, &entry.with] {
        let request = side.request.request();
        let mut stream = open(address, None, None).await?;
        let answer = exchange(&mut *stream, &mut BytesMut::new(), &request.to_bytes(true)).await?;
        anyhow::ensure!(answer.status == 200, "{} answers {}", request.path, answer.status);
    }
    let spent = |side: &Side| -> Result<f64> {
        let spec = Spec {
            target: address,
            authority: None,
            clients: Vec::new(),
            mode: Mode::KeepAlive,
            connections: CONNECTIONS,
            count: options.requests,
            requests: vec![side.request.request()],
            length: None,
        };
        let before: Duration = process.cpu()?;
        Running::start(&spec)?.finish()?;
        Ok(per_request(process.cpu()?.saturating_sub(before), spec.count))
    };
    let mut rounds = Vec::new();
    // One more than is kept: the first warms everything up.
    for round in 0..=options.rounds {
        // Whoever comes second has the warmer caches: they take turns.
        let more = if round % 2 == 0 {
            let without = spent(&entry.without)?;
            spent(&entry.with)? - without
        } else {
            let with = spent(&entry.with)?;
            with - spent(&entry.without)?
        };
        if round > 0 {
            rounds.push(more);
        }
    }
    Ok(rounds)
}

fn configure(
    list: &List,
    folder: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<Value> {
    let route = |(number, side): (usize, (&str, &Side))| {
        let (letter, side) = side;
        json!({
            "id": format!("{letter}-{number:02}"),
            "uri": format!("/{letter}/{number:02}/*"),
            "upstream_id": "origin",
            "plugins": side.plugins,
        })
    };
    let with = list.entries.iter().map(|entry| ("p", &entry.with)).enumerate().map(route);
    let without = list.entries.iter().map(|entry| ("q", &entry.without)).enumerate().map(route);
    let routes: Vec<Value> = with.chain(without).collect();
    let nodes = json!({(upstream.to_string()): 1});
    Ok(json!({
        "listeners": [{"address": address.to_string()}],
        "workers": 1,
        "status": {"address": free_address()?.to_string()},
        "audit": {"sinks": [{"file": {"path": folder.join("audit.jsonl")}}]},
        // A route with one plugin alone, whatever else a route must have.
        "security": {"require": [], "danger_allow_unauthenticated_routes": true},
        "resources": {
            "upstreams": [{"id": "origin", "nodes": nodes}],
            "consumers": [list.consumer],
            "routes": routes,
        },
    }))
}
