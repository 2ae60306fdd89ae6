//! Encrypted tokens: what is read, and what is refused before anything is decrypted.

use bartizan_core::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::jose::{Binding, Jwe, JweFault, JweKey, TOKEN_MAX};

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn with_header(header: &str) -> Result<String, JweFault> {
    let rest = format!("{}..{}.AAAA.{}", encoded(header), encoded("123456789012"), "A".repeat(22));
    Jwe::parse(&rest).map(|token| token.kid().to_owned())
}

#[test]
fn a_header_has_the_algorithms_of_the_key_and_names_it() {
    assert_eq!(with_header(r#"{"alg":"dir","enc":"A256GCM","kid":"a"}"#), Ok("a".to_owned()));
    let more = r#"{"kid":"a","typ":"JWT","enc":"A256GCM","alg":"dir","cty":"x"}"#;
    assert_eq!(with_header(more), Ok("a".to_owned()));
    for (header, fault) in [
        (r#"{"alg":"dir","enc":"A128GCM","kid":"a"}"#, JweFault::Algorithm),
        (r#"{"alg":"A256KW","enc":"A256GCM","kid":"a"}"#, JweFault::Algorithm),
        (r#"{"alg":"DIR","enc":"A256GCM","kid":"a"}"#, JweFault::Algorithm),
        (r#"{"alg":"none","enc":"A256GCM","kid":"a"}"#, JweFault::Algorithm),
        (r#"{"enc":"A256GCM","kid":"a"}"#, JweFault::HeaderMember("alg")),
        (r#"{"alg":"dir","enc":1,"kid":"a"}"#, JweFault::HeaderMember("enc")),
        (r#"{"alg":"dir","enc":"A256GCM"}"#, JweFault::NoKid),
        (r#"{"alg":"dir","enc":"A256GCM","kid":7}"#, JweFault::HeaderMember("kid")),
        (r#"{"alg":"dir","enc":"A256GCM","kid":""}"#, JweFault::HeaderMember("kid")),
        (
            r#"{"alg":"dir","enc":"A256GCM","kid":"a","zip":"DEF"}"#,
            JweFault::ForbiddenMember("zip"),
        ),
        (r#"{"alg":"dir","enc":"A256GCM","kid":"a","crit":[]}"#, JweFault::ForbiddenMember("crit")),
    ] {
        assert_eq!(with_header(header), Err(fault), "{header}");
    }
    for header in ["", "[]", r#"{"kid":"a","kid":"b"}"#, "{} x"] {
        assert!(matches!(with_header(header), Err(JweFault::Header(_))), "{header}");
    }
}

#[test]
fn parts_have_their_number_length_and_encoding() {
    let header = encoded(r#"{"alg":"dir","enc":"A256GCM","kid":"a"}"#);
    let (nonce, tag) = (encoded("123456789012"), "A".repeat(22));
    for (text, fault) in [
        (String::new(), JweFault::NotFiveParts),
        (format!("{header}..{nonce}.{tag}"), JweFault::NotFiveParts),
        (format!("{header}..{nonce}..{tag}."), JweFault::NotFiveParts),
        (format!("{header}.AAAA.{nonce}..{tag}"), JweFault::Length("encrypted key")),
        (format!("{header}..AAAA..{tag}"), JweFault::Length("initialisation vector")),
        (format!("{header}..{nonce}..AAAA"), JweFault::Length("tag")),
        (format!("{header}..{nonce}.A.{tag}"), JweFault::Encoding("ciphertext")),
        (format!("{header}..{nonce}.AAA=.{tag}"), JweFault::Encoding("ciphertext")),
        (format!("{header}..{nonce}..{}B", "A".repeat(21)), JweFault::Encoding("tag")),
        ("x".repeat(TOKEN_MAX + 1), JweFault::TooLong),
    ] {
        assert_eq!(Jwe::parse(&text).err(), Some(fault), "{text}");
    }
    let empty = format!("{header}..{nonce}..{tag}");
    assert!(Jwe::parse(&empty).is_ok());
}

#[test]
fn a_key_has_32_bytes_and_shows_nothing() {
    for length in [0, 16, 31, 33, 64] {
        assert!(JweKey::new(&Secret::new(vec![7; length])).is_none(), "{length}");
    }
    let key = JweKey::new(&Secret::new([7; 32])).unwrap();
    assert_eq!(format!("{key:?}"), "JweKey(…)");
}

proptest::proptest! {
    /// Whatever single bit of a good token is changed, it does not open.
    #[test]
    fn a_changed_token_does_not_open(at in 0_usize..140, bit in 0_u8..8) {
        const TOKEN: &str = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiYWxpY2UifQ..\
                             MTIzNDU2Nzg5MDEy.ilU06U4282WarkjH.qCwAa_4bAquqDE7Fwdp7ig";
        let key = JweKey::new(&Secret::new("an example of thirty-two bytes!!")).unwrap();
        let mut bytes = TOKEN.as_bytes().to_vec();
        let place = at % bytes.len();
        bytes[place] ^= 1 << bit;
        let opened = std::str::from_utf8(&bytes).ok().and_then(|text| Jwe::parse(text).ok());
        let opened = opened.and_then(|token| token.open(&key, Binding::Header));
        proptest::prop_assert_eq!(opened, None);
    }

    #[test]
    fn every_text_has_one_reading_or_none(text in "[A-Za-z0-9_.=-]{0,80}") {
        crate::jose::fuzz_jwe(text.as_bytes());
    }
}
