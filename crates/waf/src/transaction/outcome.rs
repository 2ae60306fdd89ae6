//! What came of judging, and why.

use std::sync::Arc;

use crate::rules::is_capture;

/// The most matched values that are kept of one rule.
pub(super) const MATCHED_VALUES_MAX: usize = 8;
/// The most rules whose matches are kept.
pub(super) const MATCHES_MAX: usize = 256;
/// The longest value that is kept of a match, in bytes.
pub(super) const VALUE_KEPT_MAX: usize = 512;
/// The longest text that is kept of what a rule says, in bytes.
const TEXT_KEPT_MAX: usize = 2_048;
/// The variables that hold many values in one text, of which any may be one that logs do not show.
const RAW: [&str; 7] = [
    "QUERY_STRING",
    "REQUEST_BODY",
    "REQUEST_LINE",
    "REQUEST_URI",
    "REQUEST_URI_RAW",
    "RESPONSE_BODY",
    "XML",
];

/// Whether an exchange goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing stands against it.
    Pass,
    /// It must not go on.
    Interrupt(Interruption),
}

/// Why an exchange must not go on, and what its client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interruption {
    /// What caused it.
    pub cause: Cause,
    /// What becomes of the exchange.
    pub kind: Kind,
}

/// What caused an interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The rule with this id.
    Rule(u32),
    /// Judging took more work than it may.
    Budget,
    /// There was more than rules may look at, or a rule could not be applied.
    Partial,
    /// The body of the request is larger than rules may look at.
    RequestBodyTooLarge,
    /// The body of the response is larger than rules may look at.
    ResponseBodyTooLarge,
}

/// What becomes of an interrupted exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The client gets this status.
    Deny(u16),
    /// The connection ends without an answer.
    Drop,
    /// The client is sent to a place, with a status.
    Redirect(Box<[u8]>, u16),
}

/// A rule that matched.
#[derive(Clone, Debug)]
pub struct RuleMatch {
    /// Its id.
    pub id: u32,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// The line that it begins in.
    pub line: u32,
    /// The phase, 1 to 5.
    pub phase: u8,
    /// Its message without values of this exchange but for numbers that rules count.
    pub title: Box<[u8]>,
    /// Its message, with the values of this exchange; cut to 2 KiB.
    pub msg: Box<[u8]>,
    /// What it has to say of this exchange; cut to 2 KiB.
    pub data: Box<[u8]>,
    /// 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// Its tags, without values of this exchange as in the title.
    pub tags: Box<[Box<[u8]>]>,
    /// Its version.
    pub ver: Option<Box<str>>,
    /// Its revision.
    pub rev: Option<Box<str>>,
    /// How much it has been tried, 0 to 9.
    pub maturity: u8,
    /// How few false alarms it has, 0 to 9.
    pub accuracy: u8,
    /// The values that matched, the first of them.
    pub values: Vec<MatchedValue>,
    /// The names of other values that its texts hold, by macros, such as `REQUEST_HEADERS:host`.
    pub quoted: Box<[Box<[u8]>]>,
    /// What the match added to members of `TX`, such as scores; only where the transaction
    /// [explains](super::Transaction::explain).
    pub added: Box<[(Box<[u8]>, i64)]>,
    /// Whether it would have ended the exchange.
    pub disrupts: bool,
    /// Whether it belongs into the audit log.
    pub is_audited: bool,
}

impl RuleMatch {
    /// True if more values may have matched than are kept: of those nobody knows what they were.
    pub fn is_cut(&self) -> bool {
        self.values.len() >= MATCHED_VALUES_MAX
    }

    /// The names of all values that may be part of what is told: those that matched, and those that
    /// its texts hold.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let matched = self.values.iter().map(|value| &*value.name);
        matched.chain(self.quoted.iter().map(|name| &**name))
    }

    /// Takes out what this exchange sent, if a value of the name may be part of it.
    pub(super) fn hide(&mut self, name: &[u8]) {
        if self.is_cut() || self.names().any(|seen| shows(seen, name)) {
            self.hide_all();
        }
    }

    /// Takes out what this exchange sent. Texts that hold a value may hold any.
    pub(super) fn hide_all(&mut self) {
        for value in &mut self.values {
            value.value = [].into();
            value.found = [].into();
        }
        self.data = [].into();
        self.msg.clone_from(&self.title);
    }
}

/// A value that matched.
#[derive(Clone, Debug)]
pub struct MatchedValue {
    /// What it was, such as `ARGS:id`.
    pub name: Box<[u8]>,
    /// The value as the operator saw it, cut to 512 bytes; empty where the rule hides it.
    pub value: Box<[u8]>,
    /// What had been done to it.
    pub transformations: Box<[&'static str]>,
    /// The operator that held.
    pub operator: &'static str,
    /// What stands behind its name in the rule.
    pub argument: Arc<str>,
    /// True if the rule asks that the operator does not hold.
    pub is_negated: bool,
    /// The part of the value that the operator found, where it tells one and the transaction
    /// [explains](super::Transaction::explain); cut to 512 bytes.
    pub found: Box<[u8]>,
}

/// Cuts a value to what is kept of it.
pub(super) fn kept(value: &[u8]) -> Box<[u8]> {
    value.get(..VALUE_KEPT_MAX).unwrap_or(value).into()
}

/// Cuts a text of a rule to what is kept of it.
pub(super) fn kept_text(text: &[u8]) -> Box<[u8]> {
    text.get(..TEXT_KEPT_MAX).unwrap_or(text).into()
}

/// The name of a value such as `ARGS:id`, where one that matched in a chain is called
/// `MATCHED_VARS:ARGS:id`.
pub fn name_of_value(seen: &[u8]) -> &[u8] {
    let mut name = seen;
    while let Some(inner) = name.strip_prefix(b"MATCHED_VARS:") {
        name = inner;
    }
    name
}

/// True if a value of this name is a text that may hold any other: one that holds many, such as
/// `REQUEST_URI`, or one that repeats what an earlier rule looked at (`MATCHED_VAR`), found in it
/// (`TX:0` to `TX:9`) or took to know a client by (`SESSIONID`, `USERID`).
pub fn is_raw_text(name: &[u8]) -> bool {
    let name = name_of_value(name);
    is_whole(name) || is_echo(name)
}

fn is_whole(name: &[u8]) -> bool {
    let variable = name.split(|byte| *byte == b':').next().unwrap_or_default();
    RAW.iter().any(|raw| raw.as_bytes().eq_ignore_ascii_case(variable))
}

/// The variables that repeat another value. They outlive the rule that it is of, and nothing tells
/// what it was called there.
const ECHOES: [&[u8]; 3] = [b"MATCHED_VAR", b"SESSIONID", b"USERID"];

fn is_echo(name: &[u8]) -> bool {
    ECHOES.iter().any(|echo| name.eq_ignore_ascii_case(echo))
        || name
            .split_at_checked(3)
            .is_some_and(|(tx, member)| tx.eq_ignore_ascii_case(b"TX:") && is_capture(member))
}

/// True if a value called `seen` is the one called `name`, or may hold it: `ARGS_GET:a` is `ARGS:a`
/// too, arguments stand in the raw texts, anything in what repeats another value, and what matched
/// in a chain is what it was.
fn shows(seen: &[u8], name: &[u8]) -> bool {
    let seen = name_of_value(seen);
    let argument = |text| {
        let kinds: [&[u8]; 3] = [b"ARGS:", b"ARGS_GET:", b"ARGS_POST:"];
        kinds.iter().find_map(|kind| <[u8]>::strip_prefix(text, *kind))
    };
    seen.eq_ignore_ascii_case(name)
        || is_echo(seen)
        || is_whole(seen) && argument(name).is_some()
        || argument(seen)
            .zip(argument(name))
            .is_some_and(|(seen, name)| seen.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Memory, Peer, RequestHead, RuleSet, Transaction};

    const RULES: &str = r#"
SecRuleEngine On
SecRule ARGS "@rx (?i)b+" "id:1,phase:1,pass,msg:'b',setvar:tx.score=+5,setvar:tx.score=+%{tx.more}"
SecAction "id:2,phase:1,nolog,pass,setvar:tx.score=+1"
SecRule TX:SCORE "@ge %{tx.least}" "id:3,phase:1,nolog,noauditlog,deny"
"#;

    fn judged(rules: &str, target: &str, explains: bool) -> (Verdict, Transaction) {
        let rules = RuleSet::parse("a.conf", rules, &Memory::default()).unwrap();
        let mut transaction = Transaction::new(Arc::new(rules), None);
        if explains {
            transaction.explain();
        }
        let verdict = transaction.request_head(&RequestHead {
            peer: Peer { client: ([192, 0, 2, 1], 1).into(), server: ([192, 0, 2, 2], 2).into() },
            method: b"GET",
            target: target.as_bytes(),
            protocol: b"HTTP/1.1",
            fields: &[],
            id: b"1",
            now: 0,
        });
        (verdict, transaction)
    }

    fn matches(explains: bool) -> Vec<RuleMatch> {
        let (verdict, transaction) = judged(RULES, "/?x=aBBc&y=b", explains);
        assert!(matches!(verdict, Verdict::Interrupt(_)));
        transaction.matches().to_vec()
    }

    #[test]
    fn what_would_take_too_long_to_tell_is_left_out_and_changes_no_verdict() {
        let rule = "SecRule ARGS \"@rx [ab]*a[ab]{3000}c|[ab]+\" \"id:1,phase:1,pass\"";
        let rules = format!("SecRuleEngine On\n{rule}\n");
        for (length, found) in [(100, 200), (200_000, 0)] {
            let target = format!("/?x={}", "ab".repeat(length));
            let (verdict, transaction) = judged(&rules, &target, true);
            assert_eq!((verdict, transaction.is_partial()), (Verdict::Pass, false), "{length}");
            assert_eq!(transaction.matches()[0].values[0].found.len(), found, "{length}");
        }
    }

    #[test]
    fn a_transaction_that_explains_tells_what_was_found_and_added() {
        let [first, refusing] = &matches(true)[..] else { panic!("{:?}", matches(true)) };
        assert_eq!((first.id, refusing.id), (1, 3));
        assert_eq!(*first.added, [(b"score"[..].into(), 10)]);
        let found: Vec<_> = first.values.iter().map(|value| &*value.found).collect();
        assert_eq!(found, [&b"BB"[..], b"b"]);
        assert_eq!(&*first.values[0].argument, "(?i)b+");
        assert_eq!(&*refusing.values[0].argument, "%{TX.least}");
    }

    #[test]
    fn others_tell_where_a_rule_matched_and_leave_silent_rules_out() {
        let [first] = &matches(false)[..] else { panic!("{:?}", matches(false)) };
        assert!(first.added.is_empty() && first.values[0].found.is_empty());
        assert_eq!(&*first.values[0].value, b"aBBc");
    }
}
