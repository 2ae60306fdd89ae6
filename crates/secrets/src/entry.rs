//! What is known of one secret.

use std::time::Duration;

use bartizan_config::SecretManager;
use tokio::time::Instant;

use crate::document::Document;
use crate::fault::Fault;

/// After how long a secret that could not be had is asked for again, the first time; twice as long
/// each time after.
const AGAIN: Duration = Duration::from_secs(1);
/// And at most.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// What is known of one secret.
pub(crate) struct Entry {
    /// As it was last read, and when.
    good: Option<(Document, Instant)>,
    /// Why it could not be had the last time.
    fault: Option<Fault>,
    /// How often in a row.
    failures: u32,
    /// When it is asked for again.
    pub(crate) due: Instant,
    /// How long it is used while it cannot be had.
    stale_max: Duration,
    /// The configuration that was last judged refers to it.
    pub(crate) is_used: bool,
}

impl Entry {
    /// Nothing is known yet.
    pub(crate) fn new(manager: &SecretManager) -> Self {
        Self {
            good: None,
            fault: None,
            failures: 0,
            due: Instant::now(),
            stale_max: manager.stale_max,
            is_used: true,
        }
    }

    /// The value of a key, or of all of it, or why there is none.
    pub(crate) fn value(&self, key: Option<&str>) -> Result<String, String> {
        let Some((document, _)) = &self.good else {
            let fault = self.fault.as_ref().map(ToString::to_string);
            return Err(fault.unwrap_or_else(|| "it was not asked for".to_owned()));
        };
        document.value(key).map(str::to_owned).map_err(str::to_owned)
    }

    /// Whether it could not be had the last time.
    pub(crate) fn is_failing(&self) -> bool {
        self.fault.is_some()
    }

    /// When something has to be done about it.
    pub(crate) fn next(&self) -> Instant {
        let end = self.end().filter(|_| self.fault.is_some());
        end.map_or(self.due, |end| end.min(self.due))
    }

    fn end(&self) -> Option<Instant> {
        self.good.as_ref().map(|(_, at)| *at + self.stale_max)
    }

    /// Forgets what is too old; true if there was something.
    pub(crate) fn expire(&mut self) -> bool {
        let is_old = self.fault.is_some() && self.end().is_some_and(|end| end <= Instant::now());
        is_old && self.good.take().is_some()
    }

    /// Takes what came of asking; true if its values are others now.
    pub(crate) fn take(
        &mut self,
        outcome: Result<Document, Fault>,
        manager: &SecretManager,
    ) -> bool {
        let now = Instant::now();
        match outcome {
            Ok(document) => {
                let lease = document.lease.unwrap_or(manager.refresh).max(AGAIN);
                self.due = now + manager.refresh.min(lease);
                (self.fault, self.failures) = (None, 0);
                let before = self.good.replace((document, now)).map(|(document, _)| document);
                let new = self.good.as_ref().map(|(document, _)| document);
                before.as_ref().zip(new).is_none_or(|(before, new)| !before.is_like(new))
            }
            Err(fault) => {
                let pause = AGAIN * 2_u32.saturating_pow(self.failures.min(10));
                self.due = now + pause.min(AGAIN_MAX);
                self.failures = self.failures.saturating_add(1);
                let is_gone = fault.is_definite() && self.good.take().is_some();
                self.fault = Some(fault);
                is_gone || self.expire()
            }
        }
    }
}
