use std::sync::Arc;

use bartizan_chain::Consumer;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Bench, request};

const KEY: &str = "an example of thirty-two bytes!!";
/// `Bearer inner` for `alice`, by another implementation.
const TOKEN: &str = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiYWxpY2UifQ..\
                     MTIzNDU2Nzg5MDEy.ilU06U4282WarkjH.qCwAa_4bAquqDE7Fwdp7ig";
/// The same as Apache APISIX makes it.
const UNBOUND: &str = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiYWxpY2UifQ..\
                       MTIzNDU2Nzg5MDEy.ilU06U4282WarkjH.MZheE28GlZAVvF0ovKAvSg";

fn index() -> ConsumerIndex {
    let mut index = ConsumerIndex::default();
    for (name, secret) in [("alice", KEY), ("bob", "another key of thirty-two bytes!")] {
        let consumer = Arc::new(Consumer::new(name.into(), None, Vec::new()));
        index.add_consumer(consumer.clone());
        let config = json!({ "key": name, "secret": secret });
        let entry = Bench::new().credential::<JweDecrypt>(&config).unwrap();
        index.add_credential(JweDecrypt::NAME, &consumer, None, entry).unwrap();
    }
    index
}

fn decrypted(bench: &Bench, field: &str) -> Result<String, Fault> {
    let plugin: JweDecrypt = bench.compile(&json!({})).unwrap();
    let mut fields = Fields::new();
    fields.append("authorization", field.to_owned());
    let text = plugin.decrypted(&fields, &index())?;
    Ok(String::from_utf8(text.to_vec()).unwrap())
}

#[test]
fn tokens_of_another_implementation_open() {
    let inner = || Ok("Bearer inner".to_owned());
    for field in [TOKEN, &format!("Bearer {TOKEN}"), &format!("bearer  {TOKEN}")] {
        assert_eq!(decrypted(&Bench::new(), field), inner());
        assert_eq!(decrypted(&Bench::apisix(), field), inner());
    }
    assert_eq!(decrypted(&Bench::new(), UNBOUND), Err(Fault::NotOpened));
    assert_eq!(decrypted(&Bench::apisix(), UNBOUND), inner());
}

#[test]
fn what_was_changed_or_is_unknown_does_not_open() {
    let bob = TOKEN.replace("YWxpY2UifQ", "Ym9iIn0");
    let nobody = TOKEN.replace("YWxpY2UifQ", "bm9ib2R5In0");
    let changed = TOKEN.replace("ilU0", "ilU1");
    for bench in [Bench::new(), Bench::apisix()] {
        assert_eq!(decrypted(&bench, &bob), Err(Fault::NotOpened));
        assert_eq!(decrypted(&bench, &changed), Err(Fault::NotOpened));
        assert_eq!(decrypted(&bench, &nobody), Err(Fault::UnknownKey));
        assert!(matches!(decrypted(&bench, "Basic x"), Err(Fault::Form(_))));
    }
}

#[test]
fn the_target_holds_a_decrypted_text_or_nothing() {
    let sent = [("x-data", "forged"), ("x_data", "forged"), ("authorization", "t"), ("a", "b")];
    let left = |config: Value, text: Option<&'static str>| {
        let plugin: JweDecrypt = Bench::new().compile(&config).unwrap();
        let mut cx = request("/", &sent);
        plugin.forward(text.map(Bytes::from), &mut cx.fields);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let fields = cx.fields.iter().filter(|field| field.name != b"host");
        fields.map(|f| format!("{}: {}", text(f.name), text(f.value))).collect::<Vec<_>>()
    };
    let other = json!({ "forward_header": "X-Data" });
    assert_eq!(left(other.clone(), Some("in")), ["a: b", "x-data: in"]);
    assert_eq!(left(other, None), ["a: b"]);
    let shown = json!({ "forward_header": "X-Data", "hide_credentials": false });
    assert_eq!(left(shown, Some("in")), ["authorization: t", "a: b", "x-data: in"]);
    let same = left(json!({}), Some("in"));
    assert_eq!(same, ["x-data: forged", "x_data: forged", "a: b", "authorization: in"]);
}

#[test]
fn it_proves_nothing() {
    let plugin: JweDecrypt = Bench::new().compile(&json!({})).unwrap();
    assert_eq!(plugin.traits().proves, bartizan_chain::Proofs::default());
}

#[test]
fn refusals_differ_by_whose_habits_are_followed() {
    let own: JweDecrypt = Bench::new().compile(&json!({})).unwrap();
    let apisix: JweDecrypt = Bench::apisix().compile(&json!({})).unwrap();
    for (fault, status, message) in [
        (Fault::Missing, 403, "missing JWE token in request"),
        (Fault::Form(JweFault::NotFiveParts), 400, "JWE token invalid"),
        (Fault::Form(JweFault::NoKid), 400, "missing kid in JWE token"),
        (Fault::UnknownKey, 400, "invalid kid in JWE token"),
        (Fault::NotOpened, 400, "failed to decrypt JWE token"),
    ] {
        let denial = apisix.denial(fault);
        assert_eq!((denial.status(), denial.apisix_message.as_deref()), (status, Some(message)));
        assert_eq!((own.denial(fault).status(), own.denial(fault).fields.len()), (401, 1));
    }
    assert_eq!(own.denial(Fault::UnknownKey).reason, own.denial(Fault::NotOpened).reason);
}

#[test]
fn keys_have_32_bytes_however_they_are_written() {
    let key = |secret: &str, is_base64_encoded: bool| {
        let config =
            json!({ "key": "a", "secret": secret, "is_base64_encoded": is_base64_encoded });
        Bench::new().credential::<JweDecrypt>(&config).map(drop).map_err(|fault| fault.problem)
    };
    assert_eq!(key(KEY, false), Ok(()));
    for secret in [
        "YW4gZXhhbXBsZSBvZiB0aGlydHktdHdvIGJ5dGVzISE=",
        "YW4gZXhhbXBsZSBvZiB0aGlydHktdHdvIGJ5dGVzISE",
        "__________________________________________8",
        "//////////////////////////////////////////8=",
    ] {
        assert_eq!(key(secret, true), Ok(()), "{secret}");
    }
    for (secret, is_encoded, problem) in [
        ("", false, "has 0"),
        (&KEY[1..], false, "has 31"),
        (&format!("{KEY}!"), false, "has 33"),
        ("YW4gZXhhbXBsZQ", true, "has 10"),
        ("no base64!", true, "not base64"),
    ] {
        assert!(key(secret, is_encoded).unwrap_err().contains(problem), "{secret}");
    }
}

#[test]
fn headers_that_are_not_a_plugins_to_set_are_refused() {
    for (key, name) in [
        ("header", "a b"),
        ("forward_header", "a b"),
        ("forward_header", "Host"),
        ("forward_header", "Content-Length"),
        ("forward_header", "X-Consumer-Username"),
    ] {
        let fault = Bench::new().fault::<JweDecrypt>(&json!({ key: name }));
        assert_eq!(fault.path.len(), 1, "{name}");
    }
}
