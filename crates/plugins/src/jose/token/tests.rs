use super::*;

fn with_header(header: &str) -> Result<Header, TokenFault> {
    let text = format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header));
    Token::parse(&text).map(|token| token.header().clone())
}

#[test]
fn the_header_gives_algorithm_key_and_type() {
    let header = with_header(r#"{"alg":"ES256","kid":"k1","typ":"JWT","x5t":"abc","x5c":["MII"]}"#);
    let header = header.unwrap();
    assert_eq!(header.algorithm(), Algorithm::Es256);
    assert_eq!((header.kid(), header.typ()), (Some("k1"), Some("JWT")));
}

#[test]
fn members_that_steer_verification_are_refused() {
    for (name, member) in [
        ("crit", r#""crit":[]"#),
        ("crit", r#""crit":["exp"],"exp":1"#),
        ("crit", r#""crit":null"#),
        ("jwk", r#""jwk":{"kty":"oct","k":"AA"}"#),
        ("jku", r#""jku":"https://example.com/keys""#),
        ("x5u", r#""x5u":"https://example.com/cert""#),
        ("enc", r#""enc":"A256GCM""#),
        ("zip", r#""zip":"DEF""#),
        ("b64", r#""b64":false"#),
        ("b64", r#""b64":"false""#),
    ] {
        let header = with_header(&format!(r#"{{"alg":"HS256",{member}}}"#));
        assert_eq!(header, Err(TokenFault::ForbiddenMember(name)), "{member}");
    }
    assert!(with_header(r#"{"alg":"HS256","b64":true}"#).is_ok());
}

#[test]
fn unsigned_and_unknown_algorithms_are_refused_in_every_spelling() {
    for name in ["none", "None", "NONE", "nOnE"] {
        let header = with_header(&format!(r#"{{"alg":"{name}"}}"#));
        assert_eq!(header, Err(TokenFault::Unsigned), "{name}");
    }
    for name in ["", "hs256", "HS256 ", "\\u0000HS256", "ES256K", "RSA-OAEP", "dir", "none "] {
        let header = with_header(&format!(r#"{{"alg":"{name}"}}"#));
        assert_eq!(header, Err(TokenFault::UnknownAlgorithm), "{name}");
    }
    for header in [r"{}", r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"ALG":"HS256"}"#] {
        assert_eq!(with_header(header), Err(TokenFault::HeaderMember("alg")), "{header}");
    }
}

#[test]
fn members_of_the_header_have_their_type_and_length() {
    let long = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(KID_MAX + 1));
    assert_eq!(with_header(&long), Err(TokenFault::HeaderMember("kid")));
    let number = with_header(r#"{"alg":"HS256","kid":7}"#);
    assert_eq!(number, Err(TokenFault::HeaderMember("kid")));
    let list = with_header(r#"{"alg":"HS256","typ":["JWT"]}"#);
    assert_eq!(list, Err(TokenFault::HeaderMember("typ")));
}

#[test]
fn the_header_is_strict_json() {
    let twice = with_header(r#"{"alg":"HS256","alg":"none"}"#);
    assert_eq!(twice, Err(TokenFault::Header(JsonFault::Duplicate)));
    let twice = with_header(r#"{"alg":"none","\u0061lg":"HS256"}"#);
    assert_eq!(twice, Err(TokenFault::Header(JsonFault::Duplicate)));
    let list = with_header(r#"["HS256"]"#);
    assert_eq!(list, Err(TokenFault::Header(JsonFault::NotAnObject)));
}

#[test]
fn there_are_exactly_three_parts_and_none_is_empty() {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    for text in [
        String::new(),
        header.clone(),
        format!("{header}.e30"),
        format!("{header}.e30.AAAA.AAAA"),
        format!("{header}.k.iv.AAAA.tag"),
    ] {
        assert_eq!(Token::parse(&text).err(), Some(TokenFault::NotThreeParts), "{text}");
    }
    for (text, part) in [
        (".e30.AAAA".to_owned(), "header"),
        (format!("{header}..AAAA"), "payload"),
        (format!("{header}.e30."), "signature"),
    ] {
        assert_eq!(Token::parse(&text).err(), Some(TokenFault::EmptyPart(part)), "{text}");
    }
}

#[test]
fn the_encoding_is_canonical() {
    // `YQ` is the letter a; `YR` has bits set that carry nothing.
    assert_eq!(decode("YQ", "payload", 8).as_deref(), Ok(b"a".as_slice()));
    for text in ["YR", "YQ=", "YQ==", "Y", "Y Q", "YQ\n", "\tYQ", "Y+", "Y/", "Yé", "YQ\0"] {
        assert_eq!(decode(text, "x", 8), Err(TokenFault::Encoding("x")), "{text:?}");
    }
}

#[test]
fn a_header_is_known_once_a_token_with_it_has_verified() {
    let known = KnownHeader::default();
    let texts = [r#"{"alg":"HS256","kid":"a"}"#, r#"{"alg":"HS256","kid":"b"}"#];
    let [first, second] =
        texts.map(|header| format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header)));
    let header = |text: &str| {
        let token = Token::parse_knowing(text, &known).unwrap();
        (token.header().clone(), known.of(token.header_text).is_some())
    };
    for text in [&first, &second] {
        assert_eq!(header(text), (Token::parse(text).unwrap().header().clone(), false));
    }
    // What this does is done by a key that has verified the signature.
    let token = Token::parse_knowing(&second, &known).unwrap();
    token.into_parts().unwrap();
    for (text, is_known) in [(&first, false), (&second, true)] {
        assert_eq!(header(text), (Token::parse(text).unwrap().header().clone(), is_known));
    }
    // The key has changed: what verified before is not what comes now.
    Token::parse_knowing(&first, &known).unwrap().into_parts().unwrap();
    for (text, is_known) in [(&first, true), (&second, false)] {
        assert_eq!(header(text), (Token::parse(text).unwrap().header().clone(), is_known));
    }
    Token::parse_knowing(&second, &known).unwrap().into_parts().unwrap();
    // What follows the header is looked at all the same.
    let broken = second.replace("e30", "");
    let fault = Token::parse_knowing(&broken, &known).err();
    assert_eq!(fault, Some(TokenFault::EmptyPart("payload")));
}

#[test]
fn lengths_are_bounded() {
    let text = "a".repeat(TOKEN_MAX + 1);
    assert_eq!(Token::parse(&text).err(), Some(TokenFault::TooLong));
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let text = format!("{header}.e30.{}", "A".repeat(1_400));
    assert_eq!(Token::parse(&text).err(), Some(TokenFault::PartTooLong("signature")));
    let text = format!("{}.e30.AAAA", "A".repeat(12_000));
    assert_eq!(Token::parse(&text).err(), Some(TokenFault::PartTooLong("header")));
}

#[test]
fn what_has_the_greatest_length_is_read_and_nothing_longer() {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    for (length, told) in
        [(TOKEN_MAX - 1, None), (TOKEN_MAX, None), (TOKEN_MAX + 1, Some(TokenFault::TooLong))]
    {
        let payload = "A".repeat(length - header.len() - "..AAAA".len());
        let text = format!("{header}.{payload}.AAAA");
        assert_eq!((text.len(), Token::parse(&text).err()), (length, told));
    }
    for (length, is_read) in [(KID_MAX - 1, true), (KID_MAX, true), (KID_MAX + 1, false)] {
        let header = format!(r#"{{"alg":"HS256","kid":"{}"}}"#, "k".repeat(length));
        assert_eq!(with_header(&header).is_ok(), is_read, "{length}");
    }
    for (length, is_read) in
        [(SIGNATURE_MAX - 1, true), (SIGNATURE_MAX, true), (SIGNATURE_MAX + 1, false)]
    {
        let text = URL_SAFE_NO_PAD.encode(vec![0; length]);
        let told = decode(&text, "signature", SIGNATURE_MAX).map(|bytes| bytes.len());
        let expected = if is_read { Ok(length) } else { Err(TokenFault::PartTooLong("signature")) };
        assert_eq!(told, expected);
    }
}
