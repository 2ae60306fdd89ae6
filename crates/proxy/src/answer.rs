//! What a refused client reads: problem details (RFC 9457), or Apache APISIX's bodies.

use bartizan_chain::{AnswerHead, LocalAnswer};
use bartizan_core::{Compatibility, Denial, RequestId, WireForm};
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

/// The names of reasons in problem details; they are names, nothing is fetched from there.
const TYPE_PREFIX: &str = "https://bartizan.dev/reasons/";

/// The answer to a refused request.
pub(crate) fn refuse(
    denial: &Denial,
    id: RequestId,
    mode: Compatibility,
) -> (Box<AnswerHead>, Bytes) {
    let (media, body) = match (&denial.error_response, mode) {
        (Some((text, true)), _) => ("application/json", text.to_string()),
        (Some((text, false)), _) => ("text/plain; charset=utf-8", text.to_string()),
        (None, Compatibility::Apisix) => ("text/plain; charset=utf-8", apisix(denial)),
        (None, Compatibility::None) => ("application/problem+json", problem(denial, id)),
    };
    let mut fields = Fields::new();
    for (name, value) in [("content-type", media), ("cache-control", "no-store")] {
        // What a plugin was told to say stands in place of what is usual.
        if !denial.fields.iter().any(|(own, _)| own == name) {
            fields
                .append(Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()));
        }
    }
    for (name, value) in &denial.fields {
        let (name, value) = (Bytes::copy_from_slice(name.as_bytes()), Bytes::from(value.clone()));
        // A body has one type; other fields can repeat.
        if name == "content-type" {
            fields.set(name, value);
        } else {
            fields.append(name, value);
        }
    }
    let status = StatusCode::from_u16(denial.status()).unwrap_or(StatusCode::FORBIDDEN);
    (Box::new(AnswerHead::new(status, fields, true)), Bytes::from(body))
}

/// The answer that a plugin makes.
pub(crate) fn local(answer: LocalAnswer) -> (Box<AnswerHead>, Bytes) {
    let LocalAnswer { status, fields, body } = answer;
    (Box::new(AnswerHead::new(status, fields, true)), body)
}

fn problem(denial: &Denial, id: RequestId) -> String {
    let reason = denial.public_reason();
    let mut problem = json!({
        "type": format!("{TYPE_PREFIX}{}", reason.code()),
        "title": reason.title(),
        "status": denial.status(),
        "code": reason.code(),
        "request_id": id.to_string(),
    });
    if let (Some(message), Some(object)) = (&denial.message, problem.as_object_mut()) {
        object.insert("detail".to_owned(), json!(message));
    }
    problem.to_string()
}

fn apisix(denial: &Denial) -> String {
    let own = denial.message.as_deref().or(denial.apisix_message.as_deref());
    let reason = denial.public_reason();
    let body = match reason.wire_form() {
        WireForm::Message(text) => json!({ "message": own.unwrap_or(text) }),
        WireForm::ErrorMsg(text) => json!({ "error_msg": own.unwrap_or(text) }),
        WireForm::Page => json!({ "error_msg": own.unwrap_or(reason.title()) }),
    };
    format!("{body}\n")
}

#[cfg(test)]
mod tests {
    use bartizan_core::{IdSource, Reason, Timestamp};
    use serde_json::Value;

    use super::*;

    fn body(denial: &Denial, mode: Compatibility) -> (u16, String) {
        let id = IdSource::new().next(Timestamp::from_secs(1));
        let (head, body) = refuse(denial, id, mode);
        (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn problem_details_name_the_reason_and_never_the_detail() {
        let denial = Denial::new(Reason::ObjectDenied, "owner `bob` is not `alice`");
        let (status, text) = body(&denial, Compatibility::None);
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, 403);
        assert_eq!(problem["code"], "authz.object_denied");
        assert_eq!(problem["status"], 403);
        assert!(problem["request_id"].as_str().is_some_and(|id| id.len() == 36));
        assert!(!text.contains("bob") && !text.contains("alice"));
    }

    #[test]
    fn apisix_gets_its_own_messages() {
        let denial = Denial::new(Reason::NoRoute, "");
        let (_, text) = body(&denial, Compatibility::Apisix);
        assert_eq!(text, "{\"error_msg\":\"404 Route Not Found\"}\n");
        let denial = Denial::new(Reason::MissingCredential, "")
            .with_apisix_message("Missing API key in request");
        let (_, text) = body(&denial, Compatibility::Apisix);
        assert_eq!(text, "{\"message\":\"Missing API key in request\"}\n");
    }

    #[test]
    fn the_configuration_can_replace_message_status_and_body() {
        let denial =
            Denial::new(Reason::AddressDenied, "").with_status(404).with_message("not here");
        let (status, text) = body(&denial, Compatibility::None);
        assert_eq!(status, 404);
        assert!(text.contains("\"detail\":\"not here\""));
        let mut denial = Denial::new(Reason::AddressDenied, "");
        denial.error_response = Some(("{\"oops\":1}".into(), true));
        assert_eq!(body(&denial, Compatibility::Apisix).1, "{\"oops\":1}");
    }
}
