//! `bartizan token`.

use bartizan_core::{Clock, Secret};
use bartizan_plugins::jose::{
    Algorithm, ClaimRules, SecretStrength, Token, VerificationKey, Verified,
};
use bartizan_tls::{Authority, KeyKind, Validity};
use std::time::Duration;

use crate::driver::Bench;

const NODE: &str = "\
listeners: [{ address: \"127.0.0.1:9080\" }]
resources:
  consumers:
    - username: alice
      plugins: { jwt-auth: { key: alice-key, secret: an example of thirty-two bytes!! } }
    - username: bob
      plugins: { key-auth: { key: some key of bob } }
";

fn bench() -> Bench {
    Bench::with(&[("bartizan.yaml", NODE)])
}

fn verified(token: &str) -> Verified {
    let secret = Secret::new(*b"an example of thirty-two bytes!!");
    let key = VerificationKey::from_secret(Algorithm::Hs256, &secret, SecretStrength::Full);
    let verified = key.unwrap().verify(Token::parse(token.trim_end()).unwrap()).unwrap();
    verified.check(&ClaimRules::default(), Clock::System.now()).unwrap();
    verified
}

#[test]
fn a_consumers_own_secret_signs_it() {
    let arguments = ["token", "--consumer", "alice", "--claim", "scope=a b", "--claim", "n:=[1]"];
    let token = verified(&bench().bartizan(&arguments).succeeds());
    let claims = token.claims();
    assert_eq!(claims.subject(), Some("alice"));
    let value = |name: &str| claims.claim(name).cloned();
    assert_eq!(value("key"), Some("alice-key".into()));
    assert_eq!(value("scope"), Some("a b".into()));
    assert_eq!(value("n"), Some(serde_json::json!([1])));
    let [iat, exp] = ["iat", "exp"].map(|name| value(name).and_then(|v| v.as_u64()).unwrap());
    assert_eq!(exp - iat, 600);
}

#[test]
fn it_lives_an_hour_at_most() {
    let bench = bench();
    let mint = |time| bench.bartizan(&["token", "--consumer", "alice", "--expires", time]);
    verified(&mint("1h").succeeds());
    let told = mint("61m").fails_with(2);
    assert!(told.contains("an hour at most"), "{told}");
    let claim = ["token", "--consumer", "alice", "--claim", "exp:=9999999999"];
    let told = bench.bartizan(&claim).fails_with(2);
    assert!(told.contains("the claim `exp` cannot be given"), "{told}");
}

#[test]
fn what_cannot_sign_is_named() {
    let bench = bench();
    let told = bench.bartizan(&["token", "--consumer", "carol"]).fails_with(2);
    assert!(told.contains("there is no consumer `carol`"), "{told}");
    assert!(told.contains("there is `alice`, `bob`"), "{told}");
    let told = bench.bartizan(&["token", "--consumer", "bob"]).fails_with(2);
    assert!(told.contains("the consumer `bob` has no `jwt-auth`"), "{told}");
    assert!(!told.contains("some key of bob"), "{told}");
}

#[test]
fn a_private_key_that_is_given_signs_without_a_configuration() {
    let bench = Bench::new();
    let validity = Validity::starting(Clock::System.now(), Duration::from_secs(3_600));
    let authority = Authority::create("tokens", validity).unwrap();
    let issued = authority.issue_server(&["tokens"], validity, KeyKind::EcP256).unwrap();
    bench.write("key.pem", issued.key.expose_str().unwrap());
    let arguments =
        ["token", "--consumer", "alice", "--key", "key.pem", "--alg", "ES256", "--kid", "k1"];
    let token = bench.bartizan(&arguments).succeeds();
    let key = VerificationKey::from_pem(Algorithm::Es256, &issued.chain).unwrap();
    let token = Token::parse(token.trim_end()).unwrap();
    assert_eq!(token.header().kid(), Some("k1"));
    assert_eq!(key.verify(token).unwrap().claims().subject(), Some("alice"));
    let wrong = ["token", "--consumer", "alice", "--key", "key.pem", "--alg", "RS256"];
    let told = bench.bartizan(&wrong).fails_with(2);
    assert!(told.contains("`key.pem` holds no key for RS256"), "{told}");
}
