//! Secrets that stay as they are in what an editor changes. Whoever may point what holds one at a
//! server of their own has the secret sent there, so that beside it only what says how much may
//! change: where it goes, and how, is written together with the secret.

use bartizan_core::{ByteSize, Span};
use serde_json::Value;

use super::Act;
use super::references::refers;

/// Where something is changed that may decide where a secret goes that stays, as a JSON pointer. A
/// secret that is written beside it counts whatever it is, or the answer would tell who guessed it.
pub(super) fn redirected(before: Option<&Value>, after: &Value, act: &Act<'_>) -> Option<String> {
    let mut units: Vec<&str> = act.kept.iter().map(|pointer| unit(pointer)).collect();
    units.dedup();
    units.into_iter().find_map(|own| {
        let written = act.written.iter().find(|written| unit(written) == own);
        written.cloned().or_else(|| changed(before, after, own))
    })
}

/// The same of secrets that are references, for who knows all others.
pub(super) fn redirected_reference(
    before: Option<&Value>,
    after: &Value,
    act: &Act<'_>,
) -> Option<String> {
    let is_one = |pointer: &&String| {
        after.pointer(pointer).and_then(Value::as_str).is_some_and(|text| refers(pointer, text))
    };
    act.kept.iter().filter(is_one).find_map(|pointer| changed(before, after, unit(pointer)))
}

/// Where more than amounts change in what uses a secret.
fn changed(before: Option<&Value>, after: &Value, unit: &str) -> Option<String> {
    let mut at = unit.to_owned();
    let was = before.and_then(|before| before.pointer(unit));
    differs(was, after.pointer(unit), false, &mut at).then_some(at)
}

/// What uses a secret: the configuration of the plugin that it is in, the upstream written in the
/// object, else the whole object.
fn unit(pointer: &str) -> &str {
    if pointer.starts_with("/upstream/") {
        return "/upstream";
    }
    let Some(rest) = pointer.strip_prefix("/plugins/") else { return "" };
    let name = rest.find('/').unwrap_or(rest.len());
    pointer.get(..pointer.len() - rest.len() + name).unwrap_or_default()
}

/// Members that decide nothing about where something is sent: what all plugins have, which says
/// when they run, and what the node writes itself.
fn is_apart(at: &str, key: &str) -> bool {
    let is_plugin = at.starts_with("/plugins/") && at.matches('/').count() == 2;
    (is_plugin && key == "_meta") || (at.is_empty() && matches!(key, "create_time" | "update_time"))
}

/// Whether a value says how much: a number, a time, a size.
fn is_amount(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::String(text) => {
            let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
            has_unit && (text.parse::<Span>().is_ok() || text.parse::<ByteSize>().is_ok())
        }
        _ => false,
    }
}

/// Whether two values differ in more than amounts. `at` says where, if so. No port is one, nor what
/// comes into a map, where the name may be that of a server.
fn differs(before: Option<&Value>, after: Option<&Value>, is_port: bool, at: &mut String) -> bool {
    let length = at.len();
    let is_fit = |value: Option<&Value>| value.is_none_or(is_amount) && !is_port;
    match (before, after) {
        (before, after) if before == after => false,
        (Some(Value::Object(was)), Some(Value::Object(is))) => {
            let keys = was.keys().chain(is.keys()).filter(|key| !is_apart(at, key));
            let keys: Vec<&String> = keys.collect();
            let is_map = at.matches('/').count() > if at.starts_with("/plugins/") { 2 } else { 0 };
            keys.into_iter().any(|key| {
                at.truncate(length);
                at.push('/');
                at.push_str(&key.replace('~', "~0").replace('/', "~1"));
                let is_port = key.to_ascii_lowercase().contains("port");
                (is_map && !was.contains_key(key))
                    || differs(was.get(key), is.get(key), is_port, at)
            })
        }
        (Some(Value::Array(was)), Some(Value::Array(is))) => {
            (0..was.len().max(is.len())).any(|index| {
                at.truncate(length);
                at.push('/');
                at.push_str(&index.to_string());
                differs(was.get(index), is.get(index), is_port, at)
            })
        }
        (before, after) => !(is_fit(before) && is_fit(after)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(before: Option<&Value>, after: &Value, [kept, written]: [&str; 2]) -> Option<String> {
        let list = |pointer: &str| -> Vec<String> {
            Some(pointer.to_owned()).filter(|pointer| !pointer.is_empty()).into_iter().collect()
        };
        let (kept, written) = (list(kept), list(written));
        let act = Act { kept: &kept, written: &written, ..Act::read("routes", None) };
        redirected(before, after, &act)
    }

    fn told(before: &Value, after: &Value, kept: &str) -> Option<String> {
        found(Some(before), after, [kept, ""])
    }

    #[test]
    fn beside_a_secret_that_stays_only_amounts_change() {
        let with = |config: Value| json!({ "uri": "/a", "plugins": { "p": config, "q": {} } });
        let before = with(json!({
            "secret": "s", "host": "a.test", "port": 1, "ssl": true, "count": 5, "codes": [500],
            "hosts": ["a.test"], "deep": { "to": "x" }, "_meta": { "disable": false },
        }));
        let changed = |pointer: &str, value: Value| {
            let mut after = before.clone();
            *after.pointer_mut(pointer).unwrap() = value;
            after
        };
        for (after, expected) in [
            (before.clone(), None),
            (changed("/uri", json!("/b")), None),
            (changed("/plugins/q", json!({ "host": "b.test" })), None),
            (changed("/plugins/p/count", json!(6)), None),
            (changed("/plugins/p/codes", json!([500, 502])), None),
            (changed("/plugins/p/_meta", json!({ "disable": true })), None),
            (changed("/plugins/p/host", json!("b.test")), Some("/plugins/p/host")),
            (changed("/plugins/p/host", json!(1)), Some("/plugins/p/host")),
            (changed("/plugins/p/port", json!(2)), Some("/plugins/p/port")),
            (changed("/plugins/p/ssl", json!(false)), Some("/plugins/p/ssl")),
            (changed("/plugins/p/hosts", json!(["a.test", "b.test"])), Some("/plugins/p/hosts/1")),
            (changed("/plugins/p/hosts", json!([])), Some("/plugins/p/hosts/0")),
            (changed("/plugins/p/deep/to", json!("y")), Some("/plugins/p/deep/to")),
            (changed("/plugins/p/deep", json!({})), Some("/plugins/p/deep/to")),
        ] {
            let at = told(&before, &after, "/plugins/p/secret");
            assert_eq!(at.as_deref(), expected, "{after}");
        }
        let mut more = before.clone();
        more["plugins"]["p"]["proxy"] = json!("http://b.test");
        assert_eq!(told(&before, &more, "/plugins/p/secret").as_deref(), Some("/plugins/p/proxy"));
        assert_eq!(found(None, &before, ["/plugins/p/secret", ""]).unwrap(), "/plugins/p");
        assert_eq!(found(Some(&before), &more, ["", ""]), None);
        assert_eq!(found(Some(&before), &more, ["", "/plugins/p/secret"]), None);
        // What is guessed beside it is refused whether it is right or not.
        let both = ["/plugins/p/secret", "/plugins/p/deep/to"];
        assert_eq!(found(Some(&before), &before, both).as_deref(), Some("/plugins/p/deep/to"));
        assert_eq!(found(Some(&before), &before, ["/plugins/p/secret", "/plugins/q/key"]), None);
    }

    #[test]
    fn times_and_sizes_are_amounts_and_names_of_a_map_are_none() {
        let before = json!({ "plugins": { "p": {
            "secret": "s", "timeout": "5s", "size": "1MiB", "to": "5", "deep": { "a.test": 1 },
        } } });
        for (pointer, value, expected) in [
            ("/plugins/p/timeout", json!("10s"), None),
            ("/plugins/p/timeout", json!(10), None),
            ("/plugins/p/size", json!("64KiB"), None),
            ("/plugins/p/timeout", json!("evil.test"), Some("/plugins/p/timeout")),
            ("/plugins/p/to", json!("6"), Some("/plugins/p/to")),
            ("/plugins/p/deep", json!({ "a.test": 2 }), None),
            ("/plugins/p/deep", json!({}), None),
            ("/plugins/p/deep", json!({ "b.test": 1 }), Some("/plugins/p/deep/b.test")),
        ] {
            let mut after = before.clone();
            *after.pointer_mut(pointer).unwrap() = value;
            let at = told(&before, &after, "/plugins/p/secret");
            assert_eq!(at.as_deref(), expected, "{after}");
        }
    }

    #[test]
    fn beside_what_probes_send_no_other_server_is_probed() {
        let active = json!({ "req_headers": ["s"], "timeout": 1 });
        let upstream = json!({ "nodes": { "a.test:80": 1 }, "checks": { "active": active } });
        let before = json!({ "uri": "/a", "upstream": upstream });
        for (pointer, value, expected) in [
            ("/uri", json!("/b"), None),
            ("/upstream/nodes", json!({ "a.test:80": 2 }), None),
            ("/upstream/checks/active/timeout", json!(2), None),
            ("/upstream/nodes", json!({ "b.test:80": 1 }), Some("/upstream/nodes/b.test:80")),
        ] {
            let mut after = before.clone();
            *after.pointer_mut(pointer).unwrap() = value;
            let at = told(&before, &after, "/upstream/checks/active/req_headers/0");
            assert_eq!(at.as_deref(), expected, "{after}");
        }
    }

    #[test]
    fn of_what_is_no_plugin_the_whole_object_uses_the_secret() {
        let before =
            json!({ "id": "1", "uri": "https://vault.test", "token": "t", "update_time": 1 });
        for (name, value, expected) in [
            ("uri", json!("https://evil.test"), Some("/uri")),
            ("danger_plaintext", json!(true), Some("/danger_plaintext")),
            ("update_time", json!(2), None),
            ("timeout", json!(5), None),
        ] {
            let mut after = before.clone();
            after[name] = value;
            assert_eq!(told(&before, &after, "/token").as_deref(), expected, "{name}");
        }
    }
}
