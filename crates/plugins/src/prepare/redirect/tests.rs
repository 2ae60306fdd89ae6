use bartizan_chain::{Arrival, Peer, TlsFacts};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::fixture::{Bench, arrival};

/// Where a request is sent, with which status; nothing where it goes on.
fn answer(config: &Value, cx: &mut RequestCx) -> Result<Option<(u16, String)>, Denial> {
    let plugin: Redirect = Bench::new().compile(config).unwrap();
    let mut call = ();
    let run = pin!(plugin.on_request(Stage::Prepare, cx, &mut call));
    let Poll::Ready(flow) = run.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing here waits");
    };
    Ok(match flow? {
        Flow::Continue => None,
        Flow::Answer(answer) => {
            let location = answer.fields.get_str("location").unwrap().to_owned();
            Some((answer.status.as_u16(), location))
        }
    })
}

fn sent(config: &Value, target: &str) -> Option<String> {
    let mut cx = RequestCx::new(arrival(target, &[]), None);
    answer(config, &mut cx).unwrap().map(|(_, location)| location)
}

fn to_https() -> Value {
    json!({"http_to_https": true})
}

fn with_tls(mut arrival: Arrival) -> Arrival {
    let tls = TlsFacts {
        sni: None,
        version: "TLSv1.3",
        cipher: None,
        is_resumed: false,
        client_certificate: None,
    };
    let (address, local) = (arrival.peer.address, arrival.peer.local);
    arrival.peer = Arc::new(Peer::new(address, local, Some(tls)));
    arrival
}

#[test]
fn plaintext_is_sent_to_https_and_tls_goes_on() {
    let plain = || Arrival { https_port: Some(443), ..arrival("/a?b=1", &[]) };
    let location = "https://example.com/a?b=1".to_owned();
    let outcome = answer(&to_https(), &mut RequestCx::new(plain(), None)).unwrap();
    assert_eq!(outcome, Some((301, location)));
    let outcome = answer(&to_https(), &mut RequestCx::new(with_tls(plain()), None)).unwrap();
    assert_eq!(outcome, None);
}

#[test]
fn the_port_is_that_of_the_listener_unless_it_is_usual() {
    for (port, location) in
        [(None, "https://example.com/"), (Some(8443), "https://example.com:8443/")]
    {
        let arrival = Arrival { https_port: port, ..arrival("/", &[]) };
        let outcome = answer(&to_https(), &mut RequestCx::new(arrival, None)).unwrap();
        assert_eq!(outcome, Some((301, location.to_owned())));
    }
}

#[test]
fn only_a_trusted_proxy_says_how_the_client_came() {
    let come = |lines: &[(&'static str, &'static str)], trusts, is_tls| {
        let arrival = Arrival { trusts_forwarded: trusts, ..arrival("/", lines) };
        let arrival = if is_tls { with_tls(arrival) } else { arrival };
        answer(&to_https(), &mut RequestCx::new(arrival, None)).unwrap().is_none()
    };
    let (https, http) = (("x-forwarded-proto", "HTTPS"), ("x-forwarded-proto", "http"));
    assert!(!come(&[https], false, false));
    assert!(come(&[https], true, false));
    assert!(come(&[http], false, true));
    assert!(!come(&[http], true, true));
    for lines in [&[][..], &[https, https], &[("x-forwarded-proto", "https, http")]] {
        assert!(!come(lines, true, false), "{lines:?}");
        assert!(come(lines, true, true), "{lines:?}");
    }
}

#[test]
fn targets_are_made_of_what_is_written_and_what_came() {
    for (uri, target, expected) in [
        ("/new", "/old?a=1", "/new"),
        ("$uri/", "/a%20b", "/a%20b/"),
        ("https://$host$request_uri", "/a?b", "https://example.com/a?b"),
        ("https://$http_host:8443$uri", "/a", "https://example.com:8443/a"),
        ("$scheme://Other.test:8080", "/a", "http://other.test:8080"),
        ("https://$host:$server_port/x", "/", "https://example.com:80/x"),
        ("https://other.test:$server_port/x", "/", "https://other.test:80/x"),
        ("/login?next=$request_uri", "/a?b=1&c", "/login?next=/a?b=1&c"),
        ("/find/$arg_q", "/?q=../%2Fevil%3Fx", "/find/..%2F%2Fevil%3Fx"),
        ("https://$arg_t.example.com/", "/?t=acme", "https://acme.example.com/"),
        ("https://example.com$arg_q", "/?q=.evil.test", "https://example.com/.evil.test"),
        (r"/\$1/#/x", "/", "/$1/#/x"),
    ] {
        assert_eq!(sent(&json!({"uri": uri}), target).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn a_pattern_replaces_what_it_matches() {
    for (pattern, text, target, expected) in [
        ("^/v1/(.*)", "/v2/$1", "/v1/a?b", Some("/v2/a")),
        ("^/v1/(.*)", "/v2/$1", "/a/v1/b", None),
        ("/old/", "/new/", "/a/old/b", Some("/a/new/b")),
        ("^/old", "https://example.com", "/old/x", Some("https://example.com/x")),
        ("^/old", "https://example.com", "/old.evil.test", Some("https://example.com/.evil.test")),
        (
            "^/old(.*)",
            "https://example.com$1",
            "/old@evil.test",
            Some("https://example.com/@evil.test"),
        ),
        ("/old/(.*)", "https://example.com/$1", "/a/old/b", None),
        (
            "^/t/([^/]*)/(.*)",
            "https://$1.example.com/$2",
            "/t/a/b",
            Some("https://a.example.com/b"),
        ),
    ] {
        let config = json!({"regex_uri": [pattern, text]});
        assert_eq!(sent(&config, target).as_deref(), expected, "{pattern} on {target}");
    }
}

#[test]
fn a_host_that_is_none_is_refused() {
    let config = json!({"regex_uri": ["^/t/(.*)", "https://$1.example.com/"]});
    for target in ["/t/evil.test/", "/t/", "/t/a@b", "/t/a%20b", "/t/evil.test:80"] {
        let mut cx = RequestCx::new(arrival(target, &[]), None);
        let denial = answer(&config, &mut cx).unwrap_err();
        assert_eq!(denial.reason, bartizan_core::Reason::RewriteRefused, "{target}");
    }
}

#[test]
fn two_slashes_never_name_a_site() {
    let mut cx = {
        let mut start = arrival("/", &[]);
        let policy = bartizan_wire::PathPolicy::AS_WRITTEN;
        start.canonical = start.canonical.rewritten("//evil.test/a", policy).unwrap();
        RequestCx::new(start, None)
    };
    for config in [json!({"uri": "$uri/"}), json!({"regex_uri": ["^/(.*)", "/$1/"]})] {
        let (_, location) = answer(&config, &mut cx).unwrap().unwrap();
        assert_eq!(location, "/evil.test/a/");
    }
}

#[test]
fn queries_are_appended_before_the_fragment() {
    for (uri, target, expected) in [
        ("/new", "/?a=1", "/new?a=1"),
        ("/new?x", "/?a=1", "/new?x&a=1"),
        ("/new?x#top", "/?a=1", "/new?x&a=1#top"),
        ("/new#a?b", "/?a=1", "/new?a=1#a?b"),
        ("/new", "/", "/new"),
        ("/new", "/?", "/new"),
    ] {
        let config = json!({"uri": uri, "append_query_string": true});
        assert_eq!(sent(&config, target).as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn plain_text_is_encoded_where_that_is_asked_for() {
    let config = |uri: &str| json!({"uri": uri, "encode_uri": true});
    for (uri, expected) in [
        ("/é a%20", "/%C3%A9%20a%2520"),
        ("$uri/ö?q=%20", "/p%20q/%C3%B6?q=%20"),
        (r"/\$1 x", "/$1%20x"),
    ] {
        assert_eq!(sent(&config(uri), "/p%20q").as_deref(), Some(expected), "{uri}");
    }
}

#[test]
fn only_a_redirect_of_everything_needs_no_authentication() {
    for (config, only_answers, stage) in [
        (to_https(), false, Stage::Prepare),
        (json!({"uri": "/new"}), true, Stage::Inspect),
        (json!({"regex_uri": ["^/a", "/b"]}), false, Stage::Inspect),
    ] {
        let traits = Bench::new().compile::<Redirect>(&config).unwrap().traits();
        assert_eq!(traits.only_answers, only_answers, "{config}");
        assert_eq!(traits.stages, StageSet::of(&[stage]), "{config}");
    }
}

/// What a browser takes for the site of a `Location`, if it leads to another.
fn site(location: &str) -> Option<&str> {
    let rest = location
        .split_once("://")
        .map_or_else(|| location.strip_prefix("//"), |(_, rest)| Some(rest))?;
    rest.split(['/', '?', '#', '\\']).next()
}

proptest! {
    #[test]
    fn the_client_never_chooses_the_site(
        path in "/[a-zA-Z0-9@:.%/-]{0,24}",
        value in "[ -~]{0,16}",
    ) {
        let encoded = crate::fixture::percent_encoded(&value);
        let target = format!("{}?x={encoded}", path.replace('%', "%25z"));
        let configs = [
            json!({"uri": "$uri$arg_x", "append_query_string": true}),
            json!({"uri": "/$arg_x"}),
            json!({"uri": "https://example.com$arg_x"}),
            json!({"uri": "https://example.com$request_uri"}),
            json!({"regex_uri": ["^/(.*)", "https://example.com$1"]}),
            json!({"regex_uri": ["^/a?", "https://example.com"]}),
            json!({"regex_uri": ["^/(.*)", "https://$1.example.com/"]}),
            json!({"regex_uri": ["[a-z]*", "/$0"]}),
        ];
        let head = |target: &str| {
            let mut fields_of = bartizan_wire::Fields::new();
            fields_of.append("host", "example.com");
            bartizan_wire::RequestHead {
                method: Method::GET,
                target: Bytes::copy_from_slice(target.as_bytes()),
                authority: None,
                scheme: None,
                version: bartizan_wire::Version::Http11,
                fields: fields_of,
                body: bartizan_wire::BodyLength::None,
                connection: bartizan_wire::ConnectionUse::KeepAlive,
                expects_continue: false,
                handshake: bartizan_wire::Handshake::Absent,
            }
        };
        let policy = bartizan_wire::PathPolicy::AS_WRITTEN;
        let canonical = bartizan_wire::Canonical::from_request(&head(&target), false, policy);
        prop_assume!(canonical.is_ok());
        for config in configs {
            let start = Arrival { canonical: canonical.clone().unwrap(), ..arrival("/", &[]) };
            let Ok(sent) = answer(&config, &mut RequestCx::new(start, None)) else { continue };
            let Some((_, location)) = sent else { continue };
            prop_assert!(bartizan_wire::is_field_value(location.as_bytes()));
            if let Some(site) = site(&location).filter(|_| !location.starts_with('/') || location.starts_with("//")) {
                let is_ours = site == "example.com" || site.ends_with(".example.com");
                prop_assert!(is_ours, "{} leads to {}", config, location);
            }
        }
    }

    #[test]
    fn a_pattern_redirects_what_it_is_found_in_and_nothing_else(
        from in "(\\^)?/?[ab]{1,2}",
        to in "(/[cd]{1,2}|https://c\\.test/)",
        path in "(/[ab]{1,3}){1,3}",
    ) {
        let plain = from.trim_start_matches('^');
        // An address of a site stands only where the path begins.
        let begins = from.starts_with('^') || to.starts_with("https");
        let at = path.find(plain).filter(|at| !begins || *at == 0);
        let naive = at.map(|_| {
            let made = path.replacen(plain, &to, 1);
            // Two slashes at the beginning would name a site.
            if made.starts_with("//") { made[1..].to_owned() } else { made }
        });
        let config = json!({ "regex_uri": [from, to] });
        prop_assert_eq!(sent(&config, &path), naive);
    }
}
