//! A set of files, as `protoc --descriptor_set_out` writes it, in base64.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;

use crate::bounds;
use crate::fault::ProtoFault;
use crate::known;

/// The bytes of a content that is no text of a `.proto` file: there, something stands in braces or
/// ends in a semicolon, and neither is a letter of base64.
pub(crate) fn decoded(content: &str) -> Option<Result<Vec<u8>, ProtoFault>> {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let letters: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if letters.is_empty() || !letters.iter().all(is_letter) {
        return None;
    }
    Some(STANDARD.decode(letters).map_err(|_| {
        ProtoFault::new("neither the text of a `.proto` file nor base64").with_help(
            "write the text, or what `protoc --descriptor_set_out` makes through `base64`",
        )
    }))
}

/// Reads and links a set.
pub(crate) fn link(bytes: &[u8]) -> Result<DescriptorPool, ProtoFault> {
    bounds::check_set(bytes)?;
    let set = FileDescriptorSet::decode(bytes)
        .map_err(|error| ProtoFault::new(format!("no set of files: {error}")))?;
    if set.file.is_empty() {
        return Err(ProtoFault::new("a set without files"));
    }
    // `protoc` writes a file after those that it imports, which rules out circles.
    let mut seen: HashSet<&str> = HashSet::new();
    let mut pool = DescriptorPool::new();
    for file in &set.file {
        for import in &file.dependency {
            if seen.contains(import.as_str()) {
                continue;
            }
            if !known::is_known(import) {
                let problem = format!(
                    "`{}` imports `{import}`, which is not before it in the set",
                    file.name()
                );
                return Err(ProtoFault::new(problem).with_help("make it with `--include_imports`"));
            }
            known::add(&mut pool, import).map_err(|error| ProtoFault::new(error.to_string()))?;
        }
        seen.insert(file.name());
    }
    // As it is written: with the options, of which only those that are known would be left.
    pool.decode_file_descriptor_set(bytes).map_err(|error| ProtoFault::new(error.to_string()))?;
    Ok(pool)
}
