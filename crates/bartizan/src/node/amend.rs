//! A change of the store or of the document, taken by itself where that is possible.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{ObjectChange, Surroundings as _, System};
use bartizan_proxy::{Applied, Report};
use bartizan_store::{Change, Changes, Digest, OWN_COLLECTION};

use super::settle::Settled;
use super::stores::change_of;
use super::{Node, documents, look_at_all};
use crate::load;

/// How long after a change what is in force is kept for a start without the store, at least: with
/// many objects that costs more than the change.
const KEEP_AFTER: Duration = Duration::from_secs(1);
/// The same, at most.
const KEEP_AFTER_MAX: Duration = Duration::from_secs(30);
/// How many times as long as keeping takes it waits, so that changes without end cost little by it.
const KEEP_SHARE: u32 = 20;

impl Node {
    /// Takes what the store tells of.
    pub(super) fn take(&mut self, changes: &Changes) {
        let is_taken = match changes {
            Changes::Some { revision, objects } => {
                let is_own = |change: &&Change| change.key.collection() == OWN_COLLECTION;
                let resources: Vec<ObjectChange> =
                    objects.iter().filter(|change| !is_own(change)).map(change_of).collect();
                if resources.is_empty() {
                    // Of what is no resource nobody here reads anything.
                    self.seen = *revision;
                    return;
                }
                self.amend(*revision, &resources)
            }
            Changes::Anew(_) => false,
        };
        if !is_taken {
            self.reload(&[]);
        }
    }

    /// Puts a change into force; false where everything has to be judged.
    fn amend(&mut self, revision: u64, changes: &[ObjectChange]) -> bool {
        let limit = self.config.limits.document.0;
        // A node file that was changed is read first.
        if self.record.differs(&self.config.path, limit) {
            return false;
        }
        let known = self.record.len();
        let Some(applied) = self.apply(changes, HashMap::new()) else { return false };
        self.seen = revision;
        if self.record.len() != known {
            self.files.watch(self.record.files());
        }
        let after = keep_after(self.keep_cost);
        self.keep_at.get_or_insert_with(|| tokio::time::Instant::now() + after);
        self.tell_amended(applied);
        true
    }

    /// Reads the files again, of which some may have changed; a document where it did.
    pub(super) fn read_again(&mut self, changed: &[PathBuf]) {
        if !self.turn(changed) {
            self.reload(changed);
        }
    }

    /// Puts a change of the document into force; false where everything has to be read.
    pub(super) fn turn(&mut self, changed: &[PathBuf]) -> bool {
        let limit = self.config.limits.document.0;
        let Some(path) = documents(&self.config).map(Path::to_owned) else { return false };
        let others = self.record.files().into_iter().filter(|file| file.path != path);
        let is_other = others.into_iter().any(|file| self.record.differs(&file.path, limit));
        let Some((ledger, pages)) = self.ledger.as_ref().zip(self.pages.as_ref()) else {
            return false;
        };
        let Ok(bytes) = System.file(&path, limit) else { return false };
        let digest = Digest::of(&bytes);
        let Ok(text) = String::from_utf8(bytes) else { return false };
        if is_other || pages.is(&text) && changed.is_empty() {
            return false;
        }
        // Another file with the same text is no change.
        if !pages.is(&text) {
            let Some(mut turn) = pages.turn(&text, ledger) else { return false };
            let between = std::mem::take(&mut turn.between);
            let Some(applied) = self.apply(&turn.changes, between) else { return false };
            if let Some(pages) = &mut self.pages {
                pages.keep(turn, text);
            }
            self.tell_amended(applied);
        }
        self.record.replace(&path, digest);
        self.files.watch(self.record.files());
        true
    }

    /// Judges and compiles changes by themselves.
    fn apply(
        &mut self,
        changes: &[ObjectChange],
        between: HashMap<Arc<str>, [Option<Arc<str>>; 2]>,
    ) -> Option<Applied> {
        let ledger = self.ledger.as_mut()?;
        let amended = ledger.amend(&load::loader(&self.record), changes);
        let applied = amended.and_then(|mut amendment| {
            self.overrides.resources(&mut amendment.put);
            amendment.between = between;
            self.gateway.amend(&amendment)
        });
        match applied {
            Some(_) => ledger.keep(),
            None => ledger.restore(),
        }
        look_at_all(&self.record, &self.gateway, self.config.limits.document.0);
        let mut applied = applied?;
        self.remember_some(changes, &mut applied.report);
        Some(applied)
    }

    /// Keeps what is said of the routes that a change touches, as [`Node::remember`] does of all.
    fn remember_some(&mut self, changes: &[ObjectChange], report: &mut Report) {
        if self.admin.is_none() {
            return;
        }
        let routes = changes.iter().filter(|change| &*change.name.collection == "routes");
        let gone = routes.filter(|change| change.content.is_none());
        let gone: HashSet<&str> = gone.map(|change| &*change.name.id).collect();
        let touched = std::mem::take(&mut report.routes).into_iter();
        let touched: HashMap<Arc<str>, _> =
            touched.map(|route| (Arc::clone(&route.id), Arc::new(route))).collect();
        self.board.amend(&gone, touched);
    }

    fn tell_amended(&mut self, applied: Applied) {
        // A ledger is kept only while nothing is in quarantine.
        let (quarantined, names, aside) = <_>::default();
        self.tell(&Ok(Settled { applied, quarantined, names, aside, origin: None }));
    }

    /// Keeps what is in force for a start without the store, where that is due.
    pub(super) fn keep(&mut self) {
        if self.keep_at.take().is_none() || !self.store.keeps() {
            return;
        }
        // Without one the store may hold what is at fault, and whoever put the rest into force has
        // kept what stands for it.
        let Some(ledger) = &self.ledger else { return };
        // Of what came meanwhile nobody has judged anything: what is in force is kept, whatever the
        // store holds and whether it can be read.
        let begun = std::time::Instant::now();
        let now = self.control.block_on(self.store.snapshot()).ok();
        self.store.keep_in_force(ledger, self.seen, now.as_ref());
        self.keep_cost = begun.elapsed();
    }
}

/// How long after a change it is kept, if the last time took so long.
fn keep_after(cost: Duration) -> Duration {
    cost.saturating_mul(KEEP_SHARE).clamp(KEEP_AFTER, KEEP_AFTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_to_keep_is_kept_less_often() {
        for (cost, after) in
            [(0, 1_000), (50, 1_000), (51, 1_020), (1_500, 30_000), (2_000, 30_000)]
        {
            assert_eq!(keep_after(Duration::from_millis(cost)), Duration::from_millis(after));
        }
    }
}
