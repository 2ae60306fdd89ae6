//! Waits between attempts that fail.

use std::time::Duration;

use aws_lc_rs::rand;

/// The waits after failures: each twice as long as the one before, up to the longest.
#[derive(Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with the wait `least`.
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { least, most, next: least }
    }

    /// The wait after a failure, before which all went well for as long as `well`. What did so for
    /// less than the longest wait has not recovered: it may fail again and again.
    pub fn after(&mut self, well: Duration) -> Duration {
        if well >= self.most {
            self.reset();
        }
        let wait = jittered(self.next);
        self.next = self.next.saturating_mul(2).min(self.most);
        wait
    }

    /// Begins anew.
    pub fn reset(&mut self) {
        self.next = self.least;
    }
}

/// Between half of it and all of it, so that those who lost the same server do not return at once.
pub fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all of it is waited.
    let share = match rand::fill(&mut random) {
        Ok(()) => u32::from(u16::from_be_bytes(random)),
        Err(_) => u32::from(u16::MAX),
    };
    wait / 2 + (wait / 2).saturating_mul(share) / u32::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(300);
    const MOST: Duration = Duration::from_secs(1);

    fn assert_about(wait: Duration, millis: u64) {
        let all = Duration::from_millis(millis);
        assert!((all / 2..=all).contains(&wait), "{wait:?} is not about {all:?}");
    }

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_where_it_went_well_for_so_long() {
        let mut backoff = Backoff::new(LEAST, MOST);
        let short = MOST.saturating_sub(Duration::from_nanos(1));
        for (well, millis) in [
            (Duration::ZERO, 300),
            (Duration::ZERO, 600),
            (short, 1_000),
            (short, 1_000),
            (MOST, 300),
            (short, 600),
        ] {
            assert_about(backoff.after(well), millis);
        }
        backoff.reset();
        assert_about(backoff.after(Duration::ZERO), 300);
    }

    #[test]
    fn jittered_waits_differ_within_bounds() {
        let waits: Vec<Duration> = (0..64).map(|_| jittered(MOST)).collect();
        for wait in &waits {
            assert_about(*wait, 1_000);
        }
        assert!(waits.iter().any(|wait| *wait != waits[0]));
        assert_eq!(jittered(Duration::ZERO), Duration::ZERO);
    }
}
