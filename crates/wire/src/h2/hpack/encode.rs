//! Writing header blocks: indices of the static table where it knows a name, and the rest as it is.

use super::integer;

/// A table without entries (§6.3), for a peer that allows less than the default.
pub(crate) const NO_TABLE: u8 = 0x20;

const LITERAL: u8 = 0x00;
/// No one on the way may index it (§7.1.3).
const NEVER_INDEXED: u8 = 0x10;

/// Appends `:status`.
pub(crate) fn status(out: &mut Vec<u8>, status: http::StatusCode) {
    let index = match status.as_u16() {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            out.push(8);
            return string(out, status.as_str().as_bytes());
        }
    };
    out.push(0x80 | index);
}

/// Appends a field. Names are lower case; both were checked.
pub(crate) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let kind = if is_secret(name) { NEVER_INDEXED } else { LITERAL };
    if let Some(index) = static_name(name) {
        integer::write(out, kind, 4, index);
    } else {
        out.push(kind);
        string(out, name);
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer::write(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

fn is_secret(name: &[u8]) -> bool {
    matches!(name, b"set-cookie" | b"cookie" | b"authorization" | b"proxy-authorization")
}

/// The index of a name that answers have.
fn static_name(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"accept-ranges" => 18,
        b"access-control-allow-origin" => 20,
        b"age" => 21,
        b"allow" => 22,
        b"authorization" => 23,
        b"cache-control" => 24,
        b"content-disposition" => 25,
        b"content-encoding" => 26,
        b"content-language" => 27,
        b"content-length" => 28,
        b"content-location" => 29,
        b"content-range" => 30,
        b"content-type" => 31,
        b"cookie" => 32,
        b"date" => 33,
        b"etag" => 34,
        b"expires" => 36,
        b"last-modified" => 44,
        b"link" => 45,
        b"location" => 46,
        b"proxy-authenticate" => 48,
        b"refresh" => 52,
        b"retry-after" => 53,
        b"server" => 54,
        b"set-cookie" => 55,
        b"strict-transport-security" => 56,
        b"vary" => 59,
        b"via" => 60,
        b"www-authenticate" => 61,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use proptest::prelude::*;

    use super::super::decode::Decoder;
    use super::super::table::STATIC;
    use super::*;

    fn read(block: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut fields = Vec::new();
        let mut decoder = Decoder::default();
        decoder.decode(block, |name, value| fields.push((name.to_vec(), value.to_vec()))).unwrap();
        fields
    }

    #[test]
    fn every_index_is_that_of_its_name() {
        for (name, _) in STATIC {
            let mut out = Vec::new();
            field(&mut out, name.as_bytes(), b"x");
            assert_eq!(read(&out), [(name.as_bytes().to_vec(), b"x".to_vec())], "{name}");
        }
    }

    #[test]
    fn every_status_is_read_again() {
        for code in 100..600 {
            let mut out = Vec::new();
            status(&mut out, StatusCode::from_u16(code).unwrap());
            assert_eq!(read(&out), [(b":status".to_vec(), code.to_string().into_bytes())]);
        }
    }

    #[test]
    fn secrets_are_never_indexed() {
        for name in ["set-cookie", "authorization", "cookie", "proxy-authorization"] {
            let mut out = Vec::new();
            field(&mut out, name.as_bytes(), b"x");
            assert_eq!(out[0] & 0xf0, NEVER_INDEXED, "{name}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(
            list in prop::collection::vec(("[a-z-]{1,30}", "[ -~]{0,300}"), 0..20),
        ) {
            let mut out = Vec::new();
            for (name, value) in &list {
                field(&mut out, name.as_bytes(), value.as_bytes());
            }
            let list: Vec<_> =
                list.into_iter().map(|(n, v)| (n.into_bytes(), v.into_bytes())).collect();
            prop_assert_eq!(read(&out), list);
        }
    }
}
