//! What rules look at: members, counts, exceptions, patterns; and what happens to values first.

use crate::exchange::{form, get, tell};

fn on(target: &str, operator: &str, actions: &str) -> String {
    format!("SecRule {target} \"{operator}\" \"id:1,phase:2,pass,{actions}\"")
}

#[test]
fn targets_pick_what_they_name() {
    for (target, wanted) in [
        ("ARGS", true),
        ("ARGS:a", true),
        ("ARGS:A", true),
        ("ARGS:b", false),
        ("ARGS:/^a/", true),
        ("ARGS:/^A$/", true),
        ("ARGS:/b/", false),
        ("ARGS:'/^(a|b)$/'", true),
        ("ARGS_GET", true),
        ("ARGS_GET:a", true),
        ("ARGS_POST", false),
        ("ARGS|!ARGS:a", false),
        ("ARGS|!ARGS:A", false),
        ("ARGS|!ARGS:b", true),
        ("ARGS|!ARGS", false),
        ("ARGS|!ARGS:/^a/", false),
        ("ARGS|!ARGS:/^b/", true),
        ("ARGS_GET|!ARGS:a", false),
        ("REQUEST_COOKIES|ARGS", true),
        ("REQUEST_COOKIES", false),
        ("QUERY_STRING", true),
    ] {
        let story = if wanted { "1 → pass" } else { "→ pass" };
        tell(&[(&on(target, "@contains xyz", "nolog,log"), get("/?a=xyz&c=1"), story)]);
    }
}

#[test]
fn a_count_is_a_number_also_where_there_is_nothing() {
    for (target, count) in [
        ("&ARGS", 3),
        ("&ARGS:a", 2),
        ("&ARGS:none", 0),
        ("&ARGS:/^[ab]$/", 3),
        ("&REQUEST_HEADERS:Host", 0),
        ("&REQUEST_COOKIES", 0),
        ("&REQUEST_URI", 1),
        ("&TX:none", 0),
        ("&ARGS|!ARGS:a", 1),
    ] {
        let text = on(target, &format!("@eq {count}"), "t:none");
        let other = on(target, &format!("@eq {}", count + 1), "t:none");
        tell(&[
            (&text, get("/?a=1&a=2&b=3"), "1 → pass"),
            (&other, get("/?a=1&a=2&b=3"), "→ pass"),
        ]);
    }
}

#[test]
fn a_negated_operator_needs_a_value_to_differ() {
    for (target, story) in [
        ("/?a=x", "→ pass"),
        ("/?a=y", "1 → pass"),
        ("/?a=", "1 → pass"),
        ("/?b=x", "→ pass"),
        // One of two is enough.
        ("/?a=x&a=y", "1 → pass"),
    ] {
        tell(&[(&on("ARGS:a", "!@streq x", "t:none"), get(target), story)]);
    }
}

#[test]
fn values_are_transformed_in_the_order_that_is_written() {
    for (actions, matches) in [
        ("t:none", "%41B"),
        ("t:lowercase", "%41b"),
        ("t:urlDecode", "AB"),
        ("t:urlDecode,t:lowercase", "ab"),
        ("t:lowercase,t:urlDecode", "Ab"),
        ("t:urlDecode,t:none,t:lowercase", "%41b"),
        ("t:lowercase,t:none", "%41B"),
        ("t:length", "4"),
        ("t:urlDecode,t:length", "2"),
        ("t:hexEncode,t:hexDecode", "%41B"),
    ] {
        let exchange = get("/?a=%2541B");
        let text = on("ARGS:a", &format!("@streq {matches}"), actions);
        tell(&[(&text, exchange.clone(), "1 → pass")]);
        tell(&[(&on("ARGS:a", &format!("!@streq {matches}"), actions), exchange, "→ pass")]);
    }
}

#[test]
fn defaults_transform_first_unless_a_rule_begins_anew() {
    let default = "SecDefaultAction \"phase:2,pass,log,t:lowercase\"\n";
    for (actions, matches) in [("log", "ab"), ("t:none", "AB"), ("t:hexEncode", "6162")] {
        let text = format!("{default}{}", on("ARGS:a", &format!("@streq {matches}"), actions));
        tell(&[(&text, get("/?a=AB"), "1 → pass")]);
    }
}

#[test]
fn multi_match_asks_after_each_step_that_changes_something() {
    let text = |more: &str, wanted: &str| {
        format!(
            "SecRule ARGS:a \"@rx ^{wanted}$\" \"id:1,phase:2,pass,nolog,t:none,t:urlDecode,\
             t:lowercase,t:trim{more},setvar:tx.n=+1\"\n\
             SecAction \"id:2,phase:2,pass,msg:'%{{tx.n}}'\""
        )
    };
    for (more, wanted, story) in [
        ("", "ab", "2(1) → pass"),
        ("", "AB", "2 → pass"),
        ("", "%41B", "2 → pass"),
        (",multiMatch", "ab", "2(1) → pass"),
        (",multiMatch", "AB", "2(1) → pass"),
        (",multiMatch", "%41B", "2(1) → pass"),
        (",multiMatch", ".*", "2(3) → pass"),
    ] {
        tell(&[(&text(more, wanted), get("/?a=%2541B"), story)]);
    }
    // The same where the value is none of the request's.
    let loose = "SecAction \"id:3,phase:2,pass,nolog,setvar:'tx.v=%{ARGS.a}'\"\n\
                 SecRule TX:v \"@rx ^(?:%41B|AB|ab)$\" \"id:1,phase:2,pass,nolog,t:urlDecode,\
                 t:lowercase,multiMatch,setvar:tx.n=+1\"\n\
                 SecAction \"id:2,phase:2,pass,msg:'%{tx.n}'\"";
    tell(&[(loose, get("/?a=%2541B"), "2(3) → pass")]);
}

#[test]
fn arguments_of_operators_may_hold_macros() {
    for operator in [
        "@streq %{ARGS.b}",
        "@contains %{ARGS.b}",
        "@beginsWith %{ARGS.b}",
        "@endsWith %{ARGS.b}",
        "@within x,%{ARGS.b},y",
        "@rx ^%{ARGS.b}$",
        "@containsWord %{ARGS.b}",
    ] {
        let text = on("ARGS:a", operator, "t:none");
        tell(&[(&text, get("/?a=abc&b=abc"), "1 → pass"), (&text, get("/?a=abc&b=xyz"), "→ pass")]);
    }
    for operator in ["@eq %{ARGS.b}", "@ge %{ARGS.b}", "@le %{ARGS.b}"] {
        tell(&[(&on("ARGS:a", operator, "t:none"), get("/?a=5&b=5"), "1 → pass")]);
    }
    for (operator, story) in [("@gt %{ARGS.b}", "1 → pass"), ("@lt %{ARGS.b}", "→ pass")] {
        tell(&[(&on("ARGS:a", operator, "t:none"), get("/?a=6&b=5"), story)]);
    }
}

#[test]
fn members_of_every_body_are_arguments() {
    use crate::exchange::post;
    let json = "SecAction \"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=JSON\"\n";
    let xml = "SecAction \"id:2,phase:1,pass,nolog,ctl:requestBodyProcessor=XML\"\n";
    let parts = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nbad\r\n\
                 --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.php\"\r\n\r\nevil\r\n--B--\r\n";
    let upload = post("multipart/form-data; boundary=B", parts);
    for (before, target, operator, exchange) in [
        ("", "ARGS:a", "@streq bad", form("a=bad")),
        ("", "ARGS:a", "@streq bad", upload.clone()),
        ("", "FILES:f", "@streq x.php", upload.clone()),
        ("", "FILES_NAMES", "@streq f", upload.clone()),
        ("", "FILES_SIZES:f", "@eq 4", upload.clone()),
        ("", "FILES_TMP_CONTENT", "@streq evil", upload.clone()),
        ("", "FILES_COMBINED_SIZE", "@eq 4", upload.clone()),
        ("", "MULTIPART_FILENAME", "@streq x.php", upload.clone()),
        ("", "MULTIPART_STRICT_ERROR", "@eq 0", upload),
        (json, "ARGS:json.a.b", "@streq bad", post("application/json", "{\"a\":{\"b\":\"bad\"}}")),
        (json, "ARGS:/^json\\.a/", "@streq bad", post("application/json", "{\"a\":[1,\"bad\"]}")),
        (json, "REQBODY_ERROR", "@eq 1", post("application/json", "{\"a\":")),
        (xml, "XML:/*", "@contains bad", post("text/xml", "<a>bad</a>")),
        (xml, "XML://@*", "@streq bad", post("text/xml", "<a b=\"bad\"/>")),
        (xml, "REQBODY_ERROR", "@eq 1", post("text/xml", "<a")),
    ] {
        let text = format!("{before}{}", on(target, operator, "t:none"));
        tell(&[(&text, exchange, "1 → pass")]);
    }
}
