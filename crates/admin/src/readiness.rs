//! Whether the node can serve, and what of its configuration it serves.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bartizan_core::Timestamp;
use serde_json::{Value, json};

/// Longest text of diagnostics that is kept.
const DIAGNOSTICS_MAX: usize = 16 * 1_024;
/// Most quarantined objects that are named; their number is always exact.
const QUARANTINED_MAX: usize = 100;

#[derive(Debug, Default)]
struct State {
    /// The configuration that is served, counted from 1; `None` before the first.
    generation: Option<u64>,
    loaded_at: Option<Timestamp>,
    refused: Option<(Timestamp, String)>,
    quarantined: Vec<String>,
    quarantined_count: usize,
    is_draining: bool,
}

/// The node's readiness: told by whoever loads configurations and shuts down, read by the status
/// listener. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<RwLock<State>>);

impl Readiness {
    /// A node that has no configuration yet and is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// A configuration is served from now on, except for the objects in quarantine.
    pub fn loaded(&self, generation: u64, at: Timestamp, quarantined: Vec<String>) {
        let mut state = self.write();
        state.generation = Some(generation);
        state.loaded_at = Some(at);
        state.refused = None;
        state.quarantined_count = quarantined.len();
        state.quarantined = quarantined;
        state.quarantined.truncate(QUARANTINED_MAX);
    }

    /// A configuration was refused; if there was one before, it is served still.
    pub fn refused(&self, at: Timestamp, diagnostics: &str) {
        let text = diagnostics.get(..diagnostics.floor_char_boundary(DIAGNOSTICS_MAX));
        self.write().refused = Some((at, text.unwrap_or_default().to_owned()));
    }

    /// The node shuts down: no more requests should be sent to it.
    pub fn draining(&self) {
        self.write().is_draining = true;
    }

    /// True if the node has a configuration and does not shut down.
    pub fn is_ready(&self) -> bool {
        self.read().is_ready()
    }

    /// The objects in quarantine, at most a hundred.
    pub fn quarantined(&self) -> Vec<String> {
        self.read().quarantined.clone()
    }

    /// Everything, as `/readyz` tells it, and whether the node is ready.
    pub fn report(&self) -> (bool, Value) {
        let state = self.read();
        let refused = state.refused.as_ref();
        let report = json!({
            "ready": state.is_ready(),
            "generation": state.generation,
            "loaded_at": state.loaded_at.map(Timestamp::to_rfc3339),
            "last_error": refused.map(|(_, text)| text),
            "last_error_at": refused.map(|(at, _)| at.to_rfc3339()),
            "quarantined": state.quarantined,
            "quarantined_count": state.quarantined_count,
            "draining": state.is_draining,
        });
        (state.is_ready(), report)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_ready(&self) -> bool {
        self.generation.is_some() && !self.is_draining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

    #[test]
    fn a_node_is_ready_between_its_first_configuration_and_its_end() {
        let readiness = Readiness::new();
        assert!(!readiness.is_ready());
        readiness.refused(NOON, "no route `a`");
        assert!(!readiness.is_ready());
        readiness.loaded(1, NOON, Vec::new());
        assert!(readiness.is_ready());
        readiness.refused(NOON, "no route `b`");
        assert!(readiness.is_ready(), "the configuration before is served still");
        readiness.draining();
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_configuration_that_loads_clears_the_error() {
        let readiness = Readiness::new();
        readiness.refused(NOON, "broken");
        assert_eq!(readiness.report().1["last_error"], "broken");
        assert_eq!(readiness.report().1["last_error_at"], "2023-11-14T22:13:20.000Z");
        readiness.loaded(2, NOON, vec!["route `a`".to_owned()]);
        let expected = json!({
            "ready": true, "generation": 2, "loaded_at": "2023-11-14T22:13:20.000Z",
            "last_error": null, "last_error_at": null, "quarantined": ["route `a`"],
            "quarantined_count": 1, "draining": false,
        });
        assert_eq!(readiness.report(), (true, expected));
    }

    #[test]
    fn a_report_is_bounded() {
        let readiness = Readiness::new();
        readiness.loaded(1, NOON, vec!["route".to_owned(); 5_000]);
        readiness.refused(NOON, &"é".repeat(50_000));
        let (_, report) = readiness.report();
        assert_eq!(report["quarantined_count"], 5_000);
        assert!(report.to_string().len() < 20 * 1_024);
    }
}
