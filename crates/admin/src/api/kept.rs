//! Which secrets a write leaves as they are without that whoever writes shows that they know them:
//! those that a sealed value stands for, that a patch does not touch, or that are kept elsewhere.

use bartizan_config::{AUTH_FILE, PluginSchemas, is_reference, secret_fields, secrets_in};
use bartizan_store::Key;
use serde_json::Value;

/// Above what probes send, as the beginning of a JSON pointer.
const PROBES: [&str; 2] = ["/checks/", "/upstream/checks/"];

/// What was sent.
#[derive(Clone, Copy)]
pub(super) enum Sent<'a> {
    /// An object, or a patch that is merged into one.
    Object(&'a Value),
    /// What stands where a path leads to.
    Part(&'a [String], &'a Value),
}

impl<'a> Sent<'a> {
    /// What was sent for a place in the object.
    fn at(self, pointer: &str) -> Option<&'a Value> {
        match self {
            Self::Object(body) => body.pointer(pointer),
            Self::Part(part, body) => {
                let mut rest = pointer;
                for step in part {
                    let step = step.replace('~', "~0").replace('/', "~1");
                    rest = rest.strip_prefix('/')?.strip_prefix(step.as_str())?;
                }
                body.pointer(rest)
            }
        }
    }
}

/// The secrets of an object that are sent to servers: of plugins, of their metadata, of the secret
/// managers, and what probes send. What accounts prove themselves by, and the keys of certificates, stay here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets {
    /// Those that stay as they are, or are kept elsewhere, as JSON pointers.
    pub(super) kept: Vec<String>,
    /// Those that were sent in clear.
    pub(super) written: Vec<String>,
    /// All that were sent in clear, also what is sent to no server, in order.
    pub(super) clear: Vec<String>,
}

impl Secrets {
    /// Those of an object as it will be, by what was sent for it.
    pub(super) fn of(
        key: &Key,
        after: &Value,
        sent: Sent<'_>,
        plugins: &dyn PluginSchemas,
    ) -> Self {
        let (collection, id) = (key.collection(), key.id());
        let has_some = ["plugins", "checks", "upstream"].iter().any(|key| after.get(key).is_some());
        if !has_some && !matches!(collection, "plugin_metadata" | "secrets") {
            return Self::default();
        }
        let is_account = collection == "consumers";
        let is_sent = |pointer: &String| match pointer.strip_prefix("/plugins/") {
            Some(rest) => {
                let name = rest.split('/').next().unwrap_or_default();
                !(is_account && plugins.is_authentication(name))
            }
            None => {
                matches!(collection, "plugin_metadata" | "secrets")
                    || PROBES.iter().any(|above| pointer.starts_with(above))
            }
        };
        let mut found = secrets_in(collection, id, after, plugins);
        // Those that are references.
        found.extend(secret_fields(plugins, collection, id, after));
        // A file with a secret, which a secret manager names, is one as well.
        let names_file = collection == "secrets" && after.pointer(AUTH_FILE).is_some();
        found.extend(names_file.then(|| AUTH_FILE.to_owned()));
        found.sort_unstable();
        found.dedup();
        let (clear, mut kept): (Vec<String>, Vec<String>) =
            found.into_iter().partition(|pointer| {
                let now = after.pointer(pointer);
                let is_elsewhere =
                    pointer == AUTH_FILE || now.and_then(Value::as_str).is_some_and(is_reference);
                !is_elsewhere && sent.at(pointer) == now
            });
        kept.retain(is_sent);
        let written = clear.iter().filter(|pointer| is_sent(pointer)).cloned().collect();
        Self { kept, written, clear }
    }
}

#[cfg(test)]
mod tests {
    use bartizan_plugins::Catalogue;
    use serde_json::json;

    use super::*;

    fn of(key: &str, after: &Value, sent: Sent<'_>) -> Vec<String> {
        Secrets::of(&Key::parse(key).unwrap(), after, sent, &Catalogue).kept
    }

    #[test]
    fn a_secret_is_kept_where_nobody_sent_it() {
        let route = json!({ "plugins": {
            "http-logger": { "uri": "https://a.test", "auth_header": "s" },
            "csrf": { "key": "$env://KEY" },
        } });
        let logger = "/plugins/http-logger/auth_header";
        let csrf = "/plugins/csrf/key";
        let mut sealed = route.clone();
        sealed["plugins"]["http-logger"]["auth_header"] = json!("sealed:v1:x");
        let part = |steps: &[&str]| steps.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
        let (whole, other) = (part(&["plugins", "http-logger"]), part(&["plugins", "http"]));
        let config = &route["plugins"]["http-logger"];
        for (sent, expected) in [
            (Sent::Object(&route), &[csrf][..]),
            (Sent::Object(&sealed), &[csrf, logger]),
            (Sent::Object(&json!({ "uri": "/b" })), &[csrf, logger]),
            (Sent::Part(&whole, config), &[csrf]),
            (Sent::Part(&other, config), &[csrf, logger]),
            (Sent::Part(&part(&["uri"]), &json!("/b")), &[csrf, logger]),
        ] {
            assert_eq!(of("routes/1", &route, sent), expected);
        }
    }

    #[test]
    fn what_is_sent_nowhere_does_not_count() {
        let none = json!({});
        let sent = Sent::Object(&none);
        let account = json!({ "username": "a", "plugins": { "key-auth": { "key": "s" } } });
        assert!(of("consumers/a", &account, sent).is_empty());
        let upstream = json!({ "nodes": {}, "tls": { "client_key": "k", "client_cert": "c" } });
        assert!(of("upstreams/1", &upstream, sent).is_empty());
        // What probes send is sent to the nodes.
        let probed = json!({ "nodes": {}, "tls": { "client_key": "k", "client_cert": "c" },
            "checks": { "active": { "req_headers": ["A: b"] } } });
        let header = "/checks/active/req_headers/0";
        assert_eq!(of("upstreams/1", &probed, sent), [header]);
        assert!(of("upstreams/1", &probed, Sent::Object(&probed)).is_empty());
        let route = json!({ "uri": "/a", "upstream": probed });
        assert_eq!(of("routes/1", &route, sent), [format!("/upstream{header}")]);
        assert!(of("ssls/1", &json!({ "cert": "c", "key": "k" }), sent).is_empty());
        // A reference to what is no secret.
        let logger = json!({ "uri": "https://a.test", "ca_certs": "$file://ca.pem" });
        let trusting = json!({ "plugins": { "http-logger": logger } });
        assert!(of("routes/1", &trusting, sent).is_empty());
        let manager = json!({ "uri": "https://vault.test", "token": "t" });
        assert_eq!(of("secrets/vault/1", &manager, sent), ["/token"]);
        // A file is kept elsewhere, whoever names it.
        let manager = json!({ "auth_file": "account.json" });
        for sent in [sent, Sent::Object(&manager)] {
            assert_eq!(of("secrets/gcp/1", &manager, sent), ["/auth_file"]);
        }
    }
}
