//! Finding the end of a head, while looking at each byte once and as soon as it arrives.
//!
//! Lines end with CRLF and with nothing else (RFC 9112 §2.2 lets a recipient accept a bare LF; two
//! recipients that differ in this disagree about where a message ends). A bare CR, a bare LF, NUL
//! and every other control byte but tab is refused where it stands, and so is the first byte over a
//! limit: the outcome does not depend on how the bytes were cut into reads.

use bartizan_core::Reason;

use super::swar::find_control;
use super::{Fault, FieldLine, HeadLimits, read_field_line};

/// What stands before the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// A request line; one empty line before it is skipped (RFC 9112 §2.2).
    RequestLine,
    /// A status line.
    StatusLine,
    /// Nothing: a trailer section.
    Nothing,
}

/// A line without its CRLF, as positions in the buffer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Where name and value are, once the line has been read as a field.
    pub(crate) field: FieldLine,
}

/// How far the search for the end of a head has come; kept by the caller between calls, together
/// with the buffer. After a complete head it is ready for the next; after a refusal it is not used.
#[derive(Clone, Debug, Default)]
pub struct HeadScan {
    /// Every byte before this one has been looked at.
    at: usize,
    line_start: usize,
    /// Where the field lines begin, once the first line is complete.
    block_start: Option<usize>,
    skipped_empty: bool,
    lines: Vec<Line>,
}

impl HeadScan {
    /// True while nothing of a head has arrived: the connection is idle.
    pub fn is_idle(&self) -> bool {
        self.at == 0
    }

    /// The first line of a complete head, and the field lines after it.
    pub(crate) fn first_and_fields(&self) -> (Line, &[Line]) {
        self.lines.split_first().map_or((Line::default(), &[]), |(first, fields)| (*first, fields))
    }

    /// Reads the field lines of a complete head; their names become lower case in `block`.
    #[inline]
    pub(crate) fn read_fields(
        &mut self,
        block: &mut [u8],
        opening: Opening,
    ) -> Result<(), &'static str> {
        let first_lines = usize::from(opening != Opening::Nothing);
        for line in self.lines.iter_mut().skip(first_lines) {
            let bytes = block.get_mut(line.start..line.end).unwrap_or_default();
            line.field = read_field_line(bytes)?.moved_by(line.start);
        }
        Ok(())
    }

    /// The field lines of a trailer section.
    pub(crate) fn field_lines(&self) -> &[Line] {
        &self.lines
    }

    /// Ready for the next head; keeps its memory.
    pub(crate) fn reset(&mut self) {
        self.at = 0;
        self.line_start = 0;
        self.block_start = None;
        self.skipped_empty = false;
        self.lines.clear();
    }

    /// Looks at what is new in `buffer`. `Some(end)` when the head is complete: it is the first
    /// `end` bytes.
    pub(crate) fn advance(
        &mut self,
        buffer: &[u8],
        opening: Opening,
        limits: &HeadLimits,
    ) -> Result<Option<usize>, Fault> {
        if opening == Opening::Nothing {
            self.block_start.get_or_insert(0);
        }
        loop {
            let rest = buffer.get(self.at..).unwrap_or_default();
            let clean = find_control(rest);
            self.at += clean.unwrap_or(rest.len());
            self.check_length(limits)?;
            let Some(clean) = clean else { return Ok(None) };
            match (rest.get(clean), rest.get(clean + 1)) {
                (Some(b'\r'), None) => return Ok(None),
                (Some(b'\r'), Some(b'\n')) => {
                    if self.end_line(opening, limits)? {
                        return Ok(Some(self.at));
                    }
                }
                (Some(b'\r'), _) => return Err(Fault::malformed("a bare CR")),
                (Some(b'\n'), _) => {
                    return Err(Fault::malformed("a line that ends with a bare LF"));
                }
                _ => return Err(Fault::malformed("a control byte")),
            }
        }
    }

    fn check_length(&self, limits: &HeadLimits) -> Result<(), Fault> {
        let line = self.at - self.line_start;
        let Some(block_start) = self.block_start else {
            return if line > limits.request_line { Err(LINE_TOO_LONG) } else { Ok(()) };
        };
        // The limit that was passed first is named, however many bytes came at once.
        let field_end = self.line_start.saturating_add(limits.field);
        let block_end = block_start.saturating_add(limits.header_block);
        if self.at <= field_end.min(block_end) {
            Ok(())
        } else if field_end <= block_end {
            Err(too_large("a field over `limits.field`"))
        } else {
            Err(too_large("a header block over `limits.header_block`"))
        }
    }

    /// Takes in the line that ends at `at`; true if it was the empty line that ends the head.
    fn end_line(&mut self, opening: Opening, limits: &HeadLimits) -> Result<bool, Fault> {
        let line = Line { start: self.line_start, end: self.at, ..Line::default() };
        self.at += 2;
        self.line_start = self.at;
        let is_empty = line.start == line.end;
        match self.block_start {
            None if is_empty => {
                if self.skipped_empty || opening != Opening::RequestLine {
                    return Err(Fault::malformed("an empty line in place of the first line"));
                }
                self.skipped_empty = true;
                return Ok(false);
            }
            None => self.block_start = Some(self.at),
            Some(_) if is_empty => return Ok(true),
            Some(_) => {
                let first_lines = usize::from(opening != Opening::Nothing);
                if self.lines.len() >= limits.fields.saturating_add(first_lines) {
                    return Err(too_large("more fields than `limits.fields`"));
                }
            }
        }
        self.lines.push(line);
        Ok(false)
    }
}

const LINE_TOO_LONG: Fault =
    Fault { reason: Reason::TargetTooLong, detail: "a request line over `limits.request_line`" };

fn too_large(detail: &'static str) -> Fault {
    Fault { reason: Reason::HeadTooLarge, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> HeadLimits {
        HeadLimits { request_line: 10, field: 8, header_block: 16, fields: 2 }
    }

    fn scan(bytes: &[u8], opening: Opening) -> Result<Option<usize>, Reason> {
        HeadScan::default().advance(bytes, opening, &limits()).map_err(|f| f.reason)
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert_eq!(scan(b"G / H\r\na: b\r\n\r\nbody", Opening::RequestLine), Ok(Some(15)));
        assert_eq!(scan(b"\r\nG / H\r\n\r\n", Opening::RequestLine), Ok(Some(11)));
        assert_eq!(scan(b"a: b\r\n\r\n", Opening::Nothing), Ok(Some(8)));
        assert_eq!(scan(b"\r\n", Opening::Nothing), Ok(Some(2)));
        assert_eq!(scan(b"G / H\r\na: b\r\n\r", Opening::RequestLine), Ok(None));
    }

    #[test]
    fn limits_are_exact() {
        let rows: [(&str, Result<Option<usize>, Reason>); 8] = [
            ("0123456789\r\n\r\n", Ok(Some(14))),
            ("0123456789\r", Ok(None)),
            ("01234567890", Err(Reason::TargetTooLong)),
            ("G\r\na:345678\r\n\r\n", Ok(Some(15))),
            ("G\r\na:3456789", Err(Reason::HeadTooLarge)),
            ("G\r\na:345\r\nb:345\r\n\r\n", Ok(Some(19))),
            ("G\r\na:\r\nb:\r\nc:\r\n", Err(Reason::HeadTooLarge)),
            ("G\r\na:34567\r\nb:345678", Err(Reason::HeadTooLarge)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(scan(bytes.as_bytes(), Opening::RequestLine), expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_empty_line_is_skipped_once_and_only_before_a_request() {
        assert_eq!(scan(b"\r\n\r\n", Opening::RequestLine), Err(Reason::Malformed));
        assert_eq!(scan(b"\r\n", Opening::StatusLine), Err(Reason::Malformed));
    }
}
