//! Reading header blocks.

use bytes::Bytes;

use super::table::{Entry, Table};
use super::{HpackFault, huffman, integer};

/// What one direction of a connection has in common from block to block.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    table: Table,
    /// Where coded names and values are spelt out.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// A buffer beyond this is given back after the block.
const KEPT_MAX: usize = 1_024;

impl Decoder {
    /// Reads a whole block and gives each field to `take`. A fault leaves the table behind the
    /// peer's: the connection is over (§2.2, RFC 9113 §4.3).
    pub(crate) fn decode(
        &mut self,
        mut block: &[u8],
        mut take: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), HpackFault> {
        let mut has_fields = false;
        while let Some(&first) = block.first() {
            match first {
                0x80.. => {
                    let index = integer::read(&mut block, 7)?;
                    let (name, value) = self.table.field(index).ok_or(NO_ENTRY)?;
                    take(name, value);
                }
                0x40..=0x7f => {
                    let entry = self.entry(&mut block)?;
                    let (name, value) = entry.pair();
                    take(name, value);
                    self.table.insert(entry);
                }
                0x20..=0x3f => {
                    let size = integer::read(&mut block, 5)?;
                    if has_fields || !self.table.resize(size) {
                        return Err(HpackFault("a table size out of place or over the limit"));
                    }
                    continue;
                }
                _ => {
                    let index = integer::read(&mut block, 4)?;
                    let name = match index {
                        0 => string(&mut block, &mut self.name)?,
                        _ => self.table.field(index).ok_or(NO_ENTRY)?.0,
                    };
                    take(name, string(&mut block, &mut self.value)?);
                }
            }
            has_fields = true;
        }
        for buffer in [&mut self.name, &mut self.value] {
            if buffer.capacity() > KEPT_MAX {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }

    /// A field that is to be remembered (§6.2.1).
    fn entry(&mut self, block: &mut &[u8]) -> Result<Entry, HpackFault> {
        let name = match integer::read(block, 6)? {
            0 => Bytes::copy_from_slice(string(block, &mut self.name)?),
            index => self.table.name(index).ok_or(NO_ENTRY)?,
        };
        Ok(Entry::new(name, string(block, &mut self.value)?))
    }
}

const NO_ENTRY: HpackFault = HpackFault("an index that is in no table");

/// A string as it stands in the block, or spelt out in `buffer` (§5.2).
fn string<'b, 'a: 'b>(
    block: &mut &'a [u8],
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], HpackFault> {
    let is_coded = block.first().is_some_and(|byte| byte & 0x80 != 0);
    let length = integer::read(block, 7)?;
    let cut = HpackFault("a string that ends behind its header block");
    let (text, rest) = block.split_at_checked(length).ok_or(cut)?;
    *block = rest;
    if !is_coded {
        return Ok(text);
    }
    buffer.clear();
    huffman::decode(text, buffer)?;
    Ok(buffer)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
    }

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(String, String)>, HpackFault> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
        Ok(fields)
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    /// Appendix C.2: one of each kind.
    #[test]
    fn each_representation_is_read() {
        let mut decoder = Decoder::default();
        for (block, field, size) in [
            (
                "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
                ("custom-key", "custom-header"),
                55,
            ),
            ("040c2f73616d706c652f70617468", (":path", "/sample/path"), 55),
            ("100870617373776f726406736563726574", ("password", "secret"), 55),
            ("82", (":method", "GET"), 55),
        ] {
            assert_eq!(decoded(&mut decoder, &bytes(block)), Ok(pairs(&[field])), "{block}");
            assert_eq!(decoder.table.shown().0, size, "{block}");
        }
    }

    /// Appendices C.3 and C.4: three requests on one connection, plain and coded.
    #[test]
    fn requests_of_the_rfc_are_read() {
        let first = [
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ];
        let mut second = first.to_vec();
        second.push(("cache-control", "no-cache"));
        let third = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ];
        for blocks in [
            [
                "828684410f7777772e6578616d706c652e636f6d",
                "828684be58086e6f2d6361636865",
                "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            ],
            [
                "828684418cf1e3c2e5f23a6ba0ab90f4ff",
                "828684be5886a8eb10649cbf",
                "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
            ],
        ] {
            let mut decoder = Decoder::default();
            let wanted = [pairs(&first), pairs(&second), pairs(&third)];
            for ((block, fields), size) in blocks.iter().zip(wanted).zip([57, 110, 164]) {
                assert_eq!(decoded(&mut decoder, &bytes(block)), Ok(fields));
                assert_eq!(decoder.table.shown().0, size);
            }
            assert_eq!(
                decoder.table.shown().1,
                pairs(&[
                    ("custom-key", "custom-value"),
                    ("cache-control", "no-cache"),
                    (":authority", "www.example.com"),
                ])
            );
        }
    }

    /// Appendix C.6: three answers, with a table of 256 bytes that evicts.
    #[test]
    fn answers_of_the_rfc_are_read_though_entries_are_evicted() {
        let mut decoder = Decoder::default();
        assert!(decoder.table.resize(256));
        let first = "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff\
            6e919d29ad171863c78f0b97c8e9ae82ae43d3";
        let third = "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821d\
            d7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007";
        let (date, later) = ("Mon, 21 Oct 2013 20:13:21 GMT", "Mon, 21 Oct 2013 20:13:22 GMT");
        let rest = [("date", date), ("location", "https://www.example.com")];
        for (block, status) in [(first, "302"), ("4883640effc1c0bf", "307")] {
            let mut fields = vec![(":status", status), ("cache-control", "private")];
            fields.extend(rest);
            assert_eq!(decoded(&mut decoder, &bytes(block)), Ok(pairs(&fields)));
            assert_eq!(decoder.table.shown().0, 222);
        }
        let cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
        let fields = [
            (":status", "200"),
            ("cache-control", "private"),
            ("date", later),
            ("location", "https://www.example.com"),
            ("content-encoding", "gzip"),
            ("set-cookie", cookie),
        ];
        assert_eq!(decoded(&mut decoder, &bytes(third)), Ok(pairs(&fields)));
        assert_eq!(
            decoder.table.shown(),
            (215, pairs(&[("set-cookie", cookie), ("content-encoding", "gzip"), ("date", later)]))
        );
    }

    #[test]
    fn what_cannot_be_read_is_a_fault() {
        for (name, block) in [
            ("index zero", "80"),
            ("an index that is in no table", "be"),
            ("a name that is in no table", "7e00"),
            ("a string longer than the block", "000361620161"),
            ("a name without a value", "000161"),
            ("a table larger than offered", "3fe21f"),
            ("a table size behind a field", "8220"),
            ("an integer without an end", "ffffffffffffff"),
            ("a bad padding", "00810000"),
        ] {
            assert!(decoded(&mut Decoder::default(), &bytes(block)).is_err(), "{name}");
        }
    }

    /// Two bytes each, with a name of the largest that is remembered.
    #[test]
    fn a_name_that_is_used_again_is_not_copied() {
        let mut decoder = Decoder::default();
        let name = vec![b'n'; 4_064];
        let mut block = vec![0x40];
        integer::write(&mut block, 0, 7, name.len());
        block.extend_from_slice(&name);
        block.push(0);
        block.extend([0x7e, 0].repeat(14_000));
        let mut places = Vec::new();
        let read = decoder.decode(&block, |name, value| {
            assert_eq!((name.len(), value.len()), (4_064, 0));
            places.push(name.as_ptr());
        });
        assert_eq!((read, places.len()), (Ok(()), 14_001));
        places.dedup();
        assert_eq!(places.len(), 1);
        assert_eq!(decoder.table.shown().0, 4_096);
        // What is a byte longer is not remembered, and nothing is left to refer to.
        let mut decoder = Decoder::default();
        let mut block = vec![0x40];
        integer::write(&mut block, 0, 7, 4_065);
        block.resize(block.len() + 4_065, b'n');
        block.extend([0, 0x7e, 0]);
        assert_eq!(decoder.decode(&block, |_, _| ()), Err(NO_ENTRY));
    }

    #[test]
    fn table_sizes_at_the_start_are_followed() {
        let mut decoder = Decoder::default();
        decoded(&mut decoder, &bytes("40016101624001630164")).unwrap();
        assert_eq!(decoder.table.shown().0, 68);
        // Emptied, and opened again (§4.2).
        assert_eq!(decoded(&mut decoder, &bytes("203fe11f82")), Ok(pairs(&[(":method", "GET")])));
        assert_eq!(decoder.table.shown().0, 0);
    }
}
