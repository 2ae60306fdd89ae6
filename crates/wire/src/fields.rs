//! Header fields in the order they came.

use std::fmt;

use bytes::Bytes;

use crate::h1::is_lower_or_hyphen;

/// Room that is made for fields that are added: as many as an answer usually gets.
const ADDED_USUAL: usize = 12;

/// A stretch of the received block.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    len: u32,
}

/// A field: inside the received block, or one of those that were added.
#[derive(Clone, Copy)]
enum Entry {
    Block { name: Place, value: Place },
    Added(u32),
}

/// Header fields: lower-case names, raw values, order kept, repeated names allowed.
///
/// The received block is kept whole and entries point into it, so that parsing a request allocates
/// nothing but the list; fields that are added own their bytes. Look-up is a scan: requests have
/// about ten fields, and comparing lengths first beats hashing every name.
#[derive(Clone, Default)]
pub struct Fields {
    block: Bytes,
    entries: Vec<Entry>,
    /// Names and values of fields that were added, those included that were removed again.
    ///
    /// PERF: `cargo xtask bench`, secured: a list of their own keeps that of a received head small,
    /// and costs one allocation for all fields that are added to an answer.
    added: Vec<(Bytes, Bytes)>,
}

/// One header field: lower-case name and value without surrounding white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, lower case.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Fields {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields yet, to be filled with [`Self::push_range`] from a received block whose names are
    /// already lower case. Only what our own strict parsers accepted is put in this way.
    pub(crate) fn over(block: Bytes) -> Self {
        Self { block, entries: Vec::with_capacity(24), added: Vec::new() }
    }

    /// Adds a field that stands in the block. Ranges outside the block read as empty.
    #[inline]
    pub(crate) fn push_range(&mut self, name: (usize, usize), value: (usize, usize)) {
        let place = |(start, len): (usize, usize)| Place {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            len: u32::try_from(len).unwrap_or(0),
        };
        self.entries.push(Entry::Block { name: place(name), value: place(value) });
    }

    /// Puts the block under fields that were pushed before it was complete.
    pub(crate) fn lay_under(&mut self, block: Bytes) {
        self.block = block;
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.entries.iter().map(|entry| resolve(&self.block, &self.added, *entry))
    }

    /// All fields in order, each with whether it was received: what a strict parser has accepted
    /// needs no second look on its way out.
    pub(crate) fn iter_by_origin(&self) -> impl Iterator<Item = (Field<'_>, bool)> {
        self.entries.iter().map(|entry| {
            let is_received = matches!(entry, Entry::Block { .. });
            (resolve(&self.block, &self.added, *entry), is_received)
        })
    }

    /// The values of every field with this lower-case name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.iter().filter(move |field| field.name == name.as_bytes()).map(|field| field.value)
    }

    /// The value of the first field with this lower-case name.
    pub fn get<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The value as text, if the field is there and is UTF-8.
    pub fn get_str<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }

    /// The value of a field that may occur once: `Ok(None)` if absent, `Err` if repeated.
    pub fn single<'a>(&'a self, name: &str) -> Result<Option<&'a [u8]>, Repeated> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// True if there is a field with this lower-case name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a field at the end. The caller vouches that name and value are valid (see
    /// [`is_field_name`] and [`is_field_value`]) and the name lower case.
    pub fn append(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        if self.added.capacity() == 0 {
            self.added.reserve(ADDED_USUAL);
        }
        self.entries.push(Entry::Added(u32::try_from(self.added.len()).unwrap_or(u32::MAX)));
        self.added.push((name.into(), value.into()));
    }

    /// Replaces every field of this name with one.
    pub fn set(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let name = name.into();
        self.remove_bytes(&name);
        self.append(name, value);
    }

    /// Removes every field with this lower-case name; tells whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        self.remove_bytes(name.as_bytes())
    }

    fn remove_bytes(&mut self, name: &[u8]) -> bool {
        self.retain(|field| field.name != name)
    }

    /// Keeps the fields for which `keep` says so; tells whether any went.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) -> bool {
        let before = self.entries.len();
        let (block, added) = (&self.block, &self.added);
        self.entries.retain(|entry| keep(resolve(block, added, *entry)));
        self.entries.len() != before
    }

    /// Removes everything and gives the block back to the allocator.
    pub fn clear(&mut self) {
        self.block = Bytes::new();
        self.entries.clear();
        self.added.clear();
    }
}

fn resolve<'a>(block: &'a Bytes, added: &'a [(Bytes, Bytes)], entry: Entry) -> Field<'a> {
    let stretch = |place: Place| {
        let start = place.start as usize;
        block.get(start..start.saturating_add(place.len as usize)).unwrap_or_default()
    };
    match entry {
        Entry::Block { name, value } => Field { name: stretch(name), value: stretch(value) },
        Entry::Added(index) => match added.get(index as usize) {
            Some((name, value)) => Field { name, value },
            None => Field { name: &[], value: &[] },
        },
    }
}

/// A field that may occur once occurred more often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field occurs more than once")]
pub struct Repeated;

impl fmt::Debug for Fields {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|x| String::from_utf8_lossy(x.name))).finish()
    }
}

/// True for a token (RFC 9110 §5.6.2) in lower case: what a field name must be.
///
/// PERF: `benches/codec.rs`, encode response: names are letters and hyphens, with few exceptions.
pub fn is_field_name(name: &[u8]) -> bool {
    let is_allowed = |b: &u8| is_token_byte(*b) && !b.is_ascii_uppercase();
    !name.is_empty() && (is_lower_or_hyphen(name) || name.iter().all(is_allowed))
}

/// True for what RFC 9110 §5.5 allows in a value: visible bytes, space, tab, obs-text, and neither
/// white space at its ends nor anything that could end the line.
pub fn is_field_value(value: &[u8]) -> bool {
    let is_inner = |b: &u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..);
    let is_edge = |b: Option<&u8>| b.is_none_or(|b| !matches!(b, b' ' | b'\t'));
    value.iter().all(is_inner) && is_edge(value.first()) && is_edge(value.last())
}

/// True for a byte of a token (RFC 9110 §5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Fields {
        let mut fields = Fields::over(Bytes::from_static(b"host: a\r\naccept: */*\r\n"));
        fields.push_range((0, 4), (6, 1));
        fields.push_range((9, 6), (17, 3));
        fields
    }

    #[test]
    fn fields_read_from_the_block_and_from_their_own_bytes() {
        let mut fields = sample();
        fields.append(Bytes::from_static(b"x-id"), Bytes::from_static(b"7"));
        assert_eq!(fields.get("host"), Some(&b"a"[..]));
        assert_eq!(fields.get_str("x-id"), Some("7"));
        assert_eq!(fields.len(), 3);
        assert_eq!(fields.get("Host"), None);
    }

    #[test]
    fn a_single_field_is_refused_when_repeated() {
        let mut fields = sample();
        assert_eq!(fields.single("host"), Ok(Some(&b"a"[..])));
        assert_eq!(fields.single("cookie"), Ok(None));
        fields.append("host", "b");
        assert_eq!(fields.single("host"), Err(Repeated));
    }

    #[test]
    fn set_leaves_exactly_one() {
        let mut fields = sample();
        fields.append("accept", "text/html");
        fields.set("accept", "application/json");
        assert_eq!(fields.all("accept").collect::<Vec<_>>(), [b"application/json"]);
        assert!(fields.remove("accept"));
        assert!(!fields.remove("accept"));
    }

    #[test]
    fn fields_that_were_added_keep_their_values_when_others_go() {
        let mut fields = sample();
        for (name, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")] {
            fields.append(name, value);
        }
        assert!(fields.remove("a"));
        let copy = fields.clone();
        fields.set("b", "5");
        fields.clear();
        fields.append("d", "6");
        let list = |fields: &Fields| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let fields = fields.iter().map(|f| format!("{}: {}", text(f.name), text(f.value)));
            fields.collect::<Vec<_>>()
        };
        assert_eq!(list(&copy), ["host: a", "accept: */*", "b: 2", "c: 4"]);
        assert_eq!(list(&fields), ["d: 6"]);
    }

    #[test]
    fn ranges_outside_the_block_read_as_empty() {
        let mut fields = Fields::over(Bytes::from_static(b"abc"));
        fields.push_range((0, 1), (2, 9));
        assert_eq!(fields.get("a"), Some(&b""[..]));
    }

    #[test]
    fn names_and_values_that_could_end_a_line_are_not_valid() {
        assert!(is_field_name(b"x-request-id"));
        assert!(!is_field_name(b"X-Request-Id") && !is_field_name(b"") && !is_field_name(b"a b"));
        assert!(is_field_value(b"a b") && is_field_value(b"") && is_field_value("é".as_bytes()));
        for bad in [&b"a\r\nb"[..], b"a\nb", b"a\0b", b" a", b"a\t", b"\x7f"] {
            assert!(!is_field_value(bad), "{bad:?}");
        }
    }
}
