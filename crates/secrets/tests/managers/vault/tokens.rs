//! Ways into a Vault, and tokens that end.

use super::*;

const LEASE: Duration = Duration::from_secs(600);

fn approle() -> VaultAuth {
    VaultAuth::AppRole {
        mount: "approle".to_owned(),
        role_id: "gateway".to_owned(),
        secret_id: Secret::new("s3cret"),
    }
}

fn scene(auth: VaultAuth) -> Scene {
    let scene = Scene::of(vault(auth));
    let body = json!({ "role_id": "gateway", "secret_id": "s3cret" });
    scene.double.let_in("approle", body, LEASE);
    scene.double.put("kv/jack", json!({ "key": "one" }));
    scene
}

fn count(seen: &[String], what: &str) -> usize {
    seen.iter().filter(|line| *line == what).count()
}

#[test]
fn a_role_of_an_application_is_let_in_once_for_all_secrets() {
    run(async {
        let scene = scene(approle());
        for n in 0..20 {
            scene.double.put(&format!("kv/p{n}"), json!({ "key": "v" }));
            let path = format!("p{n}");
            let name = name(&path, "key");
            assert_eq!(scene.managers.value(&scene.vault, &name), Err(SecretFault::NotFetched));
        }
        assert!(scene.managers.fetch().await);
        assert_eq!(scene.value("p19/key").await.as_deref(), Ok("v"));
        let seen = scene.double.take();
        assert_eq!((seen.len(), count(&seen, "POST /v1/auth/approle/login")), (21, 1));
    });
}

#[test]
fn a_service_account_is_let_in() {
    run(async {
        let scene = Scene::of(vault(VaultAuth::Kubernetes {
            mount: "clusters/k8s".to_owned(),
            role: "gateway".to_owned(),
            jwt: Secret::new("a.b.c"),
        }));
        let body = json!({ "role": "gateway", "jwt": "a.b.c" });
        scene.double.let_in("clusters/k8s", body, LEASE);
        scene.double.put("kv/jack", json!({ "key": "one" }));
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("one"));
    });
}

#[test]
fn who_is_not_let_in_is_told_so() {
    run(async {
        let scene = scene(VaultAuth::AppRole {
            mount: "approle".to_owned(),
            role_id: "gateway".to_owned(),
            secret_id: Secret::new("wrong"),
        });
        let problem = scene.value("jack/key").await.expect_err("no value");
        assert!(problem.contains("does not let the gateway in by `approle` (status 400)"));
        assert!(!problem.contains("wrong"), "{problem}");
    });
}

#[test]
fn a_token_is_renewed_before_it_ends_even_if_nothing_is_asked() {
    run(async {
        let mut written = manager("vault/1", Keeper::Vault(vault(approle())));
        written.refresh = LEASE * 100;
        let scene = Scene::of_manager(written);
        let body = json!({ "role_id": "gateway", "secret_id": "s3cret" });
        scene.double.let_in("approle", body, LEASE);
        scene.double.put("kv/jack", json!({ "key": "one" }));
        scene.value("jack/key").await.unwrap();
        scene.double.take();
        scene.pass(LEASE * 3).await;
        let seen = scene.double.take();
        let renewals = count(&seen, "POST /v1/auth/token/renew-self");
        assert_eq!((renewals, seen.len()), (4, 4));
    });
}

#[test]
fn a_given_token_is_renewed_as_long_as_it_can_be() {
    run(async {
        let scene = Scene::of(vault(VaultAuth::Token(Secret::new("periodic"))));
        scene.double.token("periodic", Some(LEASE), true);
        scene.double.put("kv/jack", json!({ "key": "one" }));
        scene.value("jack/key").await.unwrap();
        scene.pass(LEASE * 10).await;
        assert_eq!(scene.metrics.secrets_failing.get(), 0);
        scene.double.put("kv/new", json!({ "key": "v" }));
        assert_eq!(scene.value("new/key").await.as_deref(), Ok("v"));
    });
}

#[test]
fn a_token_that_was_taken_back_is_replaced() {
    run(async {
        let scene = scene(approle());
        scene.value("jack/key").await.unwrap();
        scene.double.revoke_all();
        scene.double.put("kv/new", json!({ "key": "v" }));
        assert_eq!(scene.value("new/key").await.as_deref(), Ok("v"));
    });
}

#[test]
fn a_token_that_cannot_be_renewed_is_replaced_when_it_ends() {
    run(async {
        let scene = scene(approle());
        scene.value("jack/key").await.unwrap();
        // A lease too short to be renewed.
        let body = json!({ "role_id": "gateway", "secret_id": "s3cret" });
        scene.double.let_in("approle", body, Duration::from_secs(5));
        scene.double.revoke_all();
        scene.pass(REFRESH * 4).await;
        assert_eq!(scene.metrics.secrets_failing.get(), 0);
        let seen = scene.double.take();
        assert!(count(&seen, "POST /v1/auth/approle/login") >= 4, "{seen:?}");
    });
}

#[test]
fn a_given_token_that_ends_leaves_its_secrets_stale() {
    run(async {
        let scene = Scene::of(vault(VaultAuth::Token(Secret::new("short"))));
        scene.double.token("short", Some(LEASE), false);
        scene.double.put("kv/jack", json!({ "key": "one" }));
        let seen = scene.managers.begin();
        scene.value("jack/key").await.unwrap();
        let begin = tokio::time::Instant::now();
        scene.managers.changed(seen).await;
        // It was last seen when the token still was valid.
        let (least, most) = (STALE, STALE + LEASE);
        assert!((least..=most).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        assert_says(scene.value("jack/key").await, "(status 403)");
    });
}
