//! Everything that is asked of a description when messages are translated, asked once before: what
//! no `protoc` would write is found while it compiles, and not in a request.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::fault::ProtoFault;

/// The fault of a description that holds together in no way that anybody could name.
pub(crate) fn malformed() -> ProtoFault {
    ProtoFault::new("what it describes does not hold together")
        .with_help("make the set with `protoc`, and change nothing in it")
}

/// Looks at every message, field and method.
pub(crate) fn rehearse(pool: &DescriptorPool) -> Result<(), ProtoFault> {
    for message in pool.all_messages() {
        if message.is_map_entry() && !has_key_and_value(&message) {
            return Err(malformed());
        }
        for field in message.fields() {
            field_of(&field)?;
        }
    }
    for service in pool.services() {
        for method in service.methods() {
            let _ = (method.input(), method.output(), method.full_name());
        }
    }
    Ok(())
}

fn has_key_and_value(message: &MessageDescriptor) -> bool {
    let is_plain = |field: &FieldDescriptor| !field.is_list() && field.containing_oneof().is_none();
    let key = message.get_field(1).filter(is_plain);
    let is_key = key.is_some_and(|key| {
        !matches!(
            key.kind(),
            Kind::Message(_) | Kind::Enum(_) | Kind::Bytes | Kind::Float | Kind::Double
        )
    });
    is_key && message.get_field(2).as_ref().is_some_and(is_plain) && message.fields().len() == 2
}

fn field_of(field: &FieldDescriptor) -> Result<(), ProtoFault> {
    match field.kind() {
        Kind::Enum(kind) if kind.values().len() == 0 => return Err(malformed()),
        Kind::Message(kind) if kind.is_map_entry() && !field.is_list() && !field.is_map() => {
            return Err(malformed());
        }
        _ => {}
    }
    let _ = (field.default_value(), field.containing_oneof(), field.is_packed(), field.json_name());
    Ok(())
}
