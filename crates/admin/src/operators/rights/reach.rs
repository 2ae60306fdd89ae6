//! What an object serves and how it is labelled, read from the object itself.
//!
//! Whatever cannot be read is told as such, and never taken for "nothing": an object that serves
//! nothing would be inside every confinement.

use serde_json::Value;

use super::Object;
use super::kinds::Serves;

/// Something in an object that is not of the form in which it would have a meaning.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// The hosts that an object serves; none if it serves all.
pub(super) fn hosts<'a>(serves: Serves, object: &Object<'a>) -> Result<Vec<&'a str>, Unreadable> {
    match serves {
        Serves::HostsAndPaths => {
            let own = texts(object.value, "host", "hosts")?;
            let inherited = object.inherited_hosts.iter().map(String::as_str);
            Ok(if own.is_empty() { inherited.collect() } else { own })
        }
        Serves::Hosts => texts(object.value, "host", "hosts"),
        Serves::Names => texts(object.value, "sni", "snis"),
        Serves::Nothing => Ok(Vec::new()),
    }
}

/// The path patterns of a route.
pub(super) fn paths<'a>(object: &Object<'a>) -> Result<Vec<&'a str>, Unreadable> {
    texts(object.value, "uri", "uris")
}

/// The value of a label.
pub(super) fn label<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get("labels")?.get(name)?.as_str()
}

/// The texts of a field for one and a field for several.
fn texts<'a>(
    value: &'a Value,
    one: &'static str,
    several: &'static str,
) -> Result<Vec<&'a str>, Unreadable> {
    let members = value.as_object().ok_or(Unreadable("the object"))?;
    let mut texts = Vec::new();
    match members.get(one) {
        None => {}
        Some(Value::String(text)) => texts.push(text.as_str()),
        Some(_) => return Err(Unreadable(one)),
    }
    match members.get(several) {
        None => {}
        Some(Value::Array(items)) => {
            for item in items {
                texts.push(item.as_str().ok_or(Unreadable(several))?);
            }
        }
        Some(_) => return Err(Unreadable(several)),
    }
    Ok(texts)
}
