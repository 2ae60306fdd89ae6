//! The text of one `.proto` file.

use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorError, DescriptorPool};

use crate::bounds;
use crate::fault::{At, ProtoFault};
use crate::form;
use crate::known::{self, is_known};
use crate::scan::scan;

/// What the file is called, as far as anything asks.
const NAME: &str = "content.proto";

/// Parses and links a text.
pub(crate) fn link(text: &str) -> Result<DescriptorPool, ProtoFault> {
    scan(text)?;
    let file = protox_parse::parse(NAME, text).map_err(|error| {
        let fault = ProtoFault::new(error.to_string());
        match error.span() {
            Some(span) => fault.at(At::of(text, span.start)),
            None => fault,
        }
    })?;
    check_imports(&file, text)?;
    bounds::check_file(&file)?;
    form::check(&file)?;
    // Places cost as much as the rest, and nobody asks for them where all is well.
    let plain = FileDescriptorProto { source_code_info: None, ..file.clone() };
    pool_of(plain).or_else(|_| pool_of(file)).map_err(|error| {
        let at = |line, column| At { line: line + 1, column: column + 1 };
        let fault = ProtoFault::new(error.to_string());
        match error.line().zip(error.column()) {
            Some((line, column)) => fault.at(at(line, column)),
            None => fault,
        }
    })
}

fn pool_of(file: FileDescriptorProto) -> Result<DescriptorPool, DescriptorError> {
    let mut pool = DescriptorPool::new();
    for import in &file.dependency {
        known::add(&mut pool, import)?;
    }
    pool.add_file_descriptor_proto(file)?;
    Ok(pool)
}

fn check_imports(file: &FileDescriptorProto, text: &str) -> Result<(), ProtoFault> {
    let Some(import) = file.dependency.iter().find(|import| !is_known(import)) else {
        return Ok(());
    };
    let problem = format!("there is no file `{import}` to import");
    let help = "a text can import `google/protobuf/*.proto`; with other imports, write the set that \
                `protoc --include_imports --descriptor_set_out` makes, in base64";
    let fault = ProtoFault::new(problem).with_help(help);
    let written = [format!("\"{import}\""), format!("'{import}'")];
    let offset = written.iter().find_map(|written| text.find(written.as_str()));
    Err(match offset {
        Some(offset) => fault.at(At::of(text, offset)),
        None => fault,
    })
}
