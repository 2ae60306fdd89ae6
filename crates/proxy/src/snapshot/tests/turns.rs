//! Of routes with one path the one that is written first is tried first, whenever it came.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fixture::guarded;
use super::live::{Change, Live, Objects, Written, first};
use crate::snapshot::amend::CHANGES_MAX;

fn route() -> Value {
    json!({ "uri": "/t", "upstream_id": "u0", "plugins": guarded() })
}

fn put(keys: &[&'static str]) -> Vec<Change> {
    keys.iter().map(|key| (*key, Some(route()))).collect()
}

fn start(written: Written, keys: &[&'static str]) -> Live {
    let mut objects: Objects = first();
    objects.remove("routes/r0");
    objects.extend(keys.iter().map(|key| (*key, route())));
    Live::start(written, objects)
}

/// The routes with the path of this test as they are written.
fn listed(written: Written, live: &Live) -> Vec<Arc<str>> {
    let routes = live.objects.iter().filter(|(_, object)| object["uri"] == "/t");
    let mut ids: Vec<Arc<str>> =
        routes.filter_map(|(key, _)| Some(Arc::from(key.strip_prefix("routes/")?))).collect();
    if written == Written::Backwards {
        ids.reverse();
    }
    ids
}

#[test]
fn new_routes_are_tried_in_the_order_in_which_they_are_written() {
    for written in [Written::Stored, Written::Listed, Written::Backwards] {
        let mut live = start(written, &["routes/d", "routes/m", "routes/t"]);
        for keys in [
            &["routes/e", "routes/f", "routes/g", "routes/h"][..],
            &["routes/a", "routes/b"],
            &["routes/x", "routes/y", "routes/z"],
            &["routes/n"],
            &["routes/l", "routes/m1", "routes/s"],
        ] {
            assert!(live.amend(&put(keys)), "{written:?}: {keys:?}");
            assert_eq!(live.tried("/t"), listed(written, &live), "{written:?}: {keys:?}");
        }
        // As it was for the rest, where some are gone and some are other.
        let mut changes = put(&["routes/c"]);
        changes.extend([("routes/d", None), ("routes/m", None)]);
        let mut other = route();
        other["name"] = json!("other");
        changes.push(("routes/e", Some(other)));
        assert!(live.amend(&changes), "{written:?}");
        assert_eq!(live.tried("/t"), listed(written, &live), "{written:?}");
    }
}

/// As often as the room between two routes of a document can be halved.
const HALVES: [&str; 24] = [
    "routes/y", "routes/x", "routes/w", "routes/v", "routes/u", "routes/t", "routes/s", "routes/r",
    "routes/q", "routes/p", "routes/o", "routes/n", "routes/m", "routes/l", "routes/k", "routes/j",
    "routes/i", "routes/h", "routes/g", "routes/f", "routes/e", "routes/d", "routes/c", "routes/b",
];

#[test]
fn where_there_is_no_room_between_two_routes_everything_is_compiled_and_makes_room() {
    let written = Written::Listed;
    let mut live = start(written, &["routes/a", "routes/z"]);
    for key in HALVES {
        assert!(live.amend(&put(&[key])), "{key}");
        assert_eq!(live.tried("/t"), listed(written, &live), "{key}");
    }
    assert!(!live.amend(&put(&["routes/a9"])), "there was room for another");
    live.take().unwrap();
    assert_eq!(live.tried("/t"), listed(written, &live));
    assert!(live.amend(&put(&["routes/a8"])));
    assert_eq!(live.tried("/t"), listed(written, &live));
}

#[test]
fn after_many_changes_everything_is_compiled_once() {
    let mut live = start(Written::Stored, &["routes/a"]);
    let standing = |live: &mut Live| live.bench.compiler.standing.as_mut().unwrap().amended;
    for key in ["routes/b", "routes/c"] {
        assert!(live.amend(&put(&[key])));
    }
    assert_eq!(standing(&mut live), 2);
    // What is not taken by itself does not count.
    assert!(!live.amend(&[("routes/d", Some(json!({ "uri": "/d" })))]));
    live.amend(&[("routes/d", None)]);
    live.take().unwrap();
    assert_eq!(standing(&mut live), 0);
    live.bench.compiler.standing.as_mut().unwrap().amended = CHANGES_MAX - 1;
    assert!(live.amend(&put(&["routes/e"])));
    assert!(!live.amend(&put(&["routes/f"])));
    live.take().unwrap();
    assert!(live.amend(&put(&["routes/g"])));
    assert_eq!(standing(&mut live), 1);
}
