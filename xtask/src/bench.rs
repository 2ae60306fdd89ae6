//! `cargo xtask bench`: what a request costs here, in nginx, in HAProxy and in Envoy.
//!
//! All proxies run at once, each with one worker on the same core; the load generator and the
//! upstream share another. Rounds are interleaved, so that what disturbs the machine disturbs
//! all. Processor time is what the kernel charged to the proxy's threads, divided by requests.
//! Everything stays on 127.0.0.1, and every process ends with this one.

mod cases;
mod control;
mod exchange;
mod identity;
mod keys;
pub(crate) mod load;
mod parity;
mod plugins;
mod process;
mod proxies;
mod report;
mod template;
pub(crate) mod upstream;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};

use self::cases::{Case, Variant};
use self::keys::Issuer;
use self::load::{Mode, Spec};
use self::process::{Pinned, pinned};
use self::proxies::{Contender, Ground, LOAD_CORE, Proxy, free_address};
use self::report::{Findings, Footprint, Measure};
use crate::conditions::{machine, today};

/// Where keys, configurations and logs of a run are.
const FOLDER: &str = "target/bench";
/// Where reports are kept.
const RESULTS: &str = "bench/results";
/// Rounds of a quick run.
const QUICK_ROUNDS: usize = 2;
/// By what a quick run divides the requests.
const QUICK_SHARE: usize = 10;
/// Requests that warm a fresh proxy up before its memory is read.
const WARM_UP: usize = 2_000;

/// Options of the task.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Cases to measure; all without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    cases: Vec<Case>,
    /// Proxies to compare; all without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Proxy>,
    /// Rounds of each case.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Requests of each round; each case has a number of its own without it.
    #[arg(long)]
    requests: Option<usize>,
    /// Two rounds with a tenth of the requests: shows that all works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Where to write the report; a full run writes `bench/results/<date>.md` without it.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// What is measured in place of the comparison.
#[derive(clap::Subcommand)]
enum Other {
    /// What each plugin costs a request that it lets through.
    Plugins(plugins::PluginOptions),
    /// What the size of a configuration costs: start, live changes, memory.
    Control(control::ControlOptions),
    /// What it costs to know who calls: tokens, certificates, proofs of possession, keys.
    Identity(identity::IdentityOptions),
}

impl Options {
    /// One case, with those who take part in it.
    fn of(case: Case, rounds: usize) -> Self {
        let (cases, only) = (vec![case], Vec::new());
        Self { other: None, cases, only, rounds, requests: None, quick: false, out: None }
    }

    fn cases(&self) -> Vec<Case> {
        let wanted = |case: &Case| self.cases.is_empty() || self.cases.contains(case);
        Case::ALL.into_iter().filter(wanted).collect()
    }

    fn proxies(&self) -> Vec<Proxy> {
        let cases = self.cases();
        let takes_part = |proxy: &Proxy| {
            let mut variants = cases.iter().flat_map(|case| case.variants());
            variants.any(|variant| proxy.template(*variant).is_some())
        };
        let wanted = |proxy: &Proxy| match self.only.as_slice() {
            [] => takes_part(proxy),
            only => only.contains(proxy),
        };
        Proxy::ALL.into_iter().filter(wanted).collect()
    }

    fn rounds(&self) -> usize {
        if self.quick { QUICK_ROUNDS } else { self.rounds.max(1) }
    }

    fn count(&self, case: Case) -> usize {
        let count = self.requests.unwrap_or(case.count());
        if self.quick { count.div_ceil(QUICK_SHARE) } else { count }.max(1)
    }

    /// Where the report is kept: quick and partial runs are no evidence unless one says so.
    fn destination(&self, date: &str) -> Option<PathBuf> {
        let is_full = !self.quick && self.cases.is_empty() && self.only.is_empty();
        let usual = is_full.then(|| Path::new(RESULTS).join(format!("{date}.md")));
        self.out.clone().or(usual)
    }
}

/// A runtime for one core.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a runtime")
}

/// Runs the task.
pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(available_parallelism()?.get() >= 2, "the comparison needs two cores");
    raise_descriptor_limit();
    match &options.other {
        Some(Other::Plugins(options)) => plugins::run(options),
        Some(Other::Control(options)) => control::run(options),
        Some(Other::Identity(options)) => identity::run(options),
        None => runtime()?.block_on(compare(options)),
    }
}

/// Descriptors for idle connections; children inherit the limit.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Too low a limit shows in the case that needs more.
    let _ = setrlimit(Resource::Nofile, limit);
}

async fn compare(options: &Options) -> Result<()> {
    let date = today();
    let report = find_out(options).await?.report();
    println!("\n{report}");
    match options.destination(&date) {
        Some(path) => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            fs::write(&path, report).with_context(|| format!("cannot write {}", path.display()))?;
            println!("written to {}", path.display());
        }
        None => println!("not kept: only a full run is, or one with --out"),
    }
    Ok(())
}

/// Measures the cases.
async fn find_out(options: &Options) -> Result<Findings> {
    let arena = Arena::prepare(options)?;
    let mut findings =
        Findings { date: today(), conditions: arena.conditions(options)?, ..Findings::default() };
    arena.measure_requests(options, &mut findings).await?;
    if options.cases().contains(&Case::Memory) {
        arena.measure_memory(options, &mut findings).await?;
    }
    Ok(findings)
}

/// What all contenders share: upstream, keys, programs.
struct Arena {
    ground: Ground,
    issuer: Issuer,
    authority: PathBuf,
    /// Serves until this is dropped.
    _upstream: Pinned,
}

impl Arena {
    fn prepare(options: &Options) -> Result<Self> {
        let folder = std::path::absolute(FOLDER)?;
        fs::create_dir_all(&folder)?;
        keys::write_certificate(&folder)?;
        let issuer = Issuer::generate()?;
        issuer.write_keys(&folder)?;
        let mut programs = Vec::new();
        for proxy in options.proxies() {
            programs.push((proxy, proxy.install().context(proxy.name())?));
        }
        let upstream = free_address()?;
        let port = upstream.port().to_string();
        let program = std::env::current_exe()?;
        let words = ["upstream", "--port", &port];
        let process = Pinned::start(LOAD_CORE, &program, &words, &folder.join("upstream.log"))?;
        let authority = folder.join("ca.pem");
        let ground = Ground { folder, upstream, programs };
        ground.write_lists()?;
        Ok(Self { ground, issuer, authority, _upstream: process })
    }

    /// Machine, versions and settings, for the report.
    fn conditions(&self, options: &Options) -> Result<Vec<String>> {
        let mut lines = machine()?;
        lines.extend([
            format!("rounds: {}, interleaved; medians", options.rounds()),
            "one worker on core 0; load generator and upstream on core 1; all on 127.0.0.1".into(),
            "TLS 1.3, X25519, AES-128-GCM, the same P-256 certificate, no resumption".into(),
        ]);
        for (proxy, program) in &self.ground.programs {
            lines.push(format!("{}: {}", proxy.name(), proxy.version(program)?));
        }
        Ok(lines)
    }

    /// Measures all cases but memory.
    async fn measure_requests(&self, options: &Options, findings: &mut Findings) -> Result<()> {
        let mut contenders: Vec<Contender> = Vec::new();
        for case in options.cases().into_iter().filter(|case| *case != Case::Memory) {
            let taking_part = self.assemble(case, options, &mut contenders).await?;
            let spec = self.spec(case, options.count(case))?;
            let mut rounds = vec![Vec::new(); taking_part.len()];
            // One round more than is kept: the first warms everything up.
            for round in 0..=options.rounds() {
                for (number, index) in taking_part.iter().enumerate() {
                    let micros = round_of(&spec, &contenders[*index], case)?;
                    if round > 0 {
                        rounds[number].push(micros);
                    }
                }
            }
            for (index, rounds) in taking_part.into_iter().zip(rounds) {
                let Contender { proxy, variant, .. } = contenders[index];
                println!("{}: {}: {rounds:.1?}", case.title(), contenders[index].name());
                findings.measures.push(Measure { case, proxy, variant, rounds });
            }
        }
        Ok(())
    }

    /// Starts who is missing for a case, and checks that all give the same answers.
    async fn assemble(
        &self,
        case: Case,
        options: &Options,
        contenders: &mut Vec<Contender>,
    ) -> Result<Vec<usize>> {
        let mut taking_part = Vec::new();
        for proxy in options.proxies() {
            for variant in case.variants() {
                let known =
                    contenders.iter().position(|c| c.proxy == proxy && c.variant == *variant);
                let index = if let Some(index) = known {
                    index
                } else if let Some(started) = self.ground.start(proxy, *variant).await? {
                    contenders.push(started);
                    contenders.len() - 1
                } else {
                    continue;
                };
                parity::check(&contenders[index], case, &self.issuer, &self.authority).await?;
                taking_part.push(index);
            }
        }
        Ok(taking_part)
    }

    fn spec(&self, case: Case, count: usize) -> Result<Spec> {
        Ok(Spec {
            target: SocketAddr::from(([127, 0, 0, 1], 0)),
            authority: case.is_tls().then(|| self.authority.clone()),
            clients: Vec::new(),
            mode: case.mode(),
            connections: case.connections(),
            count,
            requests: case.requests(&self.issuer)?,
            length: Some(case.length()),
        })
    }

    /// Measures what an idle connection keeps, each time with a fresh process.
    async fn measure_memory(&self, options: &Options, findings: &mut Findings) -> Result<()> {
        let count = options.count(Case::Memory);
        for proxy in options.proxies() {
            for is_tls in [false, true] {
                let started = self.ground.start(proxy, Variant::Open).await?;
                let Some(contender) = started else { continue };
                let mut spec = self.spec(Case::Plain, WARM_UP)?;
                spec.target = contender.address(is_tls);
                spec.authority = is_tls.then(|| self.authority.clone());
                Running::start(&spec)?.finish().context(contender.name())?;

                let before = contender.process.resident()?;
                (spec.mode, spec.connections, spec.count) = (Mode::Idle, count, count);
                let mut idle = Running::start(&spec)?;
                if let Err(error) = idle.wait_until_done() {
                    // One that refuses so many connections has no figure; the others keep theirs.
                    println!("{}: idle connections: {error:#}", contender.name());
                    continue;
                }
                let after = contender.process.resident()?;
                let bytes = as_float(after.saturating_sub(before)) / as_float(count as u64);
                println!("{}: idle connection: {bytes:.0} bytes (TLS: {is_tls})", contender.name());
                findings.footprints.push(Footprint { proxy, is_tls, bytes });
            }
        }
        Ok(())
    }
}

/// Microseconds per request of one round.
fn round_of(spec: &Spec, contender: &Contender, case: Case) -> Result<f64> {
    let spec = Spec { target: contender.address(case.is_tls()), ..spec.clone() };
    let before = contender.process.cpu()?;
    let running = Running::start(&spec)?;
    running.finish().with_context(|| format!("{}, {}", contender.name(), case.title()))?;
    let spent = contender.process.cpu()?.saturating_sub(before);
    Ok(per_request(spent, spec.count))
}

/// A load generator at work.
struct Running {
    process: Pinned,
    output: BufReader<std::process::ChildStdout>,
    /// Open while idle connections are to be held.
    _input: std::process::ChildStdin,
}

impl Running {
    fn start(spec: &Spec) -> Result<Self> {
        let mut command = pinned(LOAD_CORE, &std::env::current_exe()?);
        command.arg("load").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Pinned::owning(command.spawn().context("cannot start the load")?)?;
        let mut input = process.child().stdin.take().context("no input")?;
        let output = process.child().stdout.take().context("no output")?;
        let mut spec = serde_json::to_vec(spec)?;
        spec.push(b'\n');
        input.write_all(&spec)?;
        Ok(Self { process, output: BufReader::new(output), _input: input })
    }

    /// Waits until every request is answered.
    fn wait_until_done(&mut self) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.trim() == "done" { Ok(()) } else { bail!("the load generator failed") }
    }

    /// Waits for the end of a run that ends by itself.
    fn finish(mut self) -> Result<()> {
        self.wait_until_done()?;
        let status = self.process.child().wait()?;
        if status.success() { Ok(()) } else { bail!("the load generator ended with {status}") }
    }
}

fn per_request(spent: Duration, count: usize) -> f64 {
    spent.as_secs_f64() * 1e6 / as_float(count as u64)
}

/// Counts and sizes of a run are far below where this would round.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn as_float(number: u64) -> f64 {
    number as f64
}
