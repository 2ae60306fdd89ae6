//! Values that are written into a Vault.

use bartizan_config::KeyInVault;
use bartizan_secrets::Fault;

use super::*;

/// `kv/shop/alice` of version 1, or `kv2/shop/alice` of version 2.
fn scene(kv: KvVersion, auth: VaultAuth) -> (Scene, KeyInVault) {
    let mount = if kv == KvVersion::Two { "kv2" } else { "kv" };
    let vault =
        Vault { prefix: format!("{mount}/shop"), mount: mount.to_owned(), kv, ..vault(auth) };
    let scene = Scene::of(vault);
    scene.double.token("root", None, false);
    let body = json!({ "role_id": "gateway", "secret_id": "s3cret" });
    scene.double.let_in("approle", body, Duration::from_secs(600));
    scene.managers.know(&[Arc::clone(&scene.vault)]);
    let at = KeyInVault {
        manager: "1".to_owned(),
        uri: "http://vault.test:8200/".to_owned(),
        namespace: None,
        mount: mount.to_owned(),
        path: "shop/alice".to_owned(),
        key: "api-key".to_owned(),
    };
    (scene, at)
}

fn approle() -> VaultAuth {
    VaultAuth::AppRole {
        mount: "approle".to_owned(),
        role_id: "gateway".to_owned(),
        secret_id: Secret::new("s3cret"),
    }
}

fn root() -> VaultAuth {
    VaultAuth::Token(Secret::new("root"))
}

impl Scene {
    async fn write(&self, at: &KeyInVault, value: &str) -> Result<(), Fault> {
        self.managers.write(at, &Secret::new(value)).await
    }
}

#[test]
fn a_value_is_made_and_replaced_and_all_else_in_the_secret_stays() {
    run(async {
        for (kv, kept) in [(KvVersion::One, "kv/shop/alice"), (KvVersion::Two, "kv2/shop/alice")] {
            let (scene, at) = scene(kv, root());
            scene.write(&at, "first").await.unwrap();
            assert_eq!(scene.double.kept(kept), Some(json!({ "api-key": "first" })));
            scene.double.put(kept, json!({ "api-key": "first", "port": 7, "tags": ["a", null] }));
            scene.write(&at, "second").await.unwrap();
            let whole = json!({ "api-key": "second", "port": 7, "tags": ["a", null] });
            assert_eq!(scene.double.kept(kept), Some(whole));
            // One that was removed begins anew, also where its versions are remembered.
            scene.double.remove(kept);
            scene.write(&at, "third").await.unwrap();
            assert_eq!(scene.double.kept(kept), Some(json!({ "api-key": "third" })));
        }
    });
}

fn writes(scene: &Scene) -> usize {
    let seen = scene.double.take();
    seen.iter().filter(|line| line.starts_with("POST /v1/kv")).count()
}

#[test]
fn what_somebody_else_wrote_meanwhile_is_not_lost_where_there_are_versions() {
    run(async {
        for (times, is_written) in [(1, true), (2, true), (3, false)] {
            let (scene, at) = scene(KvVersion::Two, root());
            scene.double.put("kv2/shop/alice", json!({ "port": 1 }));
            scene.double.rival("kv2/shop/alice", json!({ "port": 2 }), times);
            let outcome = scene.write(&at, "new").await;
            assert_eq!(outcome.is_ok(), is_written, "{times}: {outcome:?}");
            let mut whole = json!({ "port": 2 });
            if is_written {
                whole["api-key"] = json!("new");
            }
            assert_eq!(scene.double.kept("kv2/shop/alice"), Some(whole));
            assert_eq!(writes(&scene), (times + 1).min(3));
        }
    });
}

#[test]
fn what_is_refused_for_good_is_written_once() {
    run(async {
        for (status, words) in
            [(400, "no data provided"), (400, "check-and-set parameter required")]
        {
            let (scene, at) = scene(KvVersion::Two, root());
            let refusal = json!({ "errors": [words] }).to_string();
            scene.double.refuse_writes(Some(Answer::json(status, &refusal)));
            let fault = scene.write(&at, "new").await.unwrap_err();
            assert!(
                fault.to_string().contains("(status 400)")
                    || fault.to_string().contains("status 400")
            );
            assert_eq!(writes(&scene), 1, "{words}");
        }
    });
}

#[test]
fn who_is_not_referred_to_is_entered_once_and_left_when_it_is_no_more() {
    run(async {
        let (scene, at) = scene(KvVersion::One, approle());
        let logins = |seen: &[String]| seen.iter().filter(|line| line.ends_with("/login")).count();
        for nth in 0..3 {
            scene.write(&at, "key").await.unwrap();
            assert_eq!(logins(&scene.double.take()), usize::from(nth == 0), "{nth}");
        }
        // The same once more changes nothing.
        scene.managers.know(&[Arc::clone(&scene.vault)]);
        scene.write(&at, "key").await.unwrap();
        scene.pass(Duration::from_secs(1)).await;
        assert!(!scene.double.take().iter().any(|line| line.ends_with("revoke-self")));
        scene.managers.know(&[]);
        scene.pass(Duration::from_secs(1)).await;
        assert_eq!(scene.double.take(), ["POST /v1/auth/token/revoke-self"]);
        // One that was given stays.
        let (scene, at) = self::scene(KvVersion::One, root());
        scene.write(&at, "key").await.unwrap();
        scene.managers.know(&[]);
        scene.double.take();
        scene.pass(Duration::from_secs(1)).await;
        assert_eq!(scene.double.take(), Vec::<String>::new());
    });
}

#[test]
fn a_value_goes_only_where_the_node_file_says() {
    run(async {
        let (scene, at) = scene(KvVersion::One, root());
        let elsewhere: [(&str, KeyInVault); 6] = [
            ("is not in force", KeyInVault { manager: "2".to_owned(), ..at.clone() }),
            ("another `uri`", KeyInVault { uri: "http://vault.test".to_owned(), ..at.clone() }),
            ("another `namespace`", KeyInVault { namespace: Some("a".to_owned()), ..at.clone() }),
            ("`mount`", KeyInVault { mount: "kv/shop".to_owned(), ..at.clone() }),
            ("not below", KeyInVault { path: "shopping/alice".to_owned(), ..at.clone() }),
            ("not below", KeyInVault { path: "alice".to_owned(), ..at.clone() }),
        ];
        for (words, at) in elsewhere {
            let fault = scene.write(&at, "new").await.unwrap_err();
            assert!(fault.to_string().contains(words), "{at:?}: {fault}");
        }
        assert_eq!(scene.double.take(), Vec::<String>::new());
        scene.managers.know(&[]);
        assert!(scene.write(&at, "new").await.unwrap_err().to_string().contains("not in force"));
    });
}

#[test]
fn what_is_not_written_says_why_and_leaves_what_was_there() {
    run(async {
        for kv in [KvVersion::One, KvVersion::Two] {
            let (scene, at) = scene(kv, root());
            let kept = format!("{}/shop/alice", at.mount);
            let there = json!({ "api-key": "old" });
            scene.double.put(&kept, there.clone());
            scene.double.may_only_read("root");
            assert_eq!(scene.write(&at, "new").await, Err(Fault::MayNotWrite));
            scene.double.seal(true);
            let fault = scene.write(&at, "new").await.unwrap_err();
            assert!(fault.to_string().contains("sealed"), "{fault}");
            // What there was is still all there is, and nobody is told what was to be written.
            assert_eq!(scene.double.kept(&kept), Some(there));
            assert!(!fault.to_string().contains("new"));
        }
        let (scene, at) = scene(KvVersion::Two, root());
        scene.double.instead(Some(Answer::json(200, r#"{"data":{"k":"v"}}"#)));
        let fault = scene.write(&at, "new").await.unwrap_err();
        assert!(fault.to_string().contains("`kv_version: 1`"), "{fault}");
        scene.double.instead(None);
        scene.double.slow(Duration::from_secs(6));
        let fault = scene.write(&at, "new").await.unwrap_err();
        assert!(fault.to_string().contains("cannot be reached"), "{fault}");
    });
}

#[test]
fn a_token_is_made_for_writing_as_it_is_for_reading() {
    run(async {
        let (scene, at) = scene(KvVersion::One, approle());
        scene.write(&at, "first").await.unwrap();
        assert_eq!(
            scene.double.take(),
            ["POST /v1/auth/approle/login", "GET /v1/kv/shop/alice", "POST /v1/kv/shop/alice"]
        );
        // One that is in use is used, and replaced where it was taken back.
        assert_eq!(scene.value("alice/api-key").await.as_deref(), Ok("first"));
        scene.double.take();
        scene.double.revoke_all();
        scene.write(&at, "second").await.unwrap();
        let seen = scene.double.take();
        assert_eq!(seen.iter().filter(|line| line.ends_with("/login")).count(), 1, "{seen:?}");
        assert_eq!(scene.double.kept("kv/shop/alice"), Some(json!({ "api-key": "second" })));
    });
}
