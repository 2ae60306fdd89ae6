//! Secret managers that answer as the real ones do, over streams in memory and a clock that tests
//! move.

mod aws;
mod gcp;
mod vault;

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{Keeper, Place, SecretFault, SecretManager, SecretName, SourceId};
use bartizan_core::Clock;
use bartizan_core::metrics::SharedMetrics;
use bartizan_secrets::{Managers, ManagersSettings};
use bartizan_testkit::Remotes;
use tokio::time::Instant;

const REFRESH: Duration = Duration::from_secs(300);
const STALE: Duration = Duration::from_secs(3_600);

fn manager(id: &str, keeper: Keeper) -> SecretManager {
    SecretManager {
        id: id.into(),
        keeper,
        ca_certs: None,
        refresh: REFRESH,
        stale_max: STALE,
        timeout: Duration::from_secs(5),
        place: Place { source: SourceId(0), start: 0, end: 0 },
    }
}

fn assert_says(outcome: Result<String, String>, words: &str) {
    let problem = outcome.expect_err("no value");
    assert!(problem.contains(words), "{problem}");
}

/// A configuration that refers to secrets of one manager.
struct Asking {
    managers: Managers,
    metrics: SharedMetrics,
    manager: Arc<SecretManager>,
}

impl Asking {
    fn of(manager: SecretManager, remotes: &Remotes) -> Self {
        let metrics = SharedMetrics::default();
        let managers = Managers::new(ManagersSettings {
            reach: Arc::new(remotes.clone()),
            clock: Clock::System,
            metrics: metrics.clone(),
        });
        Self { managers, metrics, manager: Arc::new(manager) }
    }

    /// What the node does: judges, fetches what is missing, judges again.
    async fn value(&self, path: &str, key: Option<&str>) -> Result<String, String> {
        let manager = Arc::clone(&self.manager.id);
        let name = SecretName { manager, path: path.into(), key: key.map(Into::into) };
        loop {
            match self.managers.value(&self.manager, &name) {
                Ok(value) => return Ok(value),
                Err(SecretFault::Refused(why)) => return Err(why),
                Err(SecretFault::NotFetched) => assert!(self.managers.fetch().await),
            }
        }
    }

    /// Waits until a value is another one; how long that took.
    async fn changed(&self, since: u64) -> Duration {
        let begin = Instant::now();
        self.managers.changed(since).await;
        begin.elapsed()
    }
}
