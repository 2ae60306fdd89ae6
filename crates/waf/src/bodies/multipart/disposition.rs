//! The value of a part's `Content-Disposition` (RFC 7578 §4.2).

use super::MultipartFlags;

/// The names of the part and of its file; that may be empty.
type Names = (Vec<u8>, Option<Vec<u8>>);

/// Reads `form-data; name=…; filename=…`: these two parameters, each once, and no other.
pub(super) fn disposition(value: &[u8], flags: &mut MultipartFlags) -> Result<Names, &'static str> {
    let Some(rest) = value.strip_prefix(b"form-data") else {
        return Err("a part that is no form data");
    };
    let mut rest = skip_blank(rest);
    let mut name: Option<Vec<u8>> = None;
    let mut filename: Option<Vec<u8>> = None;
    while let Some((sign, tail)) = rest.split_first() {
        if *sign != b';' {
            flags.has_invalid_quoting |= matches!(sign, b'\'' | b'"');
            return Err("a part whose parameters are not apart");
        }
        let (key, value, tail) = parameter(skip_blank(tail), flags)?;
        let place = match key {
            b"name" => &mut name,
            b"filename" => &mut filename,
            _ => return Err("a part with an unknown parameter"),
        };
        if place.as_ref().is_some_and(|known| !known.is_empty()) {
            return Err("a part with a parameter twice");
        }
        *place = Some(value);
        rest = skip_blank(tail);
    }
    let name = name.filter(|name| !name.is_empty()).ok_or("a part without a name")?;
    Ok((name, filename))
}

fn skip_blank(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|byte| !matches!(byte, b' ' | b'\t'));
    start.and_then(|start| value.get(start..)).unwrap_or_default()
}

/// A parameter: its name, its value, and what follows it.
type Parameter<'a> = (&'a [u8], Vec<u8>, &'a [u8]);

/// Reads one parameter: its name, its value, and what follows.
fn parameter<'a>(
    input: &'a [u8],
    flags: &mut MultipartFlags,
) -> Result<Parameter<'a>, &'static str> {
    let end = input.iter().position(|byte| matches!(byte, b'=' | b' ' | b'\t'));
    let (key, rest) = end.and_then(|end| input.split_at_checked(end)).unwrap_or((input, &[]));
    let Some(rest) = skip_blank(rest).strip_prefix(b"=") else {
        return Err("a part with a parameter without a value");
    };
    let rest = skip_blank(rest);
    match rest.split_first() {
        None => Err("a part with a parameter without a value"),
        Some((quote @ (b'"' | b'\''), inside)) => {
            flags.has_invalid_quoting |= *quote == b'\'';
            let (value, tail) = quoted(inside, *quote)?;
            Ok((key, value, tail))
        }
        Some(_) => {
            let end = rest.iter().position(|byte| !is_token(*byte)).unwrap_or(rest.len());
            let (value, tail) = rest.split_at_checked(end).unwrap_or_default();
            Ok((key, value.to_vec(), tail))
        }
    }
}

/// Reads up to the closing quote. Only the quote and the backslash can be escaped: browsers have sent
/// paths with plain backslashes.
fn quoted(input: &[u8], quote: u8) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let mut value = Vec::new();
    let mut rest = input;
    while let Some((byte, tail)) = rest.split_first() {
        if *byte == quote {
            return Ok((value, tail));
        }
        rest = tail;
        if let (b'\\', Some((next, after))) = (byte, tail.split_first())
            && (*next == quote || *next == b'\\')
        {
            value.push(*next);
            rest = after;
        } else {
            value.push(*byte);
        }
    }
    Err("a part with a quote that is not closed")
}

/// A byte of a token (RFC 2045 §5.1).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(
            byte,
            b'(' | b')'
                | b'<'
                | b'>'
                | b'@'
                | b','
                | b';'
                | b':'
                | b'\\'
                | b'"'
                | b'/'
                | b'['
                | b']'
                | b'?'
                | b'='
        )
}
