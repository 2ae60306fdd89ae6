use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bartizan_chain::{Arrival, Peer, TlsFacts};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

use super::*;
use crate::fixture::{Bench, arrival};

const KEY: &str = "a key of at least thirty-two bytes!";
const BROWSER: &str = "__Host-apisix-csrf-token-browser";

fn config() -> Value {
    json!({"key": KEY})
}

fn plugin(config: &Value) -> Csrf {
    Bench::new().compile(config).unwrap()
}

fn post(lines: &[(&'static str, &'static str)]) -> RequestCx {
    let start = arrival("/", lines);
    let canonical = start.canonical.with_method("POST").unwrap();
    RequestCx::new(Arrival { canonical, ..start }, None)
}

/// What becomes of a request, and the cookies that its answer sets.
fn run(plugin: &Csrf, cx: &mut RequestCx) -> (Result<(), Reason>, Vec<String>) {
    let mut cookies = Cookies::new();
    let verdict = {
        let run = pin!(plugin.on_request(Stage::Authorize, cx, &mut cookies));
        match run.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(flow) => flow.map(drop).map_err(|denial| denial.reason),
            Poll::Pending => panic!("nothing here waits"),
        }
    };
    let text = |cookie: &Bytes| String::from_utf8(cookie.to_vec()).unwrap();
    (verdict, cookies.iter().map(text).collect())
}

/// Name and value of a cookie that is set.
fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap()
}

/// A request with what an answer set, and with the token in the header.
fn answered(method: &str, cookies: &[String]) -> RequestCx {
    let pairs: Vec<&str> = cookies.iter().map(|cookie| pair(cookie)).collect();
    let token = pairs[0].split_once('=').unwrap().1.to_owned();
    let start = arrival("/", &[]);
    let canonical = start.canonical.with_method(method).unwrap();
    let mut cx = RequestCx::new(Arrival { canonical, ..start }, None);
    cx.fields.append("cookie", pairs.join("; "));
    cx.fields.append("apisix-csrf-token", token);
    cx
}

#[test]
fn a_browser_gets_a_name_and_a_token_and_can_post_with_both() {
    let plugin = plugin(&config());
    let mut get = RequestCx::new(arrival("/", &[]), None);
    let (verdict, cookies) = run(&plugin, &mut get);
    assert_eq!(verdict, Ok(()));
    assert_eq!(cookies.len(), 2);
    assert!(cookies[0].starts_with("apisix-csrf-token="), "{cookies:?}");
    assert!(cookies[0].ends_with("; Path=/; Max-Age=7200; Secure; SameSite=Lax"), "{cookies:?}");
    assert!(cookies[1].starts_with(&format!("{BROWSER}=")), "{cookies:?}");
    assert!(cookies[1].contains("; HttpOnly"), "{cookies:?}");
    let (verdict, again) = run(&plugin, &mut answered("POST", &cookies));
    assert_eq!((verdict, again.len()), (Ok(()), 0));
    let (_, none) = run(&plugin, &mut answered("GET", &cookies));
    assert!(none.is_empty(), "a good token is not given out again: {none:?}");
}

#[test]
fn the_token_of_another_browser_is_refused_and_replaced() {
    let plugin = plugin(&config());
    let visit = || run(&plugin, &mut RequestCx::new(arrival("/", &[]), None)).1;
    let (mine, theirs) = (visit(), visit());
    let mixed = [theirs[0].clone(), mine[1].clone()];
    let (verdict, cookies) = run(&plugin, &mut answered("POST", &mixed));
    assert_eq!(verdict, Err(Reason::CsrfToken));
    assert_eq!(pair(&cookies[1]), pair(&mine[1]));
    assert_eq!(run(&plugin, &mut answered("POST", &cookies)).0, Ok(()));
    // Without the name that only the gateway sets, a planted token is worth nothing.
    assert_eq!(run(&plugin, &mut answered("POST", &theirs[..1])).0, Err(Reason::CsrfToken));
}

#[test]
fn tokens_are_renewed_when_half_of_their_time_is_over() {
    let plugin = plugin(&json!({"key": KEY, "expires": 100}));
    let (_, cookies) = run(&plugin, &mut RequestCx::new(arrival("/", &[]), None));
    for (passed, is_good, is_renewed) in [
        (0, true, false),
        (49, true, false),
        (50, true, true),
        (99, true, true),
        (100, false, true),
    ] {
        let mut cx = answered("POST", &cookies);
        let now = bartizan_core::Timestamp::from_secs(1_000_000 + passed);
        cx.clock = bartizan_core::Clock::Manual(bartizan_core::ManualClock::at(now));
        let (verdict, renewed) = run(&plugin, &mut cx);
        assert_eq!(verdict.is_ok(), is_good, "after {passed} s");
        assert_eq!(!renewed.is_empty(), is_renewed, "after {passed} s");
    }
}

#[test]
fn the_browsers_word_comes_first() {
    let plugin = plugin(&json!({"key": KEY, "trusted_origins": ["https://www.example.com"]}));
    let own = ("origin", "http://example.com");
    let judge = |lines: &[(&'static str, &'static str)]| plugin.judge_site(&post(lines));
    let site = |value| ("sec-fetch-site", value);
    for lines in [
        &[][..],
        &[own],
        &[own, site("same-origin")],
        &[site("none")],
        &[("origin", "https://EXAMPLE.com:443")],
        &[("origin", "https://www.example.com"), site("same-site")],
    ] {
        assert_eq!(judge(lines), Ok(()), "{lines:?}");
    }
    for lines in [
        &[site("cross-site")][..],
        &[site("same-site")],
        &[site("")],
        &[own, site("cross-site")],
        &[("origin", "null")],
        &[("origin", "https://example.com.evil.test")],
        &[("origin", "https://evil.test"), site("same-origin")],
        &[("origin", "http://example.com:8080")],
        &[("origin", "http://www.example.com")],
        &[own, own],
        &[site("none"), site("cross-site")],
    ] {
        assert!(judge(lines).is_err(), "{lines:?}");
    }
}

#[test]
fn a_websocket_is_opened_by_pages_of_the_site_alone() {
    let plugin = plugin(&config());
    for (origin, expected) in
        [("http://example.com", Ok(())), ("https://evil.test", Err(Reason::CrossSite))]
    {
        let lines = [("origin", origin), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];
        let mut cx = RequestCx::new(arrival("/", &lines), None);
        assert_eq!(run(&plugin, &mut cx).0, expected, "{origin}");
    }
}

#[test]
fn a_page_without_encryption_is_not_ours_where_we_have_it() {
    let plugin = plugin(&config());
    for (origin, expected) in [("https://example.com", true), ("http://example.com", false)] {
        let start = arrival("/", &[("origin", origin)]);
        let tls = TlsFacts {
            sni: None,
            version: "TLSv1.3",
            cipher: None,
            is_resumed: false,
            client_certificate: None,
        };
        let peer = Arc::new(Peer::new(start.peer.address, start.peer.local, Some(tls)));
        let cx = RequestCx::new(Arrival { peer, ..start }, None);
        assert_eq!(plugin.judge_site(&cx).is_ok(), expected, "{origin}");
    }
}

#[test]
fn short_keys_have_to_be_declared() {
    let bench = Bench::new();
    let fault = bench.fault::<Csrf>(&json!({"key": "short"}));
    assert!(fault.problem.contains("5 bytes"), "{fault}");
    assert!(bench.compile::<Csrf>(&json!({"key": "short", "danger_short_key": true})).is_ok());
    bench.fault::<Csrf>(&json!({"key": "", "danger_short_key": true}));
}

proptest! {
    #[test]
    fn only_the_origin_that_was_asked_passes(
        scheme in "https?",
        host in "(www\\.)?example(\\.com)?(\\.test)?",
        port in "(:(80|443|8080))?",
    ) {
        let origin = format!("{scheme}://{host}{port}");
        let usual = if scheme == "https" { ":443" } else { ":80" };
        let naive = host == "example.com" && (port.is_empty() || port == usual);
        let mut cx = post(&[]);
        cx.fields.append("origin", origin);
        prop_assert_eq!(plugin(&config()).judge_site(&cx).is_ok(), naive);
    }

    #[test]
    fn nothing_that_was_not_given_out_is_a_token(text in "[A-Za-z0-9_-]{0,80}") {
        let plugin = plugin(&config());
        let mut cx = post(&[]);
        cx.fields.append("cookie", format!("apisix-csrf-token={text}"));
        cx.fields.append("apisix-csrf-token", text);
        prop_assert_eq!(run(&plugin, &mut cx).0, Err(Reason::CsrfToken));
    }

    #[test]
    fn where_a_request_comes_from_agrees_with_a_naive_reading(
        site in prop::sample::select(vec![
            None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"),
            Some("Same-Origin"), Some(""),
        ]),
        origin in prop::sample::select(vec![
            None, Some("http://example.com"), Some("https://example.com"),
            Some("http://EXAMPLE.com:80"), Some("http://example.com:8080"),
            Some("https://shop.test"), Some("https://shop.test:443"), Some("http://shop.test"),
            Some("https://shop.test.evil"), Some("null"), Some("https://evil.test"), Some(""),
        ]),
        is_twice: bool,
    ) {
        let plugin = plugin(&json!({"key": KEY, "trusted_origins": ["https://shop.test"]}));
        let mut cx = post(&[]);
        for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
            if let Some(value) = value {
                cx.fields.append(name, value);
            }
        }
        let is_repeated = is_twice && origin.is_some();
        if is_repeated {
            cx.fields.append("origin", "http://example.com");
        }
        let is_trusted = matches!(origin, Some("https://shop.test" | "https://shop.test:443"));
        let ours = ["http://example.com", "https://example.com", "http://EXAMPLE.com:80"];
        let is_own = origin.is_none_or(|origin| ours.contains(&origin));
        let is_near = matches!(site, None | Some("same-origin" | "none"));
        let naive = !is_repeated && (is_trusted || (is_near && is_own));
        prop_assert_eq!(plugin.judge_site(&cx).is_ok(), naive, "{:?} {:?}", site, origin);
    }
}
