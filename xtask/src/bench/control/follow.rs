//! One proxy with one configuration: started, asked, changed, asked again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::worlds::{Layout, World, Worlds, key, route};
use crate::bench::exchange::Request;
use crate::bench::load::{Mode, Spec};
use crate::bench::process::Pinned;
use crate::bench::proxies::{Proxy, free_address};
use crate::bench::upstream::SMALL;
use crate::bench::{Running, as_float, per_request};

/// The longest time until a route answers.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two looks at whether it does.
const LOOK_AGAIN: Duration = Duration::from_micros(500);
/// Time for what a change leaves to do to be done.
const REST: Duration = Duration::from_millis(1_500);
/// Different requests of a round.
const SPREAD: usize = 200;

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    /// Milliseconds from the start to the first answer on the last route, of each start.
    pub(super) starts: Vec<f64>,
    /// Processor milliseconds until then, of threads that ended as well.
    pub(super) start_cpu: Vec<f64>,
    /// Milliseconds until a changed route answers, of each change.
    pub(super) changes: Vec<f64>,
    /// Processor milliseconds of one change.
    pub(super) change_cpu: Vec<f64>,
    /// Resident bytes of a route, with its consumer where it has one.
    pub(super) bytes: f64,
    /// The same after all changes.
    pub(super) bytes_after: f64,
    /// Processor microseconds of a request before, during and after changes.
    pub(super) requests: [Option<f64>; 3],
}

/// How often each thing is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    pub(super) starts: usize,
    pub(super) changes: usize,
    /// Of each round of load.
    pub(super) requests: usize,
}

/// Measures one world. Its memory is compared with that of a world with one route.
pub(super) fn measure(
    worlds: &Worlds<'_>,
    world: World,
    program: &Path,
    Rounds { starts, changes, requests }: Rounds,
) -> Result<Measured> {
    let one = World { routes: 1, consumers: world.consumers.min(1), ..world };
    let small = Site::prepare(worlds, one)?.start(program)?.0.process.resident()?;
    let site = Site::prepare(worlds, world)?;
    let mut found = Measured::default();
    let mut site = loop {
        let (begun, took) = site.start(program)?;
        found.starts.push(millis(took));
        found.start_cpu.push(millis(begun.process.lifetime_cpu()?));
        if found.starts.len() >= starts {
            break begun;
        }
    };
    std::thread::park_timeout(REST);
    let per_route =
        |resident: u64| as_float(resident.saturating_sub(small)) / as_float(world.routes as u64);
    found.bytes = per_route(site.process.resident()?);
    let before = site.under_load(requests, 0)?;
    for number in 0..changes {
        let (time, cpu) = site.change(&format!("live{number}"))?;
        found.changes.push(millis(time));
        found.change_cpu.push(millis(cpu));
    }
    let during = site.under_load(requests, changes).ok();
    std::thread::park_timeout(REST);
    // Some proxies cut connections for as long as an old worker ends.
    let after = site.under_load(requests, 0).ok();
    found.requests = [Some(before), during, after];
    found.bytes_after = per_route(site.process.resident()?);
    Ok(found)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A configuration that is written, for a proxy at an address.
#[derive(Clone)]
struct Prepared<'a> {
    worlds: &'a Worlds<'a>,
    world: World,
    words: Vec<String>,
    address: SocketAddr,
}

/// A proxy that serves.
struct Site<'a> {
    worlds: &'a Worlds<'a>,
    world: World,
    process: Pinned,
    address: SocketAddr,
    /// How often the last route was moved under load.
    moved: usize,
}

impl<'a> Prepared<'a> {
    /// Starts the proxy, and waits until the last route answers.
    fn start(&self, program: &Path) -> Result<(Site<'a>, Duration)> {
        let Self { worlds, world, address, .. } = *self;
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let log = worlds.folder.join(format!("{}.log", world.proxy.name()));
        let begin = Instant::now();
        let process = Pinned::start("0,1", program, &words, &log)?;
        let mut site = Site { worlds, world, process, address, moved: 0 };
        let last = route(world.routes - 1);
        site.wait_for(&last).with_context(|| format!("see {}", log.display()))?;
        Ok((site, begin.elapsed()))
    }
}

impl<'a> Site<'a> {
    fn prepare(worlds: &'a Worlds<'a>, world: World) -> Result<Prepared<'a>> {
        let address = free_address()?;
        let words = worlds.begin(world, address.port())?;
        let last = route(world.routes - 1);
        let layout = Layout { world, last: &last };
        if world.is_in_etcd {
            worlds.fill_etcd(&layout)?;
        } else {
            fs::write(worlds.document(world), worlds.text(&layout, address.port()))?;
        }
        Ok(Prepared { worlds, world, words, address })
    }

    /// Waits until a path is answered.
    fn wait_for(&mut self, segment: &str) -> Result<()> {
        let begin = Instant::now();
        while self.ask(segment) != Some(200) {
            self.process.ensure_running()?;
            ensure!(begin.elapsed() < PATIENCE, "`/{segment}/` is not answered");
            std::thread::park_timeout(LOOK_AGAIN);
        }
        Ok(())
    }

    /// The status of an answer, over a connection of its own.
    fn ask(&self, segment: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let key = key(0);
        let request = format!(
            "GET /{segment}/x HTTP/1.1\r\nHost: localhost\r\napikey: {key}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).ok()?;
        std::str::from_utf8(&head).ok()?.rsplit_once(' ')?.1.parse().ok()
    }

    /// Moves the last route, and waits until it answers there. Gives the time that this took, and
    /// the processor time of all that it led to.
    fn change(&mut self, segment: &str) -> Result<(Duration, Duration)> {
        let before = self.spent()?;
        let time = self.change_at_once(segment)?;
        std::thread::park_timeout(REST);
        let spent = self.spent()?.into_iter().map(|(process, spent)| {
            spent.saturating_sub(before.get(&process).copied().unwrap_or_default())
        });
        Ok((time, spent.sum()))
    }

    fn change_at_once(&mut self, segment: &str) -> Result<Duration> {
        let layout = Layout { world: self.world, last: segment };
        if self.world.is_in_etcd {
            let begin = Instant::now();
            self.worlds.change_etcd(self.world, segment)?;
            self.wait_for(segment)?;
            return Ok(begin.elapsed());
        }
        let document = self.worlds.document(self.world);
        let text = self.worlds.text(&layout, self.address.port());
        let new = document.with_extension("new");
        fs::write(&new, text)?;
        let begin = Instant::now();
        fs::rename(&new, &document)?;
        match self.world.proxy {
            Proxy::Bartizan | Proxy::Nginx | Proxy::NginxLua => self.process.tell(Signal::HUP)?,
            Proxy::Haproxy => self.process.tell(Signal::USR2)?,
            // It watches the file.
            Proxy::Envoy => {}
        }
        self.wait_for(segment)?;
        Ok(begin.elapsed())
    }

    fn spent(&self) -> Result<BTreeMap<u32, Duration>> {
        self.process.cpu_by_process()
    }

    /// Processor time of a request, while the last route is moved so many times.
    fn under_load(&mut self, requests: usize, changes: usize) -> Result<f64> {
        let step = (self.world.routes / SPREAD).max(1);
        let numbers = (0..self.world.routes - 1).step_by(step);
        let request = |number: usize| Request {
            headers: vec![(
                "apikey".to_owned(),
                key(number.min(self.world.consumers.saturating_sub(1))),
            )],
            ..Request::get(&format!("/{}/x", route(number)))
        };
        let spec = Spec {
            target: self.address,
            authority: None,
            clients: Vec::new(),
            mode: Mode::KeepAlive,
            connections: 16,
            count: requests,
            requests: numbers.map(request).collect(),
            length: Some(SMALL),
        };
        let before = self.spent()?;
        let running = Running::start(&spec)?;
        for _ in 0..changes {
            self.moved += 1;
            self.change_at_once(&format!("moved{}", self.moved))?;
        }
        running.finish()?;
        let spent = self.spent()?.into_iter().map(|(process, spent)| {
            spent.saturating_sub(before.get(&process).copied().unwrap_or_default())
        });
        Ok(per_request(spent.sum(), requests))
    }
}
