//! TLS on both sides of the gateway: certificates by server name, client certificates, the
//! handshake, the settings towards upstreams, and a local authority.
//!
//! A [`CertificateStore`] is built whole from its sources and never changed; replacing it is
//! replacing one pointer. New handshakes use the new store, connections that stand keep the keys
//! they negotiated.
//!
//! Cryptography is that of aws-lc-rs and is always named: the provider that a process may have
//! installed for itself plays no part. TLS 1.2 and 1.3 only, with forward secrecy and
//! authenticated ciphers only; the hybrid of X25519 and ML-KEM-768 is preferred.
//!
//! Architecture invariant: no sockets here. Whoever owns the stream passes it in.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod accept;
mod authority;
mod certificate;
mod client_auth;
mod client_certificate;
mod fault;
mod host;
mod names;
mod pair;
mod pem;
mod revocation;
mod store;
mod tickets;
mod upstream;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bartizan_core::Clock;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

pub use accept::{HandshakeError, Session, accept};
pub use authority::{Authority, AuthorityError, Issued, KeyKind, Validity};
pub use client_auth::{ClientAuthority, ClientPolicy, ClientRule, ClientSource};
pub use client_certificate::{AlternativeNames, ClientCertificate};
pub use fault::{CertificateWarning, TlsError, TlsFault, describe, describe_io};
pub use host::{SessionFacts, check_host, has_certificate_for};
pub use names::normalise as normalise_name;
pub use pem::{CHAIN_MAX, PEM_MAX};
pub use revocation::{REVOCATION_MAX, RevocationDepth, RevocationFault, RevocationLists};
pub use store::{
    ApplicationProtocol, CertificateSource, CertificateStore, PAIRS_MAX, StoreSettings, TlsVersion,
};
pub use tickets::TicketKeys;
pub use upstream::{UpstreamConfigs, UpstreamTlsSettings, client_config};

/// The cryptography of every handshake.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    &PROVIDER
}

/// Wall time as certificates are judged by it.
#[derive(Debug)]
pub(crate) struct WallTime(pub(crate) Clock);

impl TimeProvider for WallTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.now().as_secs())))
    }
}
