//! What a worker has for itself, and what all workers share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bartizan_audit::{AccessWriter, AuditLog, Redactor};
use bartizan_chain::NodeFacts;
use bartizan_core::IdSource;
use bartizan_core::metrics::SharedMetrics;
use bartizan_net::Client;
use bartizan_wire::{HeadLimits, PathPolicy};
use bytes::Bytes;
use ipnet::IpNet;
use tokio::sync::watch;

use crate::admission::Admission;
use crate::exchange::ResponseLimits;
use crate::links::Links;
use crate::piece::Scratch;
use crate::snapshot::Snapshot;
use crate::splice::Pipes;
use crate::tally::Tally;
use crate::upstream::{Dial, Pool};

/// What the workers of a node share.
pub(crate) struct Shared {
    pub(crate) node: Arc<NodeFacts>,
    /// The configuration in force; `None` until there was a valid one.
    pub(crate) snapshot: ArcSwapOption<Snapshot>,
    pub(crate) metrics: SharedMetrics,
    pub(crate) audit: AuditLog,
    /// What events must not show; it knows the fields that carry credentials on this node.
    pub(crate) redactor: Arc<ArcSwap<Redactor>>,
    /// The port of the first listener with TLS, for redirects to https.
    pub(crate) https_port: OnceLock<u16>,
    pub(crate) admission: Admission,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) path_policy: PathPolicy,
    pub(crate) head_limits: HeadLimits,
    pub(crate) response_limits: ResponseLimits,
    /// True once the node is shutting down.
    pub(crate) draining: watch::Receiver<bool>,
    /// The same for those who ask at every request.
    pub(crate) is_draining: AtomicBool,
}

/// One event loop and what belongs to it alone.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pool: Pool,
    /// Connections over HTTP/2.
    pub(crate) links: Links,
    pub(crate) scratch: Scratch,
    pub(crate) pipes: Pipes,
    pub(crate) dialer: Box<dyn Dial>,
    /// What plugins ask other servers with.
    pub(crate) http: Rc<Client>,
    pub(crate) access: Option<RefCell<AccessWriter>>,
    /// The second of the last `Date`, and its text.
    pub(crate) date: RefCell<(u64, Bytes)>,
    pub(crate) ids: IdSource,
    pub(crate) tally: Tally,
    /// Requests being served on this worker.
    pub(crate) busy: Cell<usize>,
}

/// How often a worker does its housekeeping.
const TICK: Duration = Duration::from_millis(100);
/// After so many, a minute, the longest pause is measured anew.
const PAUSE_TICKS: u32 = 600;

impl Worker {
    /// Closes idle upstream connections, hands over the access log, and measures pauses: whoever
    /// comes late was held up by something that ran too long.
    pub(crate) async fn keep_house(&self) {
        let mut due = tokio::time::Instant::now() + TICK;
        let mut ticks = 0_u32;
        loop {
            tokio::time::sleep_until(due).await;
            let now = tokio::time::Instant::now();
            let late = i64::try_from((now - due).as_micros()).unwrap_or(i64::MAX);
            let pause = &self.shared.metrics.loop_pause;
            if late > pause.get() || ticks.is_multiple_of(PAUSE_TICKS) {
                pause.set(late);
            }
            due = now + TICK;
            self.tally.flush(&self.shared.metrics);
            if let Some(access) = &self.access {
                access.borrow_mut().tick(self.shared.node.clock.now());
            }
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(10) {
                self.pool.sweep();
                self.links.sweep();
                self.http.sweep();
            }
        }
    }

    /// The time as a `Date` field says it (RFC 9110 §5.6.7), written once a second.
    pub(crate) fn date(&self) -> Bytes {
        let now = self.shared.node.clock.now().as_secs();
        let mut date = self.date.borrow_mut();
        if date.0 != now {
            let time = std::time::UNIX_EPOCH + Duration::from_secs(now);
            *date = (now, Bytes::from(httpdate::fmt_http_date(time)));
        }
        date.1.clone()
    }

    /// True once the node is shutting down.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.is_draining.load(Ordering::Relaxed)
    }
}
