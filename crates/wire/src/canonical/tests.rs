use proptest::prelude::*;

use super::*;
use crate::fields::Fields;
use crate::head::{BodyLength, ConnectionUse, Version};

pub(super) const MERGE: PathPolicy = PathPolicy { merge_slashes: true, ..PathPolicy::AS_WRITTEN };
pub(super) const KEEP: PathPolicy = PathPolicy::AS_WRITTEN;

fn head(method: Method, target: &[u8], host: &str) -> RequestHead {
    let mut fields = Fields::new();
    fields.append("host", Bytes::copy_from_slice(host.as_bytes()));
    RequestHead {
        method,
        target: Bytes::copy_from_slice(target),
        authority: None,
        scheme: None,
        version: Version::Http11,
        fields,
        body: BodyLength::None,
        connection: ConnectionUse::KeepAlive,
        expects_continue: false,
        handshake: crate::Handshake::Absent,
    }
}

pub(super) fn canonical(target: &[u8], policy: PathPolicy) -> Result<Canonical, TargetRefusal> {
    Canonical::from_request(&head(Method::GET, target, "a.example"), true, policy)
}

pub(super) fn path(target: &str, policy: PathPolicy) -> Result<String, &'static str> {
    canonical(target.as_bytes(), policy).map(|c| c.path().to_owned()).map_err(|r| r.detail)
}

#[test]
fn paths_have_one_form() {
    for (target, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%61%2Db", "/a-b"),
        ("/%7euser", "/~user"),
        ("/a%20b%c3%a9", "/a%20b%C3%A9"),
        ("/a+b,c=d@e:f!$&'()*", "/a+b,c=d@e:f!$&'()*"),
        ("//a///b//", "/a/b/"),
        ("/a/./b/.", "/a/b/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a//../b", "/b"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b/c..", "/a/..b/c.."),
        ("/100%25", "/100%25"),
        ("/100%25-x", "/100%25-x"),
        ("/[a]{b}|^`\"<>", "/%5Ba%5D%7Bb%7D%7C%5E%60%22%3C%3E"),
        ("/%5b%5D", "/%5B%5D"),
        ("/a%3Fb%23c", "/a%3Fb%23c"),
        ("http://a.example", "/"),
        ("http://a.example/x/../y", "/y"),
        ("https://a.example?x", "/"),
    ] {
        assert_eq!(path(target, MERGE), Ok(expected.to_owned()), "{target}");
    }
}

#[test]
fn slashes_stay_where_the_node_says_so() {
    for (target, expected) in [
        ("//a///b//", "//a///b//"),
        ("/a//../b", "/a/b"),
        ("/a//.", "/a//"),
        ("/a//..", "/a/"),
        ("/a/b/..", "/a/"),
    ] {
        assert_eq!(path(target, KEEP), Ok(expected.to_owned()), "{target}");
    }
}

#[test]
fn what_could_be_another_path_is_refused() {
    for target in [
        "/a%2Fb",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/a;b",
        "/a%3bb",
        "/..;/a",
        "/a%00b",
        "/a%0ab",
        "/a%0Db",
        "/a%1fb",
        "/a%7Fb",
        "/a%09b",
        "/%",
        "/%2",
        "/%zz",
        "/%u0041",
        "/%%34%31",
        "/%252e",
        "/%25%32%65",
        "/%252F",
        "/%c0%af",
        "/%C0%2e",
        "/%e0%80%af",
        "/%ff",
        "/%e9",
        "/%ed%a0%80",
        "/%c2%80",
        "/%c3",
        "/%c3/x",
        "/..",
        "/../a",
        "/a/../..",
        "/%2e%2e/a",
        "/a/b/../../../c",
        "/a#b",
        "/é",
        "/a b",
        "//../a",
        "a",
        "",
        "*",
    ] {
        let refused = canonical(target.as_bytes(), MERGE).map_err(|r| r.reason);
        assert_eq!(refused.err(), Some(Reason::AmbiguousTarget), "{target}");
    }
    for raw in [&b"/a\0b"[..], b"/a\nb", b"/a\rb", b"/a\tb", b"/\xff", b"/\x7f"] {
        assert!(canonical(raw, MERGE).is_err(), "{raw:?}");
    }
}

#[test]
fn queries_are_kept_as_they_came() {
    for (target, query) in [
        ("/a", None),
        ("/a?", Some("")),
        ("/a?b=/../%2F%2e//c", Some("b=/../%2F%2e//c")),
        ("/a?x=1?y=2&&z", Some("x=1?y=2&&z")),
        ("/a?t=one%0D%0Atwo%09", Some("t=one%0D%0Atwo%09")),
        ("/a?[b]={c}|\\", Some("[b]={c}|\\")),
        ("http://a.example?x=1", Some("x=1")),
    ] {
        let found = canonical(target.as_bytes(), MERGE).unwrap();
        assert_eq!(found.query(), query, "{target}");
    }
}

#[test]
fn queries_that_cannot_be_read_are_refused() {
    for target in [
        "/?%", "/?%4", "/?%4g", "/?a=%00", "/?a=%1b", "/?a=%7f", "/?a#b", "/?é", "/?a b",
        "/?%u0041",
    ] {
        assert!(canonical(target.as_bytes(), MERGE).is_err(), "{target}");
    }
    assert!(canonical(b"/?a\0", MERGE).is_err() && canonical(b"/?a\n", MERGE).is_err());
}

#[test]
fn a_query_value_is_decoded_and_unambiguous() {
    let found = canonical(b"/?owner=al%69ce+x&tag=1&t%61g=2&flag&bad=%ff&=v", MERGE).unwrap();
    assert_eq!(found.query_value("owner"), Ok(Some("alice x".into())));
    assert_eq!(found.query_value("tag"), Err(QueryFault::Repeated));
    assert_eq!(found.query_value("flag"), Ok(Some("".into())));
    assert_eq!(found.query_value("none"), Ok(None));
    assert_eq!(found.query_value("bad"), Err(QueryFault::NotText));
    assert_eq!(found.query_value(""), Ok(Some("v".into())));
    let pairs: Vec<_> = found.query_pairs().take(2).collect();
    assert_eq!(pairs, [("owner", "al%69ce+x"), ("tag", "1")]);
}

#[test]
fn the_host_has_one_form() {
    let request = head(Method::GET, b"/x?y", "API.Example.com.:8443");
    let found = Canonical::from_request(&request, false, MERGE).unwrap();
    assert_eq!(found.host(), "api.example.com");
    assert_eq!(found.port(), Some(8443));
    assert_eq!(found.authority(), "api.example.com:8443");
    assert_eq!(found.path_and_query(), "/x?y");
    assert_eq!(found.scheme(), "http");
    assert_eq!(found.raw_target(), b"/x?y");
}

#[test]
fn a_missing_repeated_or_broken_host_is_refused() {
    let mut request = head(Method::GET, b"/", "a");
    request.fields.append("host", "a");
    let twice = Canonical::from_request(&request, true, MERGE).map_err(|r| r.reason);
    assert_eq!(twice.err(), Some(Reason::BadHost));
    request.fields.clear();
    assert!(Canonical::from_request(&request, true, MERGE).is_err());
    assert!(Canonical::from_request(&head(Method::GET, b"/", "a@b"), true, MERGE).is_err());
}

#[test]
fn the_asterisk_is_for_options_only() {
    let found = Canonical::from_request(&head(Method::OPTIONS, b"*", "a"), true, MERGE).unwrap();
    assert_eq!((found.path(), found.query()), ("*", None));
    assert!(found.with_method("GET").is_err());
}

#[test]
fn rewrites_pass_the_same_gate() {
    let found = canonical(b"/old?q=1", MERGE).unwrap();
    let next = found.rewritten("/new//%61/../b?r=2", MERGE).unwrap();
    assert_eq!(next.path_and_query(), "/new/b?r=2");
    assert_eq!((next.host(), next.raw_target()), ("a.example", &b"/old?q=1"[..]));
    for bad in ["new", "", "/a%2fb", "/../x", "/a\r\nb", "/é", "/a?b c", "http://b/"] {
        assert!(found.rewritten(bad, MERGE).is_err(), "{bad:?}");
    }
    assert_eq!(found.with_method("PATCH").unwrap().method(), &Method::PATCH);
    for bad in ["", "A B", "CONNECT", "TRACE", "A\r\n"] {
        assert!(found.with_method(bad).is_err(), "{bad:?}");
    }
    let moved = found.with_host("B.example:81").unwrap();
    assert_eq!((moved.host(), moved.authority()), ("b.example", "b.example:81"));
    assert_eq!((moved.path(), moved.query()), ("/old", Some("q=1")));
    assert!(found.with_host("b@c").is_err() && found.with_host("").is_err());
}

/// The same rules, written plainly: decode everything first, judge, then encode and join.
fn naive_path(raw: &str, merge: bool) -> Option<String> {
    let mut bytes: Vec<(u8, bool)> = Vec::new();
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push((byte, false));
            continue;
        }
        let (high, low) = (char::from(rest.next()?), char::from(rest.next()?));
        let value = high.to_digit(16)? * 16 + low.to_digit(16)?;
        bytes.push((u8::try_from(value).unwrap(), true));
    }
    let all: Vec<u8> = bytes.iter().map(|b| b.0).collect();
    if std::str::from_utf8(&all).ok()?.chars().any(char::is_control) {
        return None;
    }
    let mut text = String::new();
    for (byte, was_encoded) in bytes {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let raw_ok = b"/!$&'()*+,=:@".contains(&byte) && !was_encoded;
        match byte {
            b'/' | b';' if was_encoded => return None,
            b'\\' | b';' => return None,
            b'#' | b' ' if !was_encoded => return None,
            _ if !byte.is_ascii() && !was_encoded => return None,
            _ if plain || raw_ok => text.push(char::from(byte)),
            _ => text.extend(format!("%{byte:02X}").chars()),
        }
    }
    let twice = text
        .split("%25")
        .skip(1)
        .any(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()));
    if twice {
        return None;
    }
    while merge && text.contains("//") {
        text = text.replace("//", "/");
    }
    remove_dots(&text)
}

/// RFC 3986 §5.2.4 on a path that starts with a slash, refusing to go above the root.
fn remove_dots(path: &str) -> Option<String> {
    let mut input = path.to_owned();
    let mut output = String::new();
    while !input.is_empty() {
        if input.starts_with("/./") {
            input.replace_range(..2, "");
        } else if input == "/." {
            "/".clone_into(&mut input);
        } else if input.starts_with("/../") || input == "/.." {
            let parent = output.rfind('/')?;
            output.truncate(parent);
            input.replace_range(..3, "");
            if input.is_empty() {
                input.push('/');
            }
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input.replace_range(..end, "");
        }
    }
    Some(output)
}

pub(super) fn pathish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("/".to_owned()),
        2 => Just(".".to_owned()),
        2 => Just("..".to_owned()),
        1 => Just("//".to_owned()),
        2 => "[a-c]{1,2}",
        1 => "[!$&'()*+,=:@~_|\\[\\]^{}\"<>`-]",
        2 => "%[2-7][0-9a-fA-F]",
        1 => "%[0-9a-f]{2}",
        1 => Just("%2e".to_owned()),
        1 => Just("%C3%a9".to_owned()),
        1 => Just("%25".to_owned()),
        1 => "[;#\\\\ é%]",
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn the_path_agrees_with_the_naive_one(raw in pathish(), merge in any::<bool>()) {
        let found = path(&raw, PathPolicy { merge_slashes: merge, ..PathPolicy::AS_WRITTEN });
        prop_assert_eq!(found.ok(), naive_path(&raw, merge));
    }

    #[test]
    fn canonical_paths_are_their_own_form(raw in pathish(), choice in 0_u8..16) {
        let policy = PathPolicy {
            merge_slashes: choice & 1 != 0,
            delete_tail_slash: choice & 2 != 0,
            drop_parameters: choice & 4 != 0,
            encoded_slashes: choice & 8 != 0,
        };
        if let Ok(once) = path(&raw, policy) {
            prop_assert_eq!(path(&once, policy), Ok(once.clone()));
            prop_assert!(once.bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(!once.contains(['\\', ';', '#', '?']));
            prop_assert!(!once.contains("%5C") && !once.contains("%00"));
            prop_assert!(policy.encoded_slashes || !once.contains("%2F"));
            prop_assert!(!once.replace("%2F", "/").split('/').any(|s| s == "." || s == ".."));
            prop_assert!(!policy.merge_slashes || !once.contains("//"));
            prop_assert!(!policy.delete_tail_slash || once == "/" || !once.ends_with('/'));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = canonical(&raw, MERGE);
        let _ = canonical(&[b"/", &raw[..]].concat(), KEEP);
    }
}

#[test]
fn a_query_for_logs_stands_in_every_form_of_the_target() {
    for (target, query, raw) in [
        ("/a%2d?x=1", "y=2", "/a%2d?y=2"),
        ("/a%2d?x=1", "", "/a%2d"),
        ("/a%2d", "y=2", "/a%2d?y=2"),
    ] {
        let logged = canonical(target.as_bytes(), MERGE).unwrap().with_logged_query(query);
        assert_eq!(logged.query().unwrap_or_default(), query, "{target}");
        assert_eq!(logged.path(), "/a-", "{target}");
        assert_eq!(logged.raw_target(), raw.as_bytes(), "{target}");
    }
}
