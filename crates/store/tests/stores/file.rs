//! Documents as a store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use bartizan_store::{FileStore, Key};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::suite::Fixture;

struct Scene {
    store: FileStore,
    folder: TempDir,
    objects: Mutex<BTreeMap<Key, Value>>,
}

const SIZE_MAX: u64 = 1_024 * 1_024;

impl Fixture for Scene {
    type Store = FileStore;

    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("r.json"), "{}").unwrap();
        let store = FileStore::open(folder.path(), SIZE_MAX).unwrap();
        Self { store, folder, objects: Mutex::default() }
    }

    fn store(&self) -> &FileStore {
        &self.store
    }

    async fn write(&self, key: &Key, value: Option<Value>) {
        let mut objects = self.objects.lock().unwrap();
        match value {
            Some(value) => objects.insert(key.clone(), value),
            None => objects.remove(key),
        };
        let mut document = json!({});
        for (key, value) in &*objects {
            let list = &mut document[key.collection()];
            match list.as_array_mut() {
                Some(list) => list.push(value.clone()),
                None => *list = json!([value]),
            }
        }
        replace(&self.folder.path().join("r.json"), &document.to_string());
    }
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

reads!(Scene);
laws! { Scene: refusing::each_write_is_refused_and_says_how_it_is_done }
