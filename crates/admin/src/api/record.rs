//! Events of what was done: each object that changed, with what changed in it.
//!
//! A log entry has a greatest length, and who changes an object chooses what stands in it first.
//! So each value is cut by itself, what decides who is served stands before the rest, and what does
//! not fit into one event goes into further ones: the beginning of every value first, then what
//! follows of the long ones, up to [`EVENTS_MAX`] events. Pointers stay cut.

use bartizan_audit::{CHANGES_MAX, ChangeMade, Event, EventKind};
use bartizan_config::secrets_in;
use bartizan_store::{Difference, Key};
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::{Api, seal};

/// Longest pointer in an event, in bytes of JSON without the quotes.
const POINTER_MAX: usize = 192;
/// Longest value in an event, in bytes of JSON; of a text without the quotes.
const VALUE_MAX: usize = 128;
/// Most events of one change of one object.
const EVENTS_MAX: usize = 32;
/// Room in each event to say how many changes are not told.
const REST: usize = 48;

impl Api {
    /// Records a change of an object by an operator.
    pub(super) fn record_change(
        &self,
        asked: &Asked,
        key: &Key,
        before: Option<&Value>,
        after: Option<&Value>,
        revision: u64,
    ) {
        let detail = format!("{} `{key}`", if after.is_some() { "wrote" } else { "removed" });
        let mut event = asked.operator.event(EventKind::Change, detail.clone());
        event.method = Some(asked.method.as_str().into());
        self.record(&event, &detail, (key, revision), before, after);
    }

    /// Records that an object was removed at the end of its time to live, which nobody asked for
    /// then.
    pub(super) fn record_end(&self, key: &Key, before: Option<&Value>, revision: u64) {
        let detail = format!("removed `{key}` at the end of its time to live");
        let event = Event::new(EventKind::Change, self.0.clock.now());
        self.record(&event, &detail, (key, revision), before, None);
    }

    fn record(
        &self,
        event: &Event,
        detail: &str,
        (key, revision): (&Key, u64),
        before: Option<&Value>,
        after: Option<&Value>,
    ) {
        // Of an object that comes or goes, each member is told.
        let none = json!({ "plugins": {} });
        let other = before.or(after).map(|value| match value.get("plugins") {
            Some(Value::Object(_)) => none,
            _ => Value::Object(Map::new()),
        });
        let (before, after) = (before.or(other.as_ref()), after.or(other.as_ref()));
        let pieces = pieces(seal::redacted(key, before, after, &self.0.plugins));
        for (index, piece) in pieces.iter().enumerate() {
            let mut event = event.clone();
            event.detail = Some(match pieces.len() {
                1 => detail.to_owned().into(),
                all => format!("{detail} ({} of {all})", index + 1).into(),
            });
            let (object, changes) = (key.as_str().into(), piece.as_str().into());
            event.change = Some(Box::new(ChangeMade { object, revision, changes }));
            self.0.audit.record(event);
        }
    }

    /// Records that secrets were shown in clear.
    pub(super) fn record_reading(&self, asked: &Asked, key: &Key, value: &Value) {
        if !secrets_in(key.collection(), key.id(), value, &self.0.plugins).is_empty() {
            let detail = format!("read `{key}` with its secrets");
            let mut event = asked.operator.event(EventKind::Secrets, detail);
            event.method = Some(asked.method.as_str().into());
            self.0.audit.record(event);
        }
    }
}

/// Differences as JSON lists, each short enough for one event; at least one. First comes the
/// beginning of each, then the rest of those that are longer, as far as there is room.
fn pieces(mut changes: Vec<Difference>) -> Vec<String> {
    changes.retain(|change| change.pointer != "/update_time");
    changes.sort_by_key(|change| rank(&change.pointer));
    let mut all: Vec<Items> = changes.iter().map(Items::of).collect();
    let mut told = Told::default();
    let mut left = 0;
    for item in all.iter_mut().filter_map(Iterator::next) {
        left += usize::from(!told.add(item));
    }
    for item in all.iter_mut().flatten() {
        left += usize::from(!told.add(item));
    }
    told.end(left)
}

/// What is told so far.
#[derive(Default)]
struct Told {
    pieces: Vec<String>,
    piece: Vec<String>,
    length: usize,
    is_full: bool,
}

impl Told {
    /// Adds a change, if there is room; after the first that had none, there is none for any.
    fn add(&mut self, item: String) -> bool {
        let own = item.len() + 1;
        if !self.is_full && self.length + own + REST > CHANGES_MAX {
            self.is_full = self.pieces.len() + 1 == EVENTS_MAX;
            if !self.is_full {
                self.close();
            }
        }
        if !self.is_full {
            self.length += own;
            self.piece.push(item);
        }
        !self.is_full
    }

    fn close(&mut self) {
        self.pieces.push(format!("[{}]", std::mem::take(&mut self.piece).join(",")));
        self.length = 0;
    }

    /// The pieces; the last says how many changes are not told.
    fn end(mut self, left: usize) -> Vec<String> {
        if left > 0 {
            self.piece.push(json!(["", null, format!("and {left} more")]).to_string());
        }
        self.close();
        self.pieces
    }
}

/// A change as JSON lists of a pointer, what was there, and what is. Of values that are too long
/// for one, each list has a part; `…` says where it goes on.
struct Items {
    pointer: Value,
    before: Parts,
    after: Parts,
    is_begun: bool,
}

impl Items {
    fn of(change: &Difference) -> Self {
        Self {
            pointer: Parts::of(Some(&Value::from(change.pointer.as_str())), POINTER_MAX).next(),
            before: Parts::of(change.before.as_ref(), VALUE_MAX),
            after: Parts::of(change.after.as_ref(), VALUE_MAX),
            is_begun: false,
        }
    }
}

impl Iterator for Items {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if self.is_begun && self.before.is_over() && self.after.is_over() {
            return None;
        }
        self.is_begun = true;
        Some(json!([self.pointer, self.before.next(), self.after.next()]).to_string())
    }
}

/// A value whose JSON has at most so many bytes; of a longer one, parts of that as texts.
enum Parts {
    Whole(Value),
    Long { text: String, at: usize, max: usize },
}

impl Parts {
    fn of(value: Option<&Value>, max: usize) -> Self {
        let Some(value) = value else { return Self::Whole(Value::Null) };
        let text = value.to_string();
        if text.len() <= max {
            return Self::Whole(value.clone());
        }
        let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        Self::Long { text: inner.unwrap_or(&text).to_owned(), at: 0, max }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Whole(value) => value.is_null(),
            Self::Long { text, at, .. } => *at == text.len(),
        }
    }

    /// What comes next; null where nothing does.
    fn next(&mut self) -> Value {
        match self {
            Self::Whole(value) => value.take(),
            Self::Long { text, at, max } => {
                let rest = text.get(*at..).unwrap_or_default();
                let part = rest.get(..rest.floor_char_boundary(*max)).unwrap_or_default();
                let before = if *at == 0 { "" } else { "…" };
                *at += part.len();
                match (part.len(), rest.len()) {
                    (_, 0) => Value::Null,
                    (part_length, length) if part_length == length => {
                        format!("{before}{part}").into()
                    }
                    _ => format!("{before}{part}…").into(),
                }
            }
        }
    }
}

/// What is told first: the members of an object and its plugins, of which there are as many as the
/// schemas know. Of the rest there may be any number.
fn rank(pointer: &str) -> u8 {
    match (pointer.matches('/').count(), pointer.starts_with("/plugins/")) {
        (0 | 1, _) => 0,
        (2, true) => 1,
        (_, true) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(before: &Value, after: &Value) -> Vec<String> {
        pieces(bartizan_store::differences(Some(before), Some(after)))
    }

    fn told(pieces: &[String]) -> Vec<Value> {
        let lists = pieces.iter().map(|piece| serde_json::from_str::<Vec<Value>>(piece).unwrap());
        lists.flatten().collect()
    }

    #[test]
    fn nothing_that_stands_before_it_hides_that_a_plugin_is_removed() {
        let before = json!({ "desc": "x", "labels": {}, "plugins": { "key-auth": {} } });
        let removal = json!(["/plugins/key-auth", {}, null]);
        let many: Map<String, Value> =
            (0..3_000).map(|n| (format!("l{n}"), json!("\"\n"))).collect();
        let deep: Map<String, Value> = (0..900).map(|n| (format!("d{n}"), json!(n))).collect();
        for after in [
            json!({ "desc": "y".repeat(5_000), "labels": {}, "plugins": {} }),
            json!({ "desc": "\"\\\u{1}".repeat(5_000), "labels": {}, "plugins": {} }),
            json!({ "desc": "x", "labels": many, "plugins": {} }),
            json!({ "desc": "x", "labels": { "l".repeat(9_000): "é" }, "plugins": {} }),
            json!({ "desc": "x", "plugins": { "mocking": deep } }),
        ] {
            let pieces = of(&before, &after);
            assert!(pieces.len() <= EVENTS_MAX, "{}", pieces.len());
            for piece in &pieces {
                assert!(piece.len() <= CHANGES_MAX, "{}: {piece}", piece.len());
            }
            assert!(told(&pieces).contains(&removal), "{pieces:?}");
        }
    }

    #[test]
    fn what_is_not_told_is_counted() {
        let before = json!({ "labels": {} });
        let labels = |count: usize| -> Value {
            let all = (0..count).map(|n| (format!("label-{n:05}"), json!("value")));
            json!({ "labels": all.collect::<Map<_, _>>() })
        };
        for count in [1, 30, 600, 5_000] {
            let pieces = of(&before, &labels(count));
            let told = told(&pieces);
            let last = told.last().unwrap();
            let rest = last[2].as_str().and_then(|text| text.strip_prefix("and "));
            let left = rest.map_or(0, |text| text.trim_end_matches(" more").parse().unwrap());
            assert_eq!(told.len() - usize::from(left > 0) + left, count);
            assert_eq!(left > 0, count == 5_000, "{count}");
        }
    }

    #[test]
    fn a_change_has_thirty_two_events_at_most() {
        let before = json!({ "labels": {} });
        let labels = |count: usize| -> Value {
            let all = (0..count).map(|n| (format!("label-{n:05}"), json!("value")));
            json!({ "labels": all.collect::<Map<_, _>>() })
        };
        // Each of them has the same length.
        let room = told(&of(&before, &labels(5_000))[..1]).len();
        for (full, events, left) in [(31, 31, 0), (32, 32, 0), (33, 32, room)] {
            let pieces = of(&before, &labels(full * room));
            assert_eq!(pieces.len(), events, "{full}");
            let rest = format!("and {left} more");
            let tells_rest = told(&pieces).last().unwrap()[2] == rest.as_str();
            assert_eq!(tells_rest, left > 0, "{full}");
        }
    }

    #[test]
    fn a_pointer_is_told_up_to_192_bytes() {
        for (length, is_whole) in [(191, true), (192, true), (193, false)] {
            let name = "p".repeat(length - 1);
            let told = told(&of(&json!({}), &json!({ name.as_str(): 1 })));
            assert_eq!(told[0][0] == format!("/{name}"), is_whole, "{length}");
        }
    }

    #[test]
    fn a_change_whose_values_are_too_long_is_told_whole_in_parts() {
        for (length, parts) in
            [(125, 1), (126, 1), (127, 1), (128, 1), (129, 2), (384, 3), (385, 4)]
        {
            let after = "x".repeat(length);
            let told = told(&of(&json!({ "desc": "\"é\"" }), &json!({ "desc": after })));
            assert_eq!(told.len(), parts, "{length}");
            assert_eq!(told[0][1], "\"é\"");
            let part = |item: &Value| item[2].as_str().unwrap().trim_matches('…').to_owned();
            assert_eq!(told.iter().map(part).collect::<String>(), after);
            assert!(told.iter().all(|item| item[0] == "/desc"), "{told:?}");
            let going_on = told.iter().filter(|item| item[2].as_str().unwrap().ends_with('…'));
            assert_eq!(going_on.count(), parts - 1);
        }
        // What is no text is told by its JSON, and so are both sides.
        let list = |item: &str| json!({ "list": [vec![item; 60]] });
        let told = told(&of(&json!({ "list": [1] }), &list("é\"")));
        let json: String = told.iter().map(|item| item[2].as_str().unwrap()).collect();
        assert_eq!(json.replace('…', ""), list("é\"")["list"][0].to_string());
        assert!(told[1..].iter().all(|item| item[1].is_null()), "{told:?}");
    }

    #[test]
    fn nothing_but_a_time_is_still_an_event() {
        assert_eq!(of(&json!({ "update_time": 1 }), &json!({ "update_time": 2 })), ["[]"]);
    }
}
