//! From what a service answers to what the client gets.

use std::sync::Arc;

use bartizan_chain::{AnswerHead, HeldBody, RequestCx};
use bartizan_core::{Denial, Reason};
use bartizan_protos::{Details, Method, Style, status};
use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// Base64 as gRPC has it in headers, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What is of gRPC, and said to the client otherwise.
const OF_GRPC: [&[u8]; 6] = [
    b"grpc-encoding",
    b"grpc-accept-encoding",
    b"grpc-status",
    b"grpc-message",
    b"grpc-status-details-bin",
    b"content-type",
];

/// How answers are read.
pub(super) struct Reading {
    pub(super) method: Method,
    pub(super) style: Style,
    pub(super) shows_status: bool,
    pub(super) details: Option<Details>,
}

/// An answer that is translated once it is whole.
pub(super) struct Translated(pub(super) Arc<Reading>);

impl HeldBody for Translated {
    fn decide(
        self: Box<Self>,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        body: Bytes,
    ) -> Result<Bytes, Denial> {
        let told = Told::of(answer)?;
        if told.code == 0 && answer.status != StatusCode::OK {
            return Err(unreadable("`grpc-status` 0 beside another HTTP status".into()));
        }
        answer.trailers.clear();
        answer.fields.retain(|field| !OF_GRPC.contains(&field.name));
        answer.fields.append(Bytes::from_static(b"grpc-status"), told.code.to_string());
        if let Some(message) = &told.message {
            answer.fields.append(Bytes::from_static(b"grpc-message"), message.clone());
        }
        let value = if told.code == 0 {
            let message = unframed(&body)?;
            let value = self.0.method.output(message, self.0.style);
            Some(value.map_err(|misfit| unreadable(format!("the message: {misfit}")))?)
        } else {
            answer.status = http_status(told.code);
            self.0.shows_status.then(|| self.0.error(&told)).transpose()?
        };
        let Some(value) = value else {
            answer.forget_body();
            return Ok(Bytes::new());
        };
        let kind = Bytes::from_static(b"application/json");
        answer.fields.append(Bytes::from_static(b"content-type"), kind);
        Ok(value.to_string().into())
    }

    fn over(&self, max: usize) -> Denial {
        let detail = format!("the answer is longer than {max} bytes, which is all that is held");
        Denial::new(Reason::AnswerTooLarge, detail)
    }
}

impl Reading {
    /// The body of an error.
    fn error(&self, told: &Told) -> Result<Value, Denial> {
        let told_more = match &told.details {
            None => Value::Null,
            Some(bytes) => status(bytes, self.details.as_ref(), self.style)
                .map_err(|misfit| unreadable(format!("`grpc-status-details-bin`: {misfit}")))?,
        };
        let mut error = match told_more {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        error.entry("code").or_insert_with(|| told.code.into());
        if let Some(message) = &told.message {
            error.entry("message").or_insert_with(|| decoded(message).into());
        }
        Ok(json!({ "error": error }))
    }
}

/// What a service says beside its message.
struct Told {
    code: u32,
    message: Option<Bytes>,
    details: Option<Vec<u8>>,
}

impl Told {
    /// In the trailers, or in the head where nothing else came.
    fn of(answer: &AnswerHead) -> Result<Self, Denial> {
        let single = |name: &str| {
            let trailers = answer.trailers.single(name);
            let both = trailers.and_then(|found| match found {
                Some(found) => Ok(Some(found)),
                None => answer.fields.single(name),
            });
            both.map_err(|_| unreadable(format!("`{name}` twice")))
        };
        let code = single("grpc-status")?.ok_or_else(|| unreadable("no `grpc-status`".into()))?;
        let code = std::str::from_utf8(code).ok().and_then(|code| code.parse().ok());
        let code = code.ok_or_else(|| unreadable("a `grpc-status` that is no number".into()))?;
        let details = single("grpc-status-details-bin")?.map(|text| BASE64.decode(text));
        let details = details
            .transpose()
            .map_err(|_| unreadable("`grpc-status-details-bin` is no base64".into()))?;
        let message = single("grpc-message")?.map(Bytes::copy_from_slice);
        Ok(Self { code, message, details })
    }
}

/// True for the content type of gRPC, whatever the format of its messages. gRPC-Web is another.
pub(super) fn is_grpc(kind: &[u8]) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    kind.split_at_checked(TYPE.len()).is_some_and(|(begin, rest)| {
        begin.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// The one message in a body.
fn unframed(body: &[u8]) -> Result<&[u8], Denial> {
    let fault = |detail: &str| Err(unreadable(detail.to_owned()));
    let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<5>() else {
        return fault("no message");
    };
    if flag != 0 {
        return fault("a compressed message, which was not asked for");
    }
    let length = u32::from_be_bytes([a, b, c, d]);
    if usize::try_from(length).ok() != Some(rest.len()) {
        return fault("more or less than one message");
    }
    Ok(rest)
}

pub(super) fn unreadable(detail: String) -> Denial {
    Denial::new(Reason::AnswerUnreadable, detail)
}

/// A message as it was before it was percent-encoded.
fn decoded(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let hex = after.first_chunk::<2>().filter(|_| byte == b'%');
        let hex = hex.and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            None => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The status that fits a code of gRPC.
pub(super) fn http_status(code: u32) -> StatusCode {
    let status = match code {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    };
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
