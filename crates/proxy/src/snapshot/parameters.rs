//! Refuses variables of path parameters where the paths of a node have none: they would read as
//! nothing in every request, and a limit by them would count all callers as one.

use bartizan_config::{Invalid, PathStep};
use serde_json::Value;

const FAMILY: &str = "uri_param_";

/// What is wrong with each text that reads a parameter of the path: as a variable alone, such as
/// the key of a limit, or among other text.
pub(super) fn parameters_read_in(config: &Value) -> Vec<Invalid> {
    match config {
        Value::String(text) => variable_in(text).map(|_| fault()).into_iter().collect(),
        Value::Array(items) => {
            let under = |(index, item)| {
                let found = parameters_read_in(item).into_iter();
                found.map(move |fault| fault.under(PathStep::Index(index)))
            };
            items.iter().enumerate().flat_map(under).collect()
        }
        Value::Object(members) => {
            let under = |(key, value): (&String, &Value)| {
                let (key, found) = (key.clone(), parameters_read_in(value).into_iter());
                found.map(move |fault| fault.under(PathStep::Key(key.clone())))
            };
            members.iter().flat_map(under).collect()
        }
        _ => Vec::new(),
    }
}

/// The first such variable in a text.
fn variable_in(text: &str) -> Option<&str> {
    if let Some(name) = name_of(text).filter(|name| name.len() == text.len()) {
        return Some(name);
    }
    text.match_indices('$').find_map(|(at, _)| {
        let (before, from) = text.split_at_checked(at)?;
        let name = from.get(1..)?;
        (!before.ends_with('\\')).then(|| name_of(name.strip_prefix('{').unwrap_or(name)))?
    })
}

/// The name with which a text begins, if it is one of the family.
fn name_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(FAMILY)?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    text.get(..FAMILY.len() + length).filter(|_| length > 0)
}

/// The fault of a text that reads one.
pub(super) fn fault() -> Invalid {
    Invalid::new("reads a parameter of the path, and paths have none on this node")
        .with_help("say `router: radixtree_uri_with_parameter` in the node file")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_variable_is_found_wherever_texts_hold_one() {
        for (text, expected) in [
            ("uri_param_id", Some("uri_param_id")),
            ("$uri_param_id", Some("uri_param_id")),
            ("a/${uri_param_id}x", Some("uri_param_id")),
            ("$host$uri_param_a-b", Some("uri_param_a")),
            (r"\$uri_param_id", None),
            ("$uri_param_", None),
            ("uri_param_ of a path", None),
            ("uri_param_id of a path", None),
            ("$uri", None),
            ("", None),
        ] {
            assert_eq!(variable_in(text), expected, "{text}");
        }
    }

    #[test]
    fn each_is_told_where_it_stands() {
        let config =
            json!({ "a": [1, "x", { "b": "$uri_param_id" }], "c": "$uri_param_x $uri_param_y" });
        let places: Vec<_> =
            parameters_read_in(&config).into_iter().map(|fault| fault.path).collect();
        let key = |key: &str| PathStep::Key(key.into());
        assert_eq!(places, [vec![key("a"), PathStep::Index(2), key("b")], vec![key("c")]]);
    }
}
