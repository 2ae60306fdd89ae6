//! Digests of the body (RFC 9530).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use bartizan_chain::RequestCx;
use subtle::ConstantTimeEq;

use super::fault::Fault;
use super::structured::{Bare, Member, dictionary};

const FIELD: &str = "content-digest";

/// The digests that a body must have: all that are known of those it was said to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Digests {
    sha256: Option<Vec<u8>>,
    sha512: Option<Vec<u8>>,
}

impl Digests {
    /// Reads the field. Broken algorithms in it (RFC 9530 §5) count for nothing.
    pub(super) fn read(cx: &RequestCx) -> Result<Self, Fault> {
        let lines: Vec<&[u8]> = cx.fields.all(FIELD).collect();
        let members =
            dictionary(&lines.join(&b", "[..])).map_err(|fault| Fault::Field(FIELD, fault))?;
        let mut digests = Self::default();
        for (name, member) in members {
            let slot = match name.as_str() {
                "sha-256" => &mut digests.sha256,
                "sha-512" => &mut digests.sha512,
                _ => continue,
            };
            match member {
                Member::Item(item) => match item.bare {
                    Bare::Bytes(bytes) => *slot = Some(bytes),
                    _ => return Err(Fault::NoDigest),
                },
                Member::List(..) => return Err(Fault::NoDigest),
            }
        }
        if digests == Self::default() { Err(Fault::NoDigest) } else { Ok(digests) }
    }

    /// Whether a body has them all.
    pub(super) fn are_of(&self, body: &[u8]) -> bool {
        let is_of = |algorithm, wanted: &Option<Vec<u8>>| {
            wanted
                .as_ref()
                .is_none_or(|wanted| digest(algorithm, body).as_ref().ct_eq(wanted).into())
        };
        is_of(&SHA256, &self.sha256) && is_of(&SHA512, &self.sha512)
    }
}
