//! The laws of windows.

use proptest::prelude::*;

use super::*;

fn quota(count: u32, seconds: u64, algorithm: Algorithm) -> Quota {
    Quota { count, window: seconds * SECOND, algorithm }
}

/// The times at which requests that came at `arrivals` were admitted.
fn admitted(quota: &Quota, arrivals: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut arrivals = arrivals.into_iter().peekable();
    let mut usage = Usage::new(quota, arrivals.peek().copied().unwrap_or_default());
    arrivals.filter(|now| usage.spend(quota, 1, *now).is_admitted).collect()
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
        assert!(usage.spend(&quota, 1, 5 * SECOND).is_admitted);
    }
    assert!(!usage.spend(&quota, 1, 9 * SECOND).is_admitted);
    // A quarter into the next window, three quarters of ten still weigh.
    let verdict = usage.spend(&quota, 1, 12 * SECOND + SECOND / 2);
    assert_eq!((verdict.is_admitted, verdict.remaining), (true, 1));
    assert!(usage.spend(&quota, 1, 12 * SECOND + SECOND / 2).is_admitted);
    assert!(!usage.spend(&quota, 1, 12 * SECOND + SECOND / 2).is_admitted);
    assert_eq!(usage.spend(&quota, 1, 100 * SECOND).remaining, 9);
}

#[test]
fn remaining_and_wait_count_down() {
    let quota = quota(2, 10, Algorithm::Sliding);
    let mut usage = Usage::new(&quota, 0);
    let seen = [1, 4, 5, 11].map(|s| {
        let v = usage.spend(&quota, 1, s * SECOND);
        (v.is_admitted, v.remaining, v.wait / SECOND)
    });
    assert_eq!(seen, [(true, 1, 10), (true, 0, 7), (false, 0, 6), (true, 0, 3)]);
}

#[test]
fn another_count_keeps_what_was_spent() {
    let (small, large) = (quota(5, 10, Algorithm::Sliding), quota(2_000, 10, Algorithm::Sliding));
    let mut usage = Usage::new(&large, 0);
    for _ in 0..2_000 {
        assert!(usage.spend(&large, 1, SECOND).is_admitted);
    }
    assert!(!usage.spend(&small, 1, 2 * SECOND).is_admitted);
    assert!(!usage.spend(&large, 1, 2 * SECOND).is_admitted);
    assert!(usage.spend(&small, 1, 12 * SECOND).is_admitted);
    assert_eq!(usage.spend(&large, 1, 12 * SECOND).remaining, 1_998);
}

#[test]
fn a_refund_makes_room_for_exactly_one() {
    for algorithm in [Algorithm::Fixed, Algorithm::Sliding, Algorithm::Weighted] {
        let quota = quota(3, 10, algorithm);
        let mut usage = Usage::new(&quota, 0);
        let receipts = [1, 2, 2].map(|s| usage.spend(&quota, 1, s * SECOND).receipt);
        usage.refund(receipts[1], 1);
        assert!(usage.spend(&quota, 1, 3 * SECOND).is_admitted, "{algorithm:?}");
        assert!(!usage.spend(&quota, 1, 3 * SECOND).is_admitted, "{algorithm:?}");
    }
}

#[test]
fn a_coarse_window_remembers_about_a_hundred_times() {
    let quota = quota(1_000_000, 60, Algorithm::Sliding);
    let mut usage = Usage::new(&quota, 0);
    for step in 0..100_000_u64 {
        usage.spend(&quota, 1, step * SECOND / 100);
    }
    let Spent::Sliding { granules, .. } = usage.spent else { panic!("another algorithm") };
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
    fn what_costs_more_is_like_so_many_at_once(
        count in 1_u32..20,
        algorithm in prop::sample::select(
            vec![Algorithm::Fixed, Algorithm::Sliding, Algorithm::Weighted]
        ),
        steps in prop::collection::vec((0..2 * SECOND, 1_u32..8), 0..100),
    ) {
        let quota = quota(count, 3, algorithm);
        let mut now = 1_700_000_000 * SECOND;
        let (mut whole, mut ones) = (Usage::new(&quota, now), Usage::new(&quota, now));
        for (gap, cost) in steps {
            now += gap;
            // So many at once are let in together or not at all.
            let receipts: Vec<Verdict> =
                (0..cost).map(|_| ones.spend(&quota, 1, now)).collect();
            let fits = receipts.iter().all(|verdict| verdict.is_admitted);
            for verdict in receipts.iter().filter(|verdict| !fits && verdict.is_admitted) {
                ones.refund(verdict.receipt, 1);
            }
            let verdict = whole.spend(&quota, cost, now);
            prop_assert_eq!(verdict.is_admitted, fits);
            if !fits && cost <= count && algorithm != Algorithm::Weighted {
                // The other one would have to be asked at the same times.
                let mut later = Usage { window: whole.window, spent: whole.spent.clone() };
                prop_assert!(!later.spend(&quota, cost, now + verdict.wait - 1).is_admitted);
                prop_assert!(later.spend(&quota, cost, now + verdict.wait).is_admitted);
            }
        }
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
            usage.spend(&quota, 1, now);
        }
        let slack = if count <= EXACT_COUNT_MAX { 0 } else { quota.window / PARTS };
        now += quota.window + slack;
        prop_assert!((0..count).all(|_| usage.spend(&quota, 1, now).is_admitted));
        prop_assert!(!usage.spend(&quota, 1, now).is_admitted);
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
            usage.spend(&quota, 1, now);
        }
        let mut verdict = usage.spend(&quota, 1, now);
        while verdict.is_admitted {
            verdict = usage.spend(&quota, 1, now);
        }
        prop_assert!(verdict.wait > 0);
        prop_assert!(!usage.spend(&quota, 1, now + verdict.wait - 1).is_admitted);
        prop_assert!(usage.spend(&quota, 1, now + verdict.wait).is_admitted);
    }
}
