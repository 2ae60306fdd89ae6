//! Secrets of a Secret Manager of Google Cloud that verifies every assertion by itself.

use bartizan_config::{Gcp, ServiceAccount};
use bartizan_core::Secret;
use bartizan_testkit::{Answer, GcpDouble, run};

use super::*;

const NODE: &str = "gcp.test:8085";
const TOKEN: &str = "POST /token";
const READ: &str = "GET /v1/projects/shop/secrets/jack/versions/latest:access";

fn account(double: &GcpDouble) -> ServiceAccount {
    ServiceAccount {
        client_email: GcpDouble::ACCOUNT.to_owned(),
        private_key: Secret::new(double.private_key()),
        project_id: "shop".to_owned(),
        token_uri: format!("http://{NODE}/token"),
        entries_uri: format!("http://{NODE}/v1"),
        scope: vec!["scope-a".to_owned(), "scope-b".to_owned()],
    }
}

fn scene_of(double: &GcpDouble, account: ServiceAccount) -> Asking {
    let remotes = Remotes::default();
    let answers = double.clone();
    remotes.respond(NODE, move |seen| answers.answer(seen));
    let gcp = Gcp { account, danger_verify_off: false };
    Asking::of(manager("gcp/1", Keeper::Gcp(gcp)), &remotes)
}

fn scene() -> (Asking, GcpDouble) {
    let double = GcpDouble::new(&format!("http://{NODE}/token"), "scope-a scope-b");
    double.put("shop", "jack", r#"{"key": "one"}"#);
    double.put("shop", "plain", "just this");
    (scene_of(&double, account(&double)), double)
}

#[test]
fn an_account_is_let_in_once_for_all_secrets() {
    run(async {
        let (scene, double) = scene();
        assert_eq!(scene.value("jack", Some("key")).await.as_deref(), Ok("one"));
        assert_eq!(double.take(), [TOKEN, READ]);
        assert_eq!(scene.value("jack", None).await.as_deref(), Ok(r#"{"key": "one"}"#));
        assert_eq!(double.take(), Vec::<String>::new());
        assert_eq!(scene.value("plain", None).await.as_deref(), Ok("just this"));
        assert_eq!(double.take().len(), 1);
    });
}

#[test]
fn a_token_is_kept_until_shortly_before_its_end() {
    run(async {
        let (scene, double) = scene();
        double.lifetime(REFRESH.as_secs() * 2 + 30);
        scene.value("plain", None).await.unwrap();
        assert_eq!(double.take().len(), 2);
        tokio::time::sleep(REFRESH + Duration::from_secs(1)).await;
        assert_eq!(double.take().len(), 1);
        // The second time, less than a minute of it is left.
        tokio::time::sleep(REFRESH).await;
        assert_eq!(double.take().len(), 2);
        assert_eq!(scene.metrics.secrets_failing.get(), 0);
    });
}

#[test]
fn a_token_that_was_taken_back_is_replaced_once() {
    run(async {
        let (scene, double) = scene();
        scene.value("plain", None).await.unwrap();
        double.revoke_all();
        double.take();
        assert_eq!(scene.value("jack", Some("key")).await.as_deref(), Ok("one"));
        assert_eq!(double.take(), [READ, TOKEN, READ]);
        double.accept_none(true);
        double.put("shop", "new", "x");
        assert_says(scene.value("new", None).await, "does not accept the token");
        assert_eq!(double.take().len(), 3);
    });
}

#[test]
fn who_is_not_let_in_is_told_so() {
    run(async {
        let (_, double) = scene();
        let right = account(&double);
        let other = GcpDouble::new("http://x", "");
        for wrong in [
            ServiceAccount { client_email: "eve@p.test".to_owned(), ..right.clone() },
            ServiceAccount { private_key: Secret::new(other.private_key()), ..right.clone() },
            ServiceAccount { scope: vec!["scope-a".to_owned()], ..right.clone() },
            ServiceAccount { token_uri: format!("http://{NODE}/other"), ..right.clone() },
        ] {
            let scene = scene_of(&double, wrong);
            let problem = scene.value("plain", None).await.expect_err("no value");
            assert!(
                problem.contains("does not let the gateway in by `service account`"),
                "{problem}"
            );
            assert!(!double.take().iter().any(|line| line.starts_with("GET")));
        }
        for key in
            ["-----BEGIN nothing", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
        {
            let private_key = Secret::new(key);
            let scene = scene_of(&double, ServiceAccount { private_key, ..right.clone() });
            let problem = scene.value("plain", None).await.expect_err("no value");
            assert!(problem.contains("its `private_key` is no RSA key"), "{problem}");
            assert!(!problem.contains("AAAA"), "{problem}");
        }
    });
}

#[test]
fn a_value_that_changes_is_told_and_one_that_is_gone_is_not_used() {
    run(async {
        let (scene, double) = scene();
        let seen = scene.managers.begin();
        scene.value("jack", Some("key")).await.unwrap();
        scene.managers.end();
        double.put("shop", "jack", r#"{"key": "two"}"#);
        assert_eq!(scene.changed(seen).await, REFRESH);
        assert_eq!(scene.value("jack", Some("key")).await.as_deref(), Ok("two"));
        let seen = scene.managers.begin();
        scene.value("jack", Some("key")).await.unwrap();
        double.remove("shop", "jack");
        assert_eq!(scene.changed(seen).await, REFRESH);
        assert_says(scene.value("jack", Some("key")).await, "there is nothing at the path");
    });
}

#[test]
fn a_service_that_is_away_leaves_values_until_they_are_too_old() {
    run(async {
        let (scene, double) = scene();
        let seen = scene.managers.begin();
        scene.value("plain", None).await.unwrap();
        double.instead(Some(Answer::status(503)));
        tokio::time::sleep(REFRESH + Duration::from_secs(10)).await;
        assert_eq!(scene.value("plain", None).await.as_deref(), Ok("just this"));
        scene.managers.changed(seen).await;
        assert_says(scene.value("plain", None).await, "out of order (status 503)");
    });
}

#[test]
fn what_cannot_be_had_says_why() {
    run(async {
        for (answer, words) in [
            (Answer::json(200, "<html>"), "not that of Secret Manager"),
            (Answer::json(200, r#"{"payload":{"data":"/w=="}}"#), "no text"),
            (
                Answer::json(403, r#"{"error":{"status":"PERMISSION_DENIED"}}"#),
                "may not read it (status 403)",
            ),
            (Answer::json(429, ""), "asked too often"),
            (
                Answer::status(301).header("Location", "http://evil.test/"),
                "sends the gateway elsewhere",
            ),
            (Answer::json(200, &"x".repeat((1 << 20) + 1)), "longer than 1048576 bytes"),
        ] {
            let (scene, double) = scene();
            double.reads(Some(answer));
            assert_says(scene.value("plain", None).await, words);
        }
        let (scene, double) = scene();
        double.instead(Some(Answer::json(200, r#"{"access_token":"a b"}"#)));
        assert_says(scene.value("plain", None).await, "no token that can be used");
    });
}
