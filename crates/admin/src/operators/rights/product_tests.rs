//! Every kind of confinement, with every kind of resource, for every act; and what may be referred
//! to.

use serde_json::{Value, json};

use super::kinds::{self, Resource, Serves, Sort};
use super::*;

fn editor(confinement: Value) -> Rights {
    let confinement = serde_json::from_value(confinement).unwrap();
    Rights { role: Role::Editor, confinement, secrets: false }
}

fn resource(kind: &str) -> Resource {
    let Sort::Resource(resource) = kinds::sort(kind, None) else { panic!("{kind}") };
    resource
}

/// Ways to confine, each with what makes an object lie outside.
fn dimensions() -> [(&'static str, Value, Vec<Value>); 3] {
    let labels = [json!({ "team": "bank" }), json!({}), json!({ "team": ["shop"] })];
    [
        (
            "labels",
            json!({ "team": ["shop"] }),
            labels.into_iter().map(|labels| json!({ "labels": labels })).collect(),
        ),
        (
            "hosts",
            json!(["shop.example", "*.shop.example"]),
            ["bank.example", "*", "*shop.example"]
                .into_iter()
                .map(|host| json!({ "host": host, "hosts": [host], "snis": [host] }))
                .collect(),
        ),
        (
            "paths",
            json!(["/shop"]),
            ["/bank", "/*", "/shop*"].into_iter().map(|uri| json!({ "uri": uri })).collect(),
        ),
    ]
}

/// What fields of a service's queries cost.
const DECORATIONS: &str = "graphql_cost_decorations";

/// Whether objects of a kind can be told apart by that.
fn tells_apart(dimension: &str, resource: Resource) -> bool {
    let is_below = matches!(resource.name, "credentials" | DECORATIONS);
    match dimension {
        "labels" => resource.is_labelled || is_below,
        "hosts" => resource.serves != Serves::Nothing || resource.name == DECORATIONS,
        _ => resource.serves == Serves::HostsAndPaths,
    }
}

fn ours() -> Value {
    json!({
        "uri": "/shop/a", "host": "shop.example", "hosts": ["shop.example"],
        "snis": ["shop.example"], "labels": { "team": "shop" },
    })
}

fn outside(by: &Value) -> Value {
    let mut object = ours();
    for (name, value) in by.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

/// The acts of which `theirs` is a part, and whether each is permitted.
fn acts(rights: &Rights, kind: &str, theirs: &Value) -> [bool; 4] {
    let ours = ours();
    let act = |verb, before: Option<&Value>, after: Option<&Value>| {
        // A credential is whose its consumer is, and so on.
        let is_theirs = [before, after].contains(&Some(theirs));
        rights.permit(&Act {
            verb,
            before: before.map(Object::new),
            after: after.map(Object::new),
            owner: Some(if is_theirs { theirs } else { &ours }),
            ..Act::read(kind, Some("1"))
        })
    };
    [
        act(Verb::Write, None, Some(theirs)).is_ok(),
        act(Verb::Write, Some(&ours), Some(theirs)).is_ok(),
        act(Verb::Write, Some(theirs), Some(&ours)).is_ok(),
        act(Verb::Delete, Some(theirs), None).is_ok(),
    ]
}

#[test]
fn every_confinement_forbids_every_act_outside_it_for_every_kind() {
    let mut tried = 0;
    for (dimension, value, outsides) in dimensions() {
        for kind in RESOURCE_KINDS {
            let resource = resource(kind);
            for is_named in [false, true] {
                let mut confinement = json!({ dimension: value });
                if is_named {
                    confinement["kinds"] = json!([kind]);
                }
                let rights = editor(confinement);
                let is_told = tells_apart(dimension, resource);
                let may = is_named || (is_told && !resource.is_explicit);
                let context = format!("{dimension} {kind}, named: {is_named}");
                assert_eq!(acts(&rights, kind, &ours()), [may; 4], "{context}: inside");
                for by in &outsides {
                    // What cannot be told apart is the key's that names the kind.
                    let may = is_named && !is_told;
                    let object = outside(by);
                    assert_eq!(acts(&rights, kind, &object), [may; 4], "{context}: {object}");
                    tried += 4;
                }
            }
        }
    }
    assert_eq!(tried, 3 * 14 * 2 * 3 * 4);
}

#[test]
fn a_key_for_some_kinds_changes_no_others_and_no_other_role_changes_any() {
    for kind in RESOURCE_KINDS {
        let others = RESOURCE_KINDS.iter().filter(|other| **other != kind);
        // Consumers have their credentials with them, and services what their fields cost.
        let with = [("credentials", "consumers"), (DECORATIONS, "services")];
        let others: Vec<&str> = others.copied().filter(|o| !with.contains(&(kind, *o))).collect();
        let rights = editor(json!({ "kinds": others }));
        assert_eq!(acts(&rights, kind, &ours()), [false; 4], "{kind}");
        for role in [Role::Viewer, Role::Auditor] {
            let rights = Rights { role, confinement: Confinement::default(), secrets: false };
            assert_eq!(acts(&rights, kind, &ours()), [false; 4], "{role} {kind}");
        }
    }
}

fn lends(confinement: Value, kind: &'static str, value: &Value) -> bool {
    let rights = editor(confinement);
    let used = [Used { kind, id: "1".to_owned(), value: value.clone() }];
    let route = ours();
    let after = Some(Object::new(&route));
    let write = Act { verb: Verb::Write, after, used: &used, ..Act::read("routes", None) };
    rights.permit(&Act { used: &[], ..write }).unwrap();
    rights.permit(&write).is_ok()
}

#[test]
fn what_is_outside_is_referred_to_only_where_it_is_lent() {
    let shop = json!({ "team": ["shop"] });
    let (theirs, shared) =
        (json!({ "labels": { "team": "bank" } }), json!({ "labels": { "for": "all" } }));
    for kind in ["services", "upstreams", "plugin_configs", "ssls"] {
        assert!(lends(json!({}), kind, &theirs), "{kind}");
        assert!(lends(json!({ "kinds": ["routes"] }), kind, &theirs), "{kind}");
        for labels in [json!({ "labels": shop }), json!({ "labels": shop, "kinds": ["routes"] })] {
            assert!(lends(labels.clone(), kind, &ours()), "{kind}");
            for object in [&theirs, &shared, &json!({})] {
                assert!(!lends(labels.clone(), kind, object), "{kind} {object}");
            }
            let mut using = labels;
            using["uses"] = json!({ "for": ["all"] });
            assert!(lends(using.clone(), kind, &shared), "{kind}");
            assert!(!lends(using, kind, &theirs), "{kind}");
        }
    }
    // By hosts alone only what serves some can be told apart.
    let hosts = json!({ "hosts": ["shop.example"] });
    for (kind, is_lent) in [("services", true), ("ssls", true), ("upstreams", false)] {
        assert_eq!(lends(hosts.clone(), kind, &ours()), is_lent, "{kind}");
        assert!(!lends(hosts.clone(), kind, &theirs), "{kind}");
        let named = json!({ "hosts": ["shop.example"], "kinds": ["routes", kind] });
        assert_eq!(lends(named, kind, &theirs), kind == "upstreams", "{kind}");
    }
}

#[test]
fn nothing_is_lent_to_a_key_that_may_refer_to_all() {
    for (confinement, is_fit) in [
        (json!({ "uses": { "for": ["all"] } }), false),
        (json!({ "uses": { "for": ["all"] }, "kinds": ["routes"] }), false),
        (json!({ "uses": { "for": [] }, "paths": ["/shop"] }), false),
        (json!({ "uses": { "": ["all"] }, "paths": ["/shop"] }), false),
        (json!({ "uses": { "for": ["all"] }, "paths": ["/shop"] }), true),
        (json!({ "uses": { "for": ["all"] }, "labels": { "team": ["shop"] } }), true),
    ] {
        let read = serde_json::from_value::<Confinement>(confinement.clone());
        assert_eq!(read.is_ok(), is_fit, "{confinement}");
        if let Ok(read) = read {
            assert_eq!(serde_json::to_value(&read).unwrap(), confinement);
        }
    }
}

#[test]
fn only_who_reads_secrets_changes_where_one_is_sent() {
    let config = |uri: &str, size: u64| {
        let logger = json!({ "uri": uri, "auth_header": "s", "batch_max_size": size });
        json!({ "uri": "/a", "plugins": { "http-logger": logger } })
    };
    let (before, more, moved) =
        (config("https://a.test", 1), config("https://a.test", 2), config("https://b.test", 1));
    let kept = ["/plugins/http-logger/auth_header".to_owned()];
    let act = |after, kept| Act {
        verb: Verb::Write,
        before: Some(Object::new(&before)),
        after: Some(Object::new(after)),
        kept,
        ..Act::read("routes", Some("1"))
    };
    let free = editor(json!({}));
    assert!(free.permit(&act(&more, &kept)).is_ok());
    let refused = free.permit(&act(&moved, &kept)).unwrap_err();
    assert!(
        refused.0.contains("(at /plugins/http-logger/uri): write the secret anew"),
        "{refused}"
    );
    assert!(free.permit(&act(&moved, &[])).is_ok(), "written anew");
    assert!(Rights { secrets: true, ..free }.permit(&act(&moved, &kept)).is_ok());
    let admin = Rights { role: Role::Admin, confinement: Confinement::default(), secrets: false };
    assert!(admin.permit(&act(&moved, &kept)).is_ok());
}
