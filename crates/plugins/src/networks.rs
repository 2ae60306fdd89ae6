//! Lists of addresses and networks as configuration writes them.

use std::net::IpAddr;

use bartizan_config::Invalid;
use ipnet::IpNet;

/// Addresses and networks. An IPv4-mapped IPv6 address means the IPv4 address it maps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks(Box<[IpNet]>);

impl Networks {
    /// Reads the list under `key`.
    pub(crate) fn read(key: &str, list: &[String]) -> Result<Self, Invalid> {
        let read = |(index, text): (usize, &String)| {
            parse(text).ok_or_else(|| {
                Invalid::at_item(key, index, format!("invalid ip address: `{text}`"))
                    .with_help("an address or a network such as `10.0.0.0/8`")
            })
        };
        list.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// True if the address is in one of them.
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

fn parse(text: &str) -> Option<IpNet> {
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
