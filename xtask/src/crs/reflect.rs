//! The backend of the tests: it answers as the request tells it to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// An answer of the backend.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What the backend answers to a request. Below `/reflect` the request's body, a JSON object, says
/// what: `status`, `headers`, `body` or `encodedBody`. Anything else is 200 with a short text.
pub(super) fn answer(target: &[u8], body: &[u8]) -> Answer {
    let plain = || Answer {
        status: 200,
        fields: vec![("Content-Type".to_owned(), "text/plain".to_owned())],
        body: b"Hello, friend!".to_vec(),
    };
    if !target.starts_with(b"/reflect") {
        return plain();
    }
    let Ok(wanted) = serde_json::from_slice::<Value>(body) else { return plain() };
    let status = wanted["status"].as_u64().and_then(|status| status.try_into().ok());
    let mut fields = Vec::new();
    for (name, value) in wanted["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        fields.push((name.clone(), value));
    }
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        fields.push(("Content-Type".to_owned(), "text/plain".to_owned()));
    }
    let body = match (wanted["body"].as_str(), wanted["encodedBody"].as_str()) {
        (Some(body), _) => body.as_bytes().to_vec(),
        (_, Some(encoded)) => STANDARD.decode(encoded).unwrap_or_default(),
        _ => Vec::new(),
    };
    Answer { status: status.unwrap_or(200), fields, body }
}
