//! Counts that outlive an exchange, bounded in number and in time.

use std::sync::Arc;

use bartizan_waf::Collections;

use crate::exchange::{Exchange, NOW, get, rules};

const BY_ADDRESS: &str = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR},setvar:ip.n=+1\"\n\
                          SecAction \"id:9,phase:1,pass,msg:'%{IP.n}'\"";

/// What rule 9 says of each exchange, in turn.
fn said(text: &str, exchanges: &[Exchange]) -> Vec<String> {
    let (rules, counts) = (rules(text), Arc::new(Collections::new(100)));
    exchanges.iter().map(|exchange| exchange.counted(&rules, &counts).msg(9)).collect()
}

#[test]
fn addresses_are_counted_apart() {
    let (first, second) = (get("/"), get("/").from([198, 51, 100, 7]));
    let exchanges = [first.clone(), first.clone(), second.clone(), first, second];
    assert_eq!(said(BY_ADDRESS, &exchanges), ["1", "2", "1", "3", "2"]);
}

#[test]
fn sessions_users_resources_and_all_are_counted_apart() {
    for (open, name) in [
        ("setsid:%{ARGS.who}", "SESSION"),
        ("setuid:%{ARGS.who}", "USER"),
        ("setrsc:%{ARGS.who}", "RESOURCE"),
        ("initcol:session=%{ARGS.who}", "SESSION"),
        ("initcol:user=%{ARGS.who}", "USER"),
        ("initcol:global=%{ARGS.who}", "GLOBAL"),
    ] {
        let text = format!(
            "SecAction \"id:1,phase:1,pass,nolog,{open},setvar:{name}.n=+1\"\n\
             SecRule {name}:n \"@gt 0\" \"id:9,phase:1,pass,msg:'%{{{name}.n}}'\""
        );
        let exchanges = ["/?who=a", "/?who=b", "/?who=a"].map(get);
        assert_eq!(said(&text, &exchanges), ["1", "1", "2"], "{open}");
    }
}

#[test]
fn the_keys_of_sessions_and_users_are_variables() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,setsid:s-%{ARGS.s},setuid:%{ARGS.u}\"\n\
                SecAction \"id:9,phase:1,pass,msg:'%{SESSIONID} %{USERID}'\"";
    assert_eq!(said(text, &[get("/?s=1&u=ann")]), ["s-1 ann"]);
}

#[test]
fn a_record_ends_so_long_after_its_last_change() {
    let text = format!("SecCollectionTimeout 60\n{BY_ADDRESS}");
    let at = |seconds| get("/").at(NOW + seconds);
    assert_eq!(said(&text, &[at(0), at(59), at(118), at(178)]), ["1", "2", "3", "1"]);
}

#[test]
fn one_member_ends_when_it_is_told_to() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
                SecRule ARGS:block \"@eq 1\" \"id:2,phase:1,pass,nolog,setvar:ip.blocked=1,expirevar:ip.blocked=30,setvar:ip.other=1\"\n\
                SecAction \"id:9,phase:1,pass,msg:'%{IP.blocked}|%{IP.other}'\"";
    let at = |target, seconds| get(target).at(NOW + seconds);
    let exchanges = [at("/", 0), at("/?block=1", 0), at("/", 29), at("/", 30)];
    assert_eq!(said(text, &exchanges), ["|", "1|1", "1|1", "|1"]);
}

#[test]
fn a_member_lives_as_long_as_it_was_told_even_if_its_record_would_end_before() {
    let text = "SecCollectionTimeout 10\n\
                SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
                SecRule ARGS:block \"@eq 1\" \"id:2,phase:1,pass,nolog,setvar:ip.blocked=1,expirevar:ip.blocked=600\"\n\
                SecRule ARGS:count \"@eq 1\" \"id:3,phase:1,pass,nolog,setvar:ip.n=+1\"\n\
                SecAction \"id:9,phase:1,pass,msg:'%{IP.blocked}'\"";
    let at = |target, seconds| get(target).at(NOW + seconds);
    let exchanges =
        [at("/?block=1", 0), at("/", 11), at("/?count=1", 300), at("/", 599), at("/", 600)];
    assert_eq!(said(text, &exchanges), ["1", "1", "1", "1", ""]);
}

#[test]
fn members_are_set_and_taken_away() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
                SecRule ARGS:set \"@rx .\" \"id:2,phase:1,pass,nolog,setvar:'ip.v=%{ARGS.set}'\"\n\
                SecRule ARGS:less \"@rx .\" \"id:3,phase:1,pass,nolog,setvar:ip.v=-%{ARGS.less}\"\n\
                SecRule ARGS:unset \"@rx .\" \"id:4,phase:1,pass,nolog,setvar:!ip.v\"\n\
                SecAction \"id:9,phase:1,pass,msg:'%{IP.v}'\"";
    let exchanges = ["/?set=5", "/?less=2", "/?set=text", "/?unset=1", "/"].map(get);
    assert_eq!(said(text, &exchanges), ["5", "3", "text", "", ""]);
}

#[test]
fn what_was_not_opened_is_not_counted() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,setvar:ip.n=+1,initcol:session=%{ARGS.none}\"\n\
                SecAction \"id:2,phase:1,pass,nolog,setvar:session.n=+1\"\n\
                SecAction \"id:9,phase:1,pass,msg:'%{IP.n}|%{SESSION.n}'\"";
    assert_eq!(said(text, &[get("/"), get("/")]), ["|", "|"]);
}

#[test]
fn applications_do_not_share_counts() {
    let counts = Arc::new(Collections::new(100));
    let shop = rules(&format!("SecWebAppId shop\n{BY_ADDRESS}"));
    let blog = rules(&format!("SecWebAppId blog\n{BY_ADDRESS}"));
    let told = [&shop, &blog, &shop].map(|rules| get("/").counted(rules, &counts).msg(9));
    assert_eq!(told, ["1", "1", "2"]);
}

#[test]
fn there_are_never_more_records_than_there_is_room_for() {
    let (rules, counts) = (rules(BY_ADDRESS), Arc::new(Collections::new(16)));
    let from = |host: u8, at: u64| get("/").from([10, 0, 0, host]).at(at);
    for host in 0..=255 {
        assert_eq!(from(host, NOW + u64::from(host)).counted(&rules, &counts).msg(9), "1");
    }
    let later = NOW + 300;
    let known =
        (0..=255).rev().filter(|host| from(*host, later).counted(&rules, &counts).msg(9) == "2");
    let known: Vec<u8> = known.collect();
    // One for each of the parts that the records are kept in, and the youngest of each.
    assert!(!known.is_empty() && known.len() <= 16, "{known:?}");
    assert_eq!(known.first(), Some(&255));
}

#[test]
fn a_record_has_a_bounded_number_of_members() {
    let text = "SecAction \"id:1,phase:1,pass,nolog,initcol:ip=%{REMOTE_ADDR}\"\n\
                SecRule ARGS_NAMES \"@rx .\" \"id:2,phase:1,pass,nolog,setvar:'ip.%{MATCHED_VAR}=1'\"\n\
                SecRule &IP \"@le 64\" \"id:9,phase:1,pass\"";
    let many = (0..200).map(|n| format!("n{n}=")).collect::<Vec<_>>().join("&");
    assert_eq!(said(text, &[get(format!("/?{many}"))]), [""]);
}
