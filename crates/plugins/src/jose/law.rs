//! The law of signed tokens: what a key has signed verifies and says what was signed; what is
//! changed in one byte never does; and what is accepted is within its times.

use std::sync::LazyLock;

use bartizan_core::{Secret, Timestamp};
use serde_json::{Map, Value};

use super::{
    Algorithm, AlgorithmSet, ClaimRules, KeySet, SecretStrength, SigningKey, TOKEN_MAX, Token,
    TokenFault, VerificationKey,
};

/// Keys that everybody may know: they sign nothing but the inputs of this law.
struct Keys {
    signer: Option<SigningKey>,
    verifiers: Vec<VerificationKey>,
}

const SECRET: &[u8] = b"a key that everyone may have: 32";

/// The public halves of the examples of RFC 8037 A.1 and RFC 7515 A.3, with whose private halves
/// the tokens of the corpus are signed.
const KEY_SET: &str = r#"{"keys": [
    {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA",
     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256",
     "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
     "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}
]}"#;

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let secret = Secret::new(SECRET);
    let own = VerificationKey::from_secret(Algorithm::Hs256, &secret, SecretStrength::Full);
    Keys {
        signer: SigningKey::from_secret(Algorithm::Hs256, &secret).ok(),
        verifiers: own.into_iter().collect(),
    }
});

static SET: LazyLock<Option<KeySet>> =
    LazyLock::new(|| KeySet::parse(KEY_SET.as_bytes(), AlgorithmSet::asymmetric()).ok());

/// A text is a token, a set of keys, or claims to be signed.
pub(crate) fn law(data: &[u8]) {
    if let Ok(set) = KeySet::parse(data, AlgorithmSet::asymmetric()) {
        let again = KeySet::parse(data, AlgorithmSet::asymmetric());
        assert_eq!(again.ok().map(|set| set.keys().len()), Some(set.keys().len()), "two sets");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(claims) = verified(text) {
        assert!(claims.is_object(), "claims that are no object");
        nothing_near_it_verifies(text);
    }
    if let Ok(claims) = serde_json::from_str::<Value>(text) {
        signed(&claims);
    }
}

/// The claims of a token that one of the keys has signed.
fn verified(text: &str) -> Option<Value> {
    let token = Token::parse(text).ok()?;
    let header = token.header().clone();
    assert!(text.len() <= TOKEN_MAX && text.split('.').count() == 3, "no token");
    let mut outcomes = Vec::new();
    for key in &KEYS.verifiers {
        outcomes.push(key.verify(Token::parse(text).ok()?));
    }
    if let Some(set) = &*SET {
        outcomes.push(set.choose(&header).and_then(|key| key.verify(token)));
    }
    let verified = outcomes.into_iter().find_map(Result::ok)?;
    within_its_times(&verified);
    Some(verified.claims().value().clone())
}

/// Whatever time it is, what the rules accept has not expired and has begun.
fn within_its_times(verified: &super::Verified) {
    let claims = verified.claims().value();
    for now in [0, 1_000_000_000, 1_500_000_000, 2_000_000_000, 4_000_000_000] {
        let rules = ClaimRules { leeway: std::time::Duration::ZERO, ..ClaimRules::default() };
        if verified.check(&rules, Timestamp::from_secs(now)).is_err() {
            continue;
        }
        let time = |name: &str| claims.get(name).and_then(Value::as_f64);
        #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
        let now = now as f64;
        assert!(time("exp").is_some_and(|exp| exp > now), "{claims} is over at {now}");
        // Clocks tick in milliseconds here; what begins within one has begun.
        for name in ["nbf", "iat"] {
            assert!(
                time(name).is_none_or(|begin| begin < now + 0.001),
                "{claims} is not yet at {now}"
            );
        }
    }
}

/// Signs claims: they verify as they are, or are refused for what the payload is.
fn signed(claims: &Value) {
    let Some(text) = KEYS.signer.as_ref().and_then(|key| key.sign(&Map::new(), claims).ok()) else {
        assert!(!claims.is_object(), "claims that cannot be signed");
        return;
    };
    for key in &KEYS.verifiers {
        let outcome = Token::parse(&text).and_then(|token| key.verify(token));
        match outcome {
            Ok(verified) => {
                assert_eq!(verified.claims().value(), claims, "other claims");
                within_its_times(&verified);
                nothing_near_it_verifies(&text);
            }
            Err(TokenFault::Payload(_) | TokenFault::TooLong) => {}
            Err(other) => assert_eq!(other, TokenFault::TooLong, "signed and refused"),
        }
    }
}

/// No text that differs in one byte, in a few places that the text itself chooses, and at its end,
/// where encodings have loose bits.
fn nothing_near_it_verifies(text: &str) {
    let sum: usize = text.bytes().map(usize::from).sum();
    let chosen = (0..8).map(|step| (sum + step * 131) % text.len().max(1));
    let last = (text.len().saturating_sub(2)..text.len()).chain(text.rfind('.'));
    for at in chosen.chain(last) {
        for bit in [1_u8, 2, 4, 16, 32] {
            let mut bytes = text.as_bytes().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= bit;
            }
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let Ok(token) = Token::parse(&changed) else { continue };
            let header = token.header().clone();
            let by_set = SET.as_ref().map(|set| set.choose(&header).and_then(|k| k.verify(token)));
            assert!(by_set.is_none_or(|outcome| outcome.is_err()), "{changed} verifies");
            for key in &KEYS.verifiers {
                let outcome = Token::parse(&changed).and_then(|token| key.verify(token));
                assert!(outcome.is_err(), "{changed} verifies");
            }
        }
    }
}
