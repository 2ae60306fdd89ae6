//! Secrets of a Vault that answers as the real one does, over streams in memory and a clock that
//! tests move.

mod refreshing;
mod tokens;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{
    Keeper, KvVersion, SecretFault, SecretManager, SecretName, Vault, VaultAuth,
};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Secret};
use bartizan_secrets::{Managers, ManagersSettings};
use bartizan_testkit::{Answer, Remotes, VaultDouble, run};
use serde_json::json;

use crate::{REFRESH, STALE, assert_says, manager};

const NODE: &str = "vault.test:8200";

/// A configuration that refers to secrets, and the Vault that keeps them.
struct Scene {
    managers: Managers,
    double: VaultDouble,
    remotes: Remotes,
    metrics: SharedMetrics,
    vault: Arc<SecretManager>,
}

fn vault(auth: VaultAuth) -> Vault {
    Vault {
        uri: "http://vault.test:8200".to_owned(),
        prefix: "kv".to_owned(),
        mount: "kv".to_owned(),
        kv: KvVersion::One,
        namespace: None,
        auth,
    }
}

fn name(path: &str, key: &str) -> SecretName {
    SecretName { manager: "vault/1".into(), path: path.into(), key: Some(key.into()) }
}

impl Scene {
    fn of(vault: Vault) -> Self {
        Self::of_manager(manager("vault/1", Keeper::Vault(vault)))
    }

    fn of_manager(manager: SecretManager) -> Self {
        let (double, remotes) = (VaultDouble::default(), Remotes::default());
        let answers = double.clone();
        remotes.respond(NODE, move |seen| answers.answer(seen));
        let metrics = SharedMetrics::default();
        let managers = Managers::new(ManagersSettings {
            reach: Arc::new(remotes.clone()),
            clock: Clock::System,
            metrics: metrics.clone(),
        });
        Self { managers, double, remotes, metrics, vault: Arc::new(manager) }
    }

    fn new() -> Self {
        let scene = Self::of(vault(VaultAuth::Token(Secret::new("root"))));
        scene.double.token("root", None, false);
        scene.double.put("kv/jack", json!({ "key": "one", "number": 7, "empty": "" }));
        scene
    }

    /// What the node does: judges, fetches what is missing, judges again.
    async fn value(&self, written: &str) -> Result<String, String> {
        let (path, key) = written.rsplit_once('/').unwrap();
        let name = name(path, key);
        loop {
            match self.managers.value(&self.vault, &name) {
                Ok(value) => return Ok(value),
                Err(SecretFault::Refused(why)) => return Err(why),
                Err(SecretFault::NotFetched) => assert!(self.managers.fetch().await),
            }
        }
    }

    /// Lets time pass, and what is due be done.
    async fn pass(&self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        tokio::time::sleep_until(end).await;
    }
}

#[test]
fn a_value_is_fetched_once_for_all_who_refer_to_its_path() {
    run(async {
        let scene = Scene::new();
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("one"));
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("one"));
        let seen = scene.double.take();
        assert_eq!(seen, ["GET /v1/auth/token/lookup-self", "GET /v1/kv/jack"]);
        assert!(!scene.managers.fetch().await);
    });
}

#[test]
fn version_two_and_namespaces_are_asked_as_they_want_it() {
    run(async {
        let written = Vault {
            prefix: "kv2/apisix".to_owned(),
            mount: "kv2".to_owned(),
            kv: KvVersion::Two,
            namespace: Some("team".to_owned()),
            ..vault(VaultAuth::Token(Secret::new("root")))
        };
        let scene = Scene::of(written);
        scene.double.token("root", None, false);
        scene.double.namespace("team");
        scene.double.put("kv2/apisix/jack", json!({ "key": "two" }));
        assert_eq!(scene.value("jack/key").await.as_deref(), Ok("two"));
        assert_says(scene.value("joe/key").await, "there is nothing at the path");
    });
}

#[test]
fn what_cannot_be_had_says_why_and_never_what_it_is() {
    run(async {
        let scene = Scene::new();
        for (name, words) in [
            ("jack/other", "`$secret://vault/1/jack/other` cannot be had from"),
            ("jack/other", "holds no such key"),
            ("jack/number", "no text"),
            ("jack/empty", "empty value"),
            ("joe/key", "there is nothing at the path"),
        ] {
            let problem = scene.value(name).await.expect_err("no value");
            assert!(problem.contains(words), "{problem}");
            assert!(!problem.contains("one"), "{problem}");
        }
    });
}

#[test]
fn a_vault_that_does_not_do_its_work_is_a_reason_of_its_own() {
    let huge = format!("{{\"data\":{{\"key\":\"{}\"}}}}", "x".repeat(1 << 20));
    let redirect = Answer::status(307).header("Location", "http://evil.test/v1/kv/jack");
    for (answer, words) in [
        (Answer::json(503, r#"{"errors":["Vault is sealed"]}"#), "sealed or out of order"),
        (Answer::json(403, r#"{"errors":["hunter2"]}"#), "(status 403)"),
        (Answer::json(429, "{}"), "asked too often"),
        (Answer::json(200, &huge), "longer than 1048576 bytes"),
        (redirect, "elsewhere (status 307)"),
        (Answer::json(200, "hunter2"), "not Vault's"),
        (
            Answer::raw(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            "not a valid answer",
        ),
        (Answer::close(), "cannot be reached"),
    ] {
        run(async {
            let scene = Scene::new();
            scene.double.instead(Some(answer.clone()));
            let problem = scene.value("jack/key").await.expect_err("no value");
            assert!(problem.contains(words), "{words}: {problem}");
            assert!(!problem.contains("hunter2") && !problem.contains("evil"), "{problem}");
            assert_eq!(scene.metrics.secrets_failing.get(), 1);
        });
    }
}

#[test]
fn an_answer_has_a_length_at_most() {
    const MAX: usize = 1 << 20;
    let around = r#"{"data":{"key":""}}"#.len();
    for (length, is_read) in [(MAX - 1, true), (MAX, true), (MAX + 1, false)] {
        run(async {
            let scene = Scene::new();
            let value = "x".repeat(length - around);
            let body = format!(r#"{{"data":{{"key":"{value}"}}}}"#);
            assert_eq!(body.len(), length);
            scene.remotes.respond(NODE, move |seen| match &*seen.target {
                "/v1/kv/jack" => Answer::json(200, &body),
                _ => Answer::json(200, r#"{"data":{"ttl":0,"renewable":false}}"#),
            });
            match scene.value("jack/key").await {
                Ok(read) => assert!(is_read && read == value),
                Err(problem) => {
                    assert!(!is_read && problem.contains("longer than 1048576 bytes"), "{problem}");
                }
            }
        });
    }
}

#[test]
fn a_vault_that_is_slow_is_waited_for_no_longer_than_it_may_take() {
    run(async {
        let scene = Scene::new();
        scene.double.slow(Duration::from_secs(6));
        let begin = tokio::time::Instant::now();
        assert_says(scene.value("jack/key").await, "no answer within 5000 ms");
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
    });
}

#[test]
fn many_secrets_of_a_vault_that_is_away_do_not_wait_one_after_the_other() {
    run(async {
        let scene = Scene::new();
        scene.double.slow(Duration::from_secs(60));
        for n in 0..200 {
            let name = name(&format!("p{n}"), "k");
            assert_eq!(scene.managers.value(&scene.vault, &name), Err(SecretFault::NotFetched));
        }
        let begin = tokio::time::Instant::now();
        assert!(scene.managers.fetch().await);
        assert!(begin.elapsed() <= Duration::from_secs(30), "{:?}", begin.elapsed());
        for n in [0, 1, 199] {
            assert_says(scene.value(&format!("p{n}/k")).await, "cannot be reached");
        }
    });
}

#[test]
fn settings_that_cannot_be_used_are_told_without_asking() {
    run(async {
        for (uri, ca_certs, words) in [
            ("https://vault.test", Some("-----BEGIN nothing"), "its `tls`"),
            ("http://vault.test:0", None, "its `uri`"),
        ] {
            let root = vault(VaultAuth::Token(Secret::new("root")));
            let keeper = Keeper::Vault(Vault { uri: uri.to_owned(), ..root });
            let mut written = manager("vault/1", keeper);
            written.ca_certs = ca_certs.map(str::to_owned);
            let scene = Scene::of_manager(written);
            assert_says(scene.value("jack/key").await, words);
            assert_eq!(scene.remotes.connections(), 0);
        }
    });
}

#[test]
fn more_secrets_than_are_kept_are_refused() {
    run(async {
        let scene = Scene::new();
        let ask = |n: usize| {
            let path = format!("p{n}");
            let name = name(&path, "k");
            scene.managers.value(&scene.vault, &name)
        };
        for n in 0..bartizan_secrets::ENTRIES_MAX {
            assert_eq!(ask(n), Err(SecretFault::NotFetched), "{n}");
        }
        assert!(matches!(ask(usize::MAX), Err(SecretFault::Refused(_))));
    });
}
