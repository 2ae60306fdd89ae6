//! What refers to what: that it is there when an object is written, and that nothing is left
//! without it when one is removed.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use bartizan_store::{Key, Object, Snapshot};
use serde_json::Value;

use super::kinds::{KINDS, Kind, Naming};
use crate::operators::Used;

/// A member by which one kind refers to another.
struct Reference {
    from: &'static str,
    member: &'static str,
    to: &'static str,
}

const fn reference(from: &'static str, member: &'static str, to: &'static str) -> Reference {
    Reference { from, member, to }
}

const REFERENCES: &[Reference] = &[
    reference("routes", "upstream_id", "upstreams"),
    reference("services", "upstream_id", "upstreams"),
    reference("stream_routes", "upstream_id", "upstreams"),
    reference("routes", "service_id", "services"),
    reference("stream_routes", "service_id", "services"),
    reference("routes", "plugin_config_id", "plugin_configs"),
    reference("consumers", "group_id", "consumer_groups"),
];

/// How every member ends, or is called, by which an object refers to another.
const MEMBERS: [&str; 2] = ["_id\"", "\"anonymous_consumer\""];

/// What a reference is called where it leads nowhere.
fn missing(to: &str, id: &str) -> String {
    let word = match to {
        "upstreams" => "upstream",
        "services" => "service",
        "plugin_configs" => "plugin config",
        _ => "consumer group",
    };
    format!("failed to fetch {word} info by {word} id [{id}], response code: 404")
}

/// The text of an id, which may be written as a number.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What an object refers to that is not there.
pub(crate) fn dangling(kind: &Kind, value: &Value, snapshot: &Snapshot) -> Option<String> {
    let mut own = REFERENCES.iter().filter(|reference| reference.from == kind.segment);
    own.find_map(|reference| {
        let id = text(value.get(reference.member))?;
        let is_there = Key::new(reference.to, &id).is_ok_and(|key| snapshot.get(&key).is_some());
        (!is_there).then(|| missing(reference.to, &id))
    })
}

/// What an object refers to and did not before, as far as it is there.
pub(crate) fn used_anew(
    kind: &str,
    before: Option<&Value>,
    after: &Value,
    snapshot: &Snapshot,
) -> Vec<Used> {
    let old = before.map(|before| all(kind, before)).unwrap_or_default();
    let new = all(kind, after).into_iter().filter(|reference| !old.contains(reference));
    new.filter_map(|(kind, id)| {
        let object = snapshot.get(&Key::new(kind, &id).ok()?)?;
        // Of what cannot be read nobody can tell whose it is.
        Some(Used { kind, id, value: object.value().unwrap_or_default() })
    })
    .collect()
}

/// What an object cannot be without, as kind and id.
fn needed<'v>(
    kind: &'v str,
    value: &'v Value,
) -> impl Iterator<Item = (&'static str, String)> + use<'v> {
    let own = REFERENCES.iter().filter(move |reference| reference.from == kind);
    own.filter_map(|reference| Some((reference.to, text(value.get(reference.member))?)))
        .chain(split_to(value).map(|id| ("upstreams", id)))
        .chain(made_of(value).map(|id| ("protos", id)))
}

/// Everything that an object refers to, as kind and id.
fn all(kind: &str, value: &Value) -> BTreeSet<(&'static str, String)> {
    // Of groups there is a rule of its own.
    let needed = needed(kind, value).filter(|(to, _)| *to != "consumer_groups");
    let mut all: BTreeSet<(&'static str, String)> = needed.collect();
    // The certificate by which the gateway proves itself to servers.
    let certificates = ["/tls/client_cert_id", "/upstream/tls/client_cert_id"];
    let ids = certificates.iter().filter_map(|pointer| text(value.pointer(pointer)));
    all.extend(ids.map(|id| ("ssls", id)));
    // Whose plugins and limits are those of callers who show nothing.
    if let Some(plugins) = value.get("plugins") {
        stand_ins(plugins, &mut |name| {
            all.insert(("consumers", name.to_owned()));
        });
    }
    all
}

/// The accounts that stand in for callers who show no credential, wherever plugins name them.
fn stand_ins(value: &Value, tell: &mut impl FnMut(&str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| stand_ins(item, tell)),
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str() {
                    Some(account) if name == "anonymous_consumer" => tell(account),
                    _ => stand_ins(member, tell),
                }
            }
        }
        _ => {}
    }
}

/// Whether other objects can refer to those of a kind.
pub(crate) fn can_be_used(kind: &Kind) -> bool {
    matches!(kind.segment, "ssls" | "consumers" | "protos")
        || REFERENCES.iter().any(|reference| reference.to == kind.segment)
}

/// An object that refers to another.
struct User<'s> {
    key: &'s Key,
    kind: &'static Kind,
    /// It cannot be without it.
    needs: bool,
}

/// The objects that refer to others, by what they refer to.
struct Users<'s>(HashMap<(&'static str, String), Vec<User<'s>>>);

impl<'s> Users<'s> {
    /// Reads each object that may refer to another, once.
    fn read(snapshot: &'s Snapshot, mut value: impl FnMut(&Object) -> Option<Value>) -> Self {
        let mut users: HashMap<_, Vec<User<'s>>> = HashMap::new();
        // To read an object takes longer than to see that it refers to none.
        let may_refer = |object: &&Object| mentions(&object.content, &MEMBERS);
        for object in snapshot.objects.iter().filter(may_refer) {
            let Some(kind) = Kind::of(&object.key) else { continue };
            let Some(value) = value(object) else { continue };
            let needed: BTreeSet<_> = needed(kind.segment, &value).collect();
            for used in all(kind.segment, &value).union(&needed) {
                let user = User { key: &object.key, kind, needs: needed.contains(used) };
                users.entry(used.clone()).or_default().push(user);
            }
        }
        Self(users)
    }

    fn of(&self, kind: &Kind, id: &str) -> &[User<'s>] {
        self.0.get(&(kind.segment, id.to_owned())).map_or(&[], Vec::as_slice)
    }
}

/// Objects that change together, and whether others refer to those that are removed. The objects of
/// the store are read for that once, however many are removed.
pub(crate) struct Changing<'s> {
    keys: BTreeSet<&'s Key>,
    snapshot: &'s Snapshot,
    users: OnceCell<Users<'s>>,
}

impl<'s> Changing<'s> {
    pub(crate) fn new(keys: impl IntoIterator<Item = &'s Key>, snapshot: &'s Snapshot) -> Self {
        Self { keys: keys.into_iter().collect(), snapshot, users: OnceCell::new() }
    }

    fn users(&self) -> &Users<'s> {
        self.users.get_or_init(|| Users::read(self.snapshot, Object::value))
    }

    /// An object that refers to this one and does not change with it.
    pub(crate) fn user_of(&self, kind: &Kind, id: &str) -> Option<&'s Key> {
        if !can_be_used(kind) {
            return None;
        }
        let mut keys = self.users().of(kind, id).iter().map(|user| user.key);
        keys.find(|key| !self.keys.contains(key))
    }

    /// Which object still needs one that is to be removed, as Apache APISIX says it.
    pub(crate) fn problem(&self, kind: &Kind, id: &str) -> Option<String> {
        if matches!(kind.naming, Naming::Credential | Naming::Decoration | Naming::Username) {
            return None;
        }
        let told = |user: &Kind, id: &str| {
            let (noun, user) = (kind.noun, user.noun);
            format!("can not delete this {noun}, {user} [{id}] is still using it now")
        };
        if let Some(object) = below(kind, id, self.snapshot).next() {
            let (_, own) = object.key.id().rsplit_once('/')?;
            return Some(told(Kind::of(&object.key)?, own));
        }
        if !can_be_used(kind) {
            return None;
        }
        let user = self.users().of(kind, id).iter().find(|user| user.needs)?;
        Some(told(user.kind, user.key.id()))
    }
}

/// Who uses these upstreams: the objects, by the id of the upstream.
pub(crate) fn users_of_upstreams<'s>(
    snapshot: &'s Snapshot,
    wanted: &BTreeSet<&str>,
) -> HashMap<String, Vec<&'s str>> {
    let mut users: HashMap<String, Vec<&str>> = HashMap::new();
    // To read an object takes longer than to see that it names none.
    let may_name = |object: &&Object| {
        !wanted.is_empty() && mentions(&object.content, &["\"upstream_id\"", "\"traffic-split\""])
    };
    for object in snapshot.objects.iter().filter(may_name) {
        let (Some(kind), Some(value)) = (Kind::of(&object.key), object.value()) else { continue };
        // It may use one several times.
        let needed = needed(kind.segment, &value).filter(|(to, _)| *to == "upstreams");
        let ids: BTreeSet<String> = needed.map(|(_, id)| id).collect();
        for id in ids.into_iter().filter(|id| wanted.contains(id.as_str())) {
            users.entry(id).or_default().push(object.key.as_str());
        }
    }
    users
}

/// Whether a JSON text may have one of these members; one with escapes may have any.
pub(crate) fn mentions(content: &[u8], members: &[&str]) -> bool {
    std::str::from_utf8(content).is_ok_and(|text| {
        text.contains("\\u") || members.iter().any(|member| text.contains(member))
    })
}

/// The upstreams that the plugin `traffic-split` of an object sends to.
fn split_to(value: &Value) -> impl Iterator<Item = String> {
    let rules = value.pointer("/plugins/traffic-split/rules").and_then(Value::as_array);
    let shares = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.get("weighted_upstreams")?.as_array())
        .flatten();
    shares.filter_map(|share| text(share.get("upstream_id")))
}

/// The protos that plugins of an object are made of, whichever plugins those are.
fn made_of(value: &Value) -> impl Iterator<Item = String> {
    let plugins = value.get("plugins").and_then(Value::as_object);
    plugins.into_iter().flatten().filter_map(|(_, plugin)| text(plugin.get("proto_id")))
}

/// The rule for the whole gateway that already has a plugin which another one brings.
pub(crate) fn twice_global(id: &str, value: &Value, snapshot: &Snapshot) -> Option<String> {
    let plugins = value.get("plugins")?.as_object()?;
    let rules = snapshot.objects.iter().filter(|object| object.key.collection() == "global_rules");
    rules
        .filter(|rule| rule.key.id() != id)
        .find_map(|rule| {
            let other = rule.value()?;
            let other = other.get("plugins")?.as_object()?;
            let plugin = plugins.keys().find(|plugin| other.contains_key(*plugin))?;
            Some((plugin.clone(), rule.key.id()))
        })
        .map(|(plugin, rule)| {
            format!("plugin '{plugin}' already exists in global rule with id '{rule}'")
        })
}

/// What stands below an object: the credentials of an account, what fields of a service cost.
pub(crate) fn below<'s>(
    kind: &Kind,
    id: &str,
    snapshot: &'s Snapshot,
) -> impl Iterator<Item = &'s Object> + use<'s> {
    let mut ways = KINDS.iter().filter_map(|below| below.naming.below());
    let way = ways.find(|(collection, _)| *collection == kind.segment);
    let prefix = way.map(|(collection, between)| (collection, format!("{id}{between}")));
    let objects = prefix.is_some().then_some(&snapshot.objects);
    objects.into_iter().flatten().filter(move |object| {
        prefix.as_ref().is_some_and(|(collection, prefix)| {
            object.key.collection() == *collection && object.key.id().starts_with(prefix)
        })
    })
}

/// The credentials of an account.
pub(crate) fn credentials<'s>(
    username: &str,
    snapshot: &'s Snapshot,
) -> impl Iterator<Item = &'s Object> + use<'s> {
    let accounts = KINDS.iter().find(|kind| kind.naming == Naming::Username);
    accounts.map(|accounts| below(accounts, username, snapshot)).into_iter().flatten()
}

/// The hosts that a route without hosts has from its service.
pub(crate) fn inherited_hosts(value: &Value, snapshot: &Snapshot) -> Vec<String> {
    if !texts(value, "host", "hosts").is_empty() {
        return Vec::new();
    }
    let key = text(value.get("service_id")).and_then(|id| Key::new("services", &id).ok());
    let service = key.and_then(|key| snapshot.get(&key)?.value());
    service.map(|service| texts(&service, "host", "hosts")).unwrap_or_default()
}

/// What an object stands below, by its kind and its id in the store.
pub(crate) fn owner(kind: &str, id: &str, snapshot: &Snapshot) -> Option<Value> {
    let kind = KINDS.iter().find(|known| known.segment == kind)?;
    let (collection, between) = kind.naming.below()?;
    let (owner, _) = id.split_once(between)?;
    snapshot.get(&Key::new(collection, owner).ok()?)?.value()
}

fn texts(value: &Value, one: &str, many: &str) -> Vec<String> {
    let list = value.get(many).and_then(Value::as_array).into_iter().flatten();
    value.get(one).into_iter().chain(list).filter_map(|item| text(Some(item))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_referred_to_anew_is_told_with_what_it_is() {
        let object = |key: &str, value: &Value| Object {
            key: Key::parse(key).unwrap(),
            content: value.to_string().into_bytes().into(),
            revision: 1,
            created: 1,
            author: None,
            at: None,
        };
        let value = json!({ "labels": { "team": "shop" } });
        let keys = [
            "consumers/guest",
            "plugin_configs/p",
            "protos/m",
            "services/s",
            "ssls/c",
            "upstreams/7",
            "upstreams/u",
        ];
        let objects = keys.iter().map(|key| object(key, &value)).collect();
        let snapshot = Snapshot { revision: 1, objects };
        let split = json!({
            "traffic-split": { "rules": [{ "weighted_upstreams": [{ "upstream_id": 7 }] }] },
            "translated": { "proto_id": "m" },
            "multi-auth": { "auth_plugins": [{ "key-auth": { "anonymous_consumer": "guest" } }] },
        });
        let route = json!({
            "upstream_id": "u", "service_id": "s", "plugin_config_id": "p", "plugins": split,
            "upstream": { "tls": { "client_cert_id": "c" } },
        });
        let told = |kind: &str, before: Option<&Value>, after: &Value| -> Vec<String> {
            let used = used_anew(kind, before, after, &snapshot).into_iter();
            used.map(|used| format!("{}/{}", used.kind, used.id)).collect()
        };
        assert_eq!(told("routes", None, &route), keys);
        assert!(told("routes", Some(&route), &route).is_empty());
        let seven = json!({ "upstream_id": "7" });
        let but_seven: Vec<&str> = keys.into_iter().filter(|key| *key != "upstreams/7").collect();
        assert_eq!(told("routes", Some(&seven), &route), but_seven);
        assert_eq!(
            told("upstreams", None, &json!({ "tls": { "client_cert_id": "c" } })),
            ["ssls/c"]
        );
        // What is not there is told otherwise.
        assert!(told("routes", None, &json!({ "upstream_id": "none" })).is_empty());
    }

    #[test]
    fn a_proto_stays_while_a_plugin_of_any_object_is_made_of_it() {
        let object = |key: &str, value: &Value| Object {
            key: Key::parse(key).unwrap(),
            content: value.to_string().into_bytes().into(),
            revision: 1,
            created: 1,
            author: None,
            at: None,
        };
        let of = |id: Value| json!({ "plugins": { "translated": { "proto_id": id } } });
        let kind = Kind::find("protos").unwrap();
        for (user, noun) in [
            ("routes/r", "route"),
            ("services/r", "service"),
            ("plugin_configs/r", "plugin config"),
            ("consumer_groups/r", "consumer group"),
            ("global_rules/r", "global rule"),
        ] {
            let objects = vec![object(user, &of(json!("m"))), object("protos/m", &json!({}))];
            let snapshot = Snapshot { revision: 1, objects };
            let told = Changing::new([], &snapshot).problem(kind, "m").unwrap();
            assert_eq!(
                told,
                format!("can not delete this proto, {noun} [r] is still using it now")
            );
            assert_eq!(Changing::new([], &snapshot).problem(kind, "other"), None);
        }
        let objects = vec![object("routes/r", &of(json!(7)))];
        let snapshot = Snapshot { revision: 1, objects };
        assert!(Changing::new([], &snapshot).problem(kind, "7").is_some());
    }

    #[test]
    fn each_object_is_read_at_most_once_however_many_are_removed() {
        let object = |key: &str, value: &Value| Object {
            key: Key::parse(key).unwrap(),
            content: value.to_string().into_bytes().into(),
            revision: 1,
            created: 1,
            author: None,
            at: None,
        };
        let mut objects = vec![
            object("consumer_groups/g", &json!({})),
            object("consumers/c", &json!({ "group_id": "g" })),
            object("plugin_metadata/m", &json!({ "log_format": { "id": "$request_time" } })),
            object("routes/a", &json!({ "upstream_id": "1", "service_id": 1 })),
            object(
                "routes/b",
                &json!({ "plugins": { "key-auth": { "anonymous_consumer": "c" } } }),
            ),
            object("services/1", &json!({ "upstream_id": "2" })),
        ];
        objects.extend((1..=3).map(|id| object(&format!("upstreams/{id}"), &json!({}))));
        let snapshot = Snapshot { revision: 1, objects };
        let mut read = Vec::new();
        let value = |object: &Object| {
            read.push(object.key.to_string());
            object.value()
        };
        let users = Users::read(&snapshot, value);
        assert_eq!(read, ["consumers/c", "routes/a", "routes/b", "services/1"]);
        let route = Key::parse("routes/a").unwrap();
        let changing = Changing { users: users.into(), ..Changing::new([&route], &snapshot) };
        let asked = |kind: &str, id: &str| {
            let kind = Kind::find(kind).unwrap();
            let user = changing.user_of(kind, id).map(Key::as_str);
            (user, changing.problem(kind, id).is_some())
        };
        for (kind, id, user, is_needed) in [
            ("upstreams", "1", None, true),
            ("upstreams", "2", Some("services/1"), true),
            ("upstreams", "3", None, false),
            ("services", "1", None, true),
            ("consumer_groups", "g", Some("consumers/c"), true),
            ("consumers", "c", Some("routes/b"), false),
            ("routes", "a", None, false),
        ] {
            assert_eq!(asked(kind, id), (user, is_needed), "{kind}/{id}");
        }
    }

    #[test]
    fn an_upstream_is_used_once_by_each_object_also_by_a_plugin() {
        let shares = json!([{ "upstream_id": "u" }, { "upstream_id": 7 }, { "weight": 1 }]);
        let split = json!({ "traffic-split": { "rules": [{ "weighted_upstreams": shares }] } });
        let object = |key: &str, value: &Value| Object {
            key: Key::parse(key).unwrap(),
            content: value.to_string().into_bytes().into(),
            revision: 1,
            created: 1,
            author: None,
            at: None,
        };
        let snapshot = Snapshot {
            revision: 1,
            objects: vec![
                object("routes/1", &json!({ "upstream_id": "u", "plugins": split })),
                object("services/s", &json!({ "upstream_id": 7 })),
                object("upstreams/7", &json!({})),
            ],
        };
        let users = users_of_upstreams(&snapshot, &["u", "7", "none"].into());
        assert_eq!(users["u"], ["routes/1"]);
        assert_eq!(users["7"], ["routes/1", "services/s"]);
        assert_eq!(users.len(), 2);
        assert_eq!(users_of_upstreams(&snapshot, &["u"].into()).len(), 1);
        // However its members are written.
        let escaped = Object {
            content: br#"{"upstream\u005fid": "u"}"#.as_slice().into(),
            ..object("routes/2", &json!({}))
        };
        let snapshot = Snapshot { revision: 1, objects: vec![escaped] };
        assert_eq!(users_of_upstreams(&snapshot, &["u"].into())["u"], ["routes/2"]);
    }
}
