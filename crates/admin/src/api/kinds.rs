//! The kinds of resources, what may be done with each, and which object a path names.

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
    kind("consumer_groups", "consumer group", NAMED, Naming::Id),
    kind("plugin_configs", "plugin config", NAMED, Naming::Id),
    kind("global_rules", "global rule", NAMED, Naming::Id),
    kind("plugin_metadata", "plugin metadata", WHOLE, Naming::Plugin),
    kind("secrets", "secret", NAMED, Naming::Manager),
    kind("protos", "proto", LISTED, Naming::Id),
    kind("stream_routes", "stream route", LISTED, Naming::Id),
];

/// What stands between an account and its credential in a key.
const CREDENTIALS: &str = "/credentials/";

/// The object, or the collection, that a path names.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: &'static Kind,
    /// The account of a credential.
    pub(crate) owner: Option<String>,
    pub(crate) id: Option<String>,
    /// What follows the id: the part of the object that a `PATCH` replaces.
    pub(crate) part: Vec<String>,
}

impl Kind {
    /// The kind of that path segment.
    pub(crate) fn find(segment: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.segment == segment && kind.naming != Naming::Credential)
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
        if self.naming == Naming::Credential { "consumers" } else { self.segment }
    }

    /// Whether an object of the store is one of this kind.
    pub(crate) fn holds(&self, object: &Object) -> bool {
        object.key.collection() == self.collection()
            && object.key.id().contains(CREDENTIALS) == (self.naming == Naming::Credential)
    }

    /// The kind of an object of the store.
    pub(crate) fn of(key: &Key) -> Option<&'static Self> {
        let is_credential = key.collection() == "consumers" && key.id().contains(CREDENTIALS);
        let segment = if is_credential { "credentials" } else { key.collection() };
        KINDS.iter().find(|kind| kind.segment == segment)
    }
}

impl Target {
    /// Reads the segments after the prefix; `None` where they name no kind.
    pub(crate) fn read(segments: &[String]) -> Option<Self> {
        let (first, rest) = segments.split_first()?;
        let kind = Kind::find(first)?;
        let mut target = Self { kind, owner: None, id: None, part: Vec::new() };
        if kind.naming == Naming::Username
            && let [owner, word, rest @ ..] = rest
            && word == "credentials"
        {
            target.kind = KINDS.iter().find(|kind| kind.naming == Naming::Credential)?;
            target.owner = Some(owner.clone());
            target.take(rest);
            return Some(target);
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
        match &self.owner {
            Some(owner) if self.kind.naming == Naming::Credential => {
                Key::new("consumers", &format!("{owner}{CREDENTIALS}{id}"))
            }
            _ => Key::new(self.kind.collection(), id),
        }
    }

    /// Whether an object of the store is in the collection that the path names.
    pub(crate) fn lists(&self, object: &Object) -> bool {
        let id = object.key.id();
        self.kind.holds(object)
            && match (&self.owner, self.kind.naming) {
                (Some(owner), Naming::Credential) => id
                    .strip_prefix(owner.as_str())
                    .is_some_and(|rest| rest.starts_with(CREDENTIALS)),
                (Some(manager), Naming::Manager) => id.split('/').next() == Some(manager.as_str()),
                _ => true,
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
        ] {
            let (found, at, rest) = read(path).unwrap();
            assert_eq!((found, at.as_deref()), (kind, key), "{path}");
            assert_eq!(rest, part, "{path}");
        }
        assert!(read("credentials").is_none() && read("nosuch/1").is_none());
    }
}
