//! Values that change, and a Vault that goes away.

use super::*;

#[test]
fn a_value_that_changes_is_told_after_the_interval_and_not_before() {
    run(async {
        let scene = Scene::new();
        let seen = scene.managers.begin();
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("one"));
        scene.managers.end();
        scene.double.put("kv/jack", json!({ "key": "two" }));
        let begin = tokio::time::Instant::now();
        scene.managers.changed(seen).await;
        assert_eq!(begin.elapsed(), REFRESH);
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("two"));
    });
}

#[test]
fn a_value_that_stays_tells_nothing() {
    run(async {
        let scene = Scene::new();
        let seen = scene.managers.begin();
        scene.value("jack/key").await.unwrap();
        scene.double.take();
        let waited = tokio::time::timeout(REFRESH * 4, scene.managers.changed(seen)).await;
        assert!(waited.is_err());
        assert!(scene.double.take().len() >= 3);
    });
}

#[test]
fn a_lease_that_ends_sooner_is_asked_for_sooner() {
    run(async {
        let scene = Scene::new();
        scene.double.lease(20);
        let seen = scene.managers.begin();
        scene.value("jack/key").await.unwrap();
        scene.double.put("kv/jack", json!({ "key": "two" }));
        let begin = tokio::time::Instant::now();
        scene.managers.changed(seen).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(20));
    });
}

#[test]
fn a_vault_that_goes_away_leaves_the_value_for_a_stated_time_and_no_longer() {
    run(async {
        let scene = Scene::new();
        let seen = scene.managers.begin();
        scene.value("jack/key").await.unwrap();
        let begin = tokio::time::Instant::now();
        scene.double.seal(true);
        scene.pass(Duration::from_secs(3_598)).await;
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("one"));
        assert_eq!(scene.metrics.secrets_failing.get(), 1);
        scene.managers.changed(seen).await;
        assert_eq!(begin.elapsed(), STALE);
        assert_says(scene.value("jack/key").await, "sealed");

        let seen = scene.managers.begin();
        scene.double.seal(false);
        let begin = tokio::time::Instant::now();
        scene.managers.changed(seen).await;
        assert!(begin.elapsed() <= Duration::from_secs(60), "{:?}", begin.elapsed());
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("one"));
        assert_eq!(scene.metrics.secrets_failing.get(), 0);
    });
}

#[test]
fn a_secret_that_was_removed_is_not_used_any_longer() {
    run(async {
        let scene = Scene::new();
        let seen = scene.managers.begin();
        scene.value("jack/key").await.unwrap();
        scene.double.remove("kv/jack");
        let begin = tokio::time::Instant::now();
        scene.managers.changed(seen).await;
        assert_eq!(begin.elapsed(), REFRESH);
        assert_says(scene.value("jack/key").await, "there is nothing at the path");
    });
}

#[test]
fn a_secret_that_was_not_there_is_found_once_it_is() {
    run(async {
        let scene = Scene::new();
        let seen = scene.managers.begin();
        assert!(scene.value("joe/key").await.is_err());
        scene.pass(Duration::from_secs(10)).await;
        scene.double.put("kv/joe", json!({ "key": "late" }));
        scene.managers.changed(seen).await;
        assert_eq!(scene.value("joe/key").await.as_deref(), Ok("late"));
    });
}

#[test]
fn tries_become_rare() {
    run(async {
        let scene = Scene::new();
        scene.double.instead(Some(Answer::status(500)));
        assert!(scene.value("jack/key").await.is_err());
        scene.double.take();
        scene.pass(Duration::from_secs(3_600)).await;
        let tries = scene.double.take().len();
        assert!((30..80).contains(&tries), "{tries}");
    });
}

#[test]
fn what_nothing_refers_to_is_not_asked_for() {
    run(async {
        let scene = Scene::new();
        scene.managers.begin();
        scene.value("jack/key").await.unwrap();
        scene.managers.end();
        scene.managers.begin();
        scene.managers.end();
        scene.double.take();
        scene.pass(REFRESH * 3).await;
        assert!(scene.double.take().is_empty());
    });
}

#[test]
fn another_way_into_a_vault_is_taken_at_once() {
    run(async {
        let mut scene = Scene::new();
        scene.value("jack/key").await.unwrap();
        scene.double.revoke_all();
        scene.double.token("next", None, false);
        let next = vault(VaultAuth::Token(Secret::new("next")));
        scene.vault = Arc::new(manager("vault/1", Keeper::Vault(next)));
        scene.double.put("kv/jack", json!({ "key": "two" }));
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("two"));
    });
}

#[test]
fn nothing_is_asked_once_nobody_is_there_to_be_told() {
    run(async {
        let Scene { managers, double, vault, .. } = Scene::new();
        let name = name("jack", "key");
        assert_eq!(managers.value(&vault, &name), Err(SecretFault::NotFetched));
        assert!(managers.fetch().await);
        drop(managers);
        double.take();
        tokio::time::sleep(REFRESH * 3).await;
        assert!(double.take().is_empty());
    });
}
