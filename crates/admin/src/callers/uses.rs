//! When keys were used, as all nodes of a store know it.
//!
//! Every node knows its own uses to the hour. What it knows goes into one object of the store that is
//! no resource, together with what others put there: of each key, the latest hour stays. So one
//! object is enough for any number of nodes, what one of them says another need not say again, and
//! a key is known by the beginning of its digest, which the store holds anyway.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use bartizan_core::Timestamp;
use bartizan_store::{Commit, Expect, Key, Object, Snapshot, USES_KEY, Write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::credential::Credential;
use super::desk::FindUse;
use crate::operators::Second;

/// Most keys of which the store says when they were used. Those that are being exchanged come first,
/// then the newest; of the others, each node knows what it has seen itself.
pub const SHARED_MAX: usize = 16_384;

/// In seconds.
const HOUR: u64 = 3_600;
/// Bytes of a digest that name a key.
const NAME: usize = 8;

/// When keys were used, as the store says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedUses(HashMap<[u8; NAME], u32>);

/// It as the store has it: by hours since 1970, the names of all keys whose last one that is.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    hours: BTreeMap<u32, String>,
}

impl Kept {
    fn of(object: Option<&Object>) -> Self {
        let kept = object.and_then(|object| serde_json::from_slice(&object.content).ok());
        kept.unwrap_or_default()
    }
}

impl SharedUses {
    /// What the store says. Hours to come are of a clock that was wrong, and say nothing.
    pub fn read(snapshot: &Snapshot, now: Timestamp) -> Self {
        Self::of(object(snapshot), hour(now))
    }

    fn of(object: Option<&Object>, present: u32) -> Self {
        let mut known = HashMap::new();
        for (hour, names) in Kept::of(object).hours.range(..=present) {
            let names = STANDARD.decode(names).unwrap_or_default();
            known.extend(names.as_chunks().0.iter().map(|name| (*name, *hour)));
        }
        Self(known)
    }

    /// The beginning of the hour of the last use of the key of a digest, in seconds since 1970.
    pub fn last(&self, digest: &[u8; 32]) -> Option<u64> {
        self.0.get(name(digest)).map(|hour| u64::from(*hour) * HOUR)
    }

    /// The change that brings what this node knows into the store; `None` where it is there already.
    /// Keys that are gone are forgotten.
    pub fn news(snapshot: &Snapshot, uses: &FindUse, now: Timestamp) -> Option<Commit> {
        let present = hour(now);
        let object = object(snapshot);
        let known = Self::of(object, present);
        let mut found = Vec::new();
        for key in snapshot.objects.iter().filter_map(Credential::read) {
            let Some(digest) = key.digest() else { continue };
            let own = uses(&digest).map(|second| hour(Timestamp::from_secs(second)));
            let own = own.filter(|hour| *hour <= present);
            let shared = known.0.get(name(&digest)).copied();
            if let Some(hour) = own.max(shared) {
                found.push((rank(&key, Second::of(now)), *name(&digest), hour));
            }
        }
        found.sort_unstable();
        let all: HashMap<_, _> =
            found.into_iter().take(SHARED_MAX).map(|(_, name, hour)| (name, hour)).collect();
        let next = Self(all);
        // Hours to come would be uses once they are there. The next one may be that of a clock which
        // is seconds ahead, and does little harm.
        let is_ahead = Kept::of(object).hours.range(present.saturating_add(2)..).next().is_some();
        (is_ahead || next != known).then(|| next.commit(object)).flatten()
    }

    fn commit(&self, before: Option<&Object>) -> Option<Commit> {
        let mut hours: BTreeMap<u32, Vec<[u8; NAME]>> = BTreeMap::new();
        for (name, hour) in &self.0 {
            hours.entry(*hour).or_default().push(*name);
        }
        let written = |(hour, mut names): (u32, Vec<[u8; NAME]>)| {
            names.sort_unstable();
            (hour, STANDARD.encode(names.as_flattened()))
        };
        let kept = Kept { hours: hours.into_iter().map(written).collect() };
        let content = serde_json::to_vec(&kept).ok()?;
        let expect = before.map_or(Expect::Absent, |object| Expect::Revision(object.revision));
        let write = Write { key: key()?, content: Some(content.into()), expect };
        Some(Commit { author: "uses of keys".into(), writes: vec![write] })
    }
}

/// Which keys come first: those of which people wait for news, then the newest; those that are over
/// come last.
fn rank(key: &Credential, now: Second) -> (u8, Reverse<u64>) {
    let is_exchanged = key.succeeds().is_some() || !key.is_staying(now);
    let class = match (key.is_over(now), is_exchanged) {
        (false, true) => 0,
        (false, false) => 1,
        (true, _) => 2,
    };
    (class, Reverse(key.made().0))
}

fn key() -> Option<Key> {
    Key::parse(USES_KEY).ok()
}

fn object(snapshot: &Snapshot) -> Option<&Object> {
    snapshot.get(&key()?)
}

fn name(digest: &[u8; 32]) -> &[u8; NAME] {
    let (name, _) = digest.split_first_chunk().unwrap_or((&[0; NAME], &[]));
    name
}

fn hour(at: Timestamp) -> u32 {
    u32::try_from(at.as_secs() / HOUR).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_800_000_000;
    /// The hour that it is.
    const PRESENT: u64 = NOW / HOUR;

    fn put(snapshot: &mut Snapshot, key: &str, value: &Value) {
        let key = Key::parse(key).unwrap();
        snapshot.revision += 1;
        snapshot.objects.retain(|object| object.key != key);
        snapshot.objects.push(Object {
            key,
            content: value.to_string().into_bytes().into(),
            revision: snapshot.revision,
            created: snapshot.revision,
            author: None,
            at: None,
        });
        snapshot.objects.sort_by(|a, b| a.key.cmp(&b.key));
    }

    fn digest(n: u32) -> [u8; 32] {
        let mut digest = [9; 32];
        digest[..4].copy_from_slice(&n.to_le_bytes());
        digest
    }

    /// A key, made in the second `n`.
    fn credential(n: u32) -> Value {
        json!({
            "id": format!("k{n}"), "create_time": n,
            "plugins": { "key-auth": { "hash": STANDARD.encode(digest(n)), "hash_key": "h" } },
        })
    }

    fn store(count: u32) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let objects = (0..count).map(|n| Object {
            key: Key::parse(&format!("consumers/c{n}/credentials/k{n}")).unwrap(),
            content: credential(n).to_string().into_bytes().into(),
            revision: 1,
            created: 1,
            author: None,
            at: None,
        });
        snapshot.objects = objects.collect();
        snapshot.objects.sort_by(|a, b| a.key.cmp(&b.key));
        snapshot.revision = 1;
        snapshot
    }

    /// What a node has seen: keys with hours before the present one.
    fn seen(keys: &[(u32, u64)]) -> FindUse {
        let known: HashMap<[u8; 32], u64> =
            keys.iter().map(|(n, ago)| (digest(*n), (PRESENT - ago) * HOUR)).collect();
        Arc::new(move |digest| known.get(digest).copied())
    }

    /// Takes the news of a node into the store; false where there are none.
    fn share(snapshot: &mut Snapshot, uses: &FindUse) -> bool {
        let Some(commit) = SharedUses::news(snapshot, uses, Timestamp::from_secs(NOW)) else {
            return false;
        };
        let [write] = &*commit.writes else { panic!("one write") };
        let current = object(snapshot).map(|object| object.revision);
        assert_eq!(write.expect, current.map_or(Expect::Absent, Expect::Revision));
        let value = serde_json::from_slice(write.content.as_ref().unwrap()).unwrap();
        put(snapshot, write.key.as_str(), &value);
        true
    }

    fn hours_ago(snapshot: &Snapshot, n: u32) -> Option<u64> {
        let shared = SharedUses::read(snapshot, Timestamp::from_secs(NOW));
        shared.last(&digest(n)).map(|second| PRESENT - second / HOUR)
    }

    #[test]
    fn the_latest_use_on_any_node_is_what_the_store_says() {
        let mut snapshot = store(4);
        assert!(!share(&mut snapshot, &seen(&[])), "nothing is no news");
        assert!(share(&mut snapshot, &seen(&[(0, 5), (1, 2), (9, 0)])));
        assert!(share(&mut snapshot, &seen(&[(0, 1), (1, 3), (2, 0)])));
        let told: Vec<_> = (0..4).map(|n| hours_ago(&snapshot, n)).collect();
        assert_eq!(told, [Some(1), Some(2), Some(0), None]);
        // What one node said another need not say again, nor one that was just started.
        assert!(!share(&mut snapshot, &seen(&[(0, 1), (1, 9)])));
        assert!(!share(&mut snapshot, &seen(&[])));
        assert_eq!(hours_ago(&snapshot, 9), None, "the store has no such key");
    }

    #[test]
    fn a_key_that_is_gone_is_forgotten() {
        let mut snapshot = store(2);
        assert!(share(&mut snapshot, &seen(&[(0, 1), (1, 1)])));
        snapshot.objects.retain(|object| object.key.id() != "c0/credentials/k0");
        assert!(share(&mut snapshot, &seen(&[(0, 1), (1, 1)])));
        assert_eq!((hours_ago(&snapshot, 0), hours_ago(&snapshot, 1)), (None, Some(1)));
    }

    #[test]
    fn hours_to_come_and_broken_text_say_nothing() {
        let mut snapshot = store(2);
        let ahead: FindUse = Arc::new(|_| Some(NOW + 2 * HOUR));
        assert!(!share(&mut snapshot, &ahead));
        for value in [
            json!({ "hours": { (PRESENT + 1).to_string(): STANDARD.encode(&digest(0)[..8]) } }),
            json!({ "hours": { "1": "*" } }),
            json!({ "hours": 7 }),
            json!({}),
        ] {
            put(&mut snapshot, USES_KEY, &value);
            assert_eq!(hours_ago(&snapshot, 0), None, "{value}");
            let mut next = snapshot.clone();
            assert!(share(&mut next, &seen(&[(0, 0)])), "{value}");
            assert_eq!(hours_ago(&next, 0), Some(0));
        }
        for (ahead, is_taken_out) in [(1, false), (2, true), (3, true)] {
            let names = STANDARD.encode(&digest(0)[..8]);
            let value = json!({ "hours": { (PRESENT + ahead).to_string(): names } });
            put(&mut snapshot, USES_KEY, &value);
            assert_eq!(share(&mut snapshot.clone(), &seen(&[])), is_taken_out, "{ahead}");
        }
    }

    #[test]
    fn so_many_keys_are_known_and_those_that_are_exchanged_first() {
        let most = u32::try_from(SHARED_MAX).unwrap();
        let all: FindUse = Arc::new(|_| Some(NOW));
        for (count, oldest) in [(most - 1, Some(0)), (most, Some(0)), (most + 1, None)] {
            let mut snapshot = store(count);
            assert!(share(&mut snapshot, &all));
            let shared = SharedUses::read(&snapshot, Timestamp::from_secs(NOW));
            assert_eq!(shared.0.len(), SHARED_MAX.min(count.try_into().unwrap()));
            assert_eq!(hours_ago(&snapshot, 0), oldest, "{count}");
            assert_eq!(hours_ago(&snapshot, count - 1), Some(0));
            let length = object(&snapshot).unwrap().content.len();
            assert!(length < 180_000, "{length}");
        }
        // The oldest succeeds another, and people wait for its first use; the newest is over.
        let mut snapshot = store(most + 1);
        let mut next = credential(0);
        next["labels"] = json!({ "succeeds": "k9" });
        put(&mut snapshot, "consumers/c0/credentials/k0", &next);
        let mut over = credential(most);
        over["plugins"]["key-auth"]["expires_at"] = json!("2020-01-01T00:00:00Z");
        put(&mut snapshot, &format!("consumers/c{most}/credentials/k{most}"), &over);
        assert!(share(&mut snapshot, &all));
        assert_eq!((hours_ago(&snapshot, 0), hours_ago(&snapshot, most)), (Some(0), None));
    }
}
