//! Against another implementation: what one signs the other verifies.
//!
//! `jsonwebtoken` has no ES512, which the example of RFC 7515 A.4 covers instead.

use jsonwebtoken as other;

use super::*;
use crate::jose::{AlgorithmSet, KeySet};

fn others(algorithm: Algorithm) -> Option<other::Algorithm> {
    algorithm.name().parse().ok()
}

fn decoding(kind: KeyKind, pair: &Pair) -> other::DecodingKey {
    match kind {
        KeyKind::Secret => other::DecodingKey::from_secret(&pair.public),
        KeyKind::Rsa => other::DecodingKey::from_rsa_pem(&pair.public).unwrap(),
        KeyKind::Ed25519 => other::DecodingKey::from_ed_pem(&pair.public).unwrap(),
        _ => other::DecodingKey::from_ec_pem(&pair.public).unwrap(),
    }
}

fn encoding(kind: KeyKind, pair: &Pair) -> other::EncodingKey {
    match kind {
        KeyKind::Secret => other::EncodingKey::from_secret(&pair.private),
        KeyKind::Rsa => other::EncodingKey::from_rsa_pem(&pair.private).unwrap(),
        KeyKind::Ed25519 => other::EncodingKey::from_ed_pem(&pair.private).unwrap(),
        _ => other::EncodingKey::from_ec_pem(&pair.private).unwrap(),
    }
}

fn shared() -> impl Iterator<Item = (Algorithm, other::Algorithm, Pair)> {
    let both = |a: &Algorithm| others(*a).map(|other| (*a, other, pair(a.kind())));
    Algorithm::ALL.iter().filter_map(both)
}

#[test]
fn all_algorithms_but_one_are_compared() {
    let missing: Vec<_> = Algorithm::ALL.iter().copied().filter(|a| others(*a).is_none()).collect();
    assert_eq!(missing, [Algorithm::Es512]);
}

#[test]
fn what_we_sign_the_other_verifies() {
    for (ours, others, pair) in shared() {
        let text = pair.signer(ours).sign(&Map::new(), &claims()).unwrap();
        let mut validation = other::Validation::new(others);
        validation.validate_exp = false;
        let key = decoding(ours.kind(), &pair);
        let read = other::decode::<Value>(&text, &key, &validation).unwrap();
        assert_eq!(read.claims, claims(), "{ours}");
    }
}

#[test]
fn what_the_other_signs_we_verify() {
    for (ours, others, pair) in shared() {
        let key = encoding(ours.kind(), &pair);
        let text = other::encode(&other::Header::new(others), &claims(), &key).unwrap();
        assert_eq!(verify(&text, &pair.verifier(ours)), Ok(claims()), "{ours}");
    }
}

#[test]
fn keys_from_a_set_verify_what_the_other_signs() {
    let set = json!({ "keys": [vectors::rsa_jwk(), vectors::ed25519_jwk()] }).to_string();
    let set = KeySet::parse(set.as_bytes(), AlgorithmSet::asymmetric()).unwrap();
    for (ours, others, pair) in shared() {
        if !matches!(ours.kind(), KeyKind::Rsa | KeyKind::Ed25519) {
            continue;
        }
        let key = encoding(ours.kind(), &pair);
        let text = other::encode(&other::Header::new(others), &claims(), &key).unwrap();
        let token = Token::parse(&text).unwrap();
        assert!(set.choose(token.header()).unwrap().verify(token).is_ok(), "{ours}");
    }
}

#[test]
fn both_refuse_what_the_wrong_key_signed() {
    for (ours, others, pair) in shared() {
        let mut text = pair.signer(ours).sign(&Map::new(), &claims()).unwrap();
        let (signed, _) = text.rsplit_once('.').unwrap();
        // The signature of another text under the same key.
        let foreign = pair.signer(ours).sign(&Map::new(), &json!({})).unwrap();
        text = format!("{signed}.{}", foreign.rsplit_once('.').unwrap().1);
        let mut validation = other::Validation::new(others);
        validation.validate_exp = false;
        let key = decoding(ours.kind(), &pair);
        assert!(other::decode::<Value>(&text, &key, &validation).is_err(), "{ours}");
        assert_eq!(verify(&text, &pair.verifier(ours)), Err(TokenFault::Signature), "{ours}");
    }
}
