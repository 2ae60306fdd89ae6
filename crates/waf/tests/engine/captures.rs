//! What operators leave in `TX:0` to `TX:9`.

use crate::exchange::{form, get, tell};

const SHOW: &str = "\nSecAction \"id:9,phase:2,pass,msg:'%{TX.0}|%{TX.1}|%{TX.2}'\"";

#[test]
fn each_operator_says_what_it_found() {
    for (operator, value, found) in [
        ("@rx ^(.)(.)", "xyz", "xy|x|y"),
        ("@rx ^(.)(q)?(.)", "xyz", "xy|x|"),
        ("@pm yz zz", "xyz", "yz||"),
        ("@pm YZ", "xyz", "YZ||"),
        ("@rxGlobal [yz]", "xyz", "y|z|"),
        ("@detectSQLi", "1'+or+'1'='1", "s&sos||"),
        ("@verifyCC \\d{16}", "x4111111111111111", "4111111111111111||"),
        // These find nothing that could be kept.
        ("@streq xyz", "xyz", "||"),
        ("@contains y", "xyz", "||"),
        ("@within xyzz", "xyz", "||"),
        ("!@rx q", "xyz", "||"),
    ] {
        let text =
            format!("SecRule ARGS:a \"{operator}\" \"id:1,phase:2,pass,capture,nolog\"{SHOW}");
        let story = format!("9({found}) → pass");
        tell(&[(&text, get(format!("/?a={value}")), &story)]);
    }
}

#[test]
fn nothing_is_kept_where_the_rule_does_not_ask_or_does_not_match() {
    let text = format!(
        "SecRule ARGS:a \"@rx ^(.)\" \"id:1,phase:2,pass,nolog\"\n\
         SecRule ARGS:a \"@rx ^(q)\" \"id:2,phase:2,pass,nolog,capture\"{SHOW}"
    );
    tell(&[(&text, get("/?a=xyz"), "9(||) → pass")]);
}

#[test]
fn what_a_rule_found_stays_until_another_one_finds_something() {
    let first = "SecRule ARGS:a \"@rx ^(.)(.)\" \"id:1,phase:1,pass,nolog,capture\"\n";
    for (second, found) in [
        ("SecRule ARGS:a \"@rx q\" \"id:2,phase:2,pass,nolog,capture\"", "xy|x|y"),
        ("SecRule ARGS:a \"@rx z\" \"id:2,phase:2,pass,nolog\"", "xy|x|y"),
        // Nothing is left of the groups of the first, as in ModSecurity 2; version 3 keeps them.
        ("SecRule ARGS:a \"@rx z\" \"id:2,phase:2,pass,nolog,capture\"", "z||"),
    ] {
        let text = format!("{first}{second}{SHOW}");
        tell(&[(&text, get("/?a=xyz"), &format!("9({found}) → pass"))]);
    }
}

#[test]
fn of_several_values_the_last_one_that_matched_is_kept() {
    let text = format!("SecRule ARGS \"@rx ^x(.)\" \"id:1,phase:2,pass,nolog,capture\"{SHOW}");
    tell(&[(&text, form("a=x1&b=x2&c=y3"), "9(x2|2|) → pass")]);
}

#[test]
fn rules_can_look_at_what_was_found_and_at_how_much() {
    let first = "SecRule ARGS:a \"@rx ^(.)(.)\" \"id:1,phase:2,pass,nolog,capture\"\n";
    for (rule, is_match) in [
        ("SecRule TX:1 \"@streq x\" \"id:2,phase:2,pass\"", true),
        ("SecRule TX:2 \"@streq x\" \"id:2,phase:2,pass\"", false),
        ("SecRule &TX:2 \"@eq 1\" \"id:2,phase:2,pass\"", true),
        ("SecRule &TX:3 \"@eq 0\" \"id:2,phase:2,pass\"", true),
        ("SecRule TX:'/^[12]$/' \"@streq y\" \"id:2,phase:2,pass\"", true),
        ("SecRule TX|!TX:2 \"@streq y\" \"id:2,phase:2,pass\"", false),
    ] {
        let story = if is_match { "2 → pass" } else { "→ pass" };
        tell(&[(&format!("{first}{rule}"), get("/?a=xyz"), story)]);
    }
}

#[test]
fn a_rule_can_set_what_an_operator_would_have_found() {
    let set = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.1=set\"\n";
    let find = "SecRule ARGS:a \"@rx ^(.)\" \"id:2,phase:2,pass,nolog,capture\"";
    let show = "\nSecRule TX:1 \"@rx .\" \"id:8,phase:2,pass,msg:'%{MATCHED_VAR}'\"\n\
                SecRule &TX:1 \"@eq 1\" \"id:9,phase:2,pass,msg:'%{TX.1}'\"";
    tell(&[
        (&format!("{set}{show}"), get("/?a=xyz"), "8(set) 9(set) → pass"),
        (&format!("{set}{find}{show}"), get("/?a=xyz"), "8(x) 9(x) → pass"),
        (
            &format!("{find}\nSecAction \"id:3,phase:2,pass,nolog,setvar:tx.1=set\"{show}"),
            get("/?a=xyz"),
            "8(set) 9(set) → pass",
        ),
    ]);
}
