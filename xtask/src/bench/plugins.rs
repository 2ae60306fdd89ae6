//! `cargo xtask bench plugins`: what each plugin costs a request that it lets through.
//!
//! Three measurements of the entries in `bench/plugins.yaml`, and a comparison:
//!
//! 1. nanoseconds in process (`crates/plugins/benches/costs`), which the gate is held against;
//! 2. instructions of the same, counted by callgrind;
//! 3. processor time of the gateway itself, on a route with the plugin and on one without it;
//! 4. the secured route with a schema, against nginx with Lua.

mod counts;
mod routes;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cases::Case;
use super::{Options, RESULTS, proxies};
use crate::costs::{Cost, Costs, KEPT};

/// Where the measurements put their files.
const FOLDER: &str = "target/bench/costs";
/// Rounds of the comparison with nginx and Lua.
const COMPARED_ROUNDS: usize = 9;

/// Options of `bench plugins`.
#[derive(clap::Args)]
pub(crate) struct PluginOptions {
    /// Entries of `bench/plugins.yaml` to measure; all without it.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// What to do; everything without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Pairs of rounds through the gateway.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Requests of each of them.
    #[arg(long, default_value_t = 1_500)]
    requests: usize,
    /// Where to write the report; a full run writes `bench/results/<date>-plugins.md` and
    /// `bench/results/plugins.json` without it.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// One of the measurements.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Nanoseconds in process
    Time,
    /// Instructions under callgrind
    Count,
    /// Processor time of the gateway
    Gateway,
    /// The secured route with a schema, against nginx with Lua
    Lua,
}

impl PluginOptions {
    fn does(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Whether the run has every figure of every entry; the comparison is a figure of none.
    fn is_full(&self) -> bool {
        let needed = [Part::Time, Part::Count, Part::Gateway];
        self.only.is_empty() && needed.into_iter().all(|part| self.does(part))
    }
}

/// A line of the timing in process.
#[derive(Deserialize)]
struct Timed {
    name: String,
    ns: f64,
    low: f64,
    high: f64,
}

/// What the gateway is configured and asked with.
#[derive(Deserialize)]
struct List {
    consumer: Value,
    entries: Vec<Listed>,
}

/// One entry.
#[derive(Deserialize)]
struct Listed {
    name: String,
    beyond: Option<String>,
    answers: bool,
    with: Side,
    without: Side,
}

/// A route and the request to it.
#[derive(Deserialize)]
struct Side {
    plugins: Value,
    request: Asked,
}

/// A request as it is listed.
#[derive(Deserialize, Serialize)]
struct Asked {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

/// Runs the task.
pub(crate) fn run(options: &PluginOptions) -> Result<()> {
    fs::create_dir_all(FOLDER)?;
    let program = build("costs")?;
    let list: List =
        serde_json::from_str(&output(&program, &["list", FOLDER, "127.0.0.1:9", "9"])?)?;
    let mut costs: Vec<Cost> = list
        .entries
        .iter()
        .filter(|entry| options.wants(&entry.name))
        .map(|entry| Cost {
            name: entry.name.clone(),
            beyond: entry.beyond.clone(),
            answers: entry.answers,
            ..Cost::default()
        })
        .collect();
    ensure!(!costs.is_empty(), "no entry of `bench/plugins.yaml` has such a name");
    if options.does(Part::Time) {
        time(&program, options, &mut costs)?;
    }
    if options.does(Part::Count) {
        counts::count(&program, options, &mut costs)?;
    }
    if options.does(Part::Gateway) {
        super::runtime()?.block_on(routes::measure(&program, options, &mut costs))?;
    }
    let compared = if options.does(Part::Lua) { Some(compare()?) } else { None };
    let date = crate::conditions::today();
    let costs = Costs { date: date.clone(), conditions: conditions(options)?, entries: costs };
    let report = tables::report(&costs, compared.as_ref());
    println!("\n{report}");
    let usual = || options.is_full().then(|| Path::new(RESULTS).join(format!("{date}-plugins.md")));
    match options.out.clone().or_else(usual) {
        Some(path) => {
            fs::write(&path, &report)
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("written to {}", path.display());
        }
        None => println!("not kept: only a full run is, or one with --out"),
    }
    if options.is_full() {
        fs::write(KEPT, serde_json::to_string_pretty(&costs)? + "\n")?;
        println!("kept in {KEPT}; `cargo xtask generate` makes the page of it");
    }
    Ok(())
}

fn conditions(options: &PluginOptions) -> Result<Vec<String>> {
    let mut lines = crate::conditions::machine()?;
    lines.push("in process: one thread, 61 pairs of blocks, the median of the differences".into());
    lines.push(format!(
        "through the gateway: {} pairs of rounds of {} requests, interleaved, one worker on core 0",
        options.rounds, options.requests
    ));
    Ok(lines)
}

/// Builds a program that measures in process, as the gateway is shipped.
pub(super) fn build(name: &str) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--profile", "dist", "--package", "bartizan-plugins", "--bench", name]);
    let output = cargo.args(["--message-format", "json-render-diagnostics"]).output()?;
    if !output.status.success() {
        bail!("the benchmark does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    let messages = String::from_utf8(output.stdout)?;
    let made = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let path = made
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    path.context("cargo does not say where the benchmark is")
}

fn output(program: &Path, words: &[&str]) -> Result<String> {
    let output = Command::new(program).args(words).output().context("cannot start it")?;
    if !output.status.success() {
        bail!("{words:?} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn words<'a>(task: &'a str, options: &'a PluginOptions) -> Vec<&'a str> {
    [task, FOLDER].into_iter().chain(options.only.iter().map(String::as_str)).collect()
}

fn find<'a>(costs: &'a mut [Cost], name: &str) -> Result<&'a mut Cost> {
    let found = costs.iter_mut().find(|cost| cost.name == name);
    found.with_context(|| format!("`{name}` is not listed"))
}

fn time(program: &Path, options: &PluginOptions, costs: &mut [Cost]) -> Result<()> {
    println!("timing in process");
    let pinned =
        [&["-c", proxies::PROXY_CORE, &program.to_string_lossy()], &words("time", options)[..]];
    for line in output(Path::new("taskset"), &pinned.concat())?.lines() {
        let Timed { name, ns, low, high } = serde_json::from_str(line)?;
        let cost = find(costs, &name)?;
        (cost.ns, cost.low, cost.high) = (Some(ns), Some(low), Some(high));
    }
    Ok(())
}

/// The comparison with nginx and Lua.
fn compare() -> Result<super::report::Findings> {
    let options = Options::of(Case::Schema, COMPARED_ROUNDS);
    super::runtime()?.block_on(super::find_out(&options))
}
