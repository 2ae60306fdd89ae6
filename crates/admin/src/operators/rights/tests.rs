use proptest::prelude::*;
use serde_json::json;

use super::*;

fn rights(role: Role) -> Rights {
    Rights { role, confinement: Confinement::default(), secrets: false }
}

fn editor(confinement: Value) -> Rights {
    let confinement = serde_json::from_value(confinement).unwrap();
    Rights { confinement, ..rights(Role::Editor) }
}

fn write<'a>(kind: &'a str, before: Option<&'a Value>, after: &'a Value) -> Act<'a> {
    Act {
        verb: Verb::Write,
        before: before.map(Object::new),
        after: Some(Object::new(after)),
        ..Act::read(kind, Some("1"))
    }
}

fn delete<'a>(kind: &'a str, before: &'a Value) -> Act<'a> {
    Act { verb: Verb::Delete, before: Some(Object::new(before)), ..Act::read(kind, Some("1")) }
}

const NODE_KINDS: [&str; 11] = [
    "configs",
    "schema",
    "plugins",
    "status",
    "quarantine",
    "coverage",
    "denials",
    "revisions",
    "events",
    "rollback",
    "nope",
];

/// Every kind and verb that a role may do, as `verb kind`; resources together.
fn table(rights: &Rights) -> Vec<String> {
    let empty = json!({});
    let act = |kind: &str, verb: usize| match verb {
        0 => rights.permit(&Act::read(kind, None)),
        1 => rights.permit(&write(kind, None, &empty)),
        2 => rights.permit(&delete(kind, &empty)),
        _ => rights.permit(&Act { verb: Verb::Other, ..Act::read(kind, None) }),
    };
    let mut may = Vec::new();
    for verb in 0..4 {
        let permits = |kind: &str| act(kind, verb).is_ok();
        let name = ["read", "write", "delete", "other"][verb];
        let all = RESOURCE_KINDS.iter().filter(|kind| permits(kind)).count();
        may.push(format!("{name} {all} resources"));
        let others = NODE_KINDS.iter().filter(|kind| permits(kind));
        may.extend(others.map(|kind| format!("{name} {kind}")));
    }
    may
}

#[test]
fn each_role_may_do_what_its_table_says_and_nothing_else() {
    let views = [
        "read 14 resources",
        "read configs",
        "read schema",
        "read plugins",
        "read status",
        "read quarantine",
        "read coverage",
        "read denials",
    ];
    let mut viewer = views.to_vec();
    viewer.extend(["write 0 resources", "delete 0 resources", "other 0 resources"]);
    viewer.push("other schema");
    assert_eq!(table(&rights(Role::Viewer)), viewer);

    let mut editor = views.to_vec();
    editor.extend(["write 10 resources", "delete 10 resources", "other 0 resources"]);
    editor.push("other schema");
    assert_eq!(table(&rights(Role::Editor)), editor);

    let mut auditor = vec!["read 0 resources", "read status", "read quarantine"];
    auditor.extend(["read coverage", "read denials"]);
    auditor.extend(["read revisions", "read events"]);
    auditor.extend(["write 0 resources", "delete 0 resources", "other 0 resources"]);
    assert_eq!(table(&rights(Role::Auditor)), auditor);

    let admin = table(&rights(Role::Admin));
    assert_eq!(admin.len(), 4 * (1 + NODE_KINDS.len()));
    assert!(admin.contains(&"delete 14 resources".to_owned()));
}

#[test]
fn every_way_out_of_a_confinement_is_refused() {
    let ours = json!({ "uri": "/shop/a", "host": "shop.example", "labels": { "team": "shop" } });
    let confined = editor(json!({
        "labels": { "team": ["shop", "pay"] },
        "hosts": ["shop.example", "*.shop.example"],
        "paths": ["/shop"],
    }));
    let with = |key: &str, value: Value| {
        let mut object = ours.clone();
        object[key] = value;
        object
    };
    let without = |key: &str| {
        let mut object = ours.clone();
        object.as_object_mut().unwrap().remove(key);
        object
    };
    for inside in [
        ours.clone(),
        with("host", json!("a.shop.example")),
        with("host", json!("*.eu.shop.example")),
        with("uri", json!("/shop/*")),
        with("uri", json!("/shop")),
        with("uris", json!(["/shop/b", "/shop/c/*"])),
        with("hosts", json!(["b.shop.example"])),
        with("labels", json!({ "team": "pay", "other": "x" })),
    ] {
        assert_eq!(confined.permit(&write("routes", Some(&ours), &inside)), Ok(()), "{inside}");
        assert_eq!(confined.permit(&write("routes", None, &inside)), Ok(()), "{inside}");
        assert_eq!(confined.permit(&delete("routes", &inside)), Ok(()), "{inside}");
    }
    for outside in [
        without("host"),
        without("uri"),
        without("labels"),
        with("host", json!("*")),
        with("host", json!("*shop.example")),
        with("host", json!("*.example")),
        with("host", json!("bank.example")),
        with("host", json!(null)),
        with("host", json!(["shop.example"])),
        with("hosts", json!(["shop.example", "bank.example"])),
        with("hosts", json!([1])),
        with("hosts", json!("shop.example")),
        with("uri", json!("/*")),
        with("uri", json!("/shop*")),
        with("uri", json!("/:team/a")),
        with("uri", json!("/bank")),
        with("uri", json!(7)),
        with("uris", json!(["/shop/b", "/bank"])),
        with("uris", json!({})),
        with("labels", json!({ "team": "bank" })),
        with("labels", json!({ "Team": "shop" })),
        with("labels", json!({ "team": ["shop"] })),
        with("labels", json!(["team", "shop"])),
        json!([]),
        json!(null),
    ] {
        let refused = |act| confined.permit(&act).is_err();
        assert!(refused(write("routes", None, &outside)), "made: {outside}");
        assert!(refused(write("routes", Some(&ours), &outside)), "changed to: {outside}");
        assert!(refused(write("routes", Some(&outside), &ours)), "taken over: {outside}");
        assert!(refused(delete("routes", &outside)), "removed: {outside}");
    }
}

#[test]
fn a_route_without_hosts_serves_those_of_its_service_or_all() {
    let confined = editor(json!({ "hosts": ["shop.example"] }));
    let route = json!({ "uri": "/a", "service_id": "1" });
    let with = |hosts: &[String]| {
        let object = Object { value: &route, inherited_hosts: hosts };
        let act = Act { verb: Verb::Write, after: Some(object), ..Act::read("routes", None) };
        confined.permit(&act).is_ok()
    };
    assert!(with(&["shop.example".to_owned()]));
    assert!(!with(&[]));
    assert!(!with(&["shop.example".to_owned(), "bank.example".to_owned()]));
}

#[test]
fn a_service_may_not_lose_the_hosts_that_its_routes_inherit() {
    let confined = editor(json!({ "hosts": ["shop.example"] }));
    let (own, open) = (json!({ "hosts": ["shop.example"] }), json!({}));
    assert!(confined.permit(&write("services", Some(&own), &own)).is_ok());
    assert!(confined.permit(&write("services", Some(&own), &open)).is_err());
    assert!(confined.permit(&write("services", Some(&open), &own)).is_err());
}

#[test]
fn what_fields_cost_belongs_to_whom_its_service_belongs_to() {
    let decoration = json!({ "field_path": "a" });
    for (confinement, ours, theirs) in [
        (
            json!({ "labels": { "team": ["shop"] } }),
            json!({ "labels": { "team": "shop" } }),
            json!({ "labels": { "team": "bank" } }),
        ),
        (
            json!({ "hosts": ["shop.example"] }),
            json!({ "hosts": ["shop.example"] }),
            json!({ "hosts": ["bank.example"] }),
        ),
    ] {
        let confined = editor(confinement);
        let act = |owner| Act { owner, ..write("graphql_cost_decorations", None, &decoration) };
        assert_eq!(confined.permit(&act(Some(&ours))), Ok(()));
        assert!(confined.permit(&act(Some(&theirs))).is_err());
        assert!(confined.permit(&act(None)).is_err());
        let id = Some("s/graphql_cost_decorations/1");
        let as_stored = Act { kind: "services", id, ..act(Some(&theirs)) };
        assert!(confined.permit(&as_stored).is_err());
    }
}

#[test]
fn kinds_about_all_routes_or_keys_must_be_named() {
    let object = json!({ "plugins": {}, "snis": ["shop.example"] });
    for kind in RESOURCE_KINDS {
        let free = rights(Role::Editor).permit(&write(kind, None, &object)).is_ok();
        assert_eq!(free, !EXPLICIT_KINDS.contains(&kind), "{kind}");
        let named = editor(json!({ "kinds": [kind] }));
        assert_eq!(named.permit(&write(kind, None, &object)), Ok(()), "{kind}");
        let other = if kind == "protos" { "upstreams" } else { "protos" };
        let refused = editor(json!({ "kinds": [other] })).permit(&write(kind, None, &object));
        assert!(refused.is_err(), "{kind}");
    }
}

#[test]
fn what_serves_no_host_is_held_by_labels_or_by_name() {
    let upstream = json!({ "nodes": {}, "labels": { "team": "shop" } });
    let act = write("upstreams", None, &upstream);
    assert!(editor(json!({ "hosts": ["shop.example"] })).permit(&act).is_err());
    assert!(editor(json!({ "paths": ["/shop"] })).permit(&act).is_err());
    let labels = json!({ "hosts": ["shop.example"], "labels": { "team": ["shop"] } });
    assert!(editor(labels).permit(&act).is_ok());
    let kinds = json!({ "hosts": ["shop.example"], "kinds": ["routes", "upstreams"] });
    assert!(editor(kinds).permit(&act).is_ok());
    let service = json!({ "hosts": ["shop.example"] });
    let of_paths = editor(json!({ "paths": ["/shop"] }));
    assert!(of_paths.permit(&write("services", None, &service)).is_err());
}

#[test]
fn a_certificate_is_for_the_hosts_of_the_key() {
    let confined = editor(json!({ "kinds": ["ssls"], "hosts": ["*.shop.example"] }));
    for (ssl, is_own) in [
        (json!({ "sni": "a.shop.example" }), true),
        (json!({ "snis": ["*.shop.example"] }), true),
        (json!({ "snis": ["*.shop.example", "bank.example"] }), false),
        (json!({ "type": "client" }), false),
    ] {
        assert_eq!(confined.permit(&write("ssls", None, &ssl)).is_ok(), is_own, "{ssl}");
    }
}

#[test]
fn a_credential_belongs_to_whom_its_consumer_belongs_to() {
    let confined = editor(json!({ "labels": { "team": ["shop"] } }));
    let (ours, theirs) = (json!({ "labels": { "team": "shop" } }), json!({ "username": "bank" }));
    let credential = json!({ "plugins": {} });
    let act = |owner| Act { owner, ..write("credentials", None, &credential) };
    assert!(confined.permit(&act(Some(&ours))).is_ok());
    assert!(confined.permit(&act(Some(&theirs))).is_err());
    assert!(confined.permit(&act(None)).is_err());
    let as_stored = Act { kind: "consumers", id: Some("bank/credentials/1"), ..act(Some(&theirs)) };
    assert!(confined.permit(&as_stored).is_err());
    let of_consumers = editor(json!({ "kinds": ["consumers"] }));
    assert!(of_consumers.permit(&act(None)).is_ok());
    let of_hosts = editor(json!({ "hosts": ["shop.example"] }));
    assert!(of_hosts.permit(&act(Some(&ours))).is_err());
}

#[test]
fn editors_without_the_capability_refer_to_no_secret_and_confined_ones_join_no_group() {
    let plain = json!({ "username": "a", "plugins": {} });
    let refers = json!({ "username": "a", "plugins": { "x": { "key": "$file://store.key" } } });
    let free = rights(Role::Editor);
    assert!(free.permit(&write("consumers", Some(&plain), &refers)).is_err());
    assert!(free.permit(&write("consumers", Some(&refers), &refers)).is_ok());
    assert!(
        Rights { secrets: true, ..free.clone() }.permit(&write("consumers", None, &refers)).is_ok()
    );
    assert!(rights(Role::Admin).permit(&write("consumers", None, &refers)).is_ok());
    let member = json!({ "username": "a", "group_id": "admins", "labels": { "team": "shop" } });
    let none = json!({ "username": "a", "labels": { "team": "shop" } });
    let confined = editor(json!({ "labels": { "team": ["shop"] } }));
    assert!(confined.permit(&write("consumers", Some(&none), &member)).is_err());
    assert!(confined.permit(&write("consumers", Some(&member), &member)).is_ok());
    assert!(confined.permit(&write("consumers", Some(&member), &none)).is_ok());
    assert!(free.permit(&write("consumers", Some(&none), &member)).is_ok());
}

#[test]
fn an_act_that_does_not_say_what_it_does_is_refused() {
    let object = json!({});
    let full = write("routes", Some(&object), &object);
    for act in [
        Act { after: None, ..full },
        Act { verb: Verb::Delete, ..full },
        Act { verb: Verb::Delete, before: None, after: None, ..full },
    ] {
        assert!(rights(Role::Editor).permit(&act).is_err());
    }
}

#[test]
fn secrets_are_shown_to_keys_with_the_capability_and_within_their_confinement() {
    let (ours, theirs) = (json!({ "labels": { "a": "b" } }), json!({}));
    let read = |value| Act { before: Some(Object::new(value)), ..Act::read("consumers", None) };
    for role in Role::ALL {
        assert!(!rights(role).reveal(&read(&ours)), "{role}");
        let capable = Rights { secrets: true, ..rights(role) };
        assert_eq!(capable.reveal(&read(&ours)), role != Role::Auditor, "{role}");
    }
    let confined = Rights { secrets: true, ..editor(json!({ "labels": { "a": ["b"] } })) };
    assert!(confined.reveal(&read(&ours)));
    assert!(!confined.reveal(&read(&theirs)));
    assert!(!confined.reveal(&Act::read("consumers", None)));
    assert!(!confined.reveal(&Act::read("configs", None)), "which holds what others have");
}

#[test]
fn rights_that_contradict_themselves_are_told() {
    let confinement = editor(json!({ "hosts": ["a.test"] })).confinement;
    for role in [Role::Viewer, Role::Auditor, Role::Admin] {
        let rights = Rights { confinement: confinement.clone(), ..rights(role) };
        assert!(rights.check().is_err(), "{role}");
    }
    assert!(Rights { secrets: true, ..rights(Role::Auditor) }.check().is_err());
    assert!(Rights { secrets: true, ..rights(Role::Viewer) }.check().is_ok());
    for unfit in [
        json!({ "hosts": ["*"] }),
        json!({ "paths": ["/"] }),
        json!({ "kinds": ["route"] }),
        json!({ "labels": { "team": [] } }),
        json!({ "labels": { "": ["x"] } }),
        json!({ "hosts": vec!["a.test"; LIST_MAX + 1] }),
        json!({ "paths": [format!("/{}", "x".repeat(TEXT_MAX))] }),
        json!({ "teams": ["a"] }),
    ] {
        assert!(serde_json::from_value::<Confinement>(unfit.clone()).is_err(), "{unfit}");
    }
}

fn routes() -> impl Strategy<Value = Value> {
    let host = prop::sample::select(vec![
        "shop.example",
        "a.shop.example",
        "*.shop.example",
        "*shop.example",
        "bank.example",
        "*",
    ]);
    let uri = prop::sample::select(vec!["/shop", "/shop/*", "/shop*", "/bank/*", "/*", "/shop/a"]);
    let team = prop::sample::select(vec!["shop", "bank"]);
    (prop::option::of(host), uri, prop::option::of(team)).prop_map(|(host, uri, team)| {
        let mut route = json!({ "uri": uri });
        if let Some(host) = host {
            route["host"] = json!(host);
        }
        if let Some(team) = team {
            route["labels"] = json!({ "team": team });
        }
        route
    })
}

proptest! {
    /// However often an editor changes a route, no request of another team ever comes to it.
    #[test]
    fn no_sequence_of_permitted_changes_leaves_the_confinement(
        changes in prop::collection::vec(routes(), 1..12),
    ) {
        let confined = editor(json!({
            "labels": { "team": ["shop"] },
            "hosts": ["shop.example", "*.shop.example"],
            "paths": ["/shop"],
        }));
        let mut route: Option<Value> = None;
        for change in &changes {
            if confined.permit(&write("routes", route.as_ref(), change)).is_ok() {
                route = Some(change.clone());
            }
            let Some(route) = &route else { continue };
            let host = route["host"].as_str().unwrap_or("*");
            let uri = route["uri"].as_str().unwrap();
            for foreign in ["bank.example", "evilshop.example", "example"] {
                let matches = host.strip_prefix('*').map_or(host == foreign, |end| foreign.ends_with(end));
                prop_assert!(!matches, "{route}");
            }
            for foreign in ["/", "/bank/a", "/shopping"] {
                let matches = uri.strip_suffix('*').map_or(uri == foreign, |start| foreign.starts_with(start));
                prop_assert!(!matches, "{route}");
            }
            prop_assert_eq!(&route["labels"]["team"], "shop");
        }
    }
}
