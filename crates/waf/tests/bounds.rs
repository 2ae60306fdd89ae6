//! What is over a bound must not pass for judged.

use std::sync::Arc;

use bartizan_waf::{
    Budget, Cause, Collections, Memory, Overrides, Peer, RequestHead, RuleSet, Transaction, Verdict,
};

fn rules(text: &str) -> Arc<RuleSet> {
    let text = format!("SecRuleEngine On\nSecRequestBodyAccess On\n{text}\n");
    Arc::new(RuleSet::parse("t.conf", &text, &Memory::default()).unwrap())
}

fn judge(
    transaction: &mut Transaction,
    target: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Verdict {
    let fields: Vec<(&[u8], &[u8])> =
        fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = RequestHead {
        peer: Peer { client: ([192, 0, 2, 1], 1).into(), server: ([192, 0, 2, 2], 2).into() },
        method: b"POST",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        fields: &fields,
        id: b"1",
        now: 1_764_000_000,
    };
    match transaction.request_head(&head) {
        Verdict::Pass => transaction.request_body(body.as_bytes(), false),
        refused @ Verdict::Interrupt(_) => refused,
    }
}

fn cause(rules: &Arc<RuleSet>, target: &str, fields: &[(&str, &str)], body: &str) -> Option<Cause> {
    match judge(&mut Transaction::new(rules.clone(), None), target, fields, body) {
        Verdict::Pass => None,
        Verdict::Interrupt(interruption) => Some(interruption.cause),
    }
}

const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

#[test]
fn arguments_over_their_limit_are_refused_wherever_they_stand() {
    let rules = rules("SecArgumentsLimit 3");
    for (count, is_partial) in [(2, false), (3, false), (4, true)] {
        let form = vec!["a=1"; count].join("&");
        let cookies = vec!["a=1"; count].join("; ");
        let wanted = is_partial.then_some(Cause::Partial);
        assert_eq!(cause(&rules, &format!("/?{form}"), &[], ""), wanted, "query {count}");
        assert_eq!(cause(&rules, "/", FORM, &form), wanted, "form {count}");
        assert_eq!(cause(&rules, "/", &[("cookie", &cookies)], ""), wanted, "cookies {count}");
    }
}

#[test]
fn empty_arguments_hide_nothing_behind_the_limit() {
    let rules = RuleSet::builtin().map(Arc::new).unwrap();
    let target = format!("/?{}q=1'+or+'1'='1", "&".repeat(1_000));
    assert_eq!(cause(&rules, &target, &[], ""), Some(Cause::Partial));
}

#[test]
fn json_deeper_than_its_limit_is_refused() {
    let rules = rules(
        "SecRequestBodyJsonDepthLimit 3\n\
         SecAction \"id:1,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"",
    );
    for (depth, wanted) in [(2, None), (3, None), (4, Some(Cause::Partial))] {
        let body = "[".repeat(depth) + "1" + &"]".repeat(depth);
        assert_eq!(cause(&rules, "/", &[], &body), wanted, "{depth}");
    }
}

#[test]
fn every_match_is_there_for_a_chained_rule() {
    let rules = rules(
        "SecRule ARGS \"@rx ^a\" \"id:1,phase:2,deny,chain\"\n\
         SecRule MATCHED_VARS \"@contains !\" \"t:none\"",
    );
    let target = format!("/?{}x=a!", "x=a&".repeat(900));
    assert_eq!(cause(&rules, &target, &[], ""), Some(Cause::Rule(1)));
}

#[test]
fn names_that_rules_make_up_without_end_are_refused() {
    let rules = rules(
        "SecRule ARGS_NAMES \"@rx .\" \"id:1,phase:2,pass,nolog,setvar:'tx.c_%{MATCHED_VAR}=1'\"",
    );
    let names = |count: usize| (0..count).map(|n| format!("n{n}=")).collect::<Vec<_>>().join("&");
    for (count, wanted) in [(999, None), (1_000, None)] {
        assert_eq!(cause(&rules, &format!("/?{}", names(count)), &[], ""), wanted, "{count}");
    }
    let target = format!("/?{}", names(500));
    let body = (500..1_001).map(|n| format!("n{n}=")).collect::<Vec<_>>().join("&");
    assert_eq!(cause(&rules, &target, FORM, &body), Some(Cause::Partial));
}

#[test]
fn a_pattern_that_values_break_refuses() {
    let rules = rules("SecRule ARGS:a \"@rx ^%{ARGS.b}$\" \"id:1,phase:2,pass,nolog\"");
    assert_eq!(cause(&rules, "/?a=x&b=x", &[], ""), None);
    assert_eq!(cause(&rules, "/?a=x&b=(", &[], ""), Some(Cause::Partial));
}

#[test]
fn work_over_its_budget_refuses_also_after_the_last_rule() {
    let rules = rules("SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,nolog,setvar:tx.a=1\"");
    let spent = {
        let mut transaction = Transaction::new(rules.clone(), None);
        assert_eq!(judge(&mut transaction, "/?a=b", &[], ""), Verdict::Pass);
        transaction.work()
    };
    for (budget, is_refused) in [(spent - 1, true), (spent, false), (spent + 1, false)] {
        let mut transaction = Transaction::new(rules.clone(), None).within(Budget(budget));
        let verdict = judge(&mut transaction, "/?a=b", &[], "");
        assert_eq!(verdict != Verdict::Pass, is_refused, "{budget} of {spent}");
        assert_eq!(transaction.is_partial(), is_refused);
    }
}

#[test]
fn what_only_detects_passes_and_says_that_it_was_partial() {
    let rules = rules("SecArgumentsLimit 1");
    let mut overrides = Overrides::new();
    overrides.refuse(false);
    let mut transaction = Transaction::new(rules.clone(), None);
    transaction.reset(rules, None, Some(Arc::new(overrides)));
    assert_eq!(judge(&mut transaction, "/?a=1&b=2", &[], ""), Verdict::Pass);
    assert!(transaction.is_partial());
}

#[test]
fn a_body_that_is_no_upload_has_a_bound_of_its_own() {
    let rules = rules("SecRequestBodyLimit 1000\nSecRequestBodyNoFilesLimit 3");
    for (body, is_over) in [("a=", false), ("a=b", false), ("a=bc", true)] {
        let wanted = is_over.then_some(Cause::RequestBodyTooLarge);
        assert_eq!(cause(&rules, "/", FORM, body), wanted, "{body}");
    }
    let upload = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nlong\r\n--b--\r\n";
    let fields = [("content-type", "multipart/form-data; boundary=b")];
    assert_eq!(cause(&rules, "/", &fields, upload), None);
}

#[test]
fn rules_that_could_never_match_are_refused() {
    for variable in ["FULL_REQUEST", "REMOTE_USER", "ENV:a", "FILES_TMPNAMES"] {
        let text = format!("SecRule {variable} \"@rx a\" \"id:1,phase:2,deny\"");
        let faults = RuleSet::parse("t.conf", &text, &Memory::default()).unwrap_err();
        assert!(faults[0].problem.contains("not supported"), "{variable}: {}", faults[0]);
        assert!(faults[0].help.is_some());
    }
}

#[test]
fn an_empty_value_has_a_length() {
    let rules = rules("SecRule ARGS:a \"@eq 0\" \"id:1,phase:2,deny,t:none,t:length\"");
    assert_eq!(cause(&rules, "/?a=", &[], ""), Some(Cause::Rule(1)));
    assert_eq!(cause(&rules, "/?a=b", &[], ""), None);
}

#[test]
fn what_is_counted_ends_so_long_after_its_last_change() {
    let rules = rules(
        "SecCollectionTimeout 10\n\
         SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1\"\n\
         SecRule IP:N \"@gt 2\" \"id:2,phase:1,deny\"",
    );
    let collections = Arc::new(Collections::new(10));
    let at = |now: u64| {
        let mut transaction = Transaction::new(rules.clone(), Some(collections.clone()));
        let head = RequestHead {
            peer: Peer { client: ([192, 0, 2, 1], 1).into(), server: ([192, 0, 2, 2], 2).into() },
            method: b"GET",
            target: b"/",
            protocol: b"HTTP/1.1",
            fields: &[],
            id: b"1",
            now,
        };
        transaction.request_head(&head) != Verdict::Pass
    };
    assert_eq!([at(100), at(109), at(118)], [false, false, true]);
    assert!(!at(128));
}

#[test]
fn what_is_kept_for_the_next_exchange_is_told_in_full() {
    let long = "x".repeat(60_000);
    let small = {
        let mut transaction = Transaction::new(rules(""), None);
        assert_eq!(judge(&mut transaction, "/", &[], ""), Verdict::Pass);
        transaction.release()
    };
    // One of these alone is kept: a text of a member of TX, or what matched in a chain.
    for text in [
        "SecAction \"id:1,phase:2,pass,nolog,setvar:'tx.a=%{ARGS.a}',setvar:'tx.b=%{ARGS.a}'\"",
        "SecRule ARGS \"@rx x\" \"id:1,phase:2,pass,nolog\"",
    ] {
        let rules = rules(text);
        let mut transaction = Transaction::new(rules, None);
        assert_eq!(judge(&mut transaction, "/", FORM, &format!("a={long}")), Verdict::Pass);
        let plain = {
            let mut transaction = Transaction::new(self::rules(""), None);
            let body = format!("a={long}");
            assert_eq!(judge(&mut transaction, "/", FORM, &body), Verdict::Pass);
            transaction.release()
        };
        let kept = transaction.release();
        assert!(kept >= plain + 2 * long.len() - small, "{text}: {kept}, {plain}, {small}");
    }
    let rules = rules("SecRule ARGS \"@rx x\" \"id:1,phase:2,pass,msg:'%{MATCHED_VAR}'\"");
    let mut transaction = Transaction::new(rules, None);
    assert_eq!(judge(&mut transaction, "/?a=x", &[], ""), Verdict::Pass);
    assert_eq!(transaction.matches().len(), 1);
    transaction.release();
    assert!(transaction.matches().is_empty());
}

#[test]
fn nothing_of_one_exchange_is_left_for_the_next() {
    let rules = rules(
        "SecRule ARGS:a \"@streq 1\" \"id:1,phase:1,pass,nolog,setvar:tx.seen=1,\
         ctl:ruleRemoveById=2,ctl:ruleEngine=DetectionOnly\"\n\
         SecRule ARGS:b \"@streq 1\" \"id:2,phase:2,deny\"\n\
         SecRule TX:seen \"@eq 1\" \"id:3,phase:2,deny\"",
    );
    let mut transaction = Transaction::new(rules.clone(), None);
    assert_eq!(judge(&mut transaction, "/?a=1&b=1", &[], ""), Verdict::Pass);
    transaction.release();
    transaction.reset(rules, None, None);
    let Verdict::Interrupt(refused) = judge(&mut transaction, "/?b=1", &[], "") else {
        panic!("passed");
    };
    assert_eq!(refused.cause, Cause::Rule(2));
    assert!(!transaction.matches().iter().any(|found| found.id == 3));
}
