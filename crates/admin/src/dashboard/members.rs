//! Reading what the API tells.

use serde_json::Value;

/// Members of objects, of which any may be missing.
pub(super) trait Members {
    /// A member, or null.
    fn at(&self, name: &str) -> &Value;

    /// The items of a member that is a list.
    fn list(&self, name: &str) -> &[Value];
}

impl Members for Value {
    fn at(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&Self::Null)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.at(name).as_array().map(Vec::as_slice).unwrap_or_default()
    }
}
