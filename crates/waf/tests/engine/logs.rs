//! What is told of matches.

use crate::exchange::{get, rules, tell};

#[test]
fn a_match_is_told_unless_the_rule_or_its_default_keeps_quiet() {
    for (default, actions, is_told, is_audited) in [
        ("pass", "pass", true, true),
        ("pass", "pass,nolog", false, false),
        ("pass", "pass,log", true, true),
        ("pass", "pass,noauditlog", true, false),
        ("pass", "pass,nolog,auditlog", true, true),
        ("pass", "pass,log,noauditlog", true, false),
        ("pass,nolog", "pass", false, false),
        ("pass,nolog", "pass,log", true, true),
        ("pass,log,noauditlog", "pass", true, false),
        ("deny,nolog", "block", false, false),
    ] {
        let rules = rules(&format!(
            "SecDefaultAction \"phase:2,{default}\"\nSecAction \"id:1,phase:2,{actions}\""
        ));
        let told = get("/").judged(&rules);
        assert_eq!(told.ids() == [1], is_told, "{default} | {actions}");
        if is_told {
            assert_eq!(told.of(1).is_audited, is_audited, "{default} | {actions}");
        }
    }
}

#[test]
fn a_match_says_all_that_its_rule_says() {
    let rules = rules(
        "SecRule ARGS:a \"@rx (b)(a)d\" \"id:1,phase:2,deny,capture,t:lowercase,rev:'2',ver:'set/1.0',\
         severity:'ERROR',maturity:7,accuracy:8,tag:'x/y',tag:'host/%{REQUEST_HEADERS.host}',\
         msg:'found %{TX.0} at %{MATCHED_VAR_NAME}, score %{tx.score}',\
         logdata:'%{MATCHED_VAR} by %{RULE.id}',setvar:tx.score=+5\"",
    );
    let told = get("/?a=xBADx").header("Host", "h").judged(&rules);
    let found = told.of(1);
    assert_eq!(told.msg(1), "found bad at ARGS:a, score 5");
    assert_eq!(String::from_utf8_lossy(&found.title), "found … at …, score 5");
    assert_eq!(&*found.data, b"xbadx by 1");
    assert_eq!((found.severity, found.maturity, found.accuracy, found.phase), (Some(3), 7, 8, 2));
    assert_eq!((found.ver.as_deref(), found.rev.as_deref()), (Some("set/1.0"), Some("2")));
    assert_eq!(
        found.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        [&b"x/y"[..], "host/…".as_bytes()]
    );
    assert_eq!((&*found.file, found.line, found.disrupts), ("t.conf", 4, true));
    let [value] = &*found.values else { panic!("{:?}", found.values) };
    assert_eq!((&*value.name, &*value.value), (&b"ARGS:a"[..], &b"xbadx"[..]));
    assert_eq!((&*value.transformations, value.operator), (&["lowercase"][..], "rx"));
}

#[test]
fn severities_have_names_and_numbers() {
    for (number, name) in
        ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"]
            .iter()
            .enumerate()
    {
        for written in [name.to_lowercase(), format!("'{name}'"), number.to_string()] {
            let rules = rules(&format!("SecAction \"id:1,phase:1,pass,severity:{written}\""));
            let told = get("/").judged(&rules);
            assert_eq!(told.of(1).severity.map(usize::from), Some(number), "{written}");
        }
    }
}

#[test]
fn values_that_a_rule_hides_are_told_nowhere() {
    let secret = "hunter2";
    let look = |targets: &str, more: &str| {
        format!(
            "SecRule {targets} \"@contains hunter\" \"id:1,phase:2,pass,capture,{more}\
             msg:'saw %{{MATCHED_VAR}}',logdata:'%{{MATCHED_VAR}} %{{TX.0}}'\""
        )
    };
    let hidden = |targets: &str| {
        format!("{}\nSecAction \"id:2,phase:5,pass,nolog,sanitiseArg:password\"", look(targets, ""))
    };
    for text in [
        hidden("QUERY_STRING"),
        hidden("REQUEST_LINE"),
        hidden("REQUEST_URI"),
        hidden("REQUEST_URI_RAW"),
        look("ARGS", "sanitiseMatched,"),
        look("ARGS", "sanitizeMatchedBytes:1/4,"),
        hidden("ARGS"),
        hidden("ARGS_GET"),
        format!("SecAction \"id:2,phase:1,pass,nolog,sanitiseArg:Password\"\n{}", look("ARGS", "")),
        "SecAction \"id:2,phase:1,pass,nolog,sanitiseArg:password\"\n\
             SecRule ARGS \"@contains hunter\" \"id:1,phase:2,pass,chain,msg:'saw %{MATCHED_VAR}'\"\n\
             SecRule MATCHED_VARS \"@contains 2\" \"t:none,logdata:'%{MATCHED_VAR}'\""
        .to_owned(),
        format!(
            "SecAction \"id:2,phase:1,pass,nolog,sanitiseRequestHeader:X-Secret\"\n{}",
            look("REQUEST_HEADERS", "")
        ),
    ] {
        let told = get("/?password=hunter2").header("X-Secret", secret).judged(&rules(&text));
        let found = format!("{:?}", told.of(1).values);
        let bytes = format!("{:?}", secret.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        assert!(!found.contains(bytes) && !found.contains(secret), "{text}\n{found}");
        for shown in [&told.of(1).msg, &told.of(1).data, &told.of(1).title] {
            assert!(!String::from_utf8_lossy(shown).contains(secret), "{text}\n{shown:?}");
        }
    }
}

#[test]
fn a_value_that_is_hidden_is_not_told_by_rules_that_repeat_it() {
    let hide = "SecAction \"id:9,phase:1,pass,nolog,sanitiseArg:password\"";
    let header = "SecAction \"id:9,phase:1,pass,nolog,sanitiseRequestHeader:X-Secret\"";
    let first = |target: &str| {
        format!("SecRule {target} \"@rx ^(.*)$\" \"id:2,phase:1,pass,nolog,capture\"\n")
    };
    let argument = format!("{hide}\n{}", first("ARGS:password"));
    let field = format!("{header}\n{}", first("REQUEST_HEADERS:X-Secret"));
    let say = |what: &str| format!("phase:1,pass,log,msg:'saw {what}',logdata:'{what}'");
    for before in [&argument, &field] {
        for rule in [
            format!("SecRule MATCHED_VAR \"@rx .\" \"id:1,{}\"", say("%{MATCHED_VAR}")),
            format!("SecRule TX:0 \"@rx .\" \"id:1,{}\"", say("%{MATCHED_VAR}")),
            format!("SecRule TX:1 \"@rx .\" \"id:1,capture,{}\"", say("%{TX.1} %{TX.0}")),
            format!("SecRule TX:/^1$/ \"@rx .\" \"id:1,{}\"", say("%{MATCHED_VAR}")),
            format!("SecRule TX \"@rx .\" \"id:1,{}\"", say("%{MATCHED_VAR}")),
            // What the texts hold is not always what the rule looked at.
            format!("SecAction \"id:1,{}\"", say("%{MATCHED_VAR}")),
            format!("SecAction \"id:1,capture,{}\"", say("%{TX.0}")),
            format!("SecRule ARGS:q \"@rx .\" \"id:1,{}\"", say("%{TX.1}")),
            format!("SecRule ARGS:q \"!@rx z\" \"id:1,capture,{}\"", say("%{TX.0}")),
        ] {
            let text = format!("{before}{rule}");
            let exchange = get("/?password=hunter2&q=1").header("X-Secret", "hunter2");
            let told = exchange.judged(&rules(&text));
            let found = told.of(1);
            let values: Vec<_> =
                found.values.iter().map(|value| String::from_utf8_lossy(&value.value)).collect();
            assert!(!values.concat().contains("hunter2"), "{text}\n{values:?}");
            assert_eq!((&*found.data, &*found.msg), (&b""[..], &*found.title), "{text}");
            assert!(found.title.starts_with("saw …".as_bytes()), "{text}");
        }
    }
}

#[test]
fn a_value_that_is_hidden_is_not_told_by_what_a_client_is_known_by() {
    for (opens, name) in [("setsid", "SESSIONID"), ("setuid", "USERID")] {
        let text = format!(
            "SecAction \"id:9,phase:1,pass,nolog,sanitiseRequestHeader:X-Secret,\
             {opens}:%{{REQUEST_HEADERS.X-Secret}}\"\n\
             SecRule {name} \"@streq hunter2\" \"id:1,phase:1,pass,logdata:'%{{MATCHED_VAR}}'\"\n\
             SecAction \"id:2,phase:1,pass,logdata:'%{{{name}}}'\""
        );
        let told = get("/").header("X-Secret", "hunter2").judged(&rules(&text));
        assert_eq!(
            (&*told.of(1).data, &*told.of(1).values[0].value),
            (&b""[..], &b""[..]),
            "{text}"
        );
        assert_eq!(&*told.of(2).data, b"", "{text}");
    }
}

#[test]
fn a_text_that_names_a_value_that_is_hidden_is_not_told() {
    for (hides, name) in [
        ("sanitiseArg:password", "ARGS.password"),
        ("sanitiseArg:password", "ARGS_GET.Password"),
        ("sanitiseArg:password", "QUERY_STRING"),
        ("sanitiseRequestHeader:X-Secret", "REQUEST_HEADERS.x-secret"),
    ] {
        let text = format!(
            "SecAction \"id:9,phase:1,pass,nolog,{hides}\"\n\
             SecRule ARGS:q \"@rx .\" \"id:1,phase:1,pass,logdata:'%{{{name}}}'\"\n\
             SecRule ARGS:q \"@rx .\" \"id:2,phase:1,pass,logdata:'%{{ARGS.q}}'\""
        );
        let exchange = get("/?password=hunter2&q=1").header("X-Secret", "hunter2");
        let told = exchange.judged(&rules(&text));
        assert_eq!(&*told.of(1).data, b"", "{text}");
        assert_eq!(&*told.of(2).data, b"1", "{text}");
    }
}

#[test]
fn a_rule_that_says_what_it_found_itself_is_told_beside_hidden_values() {
    let text = "SecAction \"id:9,phase:1,pass,nolog,sanitiseArg:password\"\n\
                SecRule ARGS:password \"@rx ^(.*)$\" \"id:2,phase:1,pass,nolog,capture\"\n\
                SecRule ARGS:q \"@rx ^(.)\" \"id:1,phase:1,pass,capture,\
                logdata:'%{MATCHED_VAR} %{TX.1} at %{MATCHED_VAR_NAME}'\"";
    let told = get("/?password=hunter2&q=1").judged(&rules(text));
    assert_eq!(&*told.of(1).data, b"1 1 at ARGS:q");
}

#[test]
fn values_that_nobody_hides_are_told() {
    let text = "SecAction \"id:2,phase:1,pass,nolog,sanitiseArg:other\"\n\
                SecRule ARGS \"@contains hunter\" \"id:1,phase:2,pass,msg:'%{MATCHED_VAR}'\"";
    tell(&[(text, get("/?password=hunter2"), "1(hunter2) → pass")]);
}

#[test]
fn where_more_values_may_have_matched_than_are_kept_any_may_be_hidden() {
    let text = "SecAction \"id:2,phase:1,pass,nolog,sanitiseArg:password\"\n\
                SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,logdata:'%{MATCHED_VAR}'\"";
    for (count, is_cut) in [(7, false), (8, true), (9, true)] {
        let told = get(format!("/?{}", vec!["a=x"; count].join("&"))).judged(&rules(text));
        assert_eq!(told.of(1).is_cut(), is_cut, "{count}");
        assert_eq!(told.of(1).data.is_empty(), is_cut, "{count}");
    }
}

#[test]
fn what_a_rule_says_is_cut() {
    let rules = rules(
        "SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,msg:'%{MATCHED_VAR}',logdata:'%{MATCHED_VAR}',\
         tag:'of %{MATCHED_VAR}'\"",
    );
    for (length, kept) in [(2_047, 2_047), (2_048, 2_048), (2_049, 2_048)] {
        let told = get(format!("/?a={}", "v".repeat(length))).judged(&rules);
        let found = told.of(1);
        assert_eq!((found.msg.len(), found.data.len()), (kept, kept), "{length}");
        assert_eq!(found.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["of …".as_bytes()]);
    }
}

#[test]
fn what_is_told_has_bounds() {
    let rules = rules("SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,msg:'m'\"");
    let value = "v".repeat(2_000);
    let many = (0..50).map(|n| format!("a{n}={value}")).collect::<Vec<_>>().join("&");
    let told = get(format!("/?{many}")).judged(&rules);
    let found = told.of(1);
    assert_eq!(found.values.len(), 8);
    assert!(found.values.iter().all(|value| value.value.len() == 512));
    let many = (1..=300).map(|id| format!("SecAction \"id:{id},phase:1,pass\""));
    let text = many.collect::<Vec<_>>().join("\n");
    assert_eq!(get("/").judged(&crate::exchange::rules(&text)).matches.len(), 256);
}
