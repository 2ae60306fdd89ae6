//! RFC 3339 times, of which only the milliseconds are formatted anew within one second.

use bartizan_core::Timestamp;

/// The text of the last second that was written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stamp {
    second: u64,
    /// `2026-11-23T20:52:46.`; empty before the first.
    prefix: String,
}

impl Stamp {
    /// Appends `2026-11-23T20:52:46.123Z`.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let second = time.as_secs();
        if second != self.second || self.prefix.is_empty() {
            self.second = second;
            self.prefix = time.to_rfc3339();
            self.prefix.truncate(self.prefix.len().saturating_sub(4));
        }
        out.extend_from_slice(self.prefix.as_bytes());
        let ms = time.as_millis() % 1_000;
        let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or(0);
        out.extend_from_slice(&[digit(ms / 100), digit(ms / 10), digit(ms), b'Z']);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cached_second_reads_as_one_formatted_anew(times in prop::collection::vec(
            (1_700_000_000_u64..1_700_000_003, 0_u64..1_000_000_000), 1..20,
        )) {
            let mut stamp = Stamp::default();
            for (secs, nanos) in times {
                let time = Timestamp::from_nanos(secs * 1_000_000_000 + nanos);
                let mut out = Vec::new();
                stamp.write(&mut out, time);
                prop_assert_eq!(String::from_utf8(out).unwrap(), time.to_rfc3339());
            }
        }
    }
}
