use std::time::Duration;

use bartizan_wire::Fields;
use serde_json::json;

use super::fetch::fresh;
use super::metadata::authority;
use super::refresh::{until_refresh, until_retry};
use super::*;
use crate::authenticate::jwt_auth::JwtAuth;
use crate::fixture::{Bench, authority as certificate};
use crate::jose::AlgorithmSet;

fn settings() -> ProviderSettings {
    ProviderSettings {
        issuer: "https://id.example".to_owned(),
        aliases: Vec::new(),
        source: Source::Discovery,
        key: "issuer",
        address: "https://id.example/.well-known/openid-configuration".to_owned(),
        hosts: Vec::new(),
        hosts_key: "jwks_hosts",
        ca_certs: None,
        danger_clear_http: false,
        timeout: Duration::from_secs(5),
        refresh: Duration::from_secs(3_600),
        stale: Duration::from_secs(86_400),
    }
}

#[test]
fn an_answer_holds_as_long_as_it_says() {
    for (lines, expected) in [
        (&[][..], None),
        (&[("cache-control", "public")], None),
        (&[("cache-control", "public, max-age=300, must-revalidate")], Some(300)),
        (&[("cache-control", "Max-Age=\"300\"")], Some(300)),
        (&[("cache-control", "max-age=300"), ("age", "100")], Some(200)),
        (&[("cache-control", "max-age=300"), ("age", "400")], Some(0)),
        (&[("cache-control", "max-age=300"), ("cache-control", "max-age=60")], Some(60)),
        (&[("cache-control", "max-age=300, no-store")], Some(0)),
        (&[("cache-control", "no-cache")], Some(0)),
        (&[("cache-control", "max-age=soon")], Some(0)),
        (&[("cache-control", "max-age")], Some(0)),
        (&[("cache-control", "s-maxage=5, xmax-age=7")], None),
    ] {
        let mut fields = Fields::new();
        for &(name, value) in lines {
            fields.append(name, value);
        }
        assert_eq!(fresh(&fields), expected.map(Duration::from_secs), "{lines:?}");
    }
}

#[test]
fn keys_are_fetched_again_before_they_are_due_within_bounds() {
    let most = Duration::from_secs(3_600);
    for (says, expected) in [
        (None, 3_240),
        (Some(300), 270),
        (Some(0), 54),
        (Some(59), 54),
        (Some(86_400), 3_240),
        (Some(u64::MAX), 3_240),
    ] {
        let pause = until_refresh(says.map(Duration::from_secs), most);
        assert_eq!(pause, Duration::from_secs(expected), "{says:?}");
    }
}

#[test]
fn failures_are_tried_again_ever_later_and_at_last_every_half_minute() {
    let seconds = [1, 2, 3, 4, 5, 6, 7, u32::MAX].map(|failures| until_retry(failures).as_secs());
    assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
}

#[test]
fn servers_are_named_as_addresses_name_them() {
    for (text, expected) in [
        ("Keys.example", Some("keys.example")),
        ("keys.example:443", Some("keys.example")),
        ("keys.example:8443", Some("keys.example:8443")),
        ("[::1]:8443", Some("[::1]:8443")),
        ("keys.example/path", None),
        ("https://keys.example", None),
        ("u@keys.example", None),
        ("*.example", None),
        ("", None),
    ] {
        assert_eq!(authority(text).as_deref(), expected, "{text}");
    }
}

#[test]
fn who_comes_with_a_certificate_goes_where_the_metadata_has_a_place_for_that() {
    use crate::outgoing::{Trust, endpoint};

    let hosts = ["id.example", "mtls.example"].map(Arc::from);
    let issuers = ["https://id.example".to_owned()];
    let locate = |has_certificate, aliases: serde_json::Value| {
        let mut metadata = json!({
            "issuer": "https://id.example", "introspection_endpoint": "https://id.example/ask",
        });
        if !aliases.is_null() {
            metadata["mtls_endpoint_aliases"] = aliases;
        }
        Bench::new().within::<JwtAuth, _>(|cx| {
            let trust = Trust { ca_certs: None, verifies: true };
            let (own, _) = endpoint("x", "https://id.example/metadata", &trust, cx).unwrap();
            let member = "introspection_endpoint";
            let wanted = Wanted { issuers: &issuers, member, hosts: &hosts, has_certificate };
            let found = wanted.locate(metadata.to_string().as_bytes(), &own);
            found.map(|(endpoint, target)| format!("{}{target}", endpoint.authority()))
        })
    };
    let alias = || json!({ "introspection_endpoint": "https://mtls.example/ask" });
    let (usual, special) = ("id.example/ask".to_owned(), "mtls.example/ask".to_owned());
    assert_eq!(locate(true, alias()), Ok(special));
    assert_eq!(locate(false, alias()), Ok(usual.clone()));
    for missing in [json!(null), json!({}), json!({ "token_endpoint": "https://mtls.example/t" })] {
        assert_eq!(locate(true, missing.clone()), Ok(usual.clone()), "{missing}");
    }
    // What is there and of no use does not lead to where no certificate is asked for.
    let broken = json!({ "introspection_endpoint": null });
    assert_eq!(locate(true, broken), Err(MetadataFault::Member("introspection_endpoint")));
    let foreign = json!({ "introspection_endpoint": "https://elsewhere.example/ask" });
    let fault = MetadataFault::Foreign("introspection_endpoint", Arc::from("elsewhere.example"));
    assert_eq!(locate(true, foreign.clone()), Err(fault));
    assert_eq!(locate(false, foreign), Ok(usual));
}

#[test]
fn the_authorities_of_a_provider_can_be_named() {
    let of = |bench: &Bench, pem: &str| {
        let provider =
            json!({ "issuer": "https://id.example", "audiences": ["a"], "ca_certs": pem });
        bench.compile::<JwtAuth>(&json!({ "providers": [provider] })).map(drop)
    };
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    assert!(of(&Bench::new(), &certificate()).is_ok());
    let fault = of(&Bench::new(), broken).unwrap_err();
    assert!(fault.path.contains(&bartizan_config::PathStep::Key("ca_certs".to_owned())), "{fault}");
}

#[test]
fn who_says_the_same_of_a_provider_shares_it() {
    let bench = Bench::new();
    let of = |settings: &ProviderSettings| {
        bench.within::<JwtAuth, _>(|cx| Provider::of(settings, cx).unwrap())
    };
    let first = of(&settings());
    assert!(Arc::ptr_eq(&first, &of(&settings())));
    let changes: [fn(&mut ProviderSettings); 4] = [
        |settings| settings.issuer.push('/'),
        |settings| settings.address.push('/'),
        |settings| settings.stale *= 2,
        |settings| settings.hosts.push("a.example".to_owned()),
    ];
    for change in changes {
        let mut other = settings();
        change(&mut other);
        assert!(!Arc::ptr_eq(&first, &of(&other)), "{other:?}");
    }
}

/// Puts keys into force as a fetch does.
fn fetched(provider: &Provider) {
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": X}]});
    let keys = KeySet::parse(set.to_string().as_bytes(), AlgorithmSet::asymmetric()).unwrap();
    provider.shared.known.send_modify(|known| {
        known.keys = Some(Arc::new(keys));
        known.fetched = Some(Instant::now());
        known.ended = 7;
    });
}

/// Something else that is said of a provider.
type Change = fn(&mut ProviderSettings);

#[test]
fn keys_outlive_a_change_of_all_but_where_they_come_from_and_who_vouches_for_that() {
    let changes: [(bool, Change); 12] = [
        (true, |settings| settings.timeout *= 2),
        (true, |settings| settings.refresh *= 2),
        (true, |settings| settings.stale *= 2),
        (true, |settings| settings.stale = Duration::from_secs(100)),
        (true, |settings| settings.key = "discovery_uri"),
        (false, |settings| settings.stale = Duration::from_secs(99)),
        (false, |settings| settings.issuer.push('/')),
        (false, |settings| settings.aliases.push("https://id.example/".to_owned())),
        (false, |settings| settings.source = Source::KeySet),
        (false, |settings| settings.address.push('/')),
        (false, |settings| settings.hosts.push("a.example".to_owned())),
        (false, |settings| {
            settings.ca_certs = serde_json::from_value(json!(certificate())).unwrap();
        }),
    ];
    for (is_kept, change) in changes {
        bartizan_testkit::run(async {
            let bench = Bench::new();
            let of = |settings: &ProviderSettings| {
                bench.within::<JwtAuth, _>(|cx| Provider::of(settings, cx).unwrap())
            };
            let old = of(&settings());
            fetched(&old);
            tokio::time::advance(Duration::from_secs(100)).await;
            let mut other = settings();
            change(&mut other);
            let new = of(&other);
            let known = new.shared.known.borrow().clone();
            assert_eq!(known.keys.is_some(), is_kept, "{other:?}");
            assert_eq!(new.shared.age(), is_kept.then_some(100), "{other:?}");
            // It has still to be asked itself.
            assert_eq!((known.ended, known.began), (0, None));
        });
    }
}

#[test]
fn news_are_a_fetch_that_has_ended_or_was_waited_for() {
    bartizan_testkit::run(async {
        let bench = Bench::new();
        let (provider, waiters) = bench
            .within::<JwtAuth, _>(|cx| (Provider::of(&settings(), cx).unwrap(), Waiters::of(cx)));
        fetched(&provider);
        provider.shared.known.send_modify(|known| known.began = Some(Instant::now()));
        let begin = Instant::now();
        // Too early to ask again: a name that a client has invented costs one proof.
        assert_eq!(provider.news(Lack::Kid, 7, &waiters).await, Ok(false));
        assert_eq!(provider.news(Lack::Stale, 7, &waiters).await, Ok(false));
        // It ended between the proof and the question.
        assert_eq!(provider.news(Lack::Kid, 6, &waiters).await, Ok(true));
        assert_eq!(begin.elapsed(), Duration::ZERO);
        tokio::time::advance(REFETCH_EVERY).await;
        assert_eq!(provider.news(Lack::Kid, 7, &waiters).await, Ok(true));
        assert_eq!(begin.elapsed(), REFETCH_EVERY + WAIT_MOST);
    });
}

#[test]
fn nobody_waits_longer_than_stated_for_a_provider_that_never_answers() {
    bartizan_testkit::run(async {
        let bench = Bench::new();
        let (provider, waiters) = bench
            .within::<JwtAuth, _>(|cx| (Provider::of(&settings(), cx).unwrap(), Waiters::of(cx)));
        let begin = Instant::now();
        provider.news(Lack::Unknown, 0, &waiters).await.unwrap();
        assert_eq!(begin.elapsed(), WAIT_MOST);
        provider.news(Lack::Stale, 0, &waiters).await.unwrap();
        assert_eq!(begin.elapsed(), WAIT_MOST, "nothing comes of waiting for that");
    });
}

proptest::proptest! {
    /// Whatever a provider says, the next fetch is within the stated bounds.
    #[test]
    fn no_provider_moves_the_next_fetch_out_of_bounds(
        line in "(max-age=[0-9]{0,20}|no-store|public|, ){0,4}",
        most in 60_u64..=86_400,
    ) {
        let mut fields = Fields::new();
        fields.append("cache-control", line.into_bytes());
        let pause = until_refresh(fresh(&fields), Duration::from_secs(most));
        proptest::prop_assert!((54..=most).contains(&pause.as_secs()), "{pause:?}");
    }
}

/// The plugin's own word for a token without a key is a 401 only where the provider was asked.
#[test]
fn only_a_token_whose_provider_was_asked_is_at_fault() {
    let of_the_token: Vec<bool> = [Lack::Unknown, Lack::Stale, Lack::Kid, Lack::KidUnasked]
        .into_iter()
        .map(Lack::is_of_the_token)
        .collect();
    assert_eq!(of_the_token, [false, false, true, false]);
}
