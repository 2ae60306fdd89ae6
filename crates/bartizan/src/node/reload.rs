//! Taking everything anew, and telling everyone what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::EventKind;
use bartizan_config::{Draft, Ledger, NodeConfig, OnInvalid, Pages, Store};
use bartizan_proxy::Report;
use bartizan_store::Snapshot;
use tokio::runtime::Runtime;

use super::settle::{LastGood, Settled, Settling};
use super::stores::{self, NodeStore};
use super::{Node, look_at_all};
use crate::failure::Failure;
use crate::load::{self, Record};

/// After how long what was freed can be given back.
const GIVE_BACK_AFTER: Duration = Duration::from_millis(1_100);

impl Node {
    /// Reads the resources again and puts them into force, as far as they are in order.
    pub(super) fn reload(&mut self, changed: &[PathBuf]) {
        // Whatever comes of this, nobody may forget what was put into force before it.
        self.keep();
        let record = Record::default();
        let ledger = self.ledger.take();
        self.pages = None;
        if let Some(ledger) = ledger.filter(|_| self.config.on_invalid() == OnInvalid::Quarantine) {
            self.last_good = LastGood::of_ledger(&ledger);
        }
        let outcome = self.try_reload(&record);
        self.watch_again(&record, changed);
        self.record = record;
        self.tell(&outcome);
    }

    fn try_reload(&mut self, record: &Record) -> Result<Settled, Failure> {
        record.ask(Arc::clone(&self.managers));
        self.secrets_seen = self.managers.begin();
        let loader = load::loader(record);
        let (mut node, mut draft) = match load::draft(&self.config.path, &loader) {
            Ok(read) => read,
            Err(failure) => {
                // A certificate ends, whatever else is at fault.
                if let Some(admin) = &self.admin
                    && let Some(mut node) = loader.node_only(&self.config.path)
                {
                    self.overrides.node(&mut node);
                    admin.renew(&node, &self.logs.clock);
                }
                // The file that is at fault is watched; what the store holds waits for it.
                if let Ok(snapshot) = self.control.block_on(self.store.snapshot()) {
                    self.seen = snapshot.revision;
                }
                return Err(failure);
            }
        };
        self.overrides.node(&mut node);
        self.keep_lent(&mut node, &mut draft);
        if let Some(admin) = &self.admin {
            admin.renew(&node, &self.logs.clock);
        }
        let settling = Settling {
            gateway: &self.gateway,
            node: &node,
            on_invalid: self.config.on_invalid(),
            overrides: &self.overrides,
            loader: &loader,
            fetch: &|| self.control.block_on(self.managers.fetch()),
        };
        let (snapshot, mut outcome) =
            settle_all(&self.control, &self.store, &settling, draft, &self.last_good);
        self.seen = snapshot.as_ref().map_or(self.seen, |snapshot| snapshot.revision);
        let snapshot = snapshot.as_ref();
        if let Ok(settled) = &mut outcome {
            self.managers.know(settled.managers());
            // Whoever looks sees what is in force, while the rest is put in order.
            self.remember(&mut settled.applied.report);
        }
        (self.ledger, self.pages) =
            stand_all(&self.store, &settling, snapshot, &mut outcome, &mut self.last_good);
        if outcome.is_ok() {
            self.managers.end();
        }
        give_back(&self.control);
        outcome
    }

    /// The store is that of the start until the next one, and so is what its objects may read: a node
    /// file that names another one already lends them nothing more.
    pub(super) fn keep_lent(&self, node: &mut NodeConfig, draft: &mut Draft) {
        if !matches!(node.store, Some(Store::Etcd(_))) {
            node.references = self.config.references.clone();
            draft.lend(node.references.clone());
        }
    }

    /// Keeps what is said of the routes in force, where the Admin API holds changes against it.
    pub(super) fn remember(&self, report: &mut Report) {
        if self.admin.is_some() {
            self.board.replace(std::mem::take(&mut report.routes));
        }
    }

    /// Tells everyone how a change ended.
    pub(super) fn tell(&mut self, outcome: &Result<Settled, Failure>) {
        self.gateway.count(outcome.is_ok());
        match outcome {
            Ok(settled) => self.tell_applied(settled),
            Err(failure) => {
                let text = failure.lines();
                self.readiness.refused(self.logs.clock.now(), &text);
                self.logs.tell(EventKind::Reload, format!("refused: {text}"));
                for line in text.lines() {
                    tracing::error!("the change is refused: {line}");
                }
            }
        }
    }

    fn tell_applied(&mut self, settled: &Settled) {
        let Settled { applied, quarantined, names, aside: set_aside, .. } = settled;
        self.quarantined.clone_from(names);
        for warning in &applied.report.warnings {
            tracing::warn!(help = warning.help, "{}", warning.problem);
        }
        for line in quarantined {
            tracing::error!("in quarantine: {line}");
        }
        let generation = applied.generation;
        self.metrics.quarantined.set(i64::try_from(quarantined.len()).unwrap_or(i64::MAX));
        self.board.set_aside(Arc::clone(set_aside));
        self.readiness.loaded(generation, self.logs.clock.now(), quarantined.clone());
        if generation > 1 || !quarantined.is_empty() {
            let aside = match quarantined.len() {
                0 => String::new(),
                count => format!(", {count} in quarantine"),
            };
            self.logs.tell(EventKind::Reload, format!("applied as generation {generation}{aside}"));
            tracing::info!(generation, "reloaded{aside}");
        } else if !self.store.is_files() {
            tracing::info!(generation, "applied what the store holds");
        }
    }

    /// Watches what was read now, and what is read at the start only.
    fn watch_again(&mut self, record: &Record, changed: &[PathBuf]) {
        for path in &self.own_files {
            if *path == self.config.path && changed.contains(path) {
                let file = path.display().to_string();
                tracing::warn!(
                    file,
                    "of the node itself, only certificates and resources change before the next \
                     start"
                );
            }
            if record.has(path) {
                continue;
            }
            record.look(path, self.config.limits.document.0);
        }
        look_at_all(record, &self.gateway, self.config.limits.document.0);
        self.files.watch(record.files());
    }
}

/// Puts into force what is in the node's documents and its store. Gives what the store holds too,
/// where it could be read.
pub(super) fn settle_all(
    control: &Runtime,
    store: &NodeStore,
    settling: &Settling<'_>,
    mut draft: Draft,
    last_good: &LastGood,
) -> (Option<Snapshot>, Result<Settled, Failure>) {
    let snapshot = match control.block_on(store.snapshot()) {
        Ok(snapshot) => snapshot,
        Err(error) => return (None, Err(Failure::new(error.to_string()))),
    };
    stores::add(&mut draft, &snapshot);
    let settled = settling.settle(draft, last_good);
    (Some(snapshot), settled)
}

/// Does what no request waits for, once that is in force: keeps it for a start without the store,
/// and gives what the next change is judged by.
pub(super) fn stand_all(
    store: &NodeStore,
    settling: &Settling<'_>,
    snapshot: Option<&Snapshot>,
    outcome: &mut Result<Settled, Failure>,
    last_good: &mut LastGood,
) -> (Option<Ledger>, Option<Pages>) {
    let (Some(snapshot), Ok(settled)) = (snapshot, outcome) else { return (None, None) };
    let standing = settling.stand(settled, last_good);
    let stand_ins = (settling.on_invalid == OnInvalid::Quarantine).then_some(&*last_good);
    store.keep(snapshot, stand_ins);
    standing
}

/// Has the memory given back that a whole configuration took on its way. The allocator gives back
/// what was freed a second ago whenever a thread ends, and else only while memory is asked for: a
/// node that has just started may be idle.
pub(super) fn give_back(control: &Runtime) {
    control.spawn(async {
        tokio::time::sleep(GIVE_BACK_AFTER).await;
        let thread = std::thread::Builder::new().name("give-back".to_owned());
        // It asks for some, or it would not be known to the allocator. Without a thread nothing is
        // given back until there is more to do.
        drop(thread.spawn(|| drop(std::hint::black_box(Box::new(0_u8)))));
    });
}
