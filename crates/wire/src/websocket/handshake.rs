//! The opening handshake (RFC 6455 §4), judged on both sides.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::frames::ReservedBits;
use crate::fields::{Fields, is_token_byte};

/// Appended to a key before it is hashed (§1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bits behind the last byte are let pass: RFC 6455 §4.1 itself has an example with some.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

const KEY: &str = "sec-websocket-key";
const VERSION: &str = "sec-websocket-version";
const PROTOCOL: &str = "sec-websocket-protocol";
const EXTENSIONS: &str = "sec-websocket-extensions";
const ACCEPT: &str = "sec-websocket-accept";

/// What the head of a request says of WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handshake {
    /// Nothing.
    #[default]
    Absent,
    /// A handshake, as RFC 6455 §4.2.1 has it.
    Whole,
    /// Something of a handshake, and what it is that makes it none.
    Broken(&'static str),
    /// A handshake of another version than 13.
    OtherVersion,
}

/// What of a head is not among its fields.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub(crate) struct Around {
    pub(crate) is_http11: bool,
    pub(crate) is_get: bool,
    pub(crate) has_body: bool,
    /// `Connection` names `upgrade`.
    pub(crate) upgrades: bool,
    /// `Connection` names `close`.
    pub(crate) closes: bool,
    /// `Upgrade` is `websocket` and nothing else.
    pub(crate) names_websocket: bool,
}

impl Around {
    /// Judges a request that has something of a handshake.
    pub(crate) fn judge(self, fields: &Fields) -> Handshake {
        match self.fault().map_or_else(|| fault_of(fields), Some) {
            Some(fault) => Handshake::Broken(fault),
            None if fields.get(VERSION) == Some(b"13") => Handshake::Whole,
            None => Handshake::OtherVersion,
        }
    }

    fn fault(self) -> Option<&'static str> {
        if !self.is_http11 {
            Some("a handshake in a version of HTTP other than 1.1")
        } else if !self.is_get {
            Some("a handshake with a method other than GET")
        } else if self.has_body {
            // What follows the head would be body to one side and frames to the other.
            Some("a handshake with a body")
        } else if !self.upgrades {
            Some("a handshake without `Connection: upgrade`")
        } else if self.closes {
            Some("a handshake with `Connection: close`")
        } else if !self.names_websocket {
            Some("a handshake whose `Upgrade` is not `websocket` alone")
        } else {
            None
        }
    }
}

/// What is wrong with the fields of a handshake besides the version's number.
fn fault_of(fields: &Fields) -> Option<&'static str> {
    match fields.single(VERSION) {
        Ok(Some(_)) => {}
        Ok(None) => return Some("a handshake without `Sec-WebSocket-Version`"),
        Err(_) => return Some("a handshake with more than one `Sec-WebSocket-Version`"),
    }
    match fields.single(KEY) {
        Ok(Some(key)) if is_key(key) => {}
        Ok(Some(_)) => return Some("a `Sec-WebSocket-Key` that is not 16 bytes in base64"),
        Ok(None) => return Some("a handshake without `Sec-WebSocket-Key`"),
        Err(_) => return Some("a handshake with more than one `Sec-WebSocket-Key`"),
    }
    if fields.contains(ACCEPT) {
        return Some("a handshake with the answer's `Sec-WebSocket-Accept`");
    }
    let is_token = |item: &[u8]| !item.is_empty() && item.iter().all(|b| is_token_byte(*b));
    if !items(fields, PROTOCOL).all(is_token) {
        return Some("a `Sec-WebSocket-Protocol` that is no list of names");
    }
    let are_named = items(fields, EXTENSIONS).map(name_of).all(is_token);
    (!are_named).then_some("a `Sec-WebSocket-Extensions` that is no list of extensions")
}

fn is_key(key: &[u8]) -> bool {
    let mut decoded = [0; 18];
    key.len() == 24 && BASE64.decode_slice(key, &mut decoded) == Ok(16)
}

/// The items of a list that may go over several fields.
fn items<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields.all(name).flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii)
}

/// The name of an extension, without its parameters.
fn name_of(extension: &[u8]) -> &[u8] {
    extension.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

/// A handshake that is being carried on: its key, and what the upstream has to make of it. Whoever
/// changes the fields on their way, this stays.
#[derive(Clone, Debug)]
pub struct Opening {
    key: Bytes,
    accept: Bytes,
}

impl Opening {
    /// The handshake in the fields of a request; `None` where there is no single key.
    pub fn of(fields: &Fields) -> Option<Self> {
        let key = fields.single(KEY).ok().flatten()?;
        Some(Self { key: Bytes::copy_from_slice(key), accept: accept_of(key) })
    }

    /// Puts key and version into the fields that go to the upstream, as the client sent them.
    pub fn restore(&self, fields: &mut Fields) {
        fields.set(KEY, self.key.clone());
        fields.set(VERSION, "13");
    }

    /// What an upstream's 101 agrees to, given the fields it was sent; or why the switch is none
    /// (§4.1, at its end).
    pub fn agree(&self, asked: &Fields, answer: &Fields) -> Result<Agreement, &'static str> {
        match answer.single(ACCEPT) {
            Ok(Some(accept)) if *accept == *self.accept => {}
            Ok(Some(_)) => return Err("a switch whose `Sec-WebSocket-Accept` is not the key's"),
            _ => return Err("a switch without exactly one `Sec-WebSocket-Accept`"),
        }
        let protocol = match answer.single(PROTOCOL) {
            Ok(None) => None,
            Ok(Some(chosen)) if items(asked, PROTOCOL).any(|offered| offered == chosen) => {
                Some(Bytes::copy_from_slice(chosen))
            }
            Ok(Some(_)) => return Err("a switch to a subprotocol that was not offered"),
            Err(_) => return Err("a switch to more than one subprotocol"),
        };
        let mut reserved = ReservedBits::None;
        let mut extensions = Vec::new();
        for chosen in items(answer, EXTENSIONS) {
            let is_same = |offered: &[u8]| name_of(offered) == name_of(chosen);
            if chosen.is_empty() || !items(asked, EXTENSIONS).any(is_same) {
                return Err("a switch with an extension that was not offered");
            }
            reserved = reserved.with(name_of(chosen));
            if !extensions.is_empty() {
                extensions.extend_from_slice(b", ");
            }
            extensions.extend_from_slice(chosen);
        }
        let extensions = (!extensions.is_empty()).then(|| Bytes::from(extensions));
        Ok(Agreement { accept: self.accept.clone(), protocol, extensions, reserved })
    }
}

/// What client and upstream have agreed on.
#[derive(Clone, Debug)]
pub struct Agreement {
    accept: Bytes,
    protocol: Option<Bytes>,
    extensions: Option<Bytes>,
    /// The reserved bits that frames may set.
    pub reserved: ReservedBits,
}

impl Agreement {
    /// Puts it into the fields of the 101, whatever was made of them since.
    pub fn state(&self, fields: &mut Fields) {
        forget_websocket(fields);
        fields.append(ACCEPT, self.accept.clone());
        for (name, value) in [(PROTOCOL, &self.protocol), (EXTENSIONS, &self.extensions)] {
            if let Some(value) = value {
                fields.append(name, value.clone());
            }
        }
    }
}

/// Takes out what belongs to a handshake.
pub fn forget_websocket(fields: &mut Fields) {
    fields.retain(|field| !field.name.starts_with(b"sec-websocket-"));
}

/// What answers a key (§4.2.2, item 5.4).
fn accept_of(key: &[u8]) -> Bytes {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Bytes::from(BASE64.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn fields(list: &[(&'static str, &'static str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.append(*name, *value);
        }
        fields
    }

    fn around() -> Around {
        Around {
            is_http11: true,
            is_get: true,
            has_body: false,
            upgrades: true,
            closes: false,
            names_websocket: true,
        }
    }

    #[test]
    fn a_handshake_is_whole_or_told_what_it_lacks() {
        let sample = [(KEY, SAMPLE), (VERSION, "13")];
        assert_eq!(around().judge(&fields(&sample)), Handshake::Whole);
        for (wrong, told) in [
            (Around { is_http11: false, ..around() }, "version of HTTP"),
            (Around { is_get: false, ..around() }, "GET"),
            (Around { has_body: true, ..around() }, "body"),
            (Around { upgrades: false, ..around() }, "Connection: upgrade"),
            (Around { closes: true, ..around() }, "Connection: close"),
            (Around { names_websocket: false, ..around() }, "alone"),
        ] {
            let Handshake::Broken(fault) = wrong.judge(&fields(&sample)) else { panic!("{told}") };
            assert!(fault.contains(told), "{fault}: {told}");
        }
    }

    #[test]
    fn every_field_of_a_handshake_is_judged() {
        let key = (KEY, SAMPLE);
        let version = (VERSION, "13");
        for (list, told) in [
            (&[key][..], "without `Sec-WebSocket-Version`"),
            (&[key, version, version], "more than one `Sec-WebSocket-Version`"),
            (&[version], "without `Sec-WebSocket-Key`"),
            (&[version, key, key], "more than one `Sec-WebSocket-Key`"),
            (&[version, (KEY, "dGhlIHNhbXBsZSBub25j")], "16 bytes"),
            (&[version, (KEY, "dGhlIHNhbXBsZSBub25jZWUh")], "16 bytes"),
            (&[version, (KEY, "dGhlIHNhbXBsZSBub25jZQ=*")], "16 bytes"),
            (&[version, key, (ACCEPT, "x")], "Accept"),
            (&[version, key, (PROTOCOL, "chat,,mqtt")], "Protocol"),
            (&[version, key, (PROTOCOL, "a b")], "Protocol"),
            (&[version, key, (EXTENSIONS, "; a=1")], "Extensions"),
        ] {
            let judged = around().judge(&fields(list));
            let Handshake::Broken(fault) = judged else { panic!("{told}: {judged:?}") };
            assert!(fault.contains(told), "{fault}: {told}");
        }
        for other in ["8", "14", "013", "13, 8"] {
            let list = fields(&[key, (VERSION, other)]);
            assert_eq!(around().judge(&list), Handshake::OtherVersion, "{other}");
        }
        // The example of RFC 6455 §4.1 has bits behind its last byte.
        let odd = fields(&[version, (KEY, "AQIDBAUGBwgJCgsMDQ4PEC==")]);
        assert_eq!(around().judge(&odd), Handshake::Whole);
    }

    #[test]
    fn a_key_is_answered_as_in_the_examples_of_the_standard() {
        assert_eq!(accept_of(SAMPLE.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_an_upstream_agrees_to_was_offered() {
        let asked = fields(&[
            (KEY, SAMPLE),
            (PROTOCOL, "chat, superchat"),
            (EXTENSIONS, "permessage-deflate; client_max_window_bits, x-other"),
        ]);
        let opening = Opening::of(&asked).unwrap();
        let accept = (ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let agree = |list: &[(&'static str, &'static str)]| {
            opening.agree(&asked, &fields(list)).map(|agreement| agreement.reserved)
        };
        assert_eq!(agree(&[accept]), Ok(ReservedBits::None));
        assert_eq!(agree(&[accept, (PROTOCOL, "superchat")]), Ok(ReservedBits::None));
        let deflate = (EXTENSIONS, "permessage-deflate; server_no_context_takeover");
        assert_eq!(agree(&[accept, deflate]), Ok(ReservedBits::Compressed));
        assert_eq!(agree(&[accept, deflate, (EXTENSIONS, "x-other")]), Ok(ReservedBits::All));
        for wrong in [
            &[][..],
            &[accept, accept],
            &[(ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOp=")],
            &[accept, (PROTOCOL, "mqtt")],
            &[accept, (PROTOCOL, "Chat")],
            &[accept, (PROTOCOL, "chat"), (PROTOCOL, "superchat")],
            &[accept, (EXTENSIONS, "permessage-bzip2")],
            &[accept, (EXTENSIONS, "")],
        ] {
            assert!(agree(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_agreed_stands_whatever_was_made_of_the_fields() {
        let asked = fields(&[(KEY, SAMPLE), (PROTOCOL, "chat")]);
        let opening = Opening::of(&asked).unwrap();
        let mut sent = fields(&[(KEY, "other"), (VERSION, "8")]);
        opening.restore(&mut sent);
        assert_eq!((sent.get(KEY), sent.get(VERSION)), (Some(SAMPLE.as_bytes()), Some(&b"13"[..])));
        let accept = (ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let answer = fields(&[accept, (PROTOCOL, "chat")]);
        let agreement = opening.agree(&asked, &answer).unwrap();
        let mut shaped = fields(&[("x-a", "1"), (ACCEPT, "forged"), (EXTENSIONS, "x")]);
        agreement.state(&mut shaped);
        let expected = fields(&[("x-a", "1"), accept, (PROTOCOL, "chat")]);
        assert!(shaped.iter().eq(expected.iter()));
    }
}
