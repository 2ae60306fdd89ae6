//! How much of a quota one key has spent: arithmetic over a time that never runs back.
//!
//! A window of length `w` is half-open: what was admitted at `t` weighs until just before `t + w`.

use std::collections::VecDeque;

use super::super::table::Entry;

/// Up to this count every admitted request is remembered by its own time.
pub(super) const EXACT_COUNT_MAX: u32 = 1_000;

/// Above it, times are rounded up to this part of the window.
const PARTS: u64 = 100;

/// How requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// A window begins with the first request after the last one ended.
    Fixed,
    /// No window of the length, wherever it begins, has more than the count.
    Sliding,
    /// Apache APISIX's estimate: this window, and of the one before it the part that still shows.
    Weighted,
}

impl Algorithm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Sliding => "sliding",
            Self::Weighted => "weighted",
        }
    }
}

/// So many requests in so much time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quota {
    pub(super) count: u32,
    /// Nanoseconds, not zero.
    pub(super) window: u64,
    pub(super) algorithm: Algorithm,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) is_admitted: bool,
    /// What is left after this request.
    pub(super) remaining: u32,
    /// Nanoseconds until more fits. Of a refusal: until exactly then nothing does (with the
    /// estimate: until the window ends).
    pub(super) wait: u64,
    /// What a refund is asked with.
    pub(super) receipt: u64,
}

/// Admitted requests that count as if they came at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granule {
    at: u64,
    requests: u32,
}

/// What one key has spent.
#[derive(Debug)]
pub(super) enum Usage {
    Fixed { start: u64, used: u32 },
    Sliding { granules: VecDeque<Granule>, used: u32 },
    Weighted { index: u64, current: u32, previous: u32 },
}

impl Usage {
    /// Nothing spent.
    pub(super) fn new(quota: &Quota, now: u64) -> Self {
        match quota.algorithm {
            Algorithm::Fixed => Self::Fixed { start: now, used: 0 },
            Algorithm::Sliding => Self::Sliding { granules: VecDeque::new(), used: 0 },
            Algorithm::Weighted => {
                Self::Weighted { index: now / quota.window, current: 0, previous: 0 }
            }
        }
    }

    /// Spends one request if it fits; what does not fit is not counted.
    pub(super) fn spend(&mut self, quota: &Quota, now: u64) -> Verdict {
        match self {
            Self::Fixed { start, used } => spend_fixed(start, used, quota, now),
            Self::Sliding { granules, used } => spend_sliding(granules, used, quota, now),
            Self::Weighted { index, current, previous } => {
                spend_weighted(index, current, previous, quota, now)
            }
        }
    }

    /// Takes back what another rule refused.
    pub(super) fn refund(&mut self, receipt: u64) {
        match self {
            Self::Fixed { start, used } if *start == receipt => *used = used.saturating_sub(1),
            Self::Weighted { index, current, .. } if *index == receipt => {
                *current = current.saturating_sub(1);
            }
            Self::Sliding { granules, used } => {
                let found = granules.iter().rposition(|granule| granule.at == receipt);
                let Some(position) = found else { return };
                *used = used.saturating_sub(1);
                if let Some(granule) = granules.get_mut(position) {
                    granule.requests = granule.requests.saturating_sub(1);
                    if granule.requests == 0 {
                        granules.remove(position);
                    }
                }
            }
            Self::Fixed { .. } | Self::Weighted { .. } => {}
        }
    }
}

impl Entry for Usage {
    type Terms = Quota;

    fn expires(&self, quota: &Quota) -> u64 {
        let window = quota.window;
        match self {
            Self::Fixed { start, .. } => start.saturating_add(window),
            Self::Sliding { granules, .. } => {
                granules.back().map_or(0, |last| last.at.saturating_add(window))
            }
            Self::Weighted { index, .. } => index.saturating_add(2).saturating_mul(window),
        }
    }
}

fn spend_fixed(start: &mut u64, used: &mut u32, quota: &Quota, now: u64) -> Verdict {
    if start.saturating_add(quota.window) <= now {
        (*start, *used) = (now, 0);
    }
    let is_admitted = *used < quota.count;
    if is_admitted {
        *used = used.saturating_add(1);
    }
    Verdict {
        is_admitted,
        remaining: quota.count.saturating_sub(*used),
        wait: start.saturating_add(quota.window).saturating_sub(now),
        receipt: *start,
    }
}

/// Times are rounded up, so that a request weighs at least as long as it must: a window admits at
/// most `count`, and where times are coarse refuses up to a hundredth of the window too long.
/// Coarse and exact times can stand beside each other, which is how `count` can change.
fn spend_sliding(
    granules: &mut VecDeque<Granule>,
    used: &mut u32,
    quota: &Quota,
    now: u64,
) -> Verdict {
    while let Some(first) = granules.front().filter(|g| g.at.saturating_add(quota.window) <= now) {
        *used = used.saturating_sub(first.requests);
        granules.pop_front();
    }
    if *used >= quota.count {
        let surplus = used.saturating_sub(quota.count).saturating_add(1);
        let mut gone = 0_u32;
        let enough = granules.iter().find(|granule| {
            gone = gone.saturating_add(granule.requests);
            gone >= surplus
        });
        let at = enough.map_or(now, |granule| granule.at);
        let wait = at.saturating_add(quota.window).saturating_sub(now);
        return Verdict { is_admitted: false, remaining: 0, wait, receipt: 0 };
    }
    let grain =
        if quota.count <= EXACT_COUNT_MAX { 1 } else { quota.window.div_ceil(PARTS).max(1) };
    let rounded = (now / grain).saturating_mul(grain).saturating_add(grain.saturating_sub(1));
    let at = granules.back().map_or(rounded, |last| last.at.max(rounded));
    match granules.back_mut() {
        Some(last) if last.at == at => last.requests = last.requests.saturating_add(1),
        _ => granules.push_back(Granule { at, requests: 1 }),
    }
    *used = used.saturating_add(1);
    let oldest = granules.front().map_or(at, |granule| granule.at);
    Verdict {
        is_admitted: true,
        remaining: quota.count.saturating_sub(*used),
        wait: oldest.saturating_add(quota.window).saturating_sub(now),
        receipt: at,
    }
}

fn spend_weighted(
    index: &mut u64,
    current: &mut u32,
    previous: &mut u32,
    quota: &Quota,
    now: u64,
) -> Verdict {
    let this = now / quota.window;
    if this != *index {
        *previous = if this == index.saturating_add(1) { *current } else { 0 };
        (*index, *current) = (this, 0);
    }
    let left = quota.window - now % quota.window;
    let window = u128::from(quota.window);
    let capacity = u128::from(quota.count) * window;
    let weight =
        |current: u32| u128::from(current) * window + u128::from(*previous) * u128::from(left);
    let is_admitted = weight(current.saturating_add(1)) <= capacity;
    if is_admitted {
        *current = current.saturating_add(1);
    }
    let remaining = capacity.saturating_sub(weight(*current)) / window;
    Verdict {
        is_admitted,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        wait: left,
        receipt: this,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn quota(count: u32, seconds: u64, algorithm: Algorithm) -> Quota {
        Quota { count, window: seconds * SECOND, algorithm }
    }

    /// The times at which requests that came at `arrivals` were admitted.
    fn admitted(quota: &Quota, arrivals: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut arrivals = arrivals.into_iter().peekable();
        let mut usage = Usage::new(quota, arrivals.peek().copied().unwrap_or_default());
        arrivals.filter(|now| usage.spend(quota, *now).is_admitted).collect()
    }

    fn arrivals(gaps: &[u64]) -> Vec<u64> {
        gaps.iter()
            .scan(1_700_000_000 * SECOND, |now, gap| {
                *now += gap;
                Some(*now)
            })
            .collect()
    }

    /// True if no half-open window of the length, wherever it begins, has more than the count.
    fn holds_in_every_window(admitted: &[u64], quota: &Quota) -> bool {
        let count = quota.count as usize;
        admitted.windows(count + 1).all(|w| w[count] - w[0] >= quota.window)
    }

    #[test]
    fn a_fixed_window_begins_with_its_first_request_and_ends_whole() {
        let quota = quota(2, 10, Algorithm::Fixed);
        let at = [3, 12, 12, 13, 13, 22].map(|s| s * SECOND);
        assert_eq!(admitted(&quota, at), [3, 12, 13, 13].map(|s| s * SECOND));
    }

    #[test]
    fn the_estimate_weighs_the_window_before() {
        let quota = quota(10, 10, Algorithm::Weighted);
        let mut usage = Usage::new(&quota, 0);
        for _ in 0..10 {
            assert!(usage.spend(&quota, 5 * SECOND).is_admitted);
        }
        assert!(!usage.spend(&quota, 9 * SECOND).is_admitted);
        // A quarter into the next window, three quarters of ten still weigh.
        let verdict = usage.spend(&quota, 12 * SECOND + SECOND / 2);
        assert_eq!((verdict.is_admitted, verdict.remaining), (true, 1));
        assert!(usage.spend(&quota, 12 * SECOND + SECOND / 2).is_admitted);
        assert!(!usage.spend(&quota, 12 * SECOND + SECOND / 2).is_admitted);
        assert_eq!(usage.spend(&quota, 100 * SECOND).remaining, 9);
    }

    #[test]
    fn remaining_and_wait_count_down() {
        let quota = quota(2, 10, Algorithm::Sliding);
        let mut usage = Usage::new(&quota, 0);
        let seen = [1, 4, 5, 11].map(|s| {
            let v = usage.spend(&quota, s * SECOND);
            (v.is_admitted, v.remaining, v.wait / SECOND)
        });
        assert_eq!(seen, [(true, 1, 10), (true, 0, 7), (false, 0, 6), (true, 0, 3)]);
    }

    #[test]
    fn another_count_keeps_what_was_spent() {
        let (small, large) =
            (quota(5, 10, Algorithm::Sliding), quota(2_000, 10, Algorithm::Sliding));
        let mut usage = Usage::new(&large, 0);
        for _ in 0..2_000 {
            assert!(usage.spend(&large, SECOND).is_admitted);
        }
        assert!(!usage.spend(&small, 2 * SECOND).is_admitted);
        assert!(!usage.spend(&large, 2 * SECOND).is_admitted);
        assert!(usage.spend(&small, 12 * SECOND).is_admitted);
        assert_eq!(usage.spend(&large, 12 * SECOND).remaining, 1_998);
    }

    #[test]
    fn a_refund_makes_room_for_exactly_one() {
        for algorithm in [Algorithm::Fixed, Algorithm::Sliding, Algorithm::Weighted] {
            let quota = quota(3, 10, algorithm);
            let mut usage = Usage::new(&quota, 0);
            let receipts = [1, 2, 2].map(|s| usage.spend(&quota, s * SECOND).receipt);
            usage.refund(receipts[1]);
            assert!(usage.spend(&quota, 3 * SECOND).is_admitted, "{algorithm:?}");
            assert!(!usage.spend(&quota, 3 * SECOND).is_admitted, "{algorithm:?}");
        }
    }

    #[test]
    fn a_coarse_window_remembers_about_a_hundred_times() {
        let quota = quota(1_000_000, 60, Algorithm::Sliding);
        let mut usage = Usage::new(&quota, 0);
        for step in 0..100_000_u64 {
            usage.spend(&quota, step * SECOND / 100);
        }
        let Usage::Sliding { granules, .. } = usage else { panic!("another algorithm") };
        assert!(granules.len() <= 102, "{}", granules.len());
    }

    proptest! {
        #[test]
        fn no_window_ever_has_more_than_the_count(
            count in 1_u32..20,
            seconds in 1_u64..5,
            gaps in prop::collection::vec(0..2 * SECOND, 0..300),
        ) {
            let quota = quota(count, seconds, Algorithm::Sliding);
            prop_assert!(holds_in_every_window(&admitted(&quota, arrivals(&gaps)), &quota));
        }

        #[test]
        fn an_exact_window_refuses_only_what_is_too_much(
            count in 1_u32..20,
            gaps in prop::collection::vec(0..2 * SECOND, 0..300),
        ) {
            let quota = quota(count, 3, Algorithm::Sliding);
            let mut naive: Vec<u64> = Vec::new();
            for now in arrivals(&gaps) {
                let inside = naive.iter().filter(|t| **t + quota.window > now).count();
                if inside < count as usize {
                    naive.push(now);
                }
            }
            prop_assert_eq!(admitted(&quota, arrivals(&gaps)), naive);
        }

        #[test]
        fn no_coarse_window_ever_has_more_than_the_count(
            bursts in prop::collection::vec((0..SECOND / 2, 0_usize..400), 0..30),
        ) {
            let quota = quota(1_001, 1, Algorithm::Sliding);
            let mut now = 1_700_000_000 * SECOND;
            let mut at = Vec::new();
            for (gap, size) in bursts {
                now += gap;
                at.extend(std::iter::repeat_n(now, size));
            }
            prop_assert!(holds_in_every_window(&admitted(&quota, at), &quota));
        }

        #[test]
        fn after_an_idle_window_the_whole_count_fits(
            count in 1_u32..1_500,
            gaps in prop::collection::vec(0..SECOND / 100, 0..300),
        ) {
            let quota = quota(count, 1, Algorithm::Sliding);
            let mut usage = Usage::new(&quota, 0);
            let mut now = SECOND;
            for gap in gaps {
                now += gap;
                usage.spend(&quota, now);
            }
            let slack = if count <= EXACT_COUNT_MAX { 0 } else { quota.window / PARTS };
            now += quota.window + slack;
            prop_assert!((0..count).all(|_| usage.spend(&quota, now).is_admitted));
            prop_assert!(!usage.spend(&quota, now).is_admitted);
        }

        #[test]
        fn the_wait_of_a_refusal_is_exact(
            count in 1_u32..10,
            scale in prop::sample::select(vec![1_u32, 200]),
            fixed: bool,
            gaps in prop::collection::vec(0..SECOND, 1..100),
        ) {
            let algorithm = if fixed { Algorithm::Fixed } else { Algorithm::Sliding };
            let quota = quota(count * scale, 2, algorithm);
            let mut usage = Usage::new(&quota, 0);
            let mut now = 0;
            for at in arrivals(&gaps) {
                now = at;
                usage.spend(&quota, now);
            }
            let mut verdict = usage.spend(&quota, now);
            while verdict.is_admitted {
                verdict = usage.spend(&quota, now);
            }
            prop_assert!(verdict.wait > 0);
            prop_assert!(!usage.spend(&quota, now + verdict.wait - 1).is_admitted);
            prop_assert!(usage.spend(&quota, now + verdict.wait).is_admitted);
        }
    }
}
