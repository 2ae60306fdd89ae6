//! What a node lends to plugins that reach beyond it: the network, TLS towards servers, and the
//! list of sinks that must be emptied before the node ends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bartizan_net::{NoReach, Reach};
use bartizan_tls::UpstreamConfigs;

/// How long a sink that was cut off is waited for, so that it can say what it lost.
const GRACE: Duration = Duration::from_secs(1);

/// The world outside, as plugins reach it.
pub struct Outside {
    /// Connections, datagrams, and tasks that run beside the requests.
    pub reach: Arc<dyn Reach>,
    /// TLS towards servers, shared by whatever says the same.
    pub tls: UpstreamConfigs,
    /// Sinks of logs that are at work.
    pub sinks: Sinks,
    /// The name of this machine, as logs tell it.
    pub hostname: Arc<str>,
}

impl Outside {
    /// The world outside by `reach`, of a machine of this name.
    pub fn new(reach: Arc<dyn Reach>, hostname: &str) -> Self {
        Self {
            reach,
            tls: UpstreamConfigs::default(),
            sinks: Sinks::default(),
            hostname: hostname.into(),
        }
    }
}

impl Default for Outside {
    /// Nothing can be reached.
    fn default() -> Self {
        Self::new(Arc::new(NoReach), "localhost")
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// Something beside the requests that holds what it has not handed over yet.
pub trait Sink: Send + Sync {
    /// Opens its file anew, if it has one.
    fn reopen(&self);
    /// Takes nothing more, and hands over what it has.
    fn close(&self);
    /// Waits until it has ended, or until then; tells whether it has. Blocks the calling thread.
    fn wait(&self, until: Instant) -> bool;
    /// Ends at once; what was not handed over is counted as lost.
    fn cut(&self);
}

/// The sinks of a node.
#[derive(Default)]
pub struct Sinks(Mutex<Vec<Weak<dyn Sink>>>);

impl Sinks {
    /// Notes a sink for as long as it is there.
    pub fn add<S: Sink + 'static>(&self, sink: &Arc<S>) {
        let weak = Arc::downgrade(sink);
        let mut sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.retain(|sink| sink.strong_count() > 0);
        sinks.push(weak);
    }

    /// Opens files anew.
    pub fn reopen(&self) {
        for sink in self.all() {
            sink.reopen();
        }
    }

    /// Lets every sink hand over what it has, for as long as `within`, and ends them. Blocks the
    /// calling thread; no request may be under way.
    pub fn close(&self, within: Duration) {
        let until = Instant::now() + within;
        let sinks = self.all();
        for sink in &sinks {
            sink.close();
        }
        let late: Vec<_> = sinks.into_iter().filter(|sink| !sink.wait(until)).collect();
        for sink in &late {
            sink.cut();
        }
        let until = Instant::now() + GRACE;
        for sink in late {
            if !sink.wait(until) {
                tracing::error!("a sink of a log does not end");
            }
        }
    }

    fn all(&self) -> Vec<Arc<dyn Sink>> {
        let sinks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.iter().filter_map(Weak::upgrade).collect()
    }
}
