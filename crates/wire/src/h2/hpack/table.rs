//! The static and the dynamic table (RFC 7541 §2.3 and Appendix A).

use std::collections::VecDeque;

use bytes::Bytes;

/// Size of the dynamic table that we offer: the protocol's default (RFC 9113 §6.5.2).
pub(crate) const TABLE_SIZE: usize = 4_096;
/// What an entry counts beyond its bytes (§4.1).
pub(crate) const OVERHEAD: usize = 32;

/// The fields with fixed indices, from one.
#[rustfmt::skip]
pub(crate) const STATIC: [(&str, &str); 61] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""),
    ("via", ""), ("www-authenticate", ""),
];

/// A field that the peer has had remembered. A name that it has from an index is not copied: two
/// bytes of a block would have 4 KiB copied, over and over.
#[derive(Debug)]
pub(crate) struct Entry {
    name: Bytes,
    value: Box<[u8]>,
}

impl Entry {
    pub(crate) fn new(name: Bytes, value: &[u8]) -> Self {
        Self { name, value: value.into() }
    }

    pub(crate) fn pair(&self) -> (&[u8], &[u8]) {
        (&self.name, &self.value)
    }

    fn size(&self) -> usize {
        self.name.len() + self.value.len() + OVERHEAD
    }
}

/// What the peer has had remembered, the newest first.
#[derive(Debug)]
pub(crate) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    max: usize,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, max: TABLE_SIZE }
    }
}

impl Table {
    /// The field with this index, of either table (§2.3.3).
    pub(crate) fn field(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let place = index.checked_sub(1)?;
        match STATIC.get(place) {
            Some((name, value)) => Some((name.as_bytes(), value.as_bytes())),
            None => self.entries.get(place - STATIC.len()).map(Entry::pair),
        }
    }

    /// The name of the field with this index, to be used in another.
    pub(crate) fn name(&self, index: usize) -> Option<Bytes> {
        let place = index.checked_sub(1)?;
        match STATIC.get(place) {
            Some((name, _)) => Some(Bytes::from_static(name.as_bytes())),
            None => self.entries.get(place - STATIC.len()).map(|entry| entry.name.clone()),
        }
    }

    /// Adds an entry; one that is larger than the table empties it (§4.4).
    pub(crate) fn insert(&mut self, entry: Entry) {
        let size = entry.size();
        self.evict(self.max.saturating_sub(size));
        if size <= self.max {
            self.size += size;
            self.entries.push_front(entry);
        }
    }

    /// The peer makes the table smaller, or larger within what we offer; false where that is more.
    pub(crate) fn resize(&mut self, max: usize) -> bool {
        if max > TABLE_SIZE {
            return false;
        }
        self.max = max;
        self.evict(max);
        true
    }

    fn evict(&mut self, most: usize) {
        while self.size > most {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= entry.size();
        }
    }

    #[cfg(test)]
    pub(crate) fn shown(&self) -> (usize, Vec<(String, String)>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pair = |entry: &Entry| (text(entry.pair().0), text(entry.pair().1));
        (self.size, self.entries.iter().map(pair).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_an_entry_too_large_empties_the_table() {
        let mut table = Table::default();
        assert!(table.resize(100));
        for value in ["one", "two", "six"] {
            table.insert(Entry::new(Bytes::from_static(b"name"), value.as_bytes()));
        }
        assert_eq!(table.shown().0, 78);
        assert_eq!(table.field(62), Some((&b"name"[..], &b"six"[..])));
        assert_eq!(table.field(63), Some((&b"name"[..], &b"two"[..])));
        assert_eq!(table.field(64), None);
        assert_eq!(table.field(0), None);
        table.insert(Entry::new(Bytes::from_static(b"name"), &[b'x'; 65]));
        assert_eq!(table.shown(), (0, Vec::new()));
    }

    #[test]
    fn a_table_never_grows_beyond_what_is_offered() {
        let mut table = Table::default();
        assert!(table.resize(0) && table.resize(TABLE_SIZE) && !table.resize(TABLE_SIZE + 1));
        for n in 0..1_000 {
            table.insert(Entry::new(Bytes::from_static(b"a"), n.to_string().as_bytes()));
            assert!(table.shown().0 <= TABLE_SIZE);
        }
    }
}
