//! What no route in service has: it is compiled to know that it is sound, and no more.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::fixture::guarded;
use super::live::{Change, Live, Objects, Written, first};

/// Guarded, and with a plugin that has a page.
fn told(meta: &Value) -> Value {
    let mut plugins = guarded();
    plugins["node-status"] = json!({ "_meta": meta });
    plugins
}

/// Guarded, and with a limit of a group, whose members count in a window.
fn grouped(window: u32, meta: &Value) -> Value {
    let mut plugins = guarded();
    plugins["limit-count"] =
        json!({ "count": 5, "time_window": window, "group": "g", "_meta": meta });
    plugins
}

fn routed(plugins: &Value) -> Value {
    json!({ "uri": "/t", "upstream_id": "u0", "plugins": plugins })
}

fn service(plugins: &Value) -> Value {
    json!({ "upstream_id": "u0", "plugins": plugins })
}

fn by(key: &str, id: &str, status: u32) -> Value {
    json!({ "uri": "/t", "upstream_id": "u0", "status": status, key: id, "plugins": guarded() })
}

/// Objects with plugins, of which a route in service has one or none, each with a name.
fn spread(plugins: &dyn Fn(&Value) -> Value) -> Vec<(&'static str, Vec<Change>, bool)> {
    let on = plugins(&json!({}));
    let mut resting = routed(&on);
    resting["status"] = json!(0);
    let disabled = plugins(&json!({ "disable": true }));
    let mut bare = by("service_id", "s9", 0);
    bare.as_object_mut().unwrap().remove("plugins");
    let mut overridden = by("service_id", "s9", 1);
    overridden["plugins"] = disabled.clone();
    let served = service(&on);
    let shared = json!({ "plugins": on });
    vec![
        ("a route", vec![("routes/t", Some(routed(&on)))], true),
        ("a route with it disabled", vec![("routes/t", Some(routed(&disabled)))], false),
        ("a route out of service", vec![("routes/t", Some(resting))], false),
        ("a service of no route", vec![("services/s9", Some(served.clone()))], false),
        (
            "a service of a route out of service",
            vec![("services/s9", Some(served.clone())), ("routes/t", Some(bare))],
            false,
        ),
        (
            "a service whose route has its own",
            vec![("services/s9", Some(served.clone())), ("routes/t", Some(overridden))],
            false,
        ),
        (
            "a service of a route",
            vec![("services/s9", Some(served)), ("routes/t", Some(by("service_id", "s9", 1)))],
            true,
        ),
        ("a plugin config of no route", vec![("plugin_configs/c9", Some(shared.clone()))], false),
        (
            "a plugin config of a route",
            vec![
                ("plugin_configs/c9", Some(shared)),
                ("routes/t", Some(by("plugin_config_id", "c9", 1))),
            ],
            true,
        ),
    ]
}

fn with(changes: &[Change]) -> Objects {
    let mut objects = first();
    let put = changes.iter().filter_map(|(key, value)| Some((*key, value.clone()?)));
    objects.extend(put);
    objects
}

#[test]
fn a_page_is_there_where_a_route_in_service_has_its_plugin_whichever_way_it_came() {
    for (name, changes, has_page) in spread(&told) {
        let mut live = Live::start(Written::Stored, first());
        assert!(live.amend(&changes), "{name}");
        assert_eq!(live.has_page(), has_page, "{name}, by itself");
        let whole = Live::start(Written::Stored, with(&changes));
        assert_eq!(whole.has_page(), has_page, "{name}, with everything");
        // A change of a route that has nothing to do with it changes nothing.
        for mut live in [live, whole] {
            let other = json!({ "uri": "/other", "service_id": "s0" });
            assert!(live.amend(&[("routes/other", Some(other))]), "{name}");
            assert_eq!(live.has_page(), has_page, "{name}, later");
        }
    }
}

#[test]
fn a_page_goes_with_the_last_route_in_service_that_has_it_and_comes_back_with_the_next() {
    for key in ["service_id", "plugin_config_id"] {
        let shared = [
            ("services/s9", Some(service(&told(&json!({}))))),
            ("plugin_configs/c9", Some(json!({ "plugins": told(&json!({})) }))),
        ];
        let id = if key == "service_id" { "s9" } else { "c9" };
        let mut live = Live::start(Written::Stored, with(&shared));
        // One that takes all of its plugins from there, and one with some of its own.
        let mut bare = by(key, id, 1);
        bare.as_object_mut().unwrap().remove("plugins");
        for (name, change, has_page) in [
            ("comes", Some(bare.clone()), true),
            ("goes", None, false),
            ("with its own", Some(by(key, id, 1)), true),
            ("out of service", Some(by(key, id, 0)), false),
            ("back", Some(bare), true),
        ] {
            assert!(live.amend(&[("routes/t", change)]), "{key}: {name}");
            assert_eq!(live.has_page(), has_page, "{key}: {name}");
        }
    }
}

#[test]
fn what_does_not_run_is_in_no_group_whichever_way_it_came() {
    let first_member =
        |plugins: &Value| json!({ "uri": "/m", "upstream_id": "u0", "plugins": plugins });
    let on = json!({});
    for (name, changes, is_member) in spread(&|meta| grouped(61, meta)) {
        let other = [("routes/m", Some(first_member(&grouped(60, &on))))];
        // The one that counts otherwise comes second, by itself or with everything.
        let mut live = Live::start(Written::Stored, with(&other));
        assert_eq!(live.amend(&changes), !is_member, "{name}, by itself");
        assert_eq!(live.take().is_ok(), !is_member, "{name}, with everything");
        // It comes first.
        for is_amended in [true, false] {
            let mut live = if is_amended {
                let mut live = Live::start(Written::Stored, first());
                assert!(live.amend(&changes), "{name}");
                live
            } else {
                Live::start(Written::Stored, with(&changes))
            };
            assert_eq!(live.amend(&other), !is_member, "{name} first, by itself: {is_amended}");
            assert_eq!(live.take().is_ok(), !is_member, "{name} first: {is_amended}");
        }
    }
}

#[test]
fn a_disabled_plugin_that_is_enabled_joins_its_group() {
    let on = json!({});
    let mut live = Live::start(
        Written::Stored,
        with(&[
            ("routes/m", Some(routed(&grouped(60, &on)))),
            ("routes/t", Some(routed(&grouped(61, &json!({ "disable": true }))))),
        ]),
    );
    assert!(!live.amend(&[("routes/t", Some(routed(&grouped(61, &on))))]));
    assert!(live.take().is_err());
    // What was refused has left no member behind.
    live.objects.insert("routes/t", routed(&grouped(60, &on)));
    live.take().unwrap();
}

const DESCRIPTION: &str = r#"{
    "openapi": "3.0.3",
    "info": { "title": "one", "version": "1" },
    "paths": { "/t": { "get": { "responses": { "200": { "description": "one" } } } } }
}"#;

#[test]
fn a_disabled_plugin_of_what_did_not_change_is_not_compiled_with_each_route() {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![folder.path().join("api.json")];
    std::fs::write(&files[0], DESCRIPTION).unwrap();
    let mut plugins = guarded();
    plugins["oas-validator"] = json!({ "spec_file": files[0], "_meta": { "disable": true } });
    for (key, id, shared) in [
        ("service_id", "s9", ("services/s9", service(&plugins))),
        ("plugin_config_id", "c9", ("plugin_configs/c9", json!({ "plugins": plugins }))),
    ] {
        let (name, shared) = shared;
        let mut live = Live::start(Written::Stored, with(&[(name, Some(shared.clone()))]));
        let read = |live: &Live| live.bench.facts.files.take();
        assert_eq!(read(&live), files, "at the start");
        let mut bare = by(key, id, 1);
        bare.as_object_mut().unwrap().remove("plugins");
        for (at, route) in [by(key, id, 1), bare].into_iter().enumerate() {
            assert!(live.amend(&[("routes/t", Some(route))]), "{key}: {at}");
            assert_eq!(read(&live), Vec::<PathBuf>::new(), "{key}: {at}");
        }
        let mut changed = shared;
        changed["desc"] = json!("changed");
        assert!(live.amend(&[(name, Some(changed))]), "{key}");
        assert_eq!(read(&live), files, "{key}: it changed");
    }
}
