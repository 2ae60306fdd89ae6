//! What happens to values before rules look at them: one transformation, one file.
//!
//! Each does what ModSecurity 3 does, byte for byte; where that is odd, its file says so. None takes
//! more than linear time, and none fails.

mod base64_decode;
mod base64_decode_ext;
mod base64_encode;
mod cmd_line;
mod compress_whitespace;
mod css_decode;
mod escape_seq_decode;
pub(crate) mod hex;
mod hex_decode;
mod hex_encode;
mod html_entity_decode;
mod js_decode;
mod length;
mod lowercase;
mod md5;
mod normalize_path;
mod normalize_path_win;
mod parity_even_7bit;
mod parity_odd_7bit;
mod parity_zero_7bit;
mod remove_comments;
mod remove_comments_char;
mod remove_nulls;
mod remove_whitespace;
mod replace_comments;
mod replace_nulls;
mod sha1;
mod sql_hex_decode;
#[cfg(test)]
mod tests;
mod trim;
mod trim_left;
mod trim_right;
mod unicode_map;
mod uppercase;
mod url_decode;
mod url_decode_uni;
mod url_encode;
mod utf8_to_unicode;

use crate::byte_mask::ByteMask;
pub(crate) use unicode_map::UnicodeMap;

macro_rules! transformations {
    ($($variant:ident $name:literal $module:ident),* $(,)?) => {
        /// A transformation, `t:…`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum Transformation {
            $(
                #[doc = concat!("`t:", $name, "`.")]
                $variant,
            )*
        }

        impl Transformation {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name, as rules usually write it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Bytes one of which must stand in a value for the transformation to change it.
            ///
            /// [`ByteMask::ANY`]: cannot tell; the empty value may change as well.
            pub(crate) fn triggers(self) -> ByteMask {
                match self { $(Self::$variant => $module::TRIGGERS),* }
            }

            /// True if text made of letters and digits may become any other.
            pub(crate) fn makes_other_text(self) -> bool {
                matches!(
                    self,
                    Self::Base64Decode
                        | Self::Base64DecodeExt
                        | Self::HexDecode
                        | Self::SqlHexDecode
                        | Self::Md5
                        | Self::Sha1
                )
            }

            /// The output is never longer than this times the input's length, and
            /// [`DIGEST_LENGTH`] more.
            pub(crate) fn growth(self) -> usize {
                match self { $(Self::$variant => $module::GROWTH),* }
            }

            /// Writes the transformed value to `output`, which is cleared first. True if it differs
            /// from `input`.
            pub(crate) fn apply(self, input: &[u8], output: &mut Vec<u8>) -> bool {
                output.clear();
                match self { $(Self::$variant => $module::apply(input, output)),* }
                input != output.as_slice()
            }

            /// The text of its file.
            #[cfg(test)]
            fn source(self) -> &'static str {
                match self {
                    $(Self::$variant => include_str!(concat!(stringify!($module), ".rs"))),*
                }
            }
        }
    };
}

transformations! {
    Base64Decode "base64Decode" base64_decode,
    Base64DecodeExt "base64DecodeExt" base64_decode_ext,
    Base64Encode "base64Encode" base64_encode,
    CmdLine "cmdLine" cmd_line,
    CompressWhitespace "compressWhitespace" compress_whitespace,
    CssDecode "cssDecode" css_decode,
    EscapeSeqDecode "escapeSeqDecode" escape_seq_decode,
    HexDecode "hexDecode" hex_decode,
    HexEncode "hexEncode" hex_encode,
    HtmlEntityDecode "htmlEntityDecode" html_entity_decode,
    JsDecode "jsDecode" js_decode,
    Length "length" length,
    Lowercase "lowercase" lowercase,
    Md5 "md5" md5,
    NormalizePath "normalizePath" normalize_path,
    NormalizePathWin "normalizePathWin" normalize_path_win,
    ParityEven7bit "parityEven7bit" parity_even_7bit,
    ParityOdd7bit "parityOdd7bit" parity_odd_7bit,
    ParityZero7bit "parityZero7bit" parity_zero_7bit,
    RemoveComments "removeComments" remove_comments,
    RemoveCommentsChar "removeCommentsChar" remove_comments_char,
    RemoveNulls "removeNulls" remove_nulls,
    RemoveWhitespace "removeWhitespace" remove_whitespace,
    ReplaceComments "replaceComments" replace_comments,
    ReplaceNulls "replaceNulls" replace_nulls,
    Sha1 "sha1" sha1,
    SqlHexDecode "sqlHexDecode" sql_hex_decode,
    Trim "trim" trim,
    TrimLeft "trimLeft" trim_left,
    TrimRight "trimRight" trim_right,
    Uppercase "uppercase" uppercase,
    UrlDecode "urlDecode" url_decode,
    UrlDecodeUni "urlDecodeUni" url_decode_uni,
    UrlEncode "urlEncode" url_encode,
    Utf8ToUnicode "utf8toUnicode" utf8_to_unicode,
}

/// The longest output of a transformation whose output does not depend on the input's length.
pub(crate) const DIGEST_LENGTH: usize = 20;

impl Transformation {
    /// The transformation of this name, case ignored.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let is_named = |known: &str| known.eq_ignore_ascii_case(name);
        match () {
            () if is_named("normalisePath") => Some(Self::NormalizePath),
            () if is_named("normalisePathWin") => Some(Self::NormalizePathWin),
            () => Self::ALL.iter().copied().find(|known| is_named(known.name())),
        }
    }

    /// As [`apply`](Self::apply), with the rule set's map of code points.
    pub(crate) fn apply_with(
        self,
        input: &[u8],
        output: &mut Vec<u8>,
        map: Option<&UnicodeMap>,
    ) -> bool {
        if self != Self::UrlDecodeUni {
            return self.apply(input, output);
        }
        output.clear();
        url_decode_uni::apply_with(input, output, map);
        input != output.as_slice()
    }
}

/// Copies `input` to `output` in runs, up to each place that `next` finds in what is left; there
/// `decode` sees the rest from that place on, writes what it becomes and returns how much it took.
fn rewrite(
    input: &[u8],
    output: &mut Vec<u8>,
    next: impl Fn(&[u8]) -> Option<usize>,
    decode: impl Fn(&[u8], &mut Vec<u8>) -> usize,
) {
    let mut rest = input;
    while let Some((run, tail)) = next(rest).and_then(|at| rest.split_at_checked(at)) {
        output.extend_from_slice(run);
        let taken = decode(tail, output).max(1);
        rest = tail.get(taken..).unwrap_or_default();
    }
    output.extend_from_slice(rest);
}

/// White space as C has it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What a letter behind a backslash stands for in C and JavaScript.
fn control(letter: u8) -> Option<u8> {
    match letter {
        b'a' => Some(0x07),
        b'b' => Some(0x08),
        b'f' => Some(0x0c),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'v' => Some(0x0b),
        _ => None,
    }
}

fn low_byte(code: u32) -> u8 {
    let [low, ..] = code.to_le_bytes();
    low
}

/// The low byte of a code point; of a full-width form, the ASCII character that it looks like.
fn narrow(code: u32) -> u8 {
    match code {
        0xff01..=0xff5e => low_byte(code) + 0x20,
        _ => low_byte(code),
    }
}
