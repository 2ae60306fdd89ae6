//! Whether a request may be served on the connection that it came on.
//!
//! A connection is made for one server name, and what was asked of the client then holds for that
//! name. HTTP lets requests name another host, and clients that reuse connections do so. Where
//! neither name asks for client certificates that is harmless; where one does, it would be a way
//! around them (RFC 9110 §7.4, RFC 6066 §11.1).

use std::net::IpAddr;

use bartizan_core::Reason;

use crate::names::normalise;
use crate::store::Owner;
use crate::{CertificateStore, ClientAuthority, ClientPolicy};

/// What the handshake settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionFacts {
    /// The server name that the client sent.
    pub sni: Option<String>,
    /// The authorities under which the client's certificate was verified; `None` where it showed
    /// none.
    pub client_authority: Option<ClientAuthority>,
}

/// Refuses a request whose host asks for a client certificate that the connection cannot give,
/// and one that comes on a connection for another host where either asks for certificates.
///
/// `host` is without port, `path` is the canonical one. A connection without TLS has no session:
/// it can serve what goes without a certificate and nothing else.
///
/// A certificate verified under authorities that the host no longer names counts for nothing: the
/// client is told to connect anew (421). A client without server name may only name hosts that the
/// default certificate answers for, or an address.
pub fn check_host(
    store: &CertificateStore,
    session: Option<&SessionFacts>,
    host: &str,
    path: &str,
) -> Result<(), Reason> {
    if !store.asks_clients() {
        return Ok(());
    }
    let host_owner = owner_of_host(store, host);
    let policy = store.policy_of(host_owner);
    let Some(session) = session else {
        return check_certificate(policy, None, path);
    };
    let session_owner = match session.sni.as_deref() {
        Some(sni) => store.owner_of(sni),
        None => store.default_owner(),
    };
    if !asks(policy) && !asks(store.policy_of(session_owner)) {
        return Ok(());
    }
    let is_same = match session.sni.as_deref() {
        Some(sni) => normalise(sni) == normalise(host),
        None => host_owner.is_some() && host_owner == session_owner,
    };
    if !is_same {
        return Err(Reason::Misdirected);
    }
    check_certificate(policy, session.client_authority, path)
}

/// True if the client showed a certificate that was verified under the very authorities that the
/// host asks for now. After a change of authorities, on paths that go without, and for hosts that
/// ask for none, a certificate of before proves nothing. For requests that [`check_host`] admits.
pub fn has_certificate_for(store: &CertificateStore, session: &SessionFacts, host: &str) -> bool {
    match (store.policy_of(owner_of_host(store, host)), session.client_authority) {
        (ClientPolicy::Required(rule), Some(verified)) => rule.authority() == verified,
        _ => false,
    }
}

/// An address cannot be a server name (RFC 6066 §3), so that its clients are served by the default.
fn owner_of_host(store: &CertificateStore, host: &str) -> Option<Owner> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    match store.default_owner() {
        Some(owner) if bare.parse::<IpAddr>().is_ok() => Some(owner),
        _ => store.owner_of(host),
    }
}

fn asks(policy: &ClientPolicy) -> bool {
    !matches!(policy, ClientPolicy::None)
}

fn check_certificate(
    policy: &ClientPolicy,
    verified: Option<ClientAuthority>,
    path: &str,
) -> Result<(), Reason> {
    match policy {
        ClientPolicy::None => Ok(()),
        ClientPolicy::Unknown => Err(Reason::ClientCertificateRequired),
        ClientPolicy::Required(rule) => match verified {
            Some(authority) if authority == rule.authority() => Ok(()),
            _ if rule.skips(path) => Ok(()),
            Some(_) => Err(Reason::Misdirected),
            None => Err(Reason::ClientCertificateRequired),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_core::{Clock, ManualClock, Timestamp};

    use super::*;
    use crate::{
        ApplicationProtocol, Authority, CertificateSource, ClientSource, KeyKind, StoreSettings,
        TicketKeys, TlsVersion, Validity,
    };

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn source(authority: &Authority, name: &str, client: Option<&[&str]>) -> CertificateSource {
        let validity = Validity::starting(NOW, Duration::from_secs(3_600));
        let issued = authority.issue_server(&[name], validity, KeyKind::EcP256).unwrap();
        CertificateSource {
            id: name.into(),
            snis: vec![name.to_owned()],
            pairs: vec![(issued.chain, issued.key)],
            client: client.map(|skip| ClientSource {
                ca: authority.certificate(),
                depth: 1,
                skip_mtls_uri_regex: skip.iter().map(ToString::to_string).collect(),
            }),
            protocols: Vec::new(),
        }
    }

    fn store(default: Option<&str>) -> CertificateStore {
        let validity = Validity::starting(NOW, Duration::from_secs(3_600));
        let authority = Authority::create("test", validity).unwrap();
        let sources = [
            source(&authority, "open.example", None),
            source(&authority, "plain.example", None),
            source(&authority, "locked.example", Some(&[])),
            source(&authority, "part.example", Some(&["^/public/"])),
        ];
        let settings = StoreSettings {
            minimum: TlsVersion::Tls12,
            alpn: &[ApplicationProtocol::Http1],
            default,
            refused_names: &["broken.example".to_owned()],
            tickets: &TicketKeys::new().unwrap(),
            clock: &Clock::Manual(ManualClock::at(NOW)),
            previous: None,
        };
        CertificateStore::build(&sources, &settings).unwrap()
    }

    fn authority_of(store: &CertificateStore, host: &str) -> Option<ClientAuthority> {
        match store.client_policy(host) {
            ClientPolicy::Required(rule) => Some(rule.authority()),
            ClientPolicy::None | ClientPolicy::Unknown => None,
        }
    }

    #[test]
    fn host_must_be_the_server_name_where_either_asks_for_certificates() {
        let store = store(Some("open.example"));
        let shown = authority_of(&store, "locked.example");
        let (misdirected, required) = (Reason::Misdirected, Reason::ClientCertificateRequired);
        let table = [
            (Some("open.example"), None, "open.example", "/", Ok(())),
            (Some("open.example"), None, "plain.example", "/", Ok(())),
            (Some("open.example"), None, "unknown.example", "/", Ok(())),
            (Some("open.example"), None, "locked.example", "/", Err(misdirected)),
            (Some("open.example"), None, "part.example", "/public/a", Err(misdirected)),
            (Some("open.example"), None, "broken.example", "/", Err(misdirected)),
            (Some("locked.example"), shown, "locked.example", "/", Ok(())),
            (Some("locked.example"), shown, "LOCKED.example.", "/", Ok(())),
            (Some("locked.example"), shown, "open.example", "/", Err(misdirected)),
            (Some("locked.example"), shown, "part.example", "/", Err(misdirected)),
            (Some("locked.example"), None, "locked.example", "/", Err(required)),
            (Some("part.example"), None, "part.example", "/public/a", Ok(())),
            (Some("part.example"), None, "part.example", "/private", Err(required)),
            (Some("part.example"), None, "part.example", "/a/public/", Err(required)),
            (Some("part.example"), shown, "part.example", "/private", Ok(())),
            (None, None, "open.example", "/", Ok(())),
            (None, None, "plain.example", "/", Ok(())),
            (None, None, "locked.example", "/", Err(misdirected)),
            (None, None, "10.0.0.1", "/", Ok(())),
        ];
        for (sni, client_authority, host, path, expected) in table {
            let facts = SessionFacts { sni: sni.map(str::to_owned), client_authority };
            let verdict = check_host(&store, Some(&facts), host, path);
            assert_eq!(verdict, expected, "{sni:?} {host} {path}");
        }
    }

    #[test]
    fn a_connection_without_tls_reaches_only_what_goes_without_a_certificate() {
        let store = store(None);
        let required = Err(Reason::ClientCertificateRequired);
        for (host, path, expected) in [
            ("open.example", "/", Ok(())),
            ("unknown.example", "/", Ok(())),
            ("locked.example", "/", required),
            ("part.example", "/public/a", Ok(())),
            ("part.example", "/private", required),
            ("broken.example", "/", required),
        ] {
            assert_eq!(check_host(&store, None, host, path), expected, "{host} {path}");
        }
    }

    #[test]
    fn without_server_name_an_address_is_served_as_the_default_demands() {
        let store = store(Some("locked.example"));
        let facts =
            SessionFacts { sni: None, client_authority: authority_of(&store, "locked.example") };
        for (host, expected) in [
            ("10.0.0.1", Ok(())),
            ("[2001:db8::1]", Ok(())),
            ("locked.example", Ok(())),
            ("open.example", Err(Reason::Misdirected)),
            ("unknown.example", Err(Reason::Misdirected)),
        ] {
            assert_eq!(check_host(&store, Some(&facts), host, "/"), expected, "{host}");
        }
        let anonymous = SessionFacts::default();
        let verdict = check_host(&store, Some(&anonymous), "10.0.0.1", "/");
        assert_eq!(verdict, Err(Reason::ClientCertificateRequired));
    }

    #[test]
    fn a_certificate_verified_under_a_former_authority_counts_for_nothing() {
        let (before, after) = (store(None), store(None));
        let facts = SessionFacts {
            sni: Some("locked.example".to_owned()),
            client_authority: authority_of(&before, "locked.example"),
        };
        assert_eq!(check_host(&before, Some(&facts), "locked.example", "/"), Ok(()));
        let verdict = check_host(&after, Some(&facts), "locked.example", "/");
        assert_eq!(verdict, Err(Reason::Misdirected));
    }
}
