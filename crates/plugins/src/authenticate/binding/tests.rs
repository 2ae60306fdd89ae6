mod targets;

use std::sync::Arc;

use bartizan_chain::{Arrival, Peer, TlsFacts};
use bartizan_core::{Clock, ManualClock, Secret};
use bartizan_tls::{Authority, ClientCertificate, ClientSource, Validity};
use bytes::Bytes;
use serde_json::{Map, json};

use super::super::jwt_auth::JwtAuth;
use super::*;
use crate::fixture::{Bench, arrival};
use crate::jose::{Algorithm, SigningKey};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const TOKEN: &str = "header.payload.signature";

/// A key with its public half as a JWK.
struct Key {
    signing: SigningKey,
    jwk: Value,
}

impl Key {
    fn new() -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = Secret::new(pair.serialize_pem());
        let signing = SigningKey::from_pem(Algorithm::Es256, &pem).unwrap();
        let raw = pair.public_key_raw();
        let (x, y) = raw[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)});
        Self { signing, jwk }
    }

    fn thumbprint(&self) -> String {
        let text = format!(
            "{{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":{},\"y\":{}}}",
            self.jwk["x"], self.jwk["y"]
        );
        URL_SAFE_NO_PAD
            .encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
    }

    fn cnf(&self) -> Value {
        json!({ "jkt": self.thumbprint() })
    }

    /// A proof of these claims, in place of the usual ones.
    fn proof(&self, changes: &Value) -> String {
        self.proof_with(&json!({}), changes)
    }

    fn proof_with(&self, header: &Value, changes: &Value) -> String {
        let mut extra: Map<String, Value> =
            [("typ".to_owned(), "dpop+jwt".into()), ("jwk".to_owned(), self.jwk.clone())]
                .into_iter()
                .collect();
        extra.extend(header.as_object().unwrap().clone());
        let ath = URL_SAFE_NO_PAD
            .encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, TOKEN.as_bytes()));
        let mut claims = json!({
            "htm": "GET", "htu": "http://example.com/orders", "iat": NOW.as_secs(), "jti": "1",
            "ath": ath,
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        self.signing.sign(&extra, &claims).unwrap()
    }
}

fn binding(config: &Value) -> Binding {
    let required =
        config.get("require_binding").map(|v| serde_json::from_value(v.clone()).unwrap());
    let dpop: Option<DpopConfig> =
        config.get("dpop").map(|v| serde_json::from_value(v.clone()).unwrap());
    Bench::new()
        .within::<JwtAuth, _>(|cx| Binding::compile(required, ("dpop", dpop.as_ref()), cx))
        .unwrap()
}

fn cx_of(start: Arrival, proofs: &[String]) -> RequestCx {
    let mut cx = RequestCx::new(start, None);
    for proof in proofs {
        cx.fields.append(FIELD, proof.clone().into_bytes());
    }
    cx
}

fn cx(proofs: &[String]) -> RequestCx {
    cx_of(arrival("/orders?page=2", &[]), proofs)
}

/// What becomes of one proof, by fresh rules.
fn judge(key: &Key, proof: String) -> Result<bool, BindingFault> {
    binding(&json!({})).judge(&cx(&[proof]), Scheme::Dpop, TOKEN, Some(&key.cnf()))
}

#[test]
fn a_proof_for_this_request_and_token_is_good() {
    let key = Key::new();
    assert_eq!(judge(&key, key.proof(&json!({}))), Ok(false));
}

#[test]
fn every_check_of_the_standard_refuses_what_is_wrong() {
    let key = Key::new();
    let claim = |name| BindingFault::Proof(ProofFault::Claim(name));
    let wrong = URL_SAFE_NO_PAD.encode([0; 32]);
    for (changes, fault) in [
        (json!({ "htm": "POST" }), BindingFault::Method),
        (json!({ "htm": "get" }), BindingFault::Method),
        (json!({ "htm": null }), claim("htm")),
        (json!({ "htm": ["GET"] }), claim("htm")),
        (json!({ "htu": "http://example.com/orders/1" }), BindingFault::Target),
        (json!({ "htu": "https://example.com/orders" }), BindingFault::Target),
        (json!({ "htu": "http://evil.example/orders" }), BindingFault::Target),
        (json!({ "htu": "http://example.com:8080/orders" }), BindingFault::Target),
        (json!({ "htu": "/orders" }), BindingFault::Target),
        (json!({ "htu": null }), claim("htu")),
        (json!({ "iat": NOW.as_secs() - 61 }), BindingFault::Age),
        (json!({ "iat": NOW.as_secs() + 6 }), BindingFault::Age),
        (json!({ "iat": "1000000" }), claim("iat")),
        (json!({ "iat": null }), claim("iat")),
        (json!({ "ath": wrong }), BindingFault::OtherToken),
        (json!({ "ath": null }), claim("ath")),
        (json!({ "jti": null }), claim("jti")),
        (json!({ "jti": "" }), BindingFault::Id),
        (json!({ "jti": "x".repeat(dpop::ID_MAX + 1) }), BindingFault::Id),
    ] {
        assert_eq!(judge(&key, key.proof(&changes)), Err(fault), "{changes}");
    }
    for length in [1, dpop::ID_MAX - 1, dpop::ID_MAX] {
        let good = key.proof(&json!({ "jti": "x".repeat(length) }));
        assert_eq!(judge(&key, good), Ok(false), "{length}");
    }
    for secs in [60, 59, 0] {
        let good = key.proof(&json!({ "iat": NOW.as_secs() - secs }));
        assert_eq!(judge(&key, good), Ok(false), "{secs}");
    }
}

#[test]
fn a_proof_of_another_key_is_refused() {
    let (key, other) = (Key::new(), Key::new());
    assert_eq!(judge(&key, other.proof(&json!({}))), Err(BindingFault::OtherKey));
    // The right key in the header, signed with another one.
    let forged = other.proof_with(&json!({ "jwk": key.jwk }), &json!({}));
    assert_eq!(judge(&key, forged), Err(BindingFault::Proof(ProofFault::Signature)));
    // Whoever has not even the right key costs no verification.
    let unsigned = other.proof(&json!({}));
    let (signed, _) = unsigned.rsplit_once('.').unwrap();
    assert_eq!(judge(&key, format!("{signed}.AAAA")), Err(BindingFault::OtherKey));
}

#[test]
fn a_psychic_signature_proves_nothing() {
    let key = Key::new();
    let proof = key.proof(&json!({}));
    let (signed, _) = proof.rsplit_once('.').unwrap();
    for signature in [vec![0; 64], vec![0; 63], [[0; 32], [1; 32]].concat()] {
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        assert_eq!(judge(&key, forged), Err(BindingFault::Proof(ProofFault::Signature)));
    }
}

#[test]
fn a_proof_with_a_private_key_or_a_secret_is_refused() {
    let key = Key::new();
    let mut jwk = key.jwk.clone();
    jwk["d"] = "AAAA".into();
    let told = judge(&key, key.proof_with(&json!({ "jwk": jwk }), &json!({})));
    assert!(matches!(told, Err(BindingFault::Proof(ProofFault::Key(_)))), "{told:?}");
    let secret = Secret::new(*b"an example of thirty-two bytes!!");
    let signer = SigningKey::from_secret(Algorithm::Hs256, &secret).unwrap();
    let header = json!({"typ": "dpop+jwt", "jwk": {"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret.expose())}});
    let proof = signer.sign(header.as_object().unwrap(), &json!({})).unwrap();
    assert_eq!(judge(&key, proof), Err(BindingFault::Proof(ProofFault::Algorithm)));
}

#[test]
fn one_field_with_one_proof_and_no_more() {
    let key = Key::new();
    let proofs = [key.proof(&json!({})), key.proof(&json!({ "jti": "2" }))];
    let rules = binding(&json!({}));
    let told = rules.judge(&cx(&proofs), Scheme::Dpop, TOKEN, Some(&key.cnf()));
    assert_eq!(told, Err(BindingFault::SeveralProofs));
    let joined = [proofs.join(", ")];
    let told = rules.judge(&cx(&joined), Scheme::Dpop, TOKEN, Some(&key.cnf()));
    assert!(matches!(told, Err(BindingFault::Proof(_))), "{told:?}");
    let told = rules.judge(&cx(&[]), Scheme::Dpop, TOKEN, Some(&key.cnf()));
    assert_eq!(told, Err(BindingFault::NoProof));
}

#[test]
fn a_proof_is_good_once_however_its_signature_is_turned() {
    let key = Key::new();
    let rules = binding(&json!({}));
    let judge = |proof: String| rules.judge(&cx(&[proof]), Scheme::Dpop, TOKEN, Some(&key.cnf()));
    assert_eq!(judge(key.proof(&json!({}))), Ok(false));
    // Another signature over the same claims: what counts is `jti`.
    let again = Err(BindingFault::Replay(ReplayFault::Again));
    assert_eq!(judge(key.proof(&json!({}))), again);
    assert_eq!(judge(key.proof(&json!({ "iat": NOW.as_secs() - 1 }))), again);
    assert_eq!(judge(key.proof(&json!({ "jti": "2" }))), Ok(false));
}

#[test]
fn what_is_refused_uses_nothing_up() {
    let key = Key::new();
    let rules = binding(&json!({}));
    let judge = |proof: String| rules.judge(&cx(&[proof]), Scheme::Dpop, TOKEN, Some(&key.cnf()));
    assert_eq!(judge(key.proof(&json!({ "htm": "POST" }))), Err(BindingFault::Method));
    assert_eq!(judge(key.proof(&json!({}))), Ok(false));
}

#[test]
fn a_memory_that_is_full_refuses() {
    let key = Key::new();
    let mut bench = Bench::new();
    bench.node.limits.replay_keys = 0;
    let rules =
        bench.within::<JwtAuth, _>(|cx| Binding::compile(None, ("dpop", None), cx)).unwrap();
    let told = rules.judge(&cx(&[key.proof(&json!({}))]), Scheme::Dpop, TOKEN, Some(&key.cnf()));
    let fault = told.unwrap_err();
    assert_eq!(fault.reason(), Reason::ReplaysFull);
}

#[test]
fn a_nonce_is_asked_for_and_renewed() {
    let key = Key::new();
    let rules = binding(&json!({ "dpop": { "nonce": true } }));
    let mut count = 0;
    let mut judge_at = |nonce: Option<String>, secs: u64| {
        count += 1;
        let now = NOW.plus(std::time::Duration::from_secs(secs));
        let changes = json!({ "nonce": nonce, "jti": count.to_string(), "iat": now.as_secs() });
        let clock = Clock::Manual(ManualClock::at(now));
        let start = Arrival { clock, ..arrival("/orders", &[]) };
        let cx = cx_of(start, &[key.proof(&changes)]);
        rules.judge(&cx, Scheme::Dpop, TOKEN, Some(&key.cnf()))
    };
    let nonce = rules.nonce(NOW);
    assert!(nonce.is_some());
    assert_eq!(judge_at(None, 0), Err(BindingFault::Nonce));
    assert_eq!(judge_at(Some("made up".to_owned()), 0), Err(BindingFault::Nonce));
    assert_eq!(judge_at(nonce.clone(), 0), Ok(false));
    assert_eq!(judge_at(nonce.clone(), 70), Ok(true), "the next one should be taken");
    assert_eq!(judge_at(nonce, 200), Err(BindingFault::Nonce));
    assert_eq!(BindingFault::Nonce.error(), "use_dpop_nonce");
}

#[test]
fn a_bound_token_is_no_bearer_token_even_where_nothing_is_required() {
    let key = Key::new();
    let rules = binding(&json!({}));
    let told =
        |scheme, cnf: &Value, proofs: &[String]| rules.judge(&cx(proofs), scheme, TOKEN, Some(cnf));
    let proof = key.proof(&json!({}));
    assert_eq!(told(Scheme::Bearer, &key.cnf(), &[]), Err(BindingFault::ShownAsBearer));
    assert_eq!(
        told(Scheme::Bearer, &key.cnf(), std::slice::from_ref(&proof)),
        Err(BindingFault::ShownAsBearer)
    );
    let certificate = json!({ "x5t#S256": key.thumbprint() });
    assert_eq!(told(Scheme::Bearer, &certificate, &[]), Err(BindingFault::NoCertificate));
    assert_eq!(told(Scheme::Dpop, &certificate, &[proof]), Err(BindingFault::NoKeyBound));
    assert_eq!(rules.judge(&cx(&[]), Scheme::Bearer, TOKEN, None), Ok(false));
    assert_eq!(rules.judge(&cx(&[]), Scheme::Dpop, TOKEN, None), Err(BindingFault::NoKeyBound));
}

#[test]
fn a_binding_that_is_not_known_is_never_passed_over() {
    let key = Key::new();
    let rules = binding(&json!({}));
    for cnf in [
        json!({}),
        json!(null),
        json!("jkt"),
        json!([]),
        json!({ "kid": "a" }),
        json!({ "jwk": key.jwk }),
        json!({ "jkt": "short" }),
        json!({ "jkt": null }),
        json!({ "jkt": [key.thumbprint()] }),
        json!({ "x5t#S512": key.thumbprint() }),
        json!({ "jkt": key.thumbprint(), "osc": "x" }),
    ] {
        let told = rules.judge(&cx(&[]), Scheme::Bearer, TOKEN, Some(&cnf));
        assert_eq!(told, Err(BindingFault::Confirmation), "{cnf}");
    }
}

#[test]
fn a_token_without_the_binding_that_is_required_is_refused() {
    let key = Key::new();
    let (none, jkt, x5t) = (None, key.cnf(), json!({ "x5t#S256": key.thumbprint() }));
    for (required, cnf) in
        [("dpop", none), ("mtls", none), ("any", none), ("dpop", Some(&x5t)), ("mtls", Some(&jkt))]
    {
        let rules = binding(&json!({ "require_binding": required }));
        for scheme in [Scheme::Bearer, Scheme::Dpop] {
            let told = rules.judge(&cx(&[key.proof(&json!({}))]), scheme, TOKEN, cnf);
            assert_eq!(told, Err(BindingFault::Unbound), "{required} {cnf:?}");
        }
    }
}

/// A request over TLS, with a certificate that counts for its host or not.
fn over_tls(certificate: &Arc<ClientCertificate>, counts: bool) -> RequestCx {
    let client_certificate = Some(certificate.clone());
    let tls = TlsFacts {
        sni: None,
        version: "TLSv1.3",
        cipher: None,
        is_resumed: false,
        client_certificate,
    };
    let peer = Peer::new(([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 2).into(), Some(tls));
    let mut cx = RequestCx::new(Arrival { peer: Arc::new(peer), ..arrival("/", &[]) }, None);
    if counts {
        cx.admit_certificate();
    }
    cx
}

#[test]
fn a_token_is_good_over_the_certificate_that_it_is_bound_to_only() {
    let validity = Validity::starting(NOW, std::time::Duration::from_secs(100));
    let authority = Authority::create("clients", validity).unwrap();
    let source =
        ClientSource { ca: authority.certificate(), depth: 1, skip_mtls_uri_regex: Vec::new() };
    let certificate = |name| {
        let issued = authority.issue_client(name, &[], validity).unwrap();
        Arc::new(ClientCertificate::verify(&issued.chain, &source, NOW).unwrap())
    };
    let (own, other) = (certificate("own"), certificate("other"));
    let cnf = json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(own.digest()) });
    let rules = binding(&json!({ "require_binding": "mtls" }));
    let judge = |cx: &RequestCx| rules.judge(cx, Scheme::Bearer, TOKEN, Some(&cnf));
    assert_eq!(judge(&over_tls(&own, true)), Ok(false));
    assert_eq!(judge(&over_tls(&other, true)), Err(BindingFault::OtherCertificate));
    assert_eq!(judge(&over_tls(&own, false)), Err(BindingFault::NoCertificate));
    let mut late = over_tls(&own, true);
    late.clock = Clock::Manual(ManualClock::at(Timestamp::from_secs(1_000_101)));
    assert_eq!(judge(&late), Err(BindingFault::NoCertificate), "it has ended");
    let mut told = cx(&[]);
    told.fields.append("client-cert", Bytes::from_static(b":AAAA:"));
    assert_eq!(judge(&told), Err(BindingFault::NoCertificate), "fields are no certificate");
}

#[test]
fn times_are_taken_as_they_are_written() {
    let key = Key::new();
    for (field, good, bad) in [
        ("max_age", &["1s", "1001ms", "599s", "10m"][..], &["0s", "999ms", "600001ms", "11m"][..]),
        ("leeway", &["0s", "900ms", "59s", "60s"][..], &["60001ms", "61s"][..]),
    ] {
        let compiled = |text: &str| {
            let config = serde_json::from_value(json!({ field: text })).unwrap();
            Bench::new().within::<JwtAuth, _>(|cx| {
                Binding::compile(None, ("dpop", Some(&config)), cx).is_ok()
            })
        };
        assert!(good.iter().all(|text| compiled(text)), "{field}");
        assert!(!bad.iter().any(|text| compiled(text)), "{field}");
    }
    let judge = |leeway: &str| {
        let rules = binding(&json!({ "dpop": { "leeway": leeway } }));
        let before = NOW.as_nanos() - 800_000_000;
        let clock = Clock::Manual(ManualClock::at(Timestamp::from_nanos(before)));
        let start = Arrival { clock, ..arrival("/orders", &[]) };
        let cx = cx_of(start, &[key.proof(&json!({}))]);
        rules.judge(&cx, Scheme::Dpop, TOKEN, Some(&key.cnf()))
    };
    assert_eq!(judge("900ms"), Ok(false));
    assert_eq!(judge("700ms"), Err(BindingFault::Age));
}
