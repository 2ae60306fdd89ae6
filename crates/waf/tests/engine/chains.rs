//! Chains: several conditions, one outcome.

use crate::exchange::{form, get, tell};

#[test]
fn all_links_must_match() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,deny,chain\"\n\
                SecRule ARGS:b \"@streq 1\" \"chain\"\n\
                SecRule ARGS:c \"@streq 1\"";
    tell(&[
        (text, get("/?a=1&b=1&c=1"), "1 → deny 403 by 1"),
        (text, get("/?a=1&b=1&c=2"), "→ pass"),
        (text, get("/?a=1&b=2&c=1"), "→ pass"),
        (text, get("/?a=2&b=1&c=1"), "→ pass"),
        (text, get("/?a=1&b=1"), "→ pass"),
    ]);
}

#[test]
fn an_action_without_a_condition_can_be_a_link() {
    let text = "SecAction \"id:1,phase:2,deny,chain\"\nSecRule ARGS:b \"@streq 1\" \"t:none\"";
    tell(&[(text, get("/?b=1"), "1 → deny 403 by 1"), (text, get("/?b=2"), "→ pass")]);
}

#[test]
fn later_links_see_what_earlier_ones_found() {
    tell(&[
        (
            "SecRule ARGS:a \"@rx ^(.)(.)\" \"id:1,phase:2,deny,capture,chain,msg:'%{TX.1}%{TX.2}'\"\n\
             SecRule TX:1 \"@streq x\" \"chain\"\nSecRule TX:2 \"@streq y\"",
            get("/?a=xyz"),
            "1(xy) → deny 403 by 1",
        ),
        (
            "SecRule ARGS:a \"@rx ^(.)\" \"id:1,phase:2,deny,capture,chain\"\n\
             SecRule ARGS:b \"@streq %{TX.1}\" \"t:none\"",
            get("/?a=xyz&b=x"),
            "1 → deny 403 by 1",
        ),
        (
            "SecRule ARGS \"@beginsWith x\" \"id:1,phase:2,deny,chain\"\n\
             SecRule MATCHED_VARS \"@endsWith z\" \"t:none\"",
            get("/?a=xy&b=xz"),
            "1 → deny 403 by 1",
        ),
        (
            "SecRule ARGS \"@beginsWith x\" \"id:1,phase:2,deny,chain\"\n\
             SecRule MATCHED_VARS \"@endsWith z\" \"t:none\"",
            get("/?a=xy&b=z"),
            "→ pass",
        ),
        (
            "SecRule ARGS \"@beginsWith x\" \"id:1,phase:2,deny,chain\"\n\
             SecRule MATCHED_VARS_NAMES \"@streq ARGS:b\" \"t:none\"",
            get("/?a=xy&b=xz"),
            "1 → deny 403 by 1",
        ),
        (
            "SecRule ARGS:a \"@rx x\" \"id:1,phase:2,deny,chain\"\n\
             SecRule MATCHED_VAR \"@streq xy\" \"t:none\"",
            get("/?a=xy"),
            "1 → deny 403 by 1",
        ),
    ]);
}

#[test]
fn what_one_chain_found_is_not_there_for_the_next_rule() {
    tell(&[(
        "SecRule ARGS:a \"@rx x\" \"id:1,phase:2,pass,nolog\"\n\
         SecRule ARGS:b \"@rx y\" \"id:2,phase:2,deny,chain\"\n\
         SecRule MATCHED_VARS \"@streq x\" \"t:none\"",
        get("/?a=x&b=y"),
        "→ pass",
    )]);
}

#[test]
fn each_link_that_matches_sets_its_variables_even_if_the_chain_fails() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,deny,setvar:tx.a=1,chain\"\n\
                SecRule ARGS:b \"@streq 1\" \"setvar:tx.b=1,chain\"\n\
                SecRule ARGS:c \"@streq 1\" \"setvar:tx.c=1\"\n\
                SecAction \"id:2,phase:5,pass,msg:'%{tx.a}%{tx.b}%{tx.c}'\"";
    tell(&[
        (text, get("/?a=1&b=1&c=1"), "1 2(111) → deny 403 by 1"),
        (text, get("/?a=1&b=1"), "2(11) → pass"),
        (text, get("/?a=1&c=1"), "2(1) → pass"),
        (text, get("/?b=1&c=1"), "2 → pass"),
    ]);
}

#[test]
fn the_head_says_what_follows_and_the_first_link_that_speaks_says_what_is_told() {
    tell(&[
        (
            "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,deny,status:409,msg:'head',chain\"\n\
             SecRule ARGS:b \"@streq 1\" \"msg:'link'\"",
            get("/?a=1&b=1"),
            "1(head) → deny 409 by 1",
        ),
        (
            "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,deny,chain\"\n\
             SecRule ARGS:b \"@streq 1\" \"msg:'link'\"",
            get("/?a=1&b=1"),
            "1(link) → deny 403 by 1",
        ),
    ]);
}

#[test]
fn a_negated_link_matches_where_its_operator_does_not_hold() {
    let text = "SecRule REQUEST_METHOD \"@streq POST\" \"id:1,phase:2,deny,chain\"\n\
                SecRule ARGS:token \"!@streq secret\" \"t:none\"";
    tell(&[
        (text, form("token=guess"), "1 → deny 403 by 1"),
        (text, form("token=secret"), "→ pass"),
        // Nothing is there that could differ.
        (text, form("other=1"), "→ pass"),
        (text, get("/?token=guess"), "→ pass"),
    ]);
}

#[test]
fn transformations_of_one_link_are_not_those_of_the_next() {
    let text = "SecRule ARGS:a \"@streq abc\" \"id:1,phase:2,deny,t:lowercase,chain\"\n\
                SecRule ARGS:a \"@streq ABC\"";
    tell(&[(text, get("/?a=ABC"), "1 → deny 403 by 1"), (text, get("/?a=abc"), "→ pass")]);
}
