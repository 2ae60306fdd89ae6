//! What credentials are looked up by.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Longest text that is kept in place.
const SHORT_MAX: usize = 22;

/// A short text that is kept in place, or a long one that is shared: of a million keys, none needs
/// memory of its own.
#[derive(Clone)]
pub(crate) enum Lookup {
    Short(u8, [u8; SHORT_MAX]),
    Long(Arc<[u8]>),
}

impl Lookup {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Lookup {
    fn from(bytes: &[u8]) -> Self {
        let mut short = [0; SHORT_MAX];
        match (short.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(bytes);
                Self::Short(length, short)
            }
            _ => Self::Long(bytes.into()),
        }
    }
}

impl Borrow<[u8]> for Lookup {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Lookup {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Lookup {}

impl Hash for Lookup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lookup({} bytes)", self.as_bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_is_itself_and_takes_as_little_as_a_name() {
        assert_eq!(size_of::<Lookup>(), 24);
        for length in [0, 1, 16, SHORT_MAX - 1, SHORT_MAX, SHORT_MAX + 1, 300] {
            let bytes = vec![7; length];
            let lookup = Lookup::from(&*bytes);
            assert_eq!(lookup.as_bytes(), &*bytes);
            assert_eq!(matches!(lookup, Lookup::Short(..)), length <= SHORT_MAX, "{length}");
            assert_ne!(lookup, Lookup::from(&*[&bytes[..], b"0"].concat()));
        }
    }
}
