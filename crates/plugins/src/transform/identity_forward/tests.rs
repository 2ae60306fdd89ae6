use super::*;
use crate::fixture::Bench;

/// What the upstream gets of these fields, with nobody known.
fn passed(config: &Value, sent: &[(Bytes, Bytes)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let plugin: IdentityForward = Bench::new().compile(config).unwrap();
    let mut fields = Fields::new();
    for (name, value) in sent {
        fields.append(name.clone(), value.clone());
    }
    plugin.clear(&mut fields);
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

#[test]
fn sources_are_what_the_page_says() {
    for (text, source) in [
        ("consumer", Source::Consumer),
        ("group", Source::Group),
        ("credential", Source::Credential),
        ("subject", Source::Subject),
        ("method", Source::Method),
        ("claim.a.b", Source::Claim("a.b".into())),
        ("label.x", Source::Label("x".into())),
    ] {
        assert_eq!(Source::parse(text), Some(source));
    }
    for text in ["", "claim.", "label.", "Consumer", "claims.a", "$subject", " subject"] {
        assert_eq!(Source::parse(text), None, "{text}");
    }
}

#[test]
fn a_client_imitates_no_header_in_any_spelling() {
    let config = json!({
        "headers": { "X-User-Name": "subject" },
        "jwt": { "issuer": "i", "audience": "a", "header": "X-Token" },
    });
    let sent = ["x-user-name", "x_user_name", "x-user_name", "x-token", "x_token", "x-users-name"];
    let sent = sent.map(|name| (Bytes::from(name), Bytes::from("root")));
    let passed = passed(&config, &sent);
    assert_eq!(passed, [(b"x-users-name".to_vec(), b"root".to_vec())]);
}

#[test]
fn configurations_that_say_nothing_or_too_much_are_refused() {
    let bench = Bench::new();
    let jwt = |changes: Value| {
        let mut jwt = json!({ "issuer": "i", "audience": "a" });
        jwt.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({ "jwt": jwt })
    };
    for config in [
        json!({}),
        json!({ "headers": {} }),
        json!({ "headers": { "X-A": "nobody" } }),
        json!({ "headers": { "Host": "subject" } }),
        json!({ "headers": { "Content-Length": "subject" } }),
        json!({ "headers": { "X_Consumer_Username": "subject" } }),
        json!({ "headers": { "X-A": "subject", "x_a": "subject" } }),
        json!({ "headers": { "a b": "subject" } }),
        jwt(json!({ "lifetime": "1s" })),
        jwt(json!({ "lifetime": "11m" })),
        jwt(json!({ "header": "transfer-encoding" })),
        jwt(json!({ "claims": { "sub": "consumer" } })),
        jwt(json!({ "claims": { "x": "nobody" } })),
    ] {
        bench.fault::<IdentityForward>(&config);
    }
}

#[test]
fn compiling_other_metadata_changes_nothing_of_what_signs() {
    let mut bench = Bench::new();
    let config = json!({ "jwt": { "issuer": "i", "audience": "a" } });
    let signer = |plugin: &IdentityForward| {
        let held = plugin.minted.as_ref().unwrap().ring.current().unwrap();
        (held.key.algorithm(), held.kid.clone())
    };
    let running: IdentityForward = bench.compile(&config).unwrap();
    let before = signer(&running);
    let page = bench.node.pages.find(PATH).unwrap();
    let published = page.text();
    bench.metadata = Some(json!({ "algorithm": "EdDSA" }));
    let checked: IdentityForward = bench.compile(&config).unwrap();
    assert_eq!(page.text(), published, "what is checked only tells nobody whom to believe");
    assert_eq!(signer(&running), before);
    drop(checked);
    bench.metadata = None;
    let same: IdentityForward = bench.compile(&config).unwrap();
    assert_eq!((signer(&running), signer(&same)), (before.clone(), before));
    assert_eq!(page.text(), published);
}

#[test]
fn a_token_lives_between_its_bounds() {
    let bench = Bench::new();
    let jwt =
        |lifetime: &str| json!({ "jwt": { "issuer": "i", "audience": "a", "lifetime": lifetime } });
    for (lifetime, is_good) in [
        ("4999ms", false),
        ("5s", true),
        ("5001ms", true),
        ("599s", true),
        ("600s", true),
        ("600001ms", false),
    ] {
        let compiled = bench.compile::<IdentityForward>(&jwt(lifetime));
        assert_eq!(compiled.is_ok(), is_good, "{lifetime}");
    }
}

#[test]
fn a_key_signs_between_its_bounds() {
    let mut bench = Bench::new();
    for (rotate, is_good) in [
        ("599999ms", false),
        ("600s", true),
        ("600001ms", true),
        ("7775999s", true),
        ("2160h", true),
        ("7776000001ms", false),
    ] {
        bench.metadata = Some(json!({ "rotate": rotate }));
        let config = json!({ "jwt": { "issuer": "i", "audience": "a" } });
        assert_eq!(bench.compile::<IdentityForward>(&config).is_ok(), is_good, "{rotate}");
    }
}

proptest::proptest! {
    /// Against folding names by hand.
    #[test]
    fn no_client_gets_a_value_through(name in "[xX][-_](user|User|USER)[-_](id|ID|ids?)") {
        let config = json!({ "headers": { "X-User-Id": "subject" } });
        let lower = name.to_ascii_lowercase();
        let sent = [(Bytes::from(lower.clone()), Bytes::from("root"))];
        let is_ours = lower.replace('_', "-") == "x-user-id";
        proptest::prop_assert_eq!(passed(&config, &sent).is_empty(), is_ours);
    }
}
