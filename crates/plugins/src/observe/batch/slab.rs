//! The memory of what waits: entries lie one behind the other in chunks that are used again.
//!
//! PERF: `cargo xtask bench plugins` (`http-logger`): memory of its own for each entry, given back
//! by another thread, cost half a microsecond, most of it in the kernel, for pages that were new
//! each time.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::BatchSettings;

/// Bytes of a chunk.
const CHUNK: usize = 64 * 1_024;
/// Bytes of the longest entry that shares a chunk. What does not fit begins the next chunk, so less
/// than this stays empty at the end of each, and the chunks of what waits are at most a third larger
/// than it, but for the first and the last.
const SHARES_MAX: usize = CHUNK / 4;
/// Bytes of chunks that are kept for later use at most.
const SPARE: usize = 2 << 20;

/// Chunks of one size. What is longer than a quarter of one lies by itself.
#[derive(Debug, Default)]
pub(super) struct Slab {
    /// The one that is filled.
    chunk: BytesMut,
    /// Those that were filled, in order; entries in them may still wait.
    used: VecDeque<BytesMut>,
    used_max: usize,
    has_chunk: bool,
}

impl Slab {
    /// Keeps as many chunks as half of what may wait needs, up to 2 MiB.
    pub(super) fn new(settings: &BatchSettings) -> Self {
        Self::keeping((settings.pending_bytes / 2).min(SPARE) / CHUNK)
    }

    /// Nothing is allocated before the first entry.
    fn keeping(used_max: usize) -> Self {
        Self { used_max, ..Self::default() }
    }

    /// A copy of an entry.
    pub(super) fn keep(&mut self, entry: &[u8]) -> Bytes {
        if entry.len() > SHARES_MAX {
            return Bytes::copy_from_slice(entry);
        }
        if self.chunk.capacity() < entry.len() && !self.chunk.try_reclaim(CHUNK) {
            let free = self.free();
            let filled = std::mem::replace(&mut self.chunk, free);
            // What stands for a chunk before the first entry would stay in the way of others.
            if self.has_chunk {
                self.used.push_back(filled);
            }
            self.has_chunk = true;
            if self.used.len() > self.used_max {
                self.used.pop_front();
            }
        }
        self.chunk.extend_from_slice(entry);
        self.chunk.split().freeze()
    }

    /// A chunk in which nothing waits.
    fn free(&mut self) -> BytesMut {
        if let Some(oldest) = self.used.front_mut()
            && oldest.try_reclaim(CHUNK)
            && let Some(oldest) = self.used.pop_front()
        {
            return oldest;
        }
        BytesMut::with_capacity(CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chunk_in_which_nothing_waits_is_used_again() {
        let mut slab = Slab::keeping(2);
        let entry = vec![b'x'; SHARES_MAX];
        let mut places = Vec::new();
        for _ in 0..32 {
            let kept = slab.keep(&entry);
            places.push(kept.as_ptr());
        }
        places.sort_unstable();
        places.dedup();
        assert!(places.len() <= 8, "{places:?}");
        assert!(slab.used.len() <= 2);
    }

    #[test]
    fn no_more_is_kept_than_is_said() {
        let mut slab = Slab::keeping(2);
        let entry = vec![b'x'; SHARES_MAX];
        let waiting: Vec<Bytes> = (0..40).map(|_| slab.keep(&entry)).collect();
        assert_eq!(slab.used.len(), 2);
        assert!(waiting.iter().all(|kept| *kept == entry));
    }

    #[test]
    fn what_is_longer_than_a_quarter_of_a_chunk_lies_by_itself() {
        for (length, shares) in
            [(SHARES_MAX - 1, true), (SHARES_MAX, true), (SHARES_MAX + 1, false), (CHUNK, false)]
        {
            let mut slab = Slab::keeping(2);
            let entry = vec![b'x'; length];
            assert_eq!(slab.keep(&entry), entry);
            assert_eq!(slab.has_chunk, shares, "{length}");
        }
    }

    #[test]
    fn what_waits_takes_at_most_a_third_more_than_its_bytes() {
        for length in [1_000, SHARES_MAX - 1, SHARES_MAX, SHARES_MAX + 1, CHUNK / 2 + 1, CHUNK + 1]
        {
            let mut slab = Slab::keeping(usize::MAX);
            let entry = vec![b'x'; length];
            let waiting: Vec<Bytes> = (0..100).map(|_| slab.keep(&entry)).collect();
            let bytes = waiting.len() * length;
            let chunks = slab.used.len() + usize::from(slab.has_chunk);
            let taken = if chunks == 0 { bytes } else { chunks * CHUNK };
            // The chunk that is filled is not full yet.
            assert!(taken <= bytes * 4 / 3 + CHUNK, "{length}: {taken} for {bytes}");
        }
    }

    #[test]
    fn half_of_what_may_wait_is_kept_in_whole_chunks_up_to_a_bound() {
        let most = SPARE / CHUNK;
        for (pending_bytes, chunks) in [
            (0, 0),
            (2 * CHUNK - 1, 0),
            (2 * CHUNK, 1),
            (2 * CHUNK + 1, 1),
            (2 * SPARE - 1, most - 1),
            (2 * SPARE, most),
            (2 * SPARE + 1, most),
            (usize::MAX, most),
        ] {
            let settings = BatchSettings {
                entries: 1,
                bytes: 1,
                inactive: Duration::ZERO,
                oldest: Duration::ZERO,
                retries: 0,
                retry_delay: Duration::ZERO,
                pending: 1,
                pending_bytes,
            };
            assert_eq!(Slab::new(&settings).used_max, chunks, "{pending_bytes}");
        }
    }

    proptest! {
        #[test]
        fn what_waits_is_never_written_over(
            steps in prop::collection::vec((0_usize..20_000, 0_usize..4), 1..60),
            used_max in 0_usize..4,
        ) {
            let mut slab = Slab::keeping(used_max);
            let mut waiting = VecDeque::new();
            for (number, (length, leave)) in steps.into_iter().enumerate() {
                let entry = vec![u8::try_from(number).unwrap(); length];
                waiting.push_back((slab.keep(&entry), entry));
                waiting.drain(..leave.min(waiting.len()));
                for (kept, entry) in &waiting {
                    prop_assert_eq!(kept, entry);
                }
            }
        }
    }
}
