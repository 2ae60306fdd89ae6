//! A node at work: everything that `run` and `quickstart` share.
//!
//! Order of a start: read, open the logs, compile, bind every port, then serve; whatever fails ends
//! it before a request was taken. Order of an end: readiness says so, listeners close, requests
//! get `limits.drain`, logs are written out.

mod amend;
mod begin;
mod board;
mod judge;
mod key_uses;
mod operators;
mod plane;
mod reload;
mod settle;
mod status;
mod stores;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_admin::Readiness;
use bartizan_audit::EventKind;
use bartizan_config::{Ledger, NodeConfig, ObjectName, Pages, Store};
use bartizan_core::metrics::SharedMetrics;
use bartizan_proxy::{Gateway, Running};
use bartizan_secrets::Managers;
use bartizan_store::{Changes, FileWatch};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::load::Record;
use crate::logs::Logs;
use crate::overrides::Overrides;
use crate::signals::{Signal, Signals};
pub(crate) use begin::settings;
use board::Board;
use key_uses::Sharing;
use operators::Keys;
use plane::{AdminApi, Ask};
use settle::LastGood;
use status::Status;
use stores::NodeStore;

/// How long the node waits where a store tells of a change that cannot be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Time that a disk gets for what is kept of etcd when the node ends.
const KEEP_PATIENCE: Duration = Duration::from_secs(5);

/// A node that serves.
pub(crate) struct Node {
    control: Runtime,
    gateway: Arc<Gateway>,
    running: Running,
    config: NodeConfig,
    overrides: Overrides,
    /// The files that are read at the start: the node file and its certificates.
    own_files: Vec<PathBuf>,
    files: FileWatch,
    store: Arc<NodeStore>,
    /// The revision of the store that was last read.
    seen: u64,
    last_good: LastGood,
    /// What is in force, where a change of the store can be judged by itself.
    ledger: Option<Ledger>,
    /// The document that it is written in, where it is one.
    pages: Option<Pages>,
    /// The files that what is in force was read from.
    record: Record,
    /// When what is in force is to be kept for a start without the store.
    keep_at: Option<tokio::time::Instant>,
    /// How long it took the last time.
    keep_cost: std::time::Duration,
    managers: Arc<Managers>,
    /// The secrets with which the configuration was last judged.
    secrets_seen: u64,
    /// The routes in force, where the Admin API is served, and what is in quarantine.
    board: Board,
    quarantined: HashSet<ObjectName>,
    metrics: SharedMetrics,
    readiness: Readiness,
    logs: Logs,
    status: Option<Status>,
    /// Where the store is told when keys of callers were used.
    sharing: Option<Sharing>,
    keys: Option<Keys>,
    admin: Option<AdminApi>,
    /// What the Admin API asks.
    asks: Option<mpsc::Receiver<Ask>>,
    /// Those that came since the ports opened.
    signals: Option<Signals>,
}

/// Why the node wakes up.
enum Wake {
    Signal(Signal),
    Changed(Vec<PathBuf>),
    Stored(Changes),
    Keep,
    Secrets,
    Asked(Ask),
}

impl Node {
    /// Where it listens, in the order of the node file.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.running.addresses()
    }

    fn listed_addresses(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        addresses.join(", ")
    }

    /// Serves until it is told to stop, and stops.
    pub(crate) fn serve_until_stopped(mut self) -> Result<(), Failure> {
        let mut signals = match self.signals.take() {
            Some(signals) => signals,
            None => self.control.block_on(async { Signals::listen() })?,
        };
        // From here on a signal means what it is documented to mean.
        let status = self.status.as_ref().map(|status| status.address.to_string());
        let admin = self.admin.as_ref().map(|admin| admin.address.to_string());
        tracing::info!(listeners = self.listed_addresses(), status, admin, "serving");
        loop {
            let (files, store, seen) = (&mut self.files, &self.store, self.seen);
            let keep_at = self.keep_at;
            let (managers, secrets_seen) = (&self.managers, self.secrets_seen);
            let asks = &mut self.asks;
            let wake = self.control.block_on(async {
                tokio::select! {
                    signal = signals.next() => Wake::Signal(signal),
                    change = files.changed() => Wake::Changed(change.files),
                    Some(ask) = next(asks) => Wake::Asked(ask),
                    changes = store.changed(seen) => Wake::Stored(changes),
                    () = managers.changed(secrets_seen) => Wake::Secrets,
                    () = due(keep_at) => Wake::Keep,
                }
            });
            match wake {
                Wake::Signal(Signal::Reload) => self.read_again(&[]),
                // Any object may hold one, whether it changed or not.
                Wake::Secrets => self.reload(&[]),
                Wake::Stored(changes) => {
                    self.take(&changes);
                    if self.seen == seen {
                        // The store could not be read: it would tell of the same change at once.
                        self.control.block_on(async { tokio::time::sleep(STORE_PAUSE).await });
                    }
                }
                Wake::Keep => self.keep(),
                Wake::Changed(files) => self.read_again(&files),
                Wake::Asked(ask) => self.answer(ask),
                Wake::Signal(Signal::Reopen) => {
                    self.logs.reopen();
                    self.gateway.reopen_sinks();
                }
                Wake::Signal(Signal::Stop) => break,
            }
        }
        let impatience = self.control.spawn(async move {
            while signals.next().await != Signal::Stop {}
            tracing::warn!("told to stop again: what still runs is cut");
            std::process::exit(1);
        });
        self.stop();
        impatience.abort();
        Ok(())
    }

    /// Drains and stops.
    pub(crate) fn stop(mut self) {
        self.keep();
        let Self { control, running, readiness, logs, status, gateway, .. } = self;
        let Self { store, keys, admin, asks, sharing, .. } = self;
        readiness.draining();
        logs.tell(EventKind::Node, "draining".to_owned());
        tracing::info!("draining");
        // Who waits for a change is told that it is not made.
        drop(asks);
        if let Some(admin) = admin {
            admin.stop(&control);
        }
        running.shutdown();
        logs.tell(EventKind::Node, "stopped".to_owned());
        if let Some(status) = status {
            status.stop(&control);
        }
        drop(gateway);
        if let Some(sharing) = sharing {
            control.block_on(sharing.finish());
        }
        if let Some(keys) = keys {
            keys.stop(&control);
        }
        let kept = async { tokio::time::timeout(KEEP_PATIENCE, store.kept()).await };
        if control.block_on(kept).is_err() {
            tracing::error!("what is in force was not written in time for a start without etcd");
        }
        logs.close();
        tracing::info!("stopped");
    }

    /// Answers what the Admin API asks; whoever asked may be gone.
    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Propose(proposal, told) => {
                let _ = told.send(self.take_proposal(proposal));
            }
            Ask::Judge(document, told) => {
                let _ = told.send(self.judge_document(&document));
            }
        }
    }
}

/// Waits until then; for ever, where there is nothing to do.
async fn due(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What is asked next; nothing ever, where nobody can ask.
async fn next(asks: &mut Option<mpsc::Receiver<Ask>>) -> Option<Ask> {
    match asks {
        Some(asks) => asks.recv().await,
        None => std::future::pending().await,
    }
}

/// Where the documents of resources are, if they are not in the node file.
fn documents(config: &NodeConfig) -> Option<&Path> {
    match &config.store {
        Some(Store::File { path }) => Some(path),
        _ => None,
    }
}

/// Watches what plugins have read, such as key sets.
fn look_at_all(record: &Record, gateway: &Gateway, limit: u64) {
    for path in gateway.take_files() {
        record.look(&path, limit);
    }
}
