//! Objects at fault: which one a problem is about, what stands for it, and what must never be left
//! out.

use std::sync::Arc;

use super::{Draft, Fate, ObjectAt, ObjectName, name_of, named};
use crate::diagnostic::Place;
use crate::document::{Content, Format, Node};
use crate::load::Loader;
use crate::read::{Placed, Reader, Site, id_of};
use crate::reference::Resolver;
use crate::resources::{BlockedRoute, ResourceKind};
use crate::schema::Rules;
use crate::sources::Sources;

/// What is known of an object of a draft.
#[derive(Clone, Debug)]
pub struct ObjectFacts {
    /// Which one.
    pub at: ObjectAt,
    /// Its name.
    pub name: ObjectName,
    /// Its JSON, where it is any.
    pub text: Option<Arc<str>>,
}

impl Draft {
    /// Every object, in the order in which they are read.
    pub fn objects(&self, loader: &Loader<'_>) -> Vec<ObjectFacts> {
        // Only the structure is looked at; problems were told when the draft was judged.
        let mut scratch = Sources::new();
        let resolver = Resolver::new(loader.surroundings());
        let rules = Rules::new(&resolver, self.accepts_fail_open);
        let mut reader = Reader::new(&rules, loader.plugins(), &mut scratch);
        let mut facts = Vec::new();
        for document in &self.documents {
            let whole = Site::root(&document.root);
            let site = if document.is_inline { whole.child("resources") } else { Some(whole) };
            for placed in site.iter().flat_map(|site| reader.document(site)) {
                facts.push(ObjectFacts {
                    at: ObjectAt(placed.site.node.place),
                    name: name_of(&placed),
                    text: Some(placed.site.node.to_json().to_string().into()),
                });
            }
        }
        facts.extend(self.stored.iter().map(|stored| ObjectFacts {
            at: ObjectAt(stored.place),
            name: stored.name.clone(),
            text: stored.node.as_ref().ok().map(|node| node.to_json().to_string().into()),
        }));
        facts
    }

    /// The objects that places are in, each with the first problem of it; `None` for a problem that
    /// no single object has.
    pub fn object_of(&self, objects: &[ObjectFacts], place: Option<Place>) -> Option<usize> {
        let place = place?;
        let place = self.replacements.get(&place.source).copied().unwrap_or(place);
        objects.iter().position(|object| {
            let ObjectAt(whole) = object.at;
            whole.source == place.source && whole.start <= place.start && whole.end >= place.end
        })
    }

    /// Lets an earlier text stand for an object; false where that is already so, or where the
    /// earlier text cannot be read either.
    pub fn replace(&mut self, object: &ObjectFacts, text: &str) -> bool {
        let ObjectAt(place) = object.at;
        if self.fates.contains_key(&place) || object.text.as_deref() == Some(text) {
            return false;
        }
        let folder = self.folder_of(place.source);
        let shown = format!("{}, as it was before", object.name);
        let (source, problem) =
            self.sources.add_bytes_as(&shown, &folder, text.as_bytes().to_vec(), Format::Json);
        let node = self.sources.read(source).ok().filter(|_| problem.is_none());
        let Some(Ok(node)) = node.map(|node| named(node, &object.name)) else { return false };
        self.replacements.insert(source, place);
        self.fates.insert(place, Fate::Replaced(node));
        true
    }

    /// Leaves an object out; false where that would leave something open. A route that is left out
    /// keeps its paths.
    pub fn set_aside(&mut self, object: &ObjectFacts) -> bool {
        let ObjectAt(place) = object.at;
        if matches!(self.fates.get(&place), Some(Fate::Aside)) || opens_something(object) {
            return false;
        }
        self.fates.insert(place, Fate::Aside);
        true
    }

    /// Whether the object is neither replaced nor set aside.
    pub fn is_as_it_is(&self, object: &ObjectFacts) -> bool {
        !self.fates.contains_key(&object.at.0)
    }

    fn folder_of(&self, source: crate::SourceId) -> std::path::PathBuf {
        self.sources.folder(source).to_owned()
    }
}

/// Whether something would be let through that the object may have been meant to stop: rules for
/// all requests, settings of plugins for the whole node, and certificates that ask clients for
/// theirs, beside which a wider certificate may be.
fn opens_something(object: &ObjectFacts) -> bool {
    match &*object.name.collection {
        "global_rules" | "plugin_metadata" | "plugins" => true,
        "ssls" => object.text.as_deref().is_none_or(|text| {
            let value = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
            value.get("client").is_some()
        }),
        _ => false,
    }
}

/// What routes that were set aside own.
pub(super) fn blocked(aside: &[Placed<'_>], objects: &[Placed<'_>]) -> Vec<BlockedRoute> {
    let is_in_service = |placed: &&Placed<'_>| {
        placed.kind == ResourceKind::Route
            && scalar(placed.site.node, "status").as_deref() != Some("0")
    };
    let routes = aside.iter().filter(is_in_service);
    routes.map(|placed| block(placed, aside, objects)).collect()
}

fn block(route: &Placed<'_>, aside: &[Placed<'_>], objects: &[Placed<'_>]) -> BlockedRoute {
    let node = route.site.node;
    let mut hosts = texts(node, "host", "hosts");
    if hosts.is_empty()
        && let Some(service) = scalar(node, "service_id")
    {
        let is_it = |placed: &&Placed<'_>| {
            placed.kind == ResourceKind::Service
                && *id_of(placed.kind, placed.site.node, placed.index) == *service
        };
        let found = objects.iter().chain(aside).find(is_it);
        hosts = found.map_or_else(Vec::new, |found| texts(found.site.node, "host", "hosts"));
    }
    let uris = texts(node, "uri", "uris").iter().filter_map(|uri| owned(uri)).collect();
    let priority = match node.get("priority").map(|value| &value.content) {
        Some(Content::Number(number)) => number.as_i64().unwrap_or_default(),
        _ => 0,
    };
    BlockedRoute {
        id: id_of(route.kind, node, route.index),
        uris,
        hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        methods: methods(node),
        priority,
        place: node.place,
    }
}

/// The paths that a route may have been meant for: those that begin as it is written, where it
/// stands for several in a way that no route here can.
fn owned(uri: &str) -> Option<String> {
    let several = [uri.find('*'), uri.find("/:").map(|at| at + 1)];
    let fixed = several.into_iter().flatten().min().map_or(uri, |at| uri.get(..at).unwrap_or(uri));
    let is_prefix = fixed.len() < uri.len();
    fixed.starts_with('/').then(|| if is_prefix { format!("{fixed}*") } else { uri.to_owned() })
}

/// The methods that a route is for; none, which is all, where one is no method.
fn methods(node: &Node) -> Vec<String> {
    let written = node.get("methods").map(Node::items).unwrap_or_default();
    let names: Vec<String> = texts(node, "method", "methods");
    let known = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase());
    if names.len() < written.len() || !names.iter().all(known) { Vec::new() } else { names }
}

fn scalar(node: &Node, key: &str) -> Option<String> {
    match &node.get(key)?.content {
        Content::Text(text) => Some(text.clone()),
        Content::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The texts under a key for one and a key for several.
fn texts(node: &Node, one: &str, several: &str) -> Vec<String> {
    let one = node.get(one).and_then(Node::as_text);
    let several = node.get(several).map(Node::items).unwrap_or_default();
    one.into_iter().chain(several.iter().filter_map(Node::as_text)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_owns_every_path_that_it_may_have_been_meant_for() {
        for (uri, expected) in [
            ("/a", Some("/a")),
            ("/a/*", Some("/a/*")),
            ("/a/*/b", Some("/a/*")),
            ("/users/:id/admin", Some("/users/*")),
            ("/a:b", Some("/a:b")),
            ("/**", Some("/*")),
            ("a/*", None),
            ("*", None),
            ("", None),
        ] {
            assert_eq!(owned(uri).as_deref(), expected, "{uri}");
        }
    }
}
