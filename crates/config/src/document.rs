//! A document that remembers where everything stands.
//!
//! YAML 1.2 (core schema) and JSON give the same tree. What has no meaning in JSON or hides what a
//! document says is refused: duplicate keys, anchors, aliases, merge keys, tags, several documents
//! in one file, infinities. Depth and number of nodes are bounded.

mod json;
mod position;
mod scalar;
mod yaml;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Number, Value};

use crate::diagnostic::{Diagnostic, PathStep, Place, SourceId};
use crate::words::quoted;

/// Deepest nesting of a document.
pub(crate) const DEPTH_MAX: usize = 64;

/// Most values and keys of a document.
pub(crate) const NODES_MAX: usize = 5_000_000;

/// The language of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2.
    Yaml,
    /// JSON (RFC 8259).
    Json,
}

impl Format {
    /// JSON for names that end in `.json`, else YAML.
    pub fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        if extension.eq_ignore_ascii_case("json") { Self::Json } else { Self::Yaml }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// Where it is.
    pub place: Place,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order written; keys are unique.
    Map(Vec<Member>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

/// What reading changes on the way from the document to a value: resolved references, renamed and
/// dropped keys, by place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edits {
    /// Text that stands for the reference at a place.
    pub(crate) texts: HashMap<Place, String>,
    /// The name that stands for the key at a place.
    pub(crate) keys: HashMap<Place, String>,
    /// Keys that are left out with their values.
    pub(crate) dropped: HashSet<Place>,
    /// Somewhere a reference stands for a value that is not known.
    pub(crate) lacks_values: bool,
}

impl Edits {
    /// Adds the edits of another part of the document.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.texts.extend(other.texts);
        self.keys.extend(other.keys);
        self.dropped.extend(other.dropped);
        self.lacks_values |= other.lacks_values;
    }
}

impl Node {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.member(key).map(|member| &member.value)
    }

    /// The key with its value.
    pub fn member(&self, key: &str) -> Option<&Member> {
        self.members().iter().find(|member| member.key == key)
    }

    /// The members of a mapping; none if it is not one.
    pub fn members(&self) -> &[Member] {
        if let Content::Map(members) = &self.content { members } else { &[] }
    }

    /// The items of a sequence; none if it is not one.
    pub fn items(&self) -> &[Self] {
        if let Content::List(items) = &self.content { items } else { &[] }
    }

    /// The values and keys in it, as they are counted when a document of YAML is read.
    pub(crate) fn count(&self) -> usize {
        match &self.content {
            Content::Map(members) => {
                members.iter().map(|member| 1 + member.value.count()).sum::<usize>() + 2
            }
            Content::List(items) => items.iter().map(Self::count).sum::<usize>() + 2,
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => 1,
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Content::Text(text) = &self.content { Some(text) } else { None }
    }

    /// The value at the end of a path.
    pub fn at(&self, path: &[PathStep]) -> Option<&Self> {
        path.iter().try_fold(self, |node, step| match step {
            PathStep::Key(key) => node.get(key),
            PathStep::Index(index) => node.items().get(*index),
        })
    }

    /// The same as a JSON value.
    pub fn to_json(&self) -> Value {
        self.to_json_with(&Edits::default())
    }

    /// The JSON value after the edits.
    pub(crate) fn to_json_with(&self, edits: &Edits) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => {
                Value::String(edits.texts.get(&self.place).unwrap_or(text).clone())
            }
            Content::List(items) => {
                Value::Array(items.iter().map(|item| item.to_json_with(edits)).collect())
            }
            Content::Map(members) => Value::Object(members_to_json(members, edits, &[])),
        }
    }

    /// The members of a mapping as JSON, after the edits, without some keys.
    pub(crate) fn to_object_without(&self, edits: &Edits, without: &[&str]) -> Map<String, Value> {
        members_to_json(self.members(), edits, without)
    }
}

fn members_to_json(members: &[Member], edits: &Edits, without: &[&str]) -> Map<String, Value> {
    members
        .iter()
        .filter(|member| {
            !without.contains(&member.key.as_str()) && !edits.dropped.contains(&member.key_place)
        })
        .map(|member| {
            let key = edits.keys.get(&member.key_place).unwrap_or(&member.key);
            (key.clone(), member.value.to_json_with(edits))
        })
        .collect()
}

/// Reads a document. An error holds every problem that was found before reading had to stop.
pub fn read(source: SourceId, text: &str, format: Format) -> Result<Node, Vec<Diagnostic>> {
    match format {
        Format::Yaml => yaml::read(source, text),
        Format::Json => json::read(source, text),
    }
}

/// Collects the members of one mapping and notices keys that come twice.
#[derive(Debug, Default)]
struct MapBuilder {
    members: Vec<Member>,
    seen: HashSet<String>,
}

/// Above this many members, a set is faster than looking through them.
const SCAN_MAX: usize = 16;

impl MapBuilder {
    /// Adds a member, unless the key is there.
    fn insert(&mut self, member: Member) -> Result<(), Diagnostic> {
        let is_repeated = if self.members.len() < SCAN_MAX {
            self.members.iter().any(|known| known.key == member.key)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(self.members.iter().map(|known| known.key.clone()));
            }
            !self.seen.insert(member.key.clone())
        };
        if is_repeated {
            return Err(problem(
                member.key_place,
                format!("the key {} is given twice in this map", quoted(&member.key)),
            ));
        }
        self.members.push(member);
        Ok(())
    }
}

/// A problem of the text itself, which has no path yet.
fn problem(place: Place, problem: impl Into<String>) -> Diagnostic {
    Diagnostic { place: Some(place), path: "".into(), problem: problem.into(), help: None }
}

/// Refuses a document that is too deep or too large.
fn check_size(place: Place, depth: usize, nodes: &mut usize) -> Result<(), Diagnostic> {
    *nodes += 1;
    if *nodes > NODES_MAX {
        return Err(problem(place, format!("the document has more than {NODES_MAX} values")));
    }
    if depth > DEPTH_MAX {
        return Err(problem(place, format!("the document is nested deeper than {DEPTH_MAX}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_value_and_no_further() {
        let node = read(SourceId(0), "a:\n  - b: 7\n", Format::Yaml).unwrap();
        let steps = [
            PathStep::Key("a".to_owned()),
            PathStep::Index(0),
            PathStep::Key("b".to_owned()),
            PathStep::Index(0),
        ];
        assert_eq!(node.at(&steps[..3]).unwrap().to_json(), 7);
        assert!(node.at(&steps).is_none());
    }

    #[test]
    fn edits_replace_texts_rename_keys_and_drop_members() {
        let node = read(SourceId(0), "a: x\nb: y\nc: z\n", Format::Yaml).unwrap();
        let [a, b, c] = node.members() else { panic!("three members") };
        let mut edits = Edits::default();
        edits.texts.insert(a.value.place, "new".to_owned());
        edits.keys.insert(b.key_place, "renamed".to_owned());
        edits.dropped.insert(c.key_place);
        assert_eq!(node.to_json_with(&edits), serde_json::json!({ "a": "new", "renamed": "y" }));
    }

    #[test]
    fn a_document_has_so_many_values_and_so_many_levels() {
        let place = Place { source: SourceId(0), start: 0, end: 0 };
        for (before, is_good) in [(NODES_MAX - 2, true), (NODES_MAX - 1, true), (NODES_MAX, false)]
        {
            assert_eq!(check_size(place, 0, &mut { before }).is_ok(), is_good, "{before}");
        }
        for (depth, is_good) in [(DEPTH_MAX - 1, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false)] {
            assert_eq!(check_size(place, depth, &mut 0).is_ok(), is_good, "{depth}");
        }
    }

    #[test]
    fn repeated_keys_are_found_in_small_and_large_maps() {
        for count in [2_u32, 50] {
            let lines: Vec<String> = (0..count).map(|i| format!("k{i}: {i}")).collect();
            let text = format!("{}\nk1: 0\n", lines.join("\n"));
            let problems = read(SourceId(0), &text, Format::Yaml).unwrap_err();
            assert_eq!(problems.len(), 1);
            assert_eq!(problems[0].problem, "the key `k1` is given twice in this map");
        }
    }
}
