//! The reader of SecLang and the compiler behind it, on any text.

use super::INPUT_MAX;
use super::choices::spelled;
use crate::fault::RuleFault;
use crate::files::Memory;
use crate::rules::RuleSet;

/// What bytes above 0x7f stand for.
const WORDS: &[&str] = &[
    "SecRule ",
    "SecAction ",
    "SecMarker ",
    "SecDefaultAction ",
    "Include ",
    "IncludeOptional ",
    "SecRuleUpdateTargetById ",
    "SecRuleUpdateTargetByTag ",
    "SecRuleUpdateActionById ",
    "SecRuleRemoveById ",
    "SecRuleRemoveByMsg ",
    "SecRuleEngine On\n",
    "SecUnicodeMapFile ",
    "ARGS",
    "ARGS_NAMES",
    "TX:a",
    "TX",
    "REQUEST_HEADERS:",
    "XML:/*",
    "MATCHED_VARS",
    "IP:n",
    "&",
    "!",
    "|",
    "/^a|b/",
    "'",
    "\"",
    "\\",
    "\\\n",
    "\n",
    "\r\n",
    "# ",
    " \"",
    "\" ",
    "@rx ",
    "@pm ",
    "@pmFromFile ",
    "@ipMatch ",
    "@within ",
    "@eq 1",
    "@detectSQLi",
    "@verifyCC ",
    "!@",
    "id:1",
    "id:2",
    "phase:2",
    "deny",
    "pass",
    "block",
    "chain",
    "capture",
    "multiMatch",
    "t:none",
    "t:lowercase",
    "setvar:tx.a=+1",
    "setvar:'tx.b=%{MATCHED_VAR}'",
    "setvar:!tx.a",
    "skip:1",
    "skipAfter:END",
    "END",
    "ctl:ruleRemoveById=1-2",
    "ctl:ruleRemoveTargetById=1;ARGS:a",
    "ctl:ruleEngine=Off",
    "initcol:ip=%{REMOTE_ADDR}",
    "expirevar:ip.n=5",
    "msg:'%{TX.0}'",
    "tag:a",
    "logdata:x",
    "severity:2",
    "status:403",
    "redirect:/x",
    "allow:phase",
    "%{",
    "}",
    "%{TX.0}",
    "[a-z]{1,9}",
    "(?:",
    ")*",
    "(?=",
    "\\1",
    "é",
    "\u{feff}",
    ",",
    ":",
    ";",
    "data",
    "part.conf",
    "*.conf",
    "log",
    "nolog",
    "auditlog",
    "\t",
    " ",
];

/// Whatever a text holds, it is read or refused; what is wrong has a place in a file that was read,
/// the line it stands in, and words. Reading again says the same.
pub fn waf_seclang(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let text = spelled(data, WORDS);
    let part = "SecRule ARGS:p \"@streq p\" \"id:900,phase:1,pass\"\n";
    let files = Memory::default()
        .with("part.conf", part)
        .with("self.conf", "Include self.conf\n")
        .with("data", "word\nother\n");
    let read = RuleSet::parse("t.conf", &text, &files);
    let again = RuleSet::parse("t.conf", &text, &files);
    assert_eq!(read.is_ok(), again.is_ok());
    match read {
        Ok(rules) => assert!(rules.len() <= text.lines().count() * 2 + 1),
        Err(faults) => {
            assert!(!faults.is_empty() && faults.len() <= 100);
            assert_eq!(Some(&faults), again.err().as_ref());
            for fault in &faults {
                match &*fault.place.file {
                    "t.conf" => stands_in(fault, &text),
                    "part.conf" => stands_in(fault, part),
                    other => assert_eq!(other, "self.conf"),
                }
            }
        }
    }
}

/// The fault points at a byte of the text, or right behind one, and shows what stands there.
fn stands_in(fault: &RuleFault, text: &str) {
    let line = text.lines().nth(fault.place.line as usize - 1).unwrap_or_default();
    let at = fault.place.column as usize - 1;
    assert!(at <= line.len(), "{fault}");
    assert!(!fault.problem.is_empty() && fault.problem.len() < 1_000, "{fault}");
    let shown = fault.excerpt.trim_matches('…');
    assert!(line.contains(shown), "{fault}: {shown}");
    assert_eq!(shown.is_empty(), line.is_empty(), "{fault}");
}
