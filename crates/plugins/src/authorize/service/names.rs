//! Lists of header names that are passed on from one side to another.

use bartizan_config::Invalid;
use bartizan_wire::{Fields, is_field_name, is_field_value};
use bytes::Bytes;

use crate::field_change::is_framing;

/// Most names of a list.
const NAMES_MAX: usize = 64;

/// Where the fields go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Towards {
    /// From the client to the service that decides.
    Service,
    /// From the service to the upstream.
    Upstream,
    /// From the service to the client.
    Client,
}

/// Names of header fields, lower case.
#[derive(Debug, Default)]
pub(crate) struct HeaderNames(Box<[Bytes]>);

impl HeaderNames {
    /// Reads the list under `key`.
    pub(crate) fn compile(key: &str, list: &[String], towards: Towards) -> Result<Self, Invalid> {
        if list.len() > NAMES_MAX {
            return Err(Invalid::at(key, format!("names more than {NAMES_MAX} headers")));
        }
        let read = |(index, name): (usize, &String)| {
            let lower = name.to_ascii_lowercase();
            let fault = |problem: String| Invalid::at_item(key, index, problem);
            if !is_field_name(lower.as_bytes()) {
                return Err(fault(format!("`{name}` is not the name of a header")));
            }
            match refused(&lower, towards) {
                Some(why) => Err(fault(format!("`{name}` {why}"))),
                None => Ok(Bytes::from(lower)),
            }
        };
        list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|name| std::str::from_utf8(name).ok())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes these fields out of a request, in any spelling that a server behind us could take for
    /// the same name: whoever decides says them, never the client.
    pub(crate) fn take_out(&self, fields: &mut Fields) {
        if !self.is_empty() {
            fields.retain(|field| !self.0.iter().any(|own| is_same(own, field.name)));
        }
    }

    /// Copies these fields, as often as they occur.
    pub(crate) fn copy(&self, from: &Fields, to: &mut Fields) {
        for name in &self.0 {
            for field in from.iter().filter(|field| field.name == *name) {
                to.append(name.clone(), Bytes::copy_from_slice(field.value));
            }
        }
    }
}

/// Servers that hand fields on as variables (RFC 3875 §4.1.18) know no difference between `-` and
/// `_`.
fn is_same(own: &[u8], other: &[u8]) -> bool {
    let folded = |byte: &u8| if *byte == b'_' { b'-' } else { *byte };
    own.len() == other.len() && own.iter().map(folded).eq(other.iter().map(folded))
}

/// Why a field may not be passed on.
fn refused(name: &str, towards: Towards) -> Option<&'static str> {
    let is_forwarded =
        name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-");
    let says_where = is_forwarded && name != "x-forwarded-user";
    let says_who = name.starts_with("x-consumer-") || name == "x-credential-identifier";
    match towards {
        _ if is_framing(name) => Some("belongs to the connection, which the gateway keeps"),
        Towards::Service | Towards::Upstream if name == "host" => {
            Some("is the host, which is not passed on")
        }
        Towards::Service | Towards::Upstream if says_where => {
            Some("says where the request came from, which the gateway says itself")
        }
        Towards::Service | Towards::Upstream if says_who => {
            Some("says which consumer calls, which the gateway says itself")
        }
        _ => None,
    }
}

/// True for a value that can stand in a header.
pub(crate) fn is_sendable(value: &str) -> bool {
    is_field_value(value.as_bytes())
}
