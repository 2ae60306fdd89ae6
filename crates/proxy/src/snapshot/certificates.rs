//! Certificates of the listeners: their own, and those of the resources.

use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_config::{Invalid, NodeConfig, PathStep, Ssl, SslType};
use bartizan_core::Clock;
use bartizan_tls::{
    ApplicationProtocol, CertificateSource, CertificateStore, ClientSource, StoreSettings,
    TicketKeys, TlsError, TlsFault, TlsVersion,
};

use super::Snapshot;
use super::compile::Compilation;
use super::fault::{CompileFault, Warning};

/// What is spoken on listeners with TLS, the preferred one first.
const ALPN: [ApplicationProtocol; 2] = [ApplicationProtocol::Http2, ApplicationProtocol::Http1];

/// A listener with TLS and what the node file gives it.
struct Listener {
    address: SocketAddr,
    minimum: TlsVersion,
    own: Vec<CertificateSource>,
    default: Option<Arc<str>>,
}

/// What the node file says about TLS of its listeners.
pub(crate) struct ListenerCertificates {
    /// One for each listener, `None` for plaintext.
    listeners: Vec<Option<Listener>>,
    tickets: TicketKeys,
}

impl ListenerCertificates {
    /// Reads and checks the listeners' own certificates.
    pub(super) fn read(config: &NodeConfig, clock: &Clock) -> Result<Self, Vec<CompileFault>> {
        let tickets = TicketKeys::new()
            .map_err(|fault| vec![CompileFault::of_node("tls", Invalid::new(fault.to_string()))])?;
        Self::read_with(config, clock, tickets)
    }

    /// The same listeners with the certificates that the node file has now; sessions go on.
    pub(super) fn renewed(
        &self,
        config: &NodeConfig,
        clock: &Clock,
    ) -> Result<Self, Vec<CompileFault>> {
        Self::read_with(config, clock, self.tickets.clone())
    }

    /// Whether another node file has the same listeners, whatever their certificates are.
    pub(super) fn fits(&self, config: &NodeConfig) -> bool {
        let is_same = |(ours, theirs): (&Option<Listener>, &bartizan_config::Listener)| {
            ours.as_ref().is_some_and(|ours| ours.address == theirs.address)
                || ours.is_none() && theirs.tls.is_none()
        };
        self.listeners.len() == config.listeners.len()
            && self.listeners.iter().zip(&config.listeners).all(is_same)
    }

    fn read_with(
        config: &NodeConfig,
        clock: &Clock,
        tickets: TicketKeys,
    ) -> Result<Self, Vec<CompileFault>> {
        let listeners = config.listeners.iter().enumerate().map(|(at, listener)| {
            listener.tls.as_ref().map(|tls| Listener::read(at, listener.address, tls))
        });
        let this = Self { listeners: listeners.collect(), tickets };
        let mut problems = Vec::new();
        for (at, listener) in this.listeners.iter().enumerate() {
            let Some(listener) = listener else { continue };
            if let Err(errors) = this.store(listener, Vec::new(), clock, None) {
                let subject = listener.subject();
                let fault = |error| CompileFault::of_node(&subject, listener.invalid(at, error));
                problems.extend(errors.iter().map(fault));
            }
        }
        if problems.is_empty() { Ok(this) } else { Err(problems) }
    }

    /// The certificates of each listener with those of the resources.
    pub(super) fn compile(
        &self,
        cx: &mut Compilation<'_>,
        previous: Option<&Snapshot>,
    ) -> Vec<Option<Arc<CertificateStore>>> {
        let served = |ssl: &&Ssl| ssl.ssl_type == SslType::Server && ssl.is_enabled;
        let ssls: Vec<&Ssl> = cx.resources.ssls.iter().filter(served).collect();
        let mut told = Telling { errors: Vec::new(), warnings: Vec::new() };
        let mut stores = Vec::with_capacity(self.listeners.len());
        for (at, listener) in self.listeners.iter().enumerate() {
            let Some(listener) = listener else {
                stores.push(None);
                continue;
            };
            let before = previous.and_then(|snapshot| snapshot.tls.get(at)?.as_deref());
            let sources: Vec<_> = ssls.iter().map(|ssl| source(ssl)).collect();
            let is_empty = listener.own.is_empty() && sources.is_empty();
            if is_empty {
                cx.warnings.push(listener.without_certificates());
            }
            let built = self.store(listener, sources, &cx.node.clock, before);
            stores.push(told.take(built).map(Arc::new));
        }
        let is_plain_served = self.listeners.iter().any(Option::is_none);
        if is_plain_served && !ssls.is_empty() && told.errors.is_empty() {
            // A plaintext listener shows no certificate, and still must not serve a name that asks
            // its clients for one.
            let nobody = Listener::nobody();
            let sources = ssls.iter().map(|ssl| source(ssl)).collect();
            let built = self.store(&nobody, sources, &cx.node.clock, None);
            let store = told.take(built).map(Arc::new);
            let plain = stores.iter_mut().zip(&self.listeners).filter(|(_, l)| l.is_none());
            plain.for_each(|(slot, _)| slot.clone_from(&store));
        }
        told.tell(cx, &ssls, &self.listeners);
        stores
    }

    fn store(
        &self,
        listener: &Listener,
        of_resources: Vec<CertificateSource>,
        clock: &Clock,
        previous: Option<&CertificateStore>,
    ) -> Result<CertificateStore, Vec<TlsError>> {
        // The listener's own come first: who disagrees with them is told so at the resource.
        let sources: Vec<_> = listener.own.iter().cloned().chain(of_resources).collect();
        let settings = StoreSettings {
            minimum: listener.minimum,
            alpn: &ALPN,
            default: listener.default.as_deref(),
            refused_names: &[],
            tickets: &self.tickets,
            clock,
            previous,
        };
        CertificateStore::build(&sources, &settings)
    }
}

impl Listener {
    fn read(at: usize, address: SocketAddr, tls: &bartizan_config::ListenerTls) -> Self {
        // No id of a resource can look like this.
        let id = |number: usize| -> Arc<str> {
            format!("listeners[{at}].tls.certificates[{number}]").into()
        };
        let own =
            tls.certificates.iter().enumerate().map(|(number, certificate)| CertificateSource {
                id: id(number),
                snis: Vec::new(),
                pairs: vec![(certificate.cert.clone(), certificate.key.clone())],
                client: None,
                protocols: Vec::new(),
            });
        let minimum = match tls.minimum {
            bartizan_config::TlsVersion::V1_2 => TlsVersion::Tls12,
            bartizan_config::TlsVersion::V1_3 => TlsVersion::Tls13,
        };
        let default = tls.certificates.iter().position(|certificate| certificate.default);
        Self { address, minimum, own: own.collect(), default: default.map(id) }
    }

    /// A listener of nobody, to check certificates by.
    fn nobody() -> Self {
        let address = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { address, minimum: TlsVersion::default(), own: Vec::new(), default: None }
    }

    fn invalid(&self, at: usize, error: &TlsError) -> Invalid {
        let key = |key: &str| PathStep::Key(key.to_owned());
        let mut path = vec![key("listeners"), PathStep::Index(at), key("tls")];
        if let Some(number) = self.own.iter().position(|own| own.id == error.ssl) {
            path.extend([key("certificates"), PathStep::Index(number)]);
            let field = pair_field(&error.fault);
            path.extend(field.map(|field| key(if field == "key" { "key" } else { "cert" })));
        }
        Invalid { path, problem: error.fault.to_string(), help: None }
    }

    fn subject(&self) -> String {
        format!("listener `{}`", self.address)
    }

    fn without_certificates(&self) -> Warning {
        let subject = self.subject();
        Warning {
            problem: format!("{subject} has no certificate: every handshake is refused"),
            subject,
            help: Some("give it a certificate, or add an ssl".into()),
        }
    }
}

/// What stores say of their sources, each thing once however many listeners there are.
struct Telling {
    errors: Vec<TlsError>,
    warnings: Vec<bartizan_tls::CertificateWarning>,
}

impl Telling {
    fn take(&mut self, built: Result<CertificateStore, Vec<TlsError>>) -> Option<CertificateStore> {
        match built {
            Ok(store) => {
                for warning in store.warnings() {
                    if !self.warnings.contains(warning) {
                        self.warnings.push(warning.clone());
                    }
                }
                Some(store)
            }
            Err(errors) => {
                for error in errors {
                    let text = error.to_string();
                    if self.errors.iter().all(|known| known.to_string() != text) {
                        self.errors.push(error);
                    }
                }
                None
            }
        }
    }

    fn tell(self, cx: &mut Compilation<'_>, ssls: &[&Ssl], listeners: &[Option<Listener>]) {
        let owner = |id: &Arc<str>| {
            let owns = |listener: &Listener| listener.own.iter().any(|own| own.id == *id);
            let mut with_tls = listeners.iter().enumerate();
            with_tls.find_map(|(at, this)| Some((at, this.as_ref().filter(|this| owns(this))?)))
        };
        let subject = |id: &Arc<str>| {
            owner(id).map_or_else(|| format!("ssl `{id}`"), |(_, listener)| listener.subject())
        };
        for error in &self.errors {
            let subject = subject(&error.ssl);
            match (ssls.iter().find(|ssl| ssl.id == error.ssl), owner(&error.ssl)) {
                (Some(ssl), _) => cx.fault(ssl.place, subject, invalid(error)),
                (None, Some((at, listener))) => {
                    cx.faults.push(CompileFault::of_node(subject, listener.invalid(at, error)));
                }
                (None, None) => {
                    cx.faults.push(CompileFault::of_node(subject, invalid(error)));
                }
            }
        }
        for warning in self.warnings {
            let subject = subject(&warning.ssl);
            let problem = format!("{subject}: {}", warning.text);
            cx.warnings.push(Warning { subject, problem, help: None });
        }
    }
}

fn source(ssl: &Ssl) -> CertificateSource {
    CertificateSource {
        id: ssl.id.clone(),
        snis: ssl.snis.clone(),
        pairs: ssl.pairs.clone(),
        client: ssl.client.as_ref().map(|client| ClientSource {
            ca: client.ca.clone(),
            depth: client.depth,
            skip_mtls_uri_regex: client.skip_mtls_uri_regex.clone(),
        }),
        protocols: ssl.protocols.clone(),
    }
}

/// The fault of an ssl, at the field that it is about.
fn invalid(error: &TlsError) -> Invalid {
    let problem = error.fault.to_string();
    let of_client =
        |key: &str, problem| Invalid::at(key, problem).under(PathStep::Key("client".into()));
    match &error.fault {
        TlsFault::NoAuthority
        | TlsFault::TooManyAuthorities { .. }
        | TlsFault::AuthorityUnreadable { .. } => of_client("ca", problem),
        TlsFault::BadPattern { .. } | TlsFault::TooManyPatterns { .. } => {
            of_client("skip_mtls_uri_regex", problem)
        }
        TlsFault::UnknownVersion(_) | TlsFault::BelowMinimum => {
            Invalid::at("ssl_protocols", problem)
        }
        TlsFault::BadName { .. } | TlsFault::AmbiguousName { .. } => Invalid::at("snis", problem),
        fault => match pair_field(fault) {
            Some(key) => Invalid::at(key, problem),
            None => Invalid::new(problem),
        },
    }
}

/// Which half of a pair a fault is about, if it is about one.
pub(super) fn pair_field(fault: &TlsFault) -> Option<&'static str> {
    match fault {
        TlsFault::NoCertificate
        | TlsFault::CertificateNotPem(_)
        | TlsFault::CertificateUnreadable { .. }
        | TlsFault::ChainTooLong { .. }
        | TlsFault::ChainOutOfOrder { .. }
        | TlsFault::Expired { .. }
        | TlsFault::NotYetValid { .. } => Some("cert"),
        TlsFault::NoKey
        | TlsFault::SeveralKeys
        | TlsFault::KeyNotPem(_)
        | TlsFault::KeyEncrypted
        | TlsFault::KeyUnusable(_)
        | TlsFault::KeyMismatch { .. }
        | TlsFault::KeyTooShort { .. } => Some("key"),
        _ => None,
    }
}
