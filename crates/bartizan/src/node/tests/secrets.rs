//! Secrets of a node: in a Vault that runs beside the test, and encrypted in its store.

use bartizan_testkit::VaultDouble;

use super::*;

const ENCRYPTED: &str = "\
listeners: [{ address: \"127.0.0.1:0\" }]
workers: 1
store:
  embedded:
    path: store
    encryption: { keys: [{ id: k1, key: \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\" }] }
";

pub(super) fn vault(double: &VaultDouble) -> Value {
    let uri = format!("http://127.0.0.1:{}", double.listen());
    json!({ "uri": uri, "prefix": "kv", "token": "root", "refresh": "1s", "stale_max": "1h" })
}

pub(super) fn jack(key: &str) -> Value {
    json!({ "username": "jack", "plugins": { "key-auth": { "key": key, "danger_weak_secret": true } } })
}

pub(super) fn scene() -> (Scene, VaultDouble) {
    let double = VaultDouble::default();
    double.token("root", None, false);
    double.put("kv/jack", json!({ "key": "first-key" }));
    let scene = Scene::start();
    scene.put("routes/a", &route("/a"));
    (scene, double)
}

impl Scene {
    /// Does what the node does when a secret changes, which it must notice.
    fn take_secret(&mut self) {
        let (managers, seen) = (Arc::clone(&self.node.managers), self.node.secrets_seen);
        self.node.control.block_on(managers.changed(seen));
        self.node.reload(&[]);
    }
}

/// What a key gets: 401 where it is none, 502 from an upstream that is not there where it is one.
pub(super) const REFUSED: &str = "401";
pub(super) const PASSED: &str = "502";

#[test]
fn a_key_in_vault_opens_and_another_one_once_it_is_there() {
    let (mut scene, double) = scene();
    scene.put("secrets/vault/1", &vault(&double));
    scene.put("consumers/jack", &jack("$secret://vault/1/jack/key"));
    scene.take_change();
    assert_eq!(scene.quarantined(), 0);
    let keys = ["first-key", "second-key", "", "$secret://vault/1/jack/key"];
    let statuses = keys.map(|key| scene.status_with("/a", key));
    assert_eq!(statuses, [PASSED, REFUSED, REFUSED, REFUSED]);
    double.put("kv/jack", json!({ "key": "second-key" }));
    scene.take_secret();
    assert_eq!(keys.map(|key| scene.status_with("/a", key)), [REFUSED, PASSED, REFUSED, REFUSED]);
}

#[test]
fn a_secret_that_cannot_be_had_puts_its_object_in_quarantine_until_it_can() {
    let (mut scene, double) = scene();
    double.seal(true);
    scene.put("secrets/vault/1", &vault(&double));
    scene.put("consumers/jack", &jack("$secret://vault/1/jack/key"));
    scene.take_change();
    assert_eq!(
        (scene.status_with("/a", "first-key"), scene.quarantined()),
        (REFUSED.to_owned(), 1)
    );
    double.seal(false);
    scene.take_secret();
    assert_eq!((scene.status_with("/a", "first-key"), scene.quarantined()), (PASSED.to_owned(), 0));
    // Removed, it is not used any longer, and nothing stands in for it.
    double.remove("kv/jack");
    scene.take_secret();
    assert_eq!(
        (scene.status_with("/a", "first-key"), scene.quarantined()),
        (REFUSED.to_owned(), 1)
    );
}

#[test]
fn a_manager_at_fault_keeps_its_last_good_version_and_so_what_refers_to_it() {
    let (mut scene, double) = scene();
    let good = vault(&double);
    scene.put("secrets/vault/1", &good);
    scene.put("consumers/jack", &jack("$secret://vault/1/jack/key"));
    scene.take_change();
    let mut bad = good;
    bad["prefx"] = json!("kv");
    scene.put("secrets/vault/1", &bad);
    scene.take_change();
    assert_eq!((scene.status_with("/a", "first-key"), scene.quarantined()), (PASSED.to_owned(), 1));
}

#[test]
fn secrets_lie_encrypted_in_the_store_and_work_in_the_node() {
    let mut scene = Scene::with(ENCRYPTED);
    scene.put("routes/a", &route("/a"));
    scene.put("consumers/jack", &jack("first-key"));
    scene.take_change();
    assert_eq!(scene.status_with("/a", "first-key"), PASSED);
    let key = Key::parse("consumers/jack").unwrap();
    let raw = scene.node.control.block_on(scene.store().inner().get(&key)).unwrap().unwrap();
    let raw = raw.value().unwrap();
    let lies = raw["plugins"]["key-auth"]["key"].as_str().unwrap();
    assert!(lies.starts_with("$sealed://k1/"), "{raw}");
    // What lies there opens nothing, and what cannot be read neither.
    assert_eq!(scene.status_with("/a", lies), REFUSED);
    let moved = json!({ "username": "joe", "plugins": raw["plugins"] });
    let joe = Key::parse("consumers/joe").unwrap();
    let put = scene.store().inner().put(&joe, &moved, Expect::Anything, "x");
    scene.node.control.block_on(put).unwrap();
    scene.take_change();
    assert_eq!(scene.quarantined(), 1);
    assert_eq!(scene.status_with("/a", "$unreadable://damaged/k1"), REFUSED);
    assert_eq!(scene.status_with("/a", "first-key"), PASSED);
}

#[test]
fn what_refers_to_a_secret_is_judged_with_everything_and_works() {
    let (mut scene, double) = scene();
    scene.put("secrets/vault/1", &vault(&double));
    scene.take_change();
    // By itself; what refers to a manager, and the manager, are not.
    scene.put("routes/b", &route("/b"));
    scene.take_change();
    let is_by_itself = |scene: &mut Scene| scene.node.keep_at.take().is_some();
    assert!(is_by_itself(&mut scene));
    scene.put("consumers/jack", &jack("$secret://vault/1/jack/key"));
    scene.take_change();
    assert!(!is_by_itself(&mut scene) && scene.node.ledger.is_some());
    let keys = ["first-key", "second-key", "$secret://vault/1/jack/key"];
    assert_eq!(keys.map(|key| scene.status_with("/b", key)), [PASSED, REFUSED, REFUSED]);
    // A change beside it neither forgets the secret nor keeps another one from being taken.
    scene.put("routes/c", &route("/c"));
    scene.take_change();
    assert!(is_by_itself(&mut scene));
    assert_eq!(keys.map(|key| scene.status_with("/c", key)), [PASSED, REFUSED, REFUSED]);
    double.put("kv/jack", json!({ "key": "second-key" }));
    scene.take_secret();
    assert_eq!(keys.map(|key| scene.status_with("/c", key)), [REFUSED, PASSED, REFUSED]);
    let mut other = vault(&double);
    other["token"] = json!("nobody's");
    scene.put("secrets/vault/1", &other);
    scene.take_change();
    assert!(!is_by_itself(&mut scene));
}
