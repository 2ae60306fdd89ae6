//! Secrets of a Secrets Manager of AWS that verifies every signature by itself.

use bartizan_config::Aws;
use bartizan_core::Secret;
use bartizan_testkit::{Answer, AwsDouble, run};

use super::*;

const NODE: &str = "aws.test:4566";

fn aws(double: &AwsDouble) -> Aws {
    Aws {
        endpoint: format!("http://{NODE}"),
        region: double.region(),
        access_key_id: Secret::new(AwsDouble::KEY_ID),
        secret_access_key: Secret::new(AwsDouble::KEY),
        session_token: None,
    }
}

fn scene_of(double: &AwsDouble, aws: Aws) -> Asking {
    let remotes = Remotes::default();
    let answers = double.clone();
    remotes.respond(NODE, move |seen| answers.answer(seen));
    Asking::of(manager("aws/1", Keeper::Aws(aws)), &remotes)
}

fn scene() -> (Asking, AwsDouble) {
    let double = AwsDouble::new("eu-west-1");
    double.put("teams/jack", r#"{"key": "one", "port": 7, "empty": ""}"#);
    double.put("plain", "just this");
    (scene_of(&double, aws(&double)), double)
}

#[test]
fn a_secret_is_read_once_for_all_keys_in_it_with_a_signature_that_holds() {
    run(async {
        let (scene, double) = scene();
        assert_eq!(scene.value("teams/jack", Some("key")).await.as_deref(), Ok("one"));
        assert_says(scene.value("teams/jack", Some("port")).await, "is no text");
        assert_says(scene.value("teams/jack", Some("empty")).await, "empty value");
        assert_says(scene.value("teams/jack", Some("none")).await, "holds no such key");
        let whole = r#"{"key": "one", "port": 7, "empty": ""}"#;
        assert_eq!(scene.value("teams/jack", None).await.as_deref(), Ok(whole));
        assert_eq!(double.take(), ["teams/jack"]);
        assert_eq!(scene.value("plain", None).await.as_deref(), Ok("just this"));
        assert_says(scene.value("plain", Some("key")).await, "it is no JSON object with keys");
        assert_eq!(double.take(), ["plain"]);
    });
}

#[test]
fn a_key_that_ends_by_itself_comes_with_its_token() {
    run(async {
        let (_, double) = scene();
        double.wants_token(Some("session-1"));
        for (token, is_let_in) in
            [(Some("session-1"), true), (Some("session-2"), false), (None, false)]
        {
            let session_token = token.map(Secret::new);
            let scene = scene_of(&double, Aws { session_token, ..aws(&double) });
            assert_eq!(scene.value("plain", None).await.is_ok(), is_let_in, "{token:?}");
        }
    });
}

#[test]
fn what_is_signed_with_something_else_is_not_accepted() {
    run(async {
        let (_, double) = scene();
        let right = aws(&double);
        for wrong in [
            Aws { region: "eu-west-2".to_owned(), ..right.clone() },
            Aws { access_key_id: Secret::new("AKIDOTHER"), ..right.clone() },
            Aws { secret_access_key: Secret::new("hunter2"), ..right.clone() },
        ] {
            let scene = scene_of(&double, wrong);
            let problem = scene.value("plain", None).await.expect_err("no value");
            assert!(problem.contains("it does not accept "), "{problem}");
            assert!(!problem.contains("hunter2") && !problem.contains("AKID"), "{problem}");
        }
    });
}

#[test]
fn a_value_that_changes_is_told_after_the_interval() {
    run(async {
        let (scene, double) = scene();
        let seen = scene.managers.begin();
        assert_eq!(scene.value("teams/jack", Some("key")).await.as_deref(), Ok("one"));
        scene.managers.end();
        double.put("teams/jack", r#"{"key": "two"}"#);
        assert_eq!(scene.changed(seen).await, REFRESH);
        assert_eq!(scene.value("teams/jack", Some("key")).await.as_deref(), Ok("two"));
    });
}

#[test]
fn a_service_that_is_away_leaves_values_until_they_are_too_old() {
    run(async {
        let (scene, double) = scene();
        let seen = scene.managers.begin();
        scene.value("plain", None).await.unwrap();
        double.instead(Some(Answer::status(500)));
        tokio::time::sleep(REFRESH + Duration::from_secs(10)).await;
        assert_eq!(scene.value("plain", None).await.as_deref(), Ok("just this"));
        assert_eq!(scene.metrics.secrets_failing.get(), 1);
        scene.managers.changed(seen).await;
        assert_says(scene.value("plain", None).await, "out of order (status 500)");
        let seen = scene.managers.begin();
        double.instead(None);
        assert!(scene.changed(seen).await <= Duration::from_secs(60));
        assert_eq!(scene.value("plain", None).await.as_deref(), Ok("just this"));
    });
}

#[test]
fn a_secret_that_was_removed_is_not_used_any_longer() {
    run(async {
        for words in ["there is nothing at the path", "it is marked for deletion"] {
            let (scene, double) = scene();
            let seen = scene.managers.begin();
            scene.value("plain", None).await.unwrap();
            if words.contains("deletion") {
                double.refuse("InvalidRequestException");
            } else {
                double.remove("plain");
            }
            assert_eq!(scene.changed(seen).await, REFRESH);
            assert_says(scene.value("plain", None).await, words);
        }
    });
}

#[test]
fn what_cannot_be_had_says_why() {
    run(async {
        for (answer, words) in [
            (Answer::json(200, "<html>"), "not that of AWS"),
            (Answer::json(200, r#"{"SecretBinary":"AAAA"}"#), "of a secret that is no text"),
            (Answer::json(200, r#"{"Name":"plain"}"#), "without a value"),
            (
                Answer::json(400, r#"{"__type":"AccessDeniedException"}"#),
                "may not read it (status 400)",
            ),
            (Answer::json(400, r#"{"__type":"ThrottlingException"}"#), "asked too often"),
            (Answer::json(400, r#"{"__type":"DecryptionFailure"}"#), "its key in KMS"),
            (
                Answer::status(302).header("Location", "http://evil.test/"),
                "sends the gateway elsewhere",
            ),
            (Answer::json(200, &"x".repeat((1 << 20) + 1)), "longer than 1048576 bytes"),
        ] {
            let (scene, double) = scene();
            double.instead(Some(answer));
            let problem = scene.value("plain", None).await.expect_err("no value");
            assert!(problem.contains(words), "{words}: {problem}");
            let shown = "`$secret://aws/1/plain` cannot be had from `http://aws.test:4566`";
            assert!(problem.contains(shown), "{problem}");
        }
        let (scene, double) = scene();
        double.slow(Duration::from_secs(6));
        assert_says(scene.value("plain", None).await, "cannot be reached");
    });
}
