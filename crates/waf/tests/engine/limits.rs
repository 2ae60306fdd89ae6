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
    tell(&[(&files, upload(2), "→ pass"), (&files, upload(3), "3 → pass")]);
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
                SecRule TX:a \"@ge 1\" \"id:2,phase:2,pass,t:length\"";
    let many = |count| (0..count).map(|n| format!("a{n}=x")).collect::<Vec<_>>().join("&");
    tell(&[
        (text, get(format!("/?{}", many(16))), "2 → pass"),
        (text, get(format!("/?{}", many(17))), "→ deny 403 for Partial"),
    ]);
    let named =
        "SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,setvar:'tx.%{ARGS_NAMES}=%{MATCHED_VAR}'\"";
    let slot = "SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,setvar:'tx.a=%{MATCHED_VAR}'\"";
    for text in [named, slot] {
        let value = |length| get(format!("/?a={}", "x".repeat(length)));
        tell(&[
            (text, value(65_535), "1 → pass"),
            (text, value(65_536), "1 → pass"),
            (text, value(65_537), "→ deny 403 for Partial"),
        ]);
    }
}

#[test]
fn a_chain_of_more_matches_than_it_can_look_at_is_refused() {
    let head = "SecArgumentsLimit 10000\nSecRule ARGS \"@rx ^a\" \"id:1,phase:2,pass,nolog";
    let chain = format!("{head},chain\"\nSecRule MATCHED_VARS \"@streq b\" \"t:none\"");
    let alone = format!("{head}\"");
    let many = |count| form(vec!["x=a"; count].join("&"));
    tell(&[
        (&chain, many(8_191), "→ pass"),
        (&chain, many(8_192), "→ pass"),
        (&chain, many(8_193), "→ deny 403 for Partial"),
        (&alone, many(8_193), "→ pass"),
    ]);
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

#[test]
fn rules_with_so_many_ways_of_looking_at_a_value_all_see_it() {
    const STEPS: [&str; 8] = [
        "lowercase",
        "urlDecodeUni",
        "htmlEntityDecode",
        "removeNulls",
        "compressWhitespace",
        "cmdLine",
        "jsDecode",
        "trim",
    ];
    for count in [63, 64, 65, 130] {
        let rule = |number: usize| {
            let steps = STEPS.iter().enumerate().filter(|(place, _)| number >> place & 1 == 1);
            let steps = steps.flat_map(|(_, step)| [",t:", step]).collect::<String>();
            format!("SecRule ARGS \"@contains w{number}x\" \"id:{number},phase:2,pass{steps}\"\n")
        };
        let rules = rules(&(1..=count).map(rule).collect::<String>());
        let words = (1..=count).map(|number| format!("w{number}x"));
        let words = words.collect::<Vec<_>>();
        for between in ["z", "%20+%25;%26lt;^%5C"] {
            let told = get(format!("/?a={}", words.join(between))).judged(&rules);
            let wanted: Vec<u32> = (1..).take(count).collect();
            assert_eq!(told.ids(), wanted, "{count} {between}");
        }
    }
}

#[test]
fn values_of_every_length_reach_the_rules_that_they_are_long_enough_for() {
    let rule = |length: u32| {
        format!("SecRule ARGS \"@rx ^.{{{length},}}$\" \"id:{length},phase:2,pass\"\n")
    };
    let rules = rules(&(46..=51).map(rule).collect::<String>());
    for length in 45..=52 {
        let told = get(format!("/?a={}", "-".repeat(length as usize))).judged(&rules);
        assert_eq!(told.ids(), (46..=length.min(51)).collect::<Vec<u32>>(), "{length}");
    }
}
