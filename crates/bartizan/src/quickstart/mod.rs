//! `bartizan quickstart`: an example API behind a gateway that is configured as one should be, and
//! the self-check that attacks it.

mod client;
mod example_api;
mod probes;
mod report;
mod state;
mod templates;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use bartizan_config::Loaded;
use bartizan_core::Clock;
use tokio::runtime::{Builder, Runtime};

use self::client::Client;
use self::example_api::{ExampleApi, Log};
use self::report::{Greeting, Outcome};
use self::state::State;
use crate::cli::QuickstartArgs;
use crate::failure::{Failure, say};
use crate::load;
use crate::node::Node;
use crate::overrides::{Overrides, StatusAt};
use crate::telemetry;

/// Serves the example, or checks it.
pub(crate) fn quickstart(args: &QuickstartArgs) -> Result<(), Failure> {
    telemetry::start(&args.log, "warn")?;
    let state = State::open(&args.state, &Clock::System)?;
    let loaded = load::load(&state.node_file())?;
    if args.check { check(&state, &loaded) } else { serve(&state, &loaded) }
}

fn serve(state: &State, loaded: &Loaded) -> Result<(), Failure> {
    let (_runtime, api, _) = start_api(loaded, Ports::AsWritten)?;
    let (overrides, moved) = make_room(loaded, api)?;
    let node = Node::start_to_serve(&state.node_file(), overrides)?;
    let greeting = Greeting {
        address: first_address(&node)?,
        authority: &shown(&state.authority_file()),
        node_file: &shown(&state.node_file()),
        // It need not be in the path.
        program: &std::env::current_exe().unwrap_or_else(|_| PathBuf::from("bartizan")),
        moved: &moved,
        is_new: state.is_new,
    };
    say(&greeting.text());
    node.serve_until_stopped()
}

fn check(state: &State, loaded: &Loaded) -> Result<(), Failure> {
    let (runtime, api, log) = start_api(loaded, Ports::Free)?;
    let anywhere = |address: SocketAddr| SocketAddr::new(address.ip(), 0);
    let listeners = loaded.node.listeners.iter();
    let overrides = Overrides {
        listeners: listeners.map(|l| (l.address, anywhere(l.address))).collect(),
        status: StatusAt::Nowhere,
        upstream_port: Some((templates::API_UPSTREAM, api.port())),
    };
    let probes = probes::probes(&loaded.resources, Clock::System.now())?;
    let node = Node::start(&state.node_file(), overrides)?;
    let client = Client::new(first_address(&node)?, state.roots()?)?;
    let outcomes = runtime.block_on(send(&client, probes));
    let verdict = report::judge(&outcomes, &log.seen());
    node.stop();
    say(&verdict.table);
    if verdict.faults.is_empty() {
        let count = outcomes.len();
        say(&format!("\nAll {count} as they must be, and no refused request reached the API.\n"));
        return Ok(());
    }
    Err(Failure::Unmet(format!("not protected:\n  {}", verdict.faults.join("\n  "))))
}

async fn send(client: &Client, probes: Vec<probes::Probe>) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(probes.len());
    for probe in probes {
        let mut answer = client.exchange(&probe.request).await;
        for _ in 0..probe.before {
            answer = client.exchange(&probe.request).await;
        }
        outcomes.push(Outcome { probe, answer });
    }
    outcomes
}

/// Which ports are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    /// Those of the configuration, where they are free.
    AsWritten,
    /// Any that are free.
    Free,
}

/// Starts the example API on a thread of its own; it ends with the runtime.
fn start_api(loaded: &Loaded, ports: Ports) -> Result<(Runtime, SocketAddr, Log), Failure> {
    let port = match ports {
        Ports::AsWritten => configured_port(loaded),
        Ports::Free => 0,
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("example-api")
        .enable_all()
        .build()
        .map_err(|cause| Failure::new(format!("no threads can be started: {cause}")))?;
    let api = runtime.block_on(ExampleApi::bind(port))?;
    let (address, log) = (api.address()?, api.log());
    runtime.spawn(api.serve());
    Ok((runtime, address, log))
}

/// Where the configuration says that the example API is.
fn configured_port(loaded: &Loaded) -> u16 {
    let upstreams = &loaded.resources.upstreams;
    let api = upstreams.iter().find(|upstream| &*upstream.id == templates::API_UPSTREAM);
    let node = api.and_then(|upstream| upstream.nodes.first());
    node.map_or(templates::API_PORT, |node| node.port)
}

/// Moves what would be in the way of other processes, and says so.
fn make_room(loaded: &Loaded, api: SocketAddr) -> Result<(Overrides, Vec<String>), Failure> {
    let mut overrides = Overrides::default();
    let mut moved = Vec::new();
    for listener in &loaded.node.listeners {
        if let Some(free) = elsewhere(listener.address)? {
            moved.push(format!("{} is taken: it listens on {free} this time", listener.address));
            overrides.listeners.push((listener.address, free));
        }
    }
    if let Some(status) = &loaded.node.status
        && let Some(free) = elsewhere(status.address)?
    {
        moved.push(format!("{} is taken: the status is on {free} this time", status.address));
        overrides.status = StatusAt::Address(free);
    }
    let written = configured_port(loaded);
    if api.port() != written {
        moved.push(format!("{written} is taken: the example API is on {api} this time"));
        overrides.upstream_port = Some((templates::API_UPSTREAM, api.port()));
    }
    Ok((overrides, moved))
}

/// A free address in place of one that is taken; `None` if it is free.
fn elsewhere(address: SocketAddr) -> Result<Option<SocketAddr>, Failure> {
    match TcpListener::bind(address) {
        Err(cause) if cause.kind() == std::io::ErrorKind::AddrInUse => {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .and_then(|socket| socket.local_addr())
                .map_err(|cause| Failure::new(format!("there is no free port: {cause}")))?;
            Ok(Some(SocketAddr::new(address.ip(), free.port())))
        }
        // Other causes are told, with the listener, when it is opened.
        _ => Ok(None),
    }
}

fn first_address(node: &Node) -> Result<SocketAddr, Failure> {
    node.addresses().first().copied().ok_or_else(|| Failure::new("the node has no listener"))
}

/// A path as it works from anywhere.
fn shown(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
