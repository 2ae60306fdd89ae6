//! The state folder of the quickstart: certificate, secrets, configuration.
//!
//! What is there stays as it is, so that a second run finds the same keys and the user's changes.
//! The certificate is made anew when it is near its end. The key of the authority that signs it is
//! thrown away at once: whoever trusts `tls/ca.pem` trusts this one certificate and no other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Timestamp};
use bartizan_tls::{Authority, AuthorityError, Issued, KeyKind, Validity};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;

use super::templates::{self, CONSUMERS, HOST};
use crate::failure::Failure;
use crate::files::{self, Privacy};

/// How long a certificate lives.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 3_600);
/// A certificate that ends sooner than this is made anew.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 3_600);

/// A state folder that is complete.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    /// Whether it was there before.
    pub(crate) is_new: bool,
}

impl State {
    /// Opens the folder, and makes what is missing in it.
    pub(crate) fn open(folder: &Path, clock: &Clock) -> Result<Self, Failure> {
        let state = Self { folder: folder.to_owned(), is_new: !folder.exists() };
        files::private_folder(folder)
            .map_err(|failure| failure.with_help("choose another folder with `--state`"))?;
        // Before any secret: nothing in here belongs into a repository.
        state.keep(".gitignore", Privacy::Folder, || Ok("*\n".to_owned()))?;
        for part in ["tls", "secrets"] {
            files::private_folder(&folder.join(part))?;
        }
        state.keep_certificate(clock)?;
        for consumer in CONSUMERS {
            let name = format!("secrets/{consumer}.secret");
            state.keep(&name, Privacy::Owner, files::random_secret)?;
        }
        state.keep("resources.yaml", Privacy::Folder, || Ok(templates::resources_file()))?;
        state.keep("bartizan.yaml", Privacy::Folder, || Ok(templates::node_file()))?;
        Ok(state)
    }

    /// The node file.
    pub(crate) fn node_file(&self) -> PathBuf {
        self.folder.join("bartizan.yaml")
    }

    /// The certificate of the authority, for `curl --cacert`.
    pub(crate) fn authority_file(&self) -> PathBuf {
        self.folder.join("tls/ca.pem")
    }

    /// The authority that the server's certificate is verified with.
    pub(crate) fn roots(&self) -> Result<Arc<RootCertStore>, Failure> {
        roots(&self.authority_file()).map_err(Failure::new)
    }

    /// Writes a file unless it is there.
    fn keep(
        &self,
        name: &str,
        privacy: Privacy,
        make: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let path = self.folder.join(name);
        match path.try_exists() {
            Ok(true) => Ok(()),
            Ok(false) => files::write(&path, make()?.as_bytes(), privacy),
            Err(cause) => Err(Failure::file("look at", &path, &cause)),
        }
    }

    fn keep_certificate(&self, clock: &Clock) -> Result<(), Failure> {
        let now = clock.now();
        if self.certificate_serves_until(now.plus(RENEWAL)) {
            return Ok(());
        }
        let (authority, server) = issue(now).map_err(|error| {
            Failure::new(format!("no certificate for `{HOST}` can be made: {error}"))
        })?;
        let write =
            |name, content: &[u8], privacy| files::write(&self.folder.join(name), content, privacy);
        write("tls/server.key", server.key.expose(), Privacy::Owner)?;
        write("tls/server.pem", server.chain.as_bytes(), Privacy::Folder)?;
        write("tls/ca.pem", authority.as_bytes(), Privacy::Folder)
    }

    /// True if what is there makes a server that clients accept at that time.
    fn certificate_serves_until(&self, time: Timestamp) -> bool {
        self.verify_certificate(time).is_some()
    }

    fn verify_certificate(&self, time: Timestamp) -> Option<()> {
        let provider = bartizan_tls::provider();
        let roots = roots(&self.authority_file()).ok()?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        let chain = CertificateDer::pem_file_iter(self.folder.join("tls/server.pem"))
            .ok()?
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        let (leaf, above) = chain.split_first()?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time.as_secs()));
        let name = ServerName::try_from(HOST).ok()?;
        let verifier = verifier.build().ok()?;
        verifier.verify_server_cert(leaf, above, &name, &[], time).ok()?;
        let key = PrivateKeyDer::from_pem_file(self.folder.join("tls/server.key")).ok()?;
        CertifiedKey::from_der(chain, key, provider).ok().map(|_| ())
    }
}

fn issue(now: Timestamp) -> Result<(String, Issued), AuthorityError> {
    let validity = Validity::starting(now, LIFETIME);
    let authority = Authority::create("Bartizan quickstart, this machine only", validity)?;
    let server = authority.issue_server(&[HOST, "127.0.0.1", "::1"], validity, KeyKind::EcP256)?;
    Ok((authority.certificate(), server))
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, String> {
    let fault =
        |cause: &dyn std::fmt::Display| format!("cannot read `{}`: {cause}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|cause| fault(&cause))? {
        let certificate = certificate.map_err(|cause| fault(&cause))?;
        roots.add(certificate).map_err(|cause| fault(&cause))?;
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use bartizan_core::ManualClock;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn read(folder: &Path, name: &str) -> Vec<u8> {
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn a_second_opening_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let clock = Clock::Manual(ManualClock::at(START));
        assert!(State::open(&path, &clock).unwrap().is_new);
        let names = ["tls/ca.pem", "tls/server.key", "secrets/alice.secret", "bartizan.yaml"];
        let before = names.map(|name| read(&path, name));
        assert!(!State::open(&path, &clock).unwrap().is_new);
        assert_eq!(names.map(|name| read(&path, name)), before);
    }

    #[test]
    fn a_certificate_is_made_anew_before_its_end_and_when_it_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let clock = ManualClock::at(START);
        State::open(&path, &Clock::Manual(clock.clone())).unwrap();
        let first = read(&path, "tls/server.pem");
        clock.advance(LIFETIME.saturating_sub(RENEWAL).saturating_sub(Duration::from_secs(60)));
        State::open(&path, &Clock::Manual(clock.clone())).unwrap();
        assert_eq!(read(&path, "tls/server.pem"), first);
        clock.advance(Duration::from_secs(120));
        let state = State::open(&path, &Clock::Manual(clock.clone())).unwrap();
        let second = read(&path, "tls/server.pem");
        assert_ne!(second, first);
        std::fs::write(path.join("tls/server.key"), "no key").unwrap();
        State::open(&path, &Clock::Manual(clock.clone())).unwrap();
        assert_ne!(read(&path, "tls/server.pem"), second);
        assert!(state.certificate_serves_until(clock_now(&clock)));
    }

    fn clock_now(clock: &ManualClock) -> Timestamp {
        Clock::Manual(clock.clone()).now()
    }

    #[test]
    fn nothing_secret_is_open_to_others_or_to_a_repository() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        State::open(&path, &Clock::System).unwrap();
        let mode =
            |name: &str| std::fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(""), 0o700);
        assert_eq!(mode("secrets/bob.secret"), 0o600);
        assert_eq!(mode("tls/server.key"), 0o600);
        assert_eq!(read(&path, ".gitignore"), b"*\n");
    }

    #[test]
    fn the_secret_of_each_consumer_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        State::open(&path, &Clock::System).unwrap();
        assert_ne!(read(&path, "secrets/alice.secret"), read(&path, "secrets/bob.secret"));
    }
}
