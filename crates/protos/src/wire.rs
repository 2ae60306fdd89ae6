//! The binary form of messages: tags, numbers, and what has a length before it.

use crate::misfit::Misfit;

/// How a value is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireKind {
    Varint,
    Eight,
    Long,
    Four,
}

/// A value of a field, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Raw<'b> {
    /// A number, of whatever width.
    Number(u64, WireKind),
    /// What has a length before it.
    Long(&'b [u8]),
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value.to_le_bytes()[0] & 0x7f;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, kind: WireKind) {
    let kind = match kind {
        WireKind::Varint => 0,
        WireKind::Eight => 1,
        WireKind::Long => 2,
        WireKind::Four => 5,
    };
    put_varint(out, u64::from(number) << 3 | kind);
}

pub(crate) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what was written so.
pub(crate) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next field and its value; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Raw<'b>)>, Misfit> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or_else(|| Misfit::new("a field of no number"))?;
        let raw = match tag & 7 {
            0 => self.number(WireKind::Varint)?,
            1 => self.number(WireKind::Eight)?,
            2 => Raw::Long(self.long()?),
            5 => self.number(WireKind::Four)?,
            _ => return Err(Misfit::new("a group, which nothing has")),
        };
        Ok(Some((number, raw)))
    }

    /// The next number, in a list of such.
    pub(crate) fn packed(&mut self, kind: WireKind) -> Result<Option<Raw<'b>>, Misfit> {
        if self.rest.is_empty() { Ok(None) } else { self.number(kind).map(Some) }
    }

    fn number(&mut self, kind: WireKind) -> Result<Raw<'b>, Misfit> {
        let value = match kind {
            WireKind::Eight => u64::from_le_bytes(self.array()?),
            WireKind::Four => u64::from(u32::from_le_bytes(self.array()?)),
            WireKind::Varint | WireKind::Long => self.varint()?,
        };
        Ok(Raw::Number(value, kind))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Misfit> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or_else(cut)?;
        self.rest = rest;
        Ok(*first)
    }

    fn varint(&mut self) -> Result<u64, Misfit> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or_else(cut)?;
            self.rest = rest;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                break;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Misfit::new("a number of more than 64 bits"))
    }

    fn long(&mut self) -> Result<&'b [u8], Misfit> {
        let length = usize::try_from(self.varint()?).map_err(|_| cut())?;
        let (value, rest) = self.rest.split_at_checked(length).ok_or_else(cut)?;
        self.rest = rest;
        Ok(value)
    }
}

fn cut() -> Misfit {
    Misfit::new("it ends in the middle of a value")
}
