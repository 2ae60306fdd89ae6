//! What must hold of any text.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::jose::{AlgorithmSet, ClaimPath, ClaimRules, Claims, KeySet, TokenCache};

static TOKENS: LazyLock<Vec<(String, VerificationKey)>> =
    LazyLock::new(|| Algorithm::ALL.iter().map(|algorithm| token(*algorithm)).collect());

#[test]
fn every_algorithm_verifies_what_it_signs() {
    for (text, key) in TOKENS.iter() {
        assert_eq!(verify(text, key), Ok(claims()), "{key:?}");
    }
}

#[test]
fn no_single_bit_of_a_token_can_be_flipped() {
    for (text, key) in TOKENS.iter() {
        // The last bytes are where encodings have loose bits; elsewhere every 7th byte will do.
        let positions = (0..text.len()).filter(|at| at % 7 == 0 || at + 4 > text.len());
        for at in positions {
            for bit in 0..7 {
                let mut flipped = text.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                let flipped = String::from_utf8(flipped).unwrap();
                assert!(verify(&flipped, key).is_err(), "{key:?} {at} {bit}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flipping_bits_anywhere_never_verifies(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..7), 1..4),
    ) {
        let (text, key) = which.get(&TOKENS);
        let mut flipped = text.clone().into_bytes();
        for (at, bit) in flips {
            let at = at.index(flipped.len());
            flipped[at] ^= 1 << bit;
        }
        let flipped = String::from_utf8(flipped).unwrap();
        prop_assume!(flipped != *text);
        prop_assert!(verify(&flipped, key).is_err());
    }

    #[test]
    fn cutting_and_stretching_never_verifies(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        insert in "[A-Za-z0-9_.=+/ \n-]{0,3}",
        remove in 0_usize..3,
    ) {
        let (text, key) = which.get(&TOKENS);
        let at = at.index(text.len());
        let end = (at + remove).min(text.len());
        let changed = format!("{}{insert}{}", &text[..at], &text[end..]);
        prop_assume!(changed != *text);
        prop_assert!(verify(&changed, key).is_err());
    }

    #[test]
    fn no_text_panics(text in ".*") {
        drop(Token::parse(&text));
        drop(KeySet::parse(text.as_bytes(), AlgorithmSet::asymmetric()));
        drop(VerificationKey::from_pem(Algorithm::Rs256, &text));
        drop(SigningKey::from_pem(Algorithm::Es256, &Secret::new(text.clone())));
        drop(ClaimPath::parse(&text));
        let cache = TokenCache::with_capacity(8, 1024);
        prop_assert!(cache.recall(&text, |_, _| None::<&VerificationKey>).is_none());
    }

    #[test]
    fn no_token_shaped_text_panics(header in ".*", payload in ".*", signature in ".{0,64}") {
        let parts = [header, payload, signature].map(|part| URL_SAFE_NO_PAD.encode(part));
        let text = parts.join(".");
        if let Ok(mut token) = Token::parse(&text) {
            drop(token.unverified_claims().cloned());
        }
    }

    #[test]
    fn no_payload_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(claims) = Claims::parse(&bytes) {
            drop(ClaimRules::default().check(&claims, bartizan_core::Timestamp::default()));
        }
    }

    #[test]
    fn no_signature_of_any_bytes_verifies(
        which in any::<prop::sample::Index>(),
        signature in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let (text, key) = which.get(&TOKENS);
        let (signed, _) = text.rsplit_once('.').unwrap();
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        prop_assert_eq!(verify(&forged, key), Err(TokenFault::Signature));
    }

    #[test]
    fn no_der_panics(
        label in prop::sample::select(vec!["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"]),
        kind in prop::sample::select(vec![KeyKind::Rsa, KeyKind::P256, KeyKind::Ed25519]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let pair = pair(kind);
        let text = pair.public_pem().lines().filter(|line| !line.starts_with('-'));
        let mut der = STANDARD.decode(text.collect::<String>()).unwrap();
        let at = at.index(der.len());
        der[at] = byte;
        let text = String::from_utf8(pem(label, &der)).unwrap();
        for &algorithm in Algorithm::ALL {
            drop(VerificationKey::from_pem(algorithm, &text));
        }
    }
}
