//! References to secrets in what an editor writes. Whoever may name one beside a server of their own
//! has the secret sent there, so that it takes the capability to read secrets.

use bartizan_config::{AUTH_FILE, is_reference};
use serde_json::Value;

/// Whether a text, where it stands, stands for a secret that is kept elsewhere.
pub(super) fn refers(at: &str, text: &str) -> bool {
    is_reference(text) || at == AUTH_FILE
}

/// Where an object refers to something that it did not refer to there before, as a JSON pointer.
pub(super) fn new_reference(before: Option<&Value>, after: &Value) -> Option<String> {
    let mut at = String::new();
    search(before, after, &mut at).then_some(at)
}

fn search(before: Option<&Value>, after: &Value, at: &mut String) -> bool {
    let length = at.len();
    let is_found = match after {
        Value::String(text) => {
            let is_known = before.and_then(Value::as_str) == Some(text.as_str());
            !is_known && refers(at, text)
        }
        Value::Array(items) => items.iter().enumerate().any(|(index, item)| {
            at.truncate(length);
            at.extend(["/", &index.to_string()]);
            search(before.and_then(|before| before.get(index)), item, at)
        }),
        Value::Object(members) => members.iter().any(|(key, member)| {
            at.truncate(length);
            at.extend(["/", key]);
            search(before.and_then(|before| before.get(key)), member, at)
        }),
        _ => false,
    };
    if !is_found {
        at.truncate(length);
    }
    is_found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_new_where_it_did_not_stand_before() {
        let before = json!({ "a": ["$file://a", "x"], "b": { "c": "$env://C" } });
        for (after, expected) in [
            (json!({ "a": ["$file://a", "x"], "b": { "c": "$env://C" } }), None),
            (json!({ "a": ["y"], "d": "file://a" }), None),
            (json!({ "a": ["x", "$file://a"] }), Some("/a/1")),
            (json!({ "a": [], "b": { "c": "$env://D" } }), Some("/b/c")),
            (json!({ "d": [{ "e": "$secret://vault/a/b/c" }] }), Some("/d/0/e")),
            // As the resolver reads them: in any case.
            (json!({ "d": "$ENV://A" }), Some("/d")),
            (json!({ "d": "$File://a" }), Some("/d")),
            (json!({ "d": "$sECRET://vault/a/b/c" }), Some("/d")),
        ] {
            assert_eq!(new_reference(Some(&before), &after).as_deref(), expected, "{after}");
        }
        assert_eq!(new_reference(None, &before).as_deref(), Some("/a/0"));
        let (one, other) = (json!({ "auth_file": "a.json" }), json!({ "auth_file": "b.json" }));
        assert_eq!(new_reference(Some(&one), &one), None);
        assert_eq!(new_reference(Some(&one), &other).as_deref(), Some("/auth_file"));
    }
}
