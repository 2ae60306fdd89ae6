//! What the listener of the Admin API shows, and asks of clients, over TLS.

use std::sync::{Arc, PoisonError, RwLock};

use bartizan_config::AdminTls;
use bartizan_core::Clock;
use bartizan_tls::{
    ApplicationProtocol, CertificateSource, CertificateStore, ClientSource, StoreSettings,
    TicketKeys, TlsVersion,
};

/// The certificate of the listener, and the authorities of its clients. They can be renewed while
/// it listens; connections that are open go on.
pub struct AdminCertificates {
    store: RwLock<Arc<CertificateStore>>,
    asks_clients: bool,
}

impl std::fmt::Debug for AdminCertificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminCertificates").finish_non_exhaustive()
    }
}

impl AdminCertificates {
    /// Reads them; fails where they cannot be shown.
    pub fn new(tls: &AdminTls, clock: &Clock) -> Result<Self, String> {
        let store = RwLock::new(Arc::new(built(tls, clock)?));
        Ok(Self { store, asks_clients: tls.client_ca.is_some() })
    }

    /// Takes others in their place. On failure those that were there stay; so they do where clients
    /// would be asked for certificates that were not, or the other way round.
    pub fn renew(&self, tls: &AdminTls, clock: &Clock) -> Result<(), String> {
        if tls.client_ca.is_some() != self.asks_clients {
            return Err("whether clients are asked for certificates is fixed at the start".into());
        }
        let store = Arc::new(built(tls, clock)?);
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
        Ok(())
    }

    /// Those in force.
    pub(crate) fn current(&self) -> Arc<CertificateStore> {
        Arc::clone(&self.store.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether clients are asked for certificates.
    pub(crate) const fn asks_clients(&self) -> bool {
        self.asks_clients
    }
}

/// The certificate that the listener shows, and what it asks of clients; or what is wrong with it.
fn built(tls: &AdminTls, clock: &Clock) -> Result<CertificateStore, String> {
    let source = CertificateSource {
        id: "admin".into(),
        snis: Vec::new(),
        pairs: vec![(tls.cert.clone(), tls.key.clone())],
        client: tls.client_ca.as_ref().map(|ca| ClientSource {
            ca: ca.clone(),
            depth: 1,
            skip_mtls_uri_regex: Vec::new(),
        }),
        protocols: Vec::new(),
    };
    let tickets = TicketKeys::new().map_err(|fault| fault.to_string())?;
    let settings = StoreSettings {
        minimum: TlsVersion::Tls12,
        alpn: &[ApplicationProtocol::Http1],
        default: Some("admin"),
        refused_names: &[],
        tickets: &tickets,
        clock,
        previous: None,
    };
    CertificateStore::build(&[source], &settings).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("; ")
    })
}
