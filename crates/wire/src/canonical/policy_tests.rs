//! What a node's policy changes of a path.

use proptest::prelude::*;

use super::tests::{KEEP, MERGE, canonical, path, pathish};
use super::*;

#[test]
fn slashes_at_the_end_go_where_the_node_says_so() {
    let policy = PathPolicy { delete_tail_slash: true, ..MERGE };
    for (target, expected) in
        [("/", "/"), ("/a/", "/a"), ("/a//", "/a"), ("/a/.", "/a"), ("/a/..", "/"), ("/a", "/a")]
    {
        assert_eq!(path(target, policy), Ok(expected.to_owned()), "{target}");
        let kept = PathPolicy { delete_tail_slash: true, ..KEEP };
        assert_eq!(path(target, kept), Ok(expected.to_owned()), "{target}");
    }
}

#[test]
fn parameters_are_dropped_where_the_node_says_so() {
    let policy = PathPolicy { drop_parameters: true, ..MERGE };
    for (target, expected) in [
        ("/a;v=1/b", "/a/b"),
        ("/a;v=1;w=%20/b;x", "/a/b"),
        ("/a;", "/a"),
        ("/a/b;/../c", "/a/c"),
        ("/...;x", "/..."),
    ] {
        assert_eq!(path(target, policy), Ok(expected.to_owned()), "{target}");
    }
    for target in ["/;x", "/a/;x/b", "/.;/a", "/..;/a", "/a/%2e%2E;/b", "/a%3Bb", "/a;\\b", "/a;#"]
    {
        assert!(path(target, policy).is_err(), "{target}");
    }
}

#[test]
fn encoded_slashes_stay_where_the_node_says_so() {
    let policy = PathPolicy { encoded_slashes: true, ..MERGE };
    for (target, expected) in [
        ("/a%2fb/c", "/a%2Fb/c"),
        ("/%2Fetc%2Fpasswd", "/%2Fetc%2Fpasswd"),
        ("/a%2F..b", "/a%2F..b"),
        ("/a%2Fb/..", "/"),
    ] {
        assert_eq!(path(target, policy), Ok(expected.to_owned()), "{target}");
    }
    for target in ["/a%2F..", "/..%2Fa", "/a%2f.%2fb", "/a%2F%2e%2E%2Fb", "/a%252Fb", "/a%5Cb"] {
        assert!(path(target, policy).is_err(), "{target}");
    }
    // A rewrite of such a path passes the gate as the path did, whatever else it is held to.
    let kept = canonical(b"/a%2Fb", policy).unwrap().rewritten("/x/a%2Fb", PathPolicy::AS_WRITTEN);
    assert_eq!(kept.unwrap().path(), "/x/a%2Fb");
    let other = canonical(b"/a", MERGE).unwrap().rewritten("/x/a%2Fb", PathPolicy::AS_WRITTEN);
    assert!(other.is_err());
}

#[test]
fn rules_see_the_path_that_goes_upstream() {
    let servlet = PathPolicy { drop_parameters: true, ..MERGE };
    let tail = PathPolicy { delete_tail_slash: true, ..MERGE };
    for (target, policy, seen) in [
        ("/.git;x/config?a=1", servlet, "/.git/config?a=1"),
        ("/x.bak/", tail, "/x.bak"),
        ("/%2e%67it/", MERGE, "/%2e%67it/"),
    ] {
        let canonical = canonical(target.as_bytes(), policy).unwrap();
        assert_eq!(canonical.inspected_target(), seen.as_bytes(), "{target}");
        assert_eq!(canonical.raw_target(), target.as_bytes());
    }
}

proptest! {
    #[test]
    fn a_policy_changes_no_path_that_needs_none(raw in pathish(), choice in 0_u8..8) {
        let policy = PathPolicy {
            delete_tail_slash: choice & 1 != 0,
            drop_parameters: choice & 2 != 0,
            encoded_slashes: choice & 4 != 0,
            ..MERGE
        };
        if let Ok(plain) = path(&raw, MERGE) {
            let trimmed = plain.trim_end_matches('/');
            let expected = if policy.delete_tail_slash { trimmed } else { &plain };
            let expected = if expected.is_empty() { "/" } else { expected };
            prop_assert_eq!(path(&raw, policy), Ok(expected.to_owned()));
        }
    }
}
