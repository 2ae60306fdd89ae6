//! Failed attempts: each costs its address a longer wait.
//!
//! Nobody guesses 256 bits; the delays keep guessing from costing anything else, and make it seen.
//!
//! * What is counted together is an IPv4 address or an IPv6 /64, which is what one subscriber has.
//!   Failures from other addresses never delay anybody.
//! * A key that is good is never delayed: or whoever fails from the same address (a proxy, this
//!   machine) could lock operators out.
//! * The table is bounded; when it is full, what was quiet longest is forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Failures that cost nothing: somebody mistypes.
const FREE: u32 = 5;
/// The first delay; each further one is twice as long.
const DELAY_MIN: Duration = Duration::from_secs(1);
/// The longest delay.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(60);
/// Failures are forgotten after so long without another.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// Addresses that are counted.
const TABLE_MAX: usize = 1_024;

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    until: Instant,
}

/// The failed attempts of all addresses.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

impl Throttle {
    /// Counts an attempt that failed, or says how long its address must wait until one is looked at.
    pub(super) fn fail(&self, peer: IpAddr) -> Result<(), Duration> {
        let (now, network) = (Instant::now(), network(peer));
        let mut failures = self.failures();
        let known = failures.get(&network).copied();
        if let Some(known) = known.filter(|known| known.until > now) {
            return Err(known.until - now);
        }
        let known = known.filter(|known| now.duration_since(known.last) < FORGET);
        let count = known.map_or(0, |known| known.count).saturating_add(1);
        make_room(&mut failures, network);
        failures.insert(network, Failures { count, last: now, until: now + delay(count) });
        Ok(())
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<IpAddr, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long an address waits after so many failures.
fn delay(count: u32) -> Duration {
    match count.checked_sub(FREE) {
        None | Some(0) => Duration::ZERO,
        Some(over) => DELAY_MIN.saturating_mul(1 << (over - 1).min(16)).min(DELAY_MAX),
    }
}

/// Forgets what was quiet longest, if there is no room for another address.
fn make_room(failures: &mut HashMap<IpAddr, Failures>, network: IpAddr) {
    if failures.len() < TABLE_MAX || failures.contains_key(&network) {
        return;
    }
    let oldest = failures.iter().min_by_key(|(_, known)| known.last).map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        failures.remove(&oldest);
    }
}

/// What is one subscriber.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[tokio::test(start_paused = true)]
    async fn delays_grow_to_a_minute_and_no_further() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            throttle.fail(A).unwrap();
        }
        let mut delays = Vec::new();
        for _ in 0..9 {
            throttle.fail(A).unwrap();
            let delay = throttle.fail(A).unwrap_err();
            delays.push(delay.as_secs());
            advance(delay / 2).await;
            assert!(throttle.fail(A).is_err());
            advance(delay / 2).await;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        advance(FORGET).await;
        throttle.fail(A).unwrap();
        assert_eq!(throttle.fail(A), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn others_failures_delay_nobody() {
        let throttle = Throttle::default();
        for _ in 0..=FREE {
            throttle.fail(A).unwrap();
        }
        assert!(throttle.fail(A).is_err());
        assert!(throttle.fail("::ffff:192.0.2.1".parse().unwrap()).is_err());
        assert_eq!(throttle.fail(B), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_ipv6_subscriber_is_one_address() {
        let throttle = Throttle::default();
        for n in 0..=FREE {
            throttle.fail(format!("2001:db8::{n:x}").parse().unwrap()).unwrap();
        }
        assert!(throttle.fail("2001:db8::ffff".parse().unwrap()).is_err());
        assert_eq!(throttle.fail("2001:db8:0:1::1".parse().unwrap()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_is_bounded_and_keeps_what_was_seen_last() {
        let throttle = Throttle::default();
        let peer = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        for n in 0..3_000 {
            throttle.fail(peer(n)).unwrap();
            advance(Duration::from_millis(1)).await;
        }
        let failures = throttle.failures();
        assert_eq!(failures.len(), TABLE_MAX);
        assert!(failures.contains_key(&peer(2_999)) && !failures.contains_key(&peer(0)));
    }
}
