//! Writes JSON into a buffer.
//!
//! PERF: `cargo xtask bench plugins` (`http-logger`, `file-logger`): the names of an entry are
//! constants, values are written straight into one buffer of the event loop, and whether something
//! that must not be shown occurs in them is asked once for the whole entry. Only where it does, or
//! a text is too long to be sure, the entry is written again, text by text.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bartizan_audit::{write_address, write_json_piece, write_json_text, write_socket};

use super::{Exchange, TEXT_MAX};

/// Writes an entry.
pub(super) struct Writer<'o, 'e> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) of: &'e Exchange<'e>,
    /// Each text is searched for what must not be shown.
    pub(super) scrubs: bool,
    /// A text was cut, so that a part of what must not be shown may be left.
    has_cut: bool,
}

impl<'e> Writer<'_, 'e> {
    /// Appends what `write` writes, so that nothing hidden occurs in it.
    pub(super) fn write(
        out: &mut Vec<u8>,
        of: &'e Exchange<'e>,
        write: impl Fn(&mut Writer<'_, 'e>),
    ) {
        let start = out.len();
        let mut writer = Writer { out, of, scrubs: false, has_cut: false };
        write(&mut writer);
        if of.hidden.is_empty() {
            return;
        }
        let written = writer.out.get(start..).unwrap_or_default();
        if writer.has_cut || of.hidden.occurs_in_json(written) {
            writer.out.truncate(start);
            writer.scrubs = true;
            write(&mut writer);
        }
    }

    /// JSON of ours, which hides nothing.
    pub(super) fn raw(&mut self, json: &[u8]) {
        self.out.extend_from_slice(json);
    }

    /// A text from which what must not be shown is taken out.
    pub(super) fn text(&mut self, text: &[u8]) {
        if self.scrubs {
            self.scrubbed(&String::from_utf8_lossy(text));
            return;
        }
        self.has_cut |= text.len() > TEXT_MAX;
        write_json_text(self.out, text, TEXT_MAX);
    }

    fn scrubbed(&mut self, text: &str) {
        let mut text = Cow::Borrowed(text);
        if self.of.hidden.occurs_in(&text) {
            self.of.hidden.scrub(text.to_mut());
        }
        write_json_text(self.out, text.as_bytes(), TEXT_MAX);
    }

    /// A text of parts that `write` writes, if it is not too long and need not be searched.
    /// Otherwise nothing is written, and the text must be written whole.
    pub(super) fn parts(&mut self, write: impl FnOnce(&mut Parts<'_>) -> Option<()>) -> bool {
        if self.scrubs {
            return false;
        }
        let start = self.out.len();
        self.out.push(b'"');
        let written = write(&mut Parts(self.out));
        // An escape is longer than what it stands for.
        if written.is_none() || self.out.len() - start > TEXT_MAX {
            self.out.truncate(start);
            return false;
        }
        self.out.push(b'"');
        true
    }

    pub(super) fn number(&mut self, number: u64) {
        Parts(self.out).number(number);
    }

    /// Milliseconds with their thousandths.
    pub(super) fn millis(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.number(micros / 1_000);
        let mut rest = micros % 1_000;
        let mut digit = 100;
        if rest > 0 {
            self.out.push(b'.');
        }
        while rest > 0 {
            // One digit, so that nothing is cut off.
            self.out.push(b'0' + u8::try_from(rest / digit).unwrap_or_default());
            rest %= digit;
            digit /= 10;
        }
    }

    /// An address, which needs no escape; unless a client has one as a secret.
    pub(super) fn address(&mut self, address: IpAddr) {
        if self.scrubs {
            self.scrubbed(&address.to_string());
            return;
        }
        self.out.push(b'"');
        write_address(self.out, address);
        self.out.push(b'"');
    }

    /// The same with its port.
    pub(super) fn socket(&mut self, socket: SocketAddr) {
        if self.scrubs {
            self.scrubbed(&socket.to_string());
            return;
        }
        self.out.push(b'"');
        write_socket(self.out, socket);
        self.out.push(b'"');
    }
}

/// Writes parts of a text, without quotes.
pub(super) struct Parts<'o>(pub(super) &'o mut Vec<u8>);

impl Parts<'_> {
    /// What needs no escape.
    pub(super) fn word(&mut self, word: &[u8]) {
        self.0.extend_from_slice(word);
    }

    pub(super) fn piece(&mut self, text: &[u8]) {
        write_json_piece(self.0, text);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.word(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// The comma before every member of an object but the first.
#[derive(Clone, Copy, Default)]
pub(super) struct Commas {
    is_needed: bool,
}

impl Commas {
    pub(super) fn next(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_needed, true) {
            out.push(b',');
        }
    }
}
