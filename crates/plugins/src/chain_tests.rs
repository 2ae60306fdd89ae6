//! What the plugins that prove and grant do to a request, in a chain as the gateway runs it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bartizan_chain::{
    AnswerHead, Arrival, BodySource, Chain, ChainBuilder, Consumer, ConsumerIndex, Plugin,
    Profiles, Run, Screening, Step,
};
use bartizan_core::Reason;
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::*;
use crate::fixture::{Bench, arrival};
use crate::jose::{Algorithm, AlgorithmSet, KeySet, SigningKey, Token};
use admit::cors::Cors;
use authenticate::anonymous_access::AnonymousAccess;
use authenticate::jwt_auth::JwtAuth;
use authenticate::key_auth::KeyAuth;
use authorize::any_authenticated::AnyAuthenticated;
use authorize::consumer_restriction::ConsumerRestriction;
use prepare::real_ip::RealIp;
use prepare::request_id::RequestIdField;
use transform::identity_forward::{self, IdentityForward};

const SECRET: &str = "a secret of at least thirty-two bytes";
const ID: &str = "01010101-0101-0101-0101-010101010101";

struct NoBody;

impl BodySource for NoBody {
    fn collect<'a>(
        &'a mut self,
        _max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>> {
        Box::pin(std::future::ready(Ok(Bytes::new())))
    }
}

struct NoProfiles;

impl Profiles<AnyPlugin> for NoProfiles {
    fn of(&self, _consumer: &Consumer) -> [Option<Arc<Chain<AnyPlugin>>>; 2] {
        [None, None]
    }
}

/// What becomes of a request.
struct Outcome {
    run: Run<AnyPlugin>,
    verdict: Result<Option<StatusCode>, Denial>,
}

impl Outcome {
    fn reason(&self) -> Option<Reason> {
        self.verdict.as_ref().err().map(|denial| denial.reason)
    }

    fn sent(&self, name: &str) -> Option<String> {
        let value = self.run.cx().fields.single(name).unwrap();
        value.map(|value| String::from_utf8(value.to_vec()).unwrap())
    }

    fn target(&self) -> &str {
        self.run.cx().outgoing().path_and_query()
    }

    /// The fields of the answer to it.
    fn answered(&mut self) -> Fields {
        let mut answer = AnswerHead::new(StatusCode::OK, Fields::new(), true);
        self.run.respond(&mut answer).unwrap();
        answer.fields
    }
}

fn add<P: Plugin>(route: &mut ChainBuilder<AnyPlugin>, wrap: fn(P) -> AnyPlugin, config: &Value) {
    let plugin = Bench::new().compile(config).unwrap();
    route.add(Step::new(Arc::new(wrap(plugin))));
}

/// Alice and the guest; Alice has an API key and signs tokens.
fn consumers() -> ConsumerIndex {
    let bench = Bench::new();
    let mut index = ConsumerIndex::default();
    let consumer = |name: &str| Arc::new(Consumer::new(name.into(), None, Vec::new()));
    let (alice, guest) = (consumer("alice"), consumer("guest"));
    index.add_consumer(alice.clone());
    index.add_consumer(guest);
    let key = bench.credential::<KeyAuth>(&json!({ "key": "q7x2mzkp4v" })).unwrap();
    index.add_credential(KeyAuth::NAME, &alice, None, key).unwrap();
    let jwt = bench.credential::<JwtAuth>(&json!({ "key": "alice", "secret": SECRET })).unwrap();
    index.add_credential(JwtAuth::NAME, &alice, None, jwt).unwrap();
    index
}

fn screen(route: ChainBuilder<AnyPlugin>, arrival: Arrival) -> Outcome {
    let arrival = Arrival { consumers: Arc::new(consumers()), ..arrival };
    let (cx, limits) = (RequestCx::new(arrival, None), bartizan_core::Limits::default());
    let global = Arc::new(Chain::empty());
    let mut run = Run::new(cx, &global, Some(&Arc::new(route.build())), &limits);
    let verdict = {
        let mut source = NoBody;
        let screening = pin!(run.screen(&mut source, &NoProfiles));
        match screening.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => panic!("nothing here waits"),
            Poll::Ready(Ok(Screening::Proceed(_))) => Ok(None),
            Poll::Ready(Ok(Screening::Answer(answer))) => Ok(Some(answer.status)),
            Poll::Ready(Err(denial)) => Err(denial),
        }
    };
    Outcome { run, verdict }
}

fn key_route(more: &Value) -> ChainBuilder<AnyPlugin> {
    let mut route = ChainBuilder::new();
    add(&mut route, AnyPlugin::KeyAuth, more);
    route
}

fn token(claims: &Value) -> &'static str {
    let key = SigningKey::from_secret(Algorithm::Hs256, &bartizan_core::Secret::new(SECRET));
    key.unwrap().sign(&Map::new(), claims).unwrap().leak()
}

fn alices_token() -> &'static str {
    token(&json!({ "key": "alice", "exp": 1_000_060, "scope": "read" }))
}

#[test]
fn a_key_is_hidden_from_the_upstream_wherever_it_was() {
    let lines = [("apikey", "q7x2mzkp4v")];
    let outcome = screen(key_route(&json!({})), arrival("/a?apikey=other&b=1", &lines));
    assert_eq!(outcome.reason(), None);
    assert_eq!(outcome.sent("apikey"), None);
    assert_eq!(outcome.target(), "/a?b=1");
    assert_eq!(outcome.sent("x-consumer-username").as_deref(), Some("alice"));

    let shown = key_route(&json!({ "hide_credentials": false }));
    let outcome = screen(shown, arrival("/a?apikey=q7x2mzkp4v", &[]));
    assert_eq!(outcome.target(), "/a?apikey=q7x2mzkp4v");
    assert_eq!(outcome.sent("x-consumer-username").as_deref(), Some("alice"));
}

#[test]
fn a_key_must_be_there_known_and_single() {
    for (target, lines, reason) in [
        ("/", &[][..], Reason::MissingCredential),
        ("/", &[("apikey", "x")], Reason::InvalidCredential),
        ("/?apikey=x", &[], Reason::InvalidCredential),
        ("/", &[("apikey", "q7x2mzkp4v"), ("apikey", "q7x2mzkp4v")], Reason::AmbiguousCredential),
        ("/?apikey=a&apikey=b", &[("apikey", "q7x2mzkp4v")], Reason::AmbiguousCredential),
        ("/?apikey=%ff", &[], Reason::MalformedCredential),
    ] {
        let outcome = screen(key_route(&json!({})), arrival(target, lines));
        assert_eq!(outcome.reason(), Some(reason), "{target} {lines:?}");
    }
}

#[test]
fn a_stand_in_is_let_in_by_name_and_not_as_proved() {
    let open = json!({ "anonymous_consumer": "guest" });
    let outcome = screen(key_route(&open), arrival("/", &[]));
    assert_eq!(outcome.reason(), None);
    assert_eq!(outcome.sent("x-consumer-username").as_deref(), Some("guest"));

    let mut route = key_route(&open);
    add(&mut route, AnyPlugin::AnyAuthenticated, &json!({ "reason": "all" }));
    let outcome = screen(route, arrival("/", &[]));
    assert_eq!(outcome.reason(), Some(Reason::IdentityRequired));

    let mut route = key_route(&open);
    add(&mut route, AnyPlugin::ConsumerRestriction, &json!({ "whitelist": ["alice"] }));
    let outcome = screen(route, arrival("/", &[]));
    assert_eq!(outcome.reason(), Some(Reason::ConsumerForbidden));
}

#[test]
fn who_is_known_stays_known_where_nobody_needs_to_be() {
    let mut route = key_route(&json!({}));
    add(&mut route, AnyPlugin::AnonymousAccess, &json!({ "reason": "public" }));
    add(&mut route, AnyPlugin::AnyAuthenticated, &json!({ "reason": "all" }));
    let outcome = screen(route, arrival("/", &[("apikey", "q7x2mzkp4v")]));
    assert_eq!(outcome.reason(), None);
    assert!(!outcome.run.cx().identity().unwrap().is_anonymous());

    let mut route = ChainBuilder::new();
    add::<AnonymousAccess>(&mut route, AnyPlugin::AnonymousAccess, &json!({ "reason": "public" }));
    let outcome = screen(route, arrival("/", &[]));
    assert!(outcome.run.cx().identity().unwrap().is_anonymous());
    assert_eq!(outcome.sent("x-consumer-username"), None);
}

#[test]
fn without_any_identity_nothing_is_granted() {
    for route in [
        {
            let mut route = ChainBuilder::new();
            let config = json!({ "reason": "all" });
            add::<AnyAuthenticated>(&mut route, AnyPlugin::AnyAuthenticated, &config);
            route
        },
        {
            let mut route = ChainBuilder::new();
            let config = json!({ "whitelist": ["alice"] });
            add::<ConsumerRestriction>(&mut route, AnyPlugin::ConsumerRestriction, &config);
            route
        },
    ] {
        let outcome = screen(route, arrival("/", &[]));
        assert_eq!(outcome.reason(), Some(Reason::IdentityRequired));
    }
}

#[test]
fn a_token_is_hidden_wherever_it_was_and_the_rest_stays() {
    let route = || {
        let mut route = ChainBuilder::new();
        add::<JwtAuth>(&mut route, AnyPlugin::JwtAuth, &json!({}));
        route
    };
    let bearer: &'static str = format!("Bearer {}", alices_token()).leak();
    let lines = [("authorization", bearer), ("cookie", "a=1; jwt=x; b=2")];
    let outcome = screen(route(), arrival("/?x=1&jwt=y", &lines));
    assert_eq!(outcome.reason(), None);
    assert_eq!(outcome.sent("authorization"), None);
    assert_eq!(outcome.sent("cookie").as_deref(), Some("a=1; b=2"));
    assert_eq!(outcome.target(), "/?x=1");
    assert_eq!(outcome.sent("x-consumer-username").as_deref(), Some("alice"));
    assert_eq!(outcome.run.cx().identity().unwrap().claim("scope"), Some(&json!("read")));

    let cookie: &'static str = format!("jwt={}", alices_token()).leak();
    let outcome = screen(route(), arrival("/", &[("cookie", cookie)]));
    assert_eq!((outcome.reason(), outcome.sent("cookie")), (None, None));
}

#[test]
fn a_token_without_the_scope_is_refused_even_where_somebody_stands_in() {
    let mut route = ChainBuilder::new();
    let config = json!({ "required_scopes": ["write"], "anonymous_consumer": "guest" });
    add::<JwtAuth>(&mut route, AnyPlugin::JwtAuth, &config);
    let outcome = screen(route, arrival("/", &[("authorization", alices_token())]));
    assert_eq!(outcome.reason(), Some(Reason::InsufficientScope));
}

#[test]
fn key_and_token_of_one_account_are_one_identity() {
    let mut route = key_route(&json!({}));
    add(&mut route, AnyPlugin::JwtAuth, &json!({}));
    let lines = [("apikey", "q7x2mzkp4v"), ("authorization", alices_token())];
    let outcome = screen(route, arrival("/", &lines));
    assert_eq!(outcome.reason(), None);
    let identity = outcome.run.cx().identity().unwrap();
    assert_eq!((identity.display().as_ref(), identity.claim("scope").is_some()), ("alice", true));
}

#[test]
fn a_preflight_is_answered_before_anybody_is_asked_who_they_are() {
    let route = || {
        let mut route = key_route(&json!({}));
        add(&mut route, AnyPlugin::Cors, &json!({ "allow_origins": "https://a.example" }));
        route
    };
    let options = |lines: &[(&'static str, &'static str)]| {
        let arrival = arrival("/", lines);
        let canonical = arrival.canonical.with_method("OPTIONS").unwrap();
        Arrival { canonical, ..arrival }
    };
    let method = ("access-control-request-method", "PUT");
    let mut allowed = screen(route(), options(&[("origin", "https://a.example"), method]));
    assert_eq!(allowed.verdict.as_ref().unwrap(), &Some(StatusCode::NO_CONTENT));
    assert!(allowed.answered().contains("access-control-allow-origin"));
    let mut other = screen(route(), options(&[("origin", "https://b.example"), method]));
    assert_eq!(other.verdict.as_ref().unwrap(), &Some(StatusCode::NO_CONTENT));
    assert!(!other.answered().contains("access-control-allow-origin"));
    let plain = screen(route(), options(&[("origin", "https://a.example")]));
    assert_eq!(plain.reason(), Some(Reason::MissingCredential));
}

#[test]
fn a_refusal_can_be_read_by_the_page_that_asked() {
    let mut route = key_route(&json!({}));
    add::<Cors>(&mut route, AnyPlugin::Cors, &json!({ "allow_origins": "https://a.example" }));
    let mut outcome = screen(route, arrival("/", &[("origin", "https://a.example")]));
    assert_eq!(outcome.reason(), Some(Reason::MissingCredential));
    let fields = outcome.answered();
    assert_eq!(fields.get_str("access-control-allow-origin"), Some("https://a.example"));
}

#[test]
fn the_clients_address_is_taken_from_trusted_proxies_only() {
    let real_ip = |trusted: &str| {
        let mut route = ChainBuilder::new();
        let config = json!({ "source": "http_x_real_ip", "trusted_addresses": [trusted] });
        add::<RealIp>(&mut route, AnyPlugin::RealIp, &config);
        route
    };
    let client = |trusted, lines: &[_]| {
        let outcome = screen(real_ip(trusted), arrival("/", lines));
        (outcome.reason(), outcome.run.cx().client().to_string())
    };
    let said = [("x-real-ip", "198.51.100.7")];
    assert_eq!(client("192.0.2.0/24", &said), (None, "198.51.100.7".to_owned()));
    assert_eq!(client("192.0.3.0/24", &said), (None, "192.0.2.1".to_owned()));
    assert_eq!(client("192.0.2.0/24", &[]), (None, "192.0.2.1".to_owned()));
    let nonsense = client("192.0.2.0/24", &[("x-real-ip", "unknown")]);
    assert_eq!(nonsense.0, Some(Reason::BadClientAddress));
    assert_eq!(client("192.0.3.0/24", &[("x-real-ip", "unknown")]).0, None);
}

#[test]
fn the_id_goes_up_and_comes_back() {
    let route = |config: Value| {
        let mut route = ChainBuilder::new();
        add::<RequestIdField>(&mut route, AnyPlugin::RequestIdField, &config);
        route
    };
    let lines = [("x-request-id", "mine")];
    for (config, id) in [(json!({}), ID), (json!({ "trust_from": ["192.0.2.1"] }), "mine")] {
        let mut outcome = screen(route(config), arrival("/", &lines));
        assert_eq!(outcome.sent("x-request-id").as_deref(), Some(id));
        assert_eq!(outcome.answered().get_str("x-request-id"), Some(id));
    }
    let mut silent = screen(route(json!({ "include_in_response": false })), arrival("/", &[]));
    assert_eq!(silent.sent("x-request-id").as_deref(), Some(ID));
    assert!(!silent.answered().contains("x-request-id"));
}

#[test]
fn the_schemas_say_what_texts_must_look_like() {
    let schema =
        |name: &str, field: &str| find(name).unwrap().config_schema["properties"][field].clone();
    for (name, field) in [
        ("key-auth", "realm"),
        ("jwt-auth", "realm"),
        ("anonymous-access", "reason"),
        ("any-authenticated", "reason"),
        ("cors", "allow_origins"),
        ("cors", "timing_allow_origins"),
    ] {
        let schema = schema(name, field);
        assert!(
            schema["pattern"].is_string() && schema["x-expects"].is_string(),
            "{name} {schema}"
        );
    }
}

fn forwarding(config: &Value, bench: &Bench) -> ChainBuilder<AnyPlugin> {
    let mut route = ChainBuilder::new();
    add(&mut route, AnyPlugin::JwtAuth, &json!({}));
    let plugin: IdentityForward = bench.compile(config).unwrap();
    route.add(Step::new(Arc::new(AnyPlugin::IdentityForward(plugin))));
    route
}

#[test]
fn a_token_for_the_upstream_is_verified_by_what_is_published() {
    let bench = Bench::new();
    let config = json!({ "jwt": {
        "issuer": "https://gw", "audience": "orders", "claims": { "scope": "claim.scope" },
    } });
    let credential = token(&json!({ "key": "alice", "exp": 1_000_030, "scope": ["a", 1] }));
    let lines = [("authorization", credential), ("x_bartizan_identity", "forged")];
    let outcome = screen(forwarding(&config, &bench), arrival("/", &lines));
    assert_eq!(outcome.reason(), None);
    let page = bench.node.pages.find(identity_forward::PATH).unwrap();
    let set = KeySet::parse(page.text().as_bytes(), AlgorithmSet::asymmetric()).unwrap();
    let text = outcome.sent("x-bartizan-identity").unwrap();
    let minted = Token::parse(&text).unwrap();
    let key = set.choose(minted.header()).unwrap();
    let verified = key.verify(minted).unwrap();
    let claims = verified.claims().value();
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://gw"), &json!("orders")));
    assert_eq!((&claims["sub"], &claims["scope"]), (&json!("alice"), &json!(["a", 1])));
    assert_eq!(claims["exp"], 1_000_030, "no longer than the credential");
    assert_eq!(claims["jti"], ID);
    assert!(outcome.run.cx().drops_trailers());
    assert_eq!(outcome.sent("x_bartizan_identity"), None);
}

#[test]
fn what_an_upstream_is_told_cannot_end_its_header() {
    let config = json!({ "headers": { "X-User": "subject" } });
    for (subject, reason) in [
        ("user-7", None),
        ("a\r\nx-admin: 1", Some(Reason::Internal)),
        (" a", Some(Reason::Internal)),
    ] {
        let credential = token(&json!({ "key": "alice", "exp": 1_000_030, "sub": subject }));
        let lines = [("authorization", credential), ("x_user", "root")];
        let outcome = screen(forwarding(&config, &Bench::new()), arrival("/", &lines));
        assert_eq!(outcome.reason(), reason, "{subject:?}");
        assert_eq!(outcome.sent("x_user"), None);
    }
}
