//! The map from code points to bytes that `SecUnicodeMapFile` names.

use std::collections::HashMap;

/// Code points and the bytes that a server of a certain code page makes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UnicodeMap(HashMap<u32, u8>);

impl UnicodeMap {
    /// Reads the part of a map file that belongs to a code page.
    ///
    /// In such a file a line holds a code page's number, the next ones the pairs `HHHH:HH`, apart by
    /// spaces; lines with `#` and names in parentheses are remarks. None if the file has no such page.
    pub(crate) fn parse(file: &str, code_page: u32) -> Option<Self> {
        let mut map = HashMap::new();
        let mut is_inside = false;
        let mut is_found = false;
        for line in file.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let mut words = line.split_ascii_whitespace().peekable();
            let first = words.peek().and_then(|word| word.parse::<u32>().ok());
            if let Some(number) = first {
                is_inside = number == code_page;
                is_found |= is_inside;
            }
            if !is_inside {
                continue;
            }
            for (code, byte) in words.filter_map(|word| word.split_once(':')) {
                let code = u32::from_str_radix(code, 16).ok().filter(|code| *code <= 0xffff);
                let byte = u8::from_str_radix(byte, 16).ok();
                map.extend(code.zip(byte));
            }
        }
        is_found.then_some(Self(map))
    }

    /// The byte of a code point.
    pub(crate) fn byte(&self, code: u32) -> Option<u8> {
        self.0.get(&code).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transformations::Transformation;

    const FILE: &str = "# remark\n1250  (ANSI)\n00a1:21\n\n20127 (US-ASCII)\n00aa:61 0141:4c\n";

    #[test]
    fn one_code_page_is_read() {
        let map = UnicodeMap::parse(FILE, 20127).unwrap();
        assert_eq!((map.byte(0x141), map.byte(0xa1)), (Some(b'L'), None));
        assert_eq!(UnicodeMap::parse(FILE, 20128), None);
    }

    #[test]
    fn the_map_comes_before_the_low_byte() {
        let map = UnicodeMap::parse(FILE, 20127).unwrap();
        let mut output = Vec::new();
        Transformation::UrlDecodeUni.apply_with(b"%u0141%u0142", &mut output, Some(&map));
        assert_eq!(output, b"LB");
        Transformation::UrlDecodeUni.apply(b"%u0141", &mut output);
        assert_eq!(output, b"A");
    }
}
