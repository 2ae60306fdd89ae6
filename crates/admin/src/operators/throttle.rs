//! Failed attempts: each costs its address a longer wait.
//!
//! Nobody guesses 256 bits; the delays keep guessing from costing anything else, and make it seen.
//!
//! * What is counted together is an IPv4 address or an IPv6 /64, which is what one subscriber has.
//!   Failures from other addresses never delay anybody.
//! * Where a key was good lately from an address, it has a count of its own there: what others
//!   behind the same address (a proxy, this machine) fail with delays them and not its holder.
//! * Both tables are bounded; when one is full, what was quiet longest is forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::key::KeyId;

/// Failures that cost nothing: somebody mistypes.
const FREE: u32 = 5;
/// The first delay; each further one is twice as long.
const DELAY_MIN: Duration = Duration::from_secs(1);
/// The longest delay.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(60);
/// Failures are forgotten after so long without another.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// A key is known at an address for so long after it was good there.
const FAMILIAR: Duration = Duration::from_secs(24 * 3_600);
/// Counts, and keys that are known at addresses.
const TABLE_MAX: usize = 1_024;

/// Whose failures are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bucket {
    network: IpAddr,
    /// The key, where it is known at that address.
    key: Option<KeyId>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    until: Instant,
}

#[derive(Debug, Default)]
struct Tables {
    failures: HashMap<Bucket, Failures>,
    familiar: HashMap<(IpAddr, KeyId), Instant>,
}

/// The failed attempts of all addresses.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<Tables>);

impl Throttle {
    /// Where an attempt is counted, or how long its address must wait.
    pub(super) fn admit(&self, peer: IpAddr, key: Option<KeyId>) -> Result<Bucket, Duration> {
        let (now, network) = (Instant::now(), network(peer));
        let tables = self.tables();
        let is_familiar = |key: &KeyId| {
            let seen = tables.familiar.get(&(network, *key));
            seen.is_some_and(|seen| now.duration_since(*seen) < FAMILIAR)
        };
        let bucket = Bucket { network, key: key.filter(is_familiar) };
        match tables.failures.get(&bucket) {
            Some(failures) if failures.until > now => Err(failures.until - now),
            _ => Ok(bucket),
        }
    }

    /// An attempt failed.
    pub(super) fn fail(&self, bucket: Bucket) {
        let now = Instant::now();
        let mut tables = self.tables();
        let known = tables.failures.get(&bucket).copied();
        let known = known.filter(|failures| now.duration_since(failures.last) < FORGET);
        let count = known.map_or(0, |failures| failures.count).saturating_add(1);
        let until = now + delay(count);
        make_room(&mut tables.failures, &bucket, |failures| failures.last);
        tables.failures.insert(bucket, Failures { count, last: now, until });
    }

    /// A key was good.
    pub(super) fn succeed(&self, peer: IpAddr, key: KeyId) {
        let (now, network) = (Instant::now(), network(peer));
        let mut tables = self.tables();
        tables.failures.remove(&Bucket { network, key: Some(key) });
        make_room(&mut tables.familiar, &(network, key), |seen| *seen);
        tables.familiar.insert((network, key), now);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
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

/// Forgets what was quiet longest, if a table has no room for another key.
fn make_room<K: Copy + Eq + std::hash::Hash, V>(
    table: &mut HashMap<K, V>,
    key: &K,
    last: impl Fn(&V) -> Instant,
) {
    if table.len() < TABLE_MAX || table.contains_key(key) {
        return;
    }
    let oldest = table.iter().min_by_key(|(_, value)| last(value)).map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        table.remove(&oldest);
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

    fn key(text: &str) -> KeyId {
        KeyId::parse(text).unwrap()
    }

    fn fail(throttle: &Throttle, peer: IpAddr, key: Option<KeyId>) {
        throttle.fail(throttle.admit(peer, key).unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn delays_grow_to_a_minute_and_no_further() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            fail(&throttle, A, None);
        }
        let mut delays = Vec::new();
        for _ in 0..9 {
            fail(&throttle, A, None);
            let delay = throttle.admit(A, None).unwrap_err();
            delays.push(delay.as_secs());
            advance(delay / 2).await;
            assert!(throttle.admit(A, None).is_err());
            advance(delay / 2).await;
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        advance(FORGET).await;
        fail(&throttle, A, None);
        assert!(throttle.admit(A, None).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn others_failures_delay_nobody() {
        let throttle = Throttle::default();
        for _ in 0..=FREE {
            fail(&throttle, A, None);
        }
        assert!(throttle.admit(A, Some(key("00000000"))).is_err());
        assert!(throttle.admit(B, None).is_ok());
        assert!(throttle.admit("::ffff:192.0.2.1".parse().unwrap(), None).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_was_good_here_is_not_delayed_by_strangers_here() {
        let throttle = Throttle::default();
        throttle.succeed(A, key("00000000"));
        for _ in 0..=FREE {
            fail(&throttle, A, None);
        }
        assert!(throttle.admit(A, Some(key("00000000"))).is_ok());
        assert!(throttle.admit(A, Some(key("11111111"))).is_err());
        // Who knows its id and guesses the rest is delayed as well.
        for _ in 0..=FREE {
            fail(&throttle, A, Some(key("00000000")));
        }
        assert!(throttle.admit(A, Some(key("00000000"))).is_err());
        advance(DELAY_MIN).await;
        throttle.succeed(A, key("00000000"));
        fail(&throttle, A, Some(key("00000000")));
        assert!(throttle.admit(A, Some(key("00000000"))).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_ipv6_subscriber_is_one_address() {
        let throttle = Throttle::default();
        for n in 0..=FREE {
            fail(&throttle, format!("2001:db8::{n:x}").parse().unwrap(), None);
        }
        assert!(throttle.admit("2001:db8::ffff".parse().unwrap(), None).is_err());
        assert!(throttle.admit("2001:db8:0:1::1".parse().unwrap(), None).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_tables_are_bounded_and_keep_what_was_seen_last() {
        let throttle = Throttle::default();
        for n in 0..3_000_u32 {
            let peer = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            fail(&throttle, peer, None);
            throttle.succeed(peer, key("00000000"));
            advance(Duration::from_millis(1)).await;
        }
        let tables = throttle.tables();
        assert_eq!((tables.failures.len(), tables.familiar.len()), (TABLE_MAX, TABLE_MAX));
        let last = IpAddr::from((0x0a00_0000_u32 + 2_999).to_be_bytes());
        assert!(tables.failures.contains_key(&Bucket { network: last, key: None }));
    }
}
