//! What the engine says.

use std::sync::Arc;

use bartizan_chain::{JsonLimits, parse_strict};
use bartizan_core::{Denial, Reason};
use bartizan_wire::{Fields, is_field_name};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::authorize::service::{HeaderNames, is_sendable};
use crate::field_change::is_framing;

/// Most headers of an answer that are passed on.
const HEADERS_MAX: usize = 64;

/// A decision.
#[derive(Debug)]
pub(super) enum Decision {
    /// The request passes; these headers are there for the upstream.
    Allow(Headers),
    /// It is refused so.
    Deny(Denial),
}

/// Headers of an answer that can be sent.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<(String, String)>);

impl Decision {
    /// Reads an answer, or says why it is none.
    pub(super) fn read(body: &[u8], limits: JsonLimits) -> Result<Self, String> {
        let answer = parse_strict(body, limits).map_err(|fault| format!("not JSON: {fault}"))?;
        let result = answer.get("result").ok_or("the policy is undefined")?;
        let result = result.as_object().ok_or("`result` is not an object")?;
        let headers = Headers::read(result.get("headers"))?;
        match result.get("allow") {
            Some(Value::Bool(true)) => Ok(Self::Allow(headers)),
            Some(Value::Bool(false)) | None => deny(result, headers).map(Self::Deny),
            Some(_) => Err("`result.allow` is neither true nor false".to_owned()),
        }
    }
}

fn deny(result: &Map<String, Value>, headers: Headers) -> Result<Denial, String> {
    let status = match result.get("status_code") {
        None | Some(Value::Null) => 403,
        Some(code) => code
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (300..=599).contains(code))
            .ok_or("`result.status_code` is not a status of a refusal")?,
    };
    let mut denial =
        Denial::new(Reason::AuthorizerDenied, "the policy says no").with_status(status);
    denial.error_response = match result.get("reason") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some((Arc::from(text.as_str()), false)),
        Some(other) => Some((Arc::from(other.to_string()), true)),
    };
    denial.fields.extend(headers.0.into_iter().map(|(name, value)| (name.into(), value)));
    Ok(denial)
}

impl Headers {
    fn read(value: Option<&Value>) -> Result<Self, String> {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            return Ok(Self::default());
        };
        let map = value.as_object().ok_or("`result.headers` is not an object")?;
        let mut headers = Vec::new();
        for (name, value) in map {
            let lower = name.to_ascii_lowercase();
            if !is_field_name(lower.as_bytes()) || is_framing(&lower) {
                return Err("a name in `result.headers` cannot be sent".to_owned());
            }
            let values = match value {
                Value::Array(list) => list.as_slice(),
                one => std::slice::from_ref(one),
            };
            for value in values {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Bool(value) => value.to_string(),
                    _ => return Err("a value in `result.headers` is no text".to_owned()),
                };
                if !is_sendable(&text) {
                    return Err("a value in `result.headers` cannot be sent".to_owned());
                }
                headers.push((lower.clone(), text));
            }
        }
        if headers.len() > HEADERS_MAX {
            return Err(format!("more than {HEADERS_MAX} headers"));
        }
        Ok(Self(headers))
    }

    /// Copies the headers of these names.
    pub(super) fn copy(&self, names: &HeaderNames, to: &mut Fields) {
        for name in names.iter() {
            for (_, value) in self.0.iter().filter(|(own, _)| own == name) {
                to.append(Bytes::copy_from_slice(name.as_bytes()), value.clone());
            }
        }
    }
}
