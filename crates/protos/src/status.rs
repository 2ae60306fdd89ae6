//! What goes with an error: `google.rpc.Status`, as `grpc-status-details-bin` has it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};

use crate::misfit::Misfit;
use crate::outline::Outlines;
use crate::to_json::{Style, Writer};
use crate::wire::{Raw, Reader};

/// The type of details that go with errors.
#[derive(Clone, Debug)]
pub struct Details {
    kind: MessageDescriptor,
    outlines: Arc<Outlines>,
}

impl Details {
    pub(crate) fn new(kind: MessageDescriptor, outlines: Arc<Outlines>) -> Self {
        Self { kind, outlines }
    }
}

/// The value of a status: `code`, `message` and `details`. A detail of the type that is given is
/// written as what it holds; another one is written with its type, and in base64.
pub fn status(bytes: &[u8], details: Option<&Details>, style: Style) -> Result<Value, Misfit> {
    let mut members = Map::new();
    let mut list = Vec::new();
    // Whatever its details are, one status has room for so many values.
    let mut known = details.map(|details| (&details.kind, Writer::new(&details.outlines, style)));
    let mut reader = Reader::new(bytes);
    while let Some((number, raw)) = reader.next()? {
        match (number, raw) {
            (1, Raw::Number(code, _)) => drop(members.insert("code".to_owned(), code.into())),
            (2, Raw::Long(text)) => {
                let text = String::from_utf8_lossy(text).into_owned();
                members.insert("message".to_owned(), text.into());
            }
            (3, Raw::Long(any)) => list.push(detail(any, known.as_mut())?),
            _ => {}
        }
    }
    if !list.is_empty() {
        members.insert("details".to_owned(), list.into());
    }
    Ok(Value::Object(members))
}

fn detail(
    any: &[u8],
    known: Option<&mut (&MessageDescriptor, Writer<'_>)>,
) -> Result<Value, Misfit> {
    let (mut url, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(any);
    while let Some((number, raw)) = reader.next()? {
        match (number, raw) {
            (1, Raw::Long(bytes)) => url = bytes,
            (2, Raw::Long(bytes)) => value = bytes,
            _ => {}
        }
    }
    let url = String::from_utf8_lossy(url);
    let name = url.rsplit('/').next().unwrap_or_default();
    match known.filter(|(kind, _)| kind.full_name() == name) {
        Some((kind, writer)) => writer.message(kind, value, 1),
        None => Ok(json!({ "type_url": url, "value": STANDARD.encode(value) })),
    }
}
