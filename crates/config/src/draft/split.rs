//! The objects in documents, one by one, without judging them.

use std::path::Path;

use serde_json::Value;

use super::{Draft, ObjectName};
use crate::document::{Content, Node};
use crate::load::{Failure, read_documents};
use crate::read::{READ, id_of};
use crate::reference::Resolver;
use crate::sources::Sources;
use crate::surroundings::Surroundings;
use crate::terms::Terms;

/// The objects in the document at a path, or in those of a folder, with the values that they are
/// written with. Fails where a document cannot be read; what is in it is not judged, and what is no
/// object of a known collection is left out.
pub fn objects_at(
    path: &Path,
    limit: u64,
    surroundings: &dyn Surroundings,
) -> Result<Vec<(ObjectName, Value)>, Failure> {
    let resolver = Resolver::new(surroundings);
    let mut draft = Draft::new(Sources::new(), Path::new(""), Terms::default());
    let diagnostics = read_documents(&mut draft, path, limit, &resolver);
    if !diagnostics.is_empty() {
        draft.note_files(resolver.into_files());
        let (sources, files) = draft.into_parts();
        return Err(Failure { sources, diagnostics, files });
    }
    let lists = draft.documents.iter().flat_map(|document| document.root.members());
    Ok(lists.flat_map(|list| objects_of(&list.key, &list.value)).collect())
}

fn objects_of(collection: &str, list: &Node) -> Vec<(ObjectName, Value)> {
    let Some(kind) = READ.into_iter().find(|kind| kind.collection() == collection) else {
        return Vec::new();
    };
    let objects = list.items().iter().enumerate();
    let objects = objects.filter(|(_, item)| matches!(item.content, Content::Map(_)));
    let name = |(index, item): (usize, &Node)| {
        let id = id_of(kind, item, index);
        (ObjectName { collection: collection.into(), id }, item.to_json())
    };
    objects.map(name).collect()
}
