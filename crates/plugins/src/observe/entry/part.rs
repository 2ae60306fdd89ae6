//! Texts of a format: plain text and variables.

use std::borrow::Cow;

use bartizan_audit::{REDACTED, Redactor, write_address, write_socket};
use bartizan_chain::{Reach, Var};
use bartizan_config::Invalid;

use super::Exchange;
use super::write::{Parts, Writer};

/// A compiled text. `\$` is a dollar.
#[derive(Debug)]
pub(super) struct Text(Box<[Part]>);

#[derive(Debug)]
enum Part {
    Text(Box<str>),
    Var(LogVar),
}

/// A variable of a format: what rules can read, and what is known once an exchange is over.
#[derive(Debug)]
enum LogVar {
    Var(Var),
    /// `time_iso8601`: when the request began.
    TimeIso,
    /// `request`: the request line.
    RequestLine,
    /// `server_protocol`
    Protocol,
    /// `bytes_sent` and `body_bytes_sent`: the answer's body.
    BytesSent,
    /// `request_length`: the request's body.
    RequestLength,
    /// `sent_http_x`: a field of the answer.
    SentHttp(String),
    /// `hostname`: this machine.
    Hostname,
    /// `reason`: the code of why it was refused or failed.
    Reason,
}

impl LogVar {
    fn parse(name: &str) -> Result<Self, Invalid> {
        Ok(match name {
            "time_iso8601" => Self::TimeIso,
            "request" => Self::RequestLine,
            "server_protocol" => Self::Protocol,
            "bytes_sent" | "body_bytes_sent" => Self::BytesSent,
            "request_length" => Self::RequestLength,
            "hostname" => Self::Hostname,
            "reason" => Self::Reason,
            "request_body" | "resp_body" => {
                let problem = format!("the variable `{name}` is not supported yet");
                return Err(Invalid::new(problem)
                    .with_help("bodies stream past the loggers, and hold secrets"));
            }
            _ => match name.strip_prefix("sent_http_").filter(|rest| !rest.is_empty()) {
                Some(field) => Self::SentHttp(field.to_ascii_lowercase().replace('_', "-")),
                None => Self::Var(
                    Var::parse_within(name, Reach::End)
                        .map_err(|fault| Invalid::new(fault.to_string()))?,
                ),
            },
        })
    }

    /// The value as it may be written.
    fn value<'e>(&self, of: &'e Exchange<'_>) -> Option<Cow<'e, str>> {
        let (cx, outcome) = (of.cx, of.outcome);
        Some(match self {
            Self::Var(var) => return value(var, of),
            Self::TimeIso => cx.received.to_rfc3339().into(),
            Self::RequestLine => {
                format!("{} {} {}", cx.canonical().method(), of.target(), cx.version.name()).into()
            }
            Self::Protocol => cx.version.name().into(),
            Self::BytesSent => outcome.bytes_out.to_string().into(),
            Self::RequestLength => outcome.bytes_in.to_string().into(),
            Self::SentHttp(name) => of.field(of.answer?, name)?,
            Self::Hostname => of.hostname.into(),
            Self::Reason => outcome.denial?.reason.code().into(),
        })
    }
}

impl LogVar {
    /// Writes the value, without a copy where it is often asked for.
    fn write(&self, of: &Exchange<'_>, out: &mut Parts<'_>) -> Option<()> {
        let (cx, outcome) = (of.cx, of.outcome);
        match self {
            Self::TimeIso => out.word(&cx.received.encode()),
            Self::RequestLine => {
                out.piece(cx.canonical().method().as_str().as_bytes());
                out.word(b" ");
                Redactor::write_target(out.0, cx.canonical().path_and_query().as_bytes());
                out.word(b" ");
                out.word(cx.version.name().as_bytes());
            }
            Self::BytesSent => out.number(outcome.bytes_out),
            Self::RequestLength => out.number(outcome.bytes_in),
            Self::Var(Var::RemoteAddr) => write_address(out.0, cx.client()),
            Self::Var(Var::UpstreamAddr) => write_socket(out.0, cx.upstream.address?),
            Self::Var(Var::RequestId) => out.word(&cx.id.encode()),
            Self::Var(Var::Status) => out.number(cx.status?.into()),
            _ => out.piece(self.value(of)?.as_bytes()),
        }
        Some(())
    }
}

impl Part {
    /// Writes it; `None` for a variable that has no value.
    fn write(&self, of: &Exchange<'_>, out: &mut Parts<'_>) -> Option<()> {
        match self {
            Self::Text(text) => out.piece(text.as_bytes()),
            Self::Var(var) => return var.write(of, out),
        }
        Some(())
    }
}

/// The value of what rules can read, as it may be written: of a query only names are, of cookies
/// nothing is, and fields go through the redactor.
fn value<'e>(var: &Var, of: &'e Exchange<'_>) -> Option<Cow<'e, str>> {
    let is_there = |var: &Var| !matches!(var.value(of.cx), Ok(None));
    match var {
        Var::Arg(_) | Var::Cookie(_) => is_there(var).then_some(Cow::Borrowed(REDACTED)),
        Var::Args => {
            let query = of.cx.canonical().query()?;
            let shown = Redactor::target(format!("?{query}").as_bytes());
            Some(shown.as_str().trim_start_matches('?').to_owned().into())
        }
        Var::RequestUri => Some(of.target().into()),
        Var::Http(name) => of.field(&of.cx.fields, name),
        _ => var.value(of.cx).ok().flatten(),
    }
}

impl Text {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['$', '\\']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("\\$") {
                literal.push('$');
                rest = after;
                continue;
            }
            let name =
                from.strip_prefix('$').map(variable_name).filter(|(name, _)| !name.is_empty());
            let Some((name, after)) = name else {
                let mut chars = from.chars();
                literal.extend(chars.next());
                rest = chars.as_str();
                continue;
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal).into()));
            }
            parts.push(Part::Var(LogVar::parse(name)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() || parts.is_empty() {
            parts.push(Part::Text(literal.into()));
        }
        Ok(Self(parts.into()))
    }

    /// Whether it shows fields of the answer.
    pub(super) fn reads_answer(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Var(LogVar::SentHttp(_))))
    }

    /// Writes the text of an exchange; false where it is one variable that has no value.
    pub(super) fn write(&self, out: &mut Writer<'_, '_>) -> bool {
        let of = out.of;
        let is_one = self.0.len() == 1;
        let is_written = out.parts(|out| {
            for part in &self.0 {
                let written = part.write(of, out);
                if is_one {
                    return written;
                }
            }
            Some(())
        });
        if is_written {
            return true;
        }
        let text = self.render(of);
        if let Some(text) = &text {
            out.text(text.as_bytes());
        }
        text.is_some()
    }

    /// The text of an exchange; `None` where it is one variable that has no value.
    fn render<'e>(&'e self, of: &'e Exchange<'_>) -> Option<Cow<'e, str>> {
        if let [only] = &*self.0 {
            return match only {
                Part::Text(text) => Some(Cow::Borrowed(text)),
                Part::Var(var) => var.value(of),
            };
        }
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Var(var) => out.push_str(&var.value(of).unwrap_or_default()),
            }
        }
        Some(out.into())
    }
}

fn variable_name(text: &str) -> (&str, &str) {
    if let Some((name, rest)) = text.strip_prefix('{').and_then(|t| t.split_once('}')) {
        return (name, rest);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}
