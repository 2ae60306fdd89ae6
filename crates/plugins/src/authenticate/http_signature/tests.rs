use std::sync::Arc;

use bartizan_core::{Clock, ManualClock};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Bench, arrival};

const SECRET: &str = "a secret of at least thirty-two bytes";
const NOW: u64 = 1_000_000;
const GOOD: &str =
    "(\"@method\" \"@authority\" \"@path\" \"@query\");created=1000000;keyid=\"alice\"";
const BASE: &str =
    "\"@method\": GET\n\"@authority\": example.com\n\"@path\": /orders\n\"@query\": ?a=1\n";

impl HttpSignature {
    fn proved(&self, cx: &RequestCx) -> Result<(IdentityParts, Body), Fault> {
        let shown = self.shown(cx)?;
        self.prove(cx, &shown, &Said::read(&shown.parameters)?)
    }
}

fn plugin(config: &Value) -> HttpSignature {
    Bench::new().compile(config).unwrap()
}

/// A request with these parameters, signed over `base` and them.
fn request(input: &str, base: &str) -> RequestCx {
    let text = format!("{base}\"@signature-params\": {input}");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = aws_lc_rs::hmac::sign(&key, text.as_bytes());
    signed(input, tag.as_ref(), NOW)
}

fn signed(input: &str, signature: &[u8], now: u64) -> RequestCx {
    let mut start = arrival("/orders?a=1", &[]);
    start.clock = Clock::Manual(ManualClock::at(Timestamp::from_secs(now)));
    start.consumers = Arc::new(consumers());
    let mut cx = RequestCx::new(start, None);
    cx.fields.append(INPUT, format!("sig1={input}"));
    cx.fields.append(SIGNATURE, format!("sig1=:{}:", STANDARD.encode(signature)));
    cx
}

fn consumers() -> bartizan_chain::ConsumerIndex {
    let mut index = bartizan_chain::ConsumerIndex::default();
    let alice = Arc::new(bartizan_chain::Consumer::new("alice".into(), None, Vec::new()));
    index.add_consumer(alice.clone());
    let config = json!({ "key_id": "alice", "algorithm": "hmac-sha256", "secret": SECRET });
    let entry = Bench::new().credential::<HttpSignature>(&config).unwrap();
    index.add_credential(HttpSignature::NAME, &alice, None, entry).unwrap();
    index
}

fn judge(config: &Value, cx: &RequestCx) -> Result<(), Fault> {
    plugin(config).proved(cx).map(drop)
}

#[test]
fn a_signature_over_what_must_be_signed_is_good() {
    assert_eq!(judge(&json!({}), &request(GOOD, BASE)), Ok(()));
    let target = GOOD.replace("\"@authority\" \"@path\" \"@query\"", "\"@target-uri\"");
    let base = "\"@method\": GET\n\"@target-uri\": http://example.com/orders?a=1\n";
    assert_eq!(judge(&json!({}), &request(&target, base)), Ok(()));
}

#[test]
fn what_is_not_signed_as_it_was_sent_is_refused() {
    for (from, to) in [
        ("GET", "POST"),
        ("example.com", "evil.example"),
        ("/orders", "/admin"),
        ("?a=1", "?a=2"),
        ("?a=1", "?"),
    ] {
        let base = BASE.replacen(from, to, 1);
        assert_eq!(judge(&json!({}), &request(GOOD, &base)), Err(Fault::Signature), "{to}");
    }
}

#[test]
fn a_signature_over_too_little_is_refused() {
    for (name, line) in [
        ("\"@method\" ", "\"@method\": GET\n"),
        (" \"@authority\"", "\"@authority\": example.com\n"),
        (" \"@path\"", "\"@path\": /orders\n"),
        (" \"@query\"", "\"@query\": ?a=1\n"),
    ] {
        let cx = request(&GOOD.replace(name, ""), &BASE.replace(line, ""));
        assert_eq!(judge(&json!({}), &cx), Err(Fault::NotSigned), "{name}");
    }
    let nothing = request("();created=1000000;keyid=\"alice\"", "");
    assert_eq!(judge(&json!({}), &nothing), Err(Fault::NotSigned));
    let config = json!({ "components": ["@method", "x-tenant"] });
    assert_eq!(judge(&config, &request(GOOD, BASE)), Err(Fault::NotSigned));
}

#[test]
fn parameters_are_judged() {
    let with = |parameters: &str| {
        let input = GOOD.replace(";created=1000000;keyid=\"alice\"", parameters);
        request(&input, BASE)
    };
    for (config, parameters, fault) in [
        (json!({}), ";created=999699;keyid=\"alice\"", Fault::Age),
        (json!({}), ";created=1000006;keyid=\"alice\"", Fault::Age),
        (json!({}), ";created=-1;keyid=\"alice\"", Fault::Parameter("created")),
        (json!({}), ";keyid=\"alice\"", Fault::Parameter("created")),
        (json!({}), ";created=\"1000000\";keyid=\"alice\"", Fault::UnknownParameter),
        (json!({}), ";created=1000000", Fault::Parameter("keyid")),
        (json!({}), ";created=1000000;keyid=\"bob\"", Fault::UnknownKey),
        (json!({}), ";created=1000000;keyid=alice", Fault::UnknownParameter),
        (json!({}), ";created=1000000;keyid=\"alice\";expires=1000000", Fault::Expired),
        (json!({}), ";created=1000000;keyid=\"alice\";expires=-1", Fault::Expired),
        (json!({}), ";created=1000000;keyid=\"alice\";alg=\"ed25519\"", Fault::Algorithm),
        (json!({}), ";created=1000000;keyid=\"alice\";alg=\"none\"", Fault::Algorithm),
        (json!({}), ";created=1000000;keyid=\"alice\";scope=\"x\"", Fault::UnknownParameter),
        (json!({ "tag": "api" }), ";created=1000000;keyid=\"alice\"", Fault::Tag),
        (json!({ "tag": "api" }), ";created=1000000;keyid=\"alice\";tag=\"web\"", Fault::Tag),
        (
            json!({ "require_nonce": true }),
            ";created=1000000;keyid=\"alice\";nonce=\"\"",
            Fault::Parameter("nonce"),
        ),
        (
            json!({ "require_expires": true }),
            ";created=1000000;keyid=\"alice\"",
            Fault::Parameter("expires"),
        ),
    ] {
        assert_eq!(judge(&config, &with(parameters)), Err(fault), "{parameters}");
    }
    let all = ";created=999700;keyid=\"alice\";alg=\"hmac-sha256\";expires=1000001;nonce=\"n\";tag=\"api\"";
    assert_eq!(judge(&json!({ "tag": "api", "require_nonce": true }), &with(all)), Ok(()));
}

#[test]
fn every_derived_component_is_signed_as_it_was_sent() {
    for (name, value) in [
        ("@method", "GET"),
        ("@target-uri", "http://example.com/orders?a=1"),
        ("@authority", "example.com"),
        ("@scheme", "http"),
        ("@request-target", "/orders?a=1"),
        ("@path", "/orders"),
        ("@query", "?a=1"),
    ] {
        let config = json!({ "components": [name], "content_digest": false });
        let input = format!("(\"{name}\");created=1000000;keyid=\"alice\"");
        let good = request(&input, &format!("\"{name}\": {value}\n"));
        assert_eq!(judge(&config, &good), Ok(()), "{name}");
        let other = request(&input, &format!("\"{name}\": {value}x\n"));
        assert_eq!(judge(&config, &other), Err(Fault::Signature), "{name}");
    }
}

#[test]
fn components_that_are_not_known_are_refused() {
    for (list, fault) in [
        ("(\"@method\" \"@method\")", Fault::CoveredTwice),
        ("(\"@query-param\";name=\"a\" \"@query-param\";name=\"a\")", Fault::CoveredTwice),
        ("(\"@status\")", Fault::OfResponses),
        ("(\"@query-param\")", Fault::ParameterName),
        ("(\"@query-param\";name=a)", Fault::ParameterName),
        ("(\"@query-param\";name=\"%61\")", Fault::ParameterName),
        ("(\"@query-param\";name=\"a\";x)", Fault::ParameterName),
        ("(\"@query-param\";name=\"a\";req)", Fault::ComponentParameter("req")),
        ("(\"@query-param;name=\\\"a\\\"\")", Fault::Components),
        ("(\"host\";sf)", Fault::ComponentParameter("sf")),
        ("(\"host\";key=\"a\")", Fault::ComponentParameter("key")),
        ("(\"host\";bs)", Fault::ComponentParameter("bs")),
        ("(\"host\";tr)", Fault::ComponentParameter("tr")),
        ("(\"host\";name=\"a\")", Fault::Components),
        ("(\"@method\";req)", Fault::ComponentParameter("req")),
        ("(\"Host\")", Fault::Components),
        ("(host)", Fault::Components),
        ("(\"@signature-params\")", Fault::Components),
    ] {
        let input = format!("{list};created=1000000;keyid=\"alice\"");
        assert_eq!(judge(&json!({}), &request(&input, "")), Err(fault), "{list}");
    }
}

#[test]
fn a_parameter_of_the_query_is_signed_by_itself_or_with_the_whole() {
    let config = json!({ "components": ["@query-param;name=\"a\""], "content_digest": false });
    let of = |list: &str, base: &str| {
        request(&format!("({list});created=1000000;keyid=\"alice\""), base)
    };
    for (list, base, told) in [
        ("\"@query-param\";name=\"a\"", "\"@query-param\";name=\"a\": 1\n", Ok(())),
        ("\"@query-param\";name=\"a\"", "\"@query-param\";name=\"a\": 2\n", Err(Fault::Signature)),
        ("\"@query\"", "\"@query\": ?a=1\n", Ok(())),
        ("\"@request-target\"", "\"@request-target\": /orders?a=1\n", Ok(())),
        ("\"@path\"", "\"@path\": /orders\n", Err(Fault::NotSigned)),
    ] {
        assert_eq!(judge(&config, &of(list, base)), told, "{list} {base}");
    }
    let absent = of("\"@query\" \"@query-param\";name=\"b\"", "");
    assert_eq!(judge(&config, &absent), Err(Fault::AbsentParameter));
    // One of them is not the whole.
    let whole = json!({ "components": ["@query"], "content_digest": false });
    let one = of("\"@query-param\";name=\"a\"", "\"@query-param\";name=\"a\": 1\n");
    assert_eq!(judge(&whole, &one), Err(Fault::NotSigned));
    for name in ["@query-param", "@query-param;name=a", "@query-param;name=\"%61\"", "x;name=\"a\""]
    {
        let config = json!({ "components": [name] });
        assert!(Bench::new().compile::<HttpSignature>(&config).is_err(), "{name}");
    }
}

#[test]
fn what_was_signed_is_good_once_whatever_the_signature() {
    let plugin = plugin(&json!({}));
    let cx = request(GOOD, BASE);
    assert_eq!(plugin.proved(&cx).map(drop), Ok(()));
    assert!(matches!(plugin.proved(&cx), Err(Fault::Replay(_))));
    let other = request(&GOOD.replace("keyid", "nonce=\"2\";keyid"), BASE);
    assert_eq!(plugin.proved(&other).map(drop), Ok(()));
}

#[test]
fn truncated_and_empty_signatures_are_refused() {
    let good = request(GOOD, BASE);
    let sent = good.fields.get_str(SIGNATURE).unwrap().to_owned();
    let bytes = STANDARD.decode(sent.trim_start_matches("sig1=:").trim_end_matches(':')).unwrap();
    for signature in [&bytes[..31], &bytes[..1], &[], &[0; 32], &[0; 64]] {
        assert_eq!(judge(&json!({}), &signed(GOOD, signature, NOW)), Err(Fault::Signature));
    }
}

#[test]
fn several_signatures_need_a_label_and_none_counts_for_another() {
    let mut cx = request(GOOD, BASE);
    cx.fields.append(INPUT, format!("other={GOOD}"));
    cx.fields.append(SIGNATURE, "other=:AAAA:");
    assert_eq!(judge(&json!({}), &cx), Err(Fault::Several));
    assert_eq!(judge(&json!({ "label": "sig1" }), &cx), Ok(()));
    assert_eq!(judge(&json!({ "label": "other" }), &cx), Err(Fault::Signature));
    assert_eq!(judge(&json!({ "label": "third" }), &cx), Err(Fault::NoLabel));
    cx.fields.append(INPUT, format!("sig1={GOOD}"));
    let told = judge(&json!({ "label": "sig1" }), &cx);
    assert!(matches!(told, Err(Fault::Field(INPUT, _))), "twice: {told:?}");
}

#[test]
fn the_name_of_a_key_has_so_many_letters_and_no_more() {
    for (length, is_good) in [
        (0, false),
        (1, true),
        (config::KEY_ID_MAX - 1, true),
        (config::KEY_ID_MAX, true),
        (config::KEY_ID_MAX + 1, false),
    ] {
        let config =
            json!({ "key_id": "k".repeat(length), "algorithm": "hmac-sha256", "secret": SECRET });
        let entry = Bench::new().credential::<HttpSignature>(&config);
        assert_eq!(entry.is_ok(), is_good, "{length}");
    }
}

#[test]
fn labels_and_tags_are_what_a_signature_can_have() {
    let compiled = |field: &str, value: &str| {
        Bench::new().compile::<HttpSignature>(&json!({ field: value })).is_ok()
    };
    for label in ["sig1", "*", "a", "a-b_c.d*", &"a".repeat(63), &"a".repeat(64)] {
        assert!(compiled("label", label), "{label}");
    }
    for label in ["", "Sig1", "1sig", "-a", "a b", "a=(", "a\r\nx", "é", &"a".repeat(65)] {
        assert!(!compiled("label", label), "{label}");
    }
    for tag in ["api", " a \"b\" ", &"t".repeat(255), &"t".repeat(256)] {
        assert!(compiled("tag", tag), "{tag}");
    }
    for tag in ["", "é", "a\tb", "a\nb", "\u{7f}", &"t".repeat(257)] {
        assert!(!compiled("tag", tag), "{tag}");
    }
}

#[test]
fn times_are_taken_as_they_are_written() {
    for (field, good, bad) in [
        ("max_age", &["1s", "1001ms", "86399s", "24h"][..], &["0s", "999ms", "86400001ms"][..]),
        ("leeway", &["0s", "900ms", "59s", "60s"][..], &["60001ms", "61s"][..]),
    ] {
        let compiled =
            |text: &&str| Bench::new().compile::<HttpSignature>(&json!({ field: text })).is_ok();
        assert!(good.iter().all(compiled), "{field}");
        assert!(!bad.iter().any(compiled), "{field}");
    }
    let told = |leeway: &str| {
        let mut cx = request(GOOD, BASE);
        let before = Timestamp::from_nanos(NOW * 1_000_000_000 - 800_000_000);
        cx.clock = Clock::Manual(ManualClock::at(before));
        judge(&json!({ "leeway": leeway }), &cx)
    };
    assert_eq!(told("900ms"), Ok(()));
    assert_eq!(told("700ms"), Err(Fault::Age));
}

#[test]
fn lines_of_a_field_are_signed_together() {
    let config = json!({ "components": ["x-a"], "content_digest": false });
    let input = "(\"x-a\");created=1000000;keyid=\"alice\"";
    let mut cx = request(input, "\"x-a\": 1, 2\n");
    assert_eq!(judge(&config, &cx), Err(Fault::AbsentField));
    cx.fields.append("x-a", "1");
    assert_eq!(judge(&config, &cx), Err(Fault::Signature));
    cx.fields.append("x-a", " 2 ");
    assert_eq!(judge(&config, &cx), Ok(()));
    cx.fields.append("x-a", "\u{e9}");
    assert_eq!(judge(&config, &cx), Err(Fault::NotText));
}

#[test]
fn what_is_signed_has_so_many_letters_and_no_more() {
    let config = json!({ "components": ["x-a"], "content_digest": false });
    let input = "(\"x-a\");created=1000000;keyid=\"alice\"";
    for (length, told) in [
        (base::BASE_MAX - 1, Ok(())),
        (base::BASE_MAX, Ok(())),
        (base::BASE_MAX + 1, Err(Fault::TooLong)),
    ] {
        let value = "x".repeat(length - "\"x-a\": \n".len());
        let mut cx = request(input, &format!("\"x-a\": {value}\n"));
        cx.fields.append("x-a", value);
        assert_eq!(judge(&config, &cx), told, "{length}");
    }
}

#[test]
fn a_key_that_nobody_has_costs_the_work_of_one_that_somebody_has() {
    for (name, fault) in [("alice", Fault::Signature), ("bob", Fault::UnknownKey)] {
        let input = GOOD.replace("alice", name);
        let cx = signed(&input, &[7; 32], NOW);
        let (work, told) = crate::work::of(|| judge(&json!({}), &cx));
        assert_eq!((work, told), (1, Err(fault)), "{name}");
    }
}
