//! Values that something else has proved to be harmless, so that nothing need be looked for in them.

use std::ops::Range;

use super::Transaction;
use crate::variable::Variable;

/// Values of a request that a schema leaves no room for harm in: numbers, booleans, null, one of a
/// list, identifiers, dates, addresses.
///
/// Rules that look for a text in all members of a variable (`ARGS`, `ARGS_GET`, `ARGS_POST`,
/// `REQUEST_HEADERS`, `REQUEST_COOKIES`, without a name behind a colon) leave these out. Such rules
/// ask `@rx`, `@pm`, `@pmFromFile`, `@contains`, `@containsWord`, `@strmatch`, `@beginsWith`,
/// `@endsWith`, `@detectSQLi` or `@detectXSS`, without `!`, and do not make another text of the value
/// first (`t:base64Decode`, `t:hexDecode`, `t:sha1` and the like). Everything else sees the values as
/// ever: rules that name a member, compare or check, counts (`&ARGS`), sizes, and the raw texts that
/// they stand in (`REQUEST_BODY`, `QUERY_STRING`, `REQUEST_URI`, `REQUEST_LINE`).
///
/// Of the names of arguments (`ARGS_NAMES`, `ARGS_GET_NAMES`, `ARGS_POST_NAMES`) such rules leave out
/// those that a schema states: clients choose only which of them they send.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// The names of parameters of the query.
    pub query: Vec<Box<str>>,
    /// The names of fields, in lower case.
    pub fields: Vec<Box<str>>,
    /// The names of cookies.
    pub cookies: Vec<Box<str>>,
    /// Where values of a JSON body stand in it, in bytes, strings with their quotation marks.
    pub json: Vec<Range<usize>>,
    /// The names of parameters of the query that a schema states.
    pub query_names: Vec<Box<str>>,
    /// Where values of a JSON body stand in it whose whole name a schema states.
    pub json_names: Vec<Range<usize>>,
}

impl Transaction {
    /// States before the head is judged what is known to be harmless.
    pub fn trust(&mut self, mut proven: Proven) {
        for places in [&mut proven.json, &mut proven.json_names] {
            places.sort_unstable_by_key(|range| (range.start, range.end));
            // More than one plugin may have proved the same value.
            places.dedup();
        }
        self.proven = proven;
    }

    /// True if a schema states the name of a member.
    pub(super) fn is_stated(&self, variable: Variable, name: &[u8]) -> bool {
        variable == Variable::ArgsGet
            && self.proven.query_names.iter().any(|known| known.as_bytes() == name)
    }

    /// True if a member is known to be harmless. Names alone do not make it so: whoever proved it may
    /// have read the text otherwise, so it must also look like what can be proved.
    pub(super) fn is_proven(&self, variable: Variable, name: &[u8], value: &[u8]) -> bool {
        let names = match variable {
            Variable::ArgsGet => &self.proven.query,
            Variable::RequestHeaders => &self.proven.fields,
            Variable::RequestCookies => &self.proven.cookies,
            _ => return false,
        };
        let is_field = variable == Variable::RequestHeaders;
        let is_named = names
            .iter()
            .map(|known| known.as_bytes())
            .any(|known| if is_field { known.eq_ignore_ascii_case(name) } else { known == name });
        is_named && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:+".contains(byte))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Memory, Peer, RequestHead, RuleSet, Verdict};

    const JSON: &str = r#"
SecRuleEngine On
SecRequestBodyAccess On
SecAction "id:1,phase:1,nolog,pass,ctl:requestBodyProcessor=JSON"
"#;

    /// Whether a rule refuses a request of which this is proven.
    fn matching(rule: &str, target: &str, body: &str, proven: Proven) -> bool {
        let text = format!("{JSON}{rule}");
        let rules = Arc::new(RuleSet::parse("a.conf", &text, &Memory::default()).unwrap());
        let mut transaction = Transaction::new(rules, None);
        transaction.trust(proven);
        let head = RequestHead {
            peer: Peer { client: ([192, 0, 2, 1], 1).into(), server: ([192, 0, 2, 2], 2).into() },
            method: b"POST",
            target: target.as_bytes(),
            protocol: b"HTTP/1.1",
            fields: &[(b"X-Count", b"77"), (b"Cookie", b"n=77; m=a b")],
            id: b"1",
            now: 0,
        };
        assert_eq!(transaction.request_head(&head), Verdict::Pass);
        transaction.request_body(body.as_bytes(), false) != Verdict::Pass
    }

    fn all() -> Proven {
        let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        let (query, fields) = (names(&["q", "odd"]), names(&["x-count"]));
        // `a`, and the string in `c`.
        Proven {
            query,
            fields,
            cookies: names(&["n", "m"]),
            json: vec![21..25, 5..7],
            query_names: names(&["q", "gone"]),
            json_names: vec![12..15, 5..7],
        }
    }

    const BODY: &str = r#"{"a":77,"b":"x","c":["77"]}"#;

    fn finds(rule: &str) -> bool {
        let rule = format!("SecRule {rule} \"id:2,phase:2,deny\"");
        matching(&rule, "/?q=77&odd=%20or%20", BODY, all())
    }

    #[test]
    fn what_looks_for_texts_leaves_proven_values_out() {
        for rule in [
            "ARGS \"@rx 77\"",
            "ARGS_GET \"@contains 77\"",
            "ARGS_POST \"@pm 77 88\"",
            "REQUEST_HEADERS|REQUEST_COOKIES \"@rx ^77$\"",
            "ARGS_NAMES \"@rx ^q$\"",
            "ARGS_GET_NAMES \"@pm q\"",
            "ARGS_NAMES|ARGS_POST_NAMES \"@rx json.[ab]\"",
        ] {
            assert!(!finds(rule), "{rule}");
        }
    }

    #[test]
    fn everything_else_sees_them() {
        for rule in [
            "ARGS:q \"@rx 77\"",
            "ARGS:/json/ \"@rx 77\"",
            "ARGS \"@streq 77\"",
            "ARGS \"@gt 70\"",
            "ARGS \"!@rx ^[a-z ]+$\"",
            "&ARGS \"@eq 5\"",
            "ARGS_NAMES \"@rx ^odd$\"",
            "ARGS_NAMES \"@rx json.c\"",
            "ARGS_NAMES:q \"@rx q\"",
            "ARGS_NAMES \"@streq json.b\"",
            "ARGS_NAMES \"!@rx ^(?:q|odd|json.[bc].*)$\"",
            "QUERY_STRING \"@rx q\"",
            "ARGS_COMBINED_SIZE \"@ge 20\"",
            "REQUEST_BODY \"@rx :77\"",
            "QUERY_STRING \"@contains q=77\"",
        ] {
            assert!(finds(rule), "{rule}");
        }
    }

    #[test]
    fn what_is_not_proven_is_looked_at() {
        for rule in [
            "ARGS \"@rx ^x$\"",
            // Said to be proven, and yet it does not look like it.
            "ARGS \"@rx or\"",
            "REQUEST_COOKIES \"@rx ^a b$\"",
        ] {
            assert!(finds(rule), "{rule}");
        }
        let rule = "SecRule ARGS \"@rx 77\" \"id:2,phase:2,deny\"";
        // A place that is none of a value proves nothing.
        let refused_with = |place: Range<usize>| {
            let json = std::iter::once(place).collect();
            matching(rule, "/", r#"{"a":77}"#, Proven { json, ..Proven::default() })
        };
        for place in [4..7, 5..8, 0..27, 6..7, 5..6] {
            assert!(refused_with(place.clone()), "{place:?}");
        }
        assert!(!refused_with(5..7));
    }

    #[test]
    fn what_is_proven_twice_is_proven() {
        for rule in ["ARGS \"@rx 77\"", "ARGS_NAMES \"@rx json.[ab]\""] {
            let rule = format!("SecRule {rule} \"id:2,phase:2,deny\"");
            let twice = |ranges: Vec<Range<usize>>| [ranges.clone(), ranges].concat();
            let proven = all();
            let (json, json_names) = (twice(proven.json), twice(proven.json_names));
            assert!(!matching(&rule, "/", BODY, Proven { json, json_names, ..all() }), "{rule}");
        }
    }
}
