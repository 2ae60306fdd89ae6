//! Where judging goes on: `skip`, `skipAfter`, `allow`.

use crate::exchange::{form, get, tell};

#[test]
fn skip_leaves_out_so_many_rules_of_the_phase() {
    let rest = "SecAction \"id:2,phase:2,pass\"\nSecAction \"id:3,phase:2,pass\"\n\
                SecAction \"id:4,phase:1,pass\"\nSecAction \"id:5,phase:2,pass\"";
    for (count, story) in [(1, "4 1 3 5 → pass"), (2, "4 1 5 → pass"), (9, "4 1 → pass")] {
        let text = format!("SecAction \"id:1,phase:2,pass,skip:{count}\"\n{rest}");
        tell(&[(&text, get("/"), story)]);
    }
}

#[test]
fn a_chain_is_one_rule_to_skip() {
    let text = "SecAction \"id:1,phase:2,pass,skip:1\"\n\
                SecRule ARGS:a \"@streq 1\" \"id:2,phase:2,deny,chain\"\n\
                SecRule ARGS:a \"@streq 1\" \"t:none\"\n\
                SecAction \"id:3,phase:2,pass\"";
    tell(&[(text, get("/?a=1"), "1 3 → pass")]);
}

#[test]
fn a_rule_that_does_not_match_skips_nothing() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,pass,skip:1\"\n\
                SecAction \"id:2,phase:2,pass\"\nSecAction \"id:3,phase:2,pass\"";
    tell(&[(text, get("/?a=1"), "1 3 → pass"), (text, get("/?a=2"), "2 3 → pass")]);
}

#[test]
fn skip_after_goes_on_behind_its_marker() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,pass,skipAfter:END-A\"\n\
                SecAction \"id:2,phase:2,pass\"\nSecAction \"id:3,phase:1,pass\"\n\
                SecMarker \"END-A\"\nSecAction \"id:4,phase:2,pass\"\nSecMarker \"END-B\"";
    tell(&[(text, get("/?a=1"), "3 1 4 → pass"), (text, get("/?a=2"), "3 2 4 → pass")]);
}

#[test]
fn of_two_markers_of_a_name_the_next_one_below_counts() {
    let text = "SecMarker END\nSecAction \"id:1,phase:2,pass,skipAfter:END\"\n\
                SecAction \"id:2,phase:2,pass\"\nSecMarker END\nSecAction \"id:3,phase:2,pass\"\n\
                SecMarker END\nSecAction \"id:4,phase:2,pass\"";
    tell(&[(text, get("/"), "1 3 4 → pass")]);
}

#[test]
fn a_skip_ends_with_its_phase() {
    let text = "SecAction \"id:1,phase:1,pass,skip:5\"\nSecAction \"id:2,phase:1,pass\"\n\
                SecAction \"id:3,phase:2,pass\"";
    tell(&[(text, get("/"), "1 3 → pass")]);
}

#[test]
fn allow_ends_what_it_says() {
    let rest = "SecAction \"id:2,phase:1,pass\"\nSecAction \"id:3,phase:2,pass\"\n\
                SecAction \"id:4,phase:3,pass\"\nSecAction \"id:5,phase:4,pass\"\n\
                SecAction \"id:6,phase:5,pass\"";
    for (action, story) in [
        ("allow", "1 6 → pass"),
        ("allow:request", "1 4 5 6 → pass"),
        ("allow:phase", "1 3 4 5 6 → pass"),
    ] {
        let text = format!("SecAction \"id:1,phase:1,{action}\"\n{rest}");
        tell(&[(&text, get("/"), story)]);
    }
}

#[test]
fn allow_lets_through_what_later_rules_would_refuse_and_never_what_was_refused() {
    let text = "SecRule ARGS:deny \"@streq 1\" \"id:1,phase:1,deny\"\n\
                SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/24\" \"id:2,phase:1,allow,nolog\"\n\
                SecRule ARGS \"@contains attack\" \"id:3,phase:2,deny\"";
    tell(&[
        (text, form("a=attack"), "→ pass"),
        (text, form("a=attack").from([198, 51, 100, 9]), "3 → deny 403 by 3"),
        (text, get("/?deny=1"), "1 → deny 403 by 1"),
    ]);
}

#[test]
fn what_only_detects_allows_nothing_so_that_every_match_is_seen() {
    let text = "SecRuleEngine DetectionOnly\nSecAction \"id:1,phase:1,allow\"\n\
                SecAction \"id:2,phase:2,deny\"";
    tell(&[(text, get("/"), "1 2 → pass")]);
}
