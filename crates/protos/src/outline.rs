//! What is known of each type of messages, found once: what a message costs does not depend on how
//! many fields its type has.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, Syntax};

use crate::to_json::Defaults;

/// The types of a description, by their full names.
#[derive(Debug, Default)]
pub(crate) struct Outlines {
    of: HashMap<Box<str>, Outline>,
}

/// The numbers of some fields of a type, in order.
#[derive(Debug, Default)]
struct Outline {
    required: Box<[u32]>,
    /// Those that are written where they are not there.
    auto: Box<[u32]>,
    all: Box<[u32]>,
}

impl Outlines {
    pub(crate) fn new(pool: &DescriptorPool) -> Self {
        let mut of = HashMap::new();
        for message in pool.all_messages() {
            let select = |takes: fn(&FieldDescriptor) -> bool| {
                message.fields().filter(takes).map(|field| field.number()).collect()
            };
            let outline = Outline {
                required: select(FieldDescriptor::is_required),
                auto: select(is_plain_of_proto3),
                all: select(has_default),
            };
            of.insert(message.full_name().into(), outline);
        }
        Self { of }
    }

    /// The fields that a message of a type must have.
    pub(crate) fn required(&self, message: &str) -> &[u32] {
        self.of.get(message).map_or(&[], |outline| &outline.required)
    }

    /// The fields that are written although a message of a type does not hold them.
    pub(crate) fn unset(&self, message: &str, defaults: Defaults) -> &[u32] {
        let Some(outline) = self.of.get(message) else { return &[] };
        match defaults {
            Defaults::Auto => &outline.auto,
            Defaults::All => &outline.all,
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
