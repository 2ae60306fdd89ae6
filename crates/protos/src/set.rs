//! A set of files, as `protoc --descriptor_set_out` writes it, in base64.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::bounds;
use crate::fault::ProtoFault;
use crate::form;
use crate::known;

/// Most ways along imports, from one file to what it imports, and on along what that imports
/// publicly: the library goes them all, also those that meet again.
pub const WAYS_MAX: usize = 100_000;

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
    let mut pool = DescriptorPool::new();
    let mut imports = Imports::default();
    for file in &set.file {
        form::check(file)?;
        imports.add(&mut pool, file)?;
    }
    // As it is written: with the options, of which only those that are known would be left.
    pool.decode_file_descriptor_set(bytes).map_err(|error| ProtoFault::new(error.to_string()))?;
    Ok(pool)
}

/// The files of a set, each with how many ways the library goes along public imports from there.
#[derive(Default)]
struct Imports<'s> {
    ways: HashMap<&'s str, usize>,
    total: usize,
}

impl<'s> Imports<'s> {
    /// `protoc` writes a file after those that it imports, which rules out circles.
    fn add(
        &mut self,
        pool: &mut DescriptorPool,
        file: &'s FileDescriptorProto,
    ) -> Result<(), ProtoFault> {
        let (imports, public) = (&file.dependency, &file.public_dependency);
        let is_twice = imports.iter().collect::<HashSet<_>>().len() < imports.len();
        if is_twice || public.len() > imports.len() {
            return Err(ProtoFault::new(format!("`{}` imports a file twice", file.name())));
        }
        let mut own = 1_usize;
        for (index, import) in (0..).zip(imports) {
            let behind = match self.ways.get(import.as_str()) {
                Some(ways) => *ways,
                None if known::is_known(import) => {
                    let added = known::add(pool, import);
                    added.map_err(|error| ProtoFault::new(error.to_string()))?;
                    1
                }
                None => {
                    let problem = format!(
                        "`{}` imports `{import}`, which is not before it in the set",
                        file.name()
                    );
                    let help = "make it with `--include_imports`";
                    return Err(ProtoFault::new(problem).with_help(help));
                }
            };
            self.total = self.total.saturating_add(behind);
            if public.contains(&index) {
                own = own.saturating_add(behind);
            }
        }
        if self.total > WAYS_MAX {
            let problem = format!("more than {WAYS_MAX} ways along imports of imports");
            return Err(ProtoFault::new(problem));
        }
        self.ways.insert(file.name(), own);
        Ok(())
    }
}
