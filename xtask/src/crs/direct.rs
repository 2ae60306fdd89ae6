//! Tests run against the engine alone, without a gateway around it: fast, and the difference shows
//! what the gateway refuses before any rule runs.

use std::sync::Arc;

use bartizan_waf::{Peer, RequestHead, ResponseHead, RuleMatch, RuleSet, Transaction, Verdict};

use super::cases::Stage;
use super::log_line;
use super::reflect;

/// What came of a request.
pub(super) struct Outcome {
    pub(super) ids: Vec<u32>,
    pub(super) log: String,
    pub(super) status: Option<u16>,
}

/// Judges a stage.
pub(super) fn run(rules: &Arc<RuleSet>, stage: &Stage) -> Outcome {
    let mut transaction = Transaction::new(rules.clone(), None);
    let (head, body) = split(&stage.request);
    let mut lines = head.split(|byte| *byte == b'\n').map(trim_return);
    let line = lines.next().unwrap_or_default();
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let rest = words.next().unwrap_or_default();
    let space = rest.iter().rposition(|byte| *byte == b' ');
    let (target, protocol) = match space {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") => (&rest[..at], &rest[at + 1..]),
        _ => (rest, &b"HTTP/0.9"[..]),
    };
    let protocol = if stage.is_http2 { b"HTTP/2.0" } else { protocol };
    let fields: Vec<(&[u8], &[u8])> = lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii())
        })
        .collect();
    let peer =
        Peer { client: ([127, 0, 0, 1], 40_000).into(), server: ([127, 0, 0, 1], 80).into() };
    let head = RequestHead {
        peer,
        method,
        target,
        protocol,
        fields: &fields,
        id: b"test",
        now: 1_764_000_000,
    };
    let mut verdict = transaction.request_head(&head);
    if verdict == Verdict::Pass {
        verdict = transaction.request_body(body, false);
    }
    let mut status = None;
    if verdict == Verdict::Pass {
        let answer = reflect::answer(target, body);
        status = Some(answer.status);
        let fields: Vec<(&[u8], &[u8])> =
            answer.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let head = ResponseHead { status: answer.status, protocol: b"HTTP/1.1", fields: &fields };
        verdict = transaction.response_head(&head);
        if verdict == Verdict::Pass && transaction.looks_at_response_body() {
            verdict = transaction.response_body(&answer.body, false);
        }
    }
    drop(verdict);
    transaction.finish();
    let matches = transaction.matches();
    let log = matches.iter().map(line_of).collect();
    Outcome { ids: matches.iter().map(|found| found.id).collect(), log, status }
}

/// A match as ModSecurity's error log would show it.
pub(super) fn line_of(found: &RuleMatch) -> String {
    let text = String::from_utf8_lossy;
    log_line(&found.id.to_string(), &text(&found.msg), &text(&found.data))
}

fn split(request: &[u8]) -> (&[u8], &[u8]) {
    for end in [&b"\r\n\r\n"[..], b"\n\n"] {
        if let Some(at) = request.windows(end.len()).position(|window| window == end) {
            return (&request[..at], &request[at + end.len()..]);
        }
    }
    (request, &[])
}

fn trim_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
