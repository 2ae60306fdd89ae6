//! Which keys are accepted, from which form, for what.

use super::*;
use crate::jose::KeyFault;
use crate::jose::material::SMALL_ORDER;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn from_pem(algorithm: Algorithm, pem: &str) -> Result<VerificationKey, KeyFault> {
    VerificationKey::from_pem(algorithm, pem)
}

#[test]
fn a_public_key_serves_the_algorithms_of_its_kind_only() {
    let kinds = [KeyKind::Rsa, KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519];
    for kind in kinds {
        let pair = pair(kind);
        for &algorithm in Algorithm::ALL {
            let key = from_pem(algorithm, pair.public_pem());
            if algorithm.kind() == kind {
                let key = key.unwrap();
                assert_eq!((key.kind(), key.algorithms()), (kind, algorithm.into()));
            } else {
                assert_eq!(key.err(), Some(KeyFault::Kind { algorithm, kind }));
            }
        }
    }
}

#[test]
fn a_secret_serves_hmac_only_and_is_as_long_as_the_hash() {
    let key = |algorithm, len: usize, strength| {
        VerificationKey::from_secret(algorithm, &Secret::new(vec![7; len]), strength)
    };
    for (algorithm, least) in
        [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
    {
        assert!(key(algorithm, least, SecretStrength::Full).is_ok());
        let actual = least - 1;
        let short = KeyFault::SecretTooShort { algorithm, least, actual };
        assert_eq!(key(algorithm, actual, SecretStrength::Full).err(), Some(short));
        assert!(key(algorithm, 1, SecretStrength::DangerShort).is_ok());
        let empty = KeyFault::SecretTooShort { algorithm, least: 1, actual: 0 };
        assert_eq!(key(algorithm, 0, SecretStrength::DangerShort).err(), Some(empty));
    }
    let fault = key(Algorithm::Rs256, 64, SecretStrength::Full).err();
    let kind = KeyKind::Secret;
    assert_eq!(fault, Some(KeyFault::Kind { algorithm: Algorithm::Rs256, kind }));
}

#[test]
fn pkcs1_and_spki_of_one_rsa_key_are_one_key() {
    let pair = rsa_pair();
    let pkcs1 = text(pem("RSA PUBLIC KEY", pair.public_key().as_ref()));
    let spki = super::pair(KeyKind::Rsa);
    let pkcs1 = from_pem(Algorithm::Rs256, &pkcs1).unwrap();
    let spki = from_pem(Algorithm::Ps512, spki.public_pem()).unwrap();
    assert_eq!(pkcs1.generation(), spki.generation());
    assert_ne!(pkcs1.algorithms(), spki.algorithms());
}

#[test]
fn a_certificate_brings_its_key() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["issuer.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().pem();
    let private = Secret::new(pair.serialize_pem());
    let signer = SigningKey::from_pem(Algorithm::Es256, &private).unwrap();
    let token = signer.sign(&Map::new(), &claims()).unwrap();
    let key = from_pem(Algorithm::Es256, &certificate).unwrap();
    assert_eq!(verify(&token, &key), Ok(claims()));
    let two = format!("{certificate}{certificate}");
    assert_eq!(from_pem(Algorithm::Es256, &two).err(), Some(KeyFault::SeveralSections));
}

#[test]
fn private_keys_sign_from_every_form() {
    let rsa = rsa_pair().as_der().unwrap();
    // The PKCS#8 form of a 2048-bit key is 26 bytes of wrapping and the PKCS#1 form.
    let pkcs1 = pem("RSA PRIVATE KEY", &rsa.as_ref()[26..]);
    let signer = SigningKey::from_pem(Algorithm::Rs256, &Secret::new(pkcs1)).unwrap();
    let token = signer.sign(&Map::new(), &claims()).unwrap();
    assert!(verify(&token, &pair(KeyKind::Rsa).verifier(Algorithm::Rs256)).is_ok());

    let ec = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let parameters = text(pem("EC PARAMETERS", b"\x06\x05\x2b\x81\x04\x00\x22"));
    let sec1 = text(pem("EC PRIVATE KEY", ec.private_key().as_der().unwrap().as_ref()));
    let private = Secret::new(format!("{parameters}{sec1}"));
    let signer = SigningKey::from_pem(Algorithm::Es384, &private).unwrap();
    let token = signer.sign(&Map::new(), &claims()).unwrap();
    let public = text(pem("PUBLIC KEY", ec.public_key().as_der().unwrap().as_ref()));
    assert!(verify(&token, &from_pem(Algorithm::Es384, &public).unwrap()).is_ok());
}

#[test]
fn a_private_key_is_not_taken_where_a_public_one_belongs() {
    for kind in [KeyKind::Rsa, KeyKind::P256, KeyKind::Ed25519] {
        let pair = pair(kind);
        let private = std::str::from_utf8(&pair.private).unwrap();
        for &algorithm in Algorithm::ALL {
            assert_eq!(from_pem(algorithm, private).err(), Some(KeyFault::PrivateKey));
        }
        let algorithm = kind.algorithms().iter().next().unwrap();
        let signer = SigningKey::from_pem(algorithm, &Secret::new(pair.public.clone()));
        assert_eq!(signer.err(), Some(KeyFault::Section("PUBLIC KEY".to_owned())));
    }
}

#[test]
fn broken_pem_is_refused() {
    let good = pair(KeyKind::P256);
    let good = good.public_pem();
    for (pem, fault) in [
        (String::new(), KeyFault::Pem),
        ("not pem".to_owned(), KeyFault::Pem),
        (good.replace("-----END PUBLIC KEY-----", ""), KeyFault::Pem),
        (good.replace('M', "*"), KeyFault::Pem),
        (format!("{good}{good}"), KeyFault::SeveralSections),
        (good.replace("PUBLIC KEY", "X509 CRL"), KeyFault::Section("X509 CRL".to_owned())),
        (good.replace("PUBLIC KEY", "CERTIFICATE"), KeyFault::Unreadable("certificate")),
        (good.replace("PUBLIC KEY", "RSA PUBLIC KEY"), KeyFault::Unreadable("RSA key")),
        ("x".repeat(100_000), KeyFault::Pem),
    ] {
        assert_eq!(from_pem(Algorithm::Es256, &pem).err(), Some(fault), "{pem}");
    }
}

#[test]
fn points_of_small_order_are_refused() {
    for point in SMALL_ORDER {
        for sign in [0, 0x80] {
            let mut point = point;
            point[31] |= sign;
            let prefix = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
            let spki = text(pem("PUBLIC KEY", &[prefix.as_slice(), &point].concat()));
            let fault = from_pem(Algorithm::EdDsa, &spki).err();
            assert_eq!(fault, Some(KeyFault::SmallOrder));
        }
    }
}

/// Why they are: with `R` the neutral element and `S` zero, one message in at most eight verifies.
#[test]
fn anyone_can_sign_for_a_point_of_small_order() {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    let mut forged = [0; 64];
    forged[0] = 1;
    // The last two are no canonical encodings, which the library may refuse by itself.
    for point in &SMALL_ORDER[..5] {
        let key = UnparsedPublicKey::new(&ED25519, point);
        let verified = |message: u32| key.verify(&message.to_be_bytes(), &forged).is_ok();
        assert!((0..200).any(verified), "{point:02x?}");
    }
}

#[test]
fn generations_differ_by_material_and_kind() {
    let secret = |byte| {
        let secret = Secret::new([byte; 64]);
        VerificationKey::from_secret(Algorithm::Hs256, &secret, SecretStrength::Full).unwrap()
    };
    assert_eq!(secret(1).generation(), secret(1).generation());
    assert_ne!(secret(1).generation(), secret(2).generation());
    let (one, two) = (pair(KeyKind::P256), pair(KeyKind::P256));
    let generation = |pair: &Pair| pair.verifier(Algorithm::Es256).generation();
    assert_eq!(generation(&one), generation(&one));
    assert_ne!(generation(&one), generation(&two));
}

#[test]
fn debug_shows_neither_secrets_nor_generations() {
    let pair = pair(KeyKind::Secret);
    let key = pair.verifier(Algorithm::Hs256);
    assert_eq!(format!("{key:?}"), "VerificationKey { kid: None, kind: Secret, .. }");
    assert_eq!(format!("{:?}", key.generation()), "KeyGeneration(…)");
    let signer = pair.signer(Algorithm::Hs256);
    assert_eq!(format!("{signer:?}"), "SigningKey { algorithm: Hs256, .. }");
}

#[test]
fn a_signer_neither_changes_its_algorithm_nor_signs_what_is_no_object() {
    use crate::jose::SignFault;
    let signer = pair(KeyKind::Secret).signer(Algorithm::Hs256);
    let header = |value: Value| value.as_object().unwrap().clone();
    let fault = signer.sign(&header(json!({ "alg": "none" })), &claims());
    assert_eq!(fault, Err(SignFault::AlgorithmGiven));
    assert_eq!(signer.sign(&Map::new(), &json!([])), Err(SignFault::NotAnObject));
    let text = signer.sign(&header(json!({ "kid": "k1", "typ": "at+jwt" })), &claims()).unwrap();
    let token = Token::parse(&text).unwrap();
    assert_eq!((token.header().kid(), token.header().typ()), (Some("k1"), Some("at+jwt")));
}
