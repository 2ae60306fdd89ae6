//! A node as there are many: thirty routes of several teams, some open, some at fault.

use bartizan_core::{Clock, Timestamp};
use bartizan_testkit::TestAuthority;
use serde_json::{Value, json};

use crate::driver::{Bench, Serving, exchange};
use crate::stores::put;

const NODE: &str = "\
listeners:
- { address: \"127.0.0.1:0\" }
- { address: \"127.0.0.1:0\", tls: { certificates: [{ cert: cert.pem, key: key.pem }] } }
store: { embedded: { path: store } }
admin: { listen: \"127.0.0.1:0\", keys: keys, socket: sock }
audit: { sinks: [{ file: { path: audit.jsonl } }] }
";

const RULES: &str = "\
SecRequestBodyAccess Off
SecRule ARGS:q \"@rx union.+select\" \"id:1,phase:1,deny,status:403,t:lowercase,msg:'SQL'\"
";

/// A key of an account, as nobody writes it.
pub(super) const ALICE: &str = "alice-fedcba9876543210";

/// A folder with everything that the node finds when it starts.
pub(super) fn bench() -> Bench {
    let now = Clock::System.now().as_secs().saturating_sub(60);
    let now = Timestamp::from_secs(now);
    let names = ["shop.example", "api.shop.example", "pay.example"];
    let issued = TestAuthority::starting(now).server(&names);
    let key = issued.key.expose_str().unwrap().to_owned();
    let files = [
        ("bartizan.yaml", NODE),
        ("cert.pem", &issued.chain),
        ("key.pem", &key),
        ("own.conf", RULES),
    ];
    let bench = Bench::with(&files);
    let objects = objects();
    for (name, value) in &objects {
        put(&bench, name, value);
    }
    // What was changed since.
    let alice = objects.into_iter().find(|(name, _)| name == "consumers/alice");
    let (name, mut consumer) = alice.unwrap();
    consumer["plugins"]["key-auth"]["key"] = ALICE.into();
    consumer["labels"] = json!({ "team": "shop" });
    consumer.as_object_mut().unwrap().remove("desc");
    put(&bench, &name, &consumer);
    bench
}

/// What is in the store, by name.
fn objects() -> Vec<(String, Value)> {
    let town: serde_json::Map<String, Value> =
        serde_json::from_str(include_str!("town.json")).unwrap();
    town.into_iter().collect()
}

/// Requests that are refused for ten reasons.
pub(super) fn be_refused(serving: &Serving) {
    let address = serving.listeners[0];
    let host = "";
    let key = format!("apikey: {ALICE}\r\n");
    for (path, fields) in [
        ("/vault", host.to_owned()),
        ("/vault", "apikey: nobody-has-this-key-at-all\r\n".to_owned()),
        ("/vault", key.clone()),
        ("/nowhere?token=do-not-show-this", host.to_owned()),
        ("/.git/config", host.to_owned()),
        ("/healthz", host.to_owned()),
        ("/search?q=1+UNION+SELECT+2", key.clone()),
        ("/burst", key.clone()),
        ("/burst", key.clone()),
        ("/forms", key.clone()),
        ("/typo", host.to_owned()),
        ("/a/%2e%2e/%00", host.to_owned()),
    ] {
        exchange(address, path, &fields);
    }
}
