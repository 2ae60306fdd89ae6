//! An authority for tests.

use std::time::Duration;

use bartizan_core::Timestamp;
use bartizan_tls::{Authority, Issued, KeyKind, Validity};

use crate::gateway::START;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

/// An authority whose certificates are valid for a year from [`START`], or from another moment:
/// over real sockets rustls judges by the system's clock.
#[derive(Debug)]
pub struct TestAuthority {
    authority: Authority,
    validity: Validity,
}

impl Default for TestAuthority {
    fn default() -> Self {
        Self::starting(START)
    }
}

impl TestAuthority {
    /// An authority that begins at `now`.
    pub fn starting(now: Timestamp) -> Self {
        let validity = Validity::starting(now, YEAR);
        let authority = Authority::create("testkit", validity).expect("an authority");
        Self { authority, validity }
    }

    /// PEM of the root.
    pub fn certificate(&self) -> String {
        self.authority.certificate()
    }

    /// A certificate for a server.
    pub fn server(&self, names: &[&str]) -> Issued {
        let issued = self.authority.issue_server(names, self.validity, KeyKind::EcP256);
        issued.expect("names that a certificate can carry")
    }

    /// A certificate for a client.
    pub fn client(&self, name: &str, names: &[&str]) -> Issued {
        let issued = self.authority.issue_client(name, names, self.validity);
        issued.expect("names that a certificate can carry")
    }

    /// The authority itself, for certificates that are wrong on purpose.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}
