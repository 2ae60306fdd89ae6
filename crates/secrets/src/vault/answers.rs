//! What is asked of Vault, and what its answers mean.

use std::fmt::Write;
use std::time::Duration;

use bartizan_config::{KvVersion, Vault};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::document::Document;
use crate::fault::Fault;

/// A token that Vault made.
#[derive(Deserialize)]
pub(crate) struct Auth {
    pub(crate) client_token: String,
    /// In seconds; 0 is for ever.
    #[serde(default)]
    pub(crate) lease_duration: u64,
    #[serde(default)]
    pub(crate) renewable: bool,
}

/// The answer to a login and to the renewal of a token.
#[derive(Deserialize)]
pub(crate) struct Login {
    pub(crate) auth: Auth,
}

/// The answer to the question what a token is.
#[derive(Deserialize)]
pub(crate) struct LookUp {
    pub(crate) data: TokenFacts,
}

/// What a token is.
#[derive(Deserialize)]
pub(crate) struct TokenFacts {
    /// In seconds; 0 is for ever.
    #[serde(default)]
    pub(crate) ttl: u64,
    #[serde(default)]
    pub(crate) renewable: bool,
}

/// The answer of the key-value engine.
#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: u64,
    data: Option<Map<String, Value>>,
}

/// Where a secret is read.
pub(crate) fn secret_target(vault: &Vault, path: &str) -> String {
    let rest = vault.prefix.strip_prefix(&*vault.mount).unwrap_or_default();
    let versioned = if vault.kv == KvVersion::Two { "/data" } else { "" };
    let mut target = "/v1/".to_owned();
    for part in [&vault.mount, versioned, rest, "/", path] {
        encode(&mut target, part);
    }
    target
}

/// Where a method of authentication is asked.
pub(crate) fn login_target(mount: &str) -> String {
    let mut target = "/v1/auth/".to_owned();
    encode(&mut target, mount);
    target.push_str("/login");
    target
}

/// Appends a path; what has a meaning in URLs is escaped (RFC 3986 §2.1).
fn encode(target: &mut String, path: &str) {
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            target.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(target, "%{byte:02X}");
        }
    }
}

/// Reads what the key-value engine answered.
pub(crate) fn document(kv: KvVersion, body: &[u8]) -> Result<Document, Fault> {
    let read: Read = serde_json::from_slice(body).map_err(|_| Fault::Broken("not Vault's"))?;
    if !read.lease_id.is_empty() {
        // Each reading would make new credentials.
        return Err(Fault::Broken("a lease of another engine, not a secret that is kept"));
    }
    let data = read.data.ok_or(Fault::Broken("without data"))?;
    let values = match kv {
        KvVersion::One if data.get("data").is_some_and(Value::is_object) => {
            return Err(Fault::Broken("of version 2 of the engine: write `kv_version: 2`"));
        }
        KvVersion::One => data,
        KvVersion::Two => match data.into_iter().find(|(key, _)| key == "data") {
            Some((_, Value::Object(values))) => values,
            Some((_, Value::Null)) => return Err(Fault::Absent(": its last version was removed")),
            _ => return Err(Fault::Broken("of version 1 of the engine: write `kv_version: 1`")),
        },
    };
    let lease = (read.lease_duration > 0).then(|| Duration::from_secs(read.lease_duration));
    Ok(Document::of_members(values, lease))
}

/// What stands at a path before a value in it is replaced.
pub(crate) struct Standing {
    values: Map<String, Value>,
    /// In version 2, the version that a write must find; 0 where there is none.
    version: Option<u64>,
}

impl Standing {
    /// Reads an answer of the key-value engine, which may be that there is nothing.
    pub(crate) fn read(kv: KvVersion, is_there: bool, body: &[u8]) -> Result<Self, Fault> {
        if is_there {
            // What is no secret that is kept is not written either.
            document(kv, body).map(|_| ()).or_else(|fault| match fault {
                Fault::Absent(_) => Ok(()),
                fault => Err(fault),
            })?;
        }
        let read: Option<Read> = serde_json::from_slice(body).ok();
        let mut data = read.and_then(|read| read.data).unwrap_or_default();
        let (values, version) = match kv {
            KvVersion::One if is_there => (data, None),
            KvVersion::One => (Map::new(), None),
            KvVersion::Two => {
                // Of a secret whose last version was removed, it is told with 404.
                let version = data.get("metadata").and_then(|about| about.get("version")?.as_u64());
                let values = match data.remove("data") {
                    Some(Value::Object(values)) => values,
                    _ => Map::new(),
                };
                (values, Some(version.unwrap_or_default()))
            }
        };
        if values.values().all(is_exact) {
            return Ok(Self { values, version });
        }
        Err(Fault::Broken("with a number that could not be written as it stands there"))
    }

    /// The body of the write that replaces one value and leaves the others.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Vec<u8> {
        self.values.insert(key.to_owned(), value.into());
        let body = match self.version {
            None => Value::Object(self.values),
            Some(version) => json!({ "options": { "cas": version }, "data": self.values }),
        };
        body.to_string().into_bytes()
    }
}

/// Whether a value can be written as it was read.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(items) => items.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Whether a refusal says that another version is there than the write was for, which Vault tells
/// with no status of its own.
pub(crate) fn says_outdated(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<String>,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let is_one = |error: &String| {
        error.contains("check-and-set parameter did not match the current version")
    };
    refusal.is_some_and(|refusal| refusal.errors.iter().any(is_one))
}

/// Whether an answer says that version 2 of the engine took a value.
pub(crate) fn is_new_version(body: &[u8]) -> bool {
    let read: Option<Read> = serde_json::from_slice(body).ok();
    read.and_then(|read| read.data?.get("version")?.as_u64()).is_some()
}

#[cfg(test)]
mod tests {
    use bartizan_config::VaultAuth;
    use bartizan_core::Secret;

    use super::*;
    use crate::document::Kept;

    fn vault(prefix: &str, mount: &str, kv: KvVersion) -> Vault {
        Vault {
            uri: "https://vault.test".to_owned(),
            prefix: prefix.to_owned(),
            mount: mount.to_owned(),
            kv,
            namespace: None,
            auth: VaultAuth::Token(Secret::new("t")),
        }
    }

    #[test]
    fn a_secret_is_read_where_its_engine_keeps_it() {
        for (prefix, mount, kv, path, target) in [
            ("kv/apisix", "kv", KvVersion::One, "jack", "/v1/kv/apisix/jack"),
            ("kv", "kv", KvVersion::One, "a b/c?d", "/v1/kv/a%20b/c%3Fd"),
            ("kv/apisix", "kv", KvVersion::Two, "jack", "/v1/kv/data/apisix/jack"),
            ("kv", "kv", KvVersion::Two, "jack", "/v1/kv/data/jack"),
            ("teams/a/x", "teams/a", KvVersion::Two, "k%2e", "/v1/teams/a/data/x/k%252e"),
        ] {
            assert_eq!(secret_target(&vault(prefix, mount, kv), path), target);
        }
        assert_eq!(login_target("k8s/a#b"), "/v1/auth/k8s/a%23b/login");
    }

    #[test]
    fn answers_of_both_versions_are_read() {
        let one = br#"{"lease_id":"","lease_duration":60,"data":{"k":"v","n":1}}"#;
        let one = document(KvVersion::One, one).unwrap_or_else(|fault| panic!("{fault}"));
        assert!(matches!(&one.values["k"], Kept::Text(text) if text.matches(b"v")));
        assert!(matches!(&one.values["n"], Kept::Other));
        assert_eq!(one.lease, Some(Duration::from_secs(60)));
        let two = br#"{"data":{"data":{"n":2,"k":"v"},"metadata":{"version":3}}}"#;
        let two = document(KvVersion::Two, two).unwrap_or_else(|fault| panic!("{fault}"));
        assert!(one.is_like(&two) && two.lease.is_none());
    }

    #[test]
    fn other_answers_say_what_is_wrong() {
        for (kv, body, words) in [
            (KvVersion::One, "<html>", "not Vault's"),
            (KvVersion::One, "{}", "without data"),
            (KvVersion::One, r#"{"data":{"data":{"k":"v"},"metadata":{}}}"#, "`kv_version: 2`"),
            (KvVersion::Two, r#"{"data":{"k":"v"}}"#, "`kv_version: 1`"),
            (KvVersion::Two, r#"{"data":{"data":null}}"#, "last version was removed"),
            (KvVersion::One, r#"{"lease_id":"db/1","data":{"k":"v"}}"#, "another engine"),
        ] {
            let fault = document(kv, body.as_bytes()).map(|_| ()).unwrap_err();
            assert!(fault.to_string().contains(words), "{body}: {fault}");
        }
    }

    #[test]
    fn one_value_is_replaced_and_the_others_stay_as_they_are() {
        for (kv, is_there, body, written) in [
            (KvVersion::One, true, r#"{"data":{"a":1,"k":"x"}}"#, r#"{"a":1,"k":"new"}"#),
            (KvVersion::One, false, r#"{"errors":[]}"#, r#"{"k":"new"}"#),
            (
                KvVersion::Two,
                true,
                r#"{"data":{"data":{"b":[true,null]},"metadata":{"version":3}}}"#,
                r#"{"data":{"b":[true,null],"k":"new"},"options":{"cas":3}}"#,
            ),
            (
                KvVersion::Two,
                false,
                r#"{"data":{"data":null,"metadata":{"version":4,"deletion_time":"x"}}}"#,
                r#"{"data":{"k":"new"},"options":{"cas":4}}"#,
            ),
            (
                KvVersion::Two,
                false,
                r#"{"errors":[]}"#,
                r#"{"data":{"k":"new"},"options":{"cas":0}}"#,
            ),
        ] {
            let standing = Standing::read(kv, is_there, body.as_bytes());
            let standing = standing.unwrap_or_else(|fault| panic!("{body}: {fault}"));
            let body: Value =
                serde_json::from_slice(&standing.with("k", "new")).unwrap_or_default();
            assert_eq!(Some(body), serde_json::from_str(written).ok());
        }
    }

    #[test]
    fn what_could_not_be_written_as_it_was_is_not_written() {
        for (kv, body, words) in [
            (KvVersion::One, r#"{"data":{"n":1.5}}"#, "a number"),
            (KvVersion::One, r#"{"data":{"n":[{"m":1e3}]}}"#, "a number"),
            (KvVersion::One, r#"{"lease_id":"db/1","data":{"k":"v"}}"#, "another engine"),
            (KvVersion::Two, r#"{"data":{"k":"v"}}"#, "`kv_version: 1`"),
            (KvVersion::One, "<html>", "not Vault's"),
        ] {
            let fault = Standing::read(kv, true, body.as_bytes()).map(|_| ()).unwrap_err();
            assert!(fault.to_string().contains(words), "{body}: {fault}");
        }
        assert!(is_new_version(br#"{"data":{"version":1}}"#) && !is_new_version(b""));
    }
}
