use bartizan_core::Secret;
use http::StatusCode;
use serde_json::{Value, json};

use super::client::{ClientAuth, form_encoded};
use super::*;
use crate::authenticate::oauth_introspection::tests::config;
use crate::authenticate::oauth_introspection::{Config, OauthIntrospection};
use crate::fixture::Bench;
use crate::jose::{Algorithm, AlgorithmSet, KeySet, SecretStrength, Token, VerificationKey};

fn settings(method: Method, secret: &str) -> ClientSettings {
    ClientSettings {
        id: "gate way".to_owned(),
        method,
        secret: ("client_secret", (!secret.is_empty()).then(|| Secret::new(secret.as_bytes()))),
        key: ("assertion_key", None),
        algorithm: ("assertion_algorithm", None),
        key_id: ("assertion_key_id", None),
        audience: ("assertion_audience", None),
        lifetime: ("assertion_lifetime", None),
        certificate: ("client_cert", method == Method::Certificate),
    }
}

fn form(client: &ClientAuth) -> String {
    let form = client.form("a.b+c/d==", Timestamp::from_secs(1_000)).unwrap();
    form.expose_str().unwrap().to_owned()
}

#[test]
fn the_client_proves_itself_in_the_way_that_is_configured() {
    const TOKEN: &str = "token=a.b%2Bc%2Fd%3D%3D&token_type_hint=access_token";
    let client = |method, secret| {
        ClientAuth::compile(&settings(method, secret), "https://id.example").unwrap()
    };
    let basic = client(Method::Basic, "p:ä&=");
    assert_eq!(form(&basic), TOKEN);
    // `gate%20way:p%3A%C3%A4%26%3D`
    let value = "Basic Z2F0ZSUyMHdheTpwJTNBJUMzJUE0JTI2JTNE";
    assert_eq!(basic.authorization().unwrap().expose_str(), Some(value));
    let post = client(Method::Post, "p:ä&=");
    assert_eq!(form(&post), format!("{TOKEN}&client_id=gate%20way&client_secret=p%3A%C3%A4%26%3D"));
    assert!(post.authorization().is_none());
    let certificate = client(Method::Certificate, "");
    assert_eq!(form(&certificate), format!("{TOKEN}&client_id=gate%20way"));
}

#[test]
fn assertions_are_for_the_issuer_short_and_never_the_same() {
    let secret = "a secret of at least thirty-two bytes";
    let settings = settings(Method::SecretAssertion, secret);
    let client = ClientAuth::compile(&settings, "https://id.example").unwrap();
    let key = VerificationKey::from_secret(
        Algorithm::Hs256,
        &Secret::new(secret.as_bytes()),
        SecretStrength::Full,
    );
    let key = key.unwrap();
    let assertion = || {
        let form = form(&client);
        let (before, assertion) = form.split_once("&client_assertion=").unwrap();
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        assert!(before.ends_with(&format!("&client_id=gate%20way&client_assertion_type={kind}")));
        let verified = key.verify(Token::parse(assertion).unwrap()).unwrap();
        verified.claims().value().clone()
    };
    let (mut one, two) = (assertion(), assertion());
    assert_ne!(one["jti"], two["jti"]);
    assert_eq!(one["jti"].as_str().unwrap().len(), 22);
    one["jti"] = Value::Null;
    let expected = json!({
        "iss": "gate way", "sub": "gate way", "aud": "https://id.example", "jti": null,
        "iat": 1_000, "exp": 1_060,
    });
    assert_eq!(one, expected);
}

fn read(body: &str) -> Result<Answer, AskFault> {
    let mut fields = Fields::new();
    fields.append("content-type", "application/json; charset=utf-8");
    answer::read(StatusCode::OK, &fields, body.as_bytes())
}

#[test]
fn an_answer_has_one_meaning_or_is_none() {
    for (body, fault) in [
        (r#"{"active": "true"}"#, "`active` of the answer"),
        (r#"{"active": 1}"#, "`active` of the answer"),
        (r#"{"active": null}"#, "`active` of the answer"),
        ("{}", "`active` of the answer"),
        (r#"{"active": true, "active": false}"#, "a member occurs twice"),
        (r#"{"active": true} {}"#, "not valid JSON"),
        (r#"[{"active": true}]"#, "not a JSON object"),
        (r#"{"active": true, "exp": "1"}"#, "`exp`"),
        (r#"{"active": true, "exp": -1}"#, "`exp`"),
        (r#"{"active": true, "nbf": {}}"#, "`nbf`"),
        (r#"{"active": true, "iat": true}"#, "`iat`"),
        (r#"{"active": true, "iss": 1}"#, "`iss`"),
        (r#"{"active": true, "aud": [1]}"#, "`aud`"),
        (r#"{"active": true, "scope": 1}"#, "`scope`"),
        (r#"{"active": true, "sub": 1}"#, "`sub`"),
        (r#"{"active": true, "client_id": []}"#, "`client_id`"),
        (r#"{"active": true, "token_type": 1}"#, "`token_type`"),
    ] {
        let told = read(body).unwrap_err();
        assert!(told.to_string().contains(fault), "{body}: {told}");
        assert_eq!(told.label(), "answer");
        assert_eq!(told.answers(), Some(true), "it may be the token's doing");
    }
    // Of a token that is not active nothing else counts.
    assert_eq!(read(r#"{"active": false, "exp": "1"}"#), Ok(Answer::Inactive));
    assert!(matches!(read(r#"{"active": true, "x": [1]}"#), Ok(Answer::Active(_))));
}

#[test]
fn what_is_no_json_by_its_own_words_is_no_answer() {
    for (status, media) in [
        (StatusCode::OK, "text/json"),
        (StatusCode::OK, "application/token-introspection+jwt"),
        (StatusCode::OK, ""),
        (StatusCode::CREATED, "application/json"),
        (StatusCode::UNAUTHORIZED, "application/json"),
        (StatusCode::FOUND, "application/json"),
    ] {
        let mut fields = Fields::new();
        fields.append("content-type", media);
        let told = answer::read(status, &fields, br#"{"active": true}"#);
        assert!(told.is_err(), "{status} {media}");
    }
    let mut fields = Fields::new();
    fields.append("content-type", "application/json");
    fields.append("content-type", "application/json");
    assert!(answer::read(StatusCode::OK, &fields, br#"{"active": true}"#).is_err());
}

#[test]
fn who_says_the_same_of_an_issuer_shares_what_it_said() {
    let bench = Bench::new();
    let asker = |more: &Value| {
        let config: Config = serde_json::from_value(config(more)).unwrap();
        let settings = config.introspection().unwrap();
        bench.within::<OauthIntrospection, _>(|cx| Asker::of(&settings, cx).unwrap())
    };
    let one = asker(&json!({}));
    assert!(Arc::ptr_eq(&one, &asker(&json!({ "audiences": ["billing"] }))));
    for more in [
        json!({ "client_id": "other" }),
        json!({ "client_secret": "another" }),
        json!({ "introspection_endpoint": "https://id.example/other" }),
        json!({ "client_auth_method": "client_secret_post" }),
        json!({ "cache_ttl": "1s" }),
        json!({ "timeout": "1s" }),
        json!({ "ca_certs": crate::fixture::authority() }),
    ] {
        assert!(!Arc::ptr_eq(&one, &asker(&more)), "{more}");
    }
}

#[test]
fn no_secret_is_in_the_name_of_a_state() {
    let config: Config =
        serde_json::from_value(config(&json!({ "client_secret": "hunter2" }))).unwrap();
    let settings = config.introspection().unwrap();
    let id = Bench::new().within::<OauthIntrospection, _>(|cx| settings.id(cx));
    assert!(!id.contains("hunter2"), "{id}");
}

/// Answers, hardly ever right ones.
const ANSWERS: &str =
    r#"\{("active": ?(true|false|1|"true"),? ?){0,2}("exp": ?[0-9a]{1,3})?\}|\PC{0,30}"#;

proptest::proptest! {
    /// Whatever an issuer says, a token is active only where a lenient reader reads that, too.
    #[test]
    fn garbage_is_never_active(body in ANSWERS) {
        if matches!(read(&body), Ok(Answer::Active(_))) {
            let lenient: Value = serde_json::from_str(&body).unwrap();
            proptest::prop_assert_eq!(&lenient["active"], &Value::Bool(true));
            proptest::prop_assert_eq!(body.matches("\"active\"").count(), 1);
        }
    }

    #[test]
    fn a_form_says_what_was_put_into_it(text in "\\PC{0,40}") {
        let encoded = form_encoded(text.as_bytes());
        let mut bytes = Vec::new();
        let mut rest = encoded.bytes();
        while let Some(byte) = rest.next() {
            if byte == b'%' {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            } else {
                proptest::prop_assert!(byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
                bytes.push(byte);
            }
        }
        proptest::prop_assert_eq!(bytes, text.as_bytes());
    }
}

/// RFC 8037, appendix A: a key pair of Ed25519.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

#[test]
fn assertions_are_signed_as_configured() {
    let of_introspection = config(&json!({
        "client_auth_method": "private_key_jwt", "client_secret": null,
        "assertion_key": PRIVATE, "assertion_algorithm": "EdDSA", "assertion_key_id": "k1",
        "assertion_audience": "https://id",
    }));
    let of_openid = json!({
        "bearer_only": true, "client_id": "gateway", "audiences": ["orders"],
        "discovery": "https://id.example/.well-known/openid-configuration",
        "introspection_endpoint_auth_method": "private_key_jwt",
        "client_rsa_private_key": PRIVATE, "client_jwt_assertion_alg": "EdDSA",
        "client_rsa_private_key_id": "k1", "client_jwt_assertion_audience": "https://id",
        "client_jwt_assertion_expires_in": 30,
    });
    let of_introspection: Config = serde_json::from_value(of_introspection).unwrap();
    let of_openid: crate::authenticate::openid_connect::Config =
        serde_json::from_value(of_openid).unwrap();
    let settings = [of_introspection.introspection(), of_openid.introspection()];
    for (settings, lifetime) in settings.into_iter().zip([60, 30]) {
        let client = ClientAuth::compile(&settings.unwrap().client, "unused").unwrap();
        let form = form(&client);
        let (_, assertion) = form.split_once("&client_assertion=").unwrap();
        let key = json!({
            "kty": "OKP", "crv": "Ed25519", "kid": "k1",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let set = json!({ "keys": [key] }).to_string();
        let set = KeySet::parse(set.as_bytes(), AlgorithmSet::asymmetric()).unwrap();
        let token = Token::parse(assertion).unwrap();
        assert_eq!(token.header().kid(), Some("k1"));
        let verified = set.choose(token.header()).unwrap().verify(token).unwrap();
        let claims = verified.claims().value();
        assert_eq!(
            (&claims["aud"], &claims["exp"]),
            (&json!("https://id"), &json!(1_000 + lifetime))
        );
    }
}
