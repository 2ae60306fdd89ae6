//! The request: its head and its body, as variables.

use std::net::SocketAddr;

use super::Transaction;
use super::outcome::{Cause, Interruption, Kind, Verdict};
use super::values::Piece;
use crate::bodies::{self, BodyLimits, Fault, Parsed};
use crate::seclang::script::{BodyProcessor, EngineMode, LimitAction, Phase};
use crate::text::Expand as _;
use crate::transformations::hex;
use crate::variable::Variable;

/// Who is at the two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The client.
    pub client: SocketAddr,
    /// The address that it connected to.
    pub server: SocketAddr,
}

/// The head of a request, as the client sent it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// Who sent it.
    pub peer: Peer,
    /// The method.
    pub method: &'a [u8],
    /// The target, undecoded, with its query.
    pub target: &'a [u8],
    /// The protocol, such as `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// The fields, in order.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// What names the exchange in logs.
    pub id: &'a [u8],
    /// Now, in seconds since 1970, UTC.
    pub now: u64,
}

impl Transaction {
    /// Phase 1: the head of the request is there.
    pub fn request_head(&mut self, head: &RequestHead<'_>) -> Verdict {
        if !self.is_running() {
            return Verdict::Pass;
        }
        self.state.now = head.now;
        self.take_line(head);
        self.take_fields(head);
        self.take_peer(head);
        self.take_time(head.now);
        self.take_query(head.target);
        self.single(Variable::UniqueId, head.id);
        self.begin_body();
        self.run(Phase::RequestHead)
    }

    /// Phase 2: the body of the request is there, or what of it may be looked at.
    /// `is_cut` says that more came than [`request_body_max`](Self::request_body_max).
    pub fn request_body(&mut self, body: &[u8], is_cut: bool) -> Verdict {
        if !self.is_running() {
            return Verdict::Pass;
        }
        let is_upload = self.state.processor == Some(BodyProcessor::Multipart);
        let is_over = !is_upload && body.len() as u64 > self.rules.settings.no_files_max;
        if (is_cut || is_over) && self.state.reads_request_body {
            self.single(Variable::InboundDataError, b"1");
            let rejects = self.rules.settings.request_body_over == LimitAction::Reject;
            if rejects && self.state.engine == EngineMode::On {
                let cause = Cause::RequestBodyTooLarge;
                self.interrupt(Interruption { cause, kind: Kind::Deny(413) });
            }
        }
        if self.state.reads_request_body {
            self.take_body(body);
        }
        self.sum_up_arguments();
        self.open_values();
        self.run(Phase::RequestBody)
    }

    pub(super) fn single(&mut self, variable: Variable, value: &[u8]) {
        let value = self.values.add(value);
        self.facts.set(variable, value);
    }

    pub(super) fn member(&mut self, variable: Variable, name: &[u8], value: &[u8]) {
        let name = self.values.keep(name);
        let value = self.values.add(value);
        self.facts.add(variable, name, value);
    }

    /// Adds a member, and its name to the variable of names.
    pub(super) fn named(
        &mut self,
        (variable, names): (Variable, Variable),
        name: &[u8],
        bytes: &[u8],
    ) {
        let piece = self.values.keep(name);
        let value = self.values.add(bytes);
        self.facts.add(variable, piece, value);
        if self.is_proven(variable, name, bytes) {
            self.facts.prove_last(variable);
        }
        let is_stated = self.is_stated(variable, name);
        let name = self.values.of_piece(piece);
        self.facts.add(names, piece, name);
        if is_stated {
            self.facts.prove_last(names);
        }
    }

    fn take_line(&mut self, head: &RequestHead<'_>) {
        let mut line = Vec::with_capacity(head.method.len() + head.target.len() + 10);
        line.extend_from_slice(head.method);
        line.push(b' ');
        line.extend_from_slice(head.target);
        line.push(b' ');
        line.extend_from_slice(head.protocol);
        self.single(Variable::RequestLine, &line);
        self.single(Variable::RequestMethod, head.method);
        self.single(Variable::RequestProtocol, head.protocol);
        self.single(Variable::RequestUriRaw, head.target);
        let local = without_origin(head.target);
        self.single(Variable::RequestUri, local);
        let (path, query) = split_query(local);
        self.single(Variable::QueryString, query);
        let mut decoded = Vec::with_capacity(path.len());
        percent_decode(path, &mut decoded);
        self.single(Variable::RequestFilename, &decoded);
        self.single(Variable::PathInfo, &decoded);
        let base = decoded.rsplit(|byte| matches!(byte, b'/' | b'\\')).next();
        self.single(Variable::RequestBasename, base.unwrap_or_default());
    }

    fn take_fields(&mut self, head: &RequestHead<'_>) {
        let fields = (Variable::RequestHeaders, Variable::RequestHeadersNames);
        for (name, value) in head.fields {
            self.named(fields, name, value);
            if name.eq_ignore_ascii_case(b"cookie") {
                let limits = self.body_limits();
                let parsed = bodies::cookies(value, &limits);
                self.note_limit(&parsed);
                for cookie in parsed.args {
                    let cookies = (Variable::RequestCookies, Variable::RequestCookiesNames);
                    self.named(cookies, &cookie.name, &cookie.value);
                }
            } else if name.eq_ignore_ascii_case(b"host") {
                let name = value.split(|byte| *byte == b':').next().unwrap_or_default();
                self.single(Variable::ServerName, name);
            } else if name.eq_ignore_ascii_case(b"authorization") {
                let kind = value.split(|byte| *byte == b' ').next().unwrap_or_default();
                self.single(Variable::AuthType, kind);
            }
        }
    }

    fn take_peer(&mut self, head: &RequestHead<'_>) {
        let Peer { client, server } = head.peer;
        let address = client.ip().to_canonical().to_string();
        self.single(Variable::RemoteAddr, address.as_bytes());
        self.single(Variable::RemoteHost, address.as_bytes());
        self.single(Variable::RemotePort, client.port().to_string().as_bytes());
        let address = server.ip().to_canonical().to_string();
        self.single(Variable::ServerAddr, address.as_bytes());
        self.single(Variable::ServerPort, server.port().to_string().as_bytes());
    }

    fn take_time(&mut self, now: u64) {
        let rules = self.rules.clone();
        self.single(Variable::WebAppId, rules.settings.web_app_id.as_bytes());
        self.single(Variable::ModsecBuild, b"030015000");
        let (year, month, day) = date(now / 86_400);
        let second = now % 86_400;
        let clock = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
        for (variable, number) in [
            (Variable::TimeEpoch, now),
            (Variable::TimeHour, second / 3_600),
            (Variable::TimeMin, second / 60 % 60),
            (Variable::TimeSec, second % 60),
            (Variable::TimeDay, day),
            (Variable::TimeMon, month - 1),
            (Variable::TimeYear, year),
            (Variable::TimeWday, (now / 86_400 + 4) % 7),
        ] {
            self.single(variable, number.to_string().as_bytes());
        }
        self.single(Variable::Time, clock.as_bytes());
    }

    fn take_query(&mut self, target: &[u8]) {
        let (_, query) = split_query(without_origin(target));
        let separator = self.rules.settings.argument_separator;
        let parsed = bodies::urlencoded(query, separator, &self.body_limits());
        self.take_arguments((Variable::ArgsGet, Variable::ArgsGetNames), &parsed);
    }

    /// More than may be looked at must not pass for looked at.
    fn note_limit(&self, parsed: &Parsed<'_>) {
        if matches!(parsed.fault, Some(Fault::TooMany(..))) {
            self.give_up();
        }
    }

    fn take_arguments(&mut self, variables: (Variable, Variable), parsed: &Parsed<'_>) {
        self.note_limit(parsed);
        let mut proven = parsed.proven.iter().peekable();
        let mut stated = parsed.stated.iter().peekable();
        for (position, argument) in parsed.args.iter().enumerate() {
            self.named(variables, &argument.name, &argument.value);
            if proven.next_if(|next| **next == position).is_some() {
                self.facts.prove_last(variables.0);
            }
            if stated.next_if(|next| **next == position).is_some() {
                self.facts.prove_last(variables.1);
            }
        }
        if parsed.has_invalid_escape {
            self.single(Variable::UrlencodedError, b"1");
        }
    }

    fn body_limits(&self) -> BodyLimits {
        let settings = &self.rules.settings;
        BodyLimits {
            args: settings.arguments_max as usize,
            depth: settings.json_depth_max as usize,
            files: settings.files_max as usize,
            ..BodyLimits::default()
        }
    }

    /// What is known of the body before it comes.
    fn begin_body(&mut self) {
        for variable in [
            Variable::ReqbodyError,
            Variable::ReqbodyProcessorError,
            Variable::InboundDataError,
            Variable::OutboundDataError,
            Variable::MscPcreError,
            Variable::MscPcreLimitsExceeded,
            Variable::FilesCombinedSize,
            Variable::RequestBodyLength,
        ] {
            self.single(variable, b"0");
        }
        self.single(Variable::ReqbodyErrorMsg, b"");
        self.sum_up_arguments();
        let content_type = self.content_type().to_ascii_lowercase();
        let is = |name: &[u8]| content_type.starts_with(name);
        self.state.processor = if is(b"application/x-www-form-urlencoded") {
            Some(BodyProcessor::UrlEncoded)
        } else if is(b"multipart/form-data") {
            Some(BodyProcessor::Multipart)
        } else {
            None
        };
    }

    fn take_body(&mut self, body: &[u8]) {
        let length = body.len().to_string();
        self.single(Variable::RequestBodyLength, length.as_bytes());
        let processor = self.state.processor;
        // Elements and parts are looked at one by one, unless a rule wants the whole; the Core Rule
        // Set counts on the text of forms and of JSON.
        let is_text = matches!(processor, Some(BodyProcessor::UrlEncoded | BodyProcessor::Json));
        if is_text || self.state.forces_request_body {
            self.single(Variable::RequestBody, body);
        }
        if body.is_empty() {
            return;
        }
        self.work.spend(body.len());
        let limits = self.body_limits();
        let proven = std::mem::take(&mut self.proven);
        let parsed = match processor {
            None => return,
            Some(BodyProcessor::UrlEncoded) => {
                bodies::urlencoded(body, self.rules.settings.argument_separator, &limits)
            }
            Some(BodyProcessor::Json) => {
                bodies::json(body, &limits, [&proven.json, &proven.json_names])
            }
            Some(BodyProcessor::Xml) => bodies::xml(body, &limits),
            Some(BodyProcessor::Multipart) => {
                bodies::multipart(body, &self.content_type(), &limits)
            }
        };
        self.take_arguments((Variable::ArgsPost, Variable::ArgsPostNames), &parsed);
        self.proven = proven;
        if let Some(text) = &parsed.xml_text {
            self.member(Variable::Xml, b"/*", text);
        }
        for value in &parsed.xml_attributes {
            self.member(Variable::Xml, b"//@*", value);
        }
        if processor == Some(BodyProcessor::Multipart) {
            self.take_parts(&parsed);
        }
        if let Some(fault) = &parsed.fault {
            let message = fault.to_string();
            self.single(Variable::ReqbodyError, b"1");
            self.single(Variable::ReqbodyProcessorError, b"1");
            self.single(Variable::ReqbodyErrorMsg, message.as_bytes());
            self.single(Variable::ReqbodyProcessorErrorMsg, message.as_bytes());
        }
    }

    fn content_type(&self) -> Vec<u8> {
        let mut fields = self.facts.own(Variable::RequestHeaders).iter();
        let found = fields
            .find(|field| self.values.piece(field.name).eq_ignore_ascii_case(b"content-type"));
        found.map(|field| self.values.bytes(field.value).to_vec()).unwrap_or_default()
    }

    fn take_parts(&mut self, parsed: &Parsed<'_>) {
        for file in &parsed.files {
            self.member(Variable::Files, &file.name, &file.filename);
            self.member(Variable::FilesNames, &file.name, &file.name);
            let length = file.content.len().to_string();
            self.member(Variable::FilesSizes, &file.name, length.as_bytes());
            self.member(Variable::FilesTmpContent, &file.name, file.content);
        }
        for header in &parsed.part_headers {
            self.member(Variable::MultipartPartHeaders, &header.part, &header.line);
        }
        for name in &parsed.part_names {
            self.member(Variable::MultipartName, name, name);
        }
        for name in &parsed.part_filenames {
            self.member(Variable::MultipartFilename, name, name);
        }
        let size = parsed.files_size().to_string();
        self.single(Variable::FilesCombinedSize, size.as_bytes());
        let flags = &parsed.multipart;
        for (variable, is_set) in [
            (Variable::MultipartBoundaryQuoted, flags.is_boundary_quoted),
            (Variable::MultipartBoundaryWhitespace, flags.has_boundary_whitespace),
            (Variable::MultipartDataBefore, flags.has_data_before),
            (Variable::MultipartDataAfter, flags.has_data_after),
            (Variable::MultipartHeaderFolding, flags.has_folding),
            (Variable::MultipartInvalidHeaderFolding, flags.has_invalid_folding),
            (Variable::MultipartLfLine, flags.has_lf_line),
            (Variable::MultipartCrlfLfLines, flags.has_mixed_lines()),
            (Variable::MultipartMissingSemicolon, flags.lacks_semicolon),
            (Variable::MultipartSemicolonMissing, flags.lacks_semicolon),
            (Variable::MultipartInvalidQuoting, flags.has_invalid_quoting),
            (Variable::MultipartInvalidPart, flags.has_invalid_part),
            (Variable::MultipartFileLimitExceeded, flags.has_too_many_files),
            (Variable::MultipartStrictError, flags.is_strict_error()),
        ] {
            self.single(variable, if is_set { b"1" } else { b"0" });
        }
        let unmatched = flags.unmatched_boundary.to_string();
        self.single(Variable::MultipartUnmatchedBoundary, unmatched.as_bytes());
    }

    /// The sizes of names and values of all arguments.
    fn sum_up_arguments(&mut self) {
        let sets = [Variable::ArgsGet, Variable::ArgsPost];
        let members = sets.iter().flat_map(|variable| self.facts.own(*variable));
        let size: usize = members
            .map(|member| {
                let name: Piece = member.name;
                self.values.piece(name).len() + self.values.bytes(member.value).len()
            })
            .sum();
        self.single(Variable::ArgsCombinedSize, size.to_string().as_bytes());
    }
}

/// A target without scheme and authority, where it has them.
fn without_origin(target: &[u8]) -> &[u8] {
    let rest = [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let head = target.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| target.get(scheme.len()..)).flatten()
    });
    let Some(rest) = rest else { return target };
    let slash = rest.iter().position(|byte| *byte == b'/');
    slash.and_then(|at| rest.get(at..)).unwrap_or(b"/")
}

fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(at) => target
            .split_at_checked(at)
            .map_or((target, &[][..]), |(path, query)| (path, query.get(1..).unwrap_or_default())),
        None => (target, &[]),
    }
}

/// Undoes percent-encoding; what is none stays.
fn percent_decode(path: &[u8], out: &mut Vec<u8>) {
    let mut rest = path;
    while let Some((byte, tail)) = hex::percent(rest) {
        out.push(byte);
        rest = tail;
    }
}

/// Year, month from 1 and day from 1 of a number of days since 1970 (proleptic Gregorian).
fn date(days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    let mut left = days;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(59), (1970, 3, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(20_786), (2026, 11, 29));
    }

    #[test]
    fn targets_lose_their_origin() {
        for (target, local) in [
            ("/a?b", "/a?b"),
            ("http://h/a", "/a"),
            ("HTTPS://h:1/", "/"),
            ("http://h", "/"),
            ("*", "*"),
        ] {
            assert_eq!(without_origin(target.as_bytes()), local.as_bytes());
        }
    }
}
