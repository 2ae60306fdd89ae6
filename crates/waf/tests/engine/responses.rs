//! Phases 3 and 4: what the upstream answered.

use crate::exchange::{get, tell};

#[test]
fn the_head_of_the_response_is_looked_at() {
    let answer = get("/").answered(500, "text/html; charset=utf-8", "body");
    for (target, operator) in [
        ("RESPONSE_STATUS", "@streq 500"),
        ("RESPONSE_STATUS", "@rx ^5"),
        ("RESPONSE_PROTOCOL", "@streq HTTP/1.1"),
        ("STATUS_LINE", "@contains 500"),
        ("RESPONSE_HEADERS:content-type", "@beginsWith text/html"),
        ("RESPONSE_HEADERS_NAMES", "@streq Content-Type"),
        ("RESPONSE_CONTENT_TYPE", "@contains utf-8"),
        ("&RESPONSE_HEADERS", "@eq 1"),
    ] {
        let text = format!("SecRule {target} \"{operator}\" \"id:1,phase:3,deny,status:502\"");
        tell(&[(&text, answer.clone(), "1 → deny 502 by 1")]);
    }
}

#[test]
fn bodies_of_the_types_that_were_named_are_looked_at() {
    let rule = "SecRule RESPONSE_BODY \"@contains secret\" \"id:1,phase:4,deny\"";
    for (settings, kind, is_seen) in [
        ("", "text/html", true),
        ("", "text/plain", true),
        ("", "TEXT/HTML; charset=x", true),
        ("", "application/json", false),
        ("", "image/png", false),
        ("", "", false),
        ("SecResponseBodyMimeType application/json", "application/json", true),
        ("SecResponseBodyMimeType application/json", "text/html", true),
        (
            "SecResponseBodyMimeTypesClear\nSecResponseBodyMimeType application/json",
            "text/html",
            false,
        ),
        ("SecResponseBodyMimeType (null)", "", true),
        ("SecResponseBodyMimeType null", "", true),
        ("SecResponseBodyMimeType null", "image/png", false),
        ("SecResponseBodyAccess Off", "text/html", false),
    ] {
        let text = format!("{settings}\n{rule}");
        let story = if is_seen { "1 → deny 403 by 1" } else { "→ pass" };
        tell(&[(&text, get("/").answered(200, kind, "a secret"), story)]);
    }
}

#[test]
fn a_body_over_its_limit_is_refused_or_looked_at_in_part() {
    let rule = "SecRule RESPONSE_BODY \"@contains secret\" \"id:1,phase:4,deny\"\n\
                SecRule OUTBOUND_DATA_ERROR \"@eq 1\" \"id:2,phase:4,pass\"";
    for (action, body, story) in [
        ("Reject", "0123456789", "→ pass"),
        ("Reject", "0123456789a", "→ deny 403 for ResponseBodyTooLarge"),
        ("ProcessPartial", "secret 789 more", "1 → deny 403 by 1"),
        ("ProcessPartial", "0123456789 secret", "2 → pass"),
    ] {
        let text = format!("SecResponseBodyLimit 10\nSecResponseBodyLimitAction {action}\n{rule}");
        tell(&[(&text, get("/").answered(200, "text/html", body), story)]);
    }
}

#[test]
fn what_the_request_set_is_known_when_the_response_comes() {
    let text = "SecRule ARGS:debug \"@eq 1\" \"id:1,phase:1,pass,nolog,setvar:tx.debug=1\"\n\
                SecRule TX:debug \"@eq 1\" \"id:2,phase:4,deny,chain\"\n\
                SecRule RESPONSE_BODY \"@contains trace\" \"t:none\"";
    let answer = |target| get(target).answered(200, "text/html", "a trace");
    tell(&[(text, answer("/?debug=1"), "2 → deny 403 by 2"), (text, answer("/"), "→ pass")]);
}
