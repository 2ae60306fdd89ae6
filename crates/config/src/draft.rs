//! Resources on their way from texts to types: read once, judged as often as it takes until what is
//! in order remains.
//!
//! Objects come in declarative documents, or one by one from a store. One that is at fault can be
//! replaced by an earlier text, or set aside; then the others are judged again, since they may refer
//! to it.

mod adc;
mod aside;
mod ledger;
mod pages;
mod split;
mod substitute;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Invalid, Place, SourceId};
use crate::document::{Content, Format, Member, Node};
use crate::load::Loader;
use crate::many::in_parts;
use crate::read::{Placed, Reader, Site, id_of};
use crate::resources::{ResourceKind, Resources};
use crate::schema::Rules;
use crate::sources::Sources;
use crate::terms::{References, Terms};
use crate::words::quoted;

pub use aside::ObjectFacts;
pub use ledger::{Ledger, ObjectChange};
pub use pages::{Pages, Turn};
pub use split::objects_at;
pub(crate) use substitute::substitute;

/// A document of resources in the shape of Apache APISIX. One of ADC is brought into it; then what
/// is wrong with it as such is told as well.
pub(crate) fn in_shape(root: Node) -> (Node, Option<Vec<Diagnostic>>) {
    if !adc::is_adc(&root) {
        return (root, None);
    }
    let (root, problems) = adc::converted(root);
    (root, Some(problems))
}

/// An object of a store, as it is read.
#[derive(Clone)]
pub struct StoredObject<'a> {
    /// The collection, such as `routes`.
    pub collection: &'a str,
    /// The id in it.
    pub id: &'a str,
    /// What problems are shown under, such as `routes/1 at revision 7`.
    pub name: &'a str,
    /// Its JSON.
    pub content: &'a Arc<[u8]>,
}

/// One object of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ObjectAt(Place);

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The collection, such as `routes`.
    pub collection: Arc<str>,
    /// The id in it.
    pub id: Arc<str>,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.collection, self.id)
    }
}

/// A declarative document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) root: Node,
    /// The resources are a part of it.
    pub(crate) is_inline: bool,
}

/// An object of a store.
struct Stored {
    name: ObjectName,
    /// The whole text.
    place: Place,
    content: Arc<[u8]>,
    node: Result<Node, Vec<Diagnostic>>,
}

/// What becomes of an object at fault.
#[derive(Debug)]
enum Fate {
    /// An earlier text stands for it.
    Replaced(Node),
    /// It is left out, and so is the earlier text that stood for it before.
    Aside(Option<Node>),
}

/// Resources that were read and are to be judged.
#[derive(Default)]
pub struct Draft {
    sources: Sources,
    documents: Vec<Document>,
    stored: Vec<Stored>,
    /// The folder that references in stored objects start from.
    folder: PathBuf,
    fates: HashMap<Place, Fate>,
    /// What a document of a replacement stands for.
    replacements: HashMap<SourceId, Place>,
    terms: Terms,
    files: BTreeSet<PathBuf>,
}

impl Draft {
    pub(crate) fn new(sources: Sources, folder: &Path, terms: Terms) -> Self {
        Self { sources, folder: folder.to_owned(), terms, ..Self::default() }
    }

    /// Says what objects may read of this machine, in place of what the node file says.
    pub fn lend(&mut self, references: References) {
        self.terms.references = references;
    }

    pub(crate) fn add_document(&mut self, document: Document) {
        self.documents.push(document);
    }

    pub(crate) fn note_files(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.files.extend(files);
    }

    pub(crate) fn sources_mut(&mut self) -> &mut Sources {
        &mut self.sources
    }

    /// The texts, to show problems in them.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The texts and the files that were read or looked for.
    pub fn into_parts(self) -> (Sources, Vec<PathBuf>) {
        (self.sources, self.files.into_iter().collect())
    }

    /// Adds objects of a store.
    pub fn add_objects(&mut self, objects: &[StoredObject<'_>]) {
        let mut added = Vec::with_capacity(objects.len());
        for object in objects {
            let content = object.content.to_vec();
            let (source, problem) =
                self.sources.add_bytes_as(object.name, &self.folder, content, Format::Json);
            added.push((object, source, problem));
        }
        let sources = &self.sources;
        let read = in_parts(&added, |added| {
            let stored = added.iter().map(|(object, source, problem)| {
                let (collection, id) = (object.collection.into(), object.id.into());
                let name = ObjectName { collection, id };
                let (place, node) = read_object(sources, *source, problem.clone(), &name);
                Stored { name, place, content: object.content.clone(), node }
            });
            stored.collect::<Vec<_>>()
        });
        self.stored.reserve_exact(objects.len());
        self.stored.extend(read.into_iter().flatten());
    }

    /// Adds an object of a store.
    pub fn add_object(&mut self, object: &StoredObject<'_>) {
        self.add_objects(std::slice::from_ref(object));
    }

    /// Judges what there is now. No problems are told where nothing is known to be wrong, but
    /// secrets have yet to be fetched.
    pub fn judge(&mut self, loader: &Loader<'_>) -> Result<Resources, Vec<Diagnostic>> {
        let resolver = self.terms.resolver(loader.surroundings());
        let rules = Rules::new(&resolver, self.terms.accepts_fail_open);
        let mut reader = Reader::new(&rules, loader.plugins(), &self.sources);
        let mut objects = Vec::new();
        let mut aside = Vec::new();
        for document in &self.documents {
            let whole = Site::root(&document.root);
            let site = if document.is_inline { whole.child("resources") } else { Some(whole) };
            for placed in site.iter().flat_map(|site| reader.document(site)) {
                take(placed, &self.fates, &mut objects, &mut aside);
            }
        }
        for (index, stored) in self.stored.iter().enumerate() {
            read_stored(&mut reader, stored, index, &self.fates, &mut objects, &mut aside);
        }
        let mut resources = reader.objects(&objects);
        resources.blocked = aside::blocked(&aside, &objects);
        let torn = self.stored.iter().filter(|stored| {
            stored.node.is_err() && matches!(self.fates.get(&stored.place), Some(Fate::Aside(_)))
        });
        let torn = torn.map(|stored| stored.name.id.clone());
        aside::unprice(aside.iter().map(|placed| name_of(placed).id).chain(torn), &mut resources);
        resources.is_keyed = self.documents.is_empty();
        let (diagnostics, concealed) = reader.finish();
        self.sources.conceal(concealed);
        let is_unfinished = resolver.is_unfinished();
        let diagnostics = self.sources.retraced(diagnostics);
        self.files.extend(resolver.into_files());
        if diagnostics.is_empty() && !is_unfinished { Ok(resources) } else { Err(diagnostics) }
    }
}

fn read_object(
    sources: &Sources,
    source: SourceId,
    problem: Option<Diagnostic>,
    name: &ObjectName,
) -> (Place, Result<Node, Vec<Diagnostic>>) {
    let node = match problem {
        Some(problem) => Err(vec![problem]),
        None => sources.read(source),
    };
    let end = u32::try_from(sources.text(source).len()).unwrap_or(u32::MAX);
    let place = node.as_ref().map_or(Place { source, start: 0, end }, |node| node.place);
    (place, node.and_then(|node| named(node, name)))
}

/// Where an object goes: as it is, as what stands for it, or aside.
fn take<'n>(
    placed: Placed<'n>,
    fates: &'n HashMap<Place, Fate>,
    objects: &mut Vec<Placed<'n>>,
    aside: &mut Vec<Placed<'n>>,
) {
    match fates.get(&placed.site.node.place) {
        None => objects.push(placed),
        Some(Fate::Replaced(node)) => objects.push(Placed { site: Site::root(node), ..placed }),
        Some(Fate::Aside(before)) => {
            aside.extend(before.as_ref().map(|node| Placed { site: Site::root(node), ..placed }));
            aside.push(placed);
        }
    }
}

fn read_stored<'n>(
    reader: &mut Reader<'_>,
    stored: &'n Stored,
    index: usize,
    fates: &'n HashMap<Place, Fate>,
    objects: &mut Vec<Placed<'n>>,
    aside: &mut Vec<Placed<'n>>,
) {
    let fate = fates.get(&stored.place);
    let node = match (&stored.node, fate) {
        (_, Some(Fate::Replaced(node))) | (Ok(node), _) => node,
        (Err(_), Some(Fate::Aside(None))) => return,
        (Err(_), Some(Fate::Aside(Some(before)))) => before,
        (Err(problems), None) => {
            for problem in problems {
                reader.tell(problem.clone());
            }
            return;
        }
    };
    let site = Site::root(node);
    let is_aside = matches!(fate, Some(Fate::Aside(_)));
    if !is_aside && &*stored.name.collection == PLUGINS {
        reader.enabled_plugins(&site);
        return;
    }
    let kind = if is_aside {
        ResourceKind::ALL.into_iter().find(|kind| kind.collection() == &*stored.name.collection)
    } else {
        reader.kind_of(&site, &stored.name.collection)
    };
    let Some(kind) = kind else { return };
    if let (Ok(_), Some(Fate::Aside(Some(before)))) = (&stored.node, fate) {
        aside.push(Placed { kind, site: Site::root(before), index });
    }
    let placed = Placed { kind, site, index };
    if is_aside { aside.push(placed) } else { objects.push(placed) }
}

/// The list of enabled plugins, which is no resource.
const PLUGINS: &str = "plugins";

/// Objects hold secrets: only their number is shown.
impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let objects = (self.documents.len(), self.stored.len());
        f.debug_tuple("Draft").field(&objects).finish()
    }
}

/// An object with the id of its key; one that says another is refused.
fn named(mut node: Node, name: &ObjectName) -> Result<Node, Vec<Diagnostic>> {
    let Content::Map(members) = &mut node.content else {
        if &*name.collection == PLUGINS {
            return Ok(node);
        }
        return Err(vec![Site::root(&node).diagnostic(&Invalid::new("expected a JSON object"))]);
    };
    let is_below =
        name.id.contains("/credentials/") || name.id.contains("/graphql_cost_decorations/");
    let key = if &*name.collection == "consumers" && !is_below { "username" } else { "id" };
    let written = members.iter_mut().find(|member| member.key == key);
    let own = written.as_ref().and_then(|member| match &member.value.content {
        Content::Text(text) => Some(text.clone()),
        Content::Number(number) => Some(number.to_string()),
        _ => None,
    });
    let short = name.id.rsplit('/').next().unwrap_or_default();
    match (written, own) {
        // Something that is no id is told when it is read.
        (Some(_), None) => {}
        (Some(member), Some(own)) if *own == *name.id || (is_below && own == short) => {
            member.value.content = Content::Text(name.id.to_string());
        }
        (Some(_), Some(own)) => {
            let problem = format!(
                "the `{key}` is {}, but the object is stored under {}",
                quoted(&own),
                quoted(&name.id)
            );
            return Err(vec![Site::root(&node).diagnostic(&Invalid::at(key, problem))]);
        }
        (None, _) => {
            let place = Place { end: node.place.start, ..node.place };
            let value = Node { content: Content::Text(name.id.to_string()), place };
            members.push(Member { key: key.to_owned(), key_place: place, value });
        }
    }
    Ok(node)
}

/// The name of an object in a document.
fn name_of(placed: &Placed<'_>) -> ObjectName {
    let collection = placed.kind.collection().into();
    ObjectName { collection, id: id_of(placed.kind, placed.site.node, placed.index) }
}
