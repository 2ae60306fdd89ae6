//! What is known of etcd's content: every object, and what changed lately. No I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bartizan_core::Timestamp;

use super::wire::{Bytes, Event, KeyValue};
use crate::key::Key;
use crate::object::{Change, Changes, Object, Snapshot};

/// Most changes that are remembered for those who follow.
const LOG_MAX: usize = 1_024;

/// The placeholder that Apache APISIX puts into each folder of keys.
const PLACEHOLDER: &[u8] = b"init_dir";

/// Keys below the prefix that are no resources.
const FOREIGN: [&str; 1] = ["data_plane/"];

/// The key of the list of enabled plugins, which has no id.
const PLUGINS: &str = "plugins";

/// What stands for it.
const PLUGINS_KEY: &str = "plugins/list";

/// What stands for that, where somebody wrote it: nothing else is seen like this.
const IN_ITS_PLACE: &str = "plugins/list%-";

/// The content of etcd below a prefix.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    pub(super) revision: u64,
    objects: BTreeMap<Key, Object>,
    /// What stands in etcd where a key stands for something that is none.
    strays: BTreeMap<Key, Vec<u8>>,
    /// How many keys there are, others included.
    pub(super) count: u64,
    log: VecDeque<(u64, Key)>,
    /// Everything after this revision is in the log.
    log_from: u64,
}

/// What a key below the prefix is.
pub(super) enum Kind {
    /// An object's.
    Object(Key),
    /// Something that is not read.
    Foreign,
}

/// What a key is, `prefix` being without the slash at its end.
pub(super) fn kind(prefix: &str, pair: &KeyValue) -> Kind {
    let below = pair.key.0.strip_prefix(prefix.as_bytes());
    let Some(rest) = below.and_then(|rest| rest.strip_prefix(b"/")) else {
        return Kind::Foreign;
    };
    let is_placeholder = rest.ends_with(b"/") && (pair.value.0 == PLACEHOLDER);
    if is_placeholder || FOREIGN.iter().any(|known| rest.starts_with(known.as_bytes())) {
        return Kind::Foreign;
    }
    // What would take the place of the list of plugins.
    if rest == PLUGINS_KEY.as_bytes() {
        return Key::parse(IN_ITS_PLACE).map_or(Kind::Foreign, Kind::Object);
    }
    // The list of plugins is one object, which has no id.
    let rest = if rest == PLUGINS.as_bytes() { PLUGINS_KEY.as_bytes() } else { rest };
    Kind::Object(Key::standing_for(rest))
}

/// The key in etcd of an object whose key is one.
fn path(prefix: &str, key: &Key) -> String {
    if key.collection() == PLUGINS {
        format!("{prefix}/{PLUGINS}")
    } else {
        format!("{prefix}/{key}")
    }
}

/// An object as etcd keeps it. Control planes write when they wrote it into it.
pub(super) fn object(key: Key, pair: &KeyValue) -> Object {
    #[derive(serde::Deserialize)]
    struct Stamped {
        update_time: u64,
    }
    let content: Arc<[u8]> = pair.value.0.as_slice().into();
    let at = serde_json::from_slice::<Stamped>(&content).ok();
    let at = at.map(|stamped| Timestamp::from_secs(stamped.update_time));
    let (revision, created) = (pair.mod_revision.0, pair.create_revision.0);
    Object { key, content, revision, created, author: None, at }
}

impl Mirror {
    /// The key in etcd of an object.
    pub(super) fn path(&self, prefix: &str, key: &Key) -> Bytes {
        self.strays.get(key).map_or_else(|| Bytes::of(&path(prefix, key)), |raw| Bytes(raw.clone()))
    }

    /// Remembers what stands in etcd, where that cannot be told from the key.
    pub(super) fn note(&mut self, prefix: &str, key: &Key, pair: &KeyValue) {
        if path(prefix, key).as_bytes() != pair.key.0 {
            self.strays.insert(key.clone(), pair.key.0.clone());
        }
    }

    /// Takes the whole content, as it was at a revision.
    pub(super) fn replace(&mut self, revision: u64, objects: Vec<Object>, count: u64) {
        self.strays.clear();
        self.objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        self.count = count;
        self.revision = revision;
        self.log.clear();
        self.log_from = revision;
    }

    /// Takes what another one noted, too.
    pub(super) fn take_strays(&mut self, other: Self) {
        self.strays.extend(other.strays);
    }

    /// Takes what happened.
    pub(super) fn apply(&mut self, prefix: &str, events: &[Event]) {
        for event in events {
            let pair = &event.kv;
            let is_delete = event.kind == "DELETE";
            let is_new = pair.create_revision == pair.mod_revision;
            if is_delete {
                self.count = self.count.saturating_sub(1);
            } else if is_new {
                self.count += 1;
            }
            self.revision = self.revision.max(pair.mod_revision.0);
            match kind(prefix, pair) {
                Kind::Object(key) => {
                    self.log.push_back((pair.mod_revision.0, key.clone()));
                    if is_delete {
                        self.objects.remove(&key);
                        self.strays.remove(&key);
                    } else {
                        self.note(prefix, &key, pair);
                        self.objects.insert(key.clone(), object(key, pair));
                    }
                }
                Kind::Foreign => {}
            }
        }
        while self.log.len() > LOG_MAX {
            if let Some((revision, _)) = self.log.pop_front() {
                self.log_from = revision;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    pub(super) fn get(&self, key: &Key) -> Option<Object> {
        self.objects.get(key).cloned()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { revision: self.revision, objects: self.objects.values().cloned().collect() }
    }

    /// The object that was written last.
    pub(super) fn newest(&self) -> Option<&Object> {
        self.objects.values().max_by_key(|object| object.revision)
    }

    /// What changed since a revision.
    pub(super) fn changes(&self, after: u64) -> Changes {
        if after < self.log_from || after > self.revision {
            return Changes::Anew(self.snapshot());
        }
        let since = self.log.iter().filter(|(revision, _)| *revision > after);
        let keys: std::collections::BTreeSet<&Key> = since.map(|(_, key)| key).collect();
        let change = |key: &Key| Change { key: key.clone(), object: self.get(key) };
        Changes::Some { revision: self.revision, objects: keys.into_iter().map(change).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::Number;
    use super::*;

    fn pair(key: &str, value: &str, created: u64, revision: u64) -> KeyValue {
        KeyValue {
            key: Bytes::of(key),
            value: Bytes::of(value),
            create_revision: Number(created),
            mod_revision: Number(revision),
        }
    }

    fn put(key: &str, revision: u64) -> Event {
        Event { kind: String::new(), kv: pair(key, "{}", revision, revision) }
    }

    fn told(changes: Changes) -> (bool, Vec<String>) {
        match changes {
            Changes::Some { objects, .. } => {
                (false, objects.iter().map(|change| change.key.to_string()).collect())
            }
            Changes::Anew(snapshot) => {
                (true, snapshot.objects.iter().map(|object| object.key.to_string()).collect())
            }
        }
    }

    #[test]
    fn keys_are_those_of_apache_apisix() {
        let object = |key: &str, value: &str| match kind("/apisix", &pair(key, value, 1, 1)) {
            Kind::Object(key) => Some(key.to_string()),
            Kind::Foreign => None,
        };
        for (key, value, expected) in [
            ("/apisix/routes/1", "{}", Some("routes/1")),
            ("/apisix/consumers/a/credentials/b", "{}", Some("consumers/a/credentials/b")),
            (
                "/apisix/services/s/graphql_cost_decorations/d",
                "{}",
                Some("services/s/graphql_cost_decorations/d"),
            ),
            ("/apisix/plugins", "[]", Some("plugins/list")),
            ("/apisix/plugins/list", "[]", Some("plugins/list%-")),
            ("/apisix/plugins/list%-", "[]", Some("plugins/list%25-")),
            ("/apisix/routes/", "init_dir", None),
            ("/apisix/data_plane/server_info/x", "{}", None),
            ("/apisix2/routes/1", "{}", None),
            ("/apisix/routes/", "{}", Some("routes/%")),
            ("/apisix/routes//1", "{}", Some("routes/%2f1")),
            ("/apisix/routes/a\nb", "{}", Some("routes/a%0ab")),
        ] {
            assert_eq!(object(key, value).as_deref(), expected, "{key}");
        }
        assert_eq!(path("/apisix", &Key::parse("plugins/list").unwrap()), "/apisix/plugins");
        assert_eq!(path("/apisix", &Key::parse("routes/1").unwrap()), "/apisix/routes/1");
    }

    #[test]
    fn what_is_no_key_is_found_again_where_it_stands() {
        let mut mirror = Mirror::default();
        let raws =
            ["/apisix/routes/", "/apisix/routes//1", "/apisix/routes/a\nb", "/apisix/routes/a%0ab"];
        let events: Vec<Event> = raws.iter().zip(2..).map(|(raw, at)| put(raw, at)).collect();
        mirror.apply("/apisix", &events);
        let keys = |mirror: &Mirror| -> Vec<Key> {
            mirror.snapshot().objects.iter().map(|object| object.key.clone()).collect()
        };
        let found: std::collections::BTreeSet<Vec<u8>> =
            keys(&mirror).iter().map(|key| mirror.path("/apisix", key).0).collect();
        assert_eq!(found, raws.iter().map(|raw| raw.as_bytes().to_vec()).collect());
        let delete = Event { kind: "DELETE".into(), kv: pair(raws[0], "", 0, 9) };
        mirror.apply("/apisix", &[delete]);
        assert_eq!((keys(&mirror).len(), mirror.strays.len()), (3, 3));
        mirror.replace(10, Vec::new(), 0);
        assert!(mirror.strays.is_empty());
        let plain = Key::parse("routes/1").unwrap();
        assert_eq!(mirror.path("/apisix", &plain), Bytes::of("/apisix/routes/1"));
    }

    #[test]
    fn events_are_counted_remembered_and_forgotten() {
        let mut mirror = Mirror::default();
        mirror.replace(10, Vec::new(), 1);
        mirror.apply("/apisix", &[put("/apisix/routes/a", 11), put("/apisix/data_plane/x", 12)]);
        assert_eq!((mirror.count, mirror.revision), (3, 12));
        let delete = Event { kind: "DELETE".into(), kv: pair("/apisix/routes/a", "", 0, 13) };
        mirror.apply("/apisix", &[delete]);
        assert_eq!((mirror.count, mirror.is_empty()), (2, true));
        assert_eq!(told(mirror.changes(10)), (false, vec!["routes/a".to_owned()]));
        assert_eq!(told(mirror.changes(13)), (false, Vec::new()));
        assert_eq!(told(mirror.changes(9)), (true, Vec::new()));
        assert_eq!(told(mirror.changes(14)), (true, Vec::new()), "it went back");
        let many: Vec<Event> = (14..14 + 2_000).map(|at| put("/apisix/routes/a", at)).collect();
        mirror.apply("/apisix", &many);
        assert!(told(mirror.changes(13)).0 && !told(mirror.changes(2_000)).0);
    }

    #[test]
    fn what_is_forgotten_is_told_anew() {
        for (count, is_anew) in [(LOG_MAX - 1, false), (LOG_MAX, false), (LOG_MAX + 1, true)] {
            let mut mirror = Mirror::default();
            mirror.replace(1, Vec::new(), 0);
            let events: Vec<Event> =
                (2..).take(count).map(|at| put("/apisix/routes/a", at)).collect();
            mirror.apply("/apisix", &events);
            assert_eq!(told(mirror.changes(1)).0, is_anew, "{count}");
            assert!(!told(mirror.changes(2)).0, "{count}");
        }
    }

    #[test]
    fn the_time_of_an_object_is_what_its_writer_says() {
        let stamped = |text| object(Key::parse("routes/a").unwrap(), &pair("", text, 1, 1)).at;
        assert_eq!(stamped(r#"{"update_time": 7}"#), Some(Timestamp::from_secs(7)));
        assert_eq!(
            (stamped("{}"), stamped("{"), stamped(r#"{"update_time": "x"}"#)),
            (None, None, None)
        );
    }
}
