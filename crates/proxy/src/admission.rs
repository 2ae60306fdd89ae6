//! How many connections the node and each address may have.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_core::{Limits, Reason};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Descriptors left for logs, upstreams and the status listener.
const DESCRIPTORS_KEPT: u64 = 512;
/// No node holds more connections than this unless its limits say so.
const CONNECTIONS_DEFAULT: u64 = 65_536;
const SHARDS: usize = 16;

/// Counts open connections.
#[derive(Debug)]
pub(crate) struct Admission(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    open: AtomicUsize,
    max: usize,
    max_per_address: u32,
    addresses: [Mutex<HashMap<IpAddr, u32, RandomState>>; SHARDS],
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    counts: Arc<Counts>,
    address: IpAddr,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, descriptors: Option<u64>) -> Self {
        let by_descriptors =
            descriptors.map_or(CONNECTIONS_DEFAULT, |n| n.saturating_sub(DESCRIPTORS_KEPT));
        let max = match limits.connections {
            0 => CONNECTIONS_DEFAULT.min(by_descriptors).max(1),
            configured => u64::from(configured),
        };
        Self(Arc::new(Counts {
            open: AtomicUsize::new(0),
            max: usize::try_from(max).unwrap_or(usize::MAX),
            max_per_address: limits.connections_per_address,
            addresses: Default::default(),
        }))
    }

    /// A place for a connection from this address, or which limit is reached.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, (Reason, &'static str)> {
        let counts = &self.0;
        if counts.open.fetch_add(1, Ordering::Relaxed) >= counts.max {
            counts.open.fetch_sub(1, Ordering::Relaxed);
            return Err((Reason::TooManyConnections, "connections"));
        }
        let address = network(address);
        let mut shard = counts.shard(address);
        let open = shard.entry(address).or_insert(0);
        if *open >= counts.max_per_address {
            drop(shard);
            counts.open.fetch_sub(1, Ordering::Relaxed);
            return Err((Reason::TooManyConnections, "connections_per_address"));
        }
        *open += 1;
        drop(shard);
        Ok(Place { counts: counts.clone(), address })
    }

    /// Connections open now.
    pub(crate) fn open(&self) -> usize {
        self.0.open.load(Ordering::Relaxed)
    }
}

/// One customer has a /64 of IPv6, so that its addresses count as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Counts {
    fn shard(
        &self,
        address: IpAddr,
    ) -> std::sync::MutexGuard<'_, HashMap<IpAddr, u32, RandomState>> {
        let last = match address {
            IpAddr::V4(v4) => usize::from(v4.octets()[3]),
            IpAddr::V6(v6) => usize::from(v6.octets()[7]),
        };
        let [first, ..] = &self.addresses;
        let shard = self.addresses.get(last % SHARDS).unwrap_or(first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        let mut shard = self.counts.shard(self.address);
        if let Some(open) = shard.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                shard.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: u32, per_address: u32) -> Admission {
        let limits =
            Limits { connections, connections_per_address: per_address, ..Limits::default() };
        Admission::new(&limits, None)
    }

    #[test]
    fn the_last_place_is_given_and_no_more() {
        let admission = admission(2, 10);
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let first = admission.admit(ip(1)).unwrap();
        let _second = admission.admit(ip(2)).unwrap();
        assert_eq!(admission.admit(ip(3)).unwrap_err().1, "connections");
        drop(first);
        assert!(admission.admit(ip(3)).is_ok());
    }

    #[test]
    fn addresses_are_counted_apart_and_a_v6_network_as_one() {
        let admission = admission(100, 1);
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let _one = admission.admit(parse("2001:db8::1")).unwrap();
        assert_eq!(admission.admit(parse("2001:db8::2")).unwrap_err().1, "connections_per_address");
        let _other = admission.admit(parse("2001:db8:0:1::1")).unwrap();
        let _mapped = admission.admit(parse("::ffff:192.0.2.1")).unwrap();
        assert!(admission.admit(parse("192.0.2.1")).is_err());
        assert_eq!(admission.open(), 3);
    }
}
