//! Directives that change or remove rules which stand elsewhere.

use crate::exchange::{get, tell};

const RULES: &str = "SecRule ARGS \"@contains bad\" \"id:10,phase:2,pass,tag:'attack/sql',tag:'level/1',msg:'SQL Injection'\"\n\
                     SecRule ARGS \"@contains bad\" \"id:11,phase:2,pass,tag:'attack/xss',msg:'Scripting'\"\n\
                     SecRule ARGS \"@contains bad\" \"id:20,phase:2,deny,tag:'other',msg:'Else'\"\n";
const ALL: &str = "10(SQL Injection) 11(Scripting) 20(Else) → deny 403 by 20";

#[test]
fn rules_are_removed_by_id_tag_or_message_wherever_the_directive_stands() {
    for (directive, story) in [
        ("SecRuleRemoveById 99", ALL),
        ("SecRuleRemoveById 20", "10(SQL Injection) 11(Scripting) → pass"),
        ("SecRuleRemoveById 10 20", "11(Scripting) → pass"),
        ("SecRuleRemoveById 10-11", "20(Else) → deny 403 by 20"),
        ("SecRuleRemoveById \"10-11,20\"", "→ pass"),
        ("SecRuleRemoveByTag attack/sql", "11(Scripting) 20(Else) → deny 403 by 20"),
        ("SecRuleRemoveByTag ^attack/", "20(Else) → deny 403 by 20"),
        ("SecRuleRemoveByTag none", ALL),
        ("SecRuleRemoveByMsg Scripting", "10(SQL Injection) 20(Else) → deny 403 by 20"),
        ("SecRuleRemoveByMsg \"SQL Injection\"", "11(Scripting) 20(Else) → deny 403 by 20"),
    ] {
        tell(&[
            (&format!("{RULES}{directive}"), get("/?a=bad"), story),
            (&format!("{directive}\n{RULES}"), get("/?a=bad"), story),
        ]);
    }
}

#[test]
fn targets_are_taken_out_and_added() {
    for (directive, target, story) in [
        ("SecRuleUpdateTargetById 20 !ARGS:a", "/?a=bad", "10(SQL Injection) 11(Scripting) → pass"),
        ("SecRuleUpdateTargetById 20 !ARGS:a", "/?b=bad", ALL),
        ("SecRuleUpdateTargetById 20 !ARGS:A", "/?a=bad", "10(SQL Injection) 11(Scripting) → pass"),
        ("SecRuleUpdateTargetById 10-20 !ARGS:a", "/?a=bad", "→ pass"),
        ("SecRuleUpdateTargetById 10-20 \"!ARGS:a|!ARGS:b\"", "/?b=bad", "→ pass"),
        ("SecRuleUpdateTargetById 10-20 !ARGS:/^a/", "/?abc=bad", "→ pass"),
        ("SecRuleUpdateTargetById 10-20 !ARGS", "/?abc=bad", "→ pass"),
        ("SecRuleUpdateTargetById 20 REQUEST_URI", "/bad", "20(Else) → deny 403 by 20"),
        ("SecRuleUpdateTargetById 10 \"!ARGS:x|REQUEST_URI\"", "/bad", "10(SQL Injection) → pass"),
        ("SecRuleUpdateTargetById 99 !ARGS:a", "/?a=bad", ALL),
        (
            "SecRuleUpdateTargetByTag attack/sql !ARGS:a",
            "/?a=bad",
            "11(Scripting) 20(Else) → deny 403 by 20",
        ),
        ("SecRuleUpdateTargetByTag attack !ARGS:a", "/?a=bad", "20(Else) → deny 403 by 20"),
        ("SecRuleUpdateTargetByTag other REQUEST_FILENAME", "/bad", "20(Else) → deny 403 by 20"),
        (
            "SecRuleUpdateTargetByMsg Else !ARGS:/a/",
            "/?a=bad",
            "10(SQL Injection) 11(Scripting) → pass",
        ),
        (
            "SecRuleUpdateTargetByMsg Scripting QUERY_STRING",
            "/?bad",
            "10(SQL Injection) 11(Scripting) 20(Else) → deny 403 by 20",
        ),
    ] {
        let text = format!("{RULES}{directive}");
        let exchange = get(target);
        // `/?bad` is an argument without a name whose value is empty, or one called `bad`.
        let story = if target == "/?bad" { "11(Scripting) → pass" } else { story };
        tell(&[(&text, exchange, story)]);
    }
}

#[test]
fn only_the_head_of_a_chain_gets_other_targets() {
    let text = "SecRule ARGS:a \"@contains bad\" \"id:1,phase:2,deny,chain\"\n\
                SecRule ARGS:b \"@contains bad\" \"t:none\"\n\
                SecRuleUpdateTargetById 1 !ARGS:b";
    tell(&[(text, get("/?a=bad&b=bad"), "1 → deny 403 by 1")]);
}

#[test]
fn actions_of_a_rule_or_of_a_link_are_changed() {
    let chain = "SecRule ARGS:a \"@contains bad\" \"id:30,phase:2,pass,chain\"\n\
                 SecRule ARGS:b \"@streq bad\" \"t:none\"\n";
    for (directive, target, story) in [
        (
            "SecRuleUpdateActionById 10 deny,status:409",
            "/?a=bad",
            "10(SQL Injection) → deny 409 by 10",
        ),
        (
            "SecRuleUpdateActionById 20 pass",
            "/?a=bad",
            "10(SQL Injection) 11(Scripting) 20(Else) → pass",
        ),
        (
            "SecRuleUpdateActionById 20 pass,nolog",
            "/?a=bad",
            "10(SQL Injection) 11(Scripting) → pass",
        ),
        (
            "SecRuleUpdateActionById 30 drop",
            "/?a=bad&b=bad",
            "10(SQL Injection) 11(Scripting) 30 → drop by 30",
        ),
        (
            "SecRuleUpdateActionById 30:1 t:lowercase",
            "/?a=bad&b=BAD",
            "10(SQL Injection) 11(Scripting) 30 20(Else) → deny 403 by 20",
        ),
    ] {
        let (head, tail) = RULES.split_at(RULES.rfind("SecRule").unwrap());
        tell(&[(&format!("{head}{chain}{tail}{directive}"), get(target), story)]);
    }
}
