//! Every limit has an outcome, and none of them is a silent pass.

use std::sync::Arc;

use bartizan_waf::{Budget, Transaction};

use crate::exchange::{form, get, post, rules, tell};

const TOLD: &str = "SecRule REQBODY_ERROR \"@eq 1\" \"id:1,phase:2,pass\"\n\
                    SecRule INBOUND_DATA_ERROR \"@eq 1\" \"id:2,phase:2,pass\"\n";

#[test]
fn a_body_over_its_limit_is_refused_or_looked_at_in_part() {
    let limits =
        |action: &str| format!("SecRequestBodyLimit 8\nSecRequestBodyLimitAction {action}\n{TOLD}");
    let rule = "SecRule ARGS_POST:a \"@rx ^x\" \"id:3,phase:2,pass,msg:'%{MATCHED_VAR}'\"";
    for (action, body, story) in [
        ("Reject", "a=xxxxxx", "3(xxxxxx) → pass"),
        ("Reject", "a=xxxxxxy", "→ deny 413 for RequestBodyTooLarge"),
        ("ProcessPartial", "a=xxxxxxy", "2 3(xxxxxx) → pass"),
    ] {
        tell(&[(&format!("{}{rule}", limits(action)), form(body), story)]);
    }
    let detecting = format!("{}SecRuleEngine DetectionOnly\n{rule}", limits("Reject"));
    tell(&[(&detecting, form("a=xxxxxxy"), "2 3(xxxxxx) → pass")]);
}

#[test]
fn files_parts_and_depth_have_limits() {
    let part = |n: usize| {
        format!("--B\r\nContent-Disposition: form-data; name=\"f{n}\"; filename=\"f\"\r\n\r\nx\r\n")
    };
    let upload = |count| {
        let parts: String = (0..count).map(part).collect();
        post("multipart/form-data; boundary=B", format!("{parts}--B--\r\n"))
    };
    let files = format!(
        "SecUploadFileLimit 2\n{TOLD}SecRule MULTIPART_FILE_LIMIT_EXCEEDED \"@eq 1\" \"id:3,phase:2,pass\""
    );
    tell(&[(&files, upload(2), "→ pass")]);
    let over = upload(3).judged(&rules(&files));
    assert!(over.ids().contains(&3) || over.story() != "→ pass", "{}", over.story());
    let json = "SecRequestBodyJsonDepthLimit 3\n\
                SecAction \"id:9,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";
    let nested = |depth: usize| {
        post("application/json", format!("{}1{}", "[".repeat(depth), "]".repeat(depth)))
    };
    tell(&[(json, nested(3), "→ pass"), (json, nested(4), "→ deny 403 for Partial")]);
}

#[test]
fn arguments_of_all_kinds_count_towards_their_limit() {
    let text = "SecArgumentsLimit 2";
    tell(&[
        (text, get("/?a=1&b=2"), "→ pass"),
        (text, get("/?a=1&b=2&c=3"), "→ deny 403 for Partial"),
        (text, form("a=1&b=2&c=3"), "→ deny 403 for Partial"),
        (text, get("/").header("Cookie", "a=1; b=2; c=3"), "→ deny 403 for Partial"),
    ]);
}

#[test]
fn a_variable_does_not_grow_without_end() {
    let text = "SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,nolog,setvar:'tx.a=%{tx.a}%{tx.a}%{MATCHED_VAR}'\"\n\
                SecRule TX:a \"@eq 65536\" \"id:2,phase:2,pass,t:length\"";
    let many = (0..100).map(|n| format!("a{n}=xxxxxxxxxxxxxxxx")).collect::<Vec<_>>().join("&");
    tell(&[(text, get(format!("/?{many}")), "2 → pass")]);
}

#[test]
fn work_beyond_the_budget_is_refused_wherever_it_is_spent() {
    let value = "x".repeat(2_000);
    for (text, exchange) in [
        (
            // Both bytes are there, their text is not.
            "SecRule ARGS \"@rx ax\" \"id:1,phase:1,pass,nolog,t:urlDecodeUni\"",
            get(format!("/?a={value}a")),
        ),
        (
            "SecRule ARGS \"!@rx a\" \"id:1,phase:2,pass,nolog,t:base64Encode\"",
            form(format!("a={value}")),
        ),
        ("SecRule TX:a \"!@rx a\" \"id:1,phase:2,pass,nolog\"", get("/")),
        (
            "SecRule REQUEST_HEADERS \"@detectSQLi\" \"id:1,phase:1,pass,nolog\"",
            get("/").header("x", &"' or 1=1 ".repeat(200)),
        ),
        (
            "SecRule RESPONSE_BODY \"@rx ax\" \"id:1,phase:4,pass,nolog\"",
            get("/").answered(200, "text/html", &format!("{value}a")),
        ),
    ] {
        let setup = format!("SecAction \"id:9,phase:1,pass,nolog,setvar:'tx.a={value}'\"\n{text}");
        let rules = rules(&setup);
        let mut transaction = Transaction::new(Arc::clone(&rules), None);
        assert_eq!(exchange.judged_by(&mut transaction).story(), "→ pass", "{text}");
        let spent = transaction.work();
        assert!(spent >= 2_000, "{text}: {spent}");
        let mut poor = Transaction::new(rules, None).within(Budget(1_500));
        assert_eq!(exchange.judged_by(&mut poor).story(), "→ deny 403 for Budget", "{text}");
        assert!(poor.is_partial());
    }
}

#[test]
fn a_pattern_is_linear_whatever_the_value() {
    // Each of these takes exponential or quadratic time in an engine that tracks back.
    let text = "SecRule ARGS \"@rx ^(a+)+$\" \"id:1,phase:2,pass\"\n\
                SecRule ARGS \"@rx (a|aa)+b\" \"id:2,phase:2,pass\"\n\
                SecRule ARGS \"@rx (.*)(.*)(.*)(.*)x\" \"id:3,phase:2,pass\"";
    tell(&[(text, get(format!("/?a={}c", "a".repeat(20_000))), "→ pass")]);
}
