//! Which fields are written although a message does not hold them, found once for each type: what
//! a message costs does not depend on how many fields its type has.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, Syntax};

use crate::to_json::Defaults;

/// The fields of all messages that are written where they are not there.
#[derive(Debug, Default)]
pub(crate) struct Unset {
    of: HashMap<Box<str>, OfType>,
}

/// The numbers of the fields of one type, in order.
#[derive(Debug, Default)]
struct OfType {
    auto: Box<[u32]>,
    all: Box<[u32]>,
}

impl Unset {
    pub(crate) fn new(pool: &DescriptorPool) -> Self {
        let mut of = HashMap::new();
        for message in pool.all_messages() {
            let select = |takes: fn(&FieldDescriptor) -> bool| {
                message.fields().filter(takes).map(|field| field.number()).collect()
            };
            let found = OfType { auto: select(is_plain_of_proto3), all: select(has_default) };
            of.insert(message.full_name().into(), found);
        }
        Self { of }
    }

    /// Those of a type.
    pub(crate) fn fields(&self, message: &str, defaults: Defaults) -> &[u32] {
        let Some(found) = self.of.get(message) else { return &[] };
        match defaults {
            Defaults::Auto => &found.auto,
            Defaults::All => &found.all,
            Defaults::None => &[],
        }
    }
}

fn is_plain_of_proto3(field: &FieldDescriptor) -> bool {
    !field.supports_presence() && field.parent_message().parent_file().syntax() == Syntax::Proto3
}

fn has_default(field: &FieldDescriptor) -> bool {
    let is_plain =
        || field.containing_oneof().is_none() && !matches!(field.kind(), Kind::Message(_));
    field.is_list() || field.is_map() || is_plain()
}
