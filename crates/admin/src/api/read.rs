//! Reading objects: one, or a list in pages and through filters.

use bartizan_core::compile_pattern;
use bartizan_store::{Object, Snapshot};
use http::StatusCode;
use regex_automata::meta::Regex;
use serde_json::{Value, json};

use super::answer::{Answer, Done};
use super::asked::{Asked, Query};
use super::kinds::{Kind, Naming, Target};
use super::{Api, What};

/// Objects on a page where the query names only the page.
const PAGE_SIZE: usize = 10;

impl Api {
    /// `GET` of one object.
    pub(crate) async fn show(&self, asked: &Asked, target: &Target, id: &str) -> Done {
        let snapshot = self.snapshot().await?;
        let Ok(key) = target.key(id) else { return Err(Answer::no_key()) };
        let object = snapshot.get(&key).filter(|object| target.kind.holds(object));
        asked.allow_read(target.kind, Some(key.id()), object, &snapshot)?;
        let Some(object) = object else {
            let is_orphan = target.owner.is_some() && !has_owner(target, &snapshot);
            return Err(if is_orphan { no_owner(target) } else { Answer::no_key() });
        };
        if asked.knows(object.revision) {
            return Ok(Answer::empty(StatusCode::NOT_MODIFIED).with_revision(object.revision));
        }
        Ok(Answer::ok(&self.entry(asked, object, &snapshot)).with_revision(object.revision))
    }

    /// `GET` of a collection.
    pub(crate) async fn list(&self, asked: &Asked, target: &Target) -> Done {
        let snapshot = self.snapshot().await?;
        if target.owner.is_some() && !has_owner(target, &snapshot) {
            return Err(no_owner(target));
        }
        asked.allow_read(target.kind, None, None, &snapshot)?;
        let page = Page::read(&asked.query)?;
        let filter = Filter::read(&asked.query, target.kind)?;
        let mut found: Vec<&Object> = Vec::new();
        for object in snapshot.objects.iter().filter(|object| target.lists(object)) {
            let is_shown = filter.is_open() || object.value().is_some_and(|v| filter.admits(&v));
            let id = Some(object.key.id());
            let value = object.value();
            let kind = target.kind.segment;
            let what = What { before: value.as_ref(), id, ..What::read(kind) };
            let what = What { snapshot: Some(&snapshot), ..what };
            if is_shown && what.judged(|act| asked.operator.could(act)) {
                found.push(object);
            }
        }
        let total = found.len();
        let shown = page.of(&found).iter().map(|object| self.entry(asked, object, &snapshot));
        let list: Vec<Value> = shown.collect();
        let answer = json!({ "list": list, "total": total });
        Ok(Answer::ok(&answer).with_revision(snapshot.revision))
    }

    /// An object in the envelope of Apache APISIX.
    fn entry(&self, asked: &Asked, object: &Object, snapshot: &Snapshot) -> Value {
        let value = object.value().unwrap_or(Value::Null);
        json!({
            "key": self.shown_key(&object.key),
            "value": self.shown(asked, &object.key, &value, snapshot),
            "createdIndex": object.created,
            "modifiedIndex": object.revision,
        })
    }
}

impl Asked {
    fn allow_read(
        &self,
        kind: &Kind,
        id: Option<&str>,
        object: Option<&Object>,
        snapshot: &Snapshot,
    ) -> Result<(), Answer> {
        let value = object.and_then(Object::value);
        let what = match id {
            Some(id) => What::object(kind.segment, id, value.as_ref(), snapshot),
            None => What::read(kind.segment),
        };
        self.allow(&what)
    }
}

pub(super) fn no_owner(target: &Target) -> Answer {
    let of_service = target.kind.naming == Naming::Decoration;
    let owner = if of_service { "service not found" } else { "consumer not found" };
    Answer::error(StatusCode::NOT_FOUND, owner)
}

/// Whether the account or the service that a path names is there.
pub(super) fn has_owner(target: &Target, snapshot: &Snapshot) -> bool {
    let Some((collection, _)) = target.kind.naming.below() else { return true };
    let owner = target.owner.as_deref().unwrap_or_default();
    let key = bartizan_store::Key::new(collection, owner);
    key.is_ok_and(|key| snapshot.get(&key).is_some())
}

/// A page of a list.
struct Page {
    number: usize,
    size: Option<usize>,
}

impl Page {
    fn read(query: &Query) -> Result<Self, Answer> {
        let number = |name: &str| query.find(name).map(str::parse::<usize>);
        let refused =
            || Answer::text(StatusCode::BAD_REQUEST, "page_size must be between 10 and 500");
        let size = match number("page_size") {
            None => None,
            Some(Ok(size)) if (10..=500).contains(&size) => Some(size),
            Some(_) => return Err(refused()),
        };
        let page = match number("page") {
            None => None,
            Some(Ok(page)) => Some(page.max(1)),
            Some(Err(_)) => {
                return Err(Answer::text(StatusCode::BAD_REQUEST, "page must be a number"));
            }
        };
        let size = size.or_else(|| page.map(|_| PAGE_SIZE));
        Ok(Self { number: page.unwrap_or(1), size })
    }

    fn of<'l, 'o>(&self, list: &'l [&'o Object]) -> &'l [&'o Object] {
        let Some(size) = self.size else { return list };
        let start = size.saturating_mul(self.number - 1).min(list.len());
        let end = start.saturating_add(size).min(list.len());
        list.get(start..end).unwrap_or_default()
    }
}

/// What a list is narrowed by.
#[derive(Default)]
struct Filter {
    name: Option<Regex>,
    uri: Option<Regex>,
    label: Option<String>,
    members: Vec<(String, String)>,
}

impl Filter {
    fn read(query: &Query, kind: &Kind) -> Result<Self, Answer> {
        let compiled = |name: &str| {
            let Some(text) = query.find(name) else { return Ok(None) };
            compile_pattern(text, false)
                .map(Some)
                .map_err(|error| Answer::bad(format!("`{name}` is no pattern: it {error}")))
        };
        let mut members = Vec::new();
        if let Some(text) = query.find("filter")
            && matches!(kind.segment, "routes" | "stream_routes")
        {
            let inner = Query::read(text)
                .ok_or_else(|| Answer::bad("`filter` is no query in percent-encoding"))?;
            for name in ["service_id", "upstream_id"] {
                members.extend(inner.find(name).map(|id| (name.to_owned(), id.to_owned())));
            }
        }
        let label = query.find("label").map(str::to_owned);
        Ok(Self { name: compiled("name")?, uri: compiled("uri")?, label, members })
    }

    fn is_open(&self) -> bool {
        self.name.is_none() && self.uri.is_none() && self.label.is_none() && self.members.is_empty()
    }

    fn admits(&self, value: &Value) -> bool {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let has_name = self
            .name
            .as_ref()
            .is_none_or(|name| text("name").is_some_and(|text| name.is_match(text)));
        let has_uri = self.uri.as_ref().is_none_or(|pattern| {
            let list = value.get("uris").and_then(Value::as_array).into_iter().flatten();
            let mut uris = text("uri").into_iter().chain(list.filter_map(Value::as_str));
            uris.any(|uri| pattern.is_match(uri))
        });
        let has_label = self
            .label
            .as_ref()
            .is_none_or(|label| value.get("labels").is_some_and(|all| all.get(label).is_some()));
        let has_members = self.members.iter().all(|(name, id)| match value.get(name) {
            Some(Value::String(text)) => text == id,
            Some(Value::Number(number)) => number.to_string() == *id,
            _ => false,
        });
        has_name && has_uri && has_label && has_members
    }
}
