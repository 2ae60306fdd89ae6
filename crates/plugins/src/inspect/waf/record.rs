//! What is written of an exchange in which a rule matched: the members of ModSecurity's audit log in
//! JSON that tell what happened, without bodies, cookies and credentials.

use bartizan_chain::{Outcome, RequestCx};
use bartizan_waf::{RuleMatch, Transaction};
use serde_json::{Value, json};

/// Fields whose values are not written.
const HIDDEN: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "apikey", "x-api-key", "x-csrf-token"];
/// Members whose values are not written, by how their names begin.
const HIDDEN_NAMES: [&str; 2] = ["REQUEST_COOKIES", "REQUEST_HEADERS:authorization"];

/// The line of an exchange; nothing if no rule that belongs into it matched.
pub(super) fn line(
    transaction: &Transaction,
    cx: &RequestCx,
    outcome: &Outcome<'_>,
) -> Option<Vec<u8>> {
    if transaction.matches().is_empty() {
        return None;
    }
    let canonical = cx.canonical();
    let mut headers = serde_json::Map::new();
    for field in cx.fields.iter() {
        let name = text(field.name);
        if !HIDDEN.iter().any(|hidden| hidden.eq_ignore_ascii_case(&name)) {
            headers.insert(name, text(field.value).into());
        }
    }
    let path = canonical.path();
    let messages: Vec<Value> = transaction.matches().iter().map(message).collect();
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
            "messages": messages,
        }
    });
    serde_json::to_vec(&entry).ok()
}

fn message(found: &RuleMatch) -> Value {
    let value = found.values.first();
    let name = value.map(|value| text(&value.name)).unwrap_or_default();
    let is_hidden = HIDDEN_NAMES
        .iter()
        .any(|hidden| name.get(..hidden.len()).is_some_and(|n| n.eq_ignore_ascii_case(hidden)));
    let data = if is_hidden { String::new() } else { text(&found.data) };
    json!({
        "message": text(&found.msg),
        "details": {
            "ruleId": found.id.to_string(),
            "file": &*found.file,
            "lineNumber": found.line.to_string(),
            "data": data,
            "severity": found.severity.map(|level| level.to_string()),
            "ver": found.ver.as_deref(),
            "tags": found.tags.iter().map(|tag| text(tag)).collect::<Vec<_>>(),
            "match": name,
            "disruptive": found.disrupts,
        }
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
