//! What is in the database, and every transaction on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_core::Timestamp;
use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};

use crate::fault::StoreError;
use crate::key::Key;
use crate::object::{Change, Changes, Commit, Object, Revision, Snapshot, USES_KEY, Write};

/// The format of what follows; another one is not read.
const FORMAT: u64 = 1;

/// The newest entry of each object that is there, by key.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// Every entry that is kept, by revision and its turn in the commit.
const LOG: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("log");
/// Where in the log an object's revisions are.
const HISTORY: TableDefinition<'_, (&str, u64), u64> = TableDefinition::new("history");
/// Numbers: `format`, `revision`, and `trimmed`, the newest revision of which something was dropped.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

const NUMBER_FORMAT: &str = "format";
const NUMBER_REVISION: &str = "revision";
const NUMBER_TRIMMED: &str = "trimmed";

/// One write of one object.
#[derive(Deserialize, Serialize)]
struct Entry {
    key: String,
    revision: u64,
    author: String,
    /// Nanoseconds since the Unix epoch.
    at: u64,
    /// `None` where the object was removed.
    content: Option<String>,
    /// The revision that made the object; 0 in entries of before that was kept.
    #[serde(default)]
    created: u64,
}

impl Entry {
    fn read(bytes: &[u8]) -> Result<Self, StoreError> {
        serde_json::from_slice(bytes).map_err(|error| broken(&error))
    }

    fn object(self) -> Result<Option<Object>, StoreError> {
        let Some(content) = self.content else { return Ok(None) };
        let key = Key::parse(&self.key).map_err(|fault| broken(&fault))?;
        Ok(Some(Object {
            key,
            content: content.into_bytes().into(),
            revision: self.revision,
            created: if self.created == 0 { self.revision } else { self.created },
            author: Some(self.author.into()),
            at: Some(Timestamp::from_nanos(self.at)),
        }))
    }

    fn into_revision(self) -> Revision {
        Revision {
            number: self.revision,
            author: Some(self.author.into()),
            at: Some(Timestamp::from_nanos(self.at)),
            is_first: self.content.is_some() && self.created == self.revision,
            content: self.content.map(|content| Arc::from(content.into_bytes())),
        }
    }
}

fn broken(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Broken(error.to_string())
}

/// Every error of the database is one of it being broken or full, not of what was asked.
trait OrBroken<T> {
    fn or_broken(self) -> Result<T, StoreError>;
}

impl<T, E: std::fmt::Display> OrBroken<T> for Result<T, E> {
    fn or_broken(self) -> Result<T, StoreError> {
        self.map_err(|error| broken(&error))
    }
}

/// Makes what is not there yet, and gives the revision.
pub(super) fn prepare(database: &Database) -> Result<u64, StoreError> {
    let transaction = database.begin_write().or_broken()?;
    let revision = {
        transaction.open_table(OBJECTS).or_broken()?;
        transaction.open_table(LOG).or_broken()?;
        transaction.open_table(HISTORY).or_broken()?;
        let mut numbers = transaction.open_table(NUMBERS).or_broken()?;
        match number(&numbers, NUMBER_FORMAT)? {
            0 => {
                numbers.insert(NUMBER_FORMAT, FORMAT).or_broken()?;
            }
            FORMAT => {}
            other => {
                return Err(StoreError::Broken(format!("it is of the unknown format {other}")));
            }
        }
        number(&numbers, NUMBER_REVISION)?
    };
    transaction.commit().or_broken()?;
    Ok(revision)
}

fn number(table: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, StoreError> {
    Ok(table.get(name).or_broken()?.map_or(0, |value| value.value()))
}

/// Everything.
pub(super) fn snapshot(database: &Database) -> Result<Snapshot, StoreError> {
    let transaction = database.begin_read().or_broken()?;
    let numbers = transaction.open_table(NUMBERS).or_broken()?;
    let table = transaction.open_table(OBJECTS).or_broken()?;
    let mut objects = Vec::new();
    for row in table.iter().or_broken()? {
        let (_, value) = row.or_broken()?;
        objects.extend(Entry::read(value.value())?.object()?);
    }
    Ok(Snapshot { revision: number(&numbers, NUMBER_REVISION)?, objects })
}

/// What changed after a revision, if the log reaches so far back.
pub(super) fn changes(database: &Database, after: u64) -> Result<Changes, StoreError> {
    let transaction = database.begin_read().or_broken()?;
    let numbers = transaction.open_table(NUMBERS).or_broken()?;
    let revision = number(&numbers, NUMBER_REVISION)?;
    if number(&numbers, NUMBER_TRIMMED)? > after || revision < after {
        drop((numbers, transaction));
        return snapshot(database).map(Changes::Anew);
    }
    let log = transaction.open_table(LOG).or_broken()?;
    let mut newest = BTreeMap::new();
    for row in log.range((after.saturating_add(1), 0)..).or_broken()? {
        let (_, value) = row.or_broken()?;
        let entry = Entry::read(value.value())?;
        let key = Key::parse(&entry.key).map_err(|fault| broken(&fault))?;
        newest.insert(key, entry.object()?);
    }
    let objects = newest.into_iter().map(|(key, object)| Change { key, object }).collect();
    Ok(Changes::Some { revision, objects })
}

/// One object.
pub(super) fn get(database: &Database, key: &Key) -> Result<Option<Object>, StoreError> {
    let transaction = database.begin_read().or_broken()?;
    let table = transaction.open_table(OBJECTS).or_broken()?;
    match table.get(key.as_str()).or_broken()? {
        Some(value) => Entry::read(value.value())?.object(),
        None => Ok(None),
    }
}

/// The revisions of an object, the newest first.
pub(super) fn revisions(
    database: &Database,
    key: &Key,
    max: usize,
) -> Result<Vec<Revision>, StoreError> {
    let transaction = database.begin_read().or_broken()?;
    let history = transaction.open_table(HISTORY).or_broken()?;
    let log = transaction.open_table(LOG).or_broken()?;
    let mut found = Vec::new();
    let range = history.range((key.as_str(), 0)..=(key.as_str(), u64::MAX)).or_broken()?;
    for row in range.rev().take(max) {
        let (place, turn) = row.or_broken()?;
        let place = (place.value().1, turn.value());
        if let Some(value) = log.get(place).or_broken()? {
            found.push(Entry::read(value.value())?.into_revision());
        }
    }
    Ok(found)
}

/// The last writes, the newest first.
pub(super) fn written(database: &Database, max: usize) -> Result<Vec<(Key, Revision)>, StoreError> {
    let transaction = database.begin_read().or_broken()?;
    let log = transaction.open_table(LOG).or_broken()?;
    let mut found = Vec::new();
    for row in log.iter().or_broken()?.rev().take(max) {
        let (_, value) = row.or_broken()?;
        let entry = Entry::read(value.value())?;
        let key = Key::parse(&entry.key).map_err(|fault| broken(&fault))?;
        found.push((key, entry.into_revision()));
    }
    Ok(found)
}

/// One revision of an object. The newest one is kept even where the log has dropped it.
pub(super) fn revision(
    database: &Database,
    key: &Key,
    number: u64,
) -> Result<Revision, StoreError> {
    let transaction = database.begin_read().or_broken()?;
    let history = transaction.open_table(HISTORY).or_broken()?;
    let log = transaction.open_table(LOG).or_broken()?;
    if let Some(turn) = history.get((key.as_str(), number)).or_broken()?
        && let Some(value) = log.get((number, turn.value())).or_broken()?
    {
        return Ok(Entry::read(value.value())?.into_revision());
    }
    let objects = transaction.open_table(OBJECTS).or_broken()?;
    if let Some(value) = objects.get(key.as_str()).or_broken()? {
        let entry = Entry::read(value.value())?;
        if entry.revision == number {
            return Ok(entry.into_revision());
        }
    }
    Err(StoreError::NoRevision(key.clone(), number))
}

/// Makes every change of a commit and forgets what is too old.
pub(super) fn commit(
    database: &Database,
    commit: &Commit,
    at: Timestamp,
    history: u64,
) -> Result<u64, StoreError> {
    let transaction = database.begin_write().or_broken()?;
    let revision = {
        let mut numbers = transaction.open_table(NUMBERS).or_broken()?;
        let revision = number(&numbers, NUMBER_REVISION)?.saturating_add(1);
        for (turn, write) in (0..).zip(&commit.writes) {
            apply(&transaction, commit, write, (revision, turn), at)?;
        }
        numbers.insert(NUMBER_REVISION, revision).or_broken()?;
        trim(&transaction, &mut numbers, history)?;
        revision
    };
    transaction.commit().or_broken()?;
    Ok(revision)
}

fn apply(
    transaction: &WriteTransaction,
    commit: &Commit,
    write: &Write,
    place: (u64, u64),
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut objects = transaction.open_table(OBJECTS).or_broken()?;
    let key = write.key.as_str();
    let before = match objects.get(key).or_broken()? {
        Some(value) => Entry::read(value.value())?.object()?,
        None => None,
    };
    let current = before.as_ref().map(|before| before.revision);
    if !write.expect.holds(current) {
        return Err(StoreError::Conflict { key: write.key.clone(), current });
    }
    if write.content.is_none() && current.is_none() {
        return Err(StoreError::Missing(write.key.clone()));
    }
    let content = write.content.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let is_removed = content.is_none();
    let entry = Entry {
        key: key.to_owned(),
        revision: place.0,
        author: commit.author.to_string(),
        at: at.as_nanos(),
        content,
        created: before.map_or(place.0, |before| before.created),
    };
    let bytes = serde_json::to_vec(&entry).or_broken()?;
    if is_removed {
        objects.remove(key).or_broken()?;
    } else {
        objects.insert(key, bytes.as_slice()).or_broken()?;
    }
    if key == USES_KEY {
        return Ok(());
    }
    let mut log = transaction.open_table(LOG).or_broken()?;
    log.insert(place, bytes.as_slice()).or_broken()?;
    let mut history = transaction.open_table(HISTORY).or_broken()?;
    history.insert((key, place.0), place.1).or_broken()?;
    Ok(())
}

/// Drops the oldest entries beyond `history`.
fn trim(
    transaction: &WriteTransaction,
    numbers: &mut Table<'_, &'static str, u64>,
    history: u64,
) -> Result<(), StoreError> {
    let mut log = transaction.open_table(LOG).or_broken()?;
    let mut places = transaction.open_table(HISTORY).or_broken()?;
    while log.len().or_broken()? > history {
        let dropped = match log.pop_first().or_broken()? {
            Some((place, value)) => (place.value().0, Entry::read(value.value())?.key),
            None => break,
        };
        places.remove((dropped.1.as_str(), dropped.0)).or_broken()?;
        numbers.insert(NUMBER_TRIMMED, dropped.0).or_broken()?;
    }
    Ok(())
}
