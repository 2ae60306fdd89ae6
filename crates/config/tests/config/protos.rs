//! Messages and services of gRPC.

use std::collections::BTreeSet;
use std::sync::Arc;

use bartizan_config::{Amendment, ObjectChange, ObjectName};

use crate::bad_resources::check;
use crate::catalogue::{loader, resources};
use crate::drafts::{add, draft};

const CONTENT: &str = "syntax = \"proto3\"; message A {}";

#[test]
fn a_proto_arrives_with_its_content_as_it_is_written() {
    let text = "protos:\n  - id: shop\n    name: n\n    desc: d\n    labels: {team: shop}\n    \
                create_time: 1\n    update_time: 2\n    content: |\n      message A {}\n      // ü\n";
    let read = resources(text).unwrap();
    assert_eq!(&*read.protos[0].id, "shop");
    assert_eq!(&*read.protos[0].content, "message A {}\n// ü\n");
    // Without an id its position counts.
    let read = resources("protos: [{content: a}, {content: b}]").unwrap();
    assert_eq!(&*read.protos[1].id, "2");
}

#[test]
fn protos_that_are_not_sound() {
    check(&[
        ("protos: [{id: a}]\n", &["r.yaml:1:10: `content` is required (at protos[0])"]),
        (
            "protos: [{id: a, content: a, contents: b}]\n",
            &[
                "r.yaml:1:30: unknown field `contents` (at protos[0].contents); did you mean `content`?",
            ],
        ),
        (
            "protos: [{id: a, content: a}, {id: a, content: a}]\n",
            &[
                "r.yaml:1:36: the proto `a` is given twice (at protos[1]); the first one is at r.yaml:1:15",
            ],
        ),
    ]);
    for (length, is_sound) in [(0, false), (1, true), (1_048_576, true), (1_048_577, false)] {
        let text = format!("protos: [{{id: a, content: \"{}\"}}]", "a".repeat(length));
        assert_eq!(resources(&text).is_ok(), is_sound, "{length}");
    }
}

/// What has to be compiled where one object changes.
fn touched(
    objects: &[(&str, &str, &str)],
    change: (&str, &str, Option<&str>),
) -> Option<Amendment> {
    let mut draft = draft();
    add(&mut draft, objects);
    draft.judge(&loader()).unwrap();
    let mut ledger = draft.ledger().unwrap();
    let (collection, id, content) = change;
    let content = content.map(|content| Arc::from(content.as_bytes()));
    let name = ObjectName { collection: collection.into(), id: id.into() };
    ledger.amend(&loader(), &[ObjectChange { name, content }])
}

#[test]
fn a_change_touches_exactly_the_routes_whose_plugins_are_made_of_it() {
    let proto = format!(r#"{{"content": {CONTENT:?}}}"#);
    let of =
        |id: &str| format!(r#"{{"plugins": {{"translated": {{"proto_id": {id}}}}}, "uri": "/a"}}"#);
    let (own, seven, other) = (of("\"p\""), of("7"), of("\"q\""));
    let shared = r#"{"plugins": {"translated": {"proto_id": "p"}}}"#;
    let objects = [
        ("protos", "p", &*proto),
        ("protos", "q", &*proto),
        ("protos", "7", &*proto),
        ("routes", "own", &*own),
        ("routes", "seven", &*seven),
        ("routes", "other", &*other),
        ("routes", "of_service", r#"{"uri": "/a", "service_id": "s"}"#),
        ("routes", "of_config", r#"{"uri": "/a", "plugin_config_id": "c"}"#),
        ("routes", "none", r#"{"uri": "/a", "plugins": {}}"#),
        ("services", "s", shared),
        ("plugin_configs", "c", shared),
        ("consumer_groups", "g", shared),
    ];
    let routes = |change: Option<Amendment>| -> BTreeSet<String> {
        let put = change.unwrap().put;
        put.routes.iter().map(|route| route.id.to_string()).collect()
    };
    let changed = Some(r#"{"content": "message B {}"}"#);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected: BTreeSet<String> = names(&["of_config", "of_service", "own"]);
    assert_eq!(routes(touched(&objects, ("protos", "p", changed))), expected);
    assert_eq!(routes(touched(&objects, ("protos", "7", changed))), names(&["seven"]));
    let new = touched(&objects, ("protos", "new", changed)).unwrap();
    assert_eq!((new.put.protos.len(), new.put.routes.len()), (1, 0));
    // The plugin of a group is made anew as well.
    let groups = touched(&objects, ("protos", "p", changed)).unwrap().put.consumer_groups;
    assert_eq!(groups.len(), 1);
    // What is referred to is told to be missed where everything is judged.
    assert!(touched(&objects, ("protos", "q", None)).is_none());
    assert!(touched(&objects, ("routes", "other", None)).is_some());
}
