//! Collections that outlive an exchange: `IP`, `GLOBAL`, `SESSION`, `USER`, `RESOURCE`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Transaction;
use super::live::Living;
use crate::operators::leading_number;
use crate::variable::Variable;

/// The most members of one collection.
const MEMBERS_MAX: usize = 64;
/// The longest key, name or value, in bytes.
const TEXT_MAX: usize = 1_024;
/// How many parts the collections are kept in, each under a lock of its own.
const SHARDS: usize = 16;

type Key = (Variable, Box<[u8]>);

#[derive(Debug)]
struct Record {
    /// When it ends, in seconds since 1970.
    until: u64,
    /// How many seconds it lives after a change.
    seconds: u64,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: Box<[u8]>,
    value: Box<[u8]>,
    until: Option<u64>,
}

/// What rules count across exchanges, in memory and bounded: when there is no room, the records
/// that end first go.
#[derive(Debug)]
pub struct Collections {
    shards: [Mutex<HashMap<Key, Record>>; SHARDS],
    shard_max: usize,
}

impl Collections {
    /// Room for so many records, such as addresses.
    pub fn new(records_max: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, shard_max: records_max.div_ceil(SHARDS).max(1) }
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Record>> {
        // FNV-1a: which shard is nothing that an attacker gains by.
        let hash = key.1.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let shard = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let [first, ..] = &self.shards;
        let shard = self.shards.get(shard).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, key: &Key, now: u64, seconds: u32) {
        let mut shard = self.shard(key);
        let is_there = shard.get(key).is_some_and(|record| record.until > now);
        if is_there {
            return;
        }
        if shard.len() >= self.shard_max {
            shard.retain(|_, record| record.until > now);
        }
        if shard.len() >= self.shard_max {
            let first = shard.iter().min_by_key(|(_, record)| record.until);
            if let Some(key) = first.map(|(key, _)| key.clone()) {
                shard.remove(&key);
            }
        }
        let seconds = u64::from(seconds);
        let until = now.saturating_add(seconds);
        let record = Record { until, seconds, members: Vec::new() };
        shard.insert(key.clone(), record);
    }

    fn members(&self, key: &Key, now: u64) -> Vec<Living> {
        let shard = self.shard(key);
        let members = shard.get(key).filter(|record| record.until > now);
        let members = members.into_iter().flat_map(|record| &record.members);
        let alive = members.filter(|member| member.until.is_none_or(|until| until > now));
        alive.map(|member| (member.name.to_vec(), member.value.to_vec())).collect()
    }

    /// Changes one member: `change` gets its value, if it has one, and gives the new one.
    fn change(
        &self,
        key: &Key,
        name: &[u8],
        now: u64,
        change: impl FnOnce(Option<&[u8]>) -> Option<Vec<u8>>,
    ) {
        let mut shard = self.shard(key);
        let Some(record) = shard.get_mut(key) else { return };
        let name = cut(name);
        record.members.retain(|member| member.until.is_none_or(|until| until > now));
        let last = record.members.iter().filter_map(|member| member.until).max();
        record.until = now.saturating_add(record.seconds).max(last.unwrap_or(0));
        let found = record.members.iter().position(|member| *member.name == *name);
        let old = found.and_then(|at| record.members.get(at)).map(|member| &*member.value);
        match (change(old), found) {
            (None, Some(at)) => drop(record.members.swap_remove(at)),
            (Some(value), Some(at)) => {
                if let Some(member) = record.members.get_mut(at) {
                    member.value = cut(&value).into();
                }
            }
            (Some(value), None) if record.members.len() < MEMBERS_MAX => {
                let value = cut(&value).into();
                record.members.push(Member { name: name.into(), value, until: None });
            }
            // Nothing to take away, or no room.
            (_, None) => {}
        }
    }

    fn expire(&self, key: &Key, name: &[u8], until: u64) {
        let mut shard = self.shard(key);
        let Some(record) = shard.get_mut(key) else { return };
        let name = cut(name);
        for member in record.members.iter_mut().filter(|member| *member.name == *name) {
            member.until = Some(until);
            // What is kept for a day is not forgotten with a record that lives an hour.
            record.until = record.until.max(until);
        }
    }
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..TEXT_MAX).unwrap_or(text)
}

impl Transaction {
    fn key(&self, variable: Variable) -> Option<Key> {
        self.opened.iter().find(|(opened, _)| *opened == variable).cloned()
    }

    /// Opens the collection `variable` for a key.
    pub(super) fn open_collection(&mut self, variable: Variable, key: &[u8]) {
        if key.is_empty() || self.opened.iter().any(|(opened, _)| *opened == variable) {
            return;
        }
        // Applications do not share what they count.
        let application = self.rules.settings.web_app_id.as_bytes();
        let key = (variable, [application, b"\0", cut(key)].concat().into());
        if let Some(collections) = &self.collections {
            collections.open(&key, self.state.now, self.rules.settings.collection_seconds);
        }
        self.opened.push(key);
    }

    /// The members of an opened collection.
    pub(super) fn persistent(&self, variable: Variable) -> Vec<Living> {
        let Some((key, collections)) = self.key(variable).zip(self.collections.as_ref()) else {
            return Vec::new();
        };
        collections.members(&key, self.state.now)
    }

    pub(super) fn set_persistent(&self, variable: Variable, name: &[u8], value: Option<&[u8]>) {
        if let Some((key, collections)) = self.key(variable).zip(self.collections.as_ref()) {
            collections.change(&key, name, self.state.now, |_| value.map(<[u8]>::to_vec));
        }
    }

    pub(super) fn add_persistent(&self, variable: Variable, name: &[u8], number: i64) {
        if let Some((key, collections)) = self.key(variable).zip(self.collections.as_ref()) {
            collections.change(&key, name, self.state.now, |old| {
                let sum = old.map_or(0, leading_number).saturating_add(number);
                Some(sum.to_string().into_bytes())
            });
        }
    }

    pub(super) fn expire_persistent(&self, variable: Variable, name: &[u8], seconds: u64) {
        if let Some((key, collections)) = self.key(variable).zip(self.collections.as_ref()) {
            collections.expire(&key, name, self.state.now.saturating_add(seconds));
        }
    }
}
