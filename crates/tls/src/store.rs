//! The certificates that a listener shows, found by server name.
//!
//! One store is one generation: built whole, checked whole, replaced whole. The handshake asks it
//! for a [`ServerConfig`], of which there is one per distinct demand on clients and set of
//! protocol versions; the chain is picked inside by name and by the signatures that the client
//! can verify.

mod build;

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_core::{Clock, Secret};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::client_auth::ClientAuth;
use crate::names::NameIndex;
use crate::pair::{Pair, PairId};
use crate::{CertificateWarning, ClientPolicy, ClientSource, TicketKeys, TlsError};

/// The most pairs of certificate and key in one resource.
pub const PAIRS_MAX: usize = 8;

/// Certificates as configuration writes them.
#[derive(Clone, Debug)]
pub struct CertificateSource {
    /// The id of the resource.
    pub id: Arc<str>,
    /// Server names: exact, `*.` and a suffix (one label), or `*`. Where there are none, the host
    /// names of the certificates, unless another source writes them.
    pub snis: Vec<String>,
    /// PEM of chains and keys. Of several, each client gets one that it can verify.
    pub pairs: Vec<(String, Secret)>,
    /// Client certificates.
    pub client: Option<ClientSource>,
    /// `TLSv1.2`, `TLSv1.3`; empty is all that the listener serves.
    pub protocols: Vec<String>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// What is spoken inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationProtocol {
    /// HTTP/2.
    Http2,
    /// HTTP/1.1; also where the client does not say.
    Http1,
}

impl ApplicationProtocol {
    /// Its name in the handshake (RFC 7301).
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http2 => b"h2",
            Self::Http1 => b"http/1.1",
        }
    }

    /// The names that a client may offer for it. HTTP/1.0 is served by whoever serves HTTP/1.1.
    pub(crate) fn accepted(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http2 => &[b"h2"],
            Self::Http1 => &[b"http/1.1", b"http/1.0"],
        }
    }
}

/// What a listener says about TLS, and what outlives a store.
#[derive(Debug)]
pub struct StoreSettings<'a> {
    /// The lowest version served.
    pub minimum: TlsVersion,
    /// The protocols served, the preferred one first.
    pub alpn: &'a [ApplicationProtocol],
    /// The id of the source shown to clients that send no server name. Where it is `None` they
    /// are refused.
    pub default: Option<&'a str>,
    /// Server names for which nothing is shown, not even by a wildcard: those of resources whose
    /// own configuration is broken, so that they do not fall through to a weaker one.
    pub refused_names: &'a [String],
    /// The keys of session tickets.
    pub tickets: &'a TicketKeys,
    /// The clock by which certificates are judged, now and in handshakes to come.
    pub clock: &'a Clock,
    /// The store that this one replaces; what did not change is not read again.
    pub previous: Option<&'a CertificateStore>,
}

/// The certificates of a listener.
#[derive(Debug)]
pub struct CertificateStore {
    index: Arc<Index>,
    groups: Vec<Group>,
    pairs: HashMap<PairId, Arc<Pair>>,
    warnings: Vec<CertificateWarning>,
    asks_clients: bool,
}

/// Server names that share what they ask of clients.
#[derive(Debug)]
struct Group {
    config: Arc<ServerConfig>,
    client: Option<ClientAuth>,
}

/// Who answers for a server name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This entry.
    Entry(usize),
    /// Nobody may.
    Refused,
}

#[derive(Debug, Default)]
struct Index {
    names: NameIndex<Owner>,
    entries: Vec<Entry>,
    default: Option<usize>,
}

/// What is shown for a set of server names.
#[derive(Debug)]
struct Entry {
    keys: Vec<Arc<CertifiedKey>>,
    group: usize,
    policy: ClientPolicy,
}

impl Index {
    fn entry_for(&self, sni: Option<&str>) -> Option<&Entry> {
        let at = match sni {
            Some(name) => match self.names.find(name)? {
                Owner::Entry(at) => at,
                Owner::Refused => return None,
            },
            None => self.default?,
        };
        self.entries.get(at)
    }
}

impl CertificateStore {
    /// Builds a store, or says everything that is wrong with its sources.
    pub fn build(
        sources: &[CertificateSource],
        settings: &StoreSettings<'_>,
    ) -> Result<Self, Vec<TlsError>> {
        build::build(sources, settings)
    }

    /// What a handshake for `sni` is to use; `None` refuses it.
    pub fn server_config(&self, sni: Option<&str>) -> Option<&Arc<ServerConfig>> {
        self.group_for(sni).map(|group| &group.config)
    }

    /// By what a handshake for `sni` verifies clients.
    pub(crate) fn client_auth_for(&self, sni: Option<&str>) -> Option<&ClientAuth> {
        self.group_for(sni).and_then(|group| group.client.as_ref())
    }

    fn group_for(&self, sni: Option<&str>) -> Option<&Group> {
        self.index.entry_for(sni).and_then(|entry| self.groups.get(entry.group))
    }

    /// What the server name asks of clients.
    pub fn client_policy(&self, host: &str) -> &ClientPolicy {
        self.policy_of(self.index.names.find(host))
    }

    pub(crate) fn policy_of(&self, owner: Option<Owner>) -> &ClientPolicy {
        match owner {
            Some(Owner::Entry(at)) => {
                self.index.entries.get(at).map_or(&ClientPolicy::Unknown, |entry| &entry.policy)
            }
            Some(Owner::Refused) => &ClientPolicy::Unknown,
            None => &ClientPolicy::None,
        }
    }

    pub(crate) fn owner_of(&self, name: &str) -> Option<Owner> {
        self.index.names.find(name)
    }

    pub(crate) fn default_owner(&self) -> Option<Owner> {
        self.index.default.map(Owner::Entry)
    }

    /// True where some server name asks something of clients, or may.
    pub(crate) fn asks_clients(&self) -> bool {
        self.asks_clients
    }

    /// What works but deserves a look.
    pub fn warnings(&self) -> &[CertificateWarning] {
        &self.warnings
    }
}

/// Picks the chain inside a group: by server name, then by what the client can verify.
#[derive(Debug)]
struct ChainPicker {
    index: Arc<Index>,
    group: usize,
}

impl ResolvesServerCert for ChainPicker {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let entry = self.index.entry_for(hello.server_name())?;
        // The configuration was chosen by the same name; were it not, clients could be let in
        // under the demands of another name.
        if entry.group != self.group {
            return None;
        }
        let schemes = hello.signature_schemes();
        entry
            .keys
            .iter()
            .find(|key| key.key.choose_scheme(schemes).is_some())
            .or_else(|| entry.keys.first())
            .cloned()
    }
}
