//! Which keys of a set are used, and which of them for which token.

use super::*;
use crate::jose::{
    AlgorithmSet, JsonFault, KEY_SET_MAX, KEYS_MAX, KeyFault, KeySet, KeySetFault, SkippedKey,
};

fn parse(keys: &[Value]) -> Result<KeySet, KeySetFault> {
    let json = json!({ "keys": keys }).to_string();
    KeySet::parse(json.as_bytes(), AlgorithmSet::asymmetric())
}

/// `jwk` with more members, or others.
fn with(mut jwk: Value, members: &Value) -> Value {
    jwk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    jwk
}

fn without(mut jwk: Value, member: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(member);
    jwk
}

/// Why a set with this key and a good one skips it.
fn cause(jwk: Value) -> Option<KeyFault> {
    let good = with(vectors::ed25519_jwk(), &json!({ "kid": "good" }));
    let set = parse(&[good, jwk]).unwrap();
    let cause = set.skipped().first().map(|skipped| skipped.cause.clone());
    assert_eq!(set.keys().len() + set.skipped().len(), 2);
    cause
}

#[test]
fn keys_for_something_else_are_skipped() {
    let rsa = vectors::rsa_jwk;
    let use_ = || KeyFault::NotForVerifying("use");
    let ops = || KeyFault::NotForVerifying("key_ops");
    for (members, expected) in [
        (json!({ "use": "sig" }), None),
        (json!({ "key_ops": ["verify"] }), None),
        (json!({ "key_ops": ["sign", "verify"], "use": "sig" }), None),
        (json!({ "use": "enc" }), Some(use_())),
        (json!({ "use": "SIG" }), Some(use_())),
        (json!({ "use": 1 }), Some(KeyFault::Member("use"))),
        (json!({ "key_ops": ["encrypt"] }), Some(ops())),
        (json!({ "key_ops": [] }), Some(ops())),
        (json!({ "key_ops": "verify" }), Some(KeyFault::Member("key_ops"))),
        (json!({ "alg": "RS256" }), None),
        (json!({ "alg": "ES256" }), Some(KeyFault::Algorithm)),
        (json!({ "alg": "HS256" }), Some(KeyFault::Algorithm)),
        (json!({ "alg": "none" }), Some(KeyFault::Algorithm)),
        (json!({ "alg": "RSA-OAEP" }), Some(KeyFault::Algorithm)),
        (json!({ "alg": null }), Some(KeyFault::Member("alg"))),
        (json!({ "kid": "" }), Some(KeyFault::Member("kid"))),
        (json!({ "kid": 1 }), Some(KeyFault::Member("kid"))),
        (json!({ "d": vectors::RSA_D }), Some(KeyFault::PrivateKey)),
    ] {
        assert_eq!(cause(with(rsa(), &members)), expected, "{members}");
    }
}

#[test]
fn keys_of_unknown_types_are_skipped() {
    let unsupported = |name: &str| Some(KeyFault::Unsupported(name.to_owned()));
    assert_eq!(cause(json!({ "kty": "AKP", "pub": "AA" })), unsupported("AKP"));
    assert_eq!(cause(json!({ "kty": "rsa" })), unsupported("rsa"));
    let x25519 = with(vectors::ed25519_jwk(), &json!({ "crv": "X25519" }));
    assert_eq!(cause(x25519), unsupported("X25519"));
    let koblitz = with(vectors::p256_jwk(), &json!({ "crv": "secp256k1" }));
    assert_eq!(cause(koblitz), unsupported("secp256k1"));
    assert_eq!(cause(json!("RSA")), Some(KeyFault::Member("kty")));
    assert_eq!(cause(json!({})), Some(KeyFault::Member("kty")));
    let line_break = cause(json!({ "kty": format!("a\nb{}", "c".repeat(100)) }));
    assert_eq!(line_break, unsupported(&format!("a\\nb{}", "c".repeat(29))));
}

#[test]
fn weak_and_malformed_keys_are_skipped() {
    let zero_led = [&[0], b64(vectors::RSA_N).as_slice()].concat();
    let n1024 = [&[0xc1][..], &[7; 127]].concat();
    let rsa = |members: &Value| cause(with(vectors::rsa_jwk(), members));
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    assert_eq!(rsa(&json!({ "n": encode(&n1024) })), Some(KeyFault::RsaSize(1024)));
    for members in [
        json!({ "e": "AQ" }),
        json!({ "e": "AQAA" }),
        json!({ "e": "AAEAAQ" }),
        json!({ "n": encode(&zero_led) }),
        json!({ "n": encode(&[2; 256]) }),
    ] {
        assert_eq!(rsa(&members), Some(KeyFault::Unreadable("RSA key")), "{members}");
    }
    for members in [json!({ "n": "" }), json!({ "n": 1 }), json!({ "n": "A===" })] {
        assert_eq!(rsa(&members), Some(KeyFault::Member("n")), "{members}");
    }
    assert_eq!(cause(without(vectors::rsa_jwk(), "e")), Some(KeyFault::Member("e")));

    let p256 = |members: &Value| cause(with(vectors::p256_jwk(), members));
    let off_curve = p256(&json!({ "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4" }));
    assert_eq!(off_curve, Some(KeyFault::Unreadable("public key")));
    assert_eq!(p256(&json!({ "x": encode(&[1; 31]) })), Some(KeyFault::Member("x")));
    assert_eq!(p256(&json!({ "crv": "P-384" })), Some(KeyFault::Member("x")));

    let ed = |x: &[u8]| cause(with(vectors::ed25519_jwk(), &json!({ "x": encode(x) })));
    assert_eq!(ed(&[0; 32]), Some(KeyFault::SmallOrder));
    assert_eq!(ed(&[9; 31]), Some(KeyFault::Unreadable("Ed25519 key")));
    assert_eq!(ed(&[9; 33]), Some(KeyFault::Unreadable("Ed25519 key")));
}

#[test]
fn secrets_are_used_only_where_they_are_allowed() {
    let secret = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32]) });
    assert_eq!(cause(secret.clone()), Some(KeyFault::NoAlgorithm(KeyKind::Secret)));
    let named = with(secret.clone(), &json!({ "alg": "HS256" }));
    assert_eq!(cause(named.clone()), Some(KeyFault::Algorithm));
    let json = json!({ "keys": [named] }).to_string();
    assert!(KeySet::parse(json.as_bytes(), Algorithm::Hs256.into()).is_ok());
    let short = with(secret, &json!({ "alg": "HS512" }));
    let json = json!({ "keys": [short] }).to_string();
    let fault = KeySet::parse(json.as_bytes(), Algorithm::Hs512.into()).err();
    let algorithm = Algorithm::Hs512;
    let cause = KeyFault::SecretTooShort { algorithm, least: 64, actual: 32 };
    let skipped = SkippedKey { position: 0, kid: None, cause };
    assert_eq!(fault, Some(KeySetFault::NoneUsable(vec![skipped])));
}

#[test]
fn a_set_that_is_ambiguous_is_refused() {
    let parse = |json: &str| KeySet::parse(json.as_bytes(), AlgorithmSet::asymmetric()).err();
    let twice = KeySetFault::Json(JsonFault::Duplicate);
    assert_eq!(parse(r#"{"keys":[],"keys":[]}"#), Some(twice.clone()));
    assert_eq!(parse(r#"{"keys":[{"kty":"RSA","kty":"EC"}]}"#), Some(twice));
    assert_eq!(parse("[]"), Some(KeySetFault::Json(JsonFault::NotAnObject)));
    assert_eq!(parse("<html>"), Some(KeySetFault::Json(JsonFault::Syntax)));
    assert_eq!(parse(r#"{"keys":{}}"#), Some(KeySetFault::NoKeys));
    assert_eq!(parse(&vectors::rsa_jwk().to_string()), Some(KeySetFault::NoKeys));
    assert_eq!(parse(r#"{"keys":[]}"#), Some(KeySetFault::NoneUsable(Vec::new())));
    assert_eq!(parse(&" ".repeat(KEY_SET_MAX + 1)), Some(KeySetFault::TooLong));
    let many = json!({ "keys": vec![json!({}); KEYS_MAX + 1] }).to_string();
    assert_eq!(parse(&many), Some(KeySetFault::TooMany));
}

#[test]
fn one_name_names_one_key_for_an_algorithm() {
    let named = |jwk: Value, alg: &str| with(jwk, &json!({ "kid": "a", "alg": alg }));
    let (rsa, ec) = (vectors::rsa_jwk, vectors::p256_jwk);
    let twins = parse(&[named(rsa(), "RS256"), named(rsa(), "RS256")]).err();
    assert_eq!(twins, Some(KeySetFault::Duplicate("a".to_owned())));
    let any = with(rsa(), &json!({ "kid": "a" }));
    let overlap = parse(&[named(rsa(), "RS256"), any]).err();
    assert_eq!(overlap, Some(KeySetFault::Duplicate("a".to_owned())));
    let set = parse(&[named(rsa(), "RS256"), named(rsa(), "PS256"), named(ec(), "ES256")]);
    assert_eq!(set.unwrap().keys().len(), 3);
}

#[test]
fn a_key_is_chosen_by_name_and_algorithm() {
    let choose = |set: &KeySet, header: Value| {
        let text = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header.to_string()));
        let token = Token::parse(&text).unwrap();
        set.choose(token.header()).map(|key| (key.kid().map(str::to_owned), key.kind()))
    };
    let kid = |kid: &str| json!({ "kid": kid });
    let set = parse(&[
        with(vectors::rsa_jwk(), &json!({ "kid": "a", "alg": "RS256" })),
        with(vectors::p256_jwk(), &kid("a")),
        with(vectors::ed25519_jwk(), &kid("b")),
        vectors::p521_jwk(),
    ])
    .unwrap();
    let a = Some("a".to_owned());
    let rsa = choose(&set, json!({ "alg": "RS256", "kid": "a" }));
    assert_eq!(rsa, Ok((a.clone(), KeyKind::Rsa)));
    assert_eq!(choose(&set, json!({ "alg": "ES256", "kid": "a" })), Ok((a.clone(), KeyKind::P256)));
    let nameless_token = choose(&set, json!({ "alg": "ES256" }));
    assert_eq!(nameless_token, Ok((a, KeyKind::P256)));
    let nameless_key = choose(&set, json!({ "alg": "ES512", "kid": "z" }));
    assert_eq!(nameless_key, Ok((None, KeyKind::P521)));
    for header in [
        json!({ "alg": "EdDSA", "kid": "a" }),
        json!({ "alg": "PS256", "kid": "a" }),
        json!({ "alg": "HS256", "kid": "a" }),
        json!({ "alg": "ES256", "kid": "A" }),
    ] {
        assert_eq!(choose(&set, header.clone()), Err(TokenFault::NoKey), "{header}");
    }
    let two = parse(&[with(vectors::p256_jwk(), &kid("x")), with(vectors::p256_jwk(), &kid("y"))]);
    let fault = choose(&two.unwrap(), json!({ "alg": "ES256" }));
    assert_eq!(fault, Err(TokenFault::AmbiguousKey));
}
