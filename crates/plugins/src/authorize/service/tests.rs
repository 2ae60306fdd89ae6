use proptest::prelude::*;

use super::*;

fn names(list: &[&str], towards: Towards) -> Result<HeaderNames, Invalid> {
    let list: Vec<String> = list.iter().map(|&name| name.to_owned()).collect();
    HeaderNames::compile("upstream_headers", &list, towards)
}

#[test]
fn what_the_gateway_says_itself_is_not_passed_on() {
    use Towards::{Client, Service, Upstream};
    for (name, towards, is_fine) in [
        ("X-User", Upstream, true),
        ("X-Forwarded-User", Upstream, true),
        ("X-Userinfo", Upstream, true),
        ("X-Forwarded-For", Upstream, false),
        ("X-Real-IP", Upstream, false),
        ("X-Consumer-Username", Upstream, false),
        ("X-Credential-Identifier", Upstream, false),
        ("Host", Upstream, false),
        ("Content-Length", Upstream, false),
        ("Transfer-Encoding", Service, false),
        ("X-Forwarded-Uri", Service, false),
        ("Cookie", Service, true),
        ("Connection", Client, false),
        ("Set-Cookie", Client, true),
        ("Location", Client, true),
        ("a b", Client, false),
    ] {
        assert_eq!(names(&[name], towards).is_ok(), is_fine, "{name} {towards:?}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("x-{n}")).collect();
    assert!(HeaderNames::compile("client_headers", &many, Client).is_err());
}

#[test]
fn copies_of_a_client_are_taken_out_in_any_spelling() {
    let names = names(&["X-User-Id"], Towards::Upstream).unwrap();
    let mut fields = Fields::new();
    for name in ["x-user-id", "x_user_id", "x-user_id", "x-user", "x-user-idx"] {
        fields.append(name, "forged");
    }
    names.take_out(&mut fields);
    let left: Vec<&[u8]> = fields.iter().map(|field| field.name).collect();
    assert_eq!(left, [&b"x-user"[..], b"x-user-idx"]);
}

#[test]
fn only_named_fields_are_copied_as_often_as_they_occur() {
    let names = names(&["Set-Cookie", "X-Absent"], Towards::Client).unwrap();
    let (mut from, mut to) = (Fields::new(), Fields::new());
    from.append("set-cookie", "a=1");
    from.append("x-secret", "1");
    from.append("set-cookie", "b=2");
    names.copy(&from, &mut to);
    let copied: Vec<&[u8]> = to.iter().map(|field| field.value).collect();
    assert_eq!(copied, [&b"a=1"[..], b"b=2"]);
}

proptest! {
    /// Agrees with names compared after replacing every underscore.
    #[test]
    fn spellings_agree_with_a_naive_comparison(own in "x[a-z_-]{0,5}", other in "x[a-z_-]{0,5}") {
        let names = names(&[&own], Towards::Upstream).unwrap();
        let mut fields = Fields::new();
        fields.append(other.clone(), "x");
        names.take_out(&mut fields);
        prop_assert_eq!(fields.is_empty(), own.replace('_', "-") == other.replace('_', "-"));
    }
}
