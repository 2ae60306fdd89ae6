//! The keys of token issuers, fetched and kept: what signed tokens of a provider are verified with.
//!
//! One task on the control runtime fetches the keys of a provider, for all routes of the node that
//! say the same of it, and workers read through a watch what it found. It fetches when a
//! configuration that names it is compiled, again before the keys are due, and at once when a token
//! names a key that is not known: then whoever asks waits for the one fetch that is under way,
//! never for one of its own, and [`REFETCH_EVERY`] lies between two of them, however many names
//! clients invent.
//!
//! What a fetch finds replaces what was known, so that a key that the provider has withdrawn is
//! withdrawn here. A provider of which something else is said, such as a longer `timeout`, starts
//! with the keys of the one before it, at their age. A fetch that fails changes nothing until the
//! keys are too old; then there are none. Ages are measured by the monotonic clock, so that a jump
//! of the wall clock neither renews nor ends a key.

mod fetch;
mod metadata;
mod metrics;
mod refresh;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::CompileCx;
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::jose::{Header, KeySet, TokenFault, VerificationKey};
use crate::node_state::shared_metrics;
use crate::outgoing::{Guarded, Pem, guarded_endpoint};
use crate::waiting::{Crowded, Waiters};
use fetch::Fetcher;
pub(super) use metadata::{METADATA_MAX, MetadataFault, WELL_KNOWN, Wanted, servers, well_known};
use metrics::{Counts, KeyMetrics};

/// Least time between two fetches that tokens with unknown keys have caused.
const REFETCH_EVERY: Duration = Duration::from_secs(30);
/// Longest that a request waits for keys.
const WAIT_MOST: Duration = Duration::from_secs(3);
/// What the state of providers belongs to, beside the node.
const OWNER: &str = "jwks";

/// Where the keys of a provider are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Where the provider's metadata says (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).
    Discovery,
    /// At the address itself.
    KeySet,
}

/// A provider as configuration says it.
#[derive(Clone, Debug)]
pub(crate) struct ProviderSettings {
    /// What its tokens and its metadata name as the issuer.
    pub(crate) issuer: String,
    /// Other names that they may give to the same issuer.
    pub(crate) aliases: Vec<String>,
    /// What is at the address.
    pub(crate) source: Source,
    /// The field that the address was written in.
    pub(crate) key: &'static str,
    /// The address.
    pub(crate) address: String,
    /// Servers, as `host` or `host:port`, that metadata may point to beside its own.
    pub(crate) hosts: Vec<String>,
    /// The field that names them.
    pub(crate) hosts_key: &'static str,
    /// The authorities that may have signed its certificate; the system's where absent.
    pub(crate) ca_certs: Option<Pem>,
    /// Whether keys may come in clear from beyond this machine.
    pub(crate) danger_clear_http: bool,
    /// Time for one call.
    pub(crate) timeout: Duration,
    /// Longest time between two fetches.
    pub(crate) refresh: Duration,
    /// The age at which keys end that could not be fetched again.
    pub(crate) stale: Duration,
}

impl ProviderSettings {
    /// All that its tokens and its metadata may name as the issuer.
    pub(crate) fn names(&self) -> Vec<String> {
        std::iter::once(&self.issuer).chain(&self.aliases).cloned().collect()
    }
}

/// Why a provider has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lack {
    /// Nothing was fetched yet, or the provider has withdrawn all it had.
    #[error("no keys of the token's issuer are known")]
    Unknown,
    /// The last keys are too old.
    #[error("the keys of the token's issuer are older than `stale` permits")]
    Stale,
    /// There is no key of this name.
    #[error("no key fits the token's `kid` and algorithm")]
    Kid,
    /// There is no key of this name, and the provider could not be asked for it, or has not
    /// answered yet.
    #[error("no key fits the token's `kid`, and its issuer has not said that there are no more")]
    KidUnasked,
}

impl Lack {
    /// True where the token itself is at fault, as far as anybody knows.
    pub(crate) fn is_of_the_token(self) -> bool {
        self == Self::Kid
    }
}

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It may be there after a fetch; so many had ended.
    Lack(Lack, u64),
    /// The token cannot have a key.
    Token(TokenFault),
}

/// Whose keys they are, and who vouches for that: what is known of one provider holds for another
/// of the same.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    issuer: String,
    aliases: Vec<String>,
    source: Source,
    address: String,
    hosts: Vec<String>,
    ca_certs: Option<Pem>,
}

impl Origin {
    fn of(settings: &ProviderSettings) -> Self {
        let ProviderSettings { issuer, aliases, source, address, hosts, ca_certs, .. } =
            settings.clone();
        Self { issuer, aliases, source, address, hosts, ca_certs }
    }
}

/// What is known of a provider.
#[derive(Clone, Debug, Default)]
struct Known {
    keys: Option<Arc<KeySet>>,
    /// When the fetch began that brought them.
    fetched: Option<Instant>,
    /// How many fetches have ended.
    ended: u64,
    /// When the last one began.
    began: Option<Instant>,
    /// One is under way.
    is_fetching: bool,
    /// The last one failed.
    is_failing: bool,
}

/// What the handle, the task and the metrics share.
struct Shared {
    origin: Origin,
    refresh: Duration,
    known: watch::Sender<Known>,
    /// A token names a key that is not known.
    wanted: Notify,
    /// No configuration needs the provider any more.
    closed: Notify,
    counts: Counts,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A provider whose keys are kept up to date for as long as this is held.
#[derive(Debug)]
pub(crate) struct Provider {
    shared: Arc<Shared>,
    stale: Duration,
}

impl Provider {
    /// The provider of these settings: the one that is at work already, or a new one.
    pub(crate) fn of(
        settings: &ProviderSettings,
        cx: &CompileCx<'_>,
    ) -> Result<Arc<Self>, Invalid> {
        let guarded = Guarded {
            key: settings.key,
            address: &settings.address,
            ca_certs: settings.ca_certs.as_ref(),
            own: None,
            danger_clear_http: settings.danger_clear_http,
            problem: "keys of `{}` would come in clear",
            help: "use `https`: whoever can change keys can sign every token",
        };
        let (endpoint, target) = guarded_endpoint(&guarded, cx)?;
        let hosts = servers(settings.hosts_key, &settings.hosts)?;
        let metrics = shared_metrics(cx, OWNER, KeyMetrics::default);
        let reach = &cx.node.outside.reach;
        let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(OWNER) };
        let id = format!("provider {settings:?}");
        Ok(cx.node.registry.state(&node, OWNER, id, || {
            let fetcher = Fetcher::new(settings, endpoint, target, hosts, reach, &cx.node.limits);
            let (shared, stale) = (Shared::new(settings, &metrics), settings.stale);
            reach.spawn(Box::pin(refresh::run(shared.clone(), fetcher)));
            Self { shared, stale }
        }))
    }

    /// The key that a token with this header has to be verified with.
    pub(crate) fn choose(&self, header: &Header) -> Result<Arc<VerificationKey>, Absence> {
        let known = self.shared.known.borrow();
        let lack = |lack| Err(Absence::Lack(lack, known.ended));
        let (Some(keys), Some(fetched)) = (&known.keys, known.fetched) else {
            return lack(Lack::Unknown);
        };
        if fetched.elapsed() > self.stale {
            return lack(Lack::Stale);
        }
        match keys.choose(header) {
            Ok(key) => Ok(key.clone()),
            Err(TokenFault::NoKey) if header.kid().is_some() && known.is_behind() => {
                lack(Lack::KidUnasked)
            }
            Err(TokenFault::NoKey) if header.kid().is_some() => lack(Lack::Kid),
            Err(fault) => Err(Absence::Token(fault)),
        }
    }

    /// Waits for the fetch that may end a lack of which is known that `seen` fetches did not, if
    /// there is one, or may be one now. False where nobody waited and nothing is new; else only
    /// choosing again tells whether the lack has ended.
    pub(crate) async fn news(
        &self,
        lack: Lack,
        seen: u64,
        waiters: &Waiters,
    ) -> Result<bool, Crowded> {
        if self.shared.known.borrow().ended > seen {
            return Ok(true);
        }
        if !self.can_end(lack) {
            return Ok(false);
        }
        let mut known = self.shared.known.subscribe();
        let ended = async { drop(known.wait_for(|known| known.ended > seen).await) };
        waiters.hold(WAIT_MOST, ended).await.map(|_| true)
    }

    /// True where it is worth while to wait, which asks the provider if it has to.
    fn can_end(&self, lack: Lack) -> bool {
        let known = self.shared.known.borrow();
        match lack {
            // A provider that has failed is asked again by the task; nobody waits for that.
            Lack::Unknown => known.ended == 0,
            Lack::Stale => false,
            Lack::Kid | Lack::KidUnasked => {
                let is_early = known.began.is_some_and(|began| began.elapsed() < REFETCH_EVERY);
                if !is_early && !known.is_fetching {
                    self.shared.wanted.notify_one();
                }
                !is_early || known.is_fetching
            }
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.shared.closed.notify_one();
    }
}

impl Shared {
    fn new(settings: &ProviderSettings, metrics: &KeyMetrics) -> Arc<Self> {
        let origin = Origin::of(settings);
        let shared = Arc::new(Self {
            known: watch::Sender::new(metrics.known(&origin, settings.stale)),
            origin,
            refresh: settings.refresh,
            wanted: Notify::new(),
            closed: Notify::new(),
            counts: metrics.of(&settings.issuer),
        });
        metrics.watch(&shared);
        shared
    }

    /// What a provider of the same origin can start with: keys that are no older than `stale`, at
    /// their age. That it is asked itself, it still has to see.
    fn bequest(&self, origin: &Origin, stale: Duration) -> Option<Known> {
        let known = self.known.borrow();
        let fetched = known.fetched.filter(|fetched| fetched.elapsed() <= stale)?;
        let is_same = self.origin == *origin && known.keys.is_some();
        is_same.then(|| Known {
            keys: known.keys.clone(),
            fetched: Some(fetched),
            ..Known::default()
        })
    }

    /// Seconds since the keys in force were fetched; nothing where there are none.
    fn age(&self) -> Option<u64> {
        let known = self.known.borrow();
        known.fetched.map(|fetched| fetched.elapsed().as_secs())
    }
}
