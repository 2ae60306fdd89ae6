//! What the framing fields of a head mean together (RFC 9112 §6, RFC 9110 §7.6.1). The same rules
//! for requests and responses: whatever allows two readings of where the message ends is refused.

use smallvec::SmallVec;

use crate::fields::{Fields, is_token_byte};
use crate::h1::Fault;
use crate::head::{ConnectionUse, Version};
use crate::roles::{Role, exact_role, is_protected};

/// A field that may occur once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Once<'a> {
    #[default]
    Absent,
    One(&'a [u8]),
    Many,
}

impl<'a> Once<'a> {
    pub(super) fn hear(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Many => Self::Many,
        };
    }
}

/// The fields that say where the message ends and what becomes of the connection.
#[derive(Debug, Default)]
pub(super) struct Framing<'a> {
    content_length: Once<'a>,
    transfer_encoding: Once<'a>,
    connection: SmallVec<[&'a [u8]; 2]>,
    upgrade: Once<'a>,
    /// WebSocket is among what the Upgrade fields name.
    pub(super) mentions_websocket: bool,
}

/// The length that the fields state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stated {
    Nothing,
    Length(u64),
    Chunked,
}

/// What the Connection fields ask for.
#[derive(Debug)]
pub(super) struct ConnectionOptions<'a> {
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    named: SmallVec<[&'a [u8]; 4]>,
}

impl<'a> Framing<'a> {
    /// Takes in a field of framing or connection.
    pub(super) fn hear(&mut self, role: Role, value: &'a [u8]) {
        match role {
            Role::ContentLength => self.content_length.hear(value),
            Role::TransferEncoding => self.transfer_encoding.hear(value),
            Role::Connection => self.connection.push(value),
            Role::Upgrade => {
                let mut named = value.split(|b| *b == b',').map(<[u8]>::trim_ascii);
                self.mentions_websocket |= named.any(|n| n.eq_ignore_ascii_case(b"websocket"));
                self.upgrade.hear(value);
            }
            _ => {}
        }
    }

    pub(super) fn stated_length(&self, version: Version) -> Result<Stated, Fault> {
        match (self.transfer_encoding, self.content_length) {
            (Once::Absent, Once::Absent) => Ok(Stated::Nothing),
            (Once::Absent, Once::One(value)) => content_length(value).map(Stated::Length),
            (Once::Absent, Once::Many) => Err(Fault::framing("more than one content-length")),
            (_, Once::One(_) | Once::Many) => {
                Err(Fault::framing("content-length together with transfer-encoding"))
            }
            (Once::Many, Once::Absent) => Err(Fault::framing("more than one transfer-encoding")),
            (Once::One(_), _) if version == Version::Http10 => {
                Err(Fault::framing("transfer-encoding in HTTP/1.0"))
            }
            (Once::One(value), _) => transfer_encoding(value),
        }
    }

    pub(super) fn connection_options(&self) -> Result<ConnectionOptions<'a>, Fault> {
        let mut options = ConnectionOptions {
            close: false,
            keep_alive: false,
            upgrade: false,
            named: SmallVec::new(),
        };
        for option in self.connection.iter().flat_map(|value| value.split(|b| *b == b',')) {
            options.hear(option.trim_ascii())?;
        }
        Ok(options)
    }

    /// True if the message asks for, or agrees to, WebSocket and nothing else.
    pub(super) fn names_websocket(&self) -> bool {
        matches!(self.upgrade, Once::One(value) if value.eq_ignore_ascii_case(b"websocket"))
    }
}

impl<'a> ConnectionOptions<'a> {
    fn hear(&mut self, option: &'a [u8]) -> Result<(), Fault> {
        if option.is_empty() {
            return Ok(());
        }
        if !option.iter().all(|b| is_token_byte(*b)) {
            return Err(Fault::malformed("a connection option that is not a token"));
        }
        if option.eq_ignore_ascii_case(b"close") {
            self.close = true;
        } else if option.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
        } else if option.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        } else {
            let lower: SmallVec<[u8; 64]> = option
                .iter()
                .map(|b| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() })
                .collect();
            if is_protected(&lower) {
                return Err(Fault::malformed("a connection option that names a protected field"));
            }
            if exact_role(&lower) == Role::Plain {
                self.named.push(option);
            }
        }
        Ok(())
    }

    pub(super) fn after(&self, version: Version) -> ConnectionUse {
        let stays = !self.close && (version == Version::Http11 || self.keep_alive);
        if stays { ConnectionUse::KeepAlive } else { ConnectionUse::Close }
    }

    /// Takes out the fields that the connection options name.
    pub(super) fn strip(&self, fields: &mut Fields) {
        if !self.named.is_empty() {
            fields.retain(|f| !self.named.iter().any(|n| n.eq_ignore_ascii_case(f.name)));
        }
    }
}

/// One number of 1 to 19 digits: no list, sign, space, hexadecimal, and no overflow.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Fault> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Fault::framing("a content-length that is not one number"));
    }
    if value.len() > 19 {
        return Err(Fault::framing("a content-length of more than 19 digits"));
    }
    Ok(value.iter().fold(0, |n, digit| n * 10 + u64::from(digit & 15)))
}

fn transfer_encoding(value: &[u8]) -> Result<Stated, Fault> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(Stated::Chunked);
    }
    if !value.is_empty() && value.iter().all(|b| is_token_byte(*b)) {
        return Err(Fault {
            reason: bartizan_core::Reason::UnknownTransferCoding,
            detail: "a transfer coding that is not `chunked`",
        });
    }
    Err(Fault::framing("a transfer-encoding that is not exactly `chunked`"))
}
