//! What a proof was made for.

use super::*;

#[test]
fn targets_are_compared_in_one_form() {
    let rules = binding(&json!({}));
    let request = RequestCx::new(arrival("/a%7Eb/./c?x=1", &[]), None);
    for htu in [
        "http://example.com/a~b/c",
        "HTTP://EXAMPLE.com:80/a%7eb/c",
        "http://example.com/a~b/d/../c?x=2#y",
        "http://example.com./a~b/c",
    ] {
        assert!(rules.dpop.is_target(&request, htu), "{htu}");
    }
    for htu in [
        "http://example.com/a~b//c",
        "http://example.com/A~b/c",
        "http://me@example.com/a~b/c",
        "http://example.com/a~b/c/",
        "http://example.com/a~b%2Fc",
        "ftp://example.com/a~b/c",
        "http:/example.com/a~b/c",
        "//example.com/a~b/c",
        "http://example.com:81/a~b/c",
        "",
    ] {
        assert!(!rules.dpop.is_target(&request, htu), "{htu}");
    }
}

#[test]
fn a_target_has_so_many_letters_and_no_more() {
    let rules = binding(&json!({}));
    let request = RequestCx::new(arrival("/a", &[]), None);
    let base = "http://example.com/a?";
    for (length, is_target) in
        [(dpop::TARGET_MAX - 1, true), (dpop::TARGET_MAX, true), (dpop::TARGET_MAX + 1, false)]
    {
        let htu = format!("{base}{}", "x".repeat(length - base.len()));
        assert_eq!(rules.dpop.is_target(&request, &htu), is_target, "{length}");
    }
}

#[test]
fn the_origin_that_clients_know_is_what_configuration_says() {
    let rules = binding(&json!({ "dpop": { "origin": "https://api.example.org" } }));
    let request = cx(&[]);
    assert!(rules.dpop.is_target(&request, "https://api.example.org/orders"));
    assert!(rules.dpop.is_target(&request, "https://api.example.org:443/orders"));
    assert!(!rules.dpop.is_target(&request, "http://example.com/orders"));
    for origin in ["api.example.org", "https://api.example.org/x", "https://a@b", "ftp://a"] {
        let config: DpopConfig = serde_json::from_value(json!({ "origin": origin })).unwrap();
        let bench = Bench::new();
        let made =
            bench.within::<JwtAuth, _>(|cx| Binding::compile(None, ("dpop", Some(&config)), cx));
        assert!(made.is_err(), "{origin}");
    }
}

#[test]
fn only_a_trusted_proxy_says_that_the_client_spoke_tls() {
    let rules = binding(&json!({}));
    let https = "https://example.com/orders";
    let mut start = arrival("/orders", &[("x-forwarded-proto", "https")]);
    assert!(!rules.dpop.is_target(&RequestCx::new(start, None), https));
    start = arrival("/orders", &[("x-forwarded-proto", "https")]);
    start.trusts_forwarded = true;
    assert!(rules.dpop.is_target(&RequestCx::new(start, None), https));
}

proptest::proptest! {
    /// Where nothing is escaped and there are no dots, two targets are one if their letters are.
    #[test]
    fn a_target_agrees_with_a_naive_comparison(
        own in "(/[ab]{0,2}){1,3}", named in "(/[ab]{0,2}){1,3}", query in "(\\?[a-c=]{0,3})?",
    ) {
        let rules = binding(&json!({}));
        let request = RequestCx::new(arrival(&own, &[]), None);
        let is_target = rules.dpop.is_target(&request, &format!("http://example.com{named}{query}"));
        proptest::prop_assert_eq!(is_target, own == named);
    }
}
