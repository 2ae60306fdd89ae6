use serde_json::{Value, json};

use super::*;
use crate::fixture::Bench;

fn plugin(config: &Value) -> Acl {
    Bench::new().compile(config).unwrap()
}

/// What comes of a consumer with these labels.
fn consumer(config: &Value, labels: &[(&str, &str)]) -> Result<(), Refusal> {
    plugin(config).judge(&Reading::Any, |name| {
        labels.iter().find(|(own, _)| *own == name).map(|(_, value)| Label::Text(value))
    })
}

/// What comes of a caller with this claim `groups`.
fn external(config: &Value, claim: &Value) -> Result<(), Refusal> {
    let plugin = plugin(config);
    let label = |name: &str| (name == &*plugin.claim_label).then_some(Label::Claim(claim));
    plugin.judge(&plugin.reading, label)
}

#[test]
fn one_value_of_one_name_is_enough() {
    let config = json!({ "allow_labels": { "team": ["a", "b"], "role": ["admin"] } });
    for labels in [[("team", "b"), ("x", "y")], [("team", "z"), ("role", "admin")]] {
        assert_eq!(consumer(&config, &labels), Ok(()));
    }
    for labels in [[("team", "c"), ("role", "user")], [("teams", "a"), ("Team", "a")]] {
        assert_eq!(consumer(&config, &labels), Err(Refusal::NotAllowed));
    }
    assert_eq!(consumer(&config, &[]), Err(Refusal::NotAllowed));
}

#[test]
fn deny_wins() {
    let config =
        json!({ "allow_labels": { "team": ["a"] }, "deny_labels": { "state": ["suspended"] } });
    assert_eq!(consumer(&config, &[("team", "a")]), Ok(()));
    let denied = consumer(&config, &[("team", "a"), ("state", "new,suspended")]);
    assert_eq!(denied, Err(Refusal::Denied("state".into())));
}

#[test]
fn texts_have_several_values() {
    let config = json!({ "allow_labels": { "team": ["b", "7", "true"] } });
    for text in ["b", "a,b", " a , b ", r#"["a","b"]"#, "[7]", "[true]", r#"[" b "]"#] {
        assert_eq!(consumer(&config, &[("team", text)]), Ok(()), "{text}");
    }
    for text in ["", "a", "ab", "a b", "a;b", "[]", r#"["a"]"#] {
        assert_eq!(consumer(&config, &[("team", text)]), Err(Refusal::NotAllowed), "{text}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let allow = json!({ "allow_labels": { "groups": ["a"] } });
    let deny = json!({ "deny_labels": { "groups": ["a"] } });
    for text in ["[", r#"["a""#, r#"["b",{}]"#, r#"["b",["b"]]"#, "[1.5]", "[null]"] {
        for config in [&allow, &deny] {
            let refusal = consumer(config, &[("groups", text)]).unwrap_err();
            assert!(matches!(refusal, Refusal::Unreadable(..)), "{text}");
        }
    }
    for claim in [json!({}), json!(null), json!(1.5), json!(["b", null])] {
        for config in [&allow, &deny] {
            let refusal = external(config, &claim).unwrap_err();
            assert!(matches!(refusal, Refusal::Unreadable(..)), "{claim}");
        }
    }
}

#[test]
fn a_parser_reads_in_one_way_only() {
    let parsed = |parser: &str, separator: Option<&str>, claim: Value| {
        let mut config = json!({
            "allow_labels": { "groups": ["a"] },
            "external_user_label_field_parser": parser,
        });
        if let Some(separator) = separator {
            config["external_user_label_field_separator"] = separator.into();
        }
        external(&config, &claim)
    };
    let unreadable = |outcome| matches!(outcome, Err(Refusal::Unreadable(..)));
    assert_eq!(parsed("segmented_text", Some(r"[|;]"), json!("b | a;c")), Ok(()));
    let whole = parsed("segmented_text", Some(r"[|;]"), json!("b,a"));
    assert_eq!(whole, Err(Refusal::NotAllowed));
    assert!(unreadable(parsed("segmented_text", Some(";"), json!(["a"]))));
    assert_eq!(parsed("json", None, json!(r#"["a"]"#)), Ok(()));
    assert!(unreadable(parsed("json", None, json!("a"))));
    assert!(unreadable(parsed("json", None, json!(["a"]))));
    assert_eq!(parsed("table", None, json!(["a"])), Ok(()));
    assert!(unreadable(parsed("table", None, json!("a"))));
}

#[test]
fn without_a_parser_a_claim_is_read_by_what_it_is() {
    let config = json!({ "allow_labels": { "groups": ["a", "7"] } });
    for claim in [json!("a"), json!("b,a"), json!(r#"["a"]"#), json!(["b", "a"]), json!(7)] {
        assert_eq!(external(&config, &claim), Ok(()), "{claim}");
    }
}

#[test]
fn only_allowed_labels_are_a_grant() {
    let grants = |config| plugin(&config).traits().proves.grant;
    assert!(grants(json!({ "allow_labels": { "team": ["a"] } })));
    assert!(!grants(json!({ "deny_labels": { "team": ["a"] } })));
}

#[test]
fn what_cannot_work_does_not_compile() {
    let with = |key: &str, value: Value| {
        let mut config = json!({ "allow_labels": { "team": ["a"] } });
        config[key] = value;
        config
    };
    for (config, problem) in [
        (json!({}), "needs `allow_labels`"),
        (json!({ "deny_labels": { "team": [] } }), "empty"),
        (with("rejected_code", json!(200)), "400 to 599"),
        (with("external_user_label_field", json!("$..a")), "not a path"),
        (with("external_user_label_field", json!("$.a[*]")), "not a path"),
        (with("external_user_label_field_parser", json!("segmented_text")), "needs"),
        (with("external_user_label_field_separator", json!(",")), "segmented_text"),
    ] {
        let fault = Bench::new().fault::<Acl>(&config);
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
}

proptest::proptest! {
    /// Against a naive reading: lists of short words, joined by commas.
    #[test]
    fn it_agrees_with_a_naive_reading(
        own in proptest::collection::vec("[ab]{1,2}", 1..4),
        allow in proptest::collection::vec("[ab]{1,2}", 1..4),
        deny in proptest::collection::vec("[ab]{1,2}", 1..3),
        as_json: bool,
    ) {
        let meets = |list: &[String]| list.iter().any(|value| own.contains(value));
        let config = json!({ "allow_labels": { "t": allow }, "deny_labels": { "t": deny } });
        let text = if as_json { json!(own).to_string() } else { own.join(",") };
        let passes = meets(&allow) && !meets(&deny);
        proptest::prop_assert_eq!(consumer(&config, &[("t", &text)]).is_ok(), passes);
    }
}
