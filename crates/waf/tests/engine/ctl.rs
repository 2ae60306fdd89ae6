//! `ctl`: how the rest of an exchange is judged.

use std::sync::Arc;

use bartizan_waf::Transaction;

use crate::exchange::{form, get, post, rules, tell};

const RULES: &str = "SecRule ARGS \"@contains bad\" \"id:10,phase:2,pass,tag:'attack/sql',msg:'one'\"\n\
                     SecRule ARGS \"@contains bad\" \"id:11,phase:2,pass,tag:'attack/xss',msg:'two'\"\n\
                     SecRule ARGS \"@contains bad\" \"id:20,phase:2,deny,tag:'other',msg:'three'\"";
const ALL: &str = "10(one) 11(two) 20(three) → deny 403 by 20";

fn with(ctl: &str) -> String {
    format!("SecRule ARGS:trusted \"@streq 1\" \"id:1,phase:1,pass,nolog,{ctl}\"\n{RULES}")
}

#[test]
fn rules_are_removed_for_the_rest_of_the_exchange() {
    for (ctl, story) in [
        ("ctl:ruleRemoveById=20", "10(one) 11(two) → pass"),
        ("ctl:ruleRemoveById=10-11", "20(three) → deny 403 by 20"),
        ("ctl:ruleRemoveById=10,ctl:ruleRemoveById=20", "11(two) → pass"),
        ("ctl:ruleRemoveById=99", ALL),
        ("ctl:ruleRemoveByTag=attack/sql", "11(two) 20(three) → deny 403 by 20"),
        ("ctl:ruleRemoveByTag=attack", "20(three) → deny 403 by 20"),
        ("ctl:ruleRemoveByMsg=three", "10(one) 11(two) → pass"),
    ] {
        tell(&[(&with(ctl), get("/?a=bad&trusted=1"), story), (&with(ctl), get("/?a=bad"), ALL)]);
    }
}

#[test]
fn a_rule_that_has_run_is_not_undone_by_its_removal() {
    let text = format!("{RULES}\nSecAction \"id:1,phase:2,pass,nolog,ctl:ruleRemoveById=20\"");
    tell(&[(&text, get("/?a=bad"), ALL)]);
}

#[test]
fn targets_are_taken_out_for_the_rest_of_the_exchange() {
    for (ctl, target, story) in [
        ("ctl:ruleRemoveTargetById=20;ARGS:a", "/?a=bad&trusted=1", "10(one) 11(two) → pass"),
        ("ctl:ruleRemoveTargetById=20;ARGS:A", "/?a=bad&trusted=1", "10(one) 11(two) → pass"),
        ("ctl:ruleRemoveTargetById=20;ARGS:b", "/?a=bad&trusted=1", ALL),
        ("ctl:ruleRemoveTargetById=20;ARGS", "/?a=bad&trusted=1", "10(one) 11(two) → pass"),
        ("ctl:ruleRemoveTargetById=10-20;ARGS:a", "/?a=bad&trusted=1", "→ pass"),
        ("ctl:ruleRemoveTargetById=10-20;ARGS:/^a/", "/?abc=bad&trusted=1", "→ pass"),
        (
            "ctl:ruleRemoveTargetByTag=attack;ARGS:a",
            "/?a=bad&trusted=1",
            "20(three) → deny 403 by 20",
        ),
        ("ctl:ruleRemoveTargetByMsg=three;ARGS:a", "/?a=bad&trusted=1", "10(one) 11(two) → pass"),
        ("ctl:ruleRemoveTargetByTag=attack;ARGS:a", "/?a=bad", ALL),
        ("ctl:ruleRemoveTargetById=20;ARGS:a", "/?a=bad&b=bad&trusted=1", ALL),
    ] {
        tell(&[(&with(ctl), get(target), story)]);
    }
}

#[test]
fn so_many_different_targets_are_taken_out_and_equal_ones_count_once() {
    let look = "SecRule ARGS \"@contains bad\" \"id:9999,phase:2,pass\"";
    let out = |id: usize, name: &str| {
        format!(
            "SecAction \"id:{id},phase:1,pass,nolog,ctl:ruleRemoveTargetById=9999;ARGS:{name}\"\n"
        )
    };
    for (count, story) in [(1_022, "→ pass"), (1_023, "→ pass"), (1_024, "9999 → pass")] {
        let others: String = (1..=count).map(|id| out(id, &format!("n{id}"))).collect();
        let text = format!("{others}{}{look}", out(9_000, "a"));
        tell(&[(&text, get("/?a=bad"), story)]);
    }
    let often = "SecRule ARGS \"@streq 1\" \"id:1,phase:2,pass,nolog,\
                 ctl:ruleRemoveTargetById=9999;ARGS:b\"\n\
                 SecAction \"id:2,phase:2,pass,nolog,ctl:ruleRemoveTargetById=9999;ARGS:a\"\n";
    let limit = "SecArgumentsLimit 2000\n";
    let target = format!("/?a=bad&{}", vec!["x=1"; 1_100].join("&"));
    tell(&[(&format!("{limit}{often}{look}"), get(target), "→ pass")]);
}

#[test]
fn a_target_of_one_rule_is_still_one_of_others() {
    // The sieve looks at a group of rules at once; what is hidden is so for one rule only.
    let text = "SecAction \"id:1,phase:1,pass,nolog,ctl:ruleRemoveTargetById=2;ARGS:a\"\n\
                SecRule ARGS \"@contains bad\" \"id:2,phase:2,pass\"\n\
                SecRule ARGS \"@contains bad\" \"id:3,phase:2,pass\"\n\
                SecRule &ARGS \"@eq 1\" \"id:4,phase:2,pass\"";
    tell(&[(text, get("/?a=bad"), "3 4 → pass")]);
}

#[test]
fn the_engine_is_switched() {
    for (ctl, story) in [
        ("ctl:ruleEngine=Off", "→ pass"),
        ("ctl:ruleEngine=DetectionOnly", "10(one) 11(two) 20(three) → pass"),
        ("ctl:ruleEngine=On", ALL),
    ] {
        tell(&[(&with(ctl), get("/?a=bad&trusted=1"), story)]);
    }
    let detecting = format!("SecRuleEngine DetectionOnly\n{}", with("ctl:ruleEngine=On"));
    tell(&[
        (&detecting, get("/?a=bad&trusted=1"), ALL),
        (&detecting, get("/?a=bad"), "10(one) 11(two) 20(three) → pass"),
    ]);
}

#[test]
fn bodies_are_looked_at_or_not() {
    let text = |ctl: &str| format!("SecAction \"id:1,phase:1,pass,nolog,{ctl}\"\n{RULES}");
    tell(&[
        (&text("ctl:requestBodyAccess=Off"), form("a=bad"), "→ pass"),
        (&text("ctl:requestBodyAccess=On"), form("a=bad"), ALL),
        (
            &format!("SecRequestBodyAccess Off\n{}", text("ctl:requestBodyAccess=On")),
            form("a=bad"),
            ALL,
        ),
        (&format!("SecRequestBodyAccess Off\n{}", text("severity:2")), form("a=bad"), "→ pass"),
    ]);
}

#[test]
fn a_rule_says_how_the_body_is_read() {
    let text = |ctl: &str| {
        format!(
            "SecAction \"id:1,phase:1,pass,nolog,{ctl}\"\n\
             SecAction \"id:2,phase:2,pass,msg:'%{{REQBODY_PROCESSOR}} %{{ARGS_POST.json.a}} %{{ARGS_POST.a}} %{{REQUEST_BODY}}'\""
        )
    };
    let plain = |body: &str| post("text/plain", body);
    tell(&[
        (&text("ctl:requestBodyProcessor=JSON"), plain("{\"a\":7}"), "2(JSON 7  {\"a\":7}) → pass"),
        (&text("ctl:requestBodyProcessor=URLENCODED"), plain("a=7"), "2(URLENCODED  7 a=7) → pass"),
        (&text("ctl:forceRequestBodyVariable=On"), plain("a=7"), "2(   a=7) → pass"),
        (&text("ctl:forceRequestBodyVariable=Off"), plain("a=7"), "2(   ) → pass"),
        (
            &text("ctl:requestBodyProcessor=XML,ctl:forceRequestBodyVariable=On"),
            plain("<a/>"),
            "2(XML   <a/>) → pass",
        ),
    ]);
}

#[test]
fn the_host_is_told_what_bodies_are_wanted_and_how_large() {
    let text = "SecRequestBodyLimit 100\nSecResponseBodyLimit 200\n\
                SecRule ARGS:a \"@eq 1\" \"id:1,phase:1,pass,nolog,ctl:requestBodyLimit=7,\
                ctl:responseBodyLimit=8,ctl:requestBodyAccess=Off,ctl:responseBodyAccess=Off\"";
    let rules = rules(text);
    for (target, told) in [("/?a=0", (true, true, 100, 200)), ("/?a=1", (false, false, 7, 8))] {
        let mut transaction = Transaction::new(Arc::clone(&rules), None);
        get(target).judged_by(&mut transaction);
        let found = (
            transaction.wants_request_body(),
            transaction.wants_response_body(),
            transaction.request_body_max(),
            transaction.response_body_max(),
        );
        assert_eq!(found, told, "{target}");
    }
    assert!(rules.may_read_request_body() && rules.may_read_response_body());
}

#[test]
fn what_audit_entries_hold_is_the_hosts_to_say() {
    let text = with("ctl:auditEngine=Off,ctl:auditLogParts=+E");
    tell(&[(&text, get("/?a=bad&trusted=1"), ALL)]);
}
