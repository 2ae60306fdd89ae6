//! Names of request fields that plugins alone write, so that upstreams may believe them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bartizan_wire::Fields;

/// Names of fields under which nothing of a client arrives, in whatever spelling: in any case, and
/// with `_` for `-`, which many servers cannot tell apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedFields {
    /// Each in its one spelling, with the number of plugins that own it.
    names: BTreeMap<Box<[u8]>, usize>,
}

impl OwnedFields {
    /// Adds what one plugin owns.
    pub fn add<'n>(&mut self, names: impl IntoIterator<Item = &'n [u8]>) {
        for name in names {
            let owners = self.names.entry(spelling(name).into()).or_default();
            *owners = owners.saturating_add(1);
        }
    }

    /// Adds what all of others own.
    pub fn join(&mut self, other: &Self) {
        self.add(other.names.keys().map(|name| &**name));
    }

    /// Takes back what was joined.
    pub fn leave(&mut self, other: &Self) {
        for name in other.names.keys() {
            let Some(owners) = self.names.get_mut(name) else { continue };
            *owners = owners.saturating_sub(1);
            if *owners == 0 {
                self.names.remove(name);
            }
        }
    }

    /// True if no name is owned.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// True if the name is owned.
    pub fn owns(&self, name: &[u8]) -> bool {
        !self.is_empty() && self.names.contains_key(&*spelling(name))
    }

    /// Takes out whatever stands under an owned name.
    pub fn clear(&self, fields: &mut Fields) {
        if !self.is_empty() {
            fields.retain(|field| !self.owns(field.name));
        }
    }
}

/// The one spelling of all that servers may take for the same name.
fn spelling(name: &[u8]) -> Cow<'_, [u8]> {
    if name.iter().all(|byte| *byte != b'_' && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    Cow::Owned(name.iter().map(fold).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> OwnedFields {
        let mut owned = OwnedFields::default();
        owned.add(names.iter().map(|name| name.as_bytes()));
        owned
    }

    #[test]
    fn a_name_is_owned_in_every_spelling() {
        let own = owned(&["X-User_Id"]);
        for name in ["x-user-id", "X_USER_ID", "x-user_id", "X-User-Id"] {
            assert!(own.owns(name.as_bytes()), "{name}");
        }
        for name in ["x-user-ids", "xuserid", ""] {
            assert!(!own.owns(name.as_bytes()), "{name}");
        }
        let mut fields = Fields::new();
        for name in ["x_user_id", "accept"] {
            fields.append(name, "1");
        }
        own.clear(&mut fields);
        assert_eq!(fields.iter().map(|field| field.name.to_vec()).collect::<Vec<_>>(), [b"accept"]);
    }

    #[test]
    fn a_name_is_owned_until_its_last_owner_leaves() {
        let (one, other) = (owned(&["x-a", "x-b"]), owned(&["X_A"]));
        let mut all = OwnedFields::default();
        all.join(&one);
        all.join(&other);
        all.leave(&one);
        assert!(all.owns(b"x-a") && !all.owns(b"x-b"));
        all.leave(&other);
        assert!(all.is_empty());
    }

    proptest::proptest! {
        /// Against folding names by hand.
        #[test]
        fn owning_agrees_with_a_naive_comparison(
            own in "[xX][-_][a-cA-C]{1,2}", name in "[xX][-_][a-cA-C]{1,2}",
        ) {
            let naive = |text: &str| text.to_lowercase().replace('_', "-");
            proptest::prop_assert_eq!(
                owned(&[&own]).owns(name.as_bytes()),
                naive(&own) == naive(&name)
            );
        }
    }
}
