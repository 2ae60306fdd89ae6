//! What is written of an exchange in which a rule matched: the members of ModSecurity's audit log in
//! JSON that tell what happened, without bodies, cookies and credentials.

use bartizan_audit::Redactor;
use bartizan_chain::{Outcome, RequestCx, SharedRedactor};
use bartizan_waf::{RuleMatch, Transaction};
use serde_json::{Value, json};

/// The line of an exchange; nothing if no rule that belongs into it matched, and all was judged.
pub(super) fn line(
    transaction: &Transaction,
    cx: &RequestCx,
    outcome: &Outcome<'_>,
    redactor: &SharedRedactor,
) -> Option<Vec<u8>> {
    let redactor = redactor.load();
    let mut audited = transaction.matches().iter().filter(|found| found.is_audited).peekable();
    if audited.peek().is_none() && !transaction.is_partial() {
        return None;
    }
    let canonical = cx.canonical();
    let mut headers = serde_json::Map::new();
    for field in cx.fields.iter() {
        let name = text(field.name);
        let value = redactor.shown(&name, field.value).into_owned();
        headers.insert(name, value.into());
    }
    let path = canonical.path();
    let messages: Vec<Value> = audited.map(|found| message(found, &redactor)).collect();
    let entry = json!({
        "transaction": {
            "client_ip": cx.client().to_string(),
            "time_stamp": cx.received.to_rfc3339(),
            "unique_id": cx.id.to_string(),
            "request": {
                "method": canonical.method().as_str(),
                "uri": path,
                "headers": headers,
            },
            "response": { "http_code": outcome.status },
            "producer": { "components": transaction.rules().settings().components },
            "partial": transaction.is_partial(),
            "messages": messages,
        }
    });
    serde_json::to_vec(&entry).ok()
}

fn message(found: &RuleMatch, redactor: &Redactor) -> Value {
    let value = found.values.first();
    let name = value.map(|value| text(&value.name)).unwrap_or_default();
    // What a rule says of a value may hold the value.
    let is_hidden = found.values.iter().any(|value| is_secret(&text(&value.name), redactor));
    let (msg, data) = if is_hidden {
        (text(&found.title), String::new())
    } else {
        (text(&found.msg), text(&found.data))
    };
    json!({
        "message": msg,
        "details": {
            "ruleId": found.id.to_string(),
            "file": &*found.file,
            "lineNumber": found.line.to_string(),
            "data": data,
            "severity": found.severity.map(|level| level.to_string()),
            "ver": found.ver.as_deref(),
            "rev": found.rev.as_deref(),
            "maturity": found.maturity.to_string(),
            "accuracy": found.accuracy.to_string(),
            "tags": found.tags.iter().map(|tag| text(tag)).collect::<Vec<_>>(),
            "match": name,
            "disruptive": found.disrupts,
        }
    })
}

/// Whether logs do not show the value of a member such as `REQUEST_HEADERS:Authorization`. The
/// message of a chain may be about any of its values.
pub fn is_secret(name: &str, redactor: &Redactor) -> bool {
    let (variable, member) = name.split_once(':').unwrap_or((name, ""));
    variable.starts_with("REQUEST_COOKIES") || redactor.is_secret(member)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
