//! Whole exchanges: rules and a request, both made of choices.

use std::fmt::Write as _;
use std::sync::Arc;

use super::choices::Choices;
use crate::files::Memory;
use crate::rules::RuleSet;
use crate::transaction::{
    Budget, Collections, Peer, RequestHead, ResponseHead, Transaction, Verdict,
};

const TARGETS: &[&str] = &[
    "ARGS",
    "ARGS:a",
    "ARGS_NAMES",
    "ARGS_GET",
    "ARGS_POST",
    "ARGS|!ARGS:b",
    "ARGS:/^a/",
    "&ARGS",
    "&ARGS:a",
    "REQUEST_HEADERS",
    "REQUEST_HEADERS:x",
    "REQUEST_COOKIES",
    "REQUEST_URI",
    "REQUEST_BODY",
    "REQUEST_FILENAME",
    "XML:/*",
    "FILES",
    "TX:n",
    "TX:s",
    "TX",
    "TX:/^n/",
    "&TX:n",
    "TX:0",
    "TX:1",
    "MATCHED_VAR",
    "MATCHED_VAR_NAME",
    "MATCHED_VARS",
    "MATCHED_VARS_NAMES",
    "IP:n",
    "HIGHEST_SEVERITY",
    "RULE:id",
    "REQBODY_ERROR",
    "REQBODY_PROCESSOR",
    "RESPONSE_STATUS",
    "RESPONSE_HEADERS",
    "RESPONSE_BODY",
    "ARGS|REQUEST_COOKIES|XML:/*",
    "ARGS_COMBINED_SIZE",
];
const OPERATORS: &[&str] = &[
    "@rx a",
    "@rx ^(a)(b)?",
    "@rx (?i)select.+from",
    "@rx ^$",
    "@rx [0-9]{2,}",
    "@rx %{TX.s}",
    "!@rx a",
    "@contains ab",
    "@contains %{TX.s}",
    "@streq a",
    "!@streq a",
    "@beginsWith /",
    "@pm a b",
    "@endsWith b",
    "@within a,b,%{ARGS.a}",
    "@eq 1",
    "@gt 0",
    "@lt %{TX.n}",
    "!@eq 0",
    "@detectSQLi",
    "@detectXSS",
    "@validateByteRange 32-126",
    "@validateUrlEncoding",
    "@validateUtf8Encoding",
    "@ipMatch 192.0.2.0/24",
    "@verifyCC \\d{13,16}",
    "@unconditionalMatch",
    "@noMatch",
    "@containsWord b",
    "@rxGlobal ([ab])",
];
const ACTIONS: &[&str] = &[
    "pass",
    "deny",
    "block",
    "drop",
    "allow",
    "allow:phase",
    "allow:request",
    "redirect:/%{TX.s}",
];
const MORE: &[&str] = &[
    "t:none",
    "t:lowercase",
    "t:urlDecodeUni",
    "t:base64Decode",
    "t:removeNulls",
    "t:length",
    "t:cmdLine",
    "t:htmlEntityDecode",
    "capture",
    "multiMatch",
    "nolog",
    "setvar:tx.n=+1",
    "setvar:tx.n=-2",
    "setvar:!tx.n",
    "setvar:'tx.s=%{MATCHED_VAR}'",
    "setvar:'tx.s=%{tx.s}%{TX.1}'",
    "setvar:'tx.%{MATCHED_VAR_NAME}=%{TX.0}'",
    "setvar:ip.n=+1",
    "expirevar:ip.n=5",
    "initcol:ip=%{REMOTE_ADDR}",
    "setvar:tx.1=x",
    "ctl:ruleRemoveById=3-4",
    "ctl:ruleRemoveTargetById=2-5;ARGS:a",
    "ctl:ruleEngine=DetectionOnly",
    "ctl:ruleEngine=Off",
    "ctl:ruleRemoveByTag=g",
    "ctl:requestBodyProcessor=JSON",
    "ctl:requestBodyProcessor=XML",
    "ctl:forceRequestBodyVariable=On",
    "ctl:requestBodyAccess=Off",
    "sanitiseArg:a",
    "tag:g",
    "severity:2",
    "msg:'%{MATCHED_VAR} %{TX.n}'",
    "logdata:'%{TX.0}'",
];
const HEAD_ONLY: &[&str] = &["", "skip:1", "skip:2", "skipAfter:END"];
const VALUES: &[&str] = &[
    "a",
    "b",
    "ab",
    "A",
    "",
    "1",
    "12",
    "%41",
    "%",
    "+",
    "select 1 from b",
    "' or 1=1--",
    "<script>",
    "YWI=",
    "&lt;",
    "4111111111111111",
    "%00",
    "é",
    "/",
    "../",
    "0",
    "a=b",
    ";",
    "\"",
];
const TYPES: &[&str] = &[
    "application/x-www-form-urlencoded",
    "application/json",
    "text/xml",
    "multipart/form-data; boundary=B",
    "text/plain",
];
const BODIES: &[&str] = &[
    "",
    "a=",
    "&b=",
    "{\"a\":\"",
    "\",\"b\":[1,\"",
    "\"]}",
    "<a b=\"",
    "\">",
    "</a>",
    "[",
    "]",
    "--B\r\nContent-Disposition: form-data; name=\"a\"",
    "; filename=\"b\"",
    "\r\n\r\n",
    "\r\n",
    "--B--\r\n",
];

/// Rules that the next choices make.
fn rules(choices: &mut Choices<'_>) -> String {
    let mode = choices.of(&["On", "On", "On", "DetectionOnly"]);
    let mut text = format!(
        "SecRuleEngine {mode}\nSecRequestBodyAccess On\nSecResponseBodyAccess On\n\
         SecArgumentsLimit 8\nSecDefaultAction \"phase:2,deny,status:406,log\"\n"
    );
    let count = 1 + choices.below(8);
    for id in 1..=count {
        let links = 1 + choices.below(3);
        for link in 0..links {
            let (targets, operator) = (choices.of(TARGETS), choices.of(OPERATORS));
            let _ = write!(text, "SecRule {targets} \"{operator}\" \"");
            if link == 0 {
                let (phase, action) = (1 + choices.below(5), choices.of(ACTIONS));
                let _ = write!(text, "id:{id},phase:{phase},{action},");
                text.push_str(choices.of(HEAD_ONLY));
                text.push(',');
            }
            text.push_str(&choices.some(MORE, 4, ","));
            text.push_str(if link + 1 < links { ",chain\"\n" } else { "\"\n" });
        }
    }
    for phase in ["SecMarker END\n", "SecRuleUpdateTargetById 1-3 !ARGS:b\n"] {
        text.push_str(phase);
    }
    text
}

/// What there is to see of an exchange.
#[derive(Debug, PartialEq)]
struct Told {
    verdicts: [Verdict; 4],
    matches: Vec<String>,
    members: [Vec<u8>; 2],
    is_partial: bool,
}

struct Request {
    target: String,
    fields: Vec<(String, String)>,
    body: String,
    response: String,
}

impl Request {
    fn of(choices: &mut Choices<'_>) -> Self {
        let mut target = format!("/{}?", choices.some(VALUES, 2, "/"));
        for _ in 0..choices.below(5) {
            let _ = write!(target, "{}={}&", choices.of(&["a", "b", "ab", ""]), choices.of(VALUES));
        }
        target.retain(|sign| sign != ' ');
        let fields = vec![
            ("content-type".to_owned(), choices.of(TYPES).to_owned()),
            ("x".to_owned(), choices.some(VALUES, 3, " ")),
            ("cookie".to_owned(), format!("a={}; b={}", choices.of(VALUES), choices.of(VALUES))),
        ];
        let mut body = String::new();
        for _ in 0..choices.below(12) {
            body.push_str(choices.of(BODIES));
            body.push_str(choices.of(VALUES));
        }
        Self { target, fields, body, response: choices.some(VALUES, 3, " ") }
    }

    fn head<'a>(&'a self, fields: &'a [(&'a [u8], &'a [u8])]) -> RequestHead<'a> {
        RequestHead {
            peer: Peer { client: ([192, 0, 2, 1], 1).into(), server: ([192, 0, 2, 2], 2).into() },
            method: b"POST",
            target: self.target.as_bytes(),
            protocol: b"HTTP/1.1",
            fields,
            id: b"1",
            now: 1_764_000_000,
        }
    }

    /// Has it judged, twice with the same transaction, of which the second time must not differ.
    fn judged(&self, rules: &Arc<RuleSet>) -> Told {
        let mut transaction = Transaction::new(rules.clone(), Some(Arc::new(Collections::new(16))));
        let first = self.run(&mut transaction);
        transaction.reset(rules.clone(), Some(Arc::new(Collections::new(16))), None);
        assert_eq!(self.run(&mut transaction), first);
        first
    }

    fn run(&self, transaction: &mut Transaction) -> Told {
        let fields: Vec<(&[u8], &[u8])> =
            self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let response = ResponseHead {
            status: 200,
            protocol: b"HTTP/1.1",
            fields: &[(b"content-type", b"text/html"), (b"x", b"a")],
        };
        let verdicts = [
            transaction.request_head(&self.head(&fields)),
            transaction.request_body(self.body.as_bytes(), false),
            transaction.response_head(&response),
            transaction.response_body(self.response.as_bytes(), false),
        ];
        transaction.finish();
        Told {
            verdicts,
            matches: transaction.matches().iter().map(|found| format!("{found:?}")).collect(),
            members: [transaction.tx("n"), transaction.tx("s")],
            is_partial: transaction.is_partial(),
        }
    }
}

/// Rules and a request. The sieve takes work out of rules and changes nothing else; a transaction
/// that is used again remembers nothing; what was refused stays refused; rules that only detect
/// refuse nothing; and however little work is allowed, nothing passes that would have been refused.
pub fn waf_transactions(data: &[u8]) {
    let mut choices = Choices::new(data);
    let text = rules(&mut choices);
    let request = Request::of(&mut choices);
    if choices.is_empty() && data.len() > 4_096 {
        return;
    }
    let files = Memory::default();
    let Ok(rules) = RuleSet::parse("t.conf", &text, &files) else { return };
    let Ok(mut plain) = RuleSet::parse("t.conf", &text, &files) else { return };
    plain.drop_shortcuts();
    let rules = Arc::new(rules);
    let told = request.judged(&rules);
    assert_eq!(told, request.judged(&Arc::new(plain)), "{text}");
    let [head, body, response, last] = &told.verdicts;
    for (before, after) in [(head, body), (body, response), (response, last)] {
        assert!(*before == Verdict::Pass || before == after, "{text}");
    }
    let is_refused = |told: &Told| told.verdicts.iter().any(|verdict| *verdict != Verdict::Pass);
    assert!(!is_refused(&told) || rules.settings().disrupts(), "{text}");
    assert!(told.matches.len() <= 256);
    if !told.is_partial && is_refused(&told) {
        for budget in [0, 500, 5_000] {
            let collections = Some(Arc::new(Collections::new(16)));
            let transaction = Transaction::new(rules.clone(), collections);
            let less = request.run(&mut transaction.within(Budget(budget)));
            assert!(is_refused(&less), "{budget}\n{text}");
        }
    }
}
