//! `setvar` and what rules know of themselves and of the request.

use crate::exchange::{form, get, tell};

#[test]
fn variables_are_set_added_to_and_taken_away() {
    for (actions, value) in [
        ("setvar:tx.a=5", "5"),
        ("setvar:tx.a", "1"),
        ("setvar:'tx.a=some text'", "some text"),
        ("setvar:tx.A=5", "5"),
        ("setvar:tx.a=5,setvar:tx.a=+3", "8"),
        ("setvar:tx.a=5,setvar:tx.a=-7", "-2"),
        ("setvar:tx.a=+3", "3"),
        ("setvar:tx.a=-3", "-3"),
        ("setvar:tx.a=abc,setvar:tx.a=+3", "3"),
        ("setvar:tx.a=4x,setvar:tx.a=+3", "7"),
        ("setvar:tx.a=05", "05"),
        ("setvar:tx.b=2,setvar:tx.a=5,setvar:tx.a=+%{tx.b}", "7"),
        ("setvar:tx.b=2,setvar:tx.a=5,setvar:tx.a=-%{tx.b}", "3"),
        ("setvar:tx.a=5,setvar:tx.a=+%{tx.none}", "5"),
        ("setvar:tx.b=2,setvar:'tx.a=%{tx.b}x%{tx.b}'", "2x2"),
        ("setvar:'tx.a=%{ARGS.q}'", "from the client"),
        ("setvar:tx.a=5,setvar:!tx.a", ""),
        ("setvar:tx.a=9223372036854775807,setvar:tx.a=+1", "9223372036854775807"),
        ("setvar:tx.b=a,setvar:tx.%{tx.b}=7", "7"),
        ("setvar:tx.b=a,setvar:tx.a=7,setvar:tx.%{tx.b}=+1", "8"),
    ] {
        let text = format!(
            "SecAction \"id:1,phase:2,pass,nolog,{actions}\"\n\
             SecAction \"id:9,phase:2,pass,msg:'%{{tx.a}}'\""
        );
        let story =
            if value.is_empty() { "9 → pass".to_owned() } else { format!("9({value}) → pass") };
        tell(&[(&text, get("/?q=from+the+client"), &story)]);
    }
}

#[test]
fn a_variable_that_is_gone_is_not_there_to_be_looked_at() {
    let text = "SecAction \"id:1,phase:2,pass,nolog,setvar:tx.a=5,setvar:tx.b=5,setvar:!tx.a\"\n\
                SecRule TX:a \"@unconditionalMatch\" \"id:2,phase:2,pass\"\n\
                SecRule TX:b \"@unconditionalMatch\" \"id:3,phase:2,pass\"\n\
                SecRule &TX:a \"@eq 0\" \"id:4,phase:2,pass\"\n\
                SecRule &TX:b \"@eq 1\" \"id:5,phase:2,pass\"";
    tell(&[(text, get("/"), "3 4 5 → pass")]);
}

#[test]
fn a_rule_sets_its_variables_once_for_each_value_that_matches() {
    let text = "SecRule ARGS \"@rx ^x\" \"id:1,phase:2,pass,nolog,setvar:tx.n=+1,\
                setvar:'tx.all=%{tx.all}[%{MATCHED_VAR_NAME}=%{MATCHED_VAR}]'\"\n\
                SecAction \"id:9,phase:2,pass,msg:'%{tx.n}%{tx.all}'\"";
    tell(&[(text, form("a=x1&b=y2&c=x3"), "9(2[ARGS:a=x1][ARGS:c=x3]) → pass")]);
}

#[test]
fn names_that_only_requests_know_are_variables_too() {
    let text = "SecRule ARGS \"@rx .\" \"id:1,phase:2,pass,nolog,setvar:'tx.seen_%{MATCHED_VAR_NAME}=%{MATCHED_VAR}'\"\n\
                SecRule TX:/^seen_/ \"@streq 2\" \"id:2,phase:2,pass,msg:'%{MATCHED_VAR_NAME}'\"\n\
                SecRule &TX:/^seen_/ \"@eq 2\" \"id:3,phase:2,pass\"";
    tell(&[(text, get("/?a=1&b=2"), "2(TX:seen_args:b) 3 → pass")]);
}

#[test]
fn scores_add_up_and_decide() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.threshold=5,setvar:tx.critical=3\"\n\
                SecRule ARGS \"@contains bad\" \"id:2,phase:2,pass,nolog,setvar:'tx.score=+%{tx.critical}'\"\n\
                SecRule TX:SCORE \"@ge %{tx.threshold}\" \"id:3,phase:2,deny,msg:'score %{TX.SCORE}'\"";
    tell(&[
        (text, get("/?a=bad&b=good"), "→ pass"),
        (text, get("/?a=bad&b=bad"), "3(score 6) → deny 403 by 3"),
    ]);
}

#[test]
fn what_matched_has_a_name_and_a_value() {
    for (rule, target, told) in [
        ("SecRule ARGS:a \"@rx x\"", "/?a=xy", "ARGS:a=xy"),
        ("SecRule ARGS_NAMES \"@rx x\"", "/?xy=1", "ARGS_NAMES:xy=xy"),
        ("SecRule REQUEST_URI \"@rx x\"", "/x", "REQUEST_URI=/x"),
        ("SecRule &ARGS \"@eq 2\"", "/?a=1&b=2", "ARGS=2"),
        ("SecRule ARGS:a \"!@rx q\"", "/?a=xy", "ARGS:a=xy"),
        ("SecRule ARGS:a \"@rx ^XY$\"", "/?a=xy", ""),
    ] {
        let text = format!(
            "{rule} \"id:1,phase:2,pass,t:none,msg:'%{{MATCHED_VAR_NAME}}=%{{MATCHED_VAR}}'\""
        );
        let story =
            if told.is_empty() { "→ pass".to_owned() } else { format!("1({told}) → pass") };
        tell(&[(&text, get(target), &story)]);
    }
}

#[test]
fn what_matched_last_stays_known_to_later_rules() {
    let text = "SecRule ARGS:a \"@rx x\" \"id:1,phase:2,pass,nolog\"\n\
                SecRule MATCHED_VAR \"@streq xy\" \"id:2,phase:2,pass\"";
    tell(&[(text, get("/?a=xy"), "2 → pass")]);
}

#[test]
fn the_highest_severity_so_far_is_known() {
    let text = "SecRule ARGS:w \"@eq 1\" \"id:1,phase:2,pass,nolog,severity:WARNING\"\n\
                SecRule ARGS:c \"@eq 1\" \"id:2,phase:2,pass,nolog,severity:CRITICAL\"\n\
                SecAction \"id:3,phase:2,pass,nolog,severity:7\"\n\
                SecRule HIGHEST_SEVERITY \"@le 3\" \"id:4,phase:2,pass,msg:'%{HIGHEST_SEVERITY}'\"";
    tell(&[
        (text, get("/?w=1"), "→ pass"),
        (text, get("/?w=1&c=1"), "4(2) → pass"),
        (text, get("/?c=1"), "4(2) → pass"),
    ]);
    let none = "SecRule HIGHEST_SEVERITY \"@eq 255\" \"id:1,phase:2,pass\"";
    tell(&[(none, get("/"), "1 → pass")]);
}

#[test]
fn a_rule_knows_itself() {
    let text = "SecRule RULE:id \"@streq 1\" \"id:1,phase:2,pass,severity:2,\
                msg:'%{RULE.id} %{rule.severity} %{RULE.msg}'\"\n\
                SecRule RULE:msg \"@streq me\" \"id:2,phase:2,pass,nolog,msg:'me',setvar:tx.a=%{rule.id}\"\n\
                SecRule TX:a \"@streq 2\" \"id:3,phase:2,pass\"";
    tell(&[(text, get("/"), "1(1 2 ) 3 → pass")]);
}

#[test]
fn the_request_is_told_in_variables() {
    let exchange = form("p=1&q=%41")
        .header("Host", "shop.example:8443")
        .header("Cookie", "s=abc; t=1")
        .header("Authorization", "Basic eA==")
        .header("X-Two", "b");
    for (variable, value) in [
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/"),
        ("REQUEST_URI_RAW", "/"),
        ("REQUEST_LINE", "POST / HTTP/1.1"),
        ("REQUEST_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_FILENAME", "/"),
        ("REQUEST_BODY", "p=1&q=%41"),
        ("REQUEST_BODY_LENGTH", "9"),
        ("REQBODY_PROCESSOR", "URLENCODED"),
        ("REQBODY_ERROR", "0"),
        ("ARGS_POST.q", "A"),
        ("ARGS_POST_NAMES", "p"),
        ("ARGS_COMBINED_SIZE", "4"),
        ("REQUEST_HEADERS.x-two", "b"),
        ("REQUEST_HEADERS_NAMES.Host", "Host"),
        ("REQUEST_COOKIES.t", "1"),
        ("REQUEST_COOKIES_NAMES", "s"),
        ("AUTH_TYPE", "Basic"),
        ("SERVER_NAME", "shop.example"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("REMOTE_PORT", "4711"),
        ("SERVER_ADDR", "198.51.100.2"),
        ("SERVER_PORT", "443"),
        ("UNIQUE_ID", "exchange-1"),
        ("TIME_EPOCH", "1764000000"),
        ("TIME_YEAR", "2025"),
        ("TIME_MON", "10"),
        ("TIME_DAY", "24"),
        ("TIME_WDAY", "1"),
        ("TIME_HOUR", "16"),
        ("TIME", "16:00:00"),
        ("WEBAPPID", "default"),
        ("FILES_COMBINED_SIZE", "0"),
        ("INBOUND_DATA_ERROR", "0"),
    ] {
        let text = format!("SecAction \"id:1,phase:2,pass,msg:'%{{{variable}}}'\"");
        tell(&[(&text, exchange.clone(), &format!("1({value}) → pass"))]);
    }
    let target = get("/a/b%2ec?q=x%20y#frag");
    for (variable, value) in [
        ("REQUEST_URI", "/a/b%2ec?q=x%20y#frag"),
        ("REQUEST_FILENAME", "/a/b.c"),
        ("REQUEST_BASENAME", "b.c"),
        ("QUERY_STRING", "q=x%20y#frag"),
        ("ARGS.q", "x y#frag"),
        ("ARGS_GET.Q", "x y#frag"),
    ] {
        let text = format!("SecAction \"id:1,phase:2,pass,msg:'%{{{variable}}}'\"");
        tell(&[(&text, target.clone(), &format!("1({value}) → pass"))]);
    }
}
