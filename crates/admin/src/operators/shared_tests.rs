use std::fs;

use serde_json::json;
use tokio::time::advance;

use super::*;
use crate::operators::rights::{Act, Object, Verb};
use crate::operators::samples::{DAY, Sample, author};
use crate::operators::{KeyState, Role};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

#[tokio::test(start_paused = true)]
async fn a_good_key_is_its_operator_and_nothing_else_is() {
    let sample = Sample::new();
    let made = sample.key("alice", &json!({ "role": "viewer" }));
    let key = made.key.expose();
    let operator = sample.operators.judge(Some(key), PEER).unwrap();
    assert_eq!((operator.name(), operator.role()), ("alice", Role::Viewer));
    assert_eq!(operator.key_id(), made.view.id);
    assert_eq!(sample.operators.judge(None, PEER).unwrap_err(), Refusal::Missing);
    let mut guess = key.to_vec();
    guess[30] ^= 1;
    for wrong in [&guess[..], b"", b"edd1c9f034335f136f87ad84b625c8f1", &key[..key.len() - 1]] {
        assert_eq!(sample.operators.judge(Some(wrong), PEER).unwrap_err(), Refusal::Wrong);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_over_is_refused_and_only_its_holder_is_told_why() {
    let sample = Sample::new();
    let rights = json!({ "role": "admin" });
    let [expired, retired, revoked] = ["a", "b", "c"].map(|name| sample.key(name, &rights));
    sample.operators.retire(retired.view.id, DAY, &author()).unwrap();
    sample.operators.revoke(revoked.view.id, &author()).unwrap();
    let refusal = |key: &MadeKey| {
        sample.operators.judge(Some(key.key.expose()), PEER).err().map(|refusal| match refusal {
            Refusal::Over { why } => why,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!([&expired, &retired, &revoked].map(refusal), [None, None, Some("revoked")]);
    sample.clock.advance(DAY);
    assert_eq!([&expired, &retired].map(refusal), [None, Some("retired")]);
    sample.clock.advance(89 * DAY);
    assert_eq!(refusal(&expired), Some("expired"));
    let events = sample.events();
    let last = events.last().unwrap();
    assert_eq!(last["detail"], "the key is expired");
    assert_eq!((&last["operator"], &last["credential"]), (&json!("a"), &json!(expired.view.id)));
}

#[tokio::test(start_paused = true)]
async fn failures_delay_further_failures_of_their_own_address_alone() {
    let sample = Sample::new();
    let made = sample.key("alice", &json!({ "role": "admin" }));
    let key = Some(made.key.expose());
    let guess = Some(&b"btz_admin_guess"[..]);
    let mut delays = Vec::new();
    for _ in 0..200 {
        match sample.operators.judge(guess, PEER).unwrap_err() {
            Refusal::Throttled { retry_after } => {
                delays.push(retry_after.as_secs());
                advance(retry_after).await;
            }
            refusal => assert_eq!(refusal, Refusal::Wrong),
        }
    }
    assert_eq!(delays[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    let Err(throttled) = sample.operators.judge(guess, PEER) else { panic!("let in") };
    assert_eq!(throttled.retry_after(), Some(60));
    assert_eq!(sample.operators.judge(guess, OTHER).unwrap_err(), Refusal::Wrong);
    assert!(sample.operators.judge(key, PEER).is_ok(), "strangers lock nobody out");
}

#[tokio::test(start_paused = true)]
async fn every_refusal_and_every_change_is_told() {
    let sample = Sample::new();
    let made =
        sample.key("shop", &json!({ "role": "editor", "confinement": { "hosts": ["a.test"] } }));
    let operator = sample.operators.judge(Some(made.key.expose()), PEER).unwrap();
    let route = json!({ "uri": "/", "host": "b.test" });
    let act = Act {
        verb: Verb::Write,
        after: Some(Object::new(&route)),
        ..Act::read("routes", Some("7"))
    };
    assert!(!operator.could(&act));
    assert!(operator.may(&act).is_err());
    assert!(operator.may(&Act::read("routes", None)).is_ok());
    let next = sample.operators.rotate(made.view.id, DAY, None, &author()).unwrap();
    sample.operators.revoke(next.view.id, &author()).unwrap();
    sample.operators.revoke(next.view.id, &author()).unwrap_err();
    let _ = sample.operators.judge(None, PEER);
    let _ = sample.operators.judge(Some(b"x"), PEER);
    let told: Vec<(String, String)> = sample
        .events()
        .iter()
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
            let who = format!("{} {} {}", text("event"), text("reason"), text("operator"));
            (who, text("detail"))
        })
        .collect();
    let (id, next) = (made.view.id, next.view.id);
    let expected = [
        (
            "change - uid 0",
            format!(
                "made the key `{id}` of `shop`: editor confined to {{\"hosts\":[\"a.test\"]}}, until \
             2024-02-12T22:13:20.000Z"
            ),
        ),
        ("change - shop", format!("the key `{id}` is used for the first time")),
        (
            "denied admin.forbidden shop",
            "may not write `routes/7`: as it would be, it serves \
            `b.test`, not only `a.test`"
                .to_owned(),
        ),
        (
            "change - uid 0",
            format!(
                "rotated the key `{id}` of `shop`, which ends 2023-11-15T22:13:20.000Z: next is \
             `{next}`, until 2024-02-12T22:13:20.000Z"
            ),
        ),
        ("change - uid 0", format!("revoked the key `{next}` of `shop`")),
        (
            "denied admin.forbidden uid 0",
            format!("did not revoke the key `{next}`: the key `{next}` is revoked already"),
        ),
        ("denied admin.key_refused -", "no key was shown".to_owned()),
        ("denied admin.key_refused -", "there is no such key".to_owned()),
    ];
    assert_eq!(told, expected.map(|(who, what)| (who.to_owned(), what)));
}

#[tokio::test(start_paused = true)]
async fn no_event_and_no_file_holds_a_key() {
    let sample = Sample::new();
    let made = sample.key("alice", &json!({ "role": "admin" }));
    let text = made.key.expose_str().unwrap();
    sample.operators.judge(Some(text.as_bytes()), PEER).unwrap();
    let _ = sample.operators.judge(Some(&text.as_bytes()[1..]), PEER);
    let secret = &text[20..];
    assert!(!fs::read_to_string(sample.path()).unwrap().contains(secret));
    assert!(sample.events().iter().all(|event| !event.to_string().contains(secret)));
}

#[tokio::test(start_paused = true)]
async fn a_next_key_is_active_from_its_first_use_on_also_after_a_start() {
    let sample = Sample::new();
    let old = sample.key("ci", &json!({ "role": "admin" }));
    let next = sample.operators.rotate(old.view.id, DAY, None, &author()).unwrap();
    let state = |operators: &Operators| {
        let keys = operators.list();
        keys.iter().find(|key| key.id == next.view.id).map(|key| (key.state, key.last_used.clone()))
    };
    assert_eq!(state(&sample.operators), Some((KeyState::Next, None)));
    sample.operators.judge(Some(next.key.expose()), PEER).unwrap();
    let active = Some((KeyState::Active, Some("2023-11-14T22:00:00.000Z".to_owned())));
    assert_eq!(state(&sample.operators), active);
    // Uses are written down when the node ends, at the latest.
    sample.operators.keep(std::future::ready(())).await;
    let Sample { folder, operators, .. } = sample;
    drop(operators);
    assert_eq!(state(&Sample::within(folder).operators), active);
}

#[tokio::test(start_paused = true)]
async fn uses_are_written_down_together_a_while_later() {
    let sample = Sample::new();
    let made = sample.key("alice", &json!({ "role": "admin" }));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let operators = sample.operators.clone();
    let keeper = tokio::spawn(async move {
        operators.keep(async { drop(stopped.await) }).await;
    });
    let before = fs::read(sample.path()).unwrap();
    for _ in 0..100 {
        sample.operators.judge(Some(made.key.expose()), PEER).unwrap();
    }
    assert_eq!(fs::read(sample.path()).unwrap(), before);
    drop(stop);
    keeper.await.unwrap();
    assert_ne!(fs::read(sample.path()).unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_revoked_also_where_the_disk_refuses() {
    let sample = Sample::new();
    let made = sample.key("alice", &json!({ "role": "admin" }));
    let obstacle = sample.folder.path().join(".keys.new");
    fs::create_dir(&obstacle).unwrap();
    let retired = sample.operators.retire(made.view.id, DAY, &author());
    assert!(matches!(retired, Err(ChangeError::Disk(_))));
    assert!(sample.operators.judge(Some(made.key.expose()), PEER).is_ok());
    let revoked = sample.operators.revoke(made.view.id, &author());
    assert!(matches!(revoked, Err(ChangeError::OnlyHere(_))));
    assert!(sample.operators.judge(Some(made.key.expose()), PEER).is_err());
    fs::remove_dir(&obstacle).unwrap();
    sample.operators.keep(std::future::ready(())).await;
    assert!(fs::read_to_string(sample.path()).unwrap().contains("\"revoked\""));
}

#[tokio::test(start_paused = true)]
async fn a_confined_key_reads_secrets_of_its_own_objects_alone() {
    let sample = Sample::new();
    let rights = json!({
        "role": "editor", "secrets": true, "confinement": { "labels": { "team": ["shop"] } }
    });
    let confined = sample.key("shop", &rights);
    let free = sample.key("root", &json!({ "role": "admin", "secrets": true }));
    let [confined, free] =
        [confined, free].map(|made| sample.operators.judge(Some(made.key.expose()), PEER).unwrap());
    let (own, other) = (json!({ "labels": { "team": "shop" } }), json!({}));
    let read = |value| Act { before: Some(Object::new(value)), ..Act::read("consumers", None) };
    assert!(free.reads_secrets() && free.reveals(&read(&other)));
    assert!(!confined.reads_secrets());
    assert!(confined.reveals(&read(&own)) && !confined.reveals(&read(&other)));
}
