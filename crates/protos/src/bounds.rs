//! How much a description may hold.

use prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

use crate::fault::ProtoFault;
use crate::wire::{Raw, Reader};

/// Longest content, text or base64, in bytes.
pub const CONTENT_MAX: usize = 1_048_576;

/// Deepest nesting: of brackets in a text, of messages in messages in a set.
pub const DEPTH_MAX: usize = 32;

/// Most messages, enums and services in all.
pub const TYPES_MAX: usize = 10_000;

/// Most fields, values of enums and methods in all, with ranges of numbers that are reserved.
pub const FIELDS_MAX: usize = 100_000;

/// Most files in a set.
pub const FILES_MAX: usize = 256;

/// What there is of each, as far as it was counted.
#[derive(Default)]
struct Count {
    files: usize,
    types: usize,
    fields: usize,
}

impl Count {
    fn files(&mut self, more: usize) -> Result<(), ProtoFault> {
        self.files = bounded(self.files, more, FILES_MAX, "files")?;
        Ok(())
    }

    fn types(&mut self, more: usize) -> Result<(), ProtoFault> {
        self.types = bounded(self.types, more, TYPES_MAX, "messages, enums and services")?;
        Ok(())
    }

    fn fields(&mut self, more: usize) -> Result<(), ProtoFault> {
        self.fields = bounded(self.fields, more, FIELDS_MAX, "fields, enum values and methods")?;
        Ok(())
    }

    fn file(&mut self, file: &FileDescriptorProto) -> Result<(), ProtoFault> {
        self.types(file.service.len())?;
        self.fields(file.extension.len())?;
        self.fields(file.service.iter().map(|this| this.method.len()).sum())?;
        self.enums(&file.enum_type)?;
        file.message_type.iter().try_for_each(|message| self.message(message, 1))
    }

    fn message(&mut self, message: &DescriptorProto, depth: usize) -> Result<(), ProtoFault> {
        within_depth(depth)?;
        self.types(1)?;
        self.fields(message.field.len() + message.extension.len() + message.oneof_decl.len())?;
        self.fields(message.reserved_range.len() + message.extension_range.len())?;
        self.enums(&message.enum_type)?;
        message.nested_type.iter().try_for_each(|inner| self.message(inner, depth + 1))
    }

    fn enums(&mut self, enums: &[EnumDescriptorProto]) -> Result<(), ProtoFault> {
        self.types(enums.len())?;
        self.fields(enums.iter().map(|this| this.value.len() + this.reserved_range.len()).sum())
    }

    /// The same of what is not decoded yet.
    fn part(&mut self, part: Part, bytes: &[u8], depth: usize) -> Result<(), ProtoFault> {
        let depth = depth + usize::from(part == Part::Message);
        within_depth(depth)?;
        match part {
            Part::Set => {}
            Part::File => self.files(1)?,
            Part::Message | Part::Enum | Part::Service => self.types(1)?,
            Part::Field => return self.fields(1),
        }
        let mut reader = Reader::new(bytes);
        let told = |misfit| ProtoFault::new(format!("no set of files: {misfit}"));
        while let Some((number, raw)) = reader.next().map_err(told)? {
            if let (Some(inner), Raw::Long(bytes)) = (part.inner(number), raw) {
                self.part(inner, bytes, depth)?;
            }
        }
        Ok(())
    }
}

fn bounded(is: usize, more: usize, max: usize, what: &str) -> Result<usize, ProtoFault> {
    let sum = is.saturating_add(more);
    if sum > max { Err(ProtoFault::new(format!("more than {max} {what}"))) } else { Ok(sum) }
}

fn within_depth(depth: usize) -> Result<(), ProtoFault> {
    bounded(depth, 0, DEPTH_MAX, "levels of messages in messages").map(drop)
}

/// What is counted in a set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Set,
    File,
    Message,
    Enum,
    Service,
    /// Or a value of an enum, a method, alternatives, numbers that are reserved.
    Field,
}

impl Part {
    /// What a field of it is, by its number in `google/protobuf/descriptor.proto`.
    fn inner(self, number: u32) -> Option<Self> {
        Some(match (self, number) {
            (Self::Set, 1) => Self::File,
            (Self::File, 4) | (Self::Message, 3) => Self::Message,
            (Self::File, 5) | (Self::Message, 4) => Self::Enum,
            (Self::File, 6) => Self::Service,
            (Self::File, 7)
            | (Self::Message, 2 | 5 | 6 | 8 | 9)
            | (Self::Enum, 2 | 4)
            | (Self::Service, 2) => Self::Field,
            _ => return None,
        })
    }
}

/// Refuses a content that is too long to be looked at.
pub(crate) fn check_length(content: &str) -> Result<(), ProtoFault> {
    bounded(content.len(), 0, CONTENT_MAX, "bytes").map(drop)
}

/// Refuses a file that holds too much. The parser's text nests no deeper than was let through.
pub(crate) fn check_file(file: &FileDescriptorProto) -> Result<(), ProtoFault> {
    Count::default().file(file)
}

/// Refuses a set that holds too much, before room is made for any of it.
pub(crate) fn check_set(bytes: &[u8]) -> Result<(), ProtoFault> {
    Count::default().part(Part::Set, bytes, 0)
}
