//! What is answered.

use bartizan_store::StoreError;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::problems;
use crate::plane::Refused;

const JSON: &str = "application/json";

/// An answer on its way.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    media: &'static str,
    text: String,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// Why a request is not done.
pub(crate) type Done = Result<Answer, Answer>;

impl Answer {
    pub(crate) fn json(status: StatusCode, value: &Value) -> Self {
        Self { status, media: JSON, text: value.to_string(), fields: Vec::new() }
    }

    pub(crate) fn ok(value: &Value) -> Self {
        Self::json(StatusCode::OK, value)
    }

    pub(crate) fn text(status: StatusCode, text: &str) -> Self {
        Self { status, media: "text/plain", text: text.to_owned(), fields: Vec::new() }
    }

    /// A page for people.
    pub(crate) fn page(status: StatusCode, text: String) -> Self {
        Self { status, media: "text/html; charset=utf-8", text, fields: Vec::new() }
    }

    /// What an error says to people.
    pub(crate) fn problem(&self) -> String {
        let value: Value = serde_json::from_str(&self.text).unwrap_or_default();
        let member = |name: &str| value.get(name).and_then(Value::as_str);
        let told =
            member("description").or_else(|| member("error_msg")).or_else(|| member("message"));
        told.unwrap_or(&self.text).to_owned()
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::text(status, "")
    }

    /// An error as Apache APISIX words it.
    pub(crate) fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self::json(status, &json!({ "error_msg": text.into() }))
    }

    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, text)
    }

    pub(crate) fn no_key() -> Self {
        Self::json(StatusCode::NOT_FOUND, &json!({ "message": "Key not found" }))
    }

    pub(crate) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "not found")
    }

    /// What was asked for ended in the middle.
    pub(crate) fn failed() -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "the request failed")
    }

    /// The caller could not prove who it is.
    pub(crate) fn unproved(description: &str) -> Self {
        let told = json!({ "error_msg": "failed to check token", "description": description });
        Self::json(StatusCode::UNAUTHORIZED, &told)
    }

    pub(crate) fn forbidden(description: &str) -> Self {
        // What Apache APISIX answers to a viewer that writes.
        if description.starts_with("invalid method for role") {
            return Self::unproved(description);
        }
        let told = json!({ "error_msg": "forbidden", "description": description });
        Self::json(StatusCode::FORBIDDEN, &told)
    }

    pub(crate) fn not_allowed(noun: &str, method: &str, allowed: &str) -> Self {
        let text = format!("not supported `{method}` method for {noun}");
        Self::error(StatusCode::METHOD_NOT_ALLOWED, text).with(ALLOW, allowed)
    }

    /// What the caller expected of an object does not hold.
    pub(crate) fn precondition(what: &str) -> Self {
        Self::error(StatusCode::PRECONDITION_FAILED, what)
    }

    pub(crate) fn of_store(error: &StoreError) -> Self {
        let status = match error {
            StoreError::Conflict { .. } | StoreError::ReadOnly { .. } => StatusCode::CONFLICT,
            StoreError::Missing(_) => return Self::no_key(),
            StoreError::NoRevision(..) => StatusCode::NOT_FOUND,
            StoreError::CommitSize(..) | StoreError::Twice(_) | StoreError::BadContent(..) => {
                StatusCode::BAD_REQUEST
            }
            StoreError::Unreachable(_) | StoreError::Refused(_) | StoreError::Broken(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self::error(status, error.to_string())
    }

    pub(crate) fn of_refusal(refused: &Refused, written: Option<(&str, &str)>) -> Self {
        match refused {
            Refused::Invalid(found) => {
                Self::json(StatusCode::BAD_REQUEST, &problems::told(found, written))
            }
            Refused::Store(error) => Self::of_store(error),
            Refused::Busy => {
                Self::error(StatusCode::SERVICE_UNAVAILABLE, "too many changes wait for their turn")
                    .with(RETRY_AFTER, "1")
            }
        }
    }

    /// Adds a field; a value that cannot be one is left out.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.fields.push((name, value));
        }
        self
    }

    #[must_use]
    pub(crate) fn with_revision(self, revision: u64) -> Self {
        self.with(ETAG, &format!("\"{revision}\""))
    }

    #[must_use]
    pub(crate) fn with_media(mut self, media: &'static str) -> Self {
        self.media = media;
        self
    }

    pub(crate) fn into_response(self, is_head: bool) -> Response<Full<Bytes>> {
        let text = if is_head { String::new() } else { self.text };
        let has_text = !text.is_empty();
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        if has_text {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.media));
        }
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        for (name, value) in self.fields {
            fields.insert(name, value);
        }
        response
    }
}
