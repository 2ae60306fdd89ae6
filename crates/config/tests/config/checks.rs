//! Health checks of upstreams, and what nodes carry along.

use std::time::Duration;

use bartizan_config::{Balancing, CheckKind, HealthChecks};

use crate::bad_resources::check;
use crate::catalogue::{resources, resources_with};

/// The checks of an upstream.
fn checks(written: &str) -> HealthChecks {
    checks_with("", written)
}

fn checks_with(node: &str, written: &str) -> HealthChecks {
    let text = format!("upstreams: [{{nodes: {{'a:80': 1}}, checks: {written}}}]\n");
    let mut read =
        resources_with(node, "r.yaml", &text).unwrap_or_else(|lines| panic!("{lines:?}"));
    (*read.upstreams.remove(0).checks.unwrap()).clone()
}

#[test]
fn what_is_not_said_is_as_in_apisix() {
    let read = checks("{active: {}, passive: {}}");
    let active = &read.active;
    assert_eq!((active.kind, active.concurrency), (CheckKind::Http, 10));
    assert_eq!((active.method, &*active.path, active.body.expose()), ("GET", "/", &b""[..]));
    let second = Duration::from_secs(1);
    assert_eq!([active.timeout, active.healthy_every, active.unhealthy_every], [second; 3]);
    assert!(active.host.is_none() && active.port.is_none() && active.fields.is_empty());
    assert!(!active.danger_verify_off && !read.danger_use_unhealthy);
    let rule = &active.rule;
    assert_eq!(*rule.good, [200, 302]);
    assert_eq!(*rule.bad, [404, 429, 500, 501, 502, 503, 504, 505]);
    assert_eq!((rule.successes, rule.http_failures), (2, 5));
    assert_eq!((rule.tcp_failures, rule.timeouts), (2, 3));
    let passive = read.passive.unwrap();
    let good: Vec<u16> = (200..=208).chain([226]).chain(300..=308).collect();
    assert_eq!((&*passive.rule.good, &*passive.rule.bad), (&*good, &[429, 500, 503][..]));
    assert_eq!((passive.rule.successes, passive.rule.http_failures), (5, 5));
    assert_eq!((passive.rule.tcp_failures, passive.rule.timeouts), (2, 7));
    assert_eq!(passive.kind, CheckKind::Http);
    assert!(checks("{active: {}}").passive.is_none());
}

#[test]
fn everything_that_is_said_is_taken() {
    let read = checks(
        "{active: {type: https, timeout: 0.25, concurrency: 3, host: 'h.example', port: 81, \
         http_path: '/up?x=1', http_method: POST, http_req_body: '{}', req_headers: ['X-A: b c'], \
         healthy: {interval: 2, http_statuses: [204, 200], successes: 254}, \
         unhealthy: {interval: 3, http_statuses: [599], http_failures: 4, tcp_failures: 5, timeouts: 6}}, \
         passive: {type: tcp, healthy: {http_statuses: [418], successes: 0}, \
         unhealthy: {http_statuses: [419], http_failures: 0, tcp_failures: 0, timeouts: 254}}}",
    );
    let active = &read.active;
    assert_eq!((active.kind, active.timeout), (CheckKind::Https, Duration::from_millis(250)));
    assert_eq!((active.concurrency, active.port), (3, Some(81)));
    assert_eq!((active.host.as_deref(), active.method), (Some("h.example"), "POST"));
    assert_eq!((&*active.path, active.body.expose()), ("/up?x=1", &b"{}"[..]));
    assert_eq!(active.fields, [("x-a".into(), "b c".into())]);
    assert_eq!(active.healthy_every, Duration::from_secs(2));
    assert_eq!(active.unhealthy_every, Duration::from_secs(3));
    let rule = &active.rule;
    assert_eq!((&*rule.good, &*rule.bad), (&[200, 204][..], &[599][..]));
    assert_eq!((rule.successes, rule.http_failures), (254, 4));
    assert_eq!((rule.tcp_failures, rule.timeouts), (5, 6));
    let passive = read.passive.unwrap();
    assert_eq!(passive.kind, CheckKind::Tcp);
    assert_eq!((&*passive.rule.good, &*passive.rule.bad), (&[418][..], &[419][..]));
    assert_eq!((passive.rule.successes, passive.rule.http_failures), (0, 0));
    assert_eq!((passive.rule.tcp_failures, passive.rule.timeouts), (0, 254));
}

#[test]
fn what_is_sent_with_probes_may_be_a_reference_and_is_not_shown() {
    let read =
        checks("{active: {http_req_body: $env://ALICE, req_headers: ['A: secret', $env://LINE]}}");
    let active = &read.active;
    assert_eq!(active.body.expose(), b"alice-key");
    assert_eq!(
        active.fields,
        [("a".into(), "secret".into()), ("x-door".into(), "open: me".into())]
    );
    let shown = format!("{active:?}");
    assert!(!["secret", "alice-key", "open"].iter().any(|text| shown.contains(text)), "{shown}");
    check(&[(
        "upstreams: [{nodes: {}, checks: {active: {req_headers: ['Bearer abc', 'Bearer abc: d', \"Abc: d\\x01\"]}}}]\n",
        &[
            "r.yaml:1:57: the item is no header line such as `X-Probe: 1` (at upstreams[0].checks.active.req_headers[0])",
            "r.yaml:1:71: what the item begins with is not the name of a header (at upstreams[0].checks.active.req_headers[1])",
            "r.yaml:1:88: the value has control characters (at upstreams[0].checks.active.req_headers[2])",
        ],
    )]);
}

#[test]
fn what_opens_is_written_by_its_name_or_accepted_for_the_whole_node() {
    let accepting = "danger_accept_apisix_fail_open: true\n";
    assert!(checks("{active: {}, danger_use_unhealthy: true}").danger_use_unhealthy);
    assert!(checks_with(accepting, "{active: {}}").danger_use_unhealthy);
    let kept = checks_with(accepting, "{active: {}, danger_use_unhealthy: false}");
    assert!(!kept.danger_use_unhealthy);
    let off = "{active: {type: https, danger_https_verify_certificate: false}}";
    assert!(checks(off).active.danger_verify_off);
    let apisix = "{active: {type: https, https_verify_certificate: false}}";
    assert!(checks_with(accepting, apisix).active.danger_verify_off);
    assert!(!checks("{active: {https_verify_certificate: true}}").active.danger_verify_off);
    let clear = "upstreams: [{nodes: {}, checks: {active: {https_verify_certificate: false}}}]\n";
    let told = resources_with(accepting, "r.yaml", clear).unwrap_err();
    let problem = "`https_verify_certificate` has no effect without `type: https`";
    assert!(told.len() == 1 && told[0].contains(problem), "{told:?}");
}

#[test]
fn checks_that_are_not_sound() {
    check(&[
        (
            "upstreams: [{nodes: {}, checks: {passive: {}}}]\n",
            &["r.yaml:1:25: `active` is required (at upstreams[0].checks)"],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {https_verify_certificate: false}}}]\n",
            &[
                "r.yaml:1:43: `https_verify_certificate: false` weakens protection (at upstreams[0].checks.active.https_verify_certificate); where it is meant, write `danger_https_verify_certificate: false`",
            ],
        ),
        (
            "routes: [{uri: /a, upstream: {nodes: {}, checks: {active: {timeout: 0, concurrency: 0}}}}]\n",
            &[
                "r.yaml:1:69: `timeout` must be more than 0, is `0` (at routes[0].upstream.checks.active.timeout)",
                "r.yaml:1:85: `concurrency` must be at least 1, is `0` (at routes[0].upstream.checks.active.concurrency)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {timeout: 30.1, concurrency: 1025, port: 0, type: udp, http_method: CONNECT}}}]\n",
            &[
                "r.yaml:1:52: `timeout` must be at most 30, is `30.1` (at upstreams[0].checks.active.timeout)",
                "r.yaml:1:71: `concurrency` must be at most 1024, is `1025` (at upstreams[0].checks.active.concurrency)",
                "r.yaml:1:83: `port` must be at least 1, is `0` (at upstreams[0].checks.active.port)",
                "r.yaml:1:92: expected one of `http`, `https` or `tcp`, found the string `udp` (at upstreams[0].checks.active.type)",
                "r.yaml:1:110: `CONNECT` is refused: it asks the server for a tunnel to somewhere else (at upstreams[0].checks.active.http_method)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {healthy: {interval: 0, successes: 255, http_statuses: [199]}}}}]\n",
            &[
                "r.yaml:1:63: `interval` must be at least 1, is `0` (at upstreams[0].checks.active.healthy.interval)",
                "r.yaml:1:77: `successes` must be at most 254, is `255` (at upstreams[0].checks.active.healthy.successes)",
                "r.yaml:1:98: the item must be at least 200, is `199` (at upstreams[0].checks.active.healthy.http_statuses[0])",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {unhealthy: {tcp_failures: 0, http_statuses: [600, 500, 500]}}}}]\n",
            &[
                "r.yaml:1:69: `tcp_failures` must be at least 1, is `0` (at upstreams[0].checks.active.unhealthy.tcp_failures)",
                "r.yaml:1:88: the item must be at most 599, is `600` (at upstreams[0].checks.active.unhealthy.http_statuses[0])",
                "r.yaml:1:98: the item is given twice (at upstreams[0].checks.active.unhealthy.http_statuses[2])",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {}, passive: {unhealthy: {timeouts: 255, http_statuses: []}}}}]\n",
            &[
                "r.yaml:1:78: `timeouts` must be at most 254, is `255` (at upstreams[0].checks.passive.unhealthy.timeouts)",
                "r.yaml:1:83: `http_statuses` is an empty list (at upstreams[0].checks.passive.unhealthy.http_statuses)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {http_path: 'up', host: '*.a', req_headers: ['A: b', 'Host: c', 'Transfer-Encoding: chunked', 'x']}}}]\n",
            &[
                "r.yaml:1:54: `up` is no path (at upstreams[0].checks.active.http_path); begin it with `/`, and write what is not visible ASCII as `%XX`",
                "r.yaml:1:66: a probe names one host, without `*` (at upstreams[0].checks.active.host)",
                "r.yaml:1:95: the Host of a probe is `host` (at upstreams[0].checks.active.req_headers[1])",
                "r.yaml:1:106: `transfer-encoding` is written by whoever sends the probe (at upstreams[0].checks.active.req_headers[2])",
                "r.yaml:1:136: the item is no header line such as `X-Probe: 1` (at upstreams[0].checks.active.req_headers[3])",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {danger_https_verify_certificate: false}}}]\n",
            &[
                "r.yaml:1:76: `danger_https_verify_certificate` has no effect without `type: https` (at upstreams[0].checks.active.danger_https_verify_certificate); take it out",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {type: tcp, danger_https_verify_certificate: false}}}]\n",
            &[
                "r.yaml:1:87: `danger_https_verify_certificate` has no effect without `type: https` (at upstreams[0].checks.active.danger_https_verify_certificate); take it out",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {active: {type: tcp, host: a, http_req_body: b, req_headers: ['A: b']}}}]\n",
            &[
                "r.yaml:1:60: `host` has no effect with `type: tcp` (at upstreams[0].checks.active.host)",
                "r.yaml:1:78: `http_req_body` has no effect with `type: tcp` (at upstreams[0].checks.active.http_req_body)",
                "r.yaml:1:81: `req_headers` has no effect with `type: tcp` (at upstreams[0].checks.active.req_headers)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, checks: {activ: {}}}]\n",
            &[
                "r.yaml:1:34: unknown field `activ` (at upstreams[0].checks.activ); did you mean `active`?",
            ],
        ),
    ]);
}

#[test]
fn the_better_of_two_is_a_way_to_choose() {
    let read = resources("upstreams: [{nodes: {}, type: ewma}]\n").unwrap();
    assert_eq!(read.upstreams[0].balancing, Balancing::Latency);
}

#[test]
fn what_others_note_about_a_node_is_kept_within_bounds() {
    let with = |metadata: &str| {
        resources(&format!(
            "upstreams: [{{nodes: [{{host: a, weight: 1, metadata: {metadata}}}]}}]\n"
        ))
    };
    assert!(with("{zone: a, tags: [1, {x: null}]}").is_ok());
    assert!(with("a").is_err());
    let members = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("m{n}: 1")).collect();
        with(&format!("{{{}}}", members.join(", ")))
    };
    assert!(members(64).is_ok());
    let lines = members(65).unwrap_err();
    assert!(lines[0].contains("`metadata` may have at most 64 keys, has 65"), "{lines:?}");
    // `{"a":""}` has 8 bytes.
    assert!(with(&format!("{{a: {}}}", "x".repeat(16_376))).is_ok());
    let lines = with(&format!("{{a: {}}}", "x".repeat(16_377))).unwrap_err();
    assert_eq!(
        lines,
        [
            "r.yaml:1:43: `metadata` has 16385 bytes, at most 16384 are kept (at upstreams[0].nodes[0].metadata)"
        ]
    );
}
