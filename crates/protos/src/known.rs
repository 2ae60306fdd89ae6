//! The files that every `protoc` brings along.

use prost_reflect::{DescriptorError, DescriptorPool};

/// Their names.
pub(crate) const KNOWN: [&str; 11] = [
    "google/protobuf/any.proto",
    "google/protobuf/api.proto",
    "google/protobuf/descriptor.proto",
    "google/protobuf/duration.proto",
    "google/protobuf/empty.proto",
    "google/protobuf/field_mask.proto",
    "google/protobuf/source_context.proto",
    "google/protobuf/struct.proto",
    "google/protobuf/timestamp.proto",
    "google/protobuf/type.proto",
    "google/protobuf/wrappers.proto",
];

/// Whether a file is one of them.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// Adds one of them with what it imports; nothing where it is there already, or is none of them.
pub(crate) fn add(pool: &mut DescriptorPool, name: &str) -> Result<(), DescriptorError> {
    if !is_known(name) || pool.get_file_by_name(name).is_some() {
        return Ok(());
    }
    let Some(file) = DescriptorPool::global().get_file_by_name(name) else { return Ok(()) };
    let file = file.file_descriptor_proto().clone();
    for import in &file.dependency {
        add(pool, import)?;
    }
    pool.add_file_descriptor_proto(file)
}
