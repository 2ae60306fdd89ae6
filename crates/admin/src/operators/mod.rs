//! Who may read and change the resources.
//!
//! [`Operators`] judges the key that a request shows; the [`Operator`] that it proves says which
//! [`Act`]s are allowed. Until there are keys, nobody is let in.

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

/// The book of keys. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    everyone: Option<Operator>,
}

/// Why a key is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None was shown.
    Missing,
    /// Nobody has it.
    Wrong,
    /// Too many wrong ones came from there; it may be tried again after so many seconds.
    Throttled(u32),
}

/// Why an operator may not do something, for the operator to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forbidden(pub String);

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It is shown.
    Read,
    /// It is made or changed.
    Write,
    /// It is removed.
    Delete,
    /// Something that concerns no single object.
    Other,
}

/// What an operator is about to do.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// What is done.
    pub verb: Verb,
    /// The collection, such as `routes`.
    pub kind: &'a str,
    /// The id in it; `None` for the collection as a whole.
    pub id: Option<&'a str>,
    /// The object as it is; `None` where there is none.
    pub before: Option<&'a Value>,
    /// The object as it will be; `None` where it is removed or only read.
    pub after: Option<&'a Value>,
    /// The hosts that it serves, before or after.
    pub hosts: &'a [String],
    /// The paths that it serves, before or after.
    pub paths: &'a [String],
}

/// An operator whose key was accepted.
#[derive(Clone, Debug)]
pub struct Operator {
    name: Arc<str>,
    reads_secrets: bool,
}

impl Operators {
    /// A book in which everyone is this operator, for tests of what comes after.
    #[cfg(test)]
    pub(crate) fn of_everyone(name: &str, reads_secrets: bool) -> Self {
        Self { everyone: Some(Operator { name: name.into(), reads_secrets }) }
    }

    /// Who shows this key from there.
    pub fn judge(&self, key: Option<&[u8]>, _peer: IpAddr) -> Result<Operator, Refusal> {
        if key.is_none_or(<[u8]>::is_empty) {
            return Err(Refusal::Missing);
        }
        self.everyone.clone().ok_or(Refusal::Wrong)
    }
}

impl Operator {
    /// The name that changes are recorded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the operator may do that.
    pub fn may(&self, _act: &Act<'_>) -> Result<(), Forbidden> {
        Ok(())
    }

    /// Whether secrets are shown in clear.
    pub fn reads_secrets(&self) -> bool {
        self.reads_secrets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_let_in_without_a_key_that_is_known() {
        let (nobody, peer) = (Operators::default(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!(nobody.judge(None, peer).err(), Some(Refusal::Missing));
        assert_eq!(nobody.judge(Some(b"any"), peer).err(), Some(Refusal::Wrong));
        let everyone = Operators::of_everyone("ann", true);
        assert_eq!(everyone.judge(Some(b""), peer).err(), Some(Refusal::Missing));
    }
}
