//! Objects at fault: which one a problem is about, what stands for it, and what must never be left
//! out.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bartizan_core::{check_path_pattern, has_path_names};
use serde_json::Value;

use super::{Draft, Fate, ObjectAt, ObjectName, name_of, named};
use crate::diagnostic::Place;
use crate::document::{Content, Format, Node};
use crate::graphql_cost::CostTree;
use crate::load::Loader;
use crate::read::{Placed, Reader, Site, id_of};
use crate::resources::{BlockedRoute, ResourceKind, ResourceRef, Resources};
use crate::schema::Rules;
use crate::sources::Sources;
use crate::wire::METHODS;

/// What is known of an object of a draft.
#[derive(Clone)]
pub struct ObjectFacts {
    /// Which one.
    pub at: ObjectAt,
    /// Its name.
    pub name: ObjectName,
    /// Its JSON, where it is any.
    pub text: Option<Arc<str>>,
    /// Whether its name is its own, not the position of an object that says none.
    pub is_named: bool,
}

/// The text holds secrets: only the name is shown.
impl fmt::Debug for ObjectFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ObjectFacts").field(&self.name).finish()
    }
}

impl Draft {
    /// Every object, in the order in which they are read.
    pub fn objects(&self, loader: &Loader<'_>) -> Vec<ObjectFacts> {
        // Only the structure is looked at; problems were told when the draft was judged.
        let scratch = Sources::new();
        let resolver = self.terms.resolver(loader.surroundings());
        let rules = Rules::new(&resolver, self.terms.accepts_fail_open);
        let mut reader = Reader::new(&rules, loader.plugins(), &scratch);
        let mut facts = Vec::new();
        for document in &self.documents {
            let whole = Site::root(&document.root);
            let site = if document.is_inline { whole.child("resources") } else { Some(whole) };
            for placed in site.iter().flat_map(|site| reader.document(site)) {
                let node = placed.site.node;
                facts.push(ObjectFacts {
                    at: ObjectAt(node.place),
                    name: name_of(&placed),
                    text: Some(node.to_json().to_string().into()),
                    is_named: node.get("id").or_else(|| node.get("username")).is_some(),
                });
            }
        }
        facts.extend(self.stored.iter().map(|stored| ObjectFacts {
            at: ObjectAt(stored.place),
            name: stored.name.clone(),
            text: stored.node.as_ref().ok().map(|node| node.to_json().to_string().into()),
            is_named: true,
        }));
        facts
    }

    /// The objects that places are in, each with the first problem of it; `None` for a problem that
    /// no single object has.
    pub fn object_of(&self, objects: &[ObjectFacts], place: Option<Place>) -> Option<usize> {
        let place = place?;
        let place = self.replacements.get(&place.source).copied().unwrap_or(place);
        let holds = |object: &ObjectFacts| {
            let ObjectAt(whole) = object.at;
            let is_inside = whole.start <= place.start && whole.end >= place.end;
            (whole.source == place.source && is_inside).then_some(whole.end - whole.start)
        };
        // In documents of ADC objects stand inside of others: the innermost is meant.
        let held = objects.iter().enumerate().filter_map(|(at, object)| Some((holds(object)?, at)));
        held.min().map(|(_, at)| at)
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
    /// keeps its paths, and those of the earlier text that stood for it.
    pub fn set_aside(&mut self, object: &ObjectFacts) -> bool {
        let ObjectAt(place) = object.at;
        let is_replaced = matches!(self.fates.get(&place), Some(Fate::Replaced(_)));
        if matches!(self.fates.get(&place), Some(Fate::Aside(_)))
            || opens_something(object) && !(is_replaced && is_route(object))
        {
            return false;
        }
        let before = match self.fates.remove(&place) {
            Some(Fate::Replaced(node)) => Some(node),
            _ => None,
        };
        self.fates.insert(place, Fate::Aside(before));
        true
    }

    /// Leaves an object out whatever that opens, so that the others can be judged: for those who
    /// look at a configuration and put nothing into force.
    pub fn leave_out(&mut self, object: &ObjectFacts) {
        self.fates.insert(object.at.0, Fate::Aside(None));
    }

    /// Leaves out the whole list that a place is in, and gives its name: for those who look at a
    /// configuration and put nothing into force.
    pub fn forget(&mut self, place: Place) -> Option<String> {
        let is_in = |whole: Place| {
            whole.source == place.source && whole.start <= place.start && whole.end >= place.end
        };
        for document in self.documents.iter_mut().filter(|document| !document.is_inline) {
            let Content::Map(members) = &mut document.root.content else { continue };
            let at = members
                .iter()
                .position(|member| is_in(member.key_place) || is_in(member.value.place));
            if let Some(at) = at {
                return Some(members.remove(at).key);
            }
        }
        None
    }

    /// The list of enabled plugins that a document gives.
    pub fn enabled_plugins(&self) -> Option<Value> {
        let lists = self.documents.iter().filter(|document| !document.is_inline);
        lists.filter_map(|document| document.root.get("plugins")).map(Node::to_json).next()
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
/// all requests, settings of plugins for the whole node, certificates that ask clients for theirs,
/// beside which a wider certificate may be, and routes of which nobody knows where they stood.
fn opens_something(object: &ObjectFacts) -> bool {
    let value = object.text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    match (&*object.name.collection, value) {
        ("global_rules" | "plugin_metadata" | "plugins", _) => true,
        ("ssls", value) => value.is_none_or(|value: Value| value.get("client").is_some()),
        ("routes", value) => value.is_none_or(|value: Value| !names_a_path(&value)),
        _ => false,
    }
}

/// A route that an earlier text stood for keeps at least the paths of that.
fn is_route(object: &ObjectFacts) -> bool {
    &*object.name.collection == "routes"
}

fn names_a_path(route: &Value) -> bool {
    let values = ["uri", "uris"].into_iter().filter_map(|key| route.get(key));
    let mut texts = values.flat_map(|value| match value {
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        value => vec![value.as_str()],
    });
    texts.any(|text| text.is_some_and(|text| !text.is_empty()))
}

/// Of a service of which a price was set aside nobody knows what queries cost: `ids` are those of all
/// that was.
pub(super) fn unprice(ids: impl Iterator<Item = Arc<str>>, resources: &mut Resources) {
    for id in ids {
        let decoration = ResourceRef { kind: ResourceKind::GraphqlCost, id };
        let Some(owner) = decoration.owner() else { continue };
        for service in resources.services.iter_mut().filter(|service| service.id == owner.id) {
            service.graphql_costs =
                Some(Arc::new(CostTree { is_broken: true, ..CostTree::default() }));
        }
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

/// Where a route may have stood: rather too much than too little.
fn block(route: &Placed<'_>, aside: &[Placed<'_>], objects: &[Placed<'_>]) -> BlockedRoute {
    let node = route.site.node;
    let hosts = hosts(node, aside, objects).unwrap_or_else(|| every_host(aside, objects));
    let uris = texts(node, "uri", "uris");
    let priority = match node.get("priority").map(|value| &value.content) {
        None => 0,
        Some(Content::Number(number)) => number.as_i64().unwrap_or(i64::MAX),
        Some(_) => i64::MAX,
    };
    BlockedRoute {
        id: id_of(route.kind, node, route.index),
        uris: owned_by(&uris),
        hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        methods: methods(node),
        priority,
        place: node.place,
    }
}

/// The hosts of a route, or of its service; empty for any, `None` where they are not known.
fn hosts(node: &Node, aside: &[Placed<'_>], objects: &[Placed<'_>]) -> Option<Vec<String>> {
    let own = texts(node, "host", "hosts");
    if !own.is_empty() {
        return Some(own);
    }
    if node.get("host").or_else(|| node.get("hosts")).is_some() {
        return None;
    }
    if node.get("service_id").is_none() {
        return Some(Vec::new());
    }
    let service = scalar(node, "service_id")?;
    let is_it = |placed: &&Placed<'_>| {
        placed.kind == ResourceKind::Service
            && *id_of(placed.kind, placed.site.node, placed.index) == *service
    };
    let found = objects.iter().chain(aside).find(is_it)?;
    hosts(found.site.node, &[], &[])
}

/// Every host that something is written for, and any other.
fn every_host(aside: &[Placed<'_>], objects: &[Placed<'_>]) -> Vec<String> {
    let all = objects.iter().chain(aside);
    let mut hosts: BTreeSet<String> =
        all.flat_map(|placed| texts(placed.site.node, "host", "hosts")).collect();
    hosts.insert("*".to_owned());
    hosts.into_iter().collect()
}

/// Every path that routes may have been meant for. A template is owned as it is written as well, so
/// that it comes before wider ones as it did.
fn owned_by(uris: &[String]) -> Vec<String> {
    let mut all = BTreeSet::new();
    for uri in uris.iter().filter(|uri| !uri.is_empty()) {
        all.insert(owned(uri));
        if has_path_names(uri) && check_path_pattern(uri).is_ok() {
            all.insert(uri.clone());
        }
    }
    all.into_iter().collect()
}

/// The paths that a route may have been meant for: those that begin as it is written, where it
/// stands for several in a way that no route here can.
fn owned(uri: &str) -> String {
    let uri = uri.split(['?', '#']).next().unwrap_or_default();
    let several = [uri.find('*'), uri.find("/:").map(|at| at + 1)];
    let fixed = several.into_iter().flatten().min().map_or(uri, |at| uri.get(..at).unwrap_or(uri));
    let root = if fixed.starts_with('/') { "" } else { "/" };
    let rest = if fixed.len() < uri.len() { "*" } else { "" };
    format!("{root}{fixed}{rest}")
}

/// The methods that a route is for; none, which is all, where one is no method.
fn methods(node: &Node) -> Vec<String> {
    let written = node.get("methods").map(Node::items).unwrap_or_default().iter();
    let known =
        |method: &Node| method.as_text().filter(|name| METHODS.contains(name)).map(str::to_owned);
    written.map(known).collect::<Option<_>>().unwrap_or_default()
}

fn scalar(node: &Node, key: &str) -> Option<String> {
    match &node.get(key)?.content {
        Content::Text(text) => Some(text.clone()),
        Content::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The texts under a key for one and a key for several, each also in the other's form.
fn texts(node: &Node, one: &str, several: &str) -> Vec<String> {
    let values = [one, several].into_iter().filter_map(|key| node.get(key));
    let texts = values.flat_map(|value| {
        value.as_text().into_iter().chain(value.items().iter().filter_map(Node::as_text))
    });
    texts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_owns_every_path_that_it_may_have_been_meant_for() {
        for (uri, expected) in [
            ("/a", "/a"),
            ("/a/*", "/a/*"),
            ("/a/*/b", "/a/*"),
            ("/users/:id/admin", "/users/*"),
            ("/a:b", "/a:b"),
            ("/**", "/*"),
            ("a/*", "/a/*"),
            ("a", "/a"),
            ("*", "/*"),
            ("/a?x=1", "/a"),
            ("/a/*#b", "/a/*"),
        ] {
            assert_eq!(owned(uri), expected, "{uri}");
            let all = owned_by(&[uri.to_owned()]);
            let is_template = uri == "/users/:id/admin";
            assert_eq!(all.len(), 1 + usize::from(is_template), "{uri}: {all:?}");
            assert_eq!(all.contains(&uri.to_owned()), is_template || uri == expected, "{uri}");
        }
    }

    #[test]
    fn a_route_of_which_nobody_knows_where_it_stood_cannot_be_left_out() {
        for (text, expected) in [
            (None, true),
            (Some(r#"{"name":"a"}"#), true),
            (Some(r#"{"uri":""}"#), true),
            (Some(r#"{"uri":7,"uris":[{}]}"#), true),
            (Some(r#"{"uris":"/a"}"#), false),
            (Some(r#"{"uri":["/a"]}"#), false),
            (Some(r#"{"uri":"/a"}"#), false),
        ] {
            let object = ObjectFacts {
                at: ObjectAt(Place { source: crate::SourceId(0), start: 0, end: 0 }),
                name: ObjectName { collection: "routes".into(), id: "1".into() },
                text: text.map(Into::into),
                is_named: true,
            };
            assert_eq!(opens_something(&object), expected, "{text:?}");
        }
    }
}
