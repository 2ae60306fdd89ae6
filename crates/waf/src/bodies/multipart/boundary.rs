//! The boundary, from the `Content-Type` (RFC 2046 §5.1.1).

use memchr::memmem;

use super::{MultipartFlags, is_c_space};
use crate::bodies::Fault;
use crate::bodies::urlencoded::cut;

const TYPE: &[u8] = b"multipart/form-data";
const PARAMETER: &[u8] = b"boundary";
/// The longest header that is looked at.
const HEADER_MAX: usize = 1_024;

/// The boundary that `content_type` names, without the hyphens before it.
pub(super) fn boundary<'a>(
    content_type: &'a [u8],
    flags: &mut MultipartFlags,
) -> Result<&'a [u8], Fault> {
    let start = content_type.get(..TYPE.len());
    if !start.is_some_and(|start| start.eq_ignore_ascii_case(TYPE)) {
        return Err(Fault::Boundary("another type"));
    }
    if content_type.len() > HEADER_MAX {
        return Err(Fault::Boundary("more than 1024 bytes"));
    }
    match count(content_type) {
        0 => return Err(Fault::Boundary("no boundary")),
        1 => {}
        _ => return Err(Fault::Boundary("two boundaries")),
    }
    let Some((before, rest)) =
        memmem::find(content_type, PARAMETER).and_then(|at| content_type.split_at_checked(at))
    else {
        return Err(Fault::Boundary("a boundary in capital letters"));
    };
    let before = before.get(TYPE.len()..).unwrap_or_default();
    match before.trim_ascii() {
        b";" => {}
        b"" => flags.lacks_semicolon = true,
        _ => return Err(Fault::Boundary("something before the boundary")),
    }
    let rest = rest.get(PARAMETER.len()..).unwrap_or_default();
    let Some((blank, value)) = memchr::memchr(b'=', rest).and_then(|at| rest.split_at_checked(at))
    else {
        return Err(Fault::Boundary("no boundary"));
    };
    if !blank.iter().all(|byte| is_c_space(*byte)) {
        return Err(Fault::Boundary("another parameter that begins with `boundary`"));
    }
    let value = value.get(1..).unwrap_or_default();
    // What other parameters follow does not matter.
    let (value, _) = cut(value, b';');
    let starts_blank = value.first().is_some_and(|byte| is_c_space(*byte));
    flags.has_boundary_whitespace = !blank.is_empty() || starts_blank;
    let value = match value {
        [b'"', inside @ .., b'"'] => {
            flags.is_boundary_quoted = true;
            inside
        }
        [b'"', ..] | [.., b'"'] => return Err(Fault::Boundary("a quote without its pair")),
        _ => value,
    };
    if value.is_empty() || value.ends_with(b" ") || !value.iter().copied().all(is_allowed) {
        return Err(Fault::Boundary("a malformed boundary"));
    }
    Ok(value)
}

/// How often a boundary seems to be named.
fn count(content_type: &[u8]) -> usize {
    let lower = content_type.to_ascii_lowercase();
    let ends = memmem::find_iter(&lower, PARAMETER).map(|at| at + PARAMETER.len());
    ends.filter(|end| lower.get(*end..).is_some_and(|rest| rest.contains(&b'='))).count()
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b' ' | b'\''
                | b'('
                | b')'
                | b'+'
                | b'_'
                | b','
                | b'-'
                | b'.'
                | b'/'
                | b':'
                | b'='
                | b'?'
        )
}
