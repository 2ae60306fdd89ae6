//! Operators: `!@rx ^a`, `@pmFromFile words.data`, or a pattern alone.

use super::faults::{did_you_mean, quoted};
use super::lines::{Cx, Word};
use super::macros;
use super::script::OperatorText;

/// What an operator needs behind its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Argument {
    None,
    Needed,
    /// May be empty.
    Any,
    /// Not supported; why, and what to use instead.
    Refused(&'static str),
}

/// The operators of the language.
const OPERATORS: &[(&str, Argument)] = &[
    ("beginsWith", Argument::Any),
    ("contains", Argument::Any),
    ("containsWord", Argument::Any),
    ("detectSQLi", Argument::None),
    ("detectXSS", Argument::None),
    ("endsWith", Argument::Any),
    ("eq", Argument::Needed),
    ("fuzzyHash", Argument::Refused("compares files with a library of hashes")),
    ("ge", Argument::Needed),
    ("geoLookup", Argument::None),
    ("gsbLookup", Argument::Refused("asks a service that is closed")),
    ("gt", Argument::Needed),
    ("inspectFile", Argument::Refused("runs a program")),
    ("ipMatch", Argument::Needed),
    ("ipMatchFromFile", Argument::Needed),
    ("le", Argument::Needed),
    ("lt", Argument::Needed),
    ("noMatch", Argument::None),
    ("pm", Argument::Needed),
    ("pmFromFile", Argument::Needed),
    ("rbl", Argument::Needed),
    ("rsub", Argument::Refused("rewrites bodies")),
    ("rx", Argument::Any),
    ("rxGlobal", Argument::Any),
    ("streq", Argument::Any),
    ("strmatch", Argument::Any),
    ("unconditionalMatch", Argument::None),
    ("validateByteRange", Argument::Needed),
    ("validateDTD", Argument::Refused("loads a document type, which may name other documents")),
    ("validateHash", Argument::Refused("needs pages that the engine has signed")),
    ("validateSchema", Argument::Refused("loads a schema, which may name other documents")),
    ("validateUrlEncoding", Argument::None),
    ("validateUtf8Encoding", Argument::None),
    ("verifyCC", Argument::Needed),
    ("verifyCPF", Argument::Needed),
    ("verifySSN", Argument::Needed),
    ("verifySVNR", Argument::Needed),
    ("within", Argument::Any),
];

/// Short names.
const ALIASES: &[(&str, &str)] = &[("pmf", "pmFromFile"), ("ipMatchF", "ipMatchFromFile")];

/// Reads the second part of a rule.
pub(super) fn read(cx: &mut Cx<'_>, word: &Word) -> Option<OperatorText> {
    let place = cx.line.place(word.start());
    let mut at = word.text.len() - word.text.trim_start().len();
    let is_negated = word.text.get(at..).is_some_and(|text| text.starts_with('!'));
    if is_negated {
        let rest = word.text.get(at + 1..).unwrap_or_default();
        // `! @rx` is an operator; `! a` a pattern that begins with a space.
        at += 1;
        if rest.trim_start().starts_with('@') {
            at += rest.len() - rest.trim_start().len();
        }
    }
    let rest = word.rest(at);
    let (name, argument) = match rest.text.strip_prefix('@') {
        None => ("rx", rest),
        Some(named) => {
            let end = named.find(char::is_whitespace).unwrap_or(named.len());
            let behind = named.get(end..).unwrap_or_default();
            let from = rest.text.len() - behind.trim_start().len();
            (known(cx, &rest.slice(0, 1 + end), from < rest.text.len())?, rest.rest(from))
        }
    };
    let is_pattern = matches!(name, "rx" | "rxGlobal");
    let text =
        if is_pattern { macros::pattern(cx, &argument) } else { macros::text(cx, &argument) };
    Some(OperatorText { place, is_negated, name: name.into(), argument: text? })
}

/// The operator that `@name` stands for.
fn known(cx: &mut Cx<'_>, word: &Word, has_argument: bool) -> Option<&'static str> {
    let name = word.text.strip_prefix('@').unwrap_or_default();
    let full = ALIASES.iter().find(|(short, _)| short.eq_ignore_ascii_case(name));
    let full = full.map_or(name, |(_, full)| full);
    let found = OPERATORS.iter().find(|(known, _)| known.eq_ignore_ascii_case(full));
    let Some((known, argument)) = found else {
        let help = did_you_mean(name, OPERATORS.iter().map(|(known, _)| *known));
        let help = help.map_or_else(
            || "a pattern that begins with `@` is written `@rx @…`".to_owned(),
            |help| help.replacen('`', "`@", 1),
        );
        return cx.fail(
            word.start(),
            format!("unknown operator {}", quoted(&word.text)),
            Some(help),
        );
    };
    match argument {
        Argument::Refused(why) => {
            let help = "there is no replacement: take the rule out";
            let problem = format!("`@{known}` is not supported: it {why}");
            cx.fail(word.start(), problem, Some(help.to_owned()))
        }
        Argument::None if has_argument => {
            let problem = format!("`@{known}` takes no argument");
            cx.fail(word.start(), problem, None)
        }
        Argument::Needed if !has_argument => {
            let problem = format!("`@{known}` needs an argument");
            cx.fail(word.start(), problem, None)
        }
        _ => Some(known),
    }
}
