use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bartizan_chain::{Consumer, ConsumerIndex};
use bartizan_core::Limits;
use serde_json::json;

use super::*;
use crate::fixture::Bench;

/// `wonder:land`, by another implementation.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuQrKcmYtR.hB8QQ39VAGLfHjVq9MEY1a";
/// `correct horse: battery`, by the reference implementation.
const ARGON2: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQxMjM0NTY3OA$J5KChTRdO/tkx9IJyBjE5w";

fn read(password: &str) -> Result<Verifier, String> {
    let key = NodeKey::new(&[7; 32]);
    let stored = Stored::read(&Secret::new(password), "alice", &key);
    let verifier = stored.map_err(|fault| fault.problem)?.verifier;
    Arc::try_unwrap(verifier).map_err(|_| "shared".to_owned())
}

fn fits(stored: &str, shown: &str) -> bool {
    read(stored).unwrap().hashes_to(&Secret::new(shown)).unwrap()
}

fn index(users: &[(&str, &str)]) -> ConsumerIndex {
    let mut index = ConsumerIndex::default();
    for (name, password) in users {
        let consumer = Arc::new(Consumer::new((*name).into(), None, Vec::new()));
        index.add_consumer(consumer.clone());
        let config = json!({ "username": name, "password": password, "danger_weak_secret": true });
        let entry = Bench::new().credential::<BasicAuth>(&config).unwrap();
        index.add_credential(BasicAuth::NAME, &consumer, None, entry).unwrap();
    }
    index
}

/// What comes of a name and a password; nothing waits, because work is done in line.
fn prove(plugin: &BasicAuth, index: &ConsumerIndex, user: &str, password: &str) -> Option<Reason> {
    let shown = Shown { user: user.to_owned(), password: Secret::new(password) };
    match pin!(plugin.prove(index, &shown)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.err().map(|denial| denial.reason),
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn hashes_of_other_implementations_are_understood() {
    let long = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
    let lanes = "$argon2id$v=19$m=64,t=3,p=2$c2FsdHNhbHQxMjM0NTY3OA$\
                 0JZEcw4drSK9ucqAz8sQpsG13mJdWGtvashf2qkWT3s";
    let x72 = "x".repeat(72);
    for (stored, password) in [
        (BCRYPT, "wonder:land"),
        (long, &x72),
        ("$2y$05$012345678901234567890uCwFYeYs9RFo2B3wKzxbZmwFuBxar8sm", "pässword"),
        ("$2a$04$ABCDEFGHIJKLMNOPQRSTUO8MgsFl8.MlPykiSZ8p46xYaeuAW5VqS", "a"),
        (ARGON2, "correct horse: battery"),
        (lanes, "correct horse: battery"),
    ] {
        assert!(fits(stored, password), "{stored}");
        assert!(!fits(stored, &format!("{password}x")), "{stored}");
        assert!(!fits(stored, &password[1..]), "{stored}");
    }
}

#[test]
fn what_bcrypt_would_not_read_does_not_count_as_equal() {
    let long = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
    assert!(!fits(long, &"x".repeat(73)));
    assert!(!fits(BCRYPT, ""));
}

#[test]
fn hashes_that_are_malformed_foreign_or_too_costly_are_refused() {
    let argon2 = |costs: &str| format!("$argon2id$v=19${costs}$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA");
    for (stored, problem) in [
        (String::new(), "empty"),
        ("a\nb".to_owned(), "control"),
        ("$argon2id$v=16$m=8,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA".to_owned(), "version 19"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ".to_owned(), "version 19"),
        (argon2("m=8,t=1"), "version 19"),
        (argon2("m=8,t=1,p=1,data=AA"), "version 19"),
        (argon2("t=1,m=8,p=1"), "version 19"),
        (argon2("m=08,t=1,p=1"), "version 19"),
        (argon2("m=7,t=1,p=1"), "version 19"),
        (argon2("m=65537,t=1,p=1"), "more work"),
        (argon2("m=8,t=17,p=1"), "more work"),
        (argon2("m=64,t=1,p=5"), "more work"),
        (argon2("m=65536,t=5,p=1"), "more work"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZQ$AAAAAAAAAAAAAAAAAAAAAA".to_owned(), "too short"),
        ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$AAAA".to_owned(), "too short"),
        (BCRYPT.replace("$04$", "$03$"), "out of range"),
        (BCRYPT.replace("$04$", "$15$"), "out of range"),
        (BCRYPT.replace("$04$", "$4$"), "not a bcrypt hash"),
        (BCRYPT[..59].to_owned(), "not a bcrypt hash"),
        (format!("{BCRYPT}a"), "not a bcrypt hash"),
        ("$2x$04$abcdefghijklmnopqrstuu".to_owned(), "not supported"),
        ("$argon2i$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned(), "not supported"),
        ("$apr1$salt$hash".to_owned(), "not supported"),
        ("{SHA}2fd4e1c67a2d28fced849ee1bb76e7391b93eb12".to_owned(), "not supported"),
    ] {
        let fault = read(&stored).expect_err(&stored);
        assert!(fault.contains(problem), "{stored}: {fault}");
    }
    assert!(matches!(read("$ecret"), Ok(Verifier::Plain(_))));
}

#[test]
fn a_password_proves_its_user_and_nobody_else() {
    let plugin: BasicAuth = Bench::new().compile(&json!({})).unwrap();
    let index = index(&[("alice", BCRYPT), ("bob", "pl:ain"), ("carol", ARGON2)]);
    let prove = |user: &str, password: &str| prove(&plugin, &index, user, password);
    let wrong = Some(Reason::InvalidCredential);
    for (user, password, expected) in [
        ("alice", "wonder:land", None),
        ("bob", "pl:ain", None),
        ("carol", "correct horse: battery", None),
        ("alice", "wonder", wrong),
        ("bob", "pl", wrong),
        ("carol", "pl:ain", wrong),
        ("Alice", "wonder:land", wrong),
        ("bob", BCRYPT, wrong),
        ("alice", BCRYPT, wrong),
    ] {
        assert_eq!(prove(user, password), expected, "{user} {password}");
    }
    // Whatever password a name is worked on with that nobody has, it proves nothing.
    for n in 0..32 {
        for password in ["wonder:land", "pl:ain", "correct horse: battery"] {
            assert_eq!(prove(&format!("nobody{n}"), password), wrong);
        }
    }
}

#[test]
fn where_nobody_has_a_password_nobody_is_proved() {
    let plugin: BasicAuth = Bench::new().compile(&json!({})).unwrap();
    let outcome = prove(&plugin, &ConsumerIndex::default(), "alice", "x");
    assert_eq!(outcome, Some(Reason::InvalidCredential));
}

#[test]
fn a_success_is_remembered_and_dies_with_the_password() {
    let bench = Bench::new();
    let plugin: BasicAuth = bench.compile(&json!({})).unwrap();
    let before = index(&[("alice", BCRYPT)]);
    assert_eq!(prove(&plugin, &before, "alice", "wonder"), Some(Reason::InvalidCredential));
    assert_eq!(prove(&plugin, &before, "nobody", "wonder:land"), Some(Reason::InvalidCredential));
    assert_eq!(plugin.successes.len(), 0, "failures are not remembered");
    assert_eq!(prove(&plugin, &before, "alice", "wonder:land"), None);
    assert_eq!(prove(&plugin, &before, "alice", "wonder:land"), None);
    assert_eq!(plugin.successes.len(), 1);
    let after = index(&[("alice", ARGON2)]);
    assert_eq!(prove(&plugin, &after, "alice", "wonder:land"), Some(Reason::InvalidCredential));
    // Another route of the node knows it too.
    let other: BasicAuth = bench.compile_in("other", &json!({})).unwrap();
    assert_eq!(other.successes.len(), 1);
}

#[test]
fn known_and_unknown_names_go_to_the_pool_alike_and_a_full_one_is_503() {
    let mut bench = Bench::new();
    bench.node.cpu = CpuPool::new(&Limits { cpu_queue: 0, ..Limits::default() });
    let plugin: BasicAuth = bench.compile(&json!({})).unwrap();
    let hashed = index(&[("alice", BCRYPT), ("carol", ARGON2)]);
    for user in ["alice", "carol", "nobody", "somebody"] {
        assert_eq!(prove(&plugin, &hashed, user, "wonder:land"), Some(Reason::CpuBusy), "{user}");
    }
    // Plain passwords are compared on the spot, for names that nobody has as well.
    let plain = index(&[("bob", "pl:ain")]);
    assert_eq!(prove(&plugin, &plain, "bob", "pl:ain"), None);
    assert_eq!(prove(&plugin, &plain, "nobody", "pl:ain"), Some(Reason::InvalidCredential));
}

#[test]
fn fields_are_read_in_one_way() {
    let read = |field: &str| Shown::read(Some(field.as_bytes()));
    let shown = read("bASIC   YWxpY2U6d29uZGVyOmxhbmQ=").unwrap();
    assert_eq!((shown.user.as_str(), shown.password.expose()), ("alice", &b"wonder:land"[..]));
    assert_eq!(Shown::read(None).unwrap_err(), ShownFault::Missing);
    for (field, fault) in [
        ("Bearer YWxpY2U6eA==", ShownFault::OtherScheme),
        ("BasicYWxpY2U6eA==", ShownFault::OtherScheme),
        ("", ShownFault::OtherScheme),
        ("Basic", ShownFault::NoColon),
        ("Basic YWxpY2U6eA", ShownFault::Encoding),
        ("Basic YWxpY2U6eB==", ShownFault::Encoding),
        ("Basic YWxpY2U6eA== x", ShownFault::Encoding),
        ("Basic YWxpY2U=", ShownFault::NoColon),
        ("Basic YWxpY2U6", ShownFault::Empty),
        ("Basic Ong=", ShownFault::Empty),
        ("Basic YQphOng=", ShownFault::Control),
        ("Basic /zp4", ShownFault::NotText),
    ] {
        assert_eq!(read(field).unwrap_err(), fault, "{field}");
    }
}

#[test]
fn names_that_no_request_can_show_are_refused() {
    for name in ["", "a:b", "a\nb", "a\u{7f}"] {
        let config = json!({ "username": name, "password": "x", "danger_weak_secret": true });
        let fault = Bench::new().credential::<BasicAuth>(&config).err().unwrap();
        assert_eq!(fault.path.len(), 1, "{name:?}");
    }
}

proptest::proptest! {
    #[test]
    fn what_is_shown_is_split_at_the_first_colon(
        user in "[^:\\x00-\\x1f\\x7f]{1,8}",
        password in "[^\\x00-\\x1f\\x7f]{1,8}",
    ) {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let shown = Shown::read(Some(format!("Basic {text}").as_bytes())).unwrap();
        proptest::prop_assert_eq!(&shown.user, &user);
        proptest::prop_assert_eq!(shown.password.expose(), password.as_bytes());
    }

    #[test]
    fn no_other_password_is_bobs(shown in ".{0,12}") {
        let plugin: BasicAuth = Bench::new().compile(&json!({})).unwrap();
        let index = index(&[("bob", "pl:ain")]);
        let is_his = shown == "pl:ain";
        proptest::prop_assert_eq!(prove(&plugin, &index, "bob", &shown).is_none(), is_his);
    }

    #[test]
    fn no_text_breaks_the_reader_of_passwords(text in "\\$(argon2id|2b)\\$[ -~]{0,80}") {
        let _ = read(&text);
    }
}
