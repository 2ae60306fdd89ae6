//! What is measured: the entries of `bench/plugins.yaml`, with their words filled in.

use bartizan_config::{Format, SourceId, read};
use bartizan_plugins::{CATALOGUE, find};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The entries, as they are written.
const TEXT: &str = include_str!("../../../../bench/plugins.yaml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    consumer: Value,
    request: Ask,
    plugins: Map<String, Value>,
}

/// A request, or what is added to the usual one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    method: Option<String>,
    target: Option<String>,
    #[serde(default)]
    headers: Map<String, Value>,
    body: Option<Value>,
}

/// One entry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    config: Value,
    beside: Option<Map<String, Value>>,
    #[serde(default)]
    request: Ask,
    /// What the plugin works on besides the head of the request.
    pub(crate) beyond: Option<String>,
    /// Whether the plugin answers by itself.
    #[serde(default)]
    pub(crate) answers: bool,
    #[serde(skip)]
    plugin: String,
}

/// All entries, in order.
pub(crate) struct Document {
    consumer: Value,
    entries: Vec<(String, Entry)>,
}

impl Document {
    /// Reads them; a plugin without an entry, or an entry without a plugin, ends the run.
    pub(crate) fn read() -> Self {
        let node = read(SourceId(0), TEXT, Format::Yaml);
        let node = node.unwrap_or_else(|faults| panic!("bench/plugins.yaml: {faults:?}"));
        let text = Text::deserialize(node.to_json()).expect("bench/plugins.yaml is as expected");
        let usual = text.request;
        let entries = text.plugins.into_iter().map(|(name, value)| {
            let mut entry = Entry::deserialize(value).unwrap_or_else(|e| panic!("{name}: {e}"));
            let plugin = name.split('/').next().unwrap_or_default();
            assert!(find(plugin).is_some(), "`{name}` is no plugin");
            plugin.clone_into(&mut entry.plugin);
            entry.request = usual.with(entry.request);
            (name, entry)
        });
        let entries: Vec<(String, Entry)> = entries.collect();
        for plugin in CATALOGUE.iter().map(|entry| entry.name) {
            let is_there = entries.iter().any(|(_, entry)| entry.plugin == plugin);
            assert!(is_there, "`{plugin}` has no entry in bench/plugins.yaml");
        }
        Self { consumer: text.consumer, entries }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &(String, Entry)> {
        self.entries.iter()
    }

    /// The consumer that all credentials belong to.
    pub(crate) fn consumer(&self, words: &Map<String, Value>) -> Value {
        fill(&self.consumer, words)
    }
}

impl Ask {
    fn with(&self, more: Self) -> Self {
        let mut headers = self.headers.clone();
        headers.extend(more.headers);
        Self {
            method: more.method.or(self.method.clone()),
            target: more.target.or(self.target.clone()),
            headers,
            body: more.body,
        }
    }
}

impl Entry {
    /// The target, with its words.
    pub(crate) fn target(&self) -> &str {
        self.request.target.as_deref().unwrap_or("/")
    }

    /// Whether the request names a word.
    pub(crate) fn names(&self, word: &str) -> bool {
        let word = format!("${{{word}}}");
        self.request.headers.values().any(|value| value.as_str().is_some_and(|v| v.contains(&word)))
    }

    /// The same with another method and no body.
    pub(crate) fn asking(mut self, method: &str) -> Self {
        self.request.method = Some(method.to_owned());
        self.request.body = None;
        self
    }

    /// The entry with its words filled in.
    pub(crate) fn filled(&self, words: &Map<String, Value>) -> Self {
        let object = |map: &Map<String, Value>| {
            let filled = fill(&Value::Object(map.clone()), words);
            filled.as_object().cloned().unwrap_or_default()
        };
        let mut entry = self.clone();
        entry.config = fill(&self.config, words);
        entry.request.target = Some(fill_text(self.target(), words));
        entry.request.headers = object(&self.request.headers);
        entry.request.body = self.request.body.as_ref().map(|body| fill(body, words));
        entry.beside = self.beside.as_ref().map(object);
        entry
    }

    /// The plugins of a route with the plugin. In a chain for itself there is one more, without
    /// hooks, so that what every first plugin costs is not this one's cost.
    pub(crate) fn with(&self, is_alone: bool) -> Map<String, Value> {
        let mut plugins = self.without(is_alone);
        if self.is_authentication() {
            plugins.shift_remove("anonymous-access");
        }
        plugins.insert(self.plugin.clone(), self.config.clone());
        plugins
    }

    /// The plugins of a route without the plugin.
    pub(crate) fn without(&self, is_alone: bool) -> Map<String, Value> {
        let anybody = || {
            let reason = json!({"reason": "bench"});
            [("anonymous-access".to_owned(), reason)].into_iter().collect()
        };
        let mut plugins = self.beside.clone().unwrap_or_else(anybody);
        if is_alone {
            let idle = if self.plugin == "node-status" { "server-info" } else { "node-status" };
            plugins.insert(idle.to_owned(), json!({}));
        } else if plugins.is_empty() {
            // The gateway serves no route that says nothing of who may call.
            plugins = anybody();
        } else if plugins.contains_key("key-auth") {
            let reason = json!({"reason": "bench"});
            if self.plugin != "any-authenticated" {
                plugins.insert("any-authenticated".to_owned(), reason);
            }
        }
        plugins
    }

    fn is_authentication(&self) -> bool {
        find(&self.plugin).is_some_and(|entry| entry.is_authentication)
    }

    /// Method, path, headers and body of the request.
    pub(crate) fn request(&self) -> Value {
        let Ask { method, target, headers, body } = &self.request;
        let body = body.as_ref().map(Value::to_string);
        json!({"method": method, "path": target, "headers": headers, "body": body})
    }

    pub(crate) fn method(&self) -> &str {
        self.request.method.as_deref().unwrap_or("GET")
    }

    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.request.headers.iter().map(|(name, value)| (&**name, value.as_str().unwrap_or("")))
    }

    pub(crate) fn body(&self) -> String {
        self.request.body.as_ref().map(Value::to_string).unwrap_or_default()
    }
}

/// A value with its words filled in. A text that is nothing but a word becomes what stands for it.
fn fill(value: &Value, words: &Map<String, Value>) -> Value {
    match value {
        Value::String(text) => {
            let word = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
            let whole = word.and_then(|word| words.get(word));
            whole.cloned().unwrap_or_else(|| Value::String(fill_text(text, words)))
        }
        Value::Array(items) => items.iter().map(|item| fill(item, words)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), fill(value, words))).collect()
        }
        other => other.clone(),
    }
}

fn fill_text(text: &str, words: &Map<String, Value>) -> String {
    words.iter().fold(text.to_owned(), |text, (word, value)| {
        text.replace(&format!("${{{word}}}"), value.as_str().unwrap_or_default())
    })
}
