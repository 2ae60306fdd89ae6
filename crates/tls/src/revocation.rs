//! Lists of revoked certificates (RFC 5280 §5), from files that the operator keeps current.
//!
//! A list counts if the authority of the certificate has signed it and it has not ended. Of several
//! that speak of a certificate the newest counts, whatever order they are written in. Where none
//! speaks of a certificate nobody knows whether it is revoked, which is an error.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;
use bartizan_core::Timestamp;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::{ASN1Time, CertificateRevocationList, FromDer as _};

use crate::TlsFault;
use crate::certificate::hex;

/// The largest file of lists that is read, in bytes.
pub const REVOCATION_MAX: usize = 16 << 20;
/// The most lists of one configuration.
const LISTS_MAX: usize = 256;
/// The most verdicts that are kept about one certificate.
const VERDICTS_MAX: usize = 8;

/// How far a certificate is followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RevocationDepth {
    /// The certificate and all between it and the authority.
    #[default]
    Chain,
    /// The certificate only.
    Leaf,
}

/// Why a certificate is not known to be good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationFault {
    /// It is on a list, or one above it is.
    #[error("the certificate is revoked, or one above it is")]
    Revoked,
    /// No list speaks of it.
    #[error("no list of revoked certificates speaks of the certificate or of one above it")]
    Unknown,
    /// The list that speaks of it has ended.
    #[error("a list of revoked certificates has ended, and no newer one is there")]
    Ended,
    /// A list, or the path itself, cannot be judged.
    #[error("revocation cannot be judged: {0}")]
    Unjudged(String),
}

impl RevocationFault {
    /// True if the certificate is at fault, and not what is known of it.
    pub fn is_of_the_certificate(&self) -> bool {
        matches!(self, Self::Revoked)
    }

    fn of(error: &webpki::Error) -> Self {
        match error {
            webpki::Error::CertRevoked => Self::Revoked,
            webpki::Error::UnknownRevocationStatus => Self::Unknown,
            webpki::Error::CrlExpired { .. } => Self::Ended,
            other => Self::Unjudged(other.to_string().to_lowercase()),
        }
    }
}

/// Lists of revoked certificates, read whole and never changed.
pub struct RevocationLists {
    /// The SHA-256 of all of them: the same lists are the same, wherever they are written.
    id: [u8; 32],
    /// Newest first: the verifier takes the first that speaks of a certificate.
    lists: Vec<CertRevocationList<'static>>,
    /// When each of them ends.
    ends: Vec<Timestamp>,
}

impl RevocationLists {
    /// Reads lists from the content of files: PEM with one or several of them, or DER. The order
    /// counts for nothing.
    pub fn read<'f>(files: impl IntoIterator<Item = &'f [u8]>) -> Result<Self, TlsFault> {
        let mut all: Vec<List> = Vec::new();
        for file in files {
            for der in ders(file)? {
                let position = all.len().saturating_add(1);
                let list = List::read(&der)
                    .map_err(|cause| TlsFault::RevocationUnreadable { position, cause })?;
                all.push(list);
            }
        }
        if all.len() > LISTS_MAX {
            return Err(TlsFault::TooManyRevocations { count: all.len() });
        }
        all.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| a.digest.cmp(&b.digest)));
        all.dedup_by(|a, b| a.digest == b.digest);
        refuse_rivals(&all)?;
        let mut context = digest::Context::new(&digest::SHA256);
        for list in &all {
            context.update(&list.digest);
        }
        let id = sha256(context.finish());
        let ends = all.iter().map(|list| list.end).collect();
        Ok(Self { id, lists: all.into_iter().map(|list| list.read).collect(), ends })
    }

    /// The SHA-256 of the lists, hexadecimal: the same for the same lists.
    pub fn fingerprint(&self) -> String {
        hex(&self.id, b"0123456789abcdef")
    }

    /// When the first of them ends that has not ended yet.
    fn next_end(&self, now: Timestamp) -> Timestamp {
        let later = self.ends.iter().copied().filter(|end| *end > now);
        later.min().unwrap_or(Timestamp::from_nanos(u64::MAX))
    }

    /// Lends what the verifier takes.
    pub(crate) fn with_options(
        &self,
        depth: RevocationDepth,
        verify: impl FnOnce(RevocationOptions<'_>) -> Result<(), webpki::Error>,
    ) -> Result<(), RevocationFault> {
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let builder =
            RevocationOptionsBuilder::new(&lists).map_err(|_| RevocationFault::Unknown)?;
        let depth = match depth {
            RevocationDepth::Chain => RevocationCheckDepth::Chain,
            RevocationDepth::Leaf => RevocationCheckDepth::EndEntity,
        };
        let options = builder
            .with_depth(depth)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build();
        verify(options).map_err(|error| RevocationFault::of(&error))
    }
}

impl fmt::Debug for RevocationLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationLists").field("count", &self.lists.len()).finish_non_exhaustive()
    }
}

/// The lists in a file.
fn ders(file: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFault> {
    if file.len() > REVOCATION_MAX {
        return Err(TlsFault::RevocationTooLarge);
    }
    // DER begins with a sequence, which no text does.
    if file.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(file.to_vec())]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(file).collect::<Result<Vec<_>, _>>();
    match lists {
        Ok(lists) if lists.is_empty() => Err(TlsFault::NoRevocation),
        Ok(lists) => Ok(lists),
        Err(error) => Err(TlsFault::RevocationNotPem(error.to_string())),
    }
}

/// What tells the newer of two lists: when it begins, then its number (RFC 5280 §5.2.3), of which
/// the length comes first so that numbers compare as such.
type Age = (Timestamp, usize, Vec<u8>);

/// A list as it was read.
struct List {
    read: CertRevocationList<'static>,
    age: Age,
    end: Timestamp,
    digest: [u8; 32],
}

impl List {
    fn read(der: &[u8]) -> Result<Self, String> {
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|error| error.to_string().to_lowercase())?;
        let (_, parsed) = CertificateRevocationList::from_der(der)
            .map_err(|error| error.to_string().to_lowercase())?;
        let end = parsed.next_update().ok_or("it does not say when it ends (`nextUpdate`)")?;
        let moment =
            |time: ASN1Time| Timestamp::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
        let number = parsed.crl_number().map_or_else(Vec::new, BigUint::to_bytes_be);
        Ok(Self {
            read: list.into(),
            age: (moment(parsed.last_update()), number.len(), number),
            end: moment(end),
            digest: sha256(digest::digest(&digest::SHA256, der)),
        })
    }

    /// True where both speak of the same certificates, and neither is the newer one.
    fn rivals(&self, other: &Self) -> bool {
        self.age == other.age
            && self.read.issuer() == other.read.issuer()
            && self.read.issuing_distribution_point() == other.read.issuing_distribution_point()
    }
}

/// Two lists between which nothing decides would make a verdict out of their order.
fn refuse_rivals(ranked: &[List]) -> Result<(), TlsFault> {
    let mut rest = ranked;
    while let Some((first, after)) = rest.split_first() {
        let mut same_age = after.iter().take_while(|other| other.age == first.age);
        if same_age.any(|other| first.rivals(other)) {
            return Err(TlsFault::RivalRevocations { begin: first.age.0 });
        }
        rest = after;
    }
    Ok(())
}

fn sha256(digest: digest::Digest) -> [u8; 32] {
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The last verdicts about a certificate, by what they were made with.
#[derive(Debug, Default)]
pub(crate) struct Checked(Mutex<Vec<Verdict>>);

#[derive(Clone, Debug)]
struct Verdict {
    lists: [u8; 32],
    depth: RevocationDepth,
    /// From when to when it holds: clocks may be set back.
    from: Timestamp,
    until: Timestamp,
    outcome: Result<(), RevocationFault>,
}

impl Checked {
    /// The verdict by these lists, kept or made. Requests that ask at once may make it twice: no
    /// lock is held while signatures are verified.
    pub(crate) fn recall(
        &self,
        lists: &RevocationLists,
        depth: RevocationDepth,
        now: Timestamp,
        judge: impl FnOnce() -> Result<(), RevocationFault>,
    ) -> Result<(), RevocationFault> {
        let is_of = |verdict: &Verdict| verdict.lists == lists.id && verdict.depth == depth;
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = kept.iter().find(|verdict| is_of(verdict))
            && (verdict.from..verdict.until).contains(&now)
        {
            return verdict.outcome.clone();
        }
        drop(kept);
        let outcome = judge();
        let until = lists.next_end(now);
        let verdict =
            Verdict { lists: lists.id, depth, from: now, until, outcome: outcome.clone() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|verdict| !is_of(verdict));
        if kept.len() >= VERDICTS_MAX {
            kept.remove(0);
        }
        kept.push(verdict);
        outcome
    }
}
