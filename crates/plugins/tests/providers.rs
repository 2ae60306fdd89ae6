//! Token providers: keys that rotate, that cannot be had, that are asked for by many at once.

#[path = "providers/double.rs"]
mod double;
#[path = "providers/introspection.rs"]
mod introspection;
#[path = "providers/lies.rs"]
mod lies;
#[path = "providers/recipes.rs"]
mod recipes;

use std::time::Duration;

use bartizan_plugins::jose::Algorithm;
use bartizan_testkit::{Answer, Connection, Gateway, Sent, TokenKey, run};
use double::{KEYS, METADATA, NODE, Provider, asked, key_set, signed, token};
use serde_json::json;

const ROUTES: &str = r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins:
    jwt-auth: {providers: [{issuer: "https://id.test", audiences: [orders]}]}
    any-authenticated: {reason: a test}
- uri: /public
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins: {anonymous-access: {reason: a test}}
"#;

/// A gateway whose provider is there before it is asked.
fn start() -> (Gateway, Provider) {
    let gateway = Gateway::of("routes: []");
    let provider = Provider::of(&gateway);
    gateway.reload(ROUTES).unwrap_or_else(|refusal| panic!("{refusal}"));
    (gateway, provider)
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get("/").bearer(token).send().await.status()
}

#[test]
fn a_key_that_is_added_is_found_by_the_first_token_of_it() {
    run(async {
        let (gateway, provider) = start();
        let (old, new) = (token(&provider.one, "one"), token(&provider.two, "two"));
        assert_eq!(status(&gateway, &old).await, 200);
        assert_eq!(asked(&gateway), [METADATA, KEYS]);
        provider.publishes(&[("one", &provider.one), ("two", &provider.two)]);
        gateway.advance(Duration::from_secs(30)).await;
        assert_eq!(status(&gateway, &new).await, 200);
        assert_eq!(asked(&gateway), [METADATA, KEYS]);
        assert_eq!(status(&gateway, &old).await, 200);
        assert_eq!(asked(&gateway), [""; 0]);
    });
}

#[test]
fn a_key_that_is_replaced_ends_with_all_that_was_remembered_of_it() {
    // Another name is asked for when it comes; material under the same name is found when due.
    for (name, seconds) in [("two", 30), ("one", 3_240)] {
        run(async {
            let (gateway, provider) = start();
            let (old, new) = (token(&provider.one, "one"), token(&provider.two, name));
            assert_eq!(status(&gateway, &old).await, 200);
            assert_eq!(status(&gateway, &old).await, 200);
            provider.publishes(&[(name, &provider.two)]);
            gateway.advance(Duration::from_secs(seconds)).await;
            assert_eq!(status(&gateway, &new).await, 200, "{name}");
            assert_eq!(status(&gateway, &old).await, 401, "{name}");
        });
    }
}

#[test]
fn a_storm_of_unknown_keys_is_one_fetch_in_half_a_minute() {
    run(async {
        let (gateway, provider) = start();
        assert_eq!(status(&gateway, &token(&provider.one, "one")).await, 200);
        asked(&gateway);
        for second in 0..29 {
            assert_eq!(status(&gateway, &token(&provider.two, &format!("k{second}"))).await, 401);
            gateway.advance(Duration::from_secs(1)).await;
        }
        assert_eq!(asked(&gateway), [""; 0]);
        gateway.advance(Duration::from_secs(1)).await;
        let slow = key_set(&[("one", &provider.one)]).after(Duration::from_millis(500));
        provider.says(KEYS, slow);
        let mut waiting: Vec<Connection> = Vec::new();
        for n in 0..64 {
            let forged = token(&provider.two, &format!("s{n}"));
            waiting.push(gateway.get("/").bearer(&forged).hold().await);
        }
        // Who has a known key waits for nobody.
        let good = gateway.get("/").bearer(&token(&provider.one, "one")).send().await;
        assert_eq!((good.status(), good.took()), (200, Duration::ZERO));
        for connection in &mut waiting {
            assert_eq!(connection.answer("GET").await.unwrap().0, 401);
        }
        assert_eq!(asked(&gateway), [METADATA, KEYS]);
        assert_eq!(status(&gateway, &token(&provider.two, "x")).await, 401);
        assert_eq!(asked(&gateway), [""; 0]);
        gateway.upstream().saw(2);
    });
}

#[test]
fn requests_that_wait_for_keys_are_bounded_in_number_and_time() {
    run(async {
        let gateway =
            Gateway::builder().node("limits: {delayed: 2}").resources("routes: []").start();
        let provider = Provider::of(&gateway);
        provider.says(METADATA, key_set(&[]).after(Duration::from_secs(3_600)));
        gateway.reload(ROUTES).unwrap_or_else(|refusal| panic!("{refusal}"));
        let good = token(&provider.one, "one");
        let begin = tokio::time::Instant::now();
        let mut first = gateway.get("/").bearer(&good).hold().await;
        let mut second = gateway.get("/").bearer(&good).hold().await;
        let third = gateway.get("/").bearer(&good).send().await;
        third.expect(503).reason("limit.too_many_waiting");
        assert_eq!(first.answer("GET").await.unwrap().0, 503);
        assert_eq!(second.answer("GET").await.unwrap().0, 503);
        assert_eq!(begin.elapsed(), Duration::from_secs(3));
        gateway.upstream().saw_nothing();
    });
}

#[test]
fn a_provider_that_is_down_at_the_start_denies_its_routes_and_no_others() {
    run(async {
        let gateway = Gateway::of("routes: []");
        let provider = Provider::of(&gateway);
        gateway.remotes().refuse(NODE, true);
        gateway.reload(ROUTES).unwrap_or_else(|refusal| panic!("{refusal}"));
        let good = token(&provider.one, "one");
        let refused = gateway.get("/").bearer(&good).send().await;
        refused.expect(503).reason("auth.keys_unavailable").plugin("jwt-auth");
        gateway.get("/").send().await.expect(401).reason("auth.missing_credential");
        gateway.get("/public").send().await.expect(200);
        gateway.remotes().refuse(NODE, false);
        gateway.advance(Duration::from_secs(1)).await;
        assert_eq!(status(&gateway, &good).await, 200);
    });
}

#[test]
fn keys_outlive_their_provider_for_a_day_and_no_longer() {
    run(async {
        let (gateway, provider) = start();
        let good = token(&provider.one, "one");
        assert_eq!(status(&gateway, &good).await, 200);
        gateway.remotes().refuse(NODE, true);
        gateway.advance(Duration::from_secs(24 * 3_600)).await;
        assert_eq!(status(&gateway, &good).await, 200);
        // A key that is not known may be a new one: nobody can say that the token is bad.
        let unknown = gateway.get("/").bearer(&token(&provider.two, "two")).send().await;
        unknown.expect(503).reason("auth.keys_unavailable");
        gateway.advance(Duration::from_secs(1)).await;
        assert_eq!(status(&gateway, &good).await, 503);
        gateway.remotes().refuse(NODE, false);
        gateway.advance(Duration::from_secs(30)).await;
        assert_eq!(status(&gateway, &good).await, 200);
    });
}

#[test]
fn the_age_of_keys_is_none_of_the_wall_clock() {
    run(async {
        let (gateway, provider) = start();
        let good = token(&provider.one, "one");
        assert_eq!(status(&gateway, &good).await, 200);
        asked(&gateway);
        gateway.remotes().refuse(NODE, true);
        // The wall clock stands still, as if it had been set back by a day and more.
        tokio::time::advance(Duration::from_secs(24 * 3_600 + 1)).await;
        assert_eq!(status(&gateway, &good).await, 503);
    });
}

#[test]
fn a_reload_keeps_keys_and_asks_nobody_and_all_routes_share_them() {
    run(async {
        let (gateway, provider) = start();
        let good = token(&provider.one, "one");
        assert_eq!(status(&gateway, &good).await, 200);
        asked(&gateway);
        gateway.remotes().refuse(NODE, true);
        let more = r#"
- uri: /more
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins:
    jwt-auth: {providers: [{issuer: "https://id.test", audiences: [orders]}], leeway: 5s}
    any-authenticated: {reason: a test}
"#;
        gateway.reload(&format!("{ROUTES}{more}")).unwrap_or_else(|refusal| panic!("{refusal}"));
        gateway.get("/more").bearer(&good).send().await.expect(200);
        assert_eq!(asked(&gateway), [""; 0]);
    });
}

#[test]
fn a_provider_of_which_something_is_changed_while_it_is_down_keeps_its_keys_at_their_age() {
    run(async {
        let (gateway, provider) = start();
        let good = token(&provider.one, "one");
        assert_eq!(status(&gateway, &good).await, 200);
        gateway.remotes().refuse(NODE, true);
        gateway.advance(Duration::from_secs(60)).await;
        let patient = ROUTES.replace("[orders]}", "[orders], timeout: 7s}");
        assert_ne!(patient, ROUTES);
        gateway.reload(&patient).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(status(&gateway, &good).await, 200);
        let unknown = gateway.get("/").bearer(&token(&provider.two, "two")).send().await;
        unknown.expect(503).reason("auth.keys_unavailable");
        gateway.advance(Duration::from_secs(24 * 3_600 - 60)).await;
        assert_eq!(status(&gateway, &good).await, 200);
        gateway.advance(Duration::from_secs(1)).await;
        assert_eq!(status(&gateway, &good).await, 503);
    });
}

#[test]
fn a_provider_of_which_something_is_changed_is_asked_at_once() {
    run(async {
        let (gateway, provider) = start();
        let (old, new) = (token(&provider.one, "one"), token(&provider.two, "two"));
        assert_eq!(status(&gateway, &old).await, 200);
        asked(&gateway);
        provider.publishes(&[("two", &provider.two)]);
        let patient = ROUTES.replace("[orders]}", "[orders], timeout: 7s}");
        gateway.reload(&patient).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(status(&gateway, &new).await, 200);
        assert_eq!(status(&gateway, &old).await, 401);
        assert_eq!(asked(&gateway), [METADATA, KEYS]);
    });
}

#[test]
fn one_connection_serves_one_fetch_and_ends_with_it() {
    run(async {
        let gateway = Gateway::of("routes: []");
        let provider = Provider::of(&gateway);
        provider.says(KEYS, Answer::json(500, "{}"));
        gateway.reload(ROUTES).unwrap_or_else(|refusal| panic!("{refusal}"));
        let good = token(&provider.one, "one");
        assert_eq!(status(&gateway, &good).await, 503);
        provider.publishes(&[("one", &provider.one)]);
        gateway.advance(Duration::from_secs(1)).await;
        assert_eq!(status(&gateway, &good).await, 200);
        let requests = gateway.remotes().take().into_iter().filter_map(|sent| match sent {
            Sent::Request { is_kept, seen, .. } => Some((seen.target, is_kept)),
            _ => None,
        });
        let expected = [(METADATA, false), (KEYS, true), (METADATA, false), (KEYS, true)];
        assert_eq!(requests.collect::<Vec<_>>(), expected.map(|(at, kept)| (at.to_owned(), kept)));
    });
}

#[test]
fn a_provider_that_no_configuration_names_is_left_alone() {
    run(async {
        let (gateway, provider) = start();
        assert_eq!(status(&gateway, &token(&provider.one, "one")).await, 200);
        gateway.reload("routes: []").unwrap_or_else(|refusal| panic!("{refusal}"));
        gateway.get("/").send().await.expect(404);
        asked(&gateway);
        gateway.advance(Duration::from_secs(7 * 24 * 3_600)).await;
        assert_eq!(asked(&gateway), [""; 0]);
        assert!(!gateway.metrics().contains("bartizan_jwks_age_seconds{"), "{}", gateway.metrics());
    });
}

#[test]
fn a_token_without_a_name_of_its_key_asks_nobody() {
    run(async {
        let (gateway, provider) = start();
        assert_eq!(status(&gateway, &token(&provider.one, "one")).await, 200);
        gateway.advance(Duration::from_secs(60)).await;
        asked(&gateway);
        let claims = json!({"iss": double::ISSUER, "aud": "orders", "exp": 4_000_000_000_u64});
        let nameless = signed(&provider.two, &json!({}), &claims);
        assert_eq!(status(&gateway, &nameless).await, 401);
        let other = TokenKey::generate(Algorithm::EdDsa);
        let nameless = signed(&other, &json!({}), &claims);
        assert_eq!(status(&gateway, &nameless).await, 401);
        assert_eq!(asked(&gateway), [""; 0]);
    });
}
