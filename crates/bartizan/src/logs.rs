//! The logs of a node, as the node file wants them.

use std::time::Duration;

use bartizan_audit::{
    AccessLog, AccessOptions, AuditLog, AuditOptions, Event, EventKind, OnFull, OpenError, Target,
};
use bartizan_config::{NodeConfig, OnFull as ConfiguredOnFull, Sink};
use bartizan_core::Clock;
use bartizan_core::metrics::SharedMetrics;

use crate::failure::{Failure, plain};

/// How long a log may take to be written out at the end.
const CLOSE: Duration = Duration::from_secs(5);

/// The audit log and the access log.
#[derive(Clone, Debug)]
pub(crate) struct Logs {
    /// Refusals, errors and changes of the node.
    pub(crate) audit: AuditLog,
    /// Every request; `None` if the node writes none.
    pub(crate) access: Option<AccessLog>,
    /// The time that they are written with.
    pub(crate) clock: Clock,
}

impl Logs {
    /// Opens the sinks.
    pub(crate) fn open(node: &NodeConfig, metrics: &SharedMetrics) -> Result<Self, Failure> {
        let sinks = targets(&node.audit.sinks);
        let mut options = AuditOptions::new(sinks, &node.limits, metrics.clone());
        options.on_full = match node.audit.on_full {
            ConfiguredOnFull::Count => OnFull::Count,
            ConfiguredOnFull::Deny => OnFull::Deny,
        };
        let audit = AuditLog::open(options).map_err(|error| not_open("audit log", &error))?;
        let sinks = &node.access_log.sinks;
        let access = (!sinks.is_empty()).then(|| {
            AccessLog::open(AccessOptions::new(targets(sinks), &node.limits, metrics.clone()))
                .map_err(|error| not_open("access log", &error))
        });
        Ok(Self { audit, access: access.transpose()?, clock: Clock::System })
    }

    /// Logs that are written nowhere, to compile a configuration with.
    pub(crate) fn nowhere(node: &NodeConfig, metrics: &SharedMetrics) -> Result<Self, Failure> {
        let targets = vec![Target::Writer(Box::new(std::io::sink()))];
        let options = AuditOptions::new(targets, &node.limits, metrics.clone());
        let audit = AuditLog::open(options).map_err(|error| not_open("audit log", &error))?;
        Ok(Self { audit, access: None, clock: Clock::System })
    }

    /// Records something that happened to the node itself.
    pub(crate) fn tell(&self, kind: EventKind, detail: String) {
        let mut event = Event::new(kind, self.clock.now());
        event.detail = Some(detail.into());
        self.audit.record(event);
    }

    /// Opens the files anew, after they were moved away.
    pub(crate) fn reopen(&self) {
        self.audit.reopen();
        if let Some(access) = &self.access {
            access.reopen();
        }
        tracing::info!("log files are opened anew");
    }

    /// Writes out what waits.
    pub(crate) fn close(self) {
        if let Some(Err(error)) = self.access.map(|access| access.close(CLOSE)) {
            tracing::error!(%error, "the access log is not complete");
        }
        if let Err(error) = self.audit.close(CLOSE) {
            tracing::error!(%error, "the audit log is not complete");
        }
    }
}

fn targets(sinks: &[Sink]) -> Vec<Target> {
    sinks
        .iter()
        .map(|sink| match sink {
            Sink::Stdout => Target::Stdout,
            Sink::File { path } => Target::File(path.clone()),
        })
        .collect()
}

fn not_open(log: &str, error: &OpenError) -> Failure {
    match error {
        OpenError::File { path, source } => {
            let folder = path.parent().unwrap_or(path).display();
            Failure::new(format!(
                "the {log} cannot be written to `{}`: {}",
                path.display(),
                plain(source)
            ))
            .with_help(format!("the folder `{folder}` must be there and writable by this user"))
        }
        other => Failure::new(format!("the {log} cannot be opened: {other}")),
    }
}
