//! How much of a quota one key has spent: arithmetic over a time that never runs back.
//!
//! A window of length `w` is half-open: what was admitted at `t` weighs until just before `t + w`.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::super::table::Entry;
use crate::monotonic::SECOND;

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

impl Quota {
    /// So many in so many seconds, of which there is at least one.
    pub(super) fn of(count: u32, seconds: u32, algorithm: Algorithm) -> Self {
        Self { count, window: u64::from(seconds.max(1)) * SECOND, algorithm }
    }
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) is_admitted: bool,
    /// What is left after this request.
    pub(super) remaining: u32,
    /// Nanoseconds until more fits. Of a refusal: until exactly then what was refused does not (with
    /// the estimate: until the window ends), if it ever does.
    pub(super) wait: u64,
    /// What a refund is asked with.
    pub(super) receipt: u64,
}

/// What was admitted and counts as if it came at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granule {
    at: u64,
    cost: u32,
}

/// What one key has spent.
#[derive(Debug)]
pub(super) struct Usage {
    /// The length of its windows.
    window: u64,
    spent: Spent,
}

#[derive(Clone, Debug)]
enum Spent {
    Fixed { start: u64, used: u32 },
    Sliding { granules: VecDeque<Granule>, used: u32 },
    Weighted { index: u64, current: u32, previous: u32 },
}

impl Usage {
    /// Nothing spent.
    pub(super) fn new(quota: &Quota, now: u64) -> Self {
        let spent = match quota.algorithm {
            Algorithm::Fixed => Spent::Fixed { start: now, used: 0 },
            Algorithm::Sliding => Spent::Sliding { granules: VecDeque::new(), used: 0 },
            Algorithm::Weighted => {
                Spent::Weighted { index: now / quota.window, current: 0, previous: 0 }
            }
        };
        Self { window: quota.window, spent }
    }

    /// Spends so much if it fits; what does not fit is not counted.
    pub(super) fn spend(&mut self, quota: &Quota, cost: u32, now: u64) -> Verdict {
        match &mut self.spent {
            Spent::Fixed { start, used } => spend_fixed(start, used, quota, cost, now),
            Spent::Sliding { granules, used } => spend_sliding(granules, used, quota, cost, now),
            Spent::Weighted { index, current, previous } => {
                spend_weighted(index, current, previous, quota, cost, now)
            }
        }
    }

    /// Takes back what another rule refused.
    pub(super) fn refund(&mut self, receipt: u64, cost: u32) {
        match &mut self.spent {
            Spent::Fixed { start, used } if *start == receipt => *used = used.saturating_sub(cost),
            Spent::Weighted { index, current, .. } if *index == receipt => {
                *current = current.saturating_sub(cost);
            }
            Spent::Sliding { granules, used } => {
                let found = granules.iter().rposition(|granule| granule.at == receipt);
                let Some(position) = found else { return };
                *used = used.saturating_sub(cost);
                if let Some(granule) = granules.get_mut(position) {
                    granule.cost = granule.cost.saturating_sub(cost);
                    if granule.cost == 0 {
                        granules.remove(position);
                    }
                }
            }
            Spent::Fixed { .. } | Spent::Weighted { .. } => {}
        }
    }
}

impl Entry for Usage {
    type Terms = ();

    fn expires(&self, (): &()) -> u64 {
        let window = self.window;
        match &self.spent {
            Spent::Fixed { start, .. } => start.saturating_add(window),
            Spent::Sliding { granules, .. } => {
                granules.back().map_or(0, |last| last.at.saturating_add(window))
            }
            Spent::Weighted { index, .. } => index.saturating_add(2).saturating_mul(window),
        }
    }
}

fn spend_fixed(start: &mut u64, used: &mut u32, quota: &Quota, cost: u32, now: u64) -> Verdict {
    if start.saturating_add(quota.window) <= now {
        (*start, *used) = (now, 0);
    }
    let is_admitted = used.saturating_add(cost) <= quota.count;
    if is_admitted {
        *used = used.saturating_add(cost);
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
    cost: u32,
    now: u64,
) -> Verdict {
    while let Some(first) = granules.front().filter(|g| g.at.saturating_add(quota.window) <= now) {
        *used = used.saturating_sub(first.cost);
        granules.pop_front();
    }
    let surplus = used.saturating_add(cost).saturating_sub(quota.count);
    if surplus > 0 {
        let mut gone = 0_u32;
        let enough = granules.iter().find(|granule| {
            gone = gone.saturating_add(granule.cost);
            gone >= surplus
        });
        let at = enough.map_or(now, |granule| granule.at);
        let wait = at.saturating_add(quota.window).saturating_sub(now);
        let remaining = quota.count.saturating_sub(*used);
        return Verdict { is_admitted: false, remaining, wait, receipt: 0 };
    }
    let grain =
        if quota.count <= EXACT_COUNT_MAX { 1 } else { quota.window.div_ceil(PARTS).max(1) };
    let rounded = (now / grain).saturating_mul(grain).saturating_add(grain.saturating_sub(1));
    let at = granules.back().map_or(rounded, |last| last.at.max(rounded));
    match granules.back_mut() {
        Some(last) if last.at == at => last.cost = last.cost.saturating_add(cost),
        _ => granules.push_back(Granule { at, cost }),
    }
    *used = used.saturating_add(cost);
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
    cost: u32,
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
    let is_admitted = weight(current.saturating_add(cost)) <= capacity;
    if is_admitted {
        *current = current.saturating_add(cost);
    }
    let remaining = capacity.saturating_sub(weight(*current)) / window;
    Verdict {
        is_admitted,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        wait: left,
        receipt: this,
    }
}
