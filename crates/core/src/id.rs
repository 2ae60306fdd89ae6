//! Request ids: 128 bits, ordered by time.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Timestamp;

/// An id that is in every denial, log line and event of one request.
///
/// The layout is UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then a number that
/// no two requests of a process share, then bits that differ between processes. It is a name, not
/// a secret: it must not be used where an attacker must not guess it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// An id from its 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id's 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The 36 characters of the id, hyphenated, lower case, without allocation.
    pub fn encode(&self) -> [u8; 36] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = HEX[usize::from(byte >> 4)];
            text[at + 1] = HEX[usize::from(byte & 15)];
            at += 2;
        }
        text
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.encode()).unwrap_or_default())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes request ids; each worker has one, so that none waits for another.
#[derive(Debug)]
pub struct IdSource {
    process: [u8; 4],
    next: AtomicU64,
}

impl IdSource {
    /// A source whose ids differ from those of every other process.
    pub fn new() -> Self {
        let mut seed = [0_u8; 12];
        // A failure leaves zeros: ids of two processes may then collide, which harms only reading.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        let [a, b, c, d, start @ ..] = seed;
        Self { process: [a, b, c, d], next: AtomicU64::new(u64::from_le_bytes(start) >> 32) }
    }

    /// A source for one of the process's workers: its ids differ from those of every other.
    pub fn of_worker(number: u16) -> Self {
        static PROCESS: LazyLock<[u8; 4]> = LazyLock::new(|| IdSource::new().process);
        let [a, b, c, d] = *PROCESS;
        let [high, low] = number.to_be_bytes();
        Self { process: [a, b ^ high, c ^ low, d], ..Self::new() }
    }

    /// The next id.
    pub fn next(&self, now: Timestamp) -> RequestId {
        let ms = now.as_millis().to_be_bytes();
        let n = self.next.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let p = self.process;
        RequestId([
            ms[2],
            ms[3],
            ms[4],
            ms[5],
            ms[6],
            ms[7],
            0x70 | (n[2] & 0x0f),
            n[3],
            0x80 | (n[2] >> 4),
            n[4],
            n[5],
            n[6],
            n[7],
            p[0],
            p[1],
            p[2],
        ])
    }
}

impl Default for IdSource {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_of_a_process_make_ids_apart() {
        let of = |number| IdSource::of_worker(number).process;
        assert_eq!(of(7), of(7));
        let mut apart: Vec<_> = (0..1_000).map(of).map(|[a, b, c, _]| [a, b, c]).collect();
        apart.sort_unstable();
        apart.dedup();
        assert_eq!(apart.len(), 1_000);
    }

    #[test]
    fn ids_are_unique_and_ordered_by_time() {
        let source = IdSource::new();
        let early = source.next(Timestamp::from_secs(1_000));
        let same = source.next(Timestamp::from_secs(1_000));
        let late = source.next(Timestamp::from_secs(1_001));
        assert_ne!(early, same);
        assert!(early.as_bytes()[..6] < late.as_bytes()[..6]);
    }

    #[test]
    fn text_is_a_version_7_uuid() {
        let text = IdSource::new().next(Timestamp::from_secs(1_700_000_000)).to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "7");
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"));
    }
}
