//! Names to addresses, remembered for a short while.
//!
//! The system's resolver does the work, so that `/etc/hosts`, search domains and whatever else the
//! machine is set up with hold here too. It does not tell the time to live, so answers are kept for
//! ten seconds and failures for one. However many ask, one look-up runs for a name.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::ops::Deref;
use std::pin::Pin;
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;

/// The most names that are remembered.
pub const NAMES_MAX: usize = 4_096;
/// The most addresses of one name that are used.
pub const ADDRESSES_MAX: usize = 16;

/// The most look-ups that run at once; each holds a thread while it runs.
const LOOK_UPS_MAX: usize = 32;
const ANSWER_TTL: Duration = Duration::from_secs(10);
const FAILURE_TTL: Duration = Duration::from_secs(1);

/// An answer on its way.
pub type LookUpFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Where addresses come from.
pub trait LookUp: fmt::Debug + Send + Sync {
    /// The addresses of `host`, the preferred one first.
    fn look_up(&self, host: &str) -> LookUpFuture;
}

/// The system's resolver, asked on the blocking threads of a runtime.
#[derive(Debug)]
pub struct SystemLookUp {
    runtime: Handle,
    slots: Arc<Semaphore>,
}

impl SystemLookUp {
    /// Asks on the blocking threads of `runtime`.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, slots: Arc::new(Semaphore::new(LOOK_UPS_MAX)) }
    }
}

impl LookUp for SystemLookUp {
    fn look_up(&self, host: &str) -> LookUpFuture {
        let (runtime, slots) = (self.runtime.clone(), Arc::clone(&self.slots));
        let host = host.to_owned();
        Box::pin(async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            // The slot belongs to the thread: who stops waiting does not stop the look-up.
            let look_up = move || {
                let _slot = slot;
                let found = (host.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            };
            runtime.spawn_blocking(look_up).await.map_err(io::Error::other)?
        })
    }
}

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` cannot be resolved: {cause}")]
pub struct ResolveError {
    /// The name.
    pub host: Arc<str>,
    /// What the resolver says.
    pub cause: Arc<str>,
}

/// The addresses of a name, at least one, the preferred one first.
#[derive(Clone, Debug)]
pub enum Addresses {
    /// The name was an address.
    Literal(IpAddr),
    /// The name was resolved.
    Resolved(Arc<[IpAddr]>),
}

impl Deref for Addresses {
    type Target = [IpAddr];

    fn deref(&self) -> &[IpAddr] {
        match self {
            Self::Literal(address) => slice::from_ref(address),
            Self::Resolved(addresses) => addresses,
        }
    }
}

#[derive(Debug)]
struct Answer {
    found: Result<Arc<[IpAddr]>, ResolveError>,
    until: Instant,
}

type Entry = OnceCell<Answer>;

/// Resolves names; one per process, shared by its workers.
#[derive(Debug)]
pub struct Resolver {
    source: Arc<dyn LookUp>,
    entries: Mutex<HashMap<Box<str>, Arc<Entry>, RandomState>>,
}

impl Resolver {
    /// A resolver that asks `source`.
    pub fn new(source: Arc<dyn LookUp>) -> Self {
        Self { source, entries: Mutex::default() }
    }

    /// A resolver that asks the system on the blocking threads of `runtime`.
    pub fn system(runtime: Handle) -> Self {
        Self::new(Arc::new(SystemLookUp::new(runtime)))
    }

    /// The addresses of `host`, which may be an address itself, in brackets or not. The caller
    /// bounds the time.
    pub async fn resolve(&self, host: &str) -> Result<Addresses, ResolveError> {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse() {
            return Ok(Addresses::Literal(address));
        }
        let entry = self.entry(host);
        // If whoever asks first goes away, the next one who waits asks in its place.
        let answer = entry.get_or_init(|| self.ask(host)).await;
        answer.found.clone().map(Addresses::Resolved)
    }

    fn entry(&self, host: &str) -> Arc<Entry> {
        let now = Instant::now();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(host).filter(|entry| is_fresh(entry, now)) {
            return Arc::clone(entry);
        }
        if entries.len() >= NAMES_MAX && !entries.contains_key(host) {
            entries.retain(|_, entry| entry.initialized() && is_fresh(entry, now));
            let victim = (entries.len() >= NAMES_MAX).then(|| entries.keys().next().cloned());
            if let Some(victim) = victim.flatten() {
                entries.remove(&victim);
            }
        }
        let entry = Arc::new(Entry::new());
        entries.insert(host.into(), Arc::clone(&entry));
        entry
    }

    async fn ask(&self, host: &str) -> Answer {
        let failed = |cause: &str| Err(ResolveError { host: host.into(), cause: Arc::from(cause) });
        let found = match self.source.look_up(host).await {
            Ok(mut addresses) => {
                addresses.truncate(ADDRESSES_MAX);
                if addresses.is_empty() {
                    failed("it has no address")
                } else {
                    Ok(addresses.into())
                }
            }
            Err(error) => failed(&error.to_string()),
        };
        let ttl = if found.is_ok() { ANSWER_TTL } else { FAILURE_TTL };
        Answer { found, until: Instant::now() + ttl }
    }
}

/// True for an answer that still holds and for one that is on its way.
fn is_fresh(entry: &Entry, now: Instant) -> bool {
    entry.get().is_none_or(|answer| answer.until > now)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio::time::{advance, timeout};

    use super::*;

    /// Answers with one address, or fails for names that begin with `no`; counts.
    #[derive(Debug, Default)]
    struct Counting {
        asked: AtomicUsize,
        gate: Option<Arc<Notify>>,
    }

    impl LookUp for Counting {
        fn look_up(&self, host: &str) -> LookUpFuture {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let (gate, fails) = (self.gate.clone(), host.starts_with("no"));
            Box::pin(async move {
                if let Some(gate) = gate {
                    gate.notified().await;
                }
                let address = IpAddr::from([192, 0, 2, 1]);
                if fails { Err(io::Error::other("unknown")) } else { Ok(vec![address; 40]) }
            })
        }
    }

    fn resolver(gate: Option<Arc<Notify>>) -> (Arc<Counting>, Resolver) {
        let source = Arc::new(Counting { gate, ..Counting::default() });
        let resolver = Resolver::new(Arc::clone(&source) as _);
        (source, resolver)
    }

    #[tokio::test]
    async fn addresses_are_not_looked_up() {
        let (source, resolver) = resolver(None);
        for (host, expected) in
            [("10.0.0.1", "10.0.0.1"), ("[::1]", "::1"), ("2001:db8::1", "2001:db8::1")]
        {
            let found = resolver.resolve(host).await.unwrap();
            assert_eq!(*found, [expected.parse::<IpAddr>().unwrap()]);
        }
        assert_eq!(source.asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_hold_ten_seconds_and_failures_one() {
        for (host, ttl) in [("a.example", 10), ("no.example", 1)] {
            let (source, resolver) = resolver(None);
            let _ = resolver.resolve(host).await;
            advance(Duration::from_millis(ttl * 1_000 - 1)).await;
            let _ = resolver.resolve(host).await;
            assert_eq!(source.asked.load(Ordering::Relaxed), 1, "{host}");
            advance(Duration::from_millis(1)).await;
            let _ = resolver.resolve(host).await;
            assert_eq!(source.asked.load(Ordering::Relaxed), 2, "{host}");
        }
    }

    #[tokio::test]
    async fn a_failure_names_host_and_cause() {
        let (_, resolver) = resolver(None);
        let error = resolver.resolve("no.example").await.unwrap_err();
        assert_eq!(error.to_string(), "`no.example` cannot be resolved: unknown");
    }

    #[tokio::test]
    async fn many_addresses_are_cut_to_the_limit() {
        let (_, resolver) = resolver(None);
        assert_eq!(resolver.resolve("a.example").await.unwrap().len(), ADDRESSES_MAX);
    }

    #[tokio::test]
    async fn many_who_ask_for_a_name_share_one_look_up() {
        let gate = Arc::new(Notify::new());
        let (source, resolver) = resolver(Some(Arc::clone(&gate)));
        let opener = async { gate.notify_one() };
        let ask = || async { resolver.resolve("a.example").await.is_ok() };
        let (a, b, c, ()) = tokio::join!(ask(), ask(), ask(), opener);
        assert!(a && b && c);
        assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_stops_waiting_leaves_the_name_to_the_next() {
        let gate = Arc::new(Notify::new());
        let (source, resolver) = resolver(Some(Arc::clone(&gate)));
        let impatient = timeout(Duration::from_secs(1), resolver.resolve("a.example")).await;
        assert!(impatient.is_err());
        gate.notify_one();
        assert!(resolver.resolve("a.example").await.is_ok());
        assert_eq!(source.asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn the_number_of_names_is_bounded() {
        let (_, resolver) = resolver(None);
        for i in 0..NAMES_MAX + 10 {
            resolver.resolve(&format!("h{i}.example")).await.unwrap();
        }
        assert_eq!(resolver.entries.lock().unwrap().len(), NAMES_MAX);
    }

    #[tokio::test]
    async fn the_system_knows_localhost() {
        let resolver = Resolver::system(Handle::current());
        let found = resolver.resolve("localhost").await.unwrap();
        assert!(found.iter().all(IpAddr::is_loopback));
    }
}
