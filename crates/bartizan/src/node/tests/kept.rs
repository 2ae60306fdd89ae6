//! What outlives a change that is refused, and a node whose etcd is away when it starts again.

use bartizan_testkit::EtcdServer;

use super::*;

fn etcd(server: &EtcdServer, on_invalid: &str) -> String {
    let (url, key) = (server.url(), "0f".repeat(32));
    format!(
        "\
listeners: [{{ address: \"127.0.0.1:0\" }}]
workers: 1
on_invalid: {on_invalid}
store:
  etcd:
    endpoints: [\"{url}\"]
    timeout: 1s
    snapshot: {{ path: kept, key: \"{key}\" }}
"
    )
}

impl Scene {
    /// Stops the node, and starts it again without its store.
    fn again_without(self, server: &mut EtcdServer) -> Self {
        let Self { node, folder } = self;
        node.stop();
        server.stop();
        let path = folder.path().join("bartizan.yaml");
        let node = Node::start(&path, Overrides::default()).unwrap_or_else(|f| panic!("{f:?}"));
        Self { node, folder }
    }
}

#[test]
fn a_change_is_kept_though_the_next_one_is_refused_before_it_was() {
    let mut server = EtcdServer::start();
    let mut scene = Scene::with(&etcd(&server, "reject_all"));
    server.put("/apisix/routes/a", route("/a").to_string());
    scene.take_change();
    assert!(is_by_itself(&scene, 0));
    server.put("/apisix/routes/b", "{\"uri\": \"/b\"}");
    scene.take_change();
    assert!(scene.node.ledger.is_none() && scene.node.keep_at.is_none());
    let scene = scene.again_without(&mut server);
    assert_eq!(["/a", "/b"].map(|path| scene.status(path)), ["401", "404"]);
}

#[test]
fn what_is_in_force_is_kept_while_the_store_holds_what_nobody_judged() {
    let mut server = EtcdServer::start();
    let mut scene = Scene::with(&etcd(&server, "reject_all"));
    server.put("/apisix/routes/a", route("/a").to_string());
    server.put("/apisix/routes/b", route("/b").to_string());
    while scene.status("/b") != "401" {
        scene.take_change();
    }
    server.put("/apisix/routes/a", "{\"uri\": \"/other\"}");
    server.put("/apisix/routes/c", route("/c").to_string());
    let revision = server.delete("/apisix/routes/b");
    let store = Arc::clone(&scene.node.store);
    scene.node.control.block_on(async {
        let mut seen = scene.node.seen;
        while seen < revision {
            store.changed(seen).await;
            seen = store.snapshot().await.unwrap().revision;
        }
    });
    let scene = scene.again_without(&mut server);
    assert_eq!(["/a", "/b", "/c"].map(|path| scene.status(path)), ["401", "401", "404"]);
}

#[test]
fn the_list_of_enabled_plugins_keeps_its_last_good_version() {
    let server = EtcdServer::start();
    let good = r#"["key-auth", {"name": "any-authenticated"}]"#;
    server.put("/apisix/plugins", good);
    server.put("/apisix/routes/a", route("/a").to_string());
    let mut scene = Scene::with(&etcd(&server, "quarantine"));
    // By itself, so that a ledger tells what was good.
    server.put("/apisix/routes/b", route("/b").to_string());
    scene.take_change();
    assert!(is_by_itself(&scene, 0));
    server.put("/apisix/plugins", "[7]");
    scene.take_change();
    assert!(scene.quarantined() > 0, "the change is refused");
    assert_eq!(["/a", "/b"].map(|path| scene.status(path)), ["401", "401"]);
    server.put("/apisix/plugins", good);
    scene.take_change();
    assert_eq!(scene.quarantined(), 0);
}
