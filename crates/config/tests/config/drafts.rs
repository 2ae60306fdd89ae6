//! Objects of stores, folders of documents, and what is left when some are at fault.

use std::path::Path;

use bartizan_config::{Draft, ObjectFacts, Resources, StoredObject, objects_at, one_line};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::catalogue::{Catalogue, NODE, loader};

/// A draft of a node whose store is empty.
pub(crate) fn draft() -> Draft {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bartizan.yaml");
    std::fs::write(&path, format!("{NODE}store: {{embedded: {{path: store}}}}\n")).unwrap();
    bartizan_config::Loader::new(&Catalogue).node_draft(&path).unwrap().1
}

pub(crate) fn add(draft: &mut Draft, objects: &[(&str, &str, &str)]) {
    for (collection, id, content) in objects {
        let name = format!("{collection}/{id} at revision 7");
        let content = &content.as_bytes().into();
        draft.add_object(&StoredObject { collection, id, name: &name, content });
    }
}

fn judged(draft: &mut Draft) -> Result<Resources, Vec<String>> {
    draft.judge(&loader()).map_err(|problems| {
        problems.iter().map(|problem| one_line(draft.sources(), problem)).collect()
    })
}

fn object(draft: &Draft, name: &str) -> ObjectFacts {
    let objects = draft.objects(&loader());
    objects.into_iter().find(|object| object.name.to_string() == name).unwrap()
}

const UPSTREAM: &str = r#"{"nodes": {"127.0.0.1:1": 1}}"#;

#[test]
fn objects_of_a_store_are_read_under_the_ids_of_their_keys() {
    let mut draft = draft();
    add(
        &mut draft,
        &[
            ("routes", "r", r#"{"uri": "/a", "upstream_id": "u", "id": "r", "create_time": 1}"#),
            ("upstreams", "u", UPSTREAM),
            ("consumers", "jack", r#"{"username": "jack"}"#),
            ("consumers", "jack/credentials/c", r#"{"plugins": {"key-auth": {"key": "a-key"}}}"#),
        ],
    );
    let resources = judged(&mut draft).unwrap();
    assert_eq!(&*resources.routes[0].id, "r");
    assert_eq!(&*resources.upstreams[0].id, "u");
    assert_eq!(&*resources.consumers[0].credentials[0].id, "c");
}

#[test]
fn problems_of_objects_are_shown_with_key_and_revision() {
    let mut draft = draft();
    add(
        &mut draft,
        &[
            ("routes", "r", r#"{"urii": "/a", "upstream_id": "none"}"#),
            ("routes", "s", r#"{"id": "other", "uri": "/a"}"#),
            ("routes", "t", "{\"uri\": "),
            ("routes", "u", "[]"),
            ("upstream", "u", "{}"),
            ("stream_routes", "u", "{}"),
            ("upstreams", "v", r#"{"nodes": {"127.0.0.1:1": "x"}}"#),
        ],
    );
    draft.add_object(&StoredObject {
        collection: "routes",
        id: "w",
        name: "routes/w at revision 9",
        content: &b"{\"uri\": \"\xff\"}"[..].into(),
    });
    let problems = judged(&mut draft).unwrap_err();
    let starts = [
        "routes/r at revision 7:1:2: unknown field `urii` (at urii)",
        "routes/s at revision 7:1:8: the `id` is `other`, but the object is stored under `s` (at id)",
        "routes/t at revision 7:1:",
        "routes/u at revision 7:1:1: expected a JSON object",
        "upstream/u at revision 7:1:1: unknown field `upstream`; did you mean `upstreams`?",
        "stream_routes/u at revision 7:1:1: `stream_routes` is not supported yet",
        "upstreams/v at revision 7:1:27: ",
        "routes/w at revision 9:1:10: the document is not UTF-8",
    ];
    for start in starts {
        let has = problems.iter().any(|problem| problem.starts_with(start));
        assert!(has, "{start}\n{problems:#?}");
    }
}

#[test]
fn a_problem_leads_to_its_object_for_which_an_earlier_text_can_stand() {
    let mut draft = draft();
    add(
        &mut draft,
        &[("upstreams", "u", UPSTREAM), ("routes", "r", r#"{"uri": 7, "upstream_id": "u"}"#)],
    );
    let problems = draft.judge(&loader()).unwrap_err();
    let objects = draft.objects(&loader());
    let at = draft.object_of(&objects, problems[0].place).unwrap();
    assert_eq!(objects[at].name.to_string(), "routes/r");
    assert!(draft.replace(&objects[at], r#"{"uri": "/old", "upstream_id": "gone"}"#));
    assert!(!draft.is_as_it_is(&objects[at]));
    // What stands for it is at fault too, which leads to the same object.
    let problems = draft.judge(&loader()).unwrap_err();
    assert!(one_line(draft.sources(), &problems[0]).starts_with("routes/r, as it was before:1:"));
    assert_eq!(draft.object_of(&objects, problems[0].place), Some(at));
    assert!(!draft.replace(&objects[at], UPSTREAM), "once");
    assert!(draft.set_aside(&objects[at]));
    assert!(judged(&mut draft).unwrap().routes.is_empty());
    assert!(!draft.set_aside(&objects[at]), "once");
}

#[test]
fn a_route_that_is_set_aside_owns_what_can_be_read_of_its_paths() {
    let mut draft = draft();
    let route = r#"{"uris": ["/a/*", "no path", 7], "methods": ["GET"], "service_id": "s",
        "priority": 3, "upstream": 1}"#;
    add(&mut draft, &[("services", "s", r#"{"hosts": ["A.test"]}"#), ("routes", "r", route)]);
    assert!(draft.judge(&loader()).is_err());
    let at = object(&draft, "routes/r");
    assert!(draft.set_aside(&at));
    let resources = judged(&mut draft).unwrap();
    let [blocked] = resources.blocked.as_slice() else { panic!("one route") };
    assert_eq!((blocked.uris.join(","), blocked.priority), ("/a/*,/no path".to_owned(), 3));
    assert_eq!(
        (blocked.hosts.join(","), blocked.methods.join(",")),
        ("a.test".into(), "GET".into())
    );
}

#[test]
fn what_may_protect_others_is_never_set_aside() {
    let mut draft = draft();
    let ssl = r#"{"snis": ["a.test"], "cert": "x", "key": "y", "client": {"ca": "z"}}"#;
    add(
        &mut draft,
        &[
            ("global_rules", "g", "{"),
            ("plugin_metadata", "m", "{}"),
            ("ssls", "mutual", ssl),
            ("ssls", "torn", "{"),
            ("ssls", "plain", r#"{"snis": ["a.test"]}"#),
        ],
    );
    for (name, expected) in [
        ("global_rules/g", false),
        ("plugin_metadata/m", false),
        ("ssls/mutual", false),
        ("ssls/torn", false),
        ("ssls/plain", true),
    ] {
        let at = object(&draft, name);
        assert_eq!(draft.set_aside(&at), expected, "{name}");
    }
}

#[test]
fn a_service_of_which_a_price_is_set_aside_has_none_that_is_known() {
    for (torn, is_read) in [("{", false), (r#"{"field_path": "a b"}"#, true)] {
        let mut draft = draft();
        add(
            &mut draft,
            &[
                ("services", "s", "{}"),
                (
                    "services",
                    "t",
                    r#"{"graphql_cost_decorations": [{"id": 7, "field_path": "a"}]}"#,
                ),
                ("services", "s/graphql_cost_decorations/1", torn),
                ("services", "t/graphql_cost_decorations/1", r#"{"field_path": "b.c"}"#),
                ("services", "u/graphql_cost_decorations/1", r#"{"field_path": "b.c"}"#),
            ],
        );
        let problems = judged(&mut draft).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        let dangling = "there is no service `u`";
        assert!(problems.iter().any(|problem| problem.contains(dangling)), "{problems:?}");
        for name in
            ["services/s/graphql_cost_decorations/1", "services/u/graphql_cost_decorations/1"]
        {
            let at = object(&draft, name);
            assert!(draft.set_aside(&at), "{name}");
        }
        let resources = judged(&mut draft).unwrap();
        let costs = |at: usize| resources.services[at].graphql_costs.as_ref().unwrap();
        assert!(costs(0).is_broken, "{is_read}");
        assert!(!costs(1).is_broken && costs(1).below["b"].below["c"].cost.is_some());
        assert!(costs(1).below["a"].cost.is_some());
    }
}

#[test]
fn the_documents_of_a_folder_are_read_together() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("bartizan.yaml", &format!("{NODE}store: {{file: {{path: conf}}}}\n"));
    write("conf/a.yaml", "routes: [{id: a, uri: /a, upstream_id: u}]\n#END\n");
    write("conf/b.json", r#"{"upstreams": [{"id": "u", "nodes": {"127.0.0.1:1": 1}}]}"#);
    write("conf/.hidden.yaml", "routes: 7\n");
    write("conf/notes.txt", "no document");
    write("conf/below/c.yaml", "routes: 7\n");
    let load = || bartizan_config::load_node(&folder.path().join("bartizan.yaml"), &Catalogue);
    let loaded = load().unwrap();
    assert_eq!((loaded.resources.routes.len(), loaded.resources.upstreams.len()), (1, 1));
    let names = ["bartizan.yaml", "conf", "conf/a.yaml", "conf/b.json"];
    assert_eq!(loaded.files, names.map(|name| folder.path().join(name)));
    write("conf/c.yaml", "routes: [{id: a, uri: /b, upstream_id: v}]\n");
    let failure = load().unwrap_err();
    let told: Vec<String> =
        failure.diagnostics.iter().map(|problem| one_line(&failure.sources, problem)).collect();
    assert!(told[0].contains("c.yaml:1:15: the route `a` is given twice"), "{told:?}");
    assert!(told[1].contains("c.yaml:1:40: there is no upstream `v`"), "{told:?}");
}

#[test]
fn variables_of_the_environment_are_replaced_in_documents_and_not_in_stores() {
    let text = "upstreams: [{id: u, nodes: {'${{NO_SUCH_NAME:=127.0.0.1}}:1': '${{NO_SUCH:=3}}'}}]";
    let node = crate::catalogue::node("");
    let loaded = loader().resources_text(&node, Path::new("/etc/b/r.yaml"), text).unwrap();
    assert_eq!(loaded.resources.upstreams[0].nodes[0].weight, 3);
    let mut draft = draft();
    add(&mut draft, &[("routes", "r", r#"{"uri": "/${{NO_SUCH:=x}}", "plugins": {}}"#)]);
    let problems = judged(&mut draft).unwrap_err();
    assert!(
        problems[0].contains("is replaced in documents of a `file` store only"),
        "{problems:?}"
    );
}

/// Resources as text, without the places where they stand.
fn placeless(resources: &Resources) -> String {
    let text = format!("{resources:?}");
    let mut parts = text.split("Place {");
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        left.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    left
}

fn documents() -> impl Strategy<Value = Value> {
    let id = || "[a-d]";
    let upstreams = prop::collection::btree_map(id(), 1_u16..9, 1..4);
    let routes = prop::collection::btree_map(id(), ("/[a-z]{1,3}", 0_i64..3), 0..4);
    let consumers = prop::collection::btree_map("[a-d]{2}", "[a-z]{3,5}", 0..4);
    (upstreams, routes, consumers).prop_map(|(upstreams, routes, consumers)| {
        let first = upstreams.keys().next().cloned();
        let upstream = |(id, port): (String, u16)| {
            json!({ "id": id, "nodes": { format!("127.0.0.1:{port}"): 1 } })
        };
        let route = |(id, (uri, priority)): (String, (String, i64))| {
            json!({ "id": id, "uri": uri, "priority": priority, "upstream_id": first })
        };
        let consumer = |(name, key): (String, String)| {
            json!({ "username": name, "plugins": { "key-auth": { "key": key } } })
        };
        json!({
            "upstreams": upstreams.into_iter().map(upstream).collect::<Vec<_>>(),
            "routes": routes.into_iter().map(route).collect::<Vec<_>>(),
            "consumers": consumers.into_iter().map(consumer).collect::<Vec<_>>(),
        })
    })
}

proptest! {
    #[test]
    fn a_document_means_the_same_as_its_objects_in_a_store(document in documents()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        std::fs::write(&path, document.to_string()).unwrap();
        let node = crate::catalogue::node("");
        let whole = loader().resources_text(&node, &path, &document.to_string()).unwrap();
        let mut draft = draft();
        for (name, value) in objects_at(&path, 1 << 20, &bartizan_config::System).unwrap() {
            let content = value.to_string();
            add(&mut draft, &[(&name.collection, &name.id, &content)]);
        }
        let mut single = judged(&mut draft).unwrap();
        prop_assert!(single.is_keyed && !whole.resources.is_keyed);
        single.is_keyed = false;
        prop_assert_eq!(placeless(&whole.resources), placeless(&single));
    }
}
