//! From sources to a store, with everything that is wrong at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bartizan_core::Timestamp;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::{
    CertificateSource, CertificateStore, ChainPicker, Entry, Group, Index, Owner, PAIRS_MAX,
    StoreSettings, TlsVersion,
};
use crate::client_auth::ClientAuth;
use crate::fault::describe;
use crate::names::NamePattern;
use crate::pair::Pair;
use crate::{
    CertificateWarning, ClientAuthority, ClientPolicy, TlsError, TlsFault, WallTime, provider,
};

/// The versions that a server name serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Versions {
    Tls12,
    Tls13,
    Both,
}

impl Versions {
    fn compile(protocols: &[String], minimum: TlsVersion) -> Result<Self, TlsFault> {
        let (mut has_12, mut has_13) = (protocols.is_empty(), protocols.is_empty());
        for protocol in protocols {
            match protocol.as_str() {
                "TLSv1.2" => has_12 = true,
                "TLSv1.3" => has_13 = true,
                other => return Err(TlsFault::UnknownVersion(other.to_owned())),
            }
        }
        match (has_12 && minimum == TlsVersion::Tls12, has_13) {
            (true, true) => Ok(Self::Both),
            (true, false) => Ok(Self::Tls12),
            (false, true) => Ok(Self::Tls13),
            (false, false) => Err(TlsFault::BelowMinimum),
        }
    }

    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        static ONLY_12: [&SupportedProtocolVersion; 1] = [&TLS12];
        static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];
        match self {
            Self::Tls12 => &ONLY_12,
            Self::Tls13 => &ONLY_13,
            Self::Both => &BOTH,
        }
    }
}

/// What all server names of one group share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    authority: Option<ClientAuthority>,
    is_mandatory: bool,
    versions: Versions,
}

/// A source that was read and is right.
struct Loaded {
    id: Arc<str>,
    patterns: Vec<NamePattern>,
    is_written: bool,
    pairs: Vec<Arc<Pair>>,
    client: Option<ClientAuth>,
    versions: Versions,
}

impl Loaded {
    fn read(
        source: &CertificateSource,
        settings: &StoreSettings<'_>,
        now: Timestamp,
    ) -> Result<Self, Vec<TlsFault>> {
        let mut faults = Vec::new();
        let pairs = read_pairs(source, settings, now, &mut faults);
        let written = source
            .snis
            .iter()
            .filter_map(|name| NamePattern::parse(name).map_err(|fault| faults.push(fault)).ok());
        let mut patterns: Vec<_> = written.collect();
        let is_written = !source.snis.is_empty();
        if !is_written {
            let names = pairs.iter().flat_map(|pair| &pair.dns);
            patterns.extend(names.filter_map(|name| NamePattern::parse(name).ok()));
        }
        patterns.sort();
        patterns.dedup();
        let is_default = settings.default == Some(source.id.as_ref());
        if patterns.is_empty() && !is_default && faults.is_empty() {
            faults.push(TlsFault::NoName);
        }
        let client = source.client.as_ref().and_then(|client| {
            ClientAuth::compile(client).map_err(|fault| faults.push(fault)).ok()
        });
        let versions = Versions::compile(&source.protocols, settings.minimum)
            .map_err(|fault| faults.push(fault));
        match versions {
            Ok(versions) if faults.is_empty() => Ok(Self {
                id: Arc::clone(&source.id),
                patterns,
                is_written,
                pairs,
                client,
                versions,
            }),
            _ => Err(faults),
        }
    }

    fn group_key(&self) -> GroupKey {
        let rule = self.client.as_ref().map(|client| &client.rule);
        GroupKey {
            authority: rule.map(|rule| rule.authority()),
            is_mandatory: rule.is_some_and(|rule| rule.is_mandatory()),
            versions: self.versions,
        }
    }

    /// True where the two ask the same of clients, so that they may share a server name.
    fn agrees_with(&self, other: &Self) -> bool {
        let rules_agree = match (&self.client, &other.client) {
            (None, None) => true,
            (Some(a), Some(b)) => a.rule.is_same(&b.rule),
            _ => false,
        };
        rules_agree && self.versions == other.versions
    }

    fn warnings(&self) -> impl Iterator<Item = CertificateWarning> + '_ {
        let uncovered = self.patterns.iter().filter_map(|pattern| {
            let sample = pattern.sample();
            let is_uncovered =
                |pair: &&Arc<Pair>| sample.as_deref().is_some_and(|sample| !pair.covers(sample));
            let count = self.pairs.iter().filter(is_uncovered).count();
            (count > 0)
                .then(|| format!("a certificate is not valid for its server name `{pattern}`"))
        });
        let issuers = self.pairs.iter().flat_map(|pair| pair.warnings().iter().cloned());
        uncovered.chain(issuers).map(|text| CertificateWarning { ssl: Arc::clone(&self.id), text })
    }
}

fn read_pairs(
    source: &CertificateSource,
    settings: &StoreSettings<'_>,
    now: Timestamp,
    faults: &mut Vec<TlsFault>,
) -> Vec<Arc<Pair>> {
    match source.pairs.len() {
        0 => faults.push(TlsFault::NoPair),
        1..=PAIRS_MAX => {}
        count => {
            faults.push(TlsFault::TooManyPairs { count });
            return Vec::new();
        }
    }
    let mut pairs = Vec::with_capacity(source.pairs.len());
    for (chain, key) in &source.pairs {
        let known = settings
            .previous
            .and_then(|store| store.pairs.get(&Pair::id_of(chain, key)))
            .map(|pair| pair.check_lifetime(now).map(|()| Arc::clone(pair)));
        match known.unwrap_or_else(|| Pair::read(chain, key, now).map(Arc::new)) {
            Ok(pair) => pairs.push(pair),
            Err(fault) => faults.push(fault),
        }
    }
    pairs
}

/// Builds a store from what is right, unless something is wrong.
pub(super) fn build(
    sources: &[CertificateSource],
    settings: &StoreSettings<'_>,
) -> Result<CertificateStore, Vec<TlsError>> {
    let now = settings.clock.now();
    let mut errors = Vec::new();
    let mut loaded = Vec::with_capacity(sources.len());
    for source in sources {
        match Loaded::read(source, settings, now) {
            Ok(one) => loaded.push(one),
            Err(faults) => errors.extend(
                faults.into_iter().map(|fault| TlsError { ssl: Arc::clone(&source.id), fault }),
            ),
        }
    }
    let mut assembly = Assembly::new(&loaded);
    assembly.place_names(&mut errors);
    assembly.place_refused(settings.refused_names, &mut errors);
    if let Some(id) = settings.default {
        match loaded.iter().position(|one| one.id.as_ref() == id) {
            Some(at) => assembly.index.default = Some(assembly.entry_of(vec![at])),
            None if sources.iter().any(|source| source.id.as_ref() == id) => {}
            None => errors.push(TlsError { ssl: id.into(), fault: TlsFault::NoSuchDefault }),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    assembly.finish(settings)
}

/// The index while it grows.
struct Assembly<'a> {
    loaded: &'a [Loaded],
    index: Index,
    entries: HashMap<Vec<usize>, usize>,
    groups: Vec<(GroupKey, Option<ClientAuth>)>,
    has_refused: bool,
}

impl<'a> Assembly<'a> {
    fn new(loaded: &'a [Loaded]) -> Self {
        Self {
            loaded,
            index: Index::default(),
            entries: HashMap::new(),
            groups: Vec::new(),
            has_refused: false,
        }
    }

    /// Names that are written somewhere go to whoever writes them; only then those that merely
    /// stand in a certificate.
    fn place_names(&mut self, errors: &mut Vec<TlsError>) {
        let mut claims: BTreeMap<&NamePattern, Vec<usize>> = BTreeMap::new();
        for (at, one) in self.loaded.iter().enumerate() {
            for pattern in &one.patterns {
                claims.entry(pattern).or_default().push(at);
            }
        }
        for (pattern, mut claimants) in claims {
            let loaded = self.loaded;
            let is_written = |at: &usize| loaded.get(*at).is_some_and(|one| one.is_written);
            if claimants.iter().any(is_written) {
                claimants.retain(is_written);
            }
            if let Some(error) = disagreement(loaded, pattern, &claimants) {
                errors.push(error);
                continue;
            }
            let entry = self.entry_of(claimants);
            self.index.names.insert(pattern.clone(), Owner::Entry(entry));
        }
    }

    fn place_refused(&mut self, names: &[String], errors: &mut Vec<TlsError>) {
        for name in names {
            match NamePattern::parse(name) {
                Ok(pattern) => self.index.names.insert(pattern, Owner::Refused),
                Err(fault) => errors.push(TlsError { ssl: "refused_names".into(), fault }),
            }
            self.has_refused = true;
        }
    }

    /// The entry that shows the certificates of these sources, all of which agree.
    fn entry_of(&mut self, sources: Vec<usize>) -> usize {
        if let Some(at) = self.entries.get(&sources) {
            return *at;
        }
        let members: Vec<_> = sources.iter().filter_map(|at| self.loaded.get(*at)).collect();
        let mut pairs: Vec<_> = members.iter().flat_map(|one| &one.pairs).collect();
        pairs.sort_by_key(|pair| (pair.is_rsa(), Reverse(pair.not_after)));
        let keys = pairs.into_iter().map(|pair| Arc::clone(&pair.key)).collect();
        let first = members.first();
        let client = first.and_then(|one| one.client.clone());
        let policy = client
            .as_ref()
            .map_or(ClientPolicy::None, |client| ClientPolicy::Required(Arc::clone(&client.rule)));
        let group = first.map_or(0, |one| self.group_of(one.group_key(), client));
        let at = self.index.entries.len();
        self.index.entries.push(Entry { keys, group, policy });
        self.entries.insert(sources, at);
        at
    }

    fn group_of(&mut self, key: GroupKey, client: Option<ClientAuth>) -> usize {
        let known = self.groups.iter().position(|(other, _)| *other == key);
        known.unwrap_or_else(|| {
            self.groups.push((key, client));
            self.groups.len() - 1
        })
    }

    fn finish(self, settings: &StoreSettings<'_>) -> Result<CertificateStore, Vec<TlsError>> {
        let asks_clients = self.has_refused || self.loaded.iter().any(|one| one.client.is_some());
        let index = Arc::new(self.index);
        let mut groups = Vec::with_capacity(self.groups.len());
        for (at, (key, client)) in self.groups.into_iter().enumerate() {
            let picker = ChainPicker { index: Arc::clone(&index), group: at };
            let config = server_config(key, client.as_ref(), picker, settings)
                .map_err(|fault| vec![TlsError { ssl: "listener".into(), fault }])?;
            groups.push(Group { config: Arc::new(config), client });
        }
        let all = self.loaded.iter().flat_map(|one| &one.pairs);
        Ok(CertificateStore {
            pairs: all.map(|pair| (pair.id, Arc::clone(pair))).collect(),
            warnings: self.loaded.iter().flat_map(Loaded::warnings).collect(),
            index,
            groups,
            asks_clients,
        })
    }
}

/// Says which two sources claim `pattern` and do not ask the same of clients.
fn disagreement(loaded: &[Loaded], pattern: &NamePattern, claimants: &[usize]) -> Option<TlsError> {
    let mut members = claimants.iter().filter_map(|at| loaded.get(*at));
    let first = members.next()?;
    let other = members.find(|other| !first.agrees_with(other))?;
    Some(TlsError {
        ssl: Arc::clone(&other.id),
        fault: TlsFault::AmbiguousName { name: pattern.to_string(), other: Arc::clone(&first.id) },
    })
}

fn server_config(
    key: GroupKey,
    client: Option<&ClientAuth>,
    picker: ChainPicker,
    settings: &StoreSettings<'_>,
) -> Result<ServerConfig, TlsFault> {
    let time = Arc::new(WallTime(settings.clock.clone()));
    let builder = ServerConfig::builder_with_details(Arc::clone(provider()), time)
        .with_protocol_versions(key.versions.list())
        .map_err(|error| TlsFault::Refused(describe(&error)))?;
    let builder = match client {
        Some(client) => builder.with_client_cert_verifier(Arc::clone(&client.verifier) as _),
        None => builder.with_client_cert_verifier(WebPkiClientVerifier::no_client_auth()),
    };
    let mut config = builder.with_cert_resolver(Arc::new(picker));
    let accepted = settings.alpn.iter().flat_map(|protocol| protocol.accepted());
    config.alpn_protocols = accepted.map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if client.is_none() {
        config.ticketer = settings.tickets.ticketer();
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_core::{Clock, ManualClock};

    use super::*;
    use crate::{ApplicationProtocol, Authority, KeyKind, TicketKeys, Validity};

    #[test]
    fn an_unchanged_pair_is_not_read_again() {
        let now = Timestamp::from_secs(1_800_000_000);
        let validity = Validity::starting(now, Duration::from_secs(3_600));
        let authority = Authority::create("test", validity).unwrap();
        let issue = |name| {
            let issued = authority.issue_server(&[name], validity, KeyKind::EcP256).unwrap();
            CertificateSource {
                id: name.into(),
                snis: vec![name.to_owned()],
                pairs: vec![(issued.chain, issued.key)],
                client: None,
                protocols: Vec::new(),
            }
        };
        let settings = StoreSettings {
            minimum: TlsVersion::Tls12,
            alpn: &[ApplicationProtocol::Http1],
            default: None,
            refused_names: &[],
            tickets: &TicketKeys::new().unwrap(),
            clock: &Clock::Manual(ManualClock::at(now)),
            previous: None,
        };
        let kept = issue("kept.example");
        let before = build(&[kept.clone(), issue("gone.example")], &settings).unwrap();
        let settings = StoreSettings { previous: Some(&before), ..settings };
        let after = build(&[kept, issue("new.example")], &settings).unwrap();
        let is_shared = |pair: &&Arc<Pair>| {
            before.pairs.get(&pair.id).is_some_and(|other| Arc::ptr_eq(pair, other))
        };
        assert_eq!((after.pairs.len(), after.pairs.values().filter(is_shared).count()), (2, 1));
    }
}
