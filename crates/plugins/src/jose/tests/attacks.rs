//! What has been tried against implementations of this, and what must come of it.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PSS_SHA256, RsaPssSaltLength, RsaSignatureEncoding};
use aws_lc_rs::{hmac, signature};

use super::*;
use crate::jose::{ClaimFault, ClaimRules, Claims, JsonFault, KeyFault};

/// The order of the group of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token signed with a secret that the attacker knows, which claims to be `header`.
fn hmac_forged(header: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", encode(tag))
}

/// `text` with another signature.
fn with_signature(text: &str, signature: &[u8]) -> String {
    format!("{}.{}", text.rsplit_once('.').unwrap().0, encode(signature))
}

fn signature_of(text: &str) -> Vec<u8> {
    b64(text.rsplit_once('.').unwrap().1)
}

#[test]
fn unsigned_tokens_are_refused_in_every_spelling() {
    let (text, key) = token(Algorithm::Rs256);
    let signature = text.rsplit_once('.').unwrap().1;
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = encode(json!({ "alg": name }).to_string());
        let payload = encode(claims().to_string());
        for text in [
            format!("{header}.{payload}."),
            format!("{header}.{payload}.{signature}"),
            format!("{header}.{payload}.AA"),
        ] {
            assert_eq!(verify(&text, &key), Err(TokenFault::Unsigned), "{text}");
        }
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let pair = pair(KeyKind::Rsa);
    let key = pair.verifier(Algorithm::Rs256);
    let der = b64_lines(pair.public_pem());
    for secret in [pair.public.as_slice(), pair.public_pem().trim_end().as_bytes(), &der] {
        let forged = hmac_forged(&json!({ "alg": "HS256" }), secret);
        let refused = Err(TokenFault::AlgorithmNotOfKey(Algorithm::Hs256));
        assert_eq!(verify(&forged, &key), refused);
        let forged = hmac_forged(&json!({ "alg": "RS256" }), secret);
        assert_eq!(verify(&forged, &key), Err(TokenFault::Signature));
    }
    let secret = Secret::new(pair.public.clone());
    for strength in [SecretStrength::Full, SecretStrength::DangerShort] {
        let key = VerificationKey::from_secret(Algorithm::Hs256, &secret, strength);
        assert_eq!(key.err(), Some(KeyFault::SecretIsPem));
    }
}

fn b64_lines(pem: &str) -> Vec<u8> {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(text).unwrap()
}

#[test]
fn a_key_verifies_only_the_algorithm_it_is_bound_to() {
    for &signed_with in Algorithm::ALL {
        let pair = pair(signed_with.kind());
        let text = pair.signer(signed_with).sign(&Map::new(), &claims()).unwrap();
        for bound_to in signed_with.kind().algorithms().iter() {
            let verdict = verify(&text, &pair.verifier(bound_to));
            if bound_to == signed_with {
                assert_eq!(verdict, Ok(claims()));
            } else {
                let refused = Err(TokenFault::AlgorithmNotOfKey(signed_with));
                assert_eq!(verdict, refused, "{signed_with} {bound_to}");
            }
        }
    }
}

#[test]
fn a_signature_made_for_one_algorithm_is_none_for_another() {
    for kind in [KeyKind::Secret, KeyKind::Rsa] {
        let pair = pair(kind);
        for signed_with in kind.algorithms().iter() {
            for claimed in kind.algorithms().iter().filter(|claimed| *claimed != signed_with) {
                let header = json!({ "alg": claimed }).to_string();
                let text = pair.signer(signed_with).sign_text(&header, &claims().to_string());
                let verdict = verify(&text.unwrap(), &pair.verifier(claimed));
                assert_eq!(verdict, Err(TokenFault::Signature), "{signed_with} as {claimed}");
            }
        }
    }
}

#[test]
fn a_signature_is_whole() {
    for &algorithm in Algorithm::ALL {
        let (text, key) = token(algorithm);
        let signature = signature_of(&text);
        let stripped = format!("{}.", text.rsplit_once('.').unwrap().0);
        assert_eq!(verify(&stripped, &key), Err(TokenFault::EmptyPart("signature")));
        let half = signature[..signature.len() / 2].to_vec();
        let longer = [signature.as_slice(), &[0]].concat();
        for wrong in [half, signature[1..].to_vec(), signature[..1].to_vec(), longer] {
            let verdict = verify(&with_signature(&text, &wrong), &key);
            assert_eq!(verdict, Err(TokenFault::Signature), "{algorithm}");
        }
    }
}

#[test]
fn zero_is_no_signature() {
    for &algorithm in Algorithm::ALL {
        let (text, key) = token(algorithm);
        let len = signature_of(&text).len();
        for forged in [vec![0; len], vec![0xff; len], vec![1; len]] {
            let verdict = verify(&with_signature(&text, &forged), &key);
            assert_eq!(verdict, Err(TokenFault::Signature), "{algorithm}");
        }
    }
}

/// CVE-2022-21449: `r` or `s` of zero, or of the order of the group, verify anything.
#[test]
fn psychic_signatures_are_refused() {
    let (text, key) = token(Algorithm::Es256);
    let genuine = signature_of(&text);
    let mut one = [0; 32];
    one[31] = 1;
    for r in [[0; 32], ORDER, one, genuine[..32].try_into().unwrap()] {
        for s in [[0; 32], ORDER, one] {
            let verdict = verify(&with_signature(&text, &[r, s].concat()), &key);
            assert_eq!(verdict, Err(TokenFault::Signature));
        }
    }
}

#[test]
fn an_ecdsa_signature_has_the_fixed_form_only() {
    let (text, key) = token(Algorithm::Es256);
    let signature = signature_of(&text);
    let mut der = vec![0x30, 0];
    for half in signature.chunks(32) {
        der.extend_from_slice(&[2, 33, 0]);
        der.extend_from_slice(half);
    }
    der[1] = u8::try_from(der.len() - 2).unwrap();
    assert_eq!(verify(&with_signature(&text, &der), &key), Err(TokenFault::Signature));
    assert_eq!(verify(&text, &key), Ok(claims()));
}

#[test]
fn a_pss_salt_has_the_length_of_the_hash() {
    static SHORT: RsaSignatureEncoding =
        RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Custom(20));
    let pair = rsa_pair();
    let header = encode(json!({ "alg": "PS256" }).to_string());
    let signed = format!("{header}.{}", encode(claims().to_string()));
    let sign = |encoding: &'static dyn signature::RsaEncoding| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", encode(signature))
    };
    let key = super::pair(KeyKind::Rsa).verifier(Algorithm::Ps256);
    assert_eq!(verify(&sign(&RSA_PSS_SHA256), &key), Ok(claims()));
    assert_eq!(verify(&sign(&SHORT), &key), Err(TokenFault::Signature));
}

#[test]
fn keys_that_the_token_brings_along_are_refused() {
    let secret: Vec<u8> = (100..164).collect();
    let jwk = json!({ "kty": "oct", "k": encode(&secret) });
    let (_, key) = token(Algorithm::Hs256);
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://attacker.example/keys")),
        ("x5u", json!("https://attacker.example/cert")),
    ] {
        let forged = hmac_forged(&json!({ "alg": "HS256", name: value }), &secret);
        assert_eq!(verify(&forged, &key), Err(TokenFault::ForbiddenMember(name)));
    }
    let forged = hmac_forged(&json!({ "alg": "HS256", "x5c": ["MIIB"] }), &secret);
    assert_eq!(verify(&forged, &key), Err(TokenFault::Signature));
}

/// Even a good signature does not make these acceptable.
#[test]
fn strange_headers_are_refused_even_when_signed() {
    let pair = pair(KeyKind::Secret);
    let (signer, key) = (pair.signer(Algorithm::Hs256), pair.verifier(Algorithm::Hs256));
    let twice = TokenFault::Header(JsonFault::Duplicate);
    for (header, fault) in [
        (r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, TokenFault::ForbiddenMember("crit")),
        (r#"{"alg":"HS256","crit":[]}"#, TokenFault::ForbiddenMember("crit")),
        (r#"{"alg":"HS256","b64":false}"#, TokenFault::ForbiddenMember("b64")),
        (r#"{"alg":"HS256","zip":"DEF"}"#, TokenFault::ForbiddenMember("zip")),
        (r#"{"alg":"HS256","enc":"A128GCM"}"#, TokenFault::ForbiddenMember("enc")),
        (r#"{"alg":"HS256","alg":"HS256"}"#, twice),
        (r#"{"alg":"HS256","kid":"a","kid":"b"}"#, twice),
        (r#"{"alg":"HS256","x":{"y":1,"y":2}}"#, twice),
        (r#"{"alg":"HS256"} "#, TokenFault::Signature),
        ("[]", TokenFault::Header(JsonFault::NotAnObject)),
        ("\u{feff}{\"alg\":\"HS256\"}", TokenFault::Header(JsonFault::Syntax)),
    ] {
        let text = signer.sign_text(header, &claims().to_string()).unwrap();
        match fault {
            // Whitespace after the header is JSON like any other, and signed.
            TokenFault::Signature => assert_eq!(verify(&text, &key), Ok(claims())),
            fault => assert_eq!(verify(&text, &key), Err(fault), "{header}"),
        }
    }
}

#[test]
fn strange_payloads_are_refused_even_when_signed() {
    let pair = pair(KeyKind::Secret);
    let (signer, key) = (pair.signer(Algorithm::Hs256), pair.verifier(Algorithm::Hs256));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(16), "]".repeat(16));
    let wide = format!("{{\"a\":[{}1]}}", "1,".repeat(1_024));
    for (payload, fault) in [
        (r#"{"sub":"alice","sub":"bob"}"#, JsonFault::Duplicate),
        (r#"{"a":{"exp":1,"exp":2}}"#, JsonFault::Duplicate),
        (r#"{"sub":"alice","\u0073ub":"bob"}"#, JsonFault::Duplicate),
        (deep.as_str(), JsonFault::TooDeep),
        (wide.as_str(), JsonFault::TooMany),
        (r#"{"exp":1e400}"#, JsonFault::Syntax),
        (r#"{"exp":Infinity}"#, JsonFault::Syntax),
        (r#"{"sub":"a"}{"sub":"b"}"#, JsonFault::Syntax),
        (r#""alice""#, JsonFault::NotAnObject),
        ("[1]", JsonFault::NotAnObject),
    ] {
        let text = signer.sign_text(r#"{"alg":"HS256"}"#, payload).unwrap();
        assert_eq!(verify(&text, &key), Err(TokenFault::Payload(fault)), "{payload}");
    }
}

#[test]
fn an_expiry_that_is_no_time_is_no_expiry() {
    let rules = ClaimRules { require_exp: false, ..ClaimRules::default() };
    for exp in
        ["\"2000000000\"", "1e300", "99999999999999999999", "-1", "null", "[]", "253402300800"]
    {
        let claims = Claims::parse(format!("{{\"exp\":{exp}}}").as_bytes()).unwrap();
        let verdict = rules.check(&claims, bartizan_core::Timestamp::from_secs(1));
        assert_eq!(verdict, Err(ClaimFault::Malformed("exp")), "{exp}");
    }
}

#[test]
fn a_token_has_one_spelling() {
    for &algorithm in Algorithm::ALL {
        let (text, key) = token(algorithm);
        for other in [
            format!("{text}="),
            format!("{text}=="),
            format!(" {text}"),
            format!("{text} "),
            format!("{text}\n"),
            format!("{text}."),
            format!(".{text}"),
            format!("{text}\0"),
            text.replacen('.', "=.", 1),
            text.replacen('.', "..", 1),
            text.replace('.', "%2E"),
            text.to_uppercase(),
        ] {
            assert!(verify(&other, &key).is_err(), "{other}");
        }
        if text.contains(['-', '_']) {
            let standard = text.replace('-', "+").replace('_', "/");
            assert!(verify(&standard, &key).is_err());
        }
    }
}

#[test]
fn an_encrypted_token_is_no_token() {
    let header = encode(json!({ "alg": "dir", "enc": "A256GCM" }).to_string());
    let fault = Token::parse(&format!("{header}..AAAA.AAAA.AAAA")).err();
    assert_eq!(fault, Some(TokenFault::NotThreeParts));
}

/// Known and accepted, as the module's documentation says: bytes do not name an ECDSA token.
#[test]
fn an_ecdsa_token_has_a_twin() {
    let (text, key) = token(Algorithm::Es256);
    let mut twin = signature_of(&text);
    let mut borrow = 0_i16;
    for (s, n) in twin[32..].iter_mut().zip(ORDER).rev() {
        let difference = i16::from(n) - i16::from(*s) - borrow;
        borrow = i16::from(difference < 0);
        *s = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    let twin = with_signature(&text, &twin);
    assert_ne!(twin, text);
    assert_eq!(verify(&twin, &key), Ok(claims()));
}
