//! What gRPC adds to HTTP/2: who speaks it, how long a call may take, and how a refusal is told.

use std::fmt::Write as _;
use std::time::Duration;

use bartizan_chain::BodyPlan;
use bartizan_core::{Denial, Reason};
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;

use crate::decide::{Answer, AnswerBody};
use crate::record::Record;

/// Longest `grpc-message`, before it is encoded.
const MESSAGE_MAX: usize = 512;

/// True for a request of gRPC, by its content type: `application/grpc`, or with a format behind it.
/// gRPC-Web is something else.
pub(crate) fn is_grpc(fields: &Fields) -> bool {
    const TYPE: &[u8] = b"application/grpc";
    let Some((begin, rest)) =
        fields.get("content-type").and_then(|v| v.split_at_checked(TYPE.len()))
    else {
        return false;
    };
    begin.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// What a refusal says of a body that it does not have here.
const OF_THE_BODY: [&[u8]; 4] =
    [b"content-type", b"content-encoding", b"content-language", b"etag"];

/// How long the caller waits: `grpc-timeout`, up to eight digits and a unit. What cannot be read is
/// the server's to refuse.
pub(crate) fn timeout(fields: &Fields) -> Option<Duration> {
    let (unit, digits) = fields.single("grpc-timeout").ok()??.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0_u64, |n, digit| n * 10 + u64::from(digit & 15));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Tells a refusal as gRPC does, where the request was one of gRPC: a client would make of the
/// HTTP status what it can, and show nothing of the body. The record keeps the status.
pub(crate) fn dress(answer: &mut Answer, record: &Record) {
    // Who did not ask so is not answered so.
    let is_translated = record.cx().is_some_and(|cx| cx.translated().is_some());
    if is_translated || !matches!(answer.body, AnswerBody::Local(_)) {
        return;
    }
    let is_refusal = record.denial.is_some() || !answer.head.status.is_success();
    let fields = &mut answer.head.fields;
    // What a plugin holds has its status behind it, whatever happened to the request meanwhile.
    let is_told = fields.contains("grpc-status") || answer.trailers.contains("grpc-status");
    if !is_refusal || is_told || !is_grpc(record.fields()) {
        return;
    }
    let (code, message) = match &record.denial {
        Some(denial) => (code_of(denial, answer.head.status), text_of(denial)),
        None => (code(answer.head.status), answer.head.status.canonical_reason().unwrap_or("")),
    };
    fields.retain(|field| !OF_THE_BODY.contains(&field.name));
    fields.append(Bytes::from_static(b"content-type"), Bytes::from_static(b"application/grpc"));
    fields.append(Bytes::from_static(b"grpc-status"), Bytes::from(code.to_string()));
    fields.append(Bytes::from_static(b"grpc-message"), Bytes::from(encoded(message)));
    answer.head.status = StatusCode::OK;
    answer.head.plan = BodyPlan::default();
    answer.trailers.clear();
    answer.body = AnswerBody::Local(Bytes::new());
}

fn text_of(denial: &Denial) -> &str {
    denial.message.as_deref().unwrap_or_else(|| denial.public_reason().title())
}

fn code_of(denial: &Denial, status: StatusCode) -> u8 {
    // Either the caller's own time was over, or ours.
    if denial.reason == Reason::RequestTimeout { 4 } else { code(status) }
}

/// The code for an HTTP status: as gRPC's own table has it for those that it names, and the nearest
/// in meaning for others.
fn code(status: StatusCode) -> u8 {
    match status.as_u16() {
        499 => 1,
        // RESOURCE_EXHAUSTED.
        413 | 414 | 431 => 8,
        // INTERNAL.
        400 => 13,
        401 => 16,
        403 => 7,
        // UNIMPLEMENTED.
        404 | 405 | 415 | 501 | 505 => 12,
        // UNAVAILABLE.
        408 | 429 | 502..=504 => 14,
        // UNKNOWN.
        _ => 2,
    }
}

/// A message as it travels: what is not printable ASCII, and `%`, percent-encoded.
fn encoded(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = String::with_capacity(end);
    for byte in message.get(..end).unwrap_or_default().trim().bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &'static str, value: &'static str) -> Fields {
        let mut fields = Fields::new();
        fields.append(name, value);
        fields
    }

    #[test]
    fn grpc_is_known_by_its_content_type_alone() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC+json", true),
            ("application/grpc; a=b", true),
            ("application/grpc;a=b", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcs", false),
            ("application/json", false),
            ("application/grp", false),
        ] {
            assert_eq!(is_grpc(&of("content-type", value)), expected, "{value}");
        }
        assert!(!is_grpc(&Fields::new()));
    }

    #[test]
    fn a_timeout_is_a_number_of_up_to_eight_digits_and_a_unit() {
        let timeout = |value| timeout(&of("grpc-timeout", value));
        for (value, expected) in [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("99999999S", Duration::from_secs(99_999_999)),
            ("5m", Duration::from_millis(5)),
            ("7u", Duration::from_micros(7)),
            ("9n", Duration::from_nanos(9)),
        ] {
            assert_eq!(timeout(value), Some(expected), "{value}");
        }
        for value in ["", "S", "5", "5s", "5 S", "-5S", "100000000S", "1.5S"] {
            assert_eq!(timeout(value), None, "{value}");
        }
    }

    #[test]
    fn a_message_is_one_printable_line_of_bounded_length() {
        assert_eq!(encoded("Too many requests."), "Too many requests.");
        assert_eq!(encoded("100 % ü\r\n\0x"), "100 %25 %C3%BC%0D%0A%00x");
        assert_eq!(encoded(&"a".repeat(600)).len(), MESSAGE_MAX);
        assert_eq!(encoded(&"ü".repeat(600)).len(), MESSAGE_MAX / 2 * 6);
        assert_eq!(encoded(""), "");
    }

    #[test]
    fn each_status_has_its_code() {
        for (status, expected) in [
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 12),
            (405, 12),
            (413, 8),
            (429, 14),
            (499, 1),
            (500, 2),
            (502, 14),
            (503, 14),
            (504, 14),
            (302, 2),
        ] {
            assert_eq!(code(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
        let late = Denial::new(Reason::RequestTimeout, "");
        assert_eq!(code_of(&late, StatusCode::GATEWAY_TIMEOUT), 4);
    }
}
