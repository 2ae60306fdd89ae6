//! The actions that there are: the one place from which they are read and documented.

use super::super::faults::{choices, did_you_mean, quoted};
use super::super::lines::{Cx, Word};
use super::super::macros;
use super::super::script::{Action, AllowScope, Sanitise};
use super::super::values;
use super::{ctl, phase, variables};
use crate::transformations::Transformation;

/// An action.
pub(in crate::seclang) struct Entry {
    /// Its name, as it is usually written; case is ignored.
    pub(in crate::seclang) name: &'static str,
    /// How it is read.
    pub(in crate::seclang) kind: Kind,
    /// What it does: the rest of a sentence that begins with its name.
    pub(in crate::seclang) does: &'static str,
}

/// How an action is read.
pub(in crate::seclang) enum Kind {
    /// It stands alone.
    Flag(fn() -> Action),
    /// It has a value.
    Value(fn(&mut Cx<'_>, &Word) -> Option<Action>),
    /// It may have a value.
    Optional(fn(&mut Cx<'_>, Option<&Word>) -> Option<Action>),
    /// It is not supported; what to use instead.
    Refused(&'static str),
}

const fn entry(name: &'static str, kind: Kind, does: &'static str) -> Entry {
    Entry { name, kind, does }
}

/// All of them.
pub(in crate::seclang) static ACTIONS: &[Entry] = &[
    entry("accuracy", Kind::Value(accuracy), "says how few false alarms the rule has, 0 to 9"),
    entry(
        "allow",
        Kind::Optional(allow),
        "ends the rules: of the transaction, `:phase` or `:request`",
    ),
    entry(
        "append",
        Kind::Refused("change responses with `response-rewrite`"),
        "writes into the response's body",
    ),
    entry("auditlog", Kind::Flag(|| Action::AuditLog), "marks the transaction for the audit log"),
    entry("block", Kind::Flag(|| Action::Block), "does what `SecDefaultAction` says"),
    entry("capture", Kind::Flag(|| Action::Capture), "keeps what was found in `TX:0` to `TX:9`"),
    entry("chain", Kind::Flag(|| Action::Chain), "makes the next rule a further condition"),
    entry("ctl", Kind::Value(ctl::read), "changes how the rest of the transaction is judged"),
    entry("deny", Kind::Flag(|| Action::Deny), "refuses the request"),
    entry(
        "deprecatevar",
        Kind::Refused("let the variable end with `expirevar`"),
        "lowers a variable as time passes",
    ),
    entry("drop", Kind::Flag(|| Action::Drop), "closes the connection"),
    entry("exec", Kind::Refused("send events to a sink and act there"), "runs a program"),
    entry("expirevar", Kind::Value(variables::expire), "lets a variable end after so many seconds"),
    entry("id", Kind::Value(id), "names the rule"),
    entry(
        "initcol",
        Kind::Value(variables::collection),
        "opens a collection that outlives requests",
    ),
    entry("log", Kind::Flag(|| Action::Log), "logs that the rule matched"),
    entry("logdata", Kind::Value(logdata), "adds what was found to the log"),
    entry("maturity", Kind::Value(maturity), "says how long the rule has been in use, 0 to 9"),
    entry("msg", Kind::Value(msg), "says what the rule found"),
    entry("multiMatch", Kind::Flag(|| Action::MultiMatch), "asks after each transformation"),
    entry("noauditlog", Kind::Flag(|| Action::NoAuditLog), "keeps the match out of the audit log"),
    entry("nolog", Kind::Flag(|| Action::NoLog), "keeps the match out of the log"),
    entry("pass", Kind::Flag(|| Action::Pass), "goes on with the next rule"),
    entry("pause", Kind::Refused("slow clients down with a limit"), "holds the transaction up"),
    entry("phase", Kind::Value(phase), "says when the rule runs, 1 to 5"),
    entry(
        "prepend",
        Kind::Refused("change responses with `response-rewrite`"),
        "writes into the response's body",
    ),
    entry(
        "proxy",
        Kind::Refused("forward requests with a route"),
        "forwards the request elsewhere",
    ),
    entry("redirect", Kind::Value(redirect), "sends the client elsewhere"),
    entry("rev", Kind::Value(rev), "says which version of the rule this is"),
    entry("sanitiseArg", Kind::Value(sanitise_arg), "hides an argument from logs"),
    entry("sanitizeArg", Kind::Value(sanitise_arg), "hides an argument from logs"),
    entry("sanitiseMatched", Kind::Flag(sanitise_matched), "hides what was found from logs"),
    entry("sanitizeMatched", Kind::Flag(sanitise_matched), "hides what was found from logs"),
    entry(
        "sanitiseMatchedBytes",
        Kind::Optional(sanitise_bytes),
        "hides what was found from logs, the whole value",
    ),
    entry(
        "sanitizeMatchedBytes",
        Kind::Optional(sanitise_bytes),
        "hides what was found from logs, the whole value",
    ),
    entry("sanitiseRequestHeader", Kind::Value(sanitise_request), "hides a header from logs"),
    entry("sanitizeRequestHeader", Kind::Value(sanitise_request), "hides a header from logs"),
    entry("sanitiseResponseHeader", Kind::Value(sanitise_response), "hides a header from logs"),
    entry("sanitizeResponseHeader", Kind::Value(sanitise_response), "hides a header from logs"),
    entry(
        "setenv",
        Kind::Refused("nothing here has an environment; use `setvar:tx.…`"),
        "sets a variable of the environment",
    ),
    entry("setrsc", Kind::Value(variables::resource), "opens the collection `RESOURCE`"),
    entry("setsid", Kind::Value(variables::session), "opens the collection `SESSION`"),
    entry("setuid", Kind::Value(variables::user), "opens the collection `USER`"),
    entry("setvar", Kind::Value(variables::set), "sets, adds to or takes away a variable"),
    entry("severity", Kind::Value(severity), "says how bad it is, 0 (emergency) to 7 (debug)"),
    entry("skip", Kind::Value(skip), "leaves out so many rules"),
    entry("skipAfter", Kind::Value(skip_after), "goes on behind a marker or a rule"),
    entry("status", Kind::Value(status), "says with which status to refuse"),
    entry("t", Kind::Value(transformation), "transforms values before they are looked at"),
    entry("tag", Kind::Value(tag), "puts the rule into a group"),
    entry("ver", Kind::Value(ver), "says to which rule set the rule belongs"),
    entry("xmlns", Kind::Refused("use `XML:/*` or `XML://@*`"), "names spaces for paths into XML"),
];

fn id(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    values::number(cx, value, 1, u32::MAX).map(Action::Id)
}

fn severity(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    const NAMES: [&str; 8] =
        ["EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG"];
    let named = NAMES.iter().position(|name| name.eq_ignore_ascii_case(&value.text));
    let level = named.or_else(|| value.text.parse().ok().filter(|level| *level < NAMES.len()));
    if let Some(level) = level.and_then(|level| u8::try_from(level).ok()) {
        return Some(Action::Severity(level));
    }
    let help = did_you_mean(&value.text, NAMES)
        .unwrap_or_else(|| format!("a severity is 0 to 7, or {}", choices(&NAMES)));
    cx.fail(value.start(), format!("unknown severity {}", quoted(&value.text)), Some(help))
}

fn maturity(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    values::number(cx, value, 0, 9_u8).map(Action::Maturity)
}

fn accuracy(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    values::number(cx, value, 0, 9_u8).map(Action::Accuracy)
}

fn status(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    values::number(cx, value, 100, 599_u16).map(Action::Status)
}

fn skip(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    values::number(cx, value, 1, u32::MAX).map(Action::Skip)
}

fn skip_after(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    filled(cx, value).map(Action::SkipAfter)
}

fn msg(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    macros::text(cx, value).map(Action::Msg)
}

fn logdata(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    macros::text(cx, value).map(Action::LogData)
}

fn tag(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    macros::text(cx, value).map(Action::Tag)
}

fn ver(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    values::filled(cx, value).map(Action::Ver)
}

fn rev(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    values::filled(cx, value).map(Action::Rev)
}

fn redirect(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    filled(cx, value)?;
    macros::text(cx, value).map(Action::Redirect)
}

fn allow(cx: &mut Cx<'_>, value: Option<&Word>) -> Option<Action> {
    let Some(value) = value else { return Some(Action::Allow(AllowScope::Transaction)) };
    let scopes = [("phase", AllowScope::Phase), ("request", AllowScope::Request)];
    values::choice(cx, value, &scopes).map(Action::Allow)
}

fn transformation(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    if value.text.eq_ignore_ascii_case("none") {
        return Some(Action::NoTransformations);
    }
    if let Some(found) = Transformation::named(&value.text) {
        return Some(Action::Transformation(found));
    }
    let help = did_you_mean(&value.text, TRANSFORMATIONS.iter().copied());
    cx.fail(value.start(), format!("unknown transformation {}", quoted(&value.text)), help)
}

/// What is offered in place of a transformation that there is not.
const TRANSFORMATIONS: &[&str] = &[
    "base64Decode",
    "base64DecodeExt",
    "base64Encode",
    "cmdLine",
    "compressWhitespace",
    "cssDecode",
    "escapeSeqDecode",
    "hexDecode",
    "hexEncode",
    "htmlEntityDecode",
    "jsDecode",
    "length",
    "lowercase",
    "md5",
    "none",
    "normalizePath",
    "normalizePathWin",
    "parityEven7bit",
    "parityOdd7bit",
    "parityZero7bit",
    "removeComments",
    "removeCommentsChar",
    "removeNulls",
    "removeWhitespace",
    "replaceComments",
    "replaceNulls",
    "sha1",
    "sqlHexDecode",
    "trim",
    "trimLeft",
    "trimRight",
    "uppercase",
    "urlDecode",
    "urlDecodeUni",
    "urlEncode",
    "utf8toUnicode",
];

fn sanitise_matched() -> Action {
    Action::Sanitise(Sanitise::Matched)
}

fn sanitise_bytes(cx: &mut Cx<'_>, value: Option<&Word>) -> Option<Action> {
    // `:1/4` would show bytes at both ends. Hiding all of it is what is done here, so the numbers
    // are only looked at for mistakes.
    if let Some(value) = value {
        let is_count = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_good = value.text.split_once('/').is_some_and(|(a, b)| is_count(a) && is_count(b));
        if !is_good {
            return cx.fail(value.start(), "two numbers with a `/` are needed here", None);
        }
    }
    Some(sanitise_matched())
}

fn sanitise_arg(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    filled(cx, value).map(|name| Action::Sanitise(Sanitise::Argument(name)))
}

fn sanitise_request(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    filled(cx, value).map(|name| Action::Sanitise(Sanitise::RequestHeader(name)))
}

fn sanitise_response(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    filled(cx, value).map(|name| Action::Sanitise(Sanitise::ResponseHeader(name)))
}

fn filled(cx: &mut Cx<'_>, value: &Word) -> Option<Box<str>> {
    if value.text.is_empty() {
        return cx.fail(value.start(), "the value is empty", None);
    }
    Some(value.text.as_str().into())
}
