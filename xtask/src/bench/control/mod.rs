//! `cargo xtask bench control`: what the size of a configuration costs.
//!
//! For each proxy and number of routes, each time with a fresh process: the time from its start to
//! the first answer on the last route, the time until one changed route answers, what processor time
//! both take, the resident memory of a route, and the processor time of a request before, while and
//! after the configuration changes. Ours also with as many consumers, whose keys every route asks
//! for, and with the objects in etcd, which tells of each change by itself.
//!
//! Wall times are what a user waits for and depend on what else the machine does; processor times
//! hardly do.

mod etcd;
mod follow;
mod report;
mod worlds;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::etcd::EtcdServer;
use self::follow::{Measured, Rounds};
use self::worlds::{World, Worlds};
use super::process::Pinned;
use super::proxies::{LOAD_CORE, Proxy, free_address};
use super::{RESULTS, machine, today};

/// Where configurations and logs of a run are.
const FOLDER: &str = "target/bench/control";

/// Options of `bench control`.
#[derive(clap::Args)]
pub(crate) struct ControlOptions {
    /// Numbers of routes; the other proxies are measured with the first.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    routes: Vec<usize>,
    /// Proxies to compare; all without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Proxy>,
    /// Starts of each proxy, of which the median is told.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Changes of one route, of which the median is told.
    #[arg(long, default_value_t = 7)]
    changes: usize,
    /// Requests of each round.
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// The gateway to measure; it is built without it.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where to write the report; a full run writes `bench/results/<date>-control.md` without it.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl ControlOptions {
    fn wants(&self, proxy: Proxy) -> bool {
        self.only.is_empty() || self.only.contains(&proxy)
    }

    fn is_full(&self) -> bool {
        self.only.is_empty() && self.routes == [10_000, 100_000]
    }

    /// Who is measured, in the order of the report.
    fn worlds(&self) -> Vec<World> {
        let mut worlds = Vec::new();
        for (at, routes) in self.routes.iter().copied().enumerate() {
            let of = |proxy| World { proxy, routes, consumers: 0, is_in_etcd: false };
            worlds.push(of(Proxy::Bartizan));
            worlds.push(World { consumers: routes, ..of(Proxy::Bartizan) });
            worlds.push(World { consumers: routes, is_in_etcd: true, ..of(Proxy::Bartizan) });
            if at == 0 {
                worlds.extend([Proxy::Nginx, Proxy::Haproxy, Proxy::Envoy].map(of));
            }
        }
        worlds.retain(|world| self.wants(world.proxy));
        worlds
    }
}

/// Runs the task.
pub(super) fn run(options: &ControlOptions) -> Result<()> {
    let ControlOptions { starts, changes, requests, .. } = *options;
    ensure!(!options.routes.is_empty() && changes > 0 && starts > 0, "nothing is to be measured");
    let rounds = Rounds { starts, changes, requests };
    let folder = std::path::absolute(FOLDER)?;
    fs::create_dir_all(&folder)?;
    let mut conditions = machine()?;
    let upstream = free_address()?;
    let port = upstream.port().to_string();
    let log = folder.join("upstream.log");
    let words = ["upstream", "--port", &port];
    let _upstream = Pinned::start(LOAD_CORE, &std::env::current_exe()?, &words, &log)?;

    let worlds = options.worlds();
    let mut programs: Vec<(Proxy, PathBuf)> = Vec::new();
    for proxy in Proxy::OPEN.into_iter().filter(|proxy| options.wants(*proxy)) {
        let program = match &options.program {
            Some(program) if proxy == Proxy::Bartizan => std::path::absolute(program)?,
            _ => proxy.install().context(proxy.name())?,
        };
        conditions.push(format!("{}: {}", proxy.name(), proxy.version(&program)?));
        programs.push((proxy, program));
    }
    let mut measured: Vec<(World, Measured)> = Vec::new();
    for world in worlds {
        let program = programs.iter().find(|(proxy, _)| *proxy == world.proxy);
        let program = &program.context("no program")?.1;
        let etcd = world.is_in_etcd.then(|| EtcdServer::start(&folder)).transpose()?;
        let worlds = Worlds { folder: &folder, upstream, etcd: etcd.as_ref() };
        let found =
            follow::measure(&worlds, world, program, rounds).with_context(|| world.title())?;
        println!("{}: {found:?}", world.title());
        measured.push((world, found));
    }
    let text = report::report(&today(), &conditions, rounds, &measured);
    println!("\n{text}");
    let usual =
        || options.is_full().then(|| Path::new(RESULTS).join(format!("{}-control.md", today())));
    match options.out.clone().or_else(usual) {
        Some(path) => {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("written to {}", path.display());
        }
        None => println!("not kept: only a full run is, or one with --out"),
    }
    Ok(())
}
