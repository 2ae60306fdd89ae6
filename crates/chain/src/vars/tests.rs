//! Names, and what has none.

use super::*;

#[test]
fn names_resolve_with_and_without_the_dollar() {
    assert_eq!(Var::parse("$remote_addr"), Ok(Var::RemoteAddr));
    assert_eq!(Var::parse("http_X_Tenant"), Ok(Var::Http("x-tenant".into())));
    assert_eq!(Var::parse("arg_id"), Ok(Var::Arg("id".into())));
    assert_eq!(Var::parse("cookie_Session"), Ok(Var::Cookie("Session".into())));
    assert_eq!(Var::parse("uri_param_id"), Ok(Var::UriParam("id".into())));
}

#[test]
fn what_cannot_be_used_says_why() {
    let name = |n: &str| n.to_owned();
    assert_eq!(Var::parse("post_arg_x"), Err(VarError::ReadsBody(name("post_arg_x"))));
    assert_eq!(Var::parse("graphql_name"), Err(VarError::ReadsBody(name("graphql_name"))));
    assert_eq!(Var::parse("post_arg.a[*]"), Err(VarError::NoPlace(name("post_arg.a[*]"))));
    for (other, why) in [
        ("document_root", "no files are served"),
        ("pipe", "one by one"),
        ("tcpinfo_rtt", "the kernel's"),
        ("geoip_city", "`geo-restriction`"),
        ("llm_model", "no language models"),
        ("upstream_http_x", "`sent_http_…`"),
    ] {
        let fault = Var::parse(other).unwrap_err().to_string();
        assert!(fault.contains("is not supported: ") && fault.contains(why), "{fault}");
    }
    assert_eq!(Var::parse("uri_param_"), Err(VarError::Unknown(name("uri_param_"))));
    assert_eq!(Var::parse("remote_adr"), Err(VarError::Unknown(name("remote_adr"))));
    assert_eq!(Var::parse("arg_"), Err(VarError::Unknown(name("arg_"))));
}

#[test]
fn what_is_known_late_is_for_readers_who_come_late() {
    for (name, at_end) in
        [("sent_http_x_y", true), ("bytes_sent", true), ("request_completion", true)]
    {
        let late = VarError::Late(name.to_owned());
        assert_eq!(Var::parse(name), Err(late));
        assert_eq!(Var::parse_within(name, Reach::End).is_ok(), at_end);
        assert!(Var::parse_within(name, Reach::Filter).is_ok_and(|var| var.needs_answer()));
    }
    let body = "post_arg_x";
    assert_eq!(Var::parse_within(body, Reach::End), Err(VarError::ReadsBody(body.into())));
    assert!(Var::parse_within(body, Reach::Filter).is_ok_and(|var| var.reads_body()));
}
