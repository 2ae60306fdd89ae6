//! Dotted paths of fields: `routes[2].plugins.limit-count.count`.

use std::fmt::Write;

use crate::diagnostic::PathStep;

/// The path as text.
pub(crate) fn dotted(steps: &[PathStep]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            PathStep::Key(key) => push_key(&mut path, key),
            PathStep::Index(index) => push_index(&mut path, *index),
        }
    }
    path
}

/// Appends a key; one that a dot or bracket would make ambiguous is quoted.
pub(crate) fn push_key(path: &mut String, key: &str) {
    let is_plain = !key.is_empty()
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$' | b'/'));
    if !is_plain {
        let shown: String = key.chars().take(60).flat_map(char::escape_debug).collect();
        // Writing to a string cannot fail.
        let _ = write!(path, "[\"{shown}\"]");
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Appends an index.
pub(crate) fn push_index(path: &mut String, index: usize) {
    let _ = write!(path, "[{index}]");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_one_would_write_them() {
        let key = |key: &str| PathStep::Key(key.to_owned());
        assert_eq!(
            dotted(&[key("routes"), PathStep::Index(2), key("limit-count")]),
            "routes[2].limit-count"
        );
        assert_eq!(dotted(&[key("labels"), key("a.b")]), "labels[\"a.b\"]");
        assert_eq!(dotted(&[]), "");
    }
}
