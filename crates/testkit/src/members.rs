//! Objects that differ in a few members.

use serde_json::Value;

/// An object with more members, or others; those that are null then are taken out. Panics where
/// either is no object.
pub fn with(object: &Value, more: &Value) -> Value {
    let mut object = object.clone();
    let members = object.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("members").clone());
    members.retain(|_, value| !value.is_null());
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_added_replaced_and_taken_out() {
        let object = json!({ "a": 1, "b": 2, "c": { "d": null } });
        let more = json!({ "a": 3, "b": null, "e": 4 });
        assert_eq!(with(&object, &more), json!({ "a": 3, "c": { "d": null }, "e": 4 }));
    }
}
