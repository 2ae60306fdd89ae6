//! Differences between two values, and changes of a part of one.

use serde_json::{Map, Value};

/// One difference between two revisions.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where, as a JSON pointer (RFC 6901); empty for the whole.
    pub pointer: String,
    /// What was there.
    pub before: Option<Value>,
    /// What is there.
    pub after: Option<Value>,
}

/// Every difference between two values, in the order of keys. Lists are compared item by item.
/// Nothing is left out: whoever shows it to people redacts it.
pub fn differences(before: Option<&Value>, after: Option<&Value>) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut String::new(), before, after, &mut found);
    found
}

fn compare(
    pointer: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let step = key.replace('~', "~0").replace('/', "~1");
                under(pointer, &step, |pointer| {
                    compare(pointer, old.get(key), new.get(key), found);
                });
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                under(pointer, &index.to_string(), |pointer| {
                    compare(pointer, old.get(index), new.get(index), found);
                });
            }
        }
        (before, after) if before == after => {}
        (before, after) => found.push(Difference {
            pointer: pointer.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn under(pointer: &mut String, step: &str, work: impl FnOnce(&mut String)) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(step);
    work(pointer);
    pointer.truncate(length);
}

/// Changes a value by a merge patch (RFC 7396): `null` removes, objects are merged, everything else
/// replaces.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (key, change) in patch {
        if change.is_null() {
            members.shift_remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_what_was_added_removed_and_changed() {
        let before = json!({ "a": 1, "b": { "x/y": [1, 2] }, "c": true });
        let after = json!({ "a": 2, "b": { "x/y": [1, 2, 3] }, "d": null });
        let found = differences(Some(&before), Some(&after));
        let expected = [
            ("/a", Some(json!(1)), Some(json!(2))),
            ("/b/x~1y/2", None, Some(json!(3))),
            ("/c", Some(json!(true)), None),
            ("/d", None, Some(json!(null))),
        ];
        let expected = expected.map(|(pointer, before, after)| Difference {
            pointer: pointer.to_owned(),
            before,
            after,
        });
        assert_eq!(found, expected);
        assert!(differences(Some(&after), Some(&after)).is_empty());
        assert_eq!(differences(None, Some(&json!(1)))[0].pointer, "");
    }

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn a_merge_patch_does_what_its_rfc_says() {
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut changed = target.clone();
            merge(&mut changed, &patch);
            assert_eq!(changed, result, "{target} {patch}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..5).prop_map(Value::from)];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[a-c/~]", inner), 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn each_difference_is_where_its_pointer_leads(before in values(), after in values()) {
            let found = differences(Some(&before), Some(&after));
            prop_assert_eq!(found.is_empty(), before == after);
            for difference in found {
                prop_assert_eq!(before.pointer(&difference.pointer), difference.before.as_ref());
                prop_assert_eq!(after.pointer(&difference.pointer), difference.after.as_ref());
                prop_assert_ne!(difference.before, difference.after);
            }
        }
    }
}
