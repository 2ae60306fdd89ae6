//! How much a description may hold.

use prost_reflect::prost_types::{DescriptorProto, FileDescriptorProto};

use crate::fault::ProtoFault;

/// Deepest nesting: of brackets in a text, of messages in messages in a set.
pub const DEPTH_MAX: usize = 32;

/// Most messages, enums and services in all.
pub const TYPES_MAX: usize = 10_000;

/// Most fields, values of enums and methods in all.
pub const FIELDS_MAX: usize = 100_000;

/// Most files in a set.
pub const FILES_MAX: usize = 256;

/// What there is of each.
#[derive(Default)]
struct Count {
    types: usize,
    fields: usize,
    depth: usize,
}

impl Count {
    fn message(&mut self, message: &DescriptorProto, depth: usize) {
        self.depth = self.depth.max(depth);
        self.types += 1 + message.enum_type.len();
        self.fields += message.field.len() + message.extension.len() + message.oneof_decl.len();
        self.fields += message.enum_type.iter().map(|this| this.value.len()).sum::<usize>();
        for inner in &message.nested_type {
            self.message(inner, depth + 1);
        }
    }
}

/// Refuses files that hold too much. What is read here nests as deep as whoever decoded it let it.
pub(crate) fn check(files: &[FileDescriptorProto]) -> Result<(), ProtoFault> {
    let mut count = Count::default();
    for file in files {
        count.types += file.enum_type.len() + file.service.len();
        count.fields += file.extension.len();
        count.fields += file.enum_type.iter().map(|this| this.value.len()).sum::<usize>();
        count.fields += file.service.iter().map(|this| this.method.len()).sum::<usize>();
        for message in &file.message_type {
            count.message(message, 1);
        }
    }
    for (is, max, what) in [
        (files.len(), FILES_MAX, "files"),
        (count.types, TYPES_MAX, "messages, enums and services"),
        (count.fields, FIELDS_MAX, "fields, enum values and methods"),
        (count.depth, DEPTH_MAX, "levels of messages in messages"),
    ] {
        if is > max {
            return Err(ProtoFault::new(format!("more than {max} {what}")));
        }
    }
    Ok(())
}
