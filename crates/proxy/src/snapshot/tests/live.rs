//! A gateway that takes changes as they come, of a store or of a document.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bartizan_config::{
    Amendment, Draft, Ledger, Loader, ObjectChange, ObjectName, Pages, Resources, StoredObject,
    Surroundings,
};
use bartizan_plugins::Catalogue;
use serde_json::{Value, json};

use super::fixture::{Bench, guarded, node};
use crate::snapshot::{CompileFault, Snapshot};

/// Where the objects of a configuration are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// In a store, each by itself.
    Stored,
    /// In a document, in the order of their names.
    Listed,
    /// In a document, in the opposite order.
    Backwards,
}

/// Every object by its name.
pub(super) type Objects = BTreeMap<&'static str, Value>;

/// An object from now on; `None` where it is gone.
pub(super) type Change = (&'static str, Option<Value>);

/// A node file, and the document where its resources are in one.
struct Files(Option<String>);

impl Surroundings for Files {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
        if let (Some(document), true) = (&self.0, path.ends_with("r.yaml")) {
            return Ok(document.clone().into_bytes());
        }
        let mut node = node();
        node["store"] = match self.0 {
            Some(_) => json!({ "file": { "path": "r.yaml" } }),
            None => json!({ "embedded": { "path": "store" } }),
        };
        Ok(node.to_string().into_bytes())
    }
}

fn name(key: &str) -> ObjectName {
    let (collection, id) = key.split_once('/').unwrap();
    ObjectName { collection: collection.into(), id: id.into() }
}

fn text(value: &Value) -> Arc<[u8]> {
    value.to_string().into_bytes().into()
}

/// A document of all objects; `None` where they are in none.
fn document(written: Written, objects: &Objects) -> Option<String> {
    let mut lists: BTreeMap<Arc<str>, String> = BTreeMap::new();
    for (key, value) in objects {
        let ObjectName { collection, id } = name(key);
        let mut item = value.clone();
        let is_consumer = &*collection == "consumers" && !id.contains('/');
        item[if is_consumer { "username" } else { "id" }] = json!(id);
        let item = format!("- {item}\n");
        let list = lists.entry(collection).or_default();
        match written {
            Written::Stored => return None,
            Written::Listed => list.push_str(&item),
            Written::Backwards => list.insert_str(0, &item),
        }
    }
    let lists = lists.into_iter().map(|(collection, items)| format!("{collection}:\n{items}"));
    Some(lists.chain(["#END\n".to_owned()]).collect())
}

/// Everything, read and judged at once.
pub(super) fn judged(written: Written, objects: &Objects) -> Option<(Draft, Resources)> {
    let files = Files(document(written, objects));
    let loader = Loader::new(&Catalogue).with_surroundings(&files);
    let (_, mut draft) = loader.node_draft(Path::new("node.json")).ok()?;
    let stored = objects.iter().filter(|_| written == Written::Stored);
    for (key, value) in stored {
        let ObjectName { collection, id } = name(key);
        let content = &text(value);
        draft.add_object(&StoredObject { collection: &collection, id: &id, name: key, content });
    }
    let resources = draft.judge(&loader).ok()?;
    Some((draft, resources))
}

/// A gateway at work.
pub(super) struct Live {
    pub(super) bench: Bench,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) objects: Objects,
    written: Written,
    ledger: Option<Ledger>,
    pages: Option<Pages>,
}

impl Live {
    /// One that has these objects in force.
    pub(super) fn start(written: Written, objects: Objects) -> Self {
        let bench = Bench::new(&node());
        let mut live = Self { bench, snapshot: None, objects, written, ledger: None, pages: None };
        live.take().unwrap();
        live
    }

    /// Makes changes and takes them by themselves; false where that cannot be.
    pub(super) fn amend(&mut self, changes: &[Change]) -> bool {
        for (key, value) in changes {
            match value {
                Some(value) => drop(self.objects.insert(key, value.clone())),
                None => drop(self.objects.remove(key)),
            }
        }
        let is_amended = match self.written {
            Written::Stored => {
                let change = |(key, value): &Change| ObjectChange {
                    name: name(key),
                    content: value.as_ref().map(text),
                };
                let changes: Vec<ObjectChange> = changes.iter().map(change).collect();
                self.apply(&changes, |_| {})
            }
            Written::Listed | Written::Backwards => self.turn(),
        };
        is_amended.is_some()
    }

    /// Reads what changed of the document.
    fn turn(&mut self) -> Option<()> {
        let new = document(self.written, &self.objects)?;
        let (pages, ledger) = (self.pages.as_ref()?, self.ledger.as_ref()?);
        if pages.is(&new) {
            return Some(());
        }
        let mut turn = pages.turn(&new, ledger)?;
        let between = std::mem::take(&mut turn.between);
        self.apply(&turn.changes, |amendment| amendment.between = between)?;
        self.pages.as_mut()?.keep(turn, new);
        Some(())
    }

    fn apply(
        &mut self,
        changes: &[ObjectChange],
        place: impl FnOnce(&mut Amendment),
    ) -> Option<()> {
        let (ledger, snapshot) = self.ledger.as_mut().zip(self.snapshot.as_ref())?;
        let files = Files(None);
        let loader = Loader::new(&Catalogue).with_surroundings(&files);
        let amended = ledger.amend(&loader, changes).and_then(|mut amendment| {
            place(&mut amendment);
            self.bench.compiler.amend(&amendment, 1, snapshot)
        });
        match amended {
            Some(_) => ledger.keep(),
            None => ledger.restore(),
        }
        self.snapshot = Some(amended?);
        Some(())
    }

    /// Takes everything; false where it is at fault, and nobody may build on what was refused.
    pub(super) fn take(&mut self) -> Result<(), Vec<CompileFault>> {
        (self.ledger, self.pages) = (None, None);
        let Some((draft, resources)) = judged(self.written, &self.objects) else {
            return Err(Vec::new());
        };
        let previous = self.snapshot.as_ref();
        let (snapshot, standing) = self.bench.compiler.compile_all(&resources, 1, previous)?;
        self.bench.compiler.stand(standing);
        self.snapshot = Some(snapshot);
        self.ledger = draft.ledger();
        self.pages = draft.pages();
        Ok(())
    }

    /// Whether there is the page of `node-status`.
    pub(super) fn has_page(&self) -> bool {
        has_page(&self.bench)
    }

    /// The routes with a path, the first to be tried first.
    pub(super) fn tried(&self, path: &str) -> Vec<Arc<str>> {
        let mut met = Vec::new();
        let router = &self.snapshot.as_ref().unwrap().router;
        let found = router.find("a.example", "a.example", path, |route| {
            met.push(route.facts.id.clone());
            Ok::<_, Infallible>(false)
        });
        assert!(found.is_ok_and(|found| found.is_none()));
        met
    }
}

/// Whether there is the page of `node-status`, which a plugin has that is in force.
pub(super) fn has_page(bench: &Bench) -> bool {
    bench.facts.pages.find("/apisix/status").is_some()
}

/// What is there before the first change.
pub(super) fn first() -> Objects {
    let nodes = json!({ "nodes": { "127.0.0.1:1": 1 } });
    let routed = json!({ "uri": "/a", "service_id": "s0" });
    [
        ("upstreams/u0", nodes.clone()),
        ("upstreams/u1", nodes),
        ("services/s0", json!({ "plugins": guarded(), "upstream_id": "u0" })),
        ("plugin_configs/c0", json!({ "plugins": guarded() })),
        ("consumer_groups/g0", json!({ "plugins": {} })),
        (
            "consumers/alice",
            json!({ "plugins": { "key-auth": { "key": "k1", "danger_weak_secret": true } } }),
        ),
        ("routes/r0", routed),
    ]
    .into()
}
