//! Places in a body: `$.order.lines[0].owner`.

use bartizan_config::Invalid;
use serde_json::Value;

/// A compiled place: members by name, items by number, nothing else of JSON path.
#[derive(Debug)]
pub(super) struct BodyPath(Box<[Step]>);

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Member(Box<str>),
    Item(usize),
}

impl BodyPath {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let refused = || {
            Invalid::new(format!("`{text}` is not a place in a body"))
                .with_help("members and items such as `$.order.lines[0].owner`")
        };
        let mut rest = text.strip_prefix('$').ok_or_else(refused)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (name, remaining) = after.split_at(end);
                let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                if name.is_empty() || !name.chars().all(is_plain) {
                    return Err(refused());
                }
                steps.push(Step::Member(name.into()));
                rest = remaining;
            } else {
                let after = rest.strip_prefix('[').ok_or_else(refused)?;
                let (index, remaining) = after.split_once(']').ok_or_else(refused)?;
                let is_number = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
                let index = index.parse().ok().filter(|_| is_number).ok_or_else(refused)?;
                steps.push(Step::Item(index));
                rest = remaining;
            }
        }
        if steps.is_empty() {
            return Err(refused());
        }
        Ok(Self(steps.into()))
    }

    /// What stands there.
    pub(super) fn find<'v>(&self, body: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(body, |value, step| match step {
            Step::Member(name) => value.as_object()?.get(&**name),
            Step::Item(index) => value.as_array()?.get(*index),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_found_and_others_are_not() {
        let body = json!({"a": {"b": [{"c-d": 1}, 2]}, "0": 3});
        for (path, expected) in [
            ("$.a.b[0].c-d", Some(json!(1))),
            ("$.a.b[1]", Some(json!(2))),
            ("$.0", Some(json!(3))),
            ("$.a.b[2]", None),
            ("$.a[0]", None),
            ("$.a.b.c", None),
            ("$.x", None),
        ] {
            assert_eq!(BodyPath::parse(path).unwrap().find(&body), expected.as_ref(), "{path}");
        }
    }

    #[test]
    fn the_rest_of_json_path_is_refused() {
        for path in [
            "", "$", "a", "$a", "$.", "$..a", "$.*", "$.a[*]", "$.a[-1]", "$.a[", "$.a[+1]",
            "$['a']", "$.a b",
        ] {
            assert!(BodyPath::parse(path).is_err(), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn it_agrees_with_a_json_pointer(
            steps in proptest::collection::vec("([abc]|\\[[0-2]\\])", 1..4),
            body in "(a|b|ab|[0-2]){0,3}",
        ) {
            // A body in which lists and objects take turns as the letters say.
            let body = body.chars().fold(json!({"a": [1, {"b": 2}], "0": 3}), |inner, c| match c {
                '0'..='2' => json!([inner.clone(), inner, "x"]),
                name => json!({ (name.to_string()): inner, "c": [inner.clone()] }),
            });
            let path: String = steps
                .iter()
                .map(|step| if step.starts_with('[') { step.clone() } else { format!(".{step}") })
                .collect();
            let found = BodyPath::parse(&format!("${path}")).unwrap().find(&body).cloned();
            // A pointer's number may name a member too, an item's may not.
            let mut naive = Some(&body);
            for step in &steps {
                naive = naive.and_then(|value| match step.strip_prefix('[') {
                    Some(index) if value.is_array() => value.pointer(&format!("/{}", index.trim_end_matches(']'))),
                    None if value.is_object() => value.pointer(&format!("/{step}")),
                    _ => None,
                });
            }
            proptest::prop_assert_eq!(found.as_ref(), naive);
        }
    }
}
