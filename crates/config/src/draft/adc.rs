//! The declarative YAML of ADC, APISIX's command line for configuration: services with their routes
//! and upstreams inside, consumers with credentials, certificates in pairs, global rules and plugin
//! metadata as maps.
//!
//! A document of that shape becomes one of the shape of Apache APISIX before it is read. Every value
//! keeps its place, so that problems are shown where they stand, and what is not known here is left
//! for the reader to refuse. Ids are those that ADC makes: digests of names.

use std::fmt::Write;

use sha1::{Digest, Sha1};

use crate::diagnostic::{Diagnostic, Place};
use crate::document::{Content, Member, Node};

/// Whether a document is ADC's: some of it is in a form that APISIX does not have.
pub(super) fn is_adc(root: &Node) -> bool {
    if ["routes", "upstreams", "plugin_configs"].iter().any(|key| root.get(key).is_some()) {
        return false;
    }
    let is_map =
        |key: &str| matches!(root.get(key).map(|node| &node.content), Some(Content::Map(_)));
    let holds = |list: &str, keys: &[&str]| {
        let items = root.get(list).map(Node::items).unwrap_or_default();
        items.iter().any(|item| keys.iter().any(|key| item.get(key).is_some()))
    };
    let credentials = root.get("consumers").map(Node::items).unwrap_or_default();
    let mut credentials = credentials.iter().filter_map(|consumer| consumer.get("credentials"));
    is_map("global_rules")
        || is_map("plugin_metadata")
        || holds("services", &["routes", "stream_routes", "upstreams", "description"])
        || holds("ssls", &["certificates"])
        || holds("consumers", &["description"])
        || holds("consumer_groups", &["consumers", "description"])
        || credentials.any(|list| list.items().iter().any(|item| item.get("config").is_some()))
}

/// The same in the shape of APISIX, and what is wrong with it as ADC's.
pub(super) fn converted(root: Node) -> (Node, Vec<Diagnostic>) {
    let place = root.place;
    let Content::Map(members) = root.content else { return (root, Vec::new()) };
    let mut lists = Lists::default();
    let mut rest = Vec::new();
    for member in members {
        match (&*member.key, &member.value.content) {
            ("services", Content::List(_)) => lists.each(member, Lists::service),
            ("ssls", Content::List(_)) => lists.each(member, Lists::ssl),
            ("consumers", Content::List(_)) => lists.each(member, Lists::consumer),
            ("consumer_groups", Content::List(_)) => lists.each(member, Lists::group),
            ("global_rules", Content::Map(_)) => lists.each_named(member, rule),
            ("plugin_metadata", Content::Map(_)) => lists.each_named(member, metadata),
            _ => rest.push(member),
        }
    }
    let list = |(key, place, items): (String, Place, Vec<Node>)| {
        member(&key, place, Node { content: Content::List(items), place })
    };
    rest.extend(lists.lists.into_iter().map(list));
    (Node { content: Content::Map(rest), place }, lists.problems)
}

/// The lists of a document of APISIX, by name.
#[derive(Default)]
struct Lists {
    lists: Vec<(String, Place, Vec<Node>)>,
    problems: Vec<Diagnostic>,
}

impl Lists {
    /// Adds an object to a list.
    fn push(&mut self, key: &str, item: Node) {
        match self.lists.iter_mut().find(|(known, ..)| known == key) {
            Some((.., items)) => items.push(item),
            None => self.lists.push((key.to_owned(), item.place, vec![item])),
        }
    }

    /// The name of an object, which ADC makes its id of; a problem where it has neither.
    fn name(&mut self, object: &Object) -> String {
        let name = object.text("name");
        if name.is_empty() && object.get("id").is_none() {
            self.problems.push(Diagnostic {
                place: Some(at(object.place)),
                path: "".into(),
                problem: "`name` is required".to_owned(),
                help: Some("ADC makes the id of it".to_owned()),
            });
        }
        name
    }

    fn each(&mut self, list: Member, take: impl Fn(&mut Self, Object)) {
        let Content::List(items) = list.value.content else { return };
        for item in items {
            match item.content {
                Content::Map(members) => take(self, Object { members, place: item.place }),
                _ => self.push(&list.key, item),
            }
        }
    }

    fn each_named(&mut self, map: Member, make: impl Fn(Member) -> Node) {
        let Content::Map(members) = map.value.content else { return };
        for named in members {
            self.push(&map.key, make(named));
        }
    }

    fn service(&mut self, mut service: Object) {
        let name = self.name(&service);
        let id = service.identify(&[name.as_str()]);
        service.describe();
        service.inside("upstream", Object::describe);
        for route in service.take_items("routes") {
            self.route("routes", route, &name, &id);
        }
        for route in service.take_items("stream_routes") {
            self.route("stream_routes", route, &name, &id);
        }
        for upstream in service.take_items("upstreams") {
            let place = upstream.place;
            let Content::Map(members) = upstream.content else {
                self.push("upstreams", upstream);
                continue;
            };
            let mut upstream = Object { members, place };
            let own = self.name(&upstream);
            upstream.identify(&[name.as_str(), own.as_str()]);
            upstream.describe();
            self.push("upstreams", upstream.into_node());
        }
        self.push("services", service.into_node());
    }

    fn route(&mut self, list: &str, route: Node, service: &str, service_id: &str) {
        let place = route.place;
        let Content::Map(members) = route.content else {
            self.push(list, route);
            return;
        };
        let mut route = Object { members, place };
        let name = self.name(&route);
        route.identify(&[service, name.as_str()]);
        route.describe();
        route.add("service_id", service_id.to_owned());
        self.push(list, route.into_node());
    }

    fn ssl(&mut self, mut ssl: Object) {
        let snis = ssl.get("snis").map(|snis| {
            snis.items().iter().filter_map(Node::as_text).collect::<Vec<_>>().join(",")
        });
        let snis = snis.unwrap_or_default();
        ssl.identify(&[snis.as_str()]);
        ssl.describe();
        let (mut certs, mut keys) = (Vec::new(), Vec::new());
        let pairs = ssl.take_items("certificates");
        for (index, pair) in pairs.into_iter().enumerate() {
            let place = pair.place;
            let Content::Map(members) = pair.content else {
                ssl.members.push(member("certificates", place, pair));
                continue;
            };
            for mut member in members {
                match (&*member.key, index) {
                    ("certificate", 0) => "cert".clone_into(&mut member.key),
                    ("key", 0) => {}
                    ("certificate", _) => {
                        certs.push(member.value);
                        continue;
                    }
                    ("key", _) => {
                        keys.push(member.value);
                        continue;
                    }
                    // Not known: the reader says so.
                    _ => {}
                }
                ssl.members.push(member);
            }
        }
        let place = ssl.place;
        for (key, items) in [("certs", certs), ("keys", keys)] {
            if !items.is_empty() {
                let list = Node { content: Content::List(items), place: at(place) };
                ssl.members.push(member(key, at(place), list));
            }
        }
        self.push("ssls", ssl.into_node());
    }

    fn consumer(&mut self, mut consumer: Object) {
        let username = consumer.text("username");
        consumer.describe();
        consumer.inside_each("credentials", |credential| {
            let name = credential.text("name");
            credential.identify(&[username.as_str(), name.as_str()]);
            credential.describe();
            credential.plugin();
        });
        self.push("consumers", consumer.into_node());
    }

    fn group(&mut self, mut group: Object) {
        let name = self.name(&group);
        let id = group.identify(&[name.as_str()]);
        group.describe();
        for consumer in group.take_items("consumers") {
            let place = consumer.place;
            let Content::Map(members) = consumer.content else {
                self.push("consumers", consumer);
                continue;
            };
            let mut consumer = Object { members, place };
            consumer.add("group_id", id.clone());
            self.consumer(consumer);
        }
        self.push("consumer_groups", group.into_node());
    }
}

/// A map on its way.
struct Object {
    members: Vec<Member>,
    place: Place,
}

impl Object {
    fn into_node(self) -> Node {
        Node { content: Content::Map(self.members), place: self.place }
    }

    fn get(&self, key: &str) -> Option<&Node> {
        self.members.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    fn text(&self, key: &str) -> String {
        self.get(key).and_then(Node::as_text).unwrap_or_default().to_owned()
    }

    /// Adds a text that is written nowhere.
    fn add(&mut self, key: &str, text: String) {
        let place = at(self.place);
        let value = Node { content: Content::Text(text), place };
        self.members.push(member(key, place, value));
    }

    /// Gives the object the id that ADC makes of names, unless it has one.
    fn identify(&mut self, names: &[&str]) -> String {
        if let Some(id) = self.get("id") {
            return match &id.content {
                Content::Text(text) => text.clone(),
                Content::Number(number) => number.to_string(),
                _ => String::new(),
            };
        }
        let id = digest(&names.join("."));
        self.add("id", id.clone());
        id
    }

    /// Texts for people have other names, and labels can be lists.
    fn describe(&mut self) {
        for member in &mut self.members {
            match &*member.key {
                "description" => "desc".clone_into(&mut member.key),
                "labels" => {
                    let Content::Map(labels) = &mut member.value.content else { continue };
                    for label in labels {
                        if matches!(label.value.content, Content::List(_)) {
                            let text = label.value.to_json().to_string();
                            label.value.content = Content::Text(text);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// `type` and `config` of a credential are one plugin.
    fn plugin(&mut self) {
        let at = |key: &str| self.members.iter().position(|member| member.key == key);
        let (Some(kind), Some(config)) = (at("type"), at("config")) else { return };
        let Some(Content::Text(name)) =
            self.members.get(kind).map(|member| member.value.content.clone())
        else {
            return;
        };
        let name_place = self.members.get(kind).map_or(self.place, |member| member.value.place);
        let config = self.members.remove(config);
        self.members.retain(|member| member.key != "type");
        let (key_place, place) = (config.key_place, config.value.place);
        let plugin = Member { key: name, key_place: name_place, ..config };
        let plugins = Node { content: Content::Map(vec![plugin]), place };
        self.members.push(member("plugins", key_place, plugins));
    }

    /// The items of a list, which is no longer a part of the object.
    fn take_items(&mut self, key: &str) -> Vec<Node> {
        let is_it =
            |member: &Member| member.key == key && matches!(member.value.content, Content::List(_));
        let Some(index) = self.members.iter().position(is_it) else { return Vec::new() };
        match self.members.remove(index).value.content {
            Content::List(items) => items,
            _ => Vec::new(),
        }
    }

    fn inside(&mut self, key: &str, change: impl Fn(&mut Self)) {
        for member in self.members.iter_mut().filter(|member| member.key == key) {
            change_node(&mut member.value, &change);
        }
    }

    fn inside_each(&mut self, key: &str, change: impl Fn(&mut Self)) {
        for member in self.members.iter_mut().filter(|member| member.key == key) {
            if let Content::List(items) = &mut member.value.content {
                for item in items {
                    change_node(item, &change);
                }
            }
        }
    }
}

fn change_node(node: &mut Node, change: impl Fn(&mut Object)) {
    let Content::Map(members) = &mut node.content else { return };
    let mut object = Object { members: std::mem::take(members), place: node.place };
    change(&mut object);
    *members = object.members;
}

/// A global rule of one plugin, which is its id.
fn rule(plugin: Member) -> Node {
    let place = Place { end: plugin.value.place.end, ..plugin.key_place };
    let mut rule = Object { members: Vec::new(), place };
    rule.add("id", plugin.key.clone());
    let plugins = Node { content: Content::Map(vec![plugin]), place };
    rule.members.push(member("plugins", at(place), plugins));
    rule.into_node()
}

/// The settings of a plugin for the whole node.
fn metadata(plugin: Member) -> Node {
    let Content::Map(members) = plugin.value.content else { return plugin.value };
    let mut metadata = Object { members, place: plugin.value.place };
    if metadata.get("id").is_none() {
        metadata.add("id", plugin.key);
    }
    metadata.into_node()
}

fn member(key: &str, key_place: Place, value: Node) -> Member {
    Member { key: key.to_owned(), key_place, value }
}

/// Where something stands that is written nowhere: before the object that it belongs to.
fn at(place: Place) -> Place {
    Place { end: place.start, ..place }
}

fn digest(name: &str) -> String {
    let mut text = String::new();
    for byte in Sha1::digest(name.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
