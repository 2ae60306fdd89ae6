//! What a write makes of a request: the value, its id, how long it lives, and what must hold.

use bartizan_store::{Expect, Key, Object, Snapshot};
use serde_json::{Map, Value};

use super::answer::Answer;
use super::asked::{Asked, Expected};
use super::kept::Sent;
use super::kinds::{Naming, Target};

/// What an object is made of.
pub(crate) enum Make {
    /// This, under the id of the path or its own.
    Whole(Value),
    /// This, under an id that is made for it.
    New(Value),
    /// What it is, changed by a merge patch (RFC 7396).
    Merged(Value),
    /// What it is, with this in one place.
    Part(Vec<String>, Value),
}

impl Make {
    /// What was sent for which place.
    pub(super) fn sent(&self) -> Sent<'_> {
        match self {
            Self::Whole(body) | Self::New(body) | Self::Merged(body) => Sent::Object(body),
            Self::Part(part, body) => Sent::Part(part, body),
        }
    }
}

/// The object in a body, without the members that are the node's own to write.
pub(super) fn own(asked: &Asked) -> Result<Value, Answer> {
    let body = asked.is_json_object()?;
    for name in ["create_time", "update_time"] {
        if body.get(name).is_some() {
            let text = format!("additional properties forbidden, found {name}");
            return Err(Answer::bad(format!("invalid configuration: {text}")));
        }
    }
    Ok(body)
}

/// How long an object is to live, in seconds.
pub(super) fn life(asked: &Asked) -> Result<Option<u64>, Answer> {
    let Some(text) = asked.query.find("ttl") else { return Ok(None) };
    match text.parse::<u64>() {
        Ok(seconds) if seconds > 0 => Ok(Some(seconds)),
        _ => Err(Answer::bad("invalid argument ttl: should be a number")),
    }
}

/// The key of an object of that id.
pub(super) fn key(target: &Target, id: &str) -> Result<Key, Answer> {
    target.key(id).map_err(|fault| {
        Answer::bad(format!("invalid configuration: the id of the {} {fault}", target.kind.noun))
    })
}

/// The id of the object that is to be written.
pub(super) fn id_of(target: &Target, make: &Make, snapshot: &Snapshot) -> Result<String, Answer> {
    let noun = target.kind.noun;
    let body = match make {
        Make::New(_) => return Ok(format!("{:020}", snapshot.revision.saturating_add(1))),
        Make::Whole(body) | Make::Merged(body) => Some(body),
        Make::Part(..) => None,
    };
    let is_account = target.kind.naming == Naming::Username;
    let member = if is_account { "username" } else { "id" };
    let own = match body.and_then(|body| body.get(member)) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) => return Err(Answer::bad(format!("wrong {noun} id"))),
        None => None,
    };
    match (&target.id, own) {
        (Some(id), Some(own)) if *id != own => Err(Answer::bad(if is_account {
            "wrong username".to_owned()
        } else {
            format!("wrong {noun} id")
        })),
        (Some(id), _) => Ok(id.clone()),
        (None, Some(own)) if !matches!(target.kind.naming, Naming::Manager | Naming::Plugin) => {
            Ok(own)
        }
        (None, _) if is_account => Err(Answer::bad("missing consumer name")),
        (None, _) => Err(Answer::bad(format!("missing {noun} id"))),
    }
}

/// The revision that an object must be at, and still be at when it is written.
pub(super) fn expect(
    asked: &Asked,
    make: &Make,
    object: Option<&Object>,
) -> Result<Expect, Answer> {
    let current = object.map(|object| object.revision);
    match (asked.expected()?, current) {
        (Expected::Absent, Some(_)) => Err(Answer::precondition("the object exists")),
        (Expected::Present | Expected::Revision(_), None) => {
            Err(Answer::precondition("there is no such object"))
        }
        (Expected::Revision(wanted), Some(current)) if wanted != current => {
            Err(Answer::precondition(&format!("the object is at revision {current}")))
        }
        (_, Some(_)) if matches!(make, Make::New(_)) => {
            // Someone chose the very id that comes next.
            Err(Answer::bad("the id that comes next is taken; use PUT"))
        }
        (_, Some(current)) => Ok(Expect::Revision(current)),
        (_, None) => Ok(Expect::Absent),
    }
}

/// Puts a value where a path leads; `null` removes what is there.
pub(super) fn set(value: &mut Value, part: &[String], body: &Value) -> Result<(), Answer> {
    let refused = || Answer::bad(format!("invalid sub-path: /{}", part.join("/")));
    let Some((last, before)) = part.split_last() else { return Err(refused()) };
    let mut at = value;
    for step in before {
        at = match at {
            Value::Object(members) => {
                members.entry(step.clone()).or_insert_with(|| Value::Object(Map::new()))
            }
            Value::Array(items) => {
                let index = step.parse::<usize>().ok();
                index.and_then(|index| items.get_mut(index)).ok_or_else(refused)?
            }
            _ => return Err(refused()),
        };
    }
    match at {
        Value::Object(members) if body.is_null() => {
            members.shift_remove(last);
        }
        Value::Object(members) => {
            members.insert(last.clone(), body.clone());
        }
        Value::Array(items) => {
            let index = last.parse::<usize>().ok();
            *index.and_then(|index| items.get_mut(index)).ok_or_else(refused)? = body.clone();
        }
        _ => return Err(refused()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_of_an_object_is_replaced_where_the_path_leads() {
        let start = json!({ "plugins": { "a": { "x": 1 } }, "uris": ["/a", "/b"] });
        let part = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        for (path, body, end) in [
            (
                "plugins/a",
                json!({ "y": 2 }),
                json!({ "plugins": { "a": { "y": 2 } }, "uris": ["/a", "/b"] }),
            ),
            ("plugins/a", Value::Null, json!({ "plugins": {}, "uris": ["/a", "/b"] })),
            (
                "uris/1",
                json!("/c"),
                json!({ "plugins": { "a": { "x": 1 } }, "uris": ["/a", "/c"] }),
            ),
            (
                "labels/team",
                json!("a"),
                json!({ "plugins": { "a": { "x": 1 } }, "uris": ["/a", "/b"], "labels": { "team": "a" } }),
            ),
        ] {
            let mut value = start.clone();
            assert!(set(&mut value, &part(path), &body).is_ok(), "{path}");
            assert_eq!(value, end, "{path}");
        }
        for path in ["uris/2", "uris/x", "plugins/a/x/y"] {
            assert!(set(&mut start.clone(), &part(path), &json!(1)).is_err(), "{path}");
        }
    }
}
