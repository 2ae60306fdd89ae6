//! Bodies in parts, `multipart/form-data` (RFC 7578).
//!
//! Readers differ in what they make of odd bodies, and attacks live on that; so everything odd is
//! noted in [`MultipartFlags`], and what cannot be read in one way only is a fault. A part whose header
//! is malformed or stands twice, and an unknown or repeated parameter of `Content-Disposition`, are
//! such faults: the whole body is refused, not the part.

mod boundary;
mod disposition;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use memchr::memmem;

use super::{Arg, BodyLimits, Bytes, Fault, Parsed, PartHeader, UploadedFile};

/// The longest line of a part's header.
const HEADER_LINE_MAX: usize = 4_096;

/// What was odd about a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a variable of its own in rules")]
pub(crate) struct MultipartFlags {
    /// `MULTIPART_BOUNDARY_QUOTED`.
    pub(crate) is_boundary_quoted: bool,
    /// `MULTIPART_BOUNDARY_WHITESPACE`: white space around the `=` of the boundary.
    pub(crate) has_boundary_whitespace: bool,
    /// `MULTIPART_DATA_BEFORE`: something before the first boundary.
    pub(crate) has_data_before: bool,
    /// `MULTIPART_DATA_AFTER`: something behind the last boundary.
    pub(crate) has_data_after: bool,
    /// `MULTIPART_HEADER_FOLDING`: a header of a part that goes on in the next line.
    pub(crate) has_folding: bool,
    /// `MULTIPART_INVALID_HEADER_FOLDING`: such a line begins with other than space or tab.
    pub(crate) has_invalid_folding: bool,
    /// `MULTIPART_LF_LINE`: a line that ends with LF alone.
    pub(crate) has_lf_line: bool,
    /// A line that ends with CRLF.
    pub(crate) has_crlf_line: bool,
    /// `MULTIPART_MISSING_SEMICOLON`: none before the boundary parameter.
    pub(crate) lacks_semicolon: bool,
    /// `MULTIPART_INVALID_QUOTING`: single quotes in a `Content-Disposition`.
    pub(crate) has_invalid_quoting: bool,
    /// `MULTIPART_INVALID_PART`: a part whose header is not understood.
    pub(crate) has_invalid_part: bool,
    /// `MULTIPART_FILE_LIMIT_EXCEEDED`.
    pub(crate) has_too_many_files: bool,
    /// The boundary, or a line that begins with it, is malformed.
    pub(crate) has_error: bool,
    /// `MULTIPART_UNMATCHED_BOUNDARY`: 1 if something looked like a boundary and none that fits came
    /// after it, 2 if one came after another, else 0.
    pub(crate) unmatched_boundary: u8,
}

impl MultipartFlags {
    /// `MULTIPART_CRLF_LF_LINES`: lines of both kinds.
    pub(crate) fn has_mixed_lines(&self) -> bool {
        self.has_crlf_line && self.has_lf_line
    }

    /// `MULTIPART_STRICT_ERROR`: any of the others, an unmatched boundary aside.
    pub(crate) fn is_strict_error(&self) -> bool {
        self.has_error
            || self.is_boundary_quoted
            || self.has_boundary_whitespace
            || self.has_data_before
            || self.has_data_after
            || self.has_folding
            || self.has_invalid_folding
            || self.has_lf_line
            || self.lacks_semicolon
            || self.has_invalid_quoting
            || self.has_invalid_part
            || self.has_too_many_files
    }
}

/// Reads a body whose division `content_type` names; an empty one has no parts.
pub(crate) fn multipart<'a>(
    body: &'a [u8],
    content_type: &[u8],
    limits: &BodyLimits,
) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    let boundary = match boundary::boundary(content_type, &mut parsed.multipart) {
        Ok(boundary) => boundary,
        Err(fault) => {
            parsed.multipart.has_error = true;
            parsed.fault = Some(fault);
            return parsed;
        }
    };
    let mut delimiter = b"--".to_vec();
    delimiter.extend_from_slice(boundary);
    let mut reader = Reader {
        body,
        at: 0,
        delimiter: &delimiter,
        finder: memmem::Finder::new(&delimiter),
        limits,
        boundaries: 0,
        unmatched: 0,
        parsed: &mut parsed,
    };
    let fault = reader.parts().err();
    let unmatched = reader.unmatched;
    let flags = &mut parsed.multipart;
    flags.has_invalid_part |= matches!(&fault, Some(Fault::Malformed { problem, .. })
        if problem.starts_with("a part"));
    flags.unmatched_boundary = unmatched;
    parsed.fault = fault;
    parsed
}

/// What a line that begins with two hyphens is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Delimiter,
    Last,
    Other,
}

struct Reader<'a, 'r> {
    body: &'a [u8],
    at: usize,
    /// Two hyphens and the boundary.
    delimiter: &'r [u8],
    finder: memmem::Finder<'r>,
    limits: &'r BodyLimits,
    boundaries: usize,
    unmatched: u8,
    parsed: &'r mut Parsed<'a>,
}

impl<'a> Reader<'a, '_> {
    fn parts(&mut self) -> Result<(), Fault> {
        if self.body.is_empty() {
            return Ok(());
        }
        let mut kind = self.data()?;
        self.parsed.multipart.has_data_before = kind.1 > 0;
        while kind.0 != Line::Last {
            if self.boundaries > self.limits.parts {
                return Err(Fault::TooMany("parts", self.limits.parts));
            }
            let (name, filename) = self.head()?;
            let start = self.at;
            kind = self.data()?;
            let content = self.body.get(start..start + kind.1).unwrap_or_default();
            let content = content.strip_suffix(b"\n").unwrap_or(content);
            self.add(name, filename, content.strip_suffix(b"\r").unwrap_or(content))?;
        }
        self.parsed.multipart.has_data_after = self.at < self.body.len();
        Ok(())
    }

    fn add(
        &mut self,
        name: Bytes<'a>,
        filename: Option<Bytes<'a>>,
        content: &'a [u8],
    ) -> Result<(), Fault> {
        if let Some(filename) = filename {
            self.parsed.files.push(UploadedFile { name, filename, content });
            self.parsed.multipart.has_too_many_files |= self.parsed.files.len() > self.limits.files;
            return Ok(());
        }
        if self.parsed.args.len() == self.limits.args {
            return Err(Fault::TooMany("arguments", self.limits.args));
        }
        self.parsed.args.push(Arg { name, value: Cow::Borrowed(content) });
        Ok(())
    }

    /// The next line, its end included.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        self.at += end;
        rest.get(..end)
    }

    /// Passes over data up to the next boundary; how much there was, and what ended it.
    fn data(&mut self) -> Result<(Line, usize), Fault> {
        let start = self.at;
        loop {
            let line_start = self.at;
            let Some(line) = self.line() else {
                let problem = match self.boundaries {
                    0 => "no boundary in the body",
                    _ => "no final boundary",
                };
                return Err(self.fault(problem));
            };
            let kind = self.judge(line, line_start)?;
            if kind != Line::Other {
                return Ok((kind, line_start - start));
            }
        }
    }

    /// Says what a line is, and notes what looks like a boundary.
    fn judge(&mut self, line: &[u8], start: usize) -> Result<Line, Fault> {
        if !line.starts_with(b"--") || line.len() < 4 {
            if self.finder.find(line).is_some() {
                self.unmatched = 1;
            }
            return Ok(Line::Other);
        }
        let Some(tail) = line.strip_prefix(self.delimiter) else {
            let boundary = self.delimiter.get(2..).unwrap_or_default();
            let inside = line.get(2..).unwrap_or_default();
            let is_quoted = self.parsed.multipart.is_boundary_quoted
                && inside.strip_prefix(b"\"").is_some_and(|rest| rest.starts_with(boundary));
            let is_spaced = inside.len() > inside.trim_ascii_start().len()
                && inside.trim_ascii_start().starts_with(boundary);
            if is_quoted || is_spaced {
                return Err(self.error(start));
            }
            self.unmatched = 1;
            return Ok(Line::Other);
        };
        let (kind, end) = match tail.strip_prefix(b"--") {
            Some(end) => (Line::Last, end),
            None => (Line::Delimiter, tail),
        };
        match end {
            b"\r\n" => self.parsed.multipart.has_crlf_line = true,
            b"\n" => self.parsed.multipart.has_lf_line = true,
            b"" if kind == Line::Last && self.boundaries > 0 => return Ok(kind),
            _ => return Err(self.error(start)),
        }
        // As ModSecurity has it, a boundary that fits takes back what looked like one.
        if self.boundaries > 0 {
            self.unmatched = 2;
        }
        self.boundaries += 1;
        Ok(kind)
    }

    /// Reads the header of a part: its name, and that of its file.
    fn head(&mut self) -> Result<(Bytes<'a>, Option<Bytes<'a>>), Fault> {
        let first = self.parsed.part_headers.len();
        let mut names: Vec<&'a [u8]> = Vec::new();
        let mut disposition: Option<Vec<u8>> = None;
        let mut is_disposition = false;
        loop {
            let start = self.at;
            let Some(line) = self.line() else { return Err(self.fault("no final boundary")) };
            if line.starts_with(b"--") && self.judge(line, start)? != Line::Other {
                return Err(self.part_fault("a part without an end of its header", start));
            }
            if line.len() > HEADER_LINE_MAX || memchr::memchr(0, line).is_some() {
                return Err(self.part_fault("a part with a header too long, or NUL in it", start));
            }
            let is_crlf = line.ends_with(b"\r\n");
            self.parsed.multipart.has_crlf_line |= is_crlf;
            self.parsed.multipart.has_lf_line |= !is_crlf;
            if matches!(line, b"\r\n" | b"\n") {
                break;
            }
            let text = line.trim_ascii_end();
            if line.first().is_some_and(|byte| is_c_space(*byte)) {
                let folded = self.unfold(text, first, start)?;
                if let (true, Some(value)) = (is_disposition, &mut disposition) {
                    value.push(b' ');
                    value.extend_from_slice(folded);
                }
                continue;
            }
            let (name, value) = super::urlencoded::cut(text, b':');
            let Some(value) = value.filter(|_| !name.is_empty()) else {
                return Err(self.part_fault("a part with a header without a name", start));
            };
            if names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(self.part_fault("a part with a header twice", start));
            }
            if names.len() == HEADERS_MAX {
                return Err(self.part_fault("a part with too many headers", start));
            }
            names.push(name);
            is_disposition = name.eq_ignore_ascii_case(b"Content-Disposition");
            if is_disposition {
                disposition = Some(value.trim_ascii_start().to_vec());
            }
            let part = Cow::Borrowed(&[] as &[u8]);
            self.parsed.part_headers.push(PartHeader { part, line: Cow::Borrowed(text) });
        }
        self.identity(disposition, first)
    }

    /// Adds a line to the header that it continues.
    fn unfold(&mut self, text: &'a [u8], first: usize, start: usize) -> Result<&'a [u8], Fault> {
        let blank = text.iter().take_while(|byte| is_c_space(**byte)).count();
        let (blank, folded) = text.split_at_checked(blank).unwrap_or_default();
        let flags = &mut self.parsed.multipart;
        flags.has_folding = true;
        flags.has_invalid_folding |= blank.iter().any(|byte| !matches!(byte, b' ' | b'\t'));
        let has_header = self.parsed.part_headers.len() > first;
        let Some(last) = self.parsed.part_headers.last_mut().filter(|_| has_header) else {
            return Err(self.part_fault("a part whose header begins with white space", start));
        };
        let line = last.line.to_mut();
        line.push(b' ');
        line.extend_from_slice(folded);
        Ok(folded)
    }

    /// What the `Content-Disposition` says, given to the headers that were read with it.
    fn identity(
        &mut self,
        value: Option<Vec<u8>>,
        first: usize,
    ) -> Result<(Bytes<'a>, Option<Bytes<'a>>), Fault> {
        let start = self.at;
        let Some(value) = value else {
            return Err(self.part_fault("a part without Content-Disposition", start));
        };
        let found = disposition::disposition(&value, &mut self.parsed.multipart);
        let (name, filename) = match found {
            Ok(found) => found,
            Err(problem) => return Err(self.part_fault(problem, start)),
        };
        let name: Bytes<'a> = Cow::Owned(name);
        let filename: Option<Bytes<'a>> = filename.map(Cow::Owned);
        self.parsed.part_names.push(name.clone());
        self.parsed.part_filenames.extend(filename.clone());
        for header in self.parsed.part_headers.iter_mut().skip(first) {
            header.part.clone_from(&name);
        }
        Ok((name, filename.filter(|filename| !filename.is_empty())))
    }

    fn error(&mut self, at: usize) -> Fault {
        self.parsed.multipart.has_error = true;
        Fault::Malformed { format: "multipart", problem: "a malformed boundary", at }
    }

    fn part_fault(&mut self, problem: &'static str, at: usize) -> Fault {
        self.parsed.multipart.has_invalid_part = true;
        Fault::Malformed { format: "multipart", problem, at }
    }

    fn fault(&self, problem: &'static str) -> Fault {
        Fault::Malformed { format: "multipart", problem, at: self.at }
    }
}

/// The most headers of a part.
const HEADERS_MAX: usize = 32;

/// White space as C has it.
fn is_c_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
