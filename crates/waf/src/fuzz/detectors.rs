//! The two detectors, on fragments of what they look for.

use super::INPUT_MAX;
use super::choices::spelled;
use super::operators::{Nothing, is_met};
use crate::files::Memory;
use crate::operators::{Captures, Operator};
use crate::text::Text;

/// What bytes above 0x7f stand for.
const WORDS: &[&str] = &[
    "' ",
    "\" ",
    "`",
    " or ",
    " and ",
    "1=1",
    "--",
    "-- ",
    "#",
    "/*",
    "*/",
    "/*!",
    "union ",
    "all ",
    "select ",
    "null",
    "from ",
    "where ",
    "insert ",
    "into ",
    "values(",
    "having ",
    "group by ",
    "order by ",
    "sleep(",
    "benchmark(",
    "0x41",
    "1e5",
    "0b1",
    "x'41'",
    "n'a'",
    "q'(a)'",
    "$$a$$",
    "@@version",
    "@a",
    "\\",
    "\\'",
    "''",
    "||",
    "&&",
    "<>",
    ":=",
    "::",
    ";",
    "(",
    ")",
    ",",
    ".",
    "like ",
    "in ",
    "is null",
    "case when ",
    "exec ",
    "waitfor delay ",
    "<script",
    "</script>",
    "<a href=",
    "javascript:",
    "data:",
    "vbscript:",
    "view-source:",
    " onload=",
    " onerror =",
    " style=",
    "<svg/",
    "<!--",
    "-->",
    "<!DOCTYPE",
    "<![CDATA[",
    "]]>",
    "<?xml",
    "<%",
    "<\u{0}",
    "&#x6a;",
    "&#106",
    "&amp;",
    "\u{0}",
    "\u{b}",
    "\t",
    "\n",
    "=",
    ">",
    "/>",
    "<",
    "<b x=",
    "xlink:href=",
    "<iframe ",
    "<!ENTITY",
    "[if",
    "import ",
    "é",
];

/// Both detectors on the bytes as they are, and spelled out. What they find has what the sieve asks
/// for first, so that no attack is kept from them; the fingerprint is short; asking twice says the
/// same.
pub fn waf_detectors(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let spelled = spelled(data, WORDS);
    for name in ["detectSQLi", "detectXSS"] {
        let Ok(detector) = Operator::compile(name, &Text::default(), &Memory::default(), "") else {
            continue;
        };
        for value in [data, spelled.as_bytes()] {
            let mut captures = Captures::default();
            let holds = detector.holds(value, &Nothing, Some(&mut captures));
            assert_eq!(detector.holds(value, &Nothing, None), holds);
            assert!(!holds || is_met(&detector.needs(), value), "{name} {value:?}");
            if name == "detectSQLi" {
                assert!(captures.groups().iter().all(|print| print.len() <= 8));
            }
        }
    }
}
