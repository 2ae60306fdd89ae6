//! Operators for tests, of this crate and of what is built on them.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_audit::{AuditLog, AuditOptions, Target};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Limits, ManualClock, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use super::{Author, MadeKey, NewOperator, OperatorSettings, Operators, Rights};

pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// Operators with a book of their own, a clock that stands, and what they told.
pub(crate) struct Sample {
    pub(crate) operators: Operators,
    pub(crate) clock: ManualClock,
    pub(crate) folder: TempDir,
    pub(crate) audit: AuditLog,
    told: Told,
}

/// What was written into an audit log.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<u8>>>);

impl io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sample {
    pub(crate) fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap())
    }

    /// The operators of a book that is there already.
    pub(crate) fn within(folder: TempDir) -> Self {
        let clock = ManualClock::at(NOON);
        let told = Told::default();
        let target = Target::Writer(Box::new(told.clone()));
        let limits = Limits::default();
        let options = AuditOptions::new(vec![target], &limits, SharedMetrics::default());
        let audit = AuditLog::open(options).unwrap();
        let path = folder.path().join("keys");
        let settings = OperatorSettings {
            path: &path,
            clock: Clock::Manual(clock.clone()),
            audit: audit.clone(),
        };
        let operators = Operators::open(settings).unwrap();
        Self { operators, clock, folder, audit, told }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Makes a key with rights as they are written.
    pub(crate) fn key(&self, name: &str, rights: &Value) -> MadeKey {
        let rights: Rights = serde_json::from_value(rights.clone()).unwrap();
        let new = NewOperator { name: name.to_owned(), rights, lifetime: 90 * DAY };
        self.operators.create(&new, &author()).unwrap()
    }

    /// Every event until now. Nothing is told afterwards.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.audit.close(Duration::from_secs(10)).unwrap();
        let told = self.told.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::str::from_utf8(&told).unwrap().lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

pub(crate) fn author() -> Author {
    Author { name: "uid 0".into(), listener: "bartizan.sock".into() }
}
