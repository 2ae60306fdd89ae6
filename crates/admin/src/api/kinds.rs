//! The kinds of resources, what may be done with each, and which object a path names.

use bartizan_config::ResourceKind;
use bartizan_store::{Key, KeyFault, Object};

/// What a kind is named by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// An id of its own.
    Id,
    /// The name of an account.
    Username,
    /// An account, and an id below it.
    Credential,
    /// A service, and an id below it.
    Decoration,
    /// The name of a plugin.
    Plugin,
    /// A manager of secrets, and an id below it.
    Manager,
}

/// A kind of resources.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The segment of paths.
    pub(crate) segment: &'static str,
    /// The word for one, in sentences.
    pub(crate) noun: &'static str,
    /// What may be done with it beside reading.
    pub(crate) verbs: &'static [&'static str],
    pub(crate) naming: Naming,
}

const ALL: &[&str] = &["PUT", "POST", "PATCH", "DELETE"];
const NAMED: &[&str] = &["PUT", "PATCH", "DELETE"];
const WHOLE: &[&str] = &["PUT", "DELETE"];
const LISTED: &[&str] = &["PUT", "POST", "DELETE"];

const fn kind(
    segment: &'static str,
    noun: &'static str,
    verbs: &'static [&'static str],
    naming: Naming,
) -> Kind {
    Kind { segment, noun, verbs, naming }
}

/// Every kind.
pub(crate) const KINDS: &[Kind] = &[
    kind("routes", "route", ALL, Naming::Id),
    kind("services", "service", ALL, Naming::Id),
    kind("upstreams", "upstream", ALL, Naming::Id),
    kind("ssls", "ssl", ALL, Naming::Id),
    kind("consumers", "consumer", WHOLE, Naming::Username),
    kind("credentials", "credential", WHOLE, Naming::Credential),
    kind("graphql_cost_decorations", "graphql cost decoration", ALL, Naming::Decoration),
    kind("consumer_groups", "consumer group", NAMED, Naming::Id),
    kind("plugin_configs", "plugin config", NAMED, Naming::Id),
    kind("global_rules", "global rule", NAMED, Naming::Id),
    kind("plugin_metadata", "plugin metadata", WHOLE, Naming::Plugin),
    kind("secrets", "secret", NAMED, Naming::Manager),
    kind("protos", "proto", LISTED, Naming::Id),
    kind("stream_routes", "stream route", LISTED, Naming::Id),
];

impl Naming {
    /// Of what stands below another object: the collection of those, and what is between the ids.
    pub(crate) fn below(self) -> Option<(&'static str, &'static str)> {
        let kind = match self {
            Self::Credential => ResourceKind::Credential,
            Self::Decoration => ResourceKind::GraphqlCost,
            Self::Id | Self::Username | Self::Plugin | Self::Manager => return None,
        };
        kind.parent().map(|(parent, between)| (parent.collection(), between))
    }
}

/// The object, or the collection, that a path names.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: &'static Kind,
    /// The account of a credential, or the service of a decoration.
    pub(crate) owner: Option<String>,
    pub(crate) id: Option<String>,
    /// What follows the id: the part of the object that a `PATCH` replaces.
    pub(crate) part: Vec<String>,
}

impl Kind {
    /// The kind of that path segment.
    pub(crate) fn find(segment: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.segment == segment && kind.naming.below().is_none())
    }

    /// Whether its objects are written yet: what is not supported is read as others wrote it, and
    /// every write is 400.
    pub(crate) fn is_written(&self) -> bool {
        self.segment != "stream_routes"
    }

    /// Which methods may be sent, for `Allow`.
    pub(crate) fn allowed(&self) -> String {
        let mut methods = vec!["GET"];
        methods.extend(self.verbs);
        methods.join(", ")
    }

    /// The collection of the store that its objects are in.
    pub(crate) fn collection(&self) -> &'static str {
        self.naming.below().map_or(self.segment, |(collection, _)| collection)
    }

    /// Whether an object of the store is one of this kind.
    pub(crate) fn holds(&self, object: &Object) -> bool {
        Self::of(&object.key).is_some_and(|kind| kind.segment == self.segment)
    }

    /// The kind of an object of the store.
    pub(crate) fn of(key: &Key) -> Option<&'static Self> {
        let is_below = |kind: &&Self| {
            kind.naming.below().is_some_and(|(collection, between)| {
                key.collection() == collection && key.id().contains(between)
            })
        };
        KINDS.iter().find(is_below).or_else(|| Self::find(key.collection()))
    }
}

impl Target {
    /// Reads the segments after the prefix; `None` where they name no kind.
    pub(crate) fn read(segments: &[String]) -> Option<Self> {
        let (first, rest) = segments.split_first()?;
        let kind = Kind::find(first)?;
        let mut target = Self { kind, owner: None, id: None, part: Vec::new() };
        if let [owner, word, rest @ ..] = rest {
            let is_below = |below: &&Kind| {
                let of = below.naming.below().is_some_and(|(collection, _)| collection == first);
                of && below.segment == word
            };
            if let Some(below) = KINDS.iter().find(is_below) {
                target.kind = below;
                target.owner = Some(owner.clone());
                target.take(rest);
                return Some(target);
            }
        }
        if kind.naming == Naming::Manager {
            match rest {
                [manager, id, part @ ..] => {
                    target.id = Some(format!("{manager}/{id}"));
                    target.part = part.to_vec();
                }
                [manager] => target.owner = Some(manager.clone()),
                [] => {}
            }
            return Some(target);
        }
        target.take(rest);
        Some(target)
    }

    fn take(&mut self, rest: &[String]) {
        if let Some((id, part)) = rest.split_first() {
            self.id = Some(id.clone());
            self.part = part.to_vec();
        }
    }

    /// The key of an object of that id.
    pub(crate) fn key(&self, id: &str) -> Result<Key, KeyFault> {
        if self.kind.naming != Naming::Manager && id.contains('/') {
            return Err(KeyFault::Form);
        }
        match (&self.owner, self.kind.naming.below()) {
            (Some(owner), Some((collection, between))) => {
                Key::new(collection, &format!("{owner}{between}{id}"))
            }
            _ => Key::new(self.kind.collection(), id),
        }
    }

    /// Whether an object of the store is in the collection that the path names.
    pub(crate) fn lists(&self, object: &Object) -> bool {
        let id = object.key.id();
        self.kind.holds(object)
            && match (&self.owner, self.kind.naming.below()) {
                (Some(owner), Some((_, between))) => {
                    id.strip_prefix(owner.as_str()).is_some_and(|rest| rest.starts_with(between))
                }
                (Some(manager), None) => id.split('/').next() == Some(manager.as_str()),
                (None, _) => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(&'static str, Option<String>, Vec<String>)> {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        let target = Target::read(&segments)?;
        let key = target.id.as_ref().map(|id| target.key(id).unwrap().to_string());
        Some((target.kind.segment, key, target.part))
    }

    #[test]
    fn a_path_names_a_collection_or_an_object_or_a_part_of_it() {
        for (path, kind, key, part) in [
            ("routes", "routes", None, &[][..]),
            ("routes/1", "routes", Some("routes/1"), &[]),
            ("routes/1/plugins/key-auth", "routes", Some("routes/1"), &["plugins", "key-auth"]),
            ("consumers/jack", "consumers", Some("consumers/jack"), &[]),
            ("consumers/jack/credentials", "credentials", None, &[]),
            (
                "consumers/jack/credentials/one",
                "credentials",
                Some("consumers/jack/credentials/one"),
                &[],
            ),
            ("secrets/vault/1", "secrets", Some("secrets/vault/1"), &[]),
            ("services/s/graphql_cost_decorations", "graphql_cost_decorations", None, &[]),
            (
                "services/s/graphql_cost_decorations/1/desc",
                "graphql_cost_decorations",
                Some("services/s/graphql_cost_decorations/1"),
                &["desc"],
            ),
            ("services/s/upstream/nodes", "services", Some("services/s"), &["upstream", "nodes"]),
        ] {
            let (found, at, rest) = read(path).unwrap();
            assert_eq!((found, at.as_deref()), (kind, key), "{path}");
            assert_eq!(rest, part, "{path}");
        }
        assert!(read("credentials").is_none() && read("nosuch/1").is_none());
        assert!(read("graphql_cost_decorations/1").is_none());
    }
}
