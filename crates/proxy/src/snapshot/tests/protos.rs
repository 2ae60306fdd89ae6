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
