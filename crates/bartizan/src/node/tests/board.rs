//! What people are told of the configuration in force.

use bartizan_admin::coverage::Way;

use super::*;

const WITH_ADMIN: &str = "\
listeners: [{ address: \"127.0.0.1:0\" }]
workers: 1
store: { embedded: { path: store } }
admin: { listen: \"127.0.0.1:0\", keys: keys, socket: sock }
";

/// The routes that are told of, each with the way to its upstream.
fn told(scene: &Scene) -> Vec<(String, Way)> {
    let coverage = scene.node.board.coverage().unwrap();
    let route = |at| (coverage.route(at).unwrap().id.to_owned(), coverage.way_to_upstream(at));
    let mut told: Vec<_> = (0..coverage.len()).map(route).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn version(scene: &Scene) -> u64 {
    scene.node.board.coverage().unwrap().version()
}

#[test]
fn every_change_is_another_version_with_the_routes_and_upstreams_as_they_are_now() {
    let mut scene = Scene::with(WITH_ADMIN);
    let mut shared = route("/a");
    shared.as_object_mut().unwrap().remove("upstream");
    shared["upstream_id"] = json!("u");
    scene.put("upstreams/u", &json!({ "nodes": { "127.0.0.1:1": 1 } }));
    scene.put("routes/a", &shared);
    scene.put("routes/b", &route("/b"));
    scene.take_change();
    let named = |name: &str, way| (name.to_owned(), way);
    let (a, b) = (named("a", Way::ThisMachine), named("b", Way::ThisMachine));
    assert_eq!(told(&scene), [a, b.clone()]);
    let mut seen = vec![version(&scene)];
    // A change of the upstream alone touches no route, and is told all the same.
    scene.put("upstreams/u", &json!({ "scheme": "https", "nodes": { "10.0.0.1:443": 1 } }));
    scene.take_change();
    assert_eq!(told(&scene), [named("a", Way::Tls), b]);
    seen.push(version(&scene));
    scene.put("routes/c", &route("/c"));
    let gone = Key::parse("routes/b").unwrap();
    let removed = scene.store().delete(&gone, Expect::Anything, "a test");
    scene.node.control.block_on(removed).unwrap();
    scene.take_change();
    assert_eq!(told(&scene), [named("a", Way::Tls), named("c", Way::ThisMachine)]);
    seen.push(version(&scene));
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[test]
fn what_is_in_quarantine_is_told_with_everything_that_is_wrong_with_it() {
    let mut scene = Scene::with(WITH_ADMIN);
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    let mut broken = route("/a");
    (broken["urii"], broken["nmae"]) = (json!("/a"), json!("a"));
    scene.put("routes/a", &broken);
    scene.put("routes/b", &broken);
    scene.take_change();
    let aside = scene.node.board.aside();
    let told: Vec<_> = aside.iter().map(|one| (one.object.as_str(), one.stands_in)).collect();
    assert_eq!(told, [("routes/a", true), ("routes/b", false)]);
    for one in &*aside {
        for field in ["`urii`", "`nmae`"] {
            let problems = one.problems.iter().filter(|told| told.contains(field));
            assert_eq!(problems.count(), 1, "{:?}", one.problems);
        }
    }
    for name in ["routes/a", "routes/b"] {
        scene.put(name, &route(&name.replace("routes", "")));
    }
    scene.take_change();
    assert!(scene.node.board.aside().is_empty());
}

#[test]
fn so_much_of_what_is_wrong_with_one_object_is_told() {
    for (wrong, told) in [(49, 49), (50, 50), (51, 50)] {
        let mut scene = Scene::with(WITH_ADMIN);
        let mut broken = route("/a");
        for n in 0..wrong {
            broken[format!("none-{n}")] = json!(1);
        }
        scene.put("routes/a", &broken);
        scene.take_change();
        let aside = scene.node.board.aside();
        assert_eq!((aside.len(), aside[0].problems.len()), (1, told), "{wrong}");
    }
}
