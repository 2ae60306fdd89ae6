//! Lists of addresses and networks as configuration writes them.

use std::cmp::Reverse;
use std::net::IpAddr;

use bartizan_config::Invalid;
use ipnet::IpNet;

/// Addresses and networks. An IPv4-mapped IPv6 address means the IPv4 address it maps.
///
/// PERF: `cargo xtask bench`, secured: a search among ranges, as lists may be long.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// First and last addresses, in ascending order, none inside another.
type Ranges<T> = Box<[(T, T)]>;

impl Networks {
    /// Reads the list under `key`.
    pub(crate) fn read(key: &str, list: &[String]) -> Result<Self, Invalid> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (index, text) in list.iter().enumerate() {
            match parse(text) {
                Some(IpNet::V4(net)) => v4.push((net.network().into(), net.broadcast().into())),
                Some(IpNet::V6(net)) => v6.push((net.network().into(), net.broadcast().into())),
                None => {
                    let problem = format!("invalid ip address: `{text}`");
                    return Err(Invalid::at_item(key, index, problem)
                        .with_help("an address or a network such as `10.0.0.0/8`"));
                }
            }
        }
        Ok(Self { v4: apart(v4), v6: apart(v6) })
    }

    /// True if the address is in one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => is_within(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => is_within(&self.v6, v6.to_bits()),
        }
    }
}

/// Networks stand inside each other or apart: without the inner ones, all do.
fn apart<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Ranges<T> {
    ranges.sort_unstable_by_key(|(first, last)| (*first, Reverse(*last)));
    ranges.dedup_by(|inner, outer| inner.1 <= outer.1);
    ranges.into()
}

/// Only the last range that begins at an address or before it may hold it.
fn is_within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let begun = ranges.partition_point(|(first, _)| *first <= address);
    let last = begun.checked_sub(1).and_then(|at| ranges.get(at));
    last.is_some_and(|(_, last)| address <= *last)
}

fn parse(text: &str) -> Option<IpNet> {
    // An IPv4-mapped network is the IPv4 network, or a list of what is refused could be written
    // past.
    let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    match net.addr().to_canonical() {
        IpAddr::V4(v4) if net.addr().is_ipv6() => {
            IpNet::new(IpAddr::V4(v4), net.prefix_len().checked_sub(96)?).ok()
        }
        _ => Some(net),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Result<Networks, Invalid> {
        let list: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
        Networks::read("trusted_addresses", &list)
    }

    #[test]
    fn addresses_and_networks_contain_what_they_say() {
        let nets =
            networks(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120"]);
        let nets = nets.unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("198.51.100.9", true),
            ("::ffff:10.0.0.1", true),
        ] {
            assert_eq!(nets.contain(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn what_is_no_network_is_named_by_its_place() {
        for text in ["10.0.0.0/33", "10.0.0", "example.com", "", "::ffff:10.0.0.0/8"] {
            let fault = networks(&["10.0.0.1", text]).unwrap_err();
            assert_eq!(fault.problem, format!("invalid ip address: `{text}`"));
            assert_eq!(fault.path.len(), 2);
        }
    }

    #[test]
    fn networks_inside_others_and_beside_them_hold_what_they_say() {
        let nets = networks(&[
            "10.1.2.0/24",
            "10.0.0.0/8",
            "10.0.0.0/16",
            "10.255.255.255",
            "11.0.0.0",
            "9.0.0.0/8",
            "0.0.0.0",
            "255.255.255.255",
            "2001:db8:1::/48",
            "2001:db8::/32",
            "::/128",
            "ffff::/16",
        ]);
        let nets = nets.unwrap();
        for (address, expected) in [
            ("10.1.3.1", true),
            ("10.1.2.1", true),
            ("10.255.255.255", true),
            ("11.0.0.0", true),
            ("11.0.0.1", false),
            ("9.0.0.0", true),
            ("8.255.255.255", false),
            ("0.0.0.0", true),
            ("0.0.0.1", false),
            ("255.255.255.255", true),
            ("255.255.255.254", false),
            ("2001:db8:2::", true),
            ("2001:db8:1::", true),
            ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", false),
            ("::", true),
            ("::1", false),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true),
        ] {
            assert_eq!(nets.contain(address.parse().unwrap()), expected, "{address}");
        }
        assert_eq!((nets.v4.len(), nets.v6.len()), (5, 3));
        assert!(!networks(&[]).unwrap().contain("10.0.0.1".parse().unwrap()));
    }

    /// An address as 128 bits, an IPv4 address where it is mapped into IPv6, and which it is.
    fn bits(address: IpAddr) -> (u128, bool) {
        match address.to_canonical() {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        }
    }

    proptest::proptest! {
        #[test]
        fn they_agree_with_comparing_bits(
            list in proptest::collection::vec((proptest::bool::ANY, 0_u32..4, 0_u8..=32), 0..4),
            base in 0_u32..4,
            flipped in 0_u32..32,
            form in 0_u8..4,
        ) {
            // Addresses differ from a network in one bit at most: those are the near misses.
            let v4 = |base: u32| std::net::Ipv4Addr::from(0x0a00_0000 | base << 14);
            let address = std::net::Ipv4Addr::from(u32::from(v4(base)) ^ 1 << flipped);
            let asked: IpAddr = match form {
                0 => address.to_ipv6_mapped().into(),
                1 => address.to_ipv6_compatible().into(),
                _ => address.into(),
            };
            let written: Vec<String> = list
                .iter()
                .map(|(is_mapped, base, length)| match (is_mapped, length) {
                    (true, _) => format!("::ffff:{}/{}", v4(*base), 96 + length),
                    (false, 32) => v4(*base).to_string(),
                    (false, _) => format!("{}/{length}", v4(*base)),
                })
                .collect();
            let (asked_bits, is_v4) = bits(asked);
            let naive = list.iter().any(|(_, base, length)| {
                let differs = (bits(v4(*base).into()).0 ^ asked_bits).leading_zeros();
                is_v4 && differs >= 96 + u32::from(*length)
            });
            let networks = Networks::read("list", &written).unwrap();
            proptest::prop_assert_eq!(networks.contain(asked), naive, "{:?} {}", written, asked);
        }
    }
}
