//! What becomes of a request: `deny`, `drop`, `redirect`, `block`, `pass`, `status`.

use crate::exchange::{get, tell};

#[test]
fn disruptive_actions_do_what_they_say() {
    let rule = |actions: &str| format!("SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,{actions}\"");
    for (actions, story) in [
        ("deny", "1 → deny 403 by 1"),
        ("deny,status:406", "1 → deny 406 by 1"),
        ("status:429,deny", "1 → deny 429 by 1"),
        ("drop", "1 → drop by 1"),
        ("pass", "1 → pass"),
        ("redirect:https://example.com/sorry", "1 → redirect 302 https://example.com/sorry by 1"),
        ("redirect:/a,status:307", "1 → redirect 307 /a by 1"),
        // What is no status of a redirection would be followed by nobody.
        ("redirect:/a,status:200", "1 → redirect 302 /a by 1"),
        (
            "redirect:'/a?v=%{ARGS.v}&ip=%{REMOTE_ADDR}'",
            "1 → redirect 302 /a?v=x&ip=192.0.2.1 by 1",
        ),
        // Nothing says what `block` is, so it lets through, as the stock set's own default does.
        ("block", "1 → pass"),
        ("t:none", "1 → pass"),
    ] {
        tell(&[(&rule(actions), get("/?a=1&v=x"), story)]);
    }
}

#[test]
fn a_redirect_cannot_be_split_by_what_the_client_sends() {
    let text = "SecRule ARGS:a \"@rx .\" \"id:1,phase:2,redirect:'/to?%{ARGS.a}',nolog\"";
    tell(&[
        (text, get("/?a=x"), "→ redirect 302 /to?x by 1"),
        (text, get("/?a=x%0d%0aSet-Cookie:b=c"), "→ redirect 302 /to?x%0D%0ASet-Cookie:b=c by 1"),
        (text, get("/?a=%00%7f"), "→ redirect 302 /to?%00%7F by 1"),
    ]);
}

#[test]
fn block_does_what_the_default_of_its_phase_says() {
    let rules = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:1,block\"\n\
                 SecRule ARGS:a \"@streq 2\" \"id:2,phase:2,block\"\n\
                 SecRule ARGS:a \"@streq 3\" \"id:3,phase:2,block,status:410\"\n\
                 SecRule ARGS:a \"@streq 4\" \"id:4,phase:2,pass\"\n\
                 SecRule ARGS:a \"@streq 5\" \"id:5,phase:2,t:none\"\n\
                 SecRule ARGS:a \"@streq 6\" \"id:6,phase:3,block\"";
    let text = format!(
        "SecDefaultAction \"phase:1,drop,log\"\n\
         SecDefaultAction \"phase:2,deny,status:404,log\"\n{rules}"
    );
    tell(&[
        (&text, get("/?a=1"), "1 → drop by 1"),
        (&text, get("/?a=2"), "2 → deny 404 by 2"),
        (&text, get("/?a=3"), "3 → deny 410 by 3"),
        (&text, get("/?a=4"), "4 → pass"),
        // A rule that says nothing does the same; ModSecurity 3 would let through.
        (&text, get("/?a=5"), "5 → deny 404 by 5"),
        (&text, get("/?a=6"), "6 → pass"),
    ]);
}

#[test]
fn a_default_counts_for_the_rules_below_it() {
    let text = "SecRule ARGS:a \"@streq 1\" \"id:1,phase:2,block\"\n\
                SecDefaultAction \"phase:2,deny,log\"\n\
                SecRule ARGS:a \"@streq 2\" \"id:2,phase:2,block\"\n\
                SecDefaultAction \"phase:2,pass,nolog,t:lowercase\"\n\
                SecRule ARGS:a \"@streq abc\" \"id:3,phase:2,block,log\"\n\
                SecRule ARGS:a \"@streq ABC\" \"id:4,phase:2,t:none,log\"\n\
                SecRule ARGS:a \"@streq x\" \"id:5,phase:2\"";
    tell(&[
        (text, get("/?a=1"), "1 → pass"),
        (text, get("/?a=2"), "2 → deny 403 by 2"),
        (text, get("/?a=ABC"), "3 4 → pass"),
        (text, get("/?a=x"), "→ pass"),
    ]);
}

#[test]
fn the_first_rule_that_refuses_decides() {
    let text = "SecRule ARGS:a \"@rx 1\" \"id:1,phase:1,pass\"\n\
                SecRule ARGS:a \"@rx 2\" \"id:2,phase:1,deny,status:409\"\n\
                SecRule ARGS:a \"@rx 3\" \"id:3,phase:1,drop\"";
    tell(&[
        (text, get("/?a=123"), "1 2 → deny 409 by 2"),
        (text, get("/?a=13"), "1 3 → drop by 3"),
    ]);
}
