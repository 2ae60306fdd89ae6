//! Lists of revoked certificates (RFC 5280 §5), from files that the operator keeps current.
//!
//! A list counts if the authority of the certificate has signed it and it has not ended. Where no
//! such list speaks of a certificate nobody knows whether it is revoked, which is an error.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bartizan_core::Timestamp;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use webpki::{
    CertRevocationList, ExpirationPolicy, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptions, RevocationOptionsBuilder, UnknownStatusPolicy,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer as _};

use crate::TlsFault;

/// The largest file of lists that is read, in bytes.
pub const REVOCATION_MAX: usize = 16 << 20;
/// The most lists of one configuration.
const LISTS_MAX: usize = 256;

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
    /// Tells these lists from all others of the process.
    id: u64,
    lists: Vec<CertRevocationList<'static>>,
    /// When each of them ends.
    ends: Vec<Timestamp>,
}

impl RevocationLists {
    /// Reads lists from the content of files: PEM with one or several of them, or DER.
    pub fn read<'f>(files: impl IntoIterator<Item = &'f [u8]>) -> Result<Self, TlsFault> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (mut lists, mut ends) = (Vec::new(), Vec::new());
        for file in files {
            for der in ders(file)? {
                let position = lists.len().saturating_add(1);
                let (list, end) = read(&der)
                    .map_err(|cause| TlsFault::RevocationUnreadable { position, cause })?;
                lists.push(list);
                ends.push(end);
            }
        }
        if lists.len() > LISTS_MAX {
            return Err(TlsFault::TooManyRevocations { count: lists.len() });
        }
        Ok(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), lists, ends })
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

fn read(der: &[u8]) -> Result<(CertRevocationList<'static>, Timestamp), String> {
    let list =
        OwnedCertRevocationList::from_der(der).map_err(|error| error.to_string().to_lowercase())?;
    let (_, parsed) = CertificateRevocationList::from_der(der)
        .map_err(|error| error.to_string().to_lowercase())?;
    let end = parsed.next_update().ok_or("it does not say when it ends (`nextUpdate`)")?;
    let end = u64::try_from(end.timestamp()).unwrap_or(0);
    Ok((list.into(), Timestamp::from_secs(end)))
}

/// The last verdict about a certificate.
#[derive(Debug, Default)]
pub(crate) struct Checked(Mutex<Option<Verdict>>);

#[derive(Clone, Debug)]
struct Verdict {
    lists: u64,
    depth: RevocationDepth,
    /// From when to when it holds: clocks may be set back.
    from: Timestamp,
    until: Timestamp,
    outcome: Result<(), RevocationFault>,
}

impl Checked {
    /// The verdict by these lists, kept or made.
    pub(crate) fn recall(
        &self,
        lists: &RevocationLists,
        depth: RevocationDepth,
        now: Timestamp,
        judge: impl FnOnce() -> Result<(), RevocationFault>,
    ) -> Result<(), RevocationFault> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = &*kept
            && verdict.lists == lists.id
            && verdict.depth == depth
            && (verdict.from..verdict.until).contains(&now)
        {
            return verdict.outcome.clone();
        }
        let outcome = judge();
        let until = lists.next_end(now);
        *kept =
            Some(Verdict { lists: lists.id, depth, from: now, until, outcome: outcome.clone() });
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_is_refused() {
        let read = |file: &[u8]| RevocationLists::read([file]).map(drop);
        assert!(matches!(read(b""), Err(TlsFault::NoRevocation)));
        assert!(matches!(read(b"hello"), Err(TlsFault::NoRevocation)));
        let der = [0x30, 0x03, 0x02, 0x01, 0x01];
        assert!(matches!(read(&der), Err(TlsFault::RevocationUnreadable { position: 1, .. })));
        let long = vec![b'x'; REVOCATION_MAX + 1];
        assert!(matches!(read(&long), Err(TlsFault::RevocationTooLarge)));
    }

    #[test]
    fn a_verdict_holds_for_its_lists_depth_and_time_only() {
        let end = Timestamp::from_secs(100);
        let list = |id| RevocationLists { id, lists: Vec::new(), ends: vec![end] };
        let (one, two) = (list(1), list(2));
        let checked = Checked::default();
        let judged = std::cell::Cell::new(0);
        let ask = |lists: &RevocationLists, depth, secs| {
            let _ = checked.recall(lists, depth, Timestamp::from_secs(secs), || {
                judged.set(judged.get() + 1);
                Ok(())
            });
            judged.get()
        };
        assert_eq!(ask(&one, RevocationDepth::Chain, 50), 1);
        assert_eq!(ask(&one, RevocationDepth::Chain, 99), 1);
        assert_eq!(ask(&one, RevocationDepth::Chain, 100), 2, "the list has ended");
        assert_eq!(ask(&one, RevocationDepth::Leaf, 100), 3);
        assert_eq!(ask(&two, RevocationDepth::Leaf, 100), 4);
        assert_eq!(ask(&two, RevocationDepth::Leaf, 99), 5, "the clock was set back");
    }
}
