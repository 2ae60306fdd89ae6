//! Messages and services of gRPC, compiled with everything else.

use std::sync::Arc;

use bartizan_protos::Protos;
use serde_json::{Value, json};

use super::fixture::{Bench, guarded, node, route};
use super::live::{Live, Written};

const SOUND: &str = "syntax = \"proto3\";\nmessage A { string a = 1; }\n";
const BROKEN: &str = "syntax = \"proto3\";\nmessage A { string a 1; }\n";

fn stood(live: &Live) -> Option<Arc<Protos>> {
    let stood = live.bench.compiler.standing.as_ref()?.protos.get("p")?;
    Some(stood.protos.clone())
}

fn proto(content: &str) -> Value {
    json!({ "content": content })
}

fn written(content: &str) -> Value {
    let mut object = proto(content);
    object["id"] = json!("p");
    json!({ "protos": [object], "routes": [route("a", &guarded())] })
}

#[test]
fn one_that_is_at_fault_is_told_with_line_and_column_of_its_content() {
    let bench = Bench::new(&node());
    bench.compile(&written(SOUND));
    let Err(faults) = bench.try_compile(&written(BROKEN)) else { panic!("it compiles") };
    let [fault] = &*faults else { panic!("{faults:?}") };
    assert_eq!(fault.subject, "proto `p`");
    assert!(fault.problem.starts_with("line 2, column 22: expected "), "{}", fault.problem);
    let (_, sources) = bench.read(&written(BROKEN)).unwrap();
    assert_eq!(&*fault.diagnostic(&sources).path, "protos[0].content");
    let imports = "import \"other.proto\";";
    let Err(faults) = bench.try_compile(&written(imports)) else { panic!("it compiles") };
    assert!(faults[0].help.as_ref().unwrap().contains("--include_imports"));
}

#[test]
fn a_change_is_compiled_by_itself_and_what_is_at_fault_changes_nothing() {
    for way in [Written::Stored, Written::Listed, Written::Backwards] {
        let mut objects = super::live::first();
        objects.insert("protos/p", proto(SOUND));
        let mut live = Live::start(way, objects);
        let before = stood(&live).unwrap();
        assert!(live.amend(&[("protos/p", Some(proto("message B {}")))]), "{way:?}");
        let after = stood(&live).unwrap();
        assert!(!Arc::ptr_eq(&before, &after));
        // What else changes leaves it as it is, also where everything is compiled.
        assert!(live.amend(&[("upstreams/u1", Some(json!({ "nodes": { "127.0.0.1:9": 1 } })))]));
        assert!(Arc::ptr_eq(&after, &stood(&live).unwrap()));
        let rule = json!({ "plugins": { "ip-restriction": { "blacklist": ["192.0.2.9"] } } });
        assert!(!live.amend(&[("global_rules/g", Some(rule))]));
        live.take().unwrap();
        assert!(Arc::ptr_eq(&after, &stood(&live).unwrap()), "{way:?}");
        assert!(!live.amend(&[("protos/p", Some(proto(BROKEN)))]), "{way:?}");
        assert!(live.take().is_err());
        assert!(Arc::ptr_eq(&after, &stood(&live).unwrap()));
        assert!(live.amend(&[("protos/p", None)]) || live.take().is_ok(), "{way:?}");
        assert!(stood(&live).is_none());
    }
}

const SHOP: &str = "syntax = \"proto3\"; message A {} service S { rpc Say(A) returns (A); }";

/// A route to a method of the service that a proto describes.
fn calling(id: &str) -> Value {
    let mut plugins = guarded();
    plugins["grpc-transcode"] = json!({ "proto_id": id, "service": "S", "method": "Say" });
    let upstream = json!({ "nodes": { "127.0.0.1:1": 1 }, "scheme": "grpc" });
    json!({ "uri": "/a", "plugins": plugins, "upstream": upstream })
}

#[test]
fn a_change_compiles_the_routes_that_are_made_of_it_and_no_others() {
    let mut objects = super::live::first();
    objects.insert("protos/p", proto(SHOP));
    objects.insert("protos/q", proto(SHOP));
    objects.insert("routes/r1", calling("p"));
    objects.insert("routes/r2", calling("q"));
    let mut live = Live::start(Written::Stored, objects);
    let route = |live: &Live, id: &str| {
        live.bench.compiler.standing.as_ref().unwrap().routes[id].route.clone()
    };
    let before = ["r0", "r1", "r2"].map(|id| route(&live, id));
    let other = SHOP.replace("message A {}", "message A { string a = 1; }");
    assert!(live.amend(&[("protos/p", Some(proto(&other)))]));
    let is_same = |at: usize, id: &str| Arc::ptr_eq(&before[at], &route(&live, id));
    assert!(is_same(0, "r0") && !is_same(1, "r1") && is_same(2, "r2"));
    // What a route is made of is no less than it names.
    assert!(!live.amend(&[("protos/p", Some(proto("message A {}")))]));
    let faults = live.take().unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].problem.contains("no service `S`"), "{faults:?}");
}

#[test]
fn of_a_proto_at_fault_and_the_routes_that_name_it_the_first_is_told() {
    let mut routes = vec![calling("p"), calling("nosuch")];
    for (at, route) in routes.iter_mut().enumerate() {
        route["id"] = json!(format!("r{at}"));
    }
    let mut broken = proto(BROKEN);
    broken["id"] = json!("p");
    let problems = Bench::new(&node()).problems(&json!({ "protos": [broken], "routes": routes }));
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("line 2, column 22"), "{problems:?}");
    assert_eq!(problems[1], "there is no proto `nosuch`");
}

#[test]
fn answers_are_translated_where_the_upstream_is_and_only_there() {
    let transcode = json!({ "proto_id": "p", "service": "S", "method": "Say" });
    let plugins = json!({ "grpc-transcode": transcode });
    let resources = |kind: &str, object: Value| {
        let mut proto = proto(SHOP);
        proto["id"] = json!("p");
        json!({ "protos": [proto], "routes": [route("a", &guarded())], kind: [object] })
    };
    for (kind, object) in [
        ("global_rules", json!({ "id": "g", "plugins": plugins })),
        ("consumers", json!({ "username": "g", "plugins": plugins })),
        ("consumer_groups", json!({ "id": "g", "plugins": plugins })),
    ] {
        assert_eq!(
            Bench::new(&node()).problems(&resources(kind, object)),
            ["`grpc-transcode` is about what the upstream of a route speaks"],
            "{kind}"
        );
    }
    Bench::new(&node())
        .compile(&resources("plugin_configs", json!({ "id": "g", "plugins": plugins })));
}
