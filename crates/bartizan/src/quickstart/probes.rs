//! The requests of the self-check: one for each protection, and what must become of it.

use std::time::Duration;

use bartizan_config::Resources;
use bartizan_core::{Secret, Timestamp};
use bartizan_plugins::jose::{Algorithm, SigningKey};
use serde_json::{Value, json};

use super::client::Answer;
use super::example_api::PROBE;
use super::templates::{BODY_MAX, HOST, OWN_ORIGIN, QUOTES_MAX};
use crate::failure::Failure;
use crate::files;
use crate::token::{self, Request, consumer_signer};

/// How long the tokens of the self-check live.
const LIFETIME: Duration = Duration::from_secs(300);

/// What an answer must have, besides its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The reason in its problem details.
    Code(&'static str),
    /// That reason, and the seconds to wait.
    CodeAndRetry(&'static str),
    /// The permission for this origin.
    AllowsOrigin(&'static str),
    /// No field that a browser takes for a permission.
    AllowsNoOrigin,
    /// Nothing more.
    None,
}

impl Mark {
    /// What is wrong with an answer.
    fn fault(self, answer: &Answer) -> Option<String> {
        let reason = |code| match answer.code() {
            Some(found) if found == code => None,
            Some(found) => Some(format!("the reason is {found}")),
            None => Some("it gives no reason".to_owned()),
        };
        match self {
            Self::Code(code) => reason(code),
            Self::CodeAndRetry(code) => reason(code).or_else(|| {
                let wait = answer.field("retry-after").map(str::parse::<u32>);
                (!matches!(wait, Some(Ok(1..=60)))).then(|| "no true Retry-After".to_owned())
            }),
            Self::AllowsOrigin(origin) => (answer.field("access-control-allow-origin")
                != Some(origin))
            .then(|| "the origin is not allowed".to_owned()),
            Self::AllowsNoOrigin => answer
                .field_names()
                .find(|name| name.starts_with("access-control-"))
                .map(|name| format!("it has `{name}`")),
            Self::None => None,
        }
    }

    /// As the table shows it.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Code(code) => format!(" {code}"),
            Self::CodeAndRetry(code) => format!(" {code}, Retry-After"),
            Self::AllowsOrigin(_) => " with CORS fields".to_owned(),
            Self::AllowsNoOrigin => " without CORS fields".to_owned(),
            Self::None => String::new(),
        }
    }
}

/// One request and what must become of it.
#[derive(Debug)]
pub(crate) struct Probe {
    /// What it tries.
    pub(crate) name: &'static str,
    /// Method and target, for the table.
    pub(crate) shown: String,
    /// The bytes.
    pub(crate) request: Vec<u8>,
    /// How often it is sent, and let through, before the one that counts.
    pub(crate) before: u32,
    /// The status.
    pub(crate) status: u16,
    /// What else the answer must have.
    pub(crate) mark: Mark,
    /// Who the example API must take it to be from, where that is tried.
    pub(crate) caller: Option<&'static str>,
}

impl Probe {
    /// Whether the example API must have seen it.
    pub(crate) fn reaches(&self) -> bool {
        self.status < 400
    }

    /// How often the example API must have seen it.
    pub(crate) fn arrivals(&self) -> usize {
        let before = usize::try_from(self.before).unwrap_or(usize::MAX);
        before.saturating_add(usize::from(self.reaches()))
    }

    /// What is wrong with the answer.
    pub(crate) fn fault(&self, answer: &Answer) -> Option<String> {
        if answer.status != self.status {
            return Some(answer.code().unwrap_or_else(|| "not as expected".to_owned()));
        }
        self.mark.fault(answer)
    }
}

/// The tokens of the self-check.
struct Tokens {
    alice: String,
    bob: String,
    carol_without_scope: String,
    expired: String,
    forged: String,
    unsigned: String,
}

impl Tokens {
    fn mint(resources: &Resources, now: Timestamp) -> Result<Self, Failure> {
        let orders = || vec![("scope".to_owned(), Value::from("orders"))];
        let of = |consumer: &str, claims, now| {
            let signer = consumer_signer(resources, consumer, None)?;
            let (key_claim, lifetime, kid) = ("key", LIFETIME, None);
            token::mint(
                &signer,
                Request { subject: consumer, key_claim, now, lifetime, claims, kid },
            )
        };
        let long_ago = Timestamp::from_secs(now.as_secs().saturating_sub(7_200));
        let claims = json!({
            "key": "alice", "sub": "alice", "scope": "orders",
            "exp": now.plus(LIFETIME).as_secs(),
        });
        let stranger =
            SigningKey::from_secret(Algorithm::Hs256, &Secret::new(files::random_secret()?))
                .map_err(|fault| Failure::new(format!("no key can be made: {fault}")))?;
        let sign = |header: &str| {
            stranger
                .sign_text(header, &claims.to_string())
                .map_err(|fault| Failure::new(format!("no token can be signed: {fault}")))
        };
        let unsigned = sign(r#"{"alg":"none","typ":"JWT"}"#)?;
        let signed_part = unsigned.rsplit_once('.').map_or("", |(signed, _)| signed);
        Ok(Self {
            alice: of("alice", orders(), now)?,
            bob: of("bob", orders(), now)?,
            carol_without_scope: of("carol", Vec::new(), now)?,
            expired: of("alice", orders(), long_ago)?,
            forged: sign(r#"{"alg":"HS256","typ":"JWT"}"#)?,
            unsigned: format!("{signed_part}."),
        })
    }
}

/// A request as a client would write it.
struct Draft<'a> {
    name: &'static str,
    method: &'a str,
    target: &'a str,
    token: Option<&'a str>,
    fields: String,
    body: &'a str,
}

impl<'a> Draft<'a> {
    fn get(name: &'static str, target: &'a str, token: Option<&'a str>) -> Self {
        Self { name, method: "GET", target, token, fields: String::new(), body: "" }
    }

    fn post(name: &'static str, target: &'a str, token: &'a str, body: &'a str) -> Self {
        let length = body.len();
        let fields = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        Self { name, method: "POST", target, token: Some(token), fields, body }
    }

    fn with(mut self, field: &str) -> Self {
        self.fields.push_str(field);
        self.fields.push_str("\r\n");
        self
    }

    fn expect(self, status: u16, mark: Mark) -> Probe {
        let Self { name, method, target, token, fields, body } = self;
        let token = token.map_or_else(String::new, |t| format!("Authorization: Bearer {t}\r\n"));
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{PROBE}: {name}\r\n{token}{fields}\
             Connection: close\r\n\r\n{body}"
        );
        let shown = format!("{method} {target}");
        Probe { name, shown, request: request.into_bytes(), before: 0, status, mark, caller: None }
    }

    fn refuse(self, status: u16, code: &'static str) -> Probe {
        self.expect(status, Mark::Code(code))
    }
}

/// All requests, in the order in which they are sent.
pub(crate) fn probes(resources: &Resources, now: Timestamp) -> Result<Vec<Probe>, Failure> {
    let tokens = Tokens::mint(resources, now)?;
    let mut probes = identity(&tokens);
    probes.extend(permission(&tokens));
    probes.extend(content(&tokens));
    probes.extend(protocol(&tokens));
    Ok(probes)
}

/// Who calls.
fn identity(tokens: &Tokens) -> Vec<Probe> {
    let own = "/orders/alice/1";
    let mut forged = Draft::get("forged identity field", own, Some(&tokens.alice))
        .with("X-Consumer-Username: bob")
        .expect(200, Mark::None);
    forged.caller = Some("alice");
    vec![
        Draft::get("own order", own, Some(&tokens.alice)).expect(200, Mark::None),
        Draft::get("public page, declared", "/prices", None).expect(200, Mark::None),
        Draft::get("no credential", own, None).refuse(401, "auth.missing_credential"),
        Draft::get("expired token", own, Some(&tokens.expired))
            .refuse(401, "auth.expired_credential"),
        Draft::get("token signed by a stranger", own, Some(&tokens.forged))
            .refuse(401, "auth.invalid_credential"),
        Draft::get("token that is not signed", own, Some(&tokens.unsigned))
            .refuse(401, "auth.invalid_credential"),
        forged,
    ]
}

/// What they may do, and how often.
fn permission(tokens: &Tokens) -> Vec<Probe> {
    let (alice, own) = (Some(tokens.alice.as_str()), "/orders/alice/1");
    let carol = Some(tokens.carol_without_scope.as_str());
    let mut too_often = Draft::get("over the limit", "/quotes/tea", Some(&tokens.bob))
        .expect(429, Mark::CodeAndRetry("limit.exceeded"));
    too_often.before = QUOTES_MAX;
    let origin = |origin: &str| format!("Origin: {origin}");
    vec![
        Draft::get("another customer's order", "/orders/bob/2", alice)
            .refuse(403, "authz.object_denied"),
        Draft::get("no grant", "/orders/carol/1", carol).refuse(403, "auth.insufficient_scope"),
        Draft::get("address not allowed", "/reports/revenue", alice)
            .refuse(403, "admit.address_denied"),
        too_often,
        Draft::get("page of its own origin", own, alice)
            .with(&origin(OWN_ORIGIN))
            .expect(200, Mark::AllowsOrigin(OWN_ORIGIN)),
        Draft::get("page of a foreign origin", own, alice)
            .with(&origin("https://evil.example"))
            .expect(200, Mark::AllowsNoOrigin),
        Draft::get("path that nobody serves", "/admin", alice).refuse(404, "route.not_found"),
    ]
}

/// What they send.
fn content(tokens: &Tokens) -> Vec<Probe> {
    let new = "/orders/alice/new";
    let post = |name, body| Draft::post(name, new, &tokens.alice, body);
    let injection = "/orders/alice/1?note=1%27%20OR%20%271%27%3D%271";
    vec![
        Draft::get("injection in the query", injection, Some(&tokens.alice))
            .refuse(403, "inspect.refused"),
        post("new order", r#"{"item": "tea", "quantity": 2}"#).expect(201, Mark::None),
        post("wrong schema", r#"{"item": "tea"}"#).refuse(400, "validate.schema"),
        post("injection in a number", r#"{"item": "tea", "quantity": "1; DROP TABLE orders"}"#)
            .refuse(400, "validate.schema"),
        post("one key twice", r#"{"item": "tea", "quantity": 1, "quantity": -1}"#)
            .refuse(400, "validate.unparsable"),
    ]
}

/// How they send it.
fn protocol(tokens: &Tokens) -> Vec<Probe> {
    let alice = Some(tokens.alice.as_str());
    let new = "/orders/alice/new";
    // A gateway that believes the length and an upstream that believes the coding would disagree
    // about where the second request begins.
    let inner =
        format!("0\r\n\r\nGET /orders/bob/2 HTTP/1.1\r\nHost: {HOST}\r\n{PROBE}: smuggled\r\n\r\n");
    let length = inner.len();
    vec![
        Draft { method: "POST", ..Draft::get("over-sized body", new, alice) }
            .with("Content-Type: application/json")
            .with(&format!("Content-Length: {}", BODY_MAX + 1))
            .refuse(413, "http.body_too_large"),
        Draft { method: "POST", body: &inner, ..Draft::get("smuggled request", new, alice) }
            .with("Content-Type: application/json")
            .with(&format!("Content-Length: {length}"))
            .with("Transfer-Encoding: chunked")
            .refuse(400, "http.ambiguous_framing"),
        Draft::get("path with two meanings", "/orders/alice/..%2fbob%2f2", alice)
            .refuse(400, "http.ambiguous_target"),
    ]
}
