//! What the library takes on trust, and `protoc` sees to: names of a length that names have, since
//! it keeps them with all that is around them, and numbers that are reserved once, since it makes
//! one fault of each field in each range that holds its number.

use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::fault::ProtoFault;

/// Longest name, with those of all that is around it, in bytes.
pub const NAME_MAX: usize = 1_024;

/// Most ranges of numbers that a message or an enum reserves, and that a message leaves to
/// extensions.
pub const RANGES_MAX: usize = 256;

/// Refuses a file with longer names, or with numbers that are reserved twice.
pub(crate) fn check(file: &FileDescriptorProto) -> Result<(), ProtoFault> {
    let around = within(0, file.package())?;
    for extension in &file.extension {
        within(around, extension.name())?;
        within(0, extension.extendee())?;
        within(0, extension.type_name())?;
    }
    for service in &file.service {
        let around = within(around, service.name())?;
        for method in &service.method {
            within(around, method.name())?;
            within(0, method.input_type())?;
            within(0, method.output_type())?;
        }
    }
    file.enum_type.iter().try_for_each(|this| of_enum(this, around))?;
    file.message_type.iter().try_for_each(|this| of_message(this, around))
}

fn of_message(message: &DescriptorProto, around: usize) -> Result<(), ProtoFault> {
    let around = within(around, message.name())?;
    for field in message.field.iter().chain(&message.extension) {
        within(around, field.name())?;
        within(0, field.json_name())?;
        within(0, field.extendee())?;
        within(0, field.type_name())?;
    }
    for oneof in &message.oneof_decl {
        within(around, oneof.name())?;
    }
    // The last number is not among them.
    let last = |end: i32| end.saturating_sub(1);
    let reserved = message.reserved_range.iter().map(|range| (range.start(), last(range.end())));
    apart(message.name(), "reserves", reserved)?;
    let open = message.extension_range.iter().map(|range| (range.start(), last(range.end())));
    apart(message.name(), "gives extensions", open)?;
    message.enum_type.iter().try_for_each(|this| of_enum(this, around))?;
    message.nested_type.iter().try_for_each(|this| of_message(this, around))
}

fn of_enum(this: &EnumDescriptorProto, around: usize) -> Result<(), ProtoFault> {
    let around = within(around, this.name())?;
    for value in &this.value {
        within(around, value.name())?;
    }
    let ranges = this.reserved_range.iter();
    apart(this.name(), "reserves", ranges.map(|range| (range.start(), range.end())))
}

/// The length of a name with what is around it, and the dot behind it.
fn within(around: usize, name: &str) -> Result<usize, ProtoFault> {
    let length = around + name.len();
    if length > NAME_MAX {
        return Err(ProtoFault::new(format!("a name of more than {NAME_MAX} bytes")));
    }
    Ok(if length == 0 { 0 } else { length + 1 })
}

/// Each number of a type is held against each of its ranges.
fn apart(
    name: &str,
    does: &str,
    ranges: impl ExactSizeIterator<Item = (i32, i32)>,
) -> Result<(), ProtoFault> {
    if ranges.len() > RANGES_MAX {
        return Err(ProtoFault::new(format!("`{name}` {does} more than {RANGES_MAX} ranges")));
    }
    let mut ranges: Vec<_> = ranges.collect();
    if let Some((start, end)) = ranges.iter().find(|(start, end)| end < start) {
        let problem = format!("`{name}` {does} from {start} to {end}, which is nothing");
        return Err(ProtoFault::new(problem));
    }
    ranges.sort_unstable();
    let overlaps = ranges.windows(2).find_map(|pair| match pair {
        [(_, end), (start, _)] if end >= start => Some(start),
        _ => None,
    });
    match overlaps {
        Some(number) => Err(ProtoFault::new(format!("`{name}` {does} {number} twice"))),
        None => Ok(()),
    }
}
