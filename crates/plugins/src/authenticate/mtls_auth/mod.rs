//! Proves who calls by a client certificate (RFC 8446 §4.4.2, RFC 5280).
//!
//! The handshake asks for certificates and verifies them where the server name's `client` (of a
//! listener or an `ssl` resource) names the authorities; this plugin says whose they are. A
//! certificate counts only if it was verified under the authorities that the request's host names
//! now: after a change of authorities, clients have to connect anew.
//!
//! A consumer, or a credential of one, names its certificate by exactly one of these:
//!
//! | | is compared with |
//! |---|---|
//! | `thumbprint` | the SHA-256 of the certificate |
//! | `spiffe_id` | the SPIFFE id: the only URI of the subject alternative name |
//! | `uri`, `email`, `dns` | each such name there; hosts, and the domains of mail addresses, in any case |
//! | `subject` | the subject as RFC 4514 writes it, letter for letter |
//!
//! ```yaml
//! mtls-auth:
//!   names: [spiffe_id]
//!   trust_domains: [example.org]
//! ```
//!
//! and on the consumer `mtls-auth: {spiffe_id: "spiffe://example.org/orders"}`.
//!
//! Everything in a certificate that is compared is what the authority vouches for. `names` leaves
//! out the kinds that it lets clients choose, which is often the subject. A certificate that names
//! two consumers is refused.
//!
//! With `without_consumer: true` a certificate of nobody is good as well: the identity has the
//! subject, and no consumer. Whoever holds a good certificate has the claims `sub` and `subject`
//! (both the subject), `issuer`, `serial`, `dns`, `uri`, `email` and `x5t#S256`, and `spiffe_id`
//! where it has one, for later plugins.
//!
//! **Revocation**: with `crls`, the certificate and all between it and the authority must be
//! spoken of by lists that the authorities have signed and that have not ended, and not be on them.
//! Of several lists of one authority the newest counts (`thisUpdate`, then the number), in whatever
//! order they are written; two different ones of the same age are refused.
//! Lists are read again when their files change. A revoked certificate gets 401; where a list is
//! missing, has ended or cannot be judged the answer is 503, and `anonymous_consumer` does not
//! stand in. The verdict is kept for the connection until the next list ends, and is the same for
//! all routes with the same lists.
//!
//! A certificate that ends while its connection stands gets 401 from then on.
//!
//! # Headers
//!
//! With `forward: certificate` the upstream gets `Client-Cert`, with `forward: chain` also
//! `Client-Cert-Chain` (RFC 9440), which holds the certificates of the path that was verified and
//! nothing else that the client sent. Neither ever comes from a client, in no spelling. A 401 has
//! `WWW-Authenticate: Certificate` with the realm, and says that one has to connect with a
//! certificate.
//!
//! # What it costs
//!
//! A certificate is read once for each connection; a request then costs a look-up for each of its
//! names. With `crls`, its signatures are verified once more for each connection and set of lists.
//!
//! # What it cannot do
//!
//! It asks no client for a certificate by itself: without `client` on the server name every request
//! gets 401. Certificates that are handed over by a proxy in front are never believed. There is no
//! OCSP: nobody is asked while a request waits. Where `Client-Cert` and `Client-Cert-Chain` together
//! would have more than 16 KiB, which is 12 KiB of certificates, the answer is 401. Of each kind of
//! alternative name the first 64 are compared.

mod config;
mod names;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_chain::{
    Attempt, BodyNeed, CompileCx, ConsumerIndex, CredentialEntry, CredentialRef, Flow, Identity,
    IdentityKey, IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet, Timestamp};
use bartizan_tls::{ClientCertificate, RevocationFault};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};

use super::carrier::{self, Realm, StandIn, settle};
pub use config::{Config, ConsumerConfig};
use config::{Forward, Revocation, Usages};
use names::{NameKind, SpiffeId};

/// The longest value of a field for the upstream.
const FORWARDED_MAX: usize = 16 * 1024;
const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";

/// Why a request proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("the connection has no certificate; `client` of the server name asks for one")]
    Plain,
    #[error("the client showed no certificate that was verified for this host")]
    Missing,
    #[error("the certificate cannot be read")]
    Unreadable,
    #[error("the certificate has ended since the connection began, or has not begun")]
    Ended,
    #[error("the certificate does not state the usages that are asked for")]
    Usages,
    #[error("the certificate has no SPIFFE id of a trust domain that is asked for")]
    TrustDomain,
    #[error(transparent)]
    Revocation(#[from] RevocationFault),
    #[error("the certificate belongs to no consumer")]
    Nobody,
    #[error("the certificate belongs to `{0}` and to `{1}`")]
    Two(Box<str>, Box<str>),
    #[error("the certificate is too long to be told to the upstream")]
    TooLong,
}

impl Fault {
    fn reason(&self) -> Reason {
        match self {
            Self::Plain | Self::Missing => Reason::MissingCredential,
            Self::Unreadable => Reason::MalformedCredential,
            Self::Ended => Reason::ExpiredCredential,
            Self::Revocation(fault) if !fault.is_of_the_certificate() => Reason::RevocationUnknown,
            _ => Reason::InvalidCredential,
        }
    }
}

/// What is read of a certificate once for all requests of its connection.
struct Read {
    /// The names by which the index may know it.
    lookups: Box<[(NameKind, Box<[u8]>)]>,
    trust_domain: Option<Box<str>>,
    subject: Option<Arc<str>>,
    claims: Arc<Value>,
    /// From when until when it is good.
    life: Option<(Timestamp, Timestamp)>,
}

/// Compiled `mtls-auth`.
pub struct MtlsAuth {
    names: Box<[NameKind]>,
    trust_domains: Option<Box<[Box<str>]>>,
    without_consumer: bool,
    revocation: Option<Box<Revocation>>,
    usages: Usages,
    forward: Option<Forward>,
    challenge: String,
    stand_in: Option<StandIn>,
}

impl Plugin for MtlsAuth {
    const NAME: &'static str = "mtls-auth";
    const PRIORITY: i32 = 2505;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.names.as_ref().is_some_and(Vec::is_empty) {
            return Err(Invalid::at("names", "no certificate could belong to anybody"));
        }
        Ok(Self {
            trust_domains: config::trust_domains(&config)?,
            without_consumer: config.without_consumer,
            revocation: Revocation::compile(&config, cx)?.map(Box::new),
            usages: Usages::compile(&config)?,
            forward: config.forward,
            challenge: Realm::challenge(config.realm.as_ref(), "Certificate", "mtls"),
            stand_in: StandIn::compile(config.anonymous_consumer, cx)?,
            names: config.names.map_or_else(|| NameKind::ALL.into(), Into::into),
        })
    }

    fn traits(&self) -> Traits {
        carrier::traits(self.stand_in.as_ref(), BodyNeed::None)
    }

    fn credential(
        config: ConsumerConfig,
        _cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        config.entry()
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let proof = self.prove(cx).map_err(|fault| self.refusal(&fault));
        let proof = cx.settle(&Attempt::signed(Self::NAME, None), proof);
        let (parts, told) = settle(proof, self.stand_in.as_ref(), cx.consumers())?;
        for (name, value) in told.into_iter().flatten() {
            cx.fields.set(name, value);
        }
        cx.identify(Identity::new(key, Self::NAME, parts))?;
        Ok(Flow::Continue)
    }
}

/// What the upstream is told: names of fields with their values.
type Told = [Option<(&'static str, Bytes)>; 2];

impl MtlsAuth {
    /// Whose certificate it is, and what the upstream learns of it.
    fn prove(&self, cx: &RequestCx) -> Result<(IdentityParts, Told), Fault> {
        let certificate = cx.client_certificate().ok_or_else(|| match &cx.peer.tls {
            None => Fault::Plain,
            Some(_) => Fault::Missing,
        })?;
        let now = cx.clock.now();
        let parts = self.judge(certificate, cx.consumers(), now)?;
        Ok((parts, self.told(certificate, now)?))
    }

    /// Who the holder of a verified certificate is, as of `now`.
    fn judge(
        &self,
        certificate: &ClientCertificate,
        consumers: &ConsumerIndex,
        now: Timestamp,
    ) -> Result<IdentityParts, Fault> {
        let read = certificate.memo(read).ok_or(Fault::Unreadable)?;
        let (begins, ends) = read.life.ok_or(Fault::Unreadable)?;
        if now < begins || now > ends {
            return Err(Fault::Ended);
        }
        if !self.usages.hold(certificate) {
            return Err(Fault::Usages);
        }
        if let Some(domains) = &self.trust_domains
            && !domains.iter().any(|domain| read.trust_domain.as_ref() == Some(domain))
        {
            return Err(Fault::TrustDomain);
        }
        if let Some(revocation) = &self.revocation {
            certificate.check_revocation(&revocation.lists, revocation.depth, now)?;
        }
        let owner = self.owner(&read, consumers)?;
        if owner.is_none() && !self.without_consumer {
            return Err(Fault::Nobody);
        }
        Ok(IdentityParts {
            consumer: owner.map(|owner| owner.consumer.clone()),
            credential: owner.and_then(|owner| owner.credential.cloned()),
            subject: read.subject.clone(),
            claims: Some(read.claims.clone()),
            expires: Some(ends),
            anonymous_reason: None,
        })
    }

    /// The one consumer whom the certificate names. The most exact name says which credential it
    /// is; the others may only agree.
    fn owner<'k>(
        &self,
        read: &Read,
        consumers: &'k ConsumerIndex,
    ) -> Result<Option<CredentialRef<'k>>, Fault> {
        let lookups = read.lookups.iter().filter(|(kind, _)| self.names.contains(kind));
        let mut found = lookups.filter_map(|(_, lookup)| consumers.find(Self::NAME, lookup));
        let Some(owner) = found.next() else { return Ok(None) };
        let name = owner.consumer.username();
        match found.find(|other| other.consumer.username() != name) {
            Some(other) => Err(Fault::Two(name.into(), other.consumer.username().into())),
            None => Ok(Some(owner)),
        }
    }

    fn told(&self, certificate: &ClientCertificate, now: Timestamp) -> Result<Told, Fault> {
        let Some(forward) = self.forward else { return Ok([None, None]) };
        let leaf = byte_sequence(certificate.der());
        let above = match forward {
            Forward::Certificate => &[],
            Forward::Chain => certificate.intermediates(now),
        };
        let above: Vec<String> = above.iter().map(|der| byte_sequence(der)).collect();
        told(leaf.into(), above.join(", ").into())
    }

    fn refusal(&self, fault: &Fault) -> Denial {
        let reason = fault.reason();
        let denial = Denial::new(reason, fault.to_string());
        if reason == Reason::RevocationUnknown {
            return denial;
        }
        let denial = denial.with_field("www-authenticate", self.challenge.clone());
        if reason == Reason::MissingCredential {
            return denial.with_message("Connect with a client certificate that is accepted here.");
        }
        denial
    }
}

/// The fields for the upstream.
fn told(leaf: Bytes, above: Bytes) -> Result<Told, Fault> {
    if leaf.len().saturating_add(above.len()) > FORWARDED_MAX {
        return Err(Fault::TooLong);
    }
    let chain = (!above.is_empty()).then_some((CLIENT_CERT_CHAIN, above));
    Ok([Some((CLIENT_CERT, leaf)), chain])
}

/// A byte sequence of structured fields (RFC 9651 §3.3.5).
fn byte_sequence(der: &[u8]) -> String {
    let mut text = String::with_capacity(der.len().saturating_mul(4) / 3 + 8);
    text.push(':');
    STANDARD.encode_string(der, &mut text);
    text.push(':');
    text
}

fn read(certificate: &ClientCertificate) -> Read {
    let lookups = NameKind::ALL.into_iter().flat_map(|kind| {
        kind.of(certificate).into_iter().map(move |name| (kind, kind.lookup(&name)))
    });
    let names = certificate.alternative_names();
    let listed = |pick: fn(&bartizan_tls::AlternativeNames<'_>) -> Vec<String>| {
        names.as_ref().map(pick).unwrap_or_default()
    };
    let spiffe_id = names::spiffe_id(certificate);
    let mut claims = json!({
        "sub": certificate.subject(),
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serial": certificate.serial(),
        "dns": listed(|names| names.dns.to_vec()),
        "uri": listed(|names| names.uri.to_vec()),
        "email": listed(|names| names.email.to_vec()),
        "x5t#S256": URL_SAFE_NO_PAD.encode(certificate.digest()),
    });
    if let (Some(id), Some(claims)) = (spiffe_id, claims.as_object_mut()) {
        claims.insert("spiffe_id".to_owned(), id.into());
    }
    let trust_domain = spiffe_id.and_then(SpiffeId::parse).map(|id| id.trust_domain.into());
    let subject = certificate.subject().filter(|subject| !subject.is_empty());
    Read {
        lookups: lookups.collect(),
        trust_domain,
        subject: spiffe_id.or(subject).map(Arc::from),
        claims: Arc::new(claims),
        life: certificate.not_before().zip(certificate.not_after()),
    }
}
