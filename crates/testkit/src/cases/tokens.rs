//! Tokens and keys of cases, and what stands for them in the text.
//!
//! `${token name}` is a token of a section, `${public ES256}` the PEM of this process's key for an
//! algorithm as a quoted string, `${pem ES256}` the same as it is, `${jwk ES256}` the key as a JSON
//! web key called `ES256`, `${long 7}` seven letters, `${basic alice:pass}` the base64 of that,
//! `${sha256 text}` that of its SHA-256, `${signature name}` that of a section, `${authority}` the
//! PEM of an authority as a quoted string. Of certificates: `${thumbprint name}`, `${x5t name}` (the
//! same in base64url), `${der name}` (base64), `${crl one two}` a list of that authority with these
//! revoked (`${crl below nobody}`: an empty one of the authority below). Of tokens: `${ath name}` the base64url of a token's SHA-256, `${jkt ES256}` the
//! thumbprint of a key (RFC 7638), `${nonce}` the last `DPoP-Nonce`; `${header name}`, `${payload name}`
//! and `${seal name}` the three parts of a token. What was put in is taken out again of what is shown.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use bartizan_plugins::jose::Algorithm;
use bartizan_tls::{ClientCertificate, ClientSource, Issued};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::forgeries::{self, Model};
use super::{certificates, opened, seals};
use crate::gateway::START;
use crate::load::to_json;
use crate::tokens::TokenKey;

/// The keys of this process, one for each name: making them takes long.
static KEYS: Mutex<BTreeMap<String, Arc<TokenKey>>> = Mutex::new(BTreeMap::new());

/// The key of a name such as `ES256` or, for a second one, `ES256/other`.
fn key(name: &str) -> Arc<TokenKey> {
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || Arc::new(TokenKey::generate(algorithm(name)));
    keys.entry(name.to_owned()).or_insert_with(make).clone()
}

fn algorithm(name: &str) -> Algorithm {
    let short = name.split('/').next().unwrap_or_default();
    let known = Algorithm::ALL.iter().find(|algorithm| algorithm.name() == short);
    *known.unwrap_or_else(|| panic!("no algorithm `{short}`"))
}

/// What stands for tokens and keys in the text of one case.
#[derive(Debug, Default)]
pub(super) struct Stand {
    /// What is written, and what it stands for.
    known: BTreeMap<String, String>,
    /// What tokens were made of, by their name.
    models: BTreeMap<String, Model>,
    certificates: BTreeMap<String, Issued>,
}

impl Stand {
    /// Makes the token of a section: `{key or secret, algorithm, claims, header}`, or `{raw}`.
    pub(super) fn make(&mut self, name: &str, yaml: &str) {
        let spec = to_json(&self.fill(yaml));
        let text = |key: &str| spec.get(key).and_then(Value::as_str);
        let signer = match (text("secret"), text("key")) {
            (Some(secret), None) => {
                let algorithm = algorithm(text("algorithm").unwrap_or("HS256"));
                Arc::new(TokenKey::from_secret(algorithm, secret.as_bytes()))
            }
            (None, Some(name)) => key(name),
            _ => panic!("the token `{name}` needs a `key` or a `secret`"),
        };
        let object = |key: &str| spec.get(key).and_then(Value::as_object).cloned();
        let header = object("header").unwrap_or_default();
        let claims = times(object("claims"));
        let token = match text("payload") {
            Some(payload) => signer.sign_text(&Value::Object(header.clone()).to_string(), payload),
            None => signer.sign_with(&header, &Value::Object(claims.clone())),
        };
        self.known.insert(format!("${{token {name}}}"), token);
        self.models.insert(name.to_owned(), Model { signer, header, claims });
    }

    /// Makes the forgery of a section, which then is a token of this name.
    pub(super) fn forge(&mut self, name: &str, yaml: &str) {
        let mut spec = Value::Object(to_json(&self.fill(yaml)));
        let like = spec.get("like").and_then(Value::as_str).unwrap_or_default();
        let model = self.models.get(like);
        let model = model.unwrap_or_else(|| panic!("no token `{like}` that `{name}` is like"));
        if let Some(Value::Object(claims)) = spec.get_mut("claims") {
            *claims = times(Some(claims.clone()));
        }
        let token = forgeries::forged(name, &spec, model, &key);
        self.known.insert(format!("${{token {name}}}"), token);
    }

    /// Makes the certificate of a section: `{name, names, signer, lives}`.
    pub(super) fn certify(&mut self, name: &str, yaml: &str) {
        let issued = certificates::issue(name, &self.fill(yaml));
        let source =
            ClientSource { ca: certificates::authority(), depth: 1, skip_mtls_uri_regex: vec![] };
        let read = ClientCertificate::verify(&issued.chain, &source, START).expect("a good one");
        let above = read.intermediates(START).iter().map(|der| STANDARD.encode(der));
        for der in above {
            self.note("der above", &der);
        }
        self.note(&format!("der {name}"), &STANDARD.encode(read.der()));
        self.note(&format!("thumbprint {name}"), read.fingerprint());
        self.note(&format!("x5t {name}"), &URL_SAFE_NO_PAD.encode(read.digest()));
        self.certificates.insert(name.to_owned(), issued);
    }

    /// The certificate of a section.
    pub(super) fn certificate(&self, name: &str) -> &Issued {
        self.certificates.get(name).unwrap_or_else(|| panic!("no certificate `{name}`"))
    }

    /// From now on `${name}` stands for this.
    pub(super) fn note(&mut self, name: &str, value: &str) {
        self.known.insert(format!("${{{name}}}"), value.to_owned());
    }

    /// Makes the signature of a section: `{secret, algorithm, text}` or `{key, text}`.
    pub(super) fn sign(&mut self, name: &str, yaml: &str) {
        let yaml = self.fill(yaml);
        let spec = to_json(&yaml);
        let text = |key: &str| spec.get(key).and_then(Value::as_str);
        let signature = match (text("key"), text("text")) {
            (Some(signer), Some(text)) => STANDARD.encode(key(signer).sign_bytes(text.as_bytes())),
            _ => seals::signature(name, &yaml),
        };
        self.known.insert(format!("${{signature {name}}}"), signature);
    }

    /// Makes the encrypted token of a section: `{secret, header, text, is_bound}`.
    pub(super) fn encrypt(&mut self, name: &str, yaml: &str) {
        let token = seals::jwe(name, &self.fill(yaml));
        self.known.insert(format!("${{jwe {name}}}"), token);
    }

    /// The text with tokens and keys in it.
    pub(super) fn fill(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("${") {
            let (name, after) = from.split_once('}').expect("a `}` behind `${`");
            out.push_str(before);
            if name.contains("??") {
                // A variable of a plugin's configuration, with what stands in for it.
                out.extend(["${", name, "}"]);
            } else {
                out.push_str(&self.value(name));
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn value(&mut self, name: &str) -> String {
        let written = format!("${{{name}}}");
        if let Some(known) = self.known.get(&written) {
            return known.clone();
        }
        if name == "nonce" {
            // Nobody has given one out yet.
            return "none".to_owned();
        }
        if let Some(part) = self.part(name) {
            return part;
        }
        let value = match name.split_once(' ') {
            None if name == "authority" => Value::from(certificates::authority()).to_string(),
            Some(("crl", names)) => {
                let below = names.strip_prefix("below ");
                let revoked = below.unwrap_or(names).split(' ').filter(|name| *name != "nobody");
                let revoked: Vec<&Issued> = revoked.map(|name| self.certificate(name)).collect();
                certificates::revocation_list(below.is_some(), &revoked)
            }
            Some(("ath", name)) => {
                let token = self.value(&format!("token {name}"));
                URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
            }
            Some(("jkt", name)) => thumbprint(&key(name).jwk(name)),
            Some(("public", name)) => Value::from(key(name).public_key()).to_string(),
            Some(("private", name)) => key(name).private_key(),
            Some(("pem", name)) => key(name).public_key(),
            Some(("jwk", name)) => key(name).jwk(name).to_string(),
            Some(("basic", text)) => STANDARD.encode(text),
            Some(("sha256", text)) => seals::sha256(text),
            Some(("long", length)) => "x".repeat(length.parse().expect("a length")),
            _ => panic!("nothing stands for `{written}`"),
        };
        self.known.insert(written, value.clone());
        value
    }

    /// `header`, `payload` or `seal` of a token as they are in it: the three parts.
    fn part(&self, name: &str) -> Option<String> {
        let (part, token) = name.split_once(' ')?;
        let at = ["header", "payload", "seal"].iter().position(|known| *known == part)?;
        let token = self.known.get(&format!("${{token {token}}}"))?;
        token.split('.').nth(at).map(str::to_owned)
    }

    /// The text with what stands for tokens and keys in their place; of tokens and keys that were
    /// made elsewhere what they say that is the same in every run.
    pub(super) fn hide(&self, text: &str) -> String {
        let hide = |text: &str| {
            let known = self.known.iter();
            known.fold(text.to_owned(), |text, (written, value)| text.replace(value, written))
        };
        opened::opened(&hide(text), &hide)
    }
}

/// The thumbprint of a key: the members that make it up, in the order of their names (RFC 7638 §3).
fn thumbprint(jwk: &Value) -> String {
    let members = ["crv", "e", "kty", "n", "x", "y"].into_iter();
    let members = members.filter_map(|name| Some(format!("\"{name}\":{}", jwk.get(name)?)));
    let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// Claims in which `start`, `start+60` and `start-60` are times.
fn times(claims: Option<Map<String, Value>>) -> Map<String, Value> {
    let time = |value: Value| {
        let Some(offset) = value.as_str().and_then(|text| text.strip_prefix("start")) else {
            return value;
        };
        let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().expect("seconds") };
        let start = i64::try_from(START.as_secs()).expect("a time of this age");
        Value::from(start + offset)
    };
    claims.unwrap_or_default().into_iter().map(|(name, value)| (name, time(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_taken_out_again() {
        let mut stand = Stand::default();
        stand.make("a", "{secret: short, claims: {sub: alice, exp: start+60}}");
        let filled = stand.fill("Bearer ${token a}!");
        assert_eq!(filled.split('.').count(), 3);
        assert_eq!(stand.hide(&filled), "Bearer ${token a}!");
        let jwk: Value = serde_json::from_str(&stand.fill("${jwk ES256}")).unwrap();
        assert_eq!(jwk["kid"], "ES256");
        assert!(stand.fill("${public ES256}").starts_with("\"-----BEGIN PUBLIC KEY"));
    }

    #[test]
    fn times_are_counted_from_the_start() {
        let claims = times(Some(to_json("{exp: start+60, nbf: start, iat: start-5, sub: x}")));
        let start = START.as_secs();
        assert_eq!(claims["exp"], start + 60);
        assert_eq!(claims["nbf"], start);
        assert_eq!(claims["iat"], start - 5);
        assert_eq!(claims["sub"], "x");
    }
}
