//! What an editor is confined to, and whether an object lies inside.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hosts::HostPattern;
use super::kinds::{RESOURCE_KINDS, Resource, Serves};
use super::paths::PathPrefix;
use super::reach::{self, Unreadable};
use super::{Act, Forbidden, Object, Used, Verb, kinds};

/// Most kinds, labels, hosts and paths, each.
pub const LIST_MAX: usize = 64;
/// Longest label, host or path, in bytes.
pub const TEXT_MAX: usize = 256;

/// What makes rights unfit, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Unfit {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub help: &'static str,
}

impl Unfit {
    pub(crate) fn new(problem: String, help: &'static str) -> Self {
        Self { problem, help }
    }
}

/// The part of the resources that an editor may change. Empty lists confine to nothing; those that
/// are given confine together: an object must be of one of the kinds, have one of the values of
/// each label, and serve only the hosts and only the paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Confinement {
    written: Written,
    hosts: Vec<HostPattern>,
    paths: Vec<PathPrefix>,
}

/// The same as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, BTreeSet<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl Serialize for Confinement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written.serialize(serializer)
    }
}

impl TryFrom<Written> for Confinement {
    type Error = Unfit;

    fn try_from(written: Written) -> Result<Self, Unfit> {
        let uses = written.uses;
        Self::new(written.kinds, written.labels, written.hosts, written.paths)?.using(uses)
    }
}

impl Confinement {
    /// Confines to kinds, values of labels, hosts (`shop.example`, `*.shop.example`) and paths
    /// (`/shop`: itself and below; `/shop/`: below).
    pub fn new(
        kinds: Vec<String>,
        labels: BTreeMap<String, BTreeSet<String>>,
        mut hosts: Vec<String>,
        paths: Vec<String>,
    ) -> Result<Self, Unfit> {
        for host in &mut hosts {
            host.make_ascii_lowercase();
        }
        let written = Written { kinds, labels, hosts, paths, uses: BTreeMap::new() };
        written.check_bounds()?;
        written.check_kinds()?;
        let no_host = |text: &String| {
            let problem = format!("`{text}` confines to no hosts");
            Unfit::new(
                problem,
                "write `shop.example` or `*.shop.example`; without hosts, all are meant",
            )
        };
        let no_path = |text: &String| {
            let problem = format!("`{text}` confines to no paths");
            Unfit::new(
                problem,
                "write `/shop` or `/shop/`, without `*`; without paths, all are meant",
            )
        };
        let host = |text: &String| HostPattern::parse(text).ok_or_else(|| no_host(text));
        let path = |text: &String| PathPrefix::parse(text).ok_or_else(|| no_path(text));
        let hosts = written.hosts.iter().map(host).collect::<Result<_, _>>()?;
        let paths = written.paths.iter().map(path).collect::<Result<_, _>>()?;
        Ok(Self { written, hosts, paths })
    }

    /// The same, with labels of which an object needs one to be referred to where it is not inside:
    /// what is there for all to use.
    pub fn using(mut self, uses: BTreeMap<String, BTreeSet<String>>) -> Result<Self, Unfit> {
        self.written.uses = uses;
        self.written.check_bounds()?;
        let written = &self.written;
        let asks_more =
            !written.labels.is_empty() || !self.hosts.is_empty() || !self.paths.is_empty();
        if !written.uses.is_empty() && !asks_more {
            let problem =
                "without labels, hosts or paths, everything may be referred to".to_owned();
            return Err(Unfit::new(problem, "leave out uses, or add labels, hosts or paths"));
        }
        Ok(self)
    }

    /// True if it leaves everything that needs not be named.
    pub fn is_none(&self) -> bool {
        self.written == Written::default()
    }

    /// The kinds it names.
    pub fn kinds(&self) -> &[String] {
        &self.written.kinds
    }

    /// The labels it asks for, with the values of which each object has one.
    pub fn labels(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.written.labels
    }

    /// The hosts, as they are written.
    pub fn hosts(&self) -> &[String] {
        &self.written.hosts
    }

    /// The paths, as they are written.
    pub fn paths(&self) -> &[String] {
        &self.written.paths
    }

    /// The labels of which an object needs one to be referred to where it is not inside.
    pub fn uses(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.written.uses
    }

    /// Whether an object may be referred to that was not referred to before: it lies inside, or is
    /// there for all to use. Of which kinds an editor may change objects does not matter.
    pub(super) fn lends(&self, used: &Used) -> Result<(), Forbidden> {
        let is_open =
            self.written.labels.is_empty() && self.hosts.is_empty() && self.paths.is_empty();
        let is_for_all = self.written.uses.iter().any(|(name, values)| {
            reach::label(&used.value, name).is_some_and(|label| values.contains(label))
        });
        if is_open || is_for_all {
            return Ok(());
        }
        let name = format!("{}/{}", used.kind, short(&used.id));
        let kinds::Sort::Resource(resource) = kinds::sort(used.kind, Some(&used.id)) else {
            return Err(Forbidden(format!("it may not refer to `{name}`")));
        };
        let object = Object::new(&used.value);
        self.inside(&object, resource, self.names(resource.name)).map_err(|why| {
            Forbidden(format!(
                "it may not refer to `{name}`, which {why}, nor is it lent to the key"
            ))
        })
    }

    /// Whether an editor so confined may make, change or remove an object: both as it is and as it
    /// will be, it must lie inside.
    pub(super) fn permit(&self, act: &Act<'_>, resource: Resource) -> Result<(), Forbidden> {
        let is_whole = match act.verb {
            Verb::Write => act.after.is_some(),
            Verb::Delete => act.before.is_some() && act.after.is_none(),
            Verb::Read | Verb::Other => false,
        };
        if is_whole {
            self.holds(act, resource)
        } else {
            Err(Forbidden("what the act does is not said".to_owned()))
        }
    }

    /// Whether the objects of an act lie inside.
    pub(super) fn holds(&self, act: &Act<'_>, resource: Resource) -> Result<(), Forbidden> {
        let is_named = self.names(resource.name);
        if resource.is_explicit && !is_named {
            return Err(Forbidden(format!("the key does not name the kind `{}`", resource.name)));
        }
        if !self.written.kinds.is_empty() && !is_named {
            return Err(Forbidden(format!("the key is for {}", list(&self.written.kinds))));
        }
        let mut is_held = is_named;
        if resource.name == "credentials" && !self.written.labels.is_empty() {
            let owner = act.owner.ok_or_else(|| Forbidden("whose it is is not said".to_owned()))?;
            self.labelled(owner).map_err(|why| Forbidden(format!("its consumer {why}")))?;
            is_held = true;
        }
        let is_open =
            self.written.labels.is_empty() && self.hosts.is_empty() && self.paths.is_empty();
        if resource.name == "graphql_cost_decorations" && !is_open {
            let owner = act.owner.ok_or_else(|| Forbidden("whose it is is not said".to_owned()))?;
            if let kinds::Sort::Resource(services) = kinds::sort("services", None) {
                self.inside(&Object::new(owner), services, is_named)
                    .map_err(|why| Forbidden(format!("its service {why}")))?;
            }
            is_held = true;
        }
        for (object, when) in [(act.before, "it is"), (act.after, "it would be")] {
            if let Some(object) = object {
                self.inside(&object, resource, is_held)
                    .map_err(|why| Forbidden(format!("as {when}, it {why}")))?;
            }
        }
        Ok(())
    }

    fn names(&self, kind: &str) -> bool {
        // Whoever may remove an object may remove what stands below it.
        let parent = kinds::parent(kind);
        let is_named = |named: &String| *named == kind || Some(named.as_str()) == parent;
        self.written.kinds.iter().any(is_named)
    }

    /// Whether an object lies inside; if not, what it does, as in "it serves …".
    fn inside(
        &self,
        object: &Object<'_>,
        resource: Resource,
        mut is_held: bool,
    ) -> Result<(), String> {
        if resource.is_labelled && !self.written.labels.is_empty() {
            self.labelled(object.value)?;
            is_held = true;
        }
        let unreadable = |Unreadable(what)| format!("cannot be judged: {what} is not of its form");
        if !self.hosts.is_empty() && resource.serves != Serves::Nothing {
            let hosts = reach::hosts(resource.serves, object).map_err(unreadable)?;
            self.serves_hosts(&hosts)?;
            is_held = true;
        }
        if !self.paths.is_empty() && resource.serves == Serves::HostsAndPaths {
            let paths = reach::paths(object).map_err(unreadable)?;
            self.serves_paths(&paths)?;
            is_held = true;
        }
        let is_open = self.hosts.is_empty() && self.paths.is_empty();
        if is_held || is_open {
            Ok(())
        } else {
            Err("serves no host or path by which to tell whose it is: the key must ask for labels, \
                 or name the kind"
                .to_owned())
        }
    }

    fn labelled(&self, value: &Value) -> Result<(), String> {
        for (name, values) in &self.written.labels {
            let is_one = reach::label(value, name).is_some_and(|label| values.contains(label));
            if !is_one {
                return Err(format!("is not labelled `{name}`: {}", list(values)));
            }
        }
        Ok(())
    }

    fn serves_hosts(&self, hosts: &[&str]) -> Result<(), String> {
        if hosts.is_empty() {
            return Err(format!("serves every host, not only {}", list(&self.written.hosts)));
        }
        let is_own = |host: &&&str| !self.hosts.iter().any(|own| own.contains(host));
        match hosts.iter().find(is_own) {
            None => Ok(()),
            Some(host) => {
                Err(format!("serves `{}`, not only {}", short(host), list(&self.written.hosts)))
            }
        }
    }

    fn serves_paths(&self, paths: &[&str]) -> Result<(), String> {
        if paths.is_empty() {
            return Err(format!("serves no path that is named, not {}", list(&self.written.paths)));
        }
        let is_foreign = |path: &&&str| !self.paths.iter().any(|own| own.contains(path));
        match paths.iter().find(is_foreign) {
            None => Ok(()),
            Some(path) => {
                Err(format!("serves `{}`, not only {}", short(path), list(&self.written.paths)))
            }
        }
    }
}

impl Written {
    fn check_bounds(&self) -> Result<(), Unfit> {
        let values = |labels: &BTreeMap<String, BTreeSet<String>>| {
            labels.len().max(labels.values().map(BTreeSet::len).sum())
        };
        let (labels, uses) = (values(&self.labels), values(&self.uses));
        let is_many = [self.kinds.len(), labels, self.hosts.len(), self.paths.len(), uses]
            .into_iter()
            .any(|length| length > LIST_MAX);
        if is_many {
            let problem = format!("more than {LIST_MAX} kinds, labels, hosts or paths");
            return Err(Unfit::new(problem, "make several keys"));
        }
        let all = || self.labels.iter().chain(&self.uses);
        let labels = all().flat_map(|(name, values)| std::iter::once(name).chain(values));
        let texts = self.hosts.iter().chain(&self.paths).chain(labels);
        for text in texts {
            if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
                let problem = format!("`{}` is empty, too long or not printable", short(text));
                return Err(Unfit::new(problem, "write it with 1 to 256 printable bytes"));
            }
        }
        match all().find(|(_, values)| values.is_empty()) {
            None => Ok(()),
            Some((name, _)) => {
                let problem = format!("the label `{name}` has no value");
                Err(Unfit::new(problem, "write `name=value`"))
            }
        }
    }

    fn check_kinds(&self) -> Result<(), Unfit> {
        let unknown = |kind: &&String| !RESOURCE_KINDS.contains(&kind.as_str());
        let Some(kind) = self.kinds.iter().find(unknown) else { return Ok(()) };
        Err(Unfit::new(
            format!("`{}` is no kind of resource", short(kind)),
            "routes, services, upstreams, consumers, credentials, \
             graphql_cost_decorations, consumer_groups, plugin_configs, protos, stream_routes, ssls, global_rules, plugin_metadata, secrets",
        ))
    }
}

/// The first names of a list, for people.
fn list<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> =
        names.by_ref().take(5).map(|name| format!("`{}`", short(name))).collect();
    let more = if names.next().is_some() { " and others" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// The beginning of a text.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(64)).unwrap_or_default()
}
