//! The response, and the end of the exchange.

use super::Transaction;
use super::outcome::{Cause, Interruption, Kind, Verdict};
use crate::seclang::script::{EngineMode, LimitAction, Phase};
use crate::variable::Variable;

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status.
    pub status: u16,
    /// The protocol, such as `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// The fields, in order.
    pub fields: &'a [(&'a [u8], &'a [u8])],
}

impl Transaction {
    /// Phase 3: the head of the response is there.
    pub fn response_head(&mut self, head: &ResponseHead<'_>) -> Verdict {
        if !self.is_running() {
            return Verdict::Pass;
        }
        self.single(Variable::ResponseStatus, head.status.to_string().as_bytes());
        self.single(Variable::ResponseProtocol, head.protocol);
        let mut line = head.protocol.to_vec();
        line.push(b' ');
        line.extend_from_slice(head.status.to_string().as_bytes());
        self.single(Variable::StatusLine, &line);
        for (name, value) in head.fields {
            let fields = (Variable::ResponseHeaders, Variable::ResponseHeadersNames);
            self.named(fields, name, value);
            if name.eq_ignore_ascii_case(b"content-type") {
                self.single(Variable::ResponseContentType, value);
            } else if name.eq_ignore_ascii_case(b"content-length") {
                self.single(Variable::ResponseContentLength, value);
            }
        }
        self.run(Phase::ResponseHead)
    }

    /// The fields of the response, as they were given.
    pub fn response_fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let fields = self.facts.own(Variable::ResponseHeaders).iter();
        fields.map(|field| (self.values.piece(field.name), self.values.bytes(field.value)))
    }

    /// True if rules look at bodies of the type that the response says.
    pub fn looks_at_response_body(&self) -> bool {
        if !self.wants_response_body() {
            return false;
        }
        let members = self.facts.own(Variable::ResponseContentType);
        let mut wanted = self.rules.settings.response_body_types.iter();
        let Some(member) = members.first() else {
            return wanted.any(|wanted| matches!(&**wanted, "null" | "(null)"));
        };
        let value = self.values.bytes(member.value);
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        wanted.any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(kind))
    }

    /// Phase 4: the body of the response is there, or what of it may be looked at.
    /// `is_cut` says that more came than [`response_body_max`](Self::response_body_max).
    pub fn response_body(&mut self, body: &[u8], is_cut: bool) -> Verdict {
        if !self.is_running() {
            return Verdict::Pass;
        }
        if is_cut {
            self.single(Variable::OutboundDataError, b"1");
            let rejects = self.rules.settings.response_body_over == LimitAction::Reject;
            if rejects && self.state.engine == EngineMode::On {
                let cause = Cause::ResponseBodyTooLarge;
                self.interrupt(Interruption { cause, kind: Kind::Deny(403) });
            }
        }
        self.single(Variable::ResponseBody, body);
        if self.facts.own(Variable::ResponseContentLength).is_empty() {
            let length = body.len().to_string();
            self.single(Variable::ResponseContentLength, length.as_bytes());
        }
        self.run(Phase::ResponseBody)
    }

    /// Phase 5: the exchange is over. Nothing can be refused any more.
    pub fn finish(&mut self) {
        if self.is_running() {
            let _ = self.run(Phase::Logging);
        }
    }
}
