//! What an issuer says of a token (RFC 7662 §2.2), read strictly.

use std::sync::Arc;

use bartizan_wire::Fields;
use http::StatusCode;
use serde_json::Value;

use super::{ABOUT_TOKEN, AskFault};
use crate::jose::{ClaimFault, Claims};

/// Longest answer. Real ones have some hundred bytes.
pub(super) const ANSWER_MAX: usize = 64 * 1024;

/// What a token is worth.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// Nothing: it is unknown, over, withdrawn, or not for whoever asks. Why is not said.
    Inactive,
    /// It is good now, and this is what it says.
    Active(Arc<Claims>),
}

/// Reads an answer. One that can be read in two ways, or says what no token can, is none.
pub(super) fn read(status: StatusCode, fields: &Fields, body: &[u8]) -> Result<Answer, AskFault> {
    if status != StatusCode::OK {
        return Err(AskFault::Status(ABOUT_TOKEN, status));
    }
    let media = fields.single("content-type").ok().flatten().unwrap_or_default();
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default();
    if !media.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Err(AskFault::MediaType);
    }
    let claims = Claims::parse(body).map_err(AskFault::Json)?;
    match claims.claim("active") {
        Some(Value::Bool(false)) => Ok(Answer::Inactive),
        Some(Value::Bool(true)) => {
            check(&claims)?;
            Ok(Answer::Active(Arc::new(claims)))
        }
        _ => Err(AskFault::Member("active")),
    }
}

/// A member of the wrong type is a fault of the issuer, and never one that is not there.
fn check(claims: &Claims) -> Result<(), AskFault> {
    let is_text_or_absent = |name| claims.claim(name).is_none_or(Value::is_string);
    let texts = ["sub", "client_id", "username", "token_type", "token_use", "jti"];
    if let Some(name) = texts.into_iter().find(|name| !is_text_or_absent(name)) {
        return Err(AskFault::Member(name));
    }
    let of = |fault: ClaimFault| match fault {
        ClaimFault::Malformed(name) => AskFault::Member(name),
        _ => AskFault::Member("claims"),
    };
    for time in [claims.expires(), claims.not_before(), claims.issued()] {
        time.map_err(of)?;
    }
    claims.issuer().map_err(of)?;
    claims.audiences().map(drop).map_err(of)?;
    claims.scopes().map(drop).map_err(of)
}
