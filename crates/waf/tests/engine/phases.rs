//! Phases: which rules run when.

use crate::exchange::{form, get, rules, tell};

#[test]
fn rules_run_phase_by_phase_whatever_their_place_in_the_file() {
    tell(&[
        (
            "SecAction \"id:5,phase:5,pass\"\nSecAction \"id:4,phase:4,pass\"\n\
             SecAction \"id:3,phase:3,pass\"\nSecAction \"id:2,phase:2,pass\"\n\
             SecAction \"id:1,phase:1,pass\"",
            get("/"),
            "1 2 3 4 5 → pass",
        ),
        (
            "SecAction \"id:1,phase:logging,pass\"\nSecAction \"id:2,phase:response,pass\"\n\
             SecAction \"id:3,phase:request,pass\"",
            get("/"),
            "3 2 1 → pass",
        ),
        (
            "SecAction \"id:30,phase:1,pass\"\nSecAction \"id:20,phase:1,pass\"\n\
             SecAction \"id:10,phase:1,pass\"",
            get("/"),
            "30 20 10 → pass",
        ),
        ("SecAction \"id:1,pass\"\nSecAction \"id:2,phase:1,pass\"", get("/"), "2 1 → pass"),
    ]);
}

#[test]
fn what_is_refused_goes_no_further_but_is_logged() {
    let all = "SecAction \"id:10,phase:1,pass\"\nSecAction \"id:20,phase:2,pass\"\n\
               SecAction \"id:30,phase:3,pass\"\nSecAction \"id:40,phase:4,pass\"\n\
               SecAction \"id:50,phase:5,pass\"\n";
    for (phase, story) in [
        (1, "10 1 50 → deny 403 by 1"),
        (2, "10 20 1 50 → deny 403 by 1"),
        (3, "10 20 30 1 50 → deny 403 by 1"),
        (4, "10 20 30 40 1 50 → deny 403 by 1"),
    ] {
        let text = format!(
            "{all}SecAction \"id:1,phase:{phase},deny\"\nSecAction \"id:2,phase:{phase},pass\""
        );
        tell(&[(&text, get("/"), story)]);
    }
}

#[test]
fn nothing_is_refused_once_the_exchange_is_over() {
    tell(&[
        ("SecAction \"id:1,phase:5,deny\"\nSecAction \"id:2,phase:5,pass\"", get("/"), "1 → pass"),
        ("SecAction \"id:1,phase:5,drop\"", get("/"), "1 → pass"),
        ("SecAction \"id:1,phase:5,redirect:/x\"", get("/"), "1 → pass"),
    ]);
}

#[test]
fn the_body_is_there_from_the_second_phase_on() {
    let text = "SecRule ARGS_POST:a \"@streq b\" \"id:1,phase:1,pass\"\n\
                SecRule ARGS_POST:a \"@streq b\" \"id:2,phase:2,pass\"\n\
                SecRule ARGS:a \"@streq b\" \"id:3,phase:3,pass\"\n\
                SecRule REQUEST_BODY \"@streq a=b\" \"id:4,phase:5,pass\"";
    tell(&[(text, form("a=b"), "2 3 4 → pass")]);
}

#[test]
fn the_engine_refuses_only_detects_or_is_off() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:1,deny\"\n\
                SecRule ARGS:a \"@streq 1\" \"id:2,phase:2,drop\"\n\
                SecAction \"id:3,phase:5,pass\"";
    for (mode, story) in
        [("On", "1 3 → deny 403 by 1"), ("DetectionOnly", "1 2 3 → pass"), ("Off", "→ pass")]
    {
        let text = format!("{text}\nSecRuleEngine {mode}");
        tell(&[(&text, get("/?a=1"), story)]);
    }
}

#[test]
fn an_engine_that_is_off_wants_no_bodies() {
    for (mode, is_wanted) in [("On", true), ("DetectionOnly", true), ("Off", false)] {
        let rules = rules(&format!("SecRuleEngine {mode}"));
        let transaction = bartizan_waf::Transaction::new(rules, None);
        assert_eq!(transaction.wants_request_body(), is_wanted, "{mode}");
        assert_eq!(transaction.wants_response_body(), is_wanted, "{mode}");
    }
}
