//! From the lines and columns of the YAML scanner to bytes.
//!
//! The scanner's running index miscounts CRLF inside block scalars, its lines and columns do not.

use saphyr_parser::Marker;

use crate::sources::line_starts;

/// Finds byte offsets. Markers come nearly in order, so a cursor moves only a little each time.
pub(super) struct Positions<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    line: usize,
    column: usize,
    offset: usize,
}

impl<'t> Positions<'t> {
    /// Positions in a text.
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, line_starts: line_starts(text), line: 0, column: 0, offset: 0 }
    }

    /// The byte offset of a marker; the end of the text where there is no such line.
    pub(super) fn offset(&mut self, marker: &Marker) -> usize {
        let line = marker.line().saturating_sub(1);
        let Some(&start) = self.line_starts.get(line) else { return self.text.len() };
        if line != self.line || marker.col() < self.column / 2 {
            (self.line, self.column, self.offset) = (line, 0, start);
        }
        while self.column < marker.col() {
            let Some(c) = self.text.get(self.offset..).and_then(|rest| rest.chars().next()) else {
                break;
            };
            self.offset += c.len_utf8();
            self.column += 1;
        }
        while self.column > marker.col() {
            let Some(c) = self.text.get(..self.offset).and_then(|head| head.chars().next_back())
            else {
                break;
            };
            self.offset -= c.len_utf8();
            self.column -= 1;
        }
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_end_in_any_break() {
        let text = "äb\r\nc\rd\n";
        let mut positions = Positions::new(text);
        for (line, column, offset) in
            [(1, 1, 2), (1, 2, 3), (2, 0, 5), (3, 0, 7), (1, 0, 0), (9, 0, 9)]
        {
            let marker = Marker::new(0, line, column);
            assert_eq!(positions.offset(&marker), offset, "{line}:{column}");
        }
    }
}
