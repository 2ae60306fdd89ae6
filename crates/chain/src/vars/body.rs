//! Places in a body.

use std::borrow::Cow;

use bartizan_wire::QueryFault;
use serde_json::Value;

use super::Step;

/// Most steps of a path: bodies are nested no deeper by default.
const STEPS_MAX: usize = 64;

/// The place that a variable names: `post_arg_x` a member (or a field of a form) of that very name,
/// `post_arg.a.b[0]` one further down.
pub(super) fn path(name: &str) -> Option<Box<[Step]>> {
    let rest = name.strip_prefix("post_arg")?;
    if let Some(member) = rest.strip_prefix('_').filter(|member| !member.is_empty()) {
        return Some([Step::Member(member.to_owned())].into());
    }
    let mut steps = Vec::new();
    for part in rest.strip_prefix('.')?.split('.') {
        let (member, items) = part.split_at(part.find('[').unwrap_or(part.len()));
        if member.is_empty() {
            return None;
        }
        steps.push(Step::Member(member.to_owned()));
        let mut items = items;
        while !items.is_empty() {
            let (number, after) = items.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Item(number.parse().ok()?));
            items = after;
        }
    }
    (steps.len() <= STEPS_MAX).then(|| steps.into())
}

/// What stands in a body at a place; nothing where nothing or `null` does. A list or an object has
/// no value that could be compared.
pub(super) fn at<'a>(body: &'a Value, path: &[Step]) -> Result<Option<Cow<'a, str>>, QueryFault> {
    let step = |value: &'a Value, step: &Step| match step {
        Step::Member(name) => value.get(name),
        Step::Item(number) => value.get(number),
    };
    match path.iter().try_fold(body, step) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
        Some(Value::Bool(value)) => Ok(Some(Cow::Borrowed(if *value { "true" } else { "false" }))),
        Some(Value::Number(number)) => Ok(Some(Cow::Owned(number.to_string()))),
        Some(Value::Array(_) | Value::Object(_)) => Err(QueryFault::NotScalar),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, body: &Value) -> Result<Option<String>, QueryFault> {
        Ok(at(body, &path(name).unwrap())?.map(Cow::into_owned))
    }

    #[test]
    fn a_place_has_one_plain_value_or_none() {
        let body = json!({"a": {"b": [{"c": 1}, {"c": "x"}]}, "a.b": true, "n": null, "1": 2.5});
        for (name, value) in [
            ("post_arg.a.b[1].c", Some("x")),
            ("post_arg.a.b[0].c", Some("1")),
            ("post_arg.a.b[2].c", None),
            ("post_arg_a.b", Some("true")),
            ("post_arg_1", Some("2.5")),
            ("post_arg_n", None),
            ("post_arg.n.x", None),
        ] {
            assert_eq!(read(name, &body), Ok(value.map(str::to_owned)), "{name}");
        }
        assert_eq!(read("post_arg_a", &body), Err(QueryFault::NotScalar));
        assert_eq!(read("post_arg.a.b", &body), Err(QueryFault::NotScalar));
    }

    #[test]
    fn what_names_several_places_or_none_is_no_path() {
        for name in ["post_arg", "post_arg_", "post_arg.", "post_arg.a[*].b", "post_arg.a[x"] {
            assert_eq!(path(name), None, "{name}");
        }
        let deep = |steps: usize| format!("post_arg{}", ".a".repeat(steps));
        assert!(path(&deep(STEPS_MAX)).is_some());
        assert_eq!(path(&deep(STEPS_MAX + 1)), None);
    }
}
