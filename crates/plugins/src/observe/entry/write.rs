//! Writes one JSON object after the other into a buffer.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use bartizan_audit::write_json_text;

use super::{Exchange, TEXT_MAX};

/// Writes the members of one object.
pub(super) struct ObjectWriter<'o, 'e> {
    out: &'o mut Vec<u8>,
    exchange: &'e Exchange<'e>,
    is_empty: bool,
}

impl<'o, 'e> ObjectWriter<'o, 'e> {
    /// Writes an object whose members `write` writes.
    pub(super) fn write(
        out: &'o mut Vec<u8>,
        exchange: &'e Exchange<'e>,
        write: impl FnOnce(&mut ObjectWriter<'_, 'e>),
    ) {
        out.push(b'{');
        let mut writer = ObjectWriter { out, exchange, is_empty: true };
        write(&mut writer);
        writer.out.push(b'}');
    }

    pub(super) fn exchange(&self) -> &'e Exchange<'e> {
        self.exchange
    }

    /// A name that may be the client's.
    fn named(&mut self, name: &str) {
        self.comma();
        self.string(name);
        self.out.push(b':');
    }

    /// A name of ours, which needs no escape and hides nothing.
    fn key(&mut self, key: &'static str) {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn comma(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
    }

    /// A text from which what must not be shown is taken out.
    fn string(&mut self, text: &str) {
        let hidden = &self.exchange.hidden;
        if hidden.occurs_in(text) {
            let mut text = text.to_owned();
            hidden.scrub(&mut text);
            write_json_text(self.out, text.as_bytes(), TEXT_MAX);
        } else {
            write_json_text(self.out, text.as_bytes(), TEXT_MAX);
        }
    }

    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        self.string(text);
    }

    pub(super) fn named_text(&mut self, name: &str, text: &str) {
        self.named(name);
        self.string(text);
    }

    pub(super) fn number(&mut self, key: &'static str, number: u64) {
        self.key(key);
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Milliseconds with their thousandths.
    pub(super) fn millis(&mut self, key: &'static str, time: Duration) {
        self.key(key);
        let micros = time.as_micros();
        self.out.extend_from_slice(itoa::Buffer::new().format(micros / 1_000).as_bytes());
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

    /// A text of ours that needs no escape and hides nothing, such as the request's id.
    pub(super) fn word(&mut self, key: &'static str, word: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(word);
        self.out.push(b'"');
    }

    /// An address, which needs no escape; unless a client has one as a secret.
    pub(super) fn display(&mut self, key: &'static str, address: impl Display) {
        self.key(key);
        let start = self.out.len() + 1;
        // Writing into a vector does not fail.
        let _ = write!(self.out, "\"{address}\"");
        let hidden = &self.exchange.hidden;
        let written = self.out.get(start..self.out.len() - 1).unwrap_or_default();
        let mut text = match std::str::from_utf8(written) {
            Ok(text) if hidden.occurs_in(text) => text.to_owned(),
            _ => return,
        };
        hidden.scrub(&mut text);
        self.out.truncate(start - 1);
        write_json_text(self.out, text.as_bytes(), TEXT_MAX);
    }

    /// A value that is JSON already, from the configuration.
    pub(super) fn named_json(&mut self, name: &str, json: &[u8]) {
        self.named(name);
        self.out.extend_from_slice(json);
    }

    pub(super) fn object(
        &mut self,
        key: &'static str,
        write: impl FnOnce(&mut ObjectWriter<'_, 'e>),
    ) {
        self.key(key);
        ObjectWriter::write(self.out, self.exchange, write);
    }

    pub(super) fn named_object(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut ObjectWriter<'_, 'e>),
    ) {
        self.named(name);
        ObjectWriter::write(self.out, self.exchange, write);
    }
}
