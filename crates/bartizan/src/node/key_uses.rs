//! Telling the store when keys of callers were used, so that every node of it knows.
//!
//! That is done once an hour and when the node ends, in one write, and only where there is news: no
//! request waits for it, and nothing is compiled anew.

use std::sync::Arc;
use std::time::Duration;

use bartizan_admin::callers::{FindUse, SharedUses};
use bartizan_chain::KeyUses;
use bartizan_core::Clock;
use bartizan_store::StoreError;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::stores::NodeStore;

/// How often the store is told.
const SHARE: Duration = Duration::from_secs(3_600);
/// How often it is tried while other nodes write too.
const TRIES: usize = 3;
/// How long it is waited for what others wrote.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for the store when the node ends.
const PATIENCE: Duration = Duration::from_secs(2);

/// The uses of keys on this node, and the store that is told.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    pub(super) store: Arc<NodeStore>,
    pub(super) uses: KeyUses,
    pub(super) clock: Clock,
}

impl Sharing {
    /// Tells the store again and again.
    pub(super) async fn run(self) {
        let mut told = None;
        loop {
            sleep(SHARE).await;
            let failed = self.share().await.err().map(|error| error.to_string());
            if let Some(error) = failed.as_ref().filter(|_| failed != told) {
                tracing::warn!("the store does not learn when keys were used: {error}");
            }
            told = failed;
        }
    }

    /// Tells the store for the last time, if it takes it soon.
    pub(super) async fn finish(&self) {
        match timeout(PATIENCE, self.share()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!("the store does not learn when keys were used: {error}");
            }
            Err(_) => tracing::warn!("the store does not learn in time when keys were used"),
        }
    }

    /// Tells the store what it does not know.
    async fn share(&self) -> Result<(), StoreError> {
        let mut nth = 0;
        loop {
            nth += 1;
            let snapshot = self.store.snapshot().await?;
            let (uses, now) = (self.uses.clone(), self.clock.now());
            // With many keys it takes a while.
            let news = spawn_blocking(move || {
                let uses: FindUse = Arc::new(move |digest| uses.last(digest));
                SharedUses::news(&snapshot, &uses, now)
            });
            let news = news.await.map_err(|error| StoreError::Broken(error.to_string()))?;
            let Some(commit) = news else { return Ok(()) };
            match self.store.commit(commit).await {
                Err(StoreError::Conflict { .. }) if nth < TRIES => sleep(PAUSE).await,
                told => return told.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bartizan_core::metrics::SharedMetrics;
    use bartizan_core::{ManualClock, Timestamp};
    use bartizan_plugins::Catalogue;
    use bartizan_store::{Expect, Key, Object, USES_KEY};
    use serde_json::{Value, json};
    use tokio::runtime::Handle;

    use super::*;

    /// A database with a key whose digest is all ones.
    async fn store(folder: &Path) -> Arc<NodeStore> {
        let text = "\
listeners: [{ address: \"127.0.0.1:0\" }]
store: { embedded: { path: store, history: 4 } }
";
        let loader = bartizan_config::Loader::new(&Catalogue);
        let loaded = loader.node_text(&folder.join("bartizan.yaml"), text).unwrap();
        let metrics = SharedMetrics::default();
        let clock = Clock::System;
        let store = NodeStore::open(&loaded.node, &clock, &metrics, &Handle::current());
        let store = store.unwrap_or_else(|failure| panic!("{failure:?}"));
        let plugin =
            json!({ "hash": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "hash_key": "h" });
        let value = json!({ "id": "k", "plugins": { "key-auth": plugin } });
        let key = Key::parse("consumers/alice/credentials/k").unwrap();
        let content = Some(value.to_string().into_bytes().into());
        let write = bartizan_store::Write { key, content, expect: Expect::Anything };
        let commit = bartizan_store::Commit { author: "a test".into(), writes: vec![write] };
        store.commit(commit).await.unwrap();
        Arc::new(store)
    }

    async fn told(store: &NodeStore) -> Option<Value> {
        let key = Key::parse(USES_KEY).unwrap();
        store.snapshot().await.unwrap().get(&key).and_then(Object::value)
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_told_once_an_hour_where_there_is_news_and_its_log_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let clock = ManualClock::at(Timestamp::from_secs(7_200));
        let uses = KeyUses::default();
        let sharing = Sharing {
            store: Arc::clone(&store),
            uses: uses.clone(),
            clock: Clock::Manual(clock.clone()),
        };
        let task = tokio::spawn(sharing.clone().run());
        let before = store.snapshot().await.unwrap().revision;
        uses.note(&[1; 32], 7_300);
        uses.note(&[2; 32], 7_300);
        sleep(SHARE.saturating_sub(Duration::from_secs(1))).await;
        assert_eq!(told(&store).await, None);
        let mut revisions = store.changed(before).await.revision();
        assert_eq!(told(&store).await, Some(json!({ "hours": { "2": "AQEBAQEBAQE=" } })));
        // Nothing new is nothing to write.
        sleep(3 * SHARE).await;
        assert_eq!(store.snapshot().await.unwrap().revision, revisions);
        for hour in 3..9 {
            clock.advance(SHARE);
            uses.note(&[1; 32], hour * 3_600 + 5);
            revisions = store.changed(revisions).await.revision();
            let hours = json!({ "hours": { hour.to_string(): "AQEBAQEBAQE=" } });
            assert_eq!(told(&store).await, Some(hours));
        }
        // The log of four entries still holds what people wrote.
        let NodeStore::Embedded(embedded) = &*store else { panic!("a database") };
        let written = bartizan_store::Store::written(&**embedded, 10).await.unwrap();
        let written: Vec<_> = written.iter().map(|(key, _)| key.to_string()).collect();
        assert_eq!(written, ["consumers/alice/credentials/k"]);
        task.abort();
        // The last uses are told at the end.
        clock.advance(SHARE);
        uses.note(&[1; 32], 9 * 3_600);
        sharing.finish().await;
        let hours = json!({ "hours": { "9": "AQEBAQEBAQE=" } });
        assert_eq!(told(&store).await, Some(hours));
    }
}
