//! Addresses that the gateway must not be made to reach.
//!
//! Whoever can write an upstream, or the zone that an upstream's name is in, can point the gateway
//! anywhere. Link-local addresses are where clouds keep the credentials of the machine; our own
//! listeners would make requests run in circles, past the checks of the outer one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Metadata services that clouds offer at addresses that are not link-local.
const METADATA: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

/// Which addresses may be connected to.
#[derive(Clone, Debug, Default)]
pub struct EgressPolicy {
    /// Our own listeners, all of them; an unspecified address stands for every address of this
    /// machine. Empty where the node allows connections to itself.
    pub own: Vec<SocketAddr>,
    /// Link-local addresses and metadata services may be reached.
    pub danger_allow_link_local: bool,
}

/// Why an address may not be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressDenial {
    /// 169.254.0.0/16 or `fe80::/10`, also inside another form.
    #[error("is link-local, which needs `danger_allow_link_local`")]
    LinkLocal,
    /// A cloud's metadata service.
    #[error("is a cloud's metadata service, which needs `danger_allow_link_local`")]
    Metadata,
    /// 0.0.0.0/8 or `::`.
    #[error("is unspecified")]
    Unspecified,
    /// A group of hosts.
    #[error("is multicast or broadcast")]
    Multicast,
    /// A listener of this gateway.
    #[error("is a listener of this gateway")]
    OwnListener,
}

impl EgressPolicy {
    /// Judges the very address that is about to be connected to.
    pub fn check(&self, to: SocketAddr) -> Result<(), EgressDenial> {
        self.judge(to, is_of_this_machine)
    }

    /// Judges an address that datagrams are about to be sent to: our own listeners take none.
    pub fn check_datagram(&self, ip: IpAddr) -> Result<(), EgressDenial> {
        self.check_kind(ip)?;
        embedded(ip).map_or(Ok(()), |inner| self.check_kind(IpAddr::V4(inner)))
    }

    fn judge(&self, to: SocketAddr, is_local: impl Fn(IpAddr) -> bool) -> Result<(), EgressDenial> {
        let outer = to.ip();
        self.check_kind(outer)?;
        let inner = embedded(outer);
        if let Some(inner) = inner {
            self.check_kind(IpAddr::V4(inner))?;
        }
        let ip = outer.to_canonical();
        let is_own = |own: &SocketAddr| {
            let own_ip = own.ip().to_canonical();
            own.port() == to.port() && (own_ip == ip || (own_ip.is_unspecified() && is_local(ip)))
        };
        if self.own.iter().any(is_own) {
            return Err(EgressDenial::OwnListener);
        }
        Ok(())
    }

    fn check_kind(&self, ip: IpAddr) -> Result<(), EgressDenial> {
        let (is_nobody, is_link_local) = match ip {
            IpAddr::V4(v4) => (v4.octets().first() == Some(&0), v4.is_link_local()),
            IpAddr::V6(v6) => (v6.is_unspecified(), v6.is_unicast_link_local()),
        };
        if is_nobody {
            return Err(EgressDenial::Unspecified);
        }
        if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(EgressDenial::Multicast);
        }
        if self.danger_allow_link_local {
            return Ok(());
        }
        if is_link_local {
            return Err(EgressDenial::LinkLocal);
        }
        if METADATA.contains(&ip) {
            return Err(EgressDenial::Metadata);
        }
        Ok(())
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped or compatible (RFC 4291 §2.5.5), through
/// NAT64 (RFC 6052 §2.1), through 6to4 (RFC 3056 §2).
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(v6) = ip else { return None };
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// True where the address is one of this machine's. Whoever may bind it owns it; the question
/// costs two system calls and is asked only where the port is one of ours.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// True where what is sent to this host stays on the machine (RFC 6761 §6.3).
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use EgressDenial::{LinkLocal, Metadata, Multicast, OwnListener, Unspecified};

    use super::*;

    fn verdict(policy: &EgressPolicy, to: &str) -> Result<(), EgressDenial> {
        let this_machine: IpAddr = "192.0.2.1".parse().unwrap();
        policy.judge(to.parse().unwrap(), |ip| ip.is_loopback() || ip == this_machine)
    }

    #[test]
    fn addresses_are_refused_in_every_form_they_can_be_written_in() {
        let policy = EgressPolicy::default();
        for (to, expected) in [
            ("93.184.216.34:443", Ok(())),
            ("10.0.0.1:80", Ok(())),
            ("127.0.0.1:80", Ok(())),
            ("[::1]:80", Ok(())),
            ("[2001:db8::1]:80", Ok(())),
            ("[::ffff:10.0.0.1]:80", Ok(())),
            ("169.254.169.254:80", Err(LinkLocal)),
            ("[::ffff:169.254.169.254]:80", Err(LinkLocal)),
            ("[::169.254.169.254]:80", Err(LinkLocal)),
            ("[64:ff9b::169.254.169.254]:80", Err(LinkLocal)),
            ("[2002:a9fe:a9fe::1]:80", Err(LinkLocal)),
            ("[fe80::1]:80", Err(LinkLocal)),
            ("[febf::1]:80", Err(LinkLocal)),
            ("[fd00:ec2::254]:80", Err(Metadata)),
            ("[fd20:ce::254]:80", Err(Metadata)),
            ("100.100.100.200:80", Err(Metadata)),
            ("0.0.0.0:80", Err(Unspecified)),
            ("0.1.2.3:80", Err(Unspecified)),
            ("[::]:80", Err(Unspecified)),
            ("[::ffff:0.0.0.0]:80", Err(Unspecified)),
            ("224.0.0.1:80", Err(Multicast)),
            ("[ff02::1]:80", Err(Multicast)),
            ("255.255.255.255:80", Err(Multicast)),
        ] {
            assert_eq!(verdict(&policy, to), expected, "{to}");
        }
    }

    #[test]
    fn danger_opens_link_local_addresses_and_nothing_else() {
        let policy = EgressPolicy { danger_allow_link_local: true, ..EgressPolicy::default() };
        for (to, expected) in [
            ("169.254.169.254:80", Ok(())),
            ("[fe80::1]:80", Ok(())),
            ("[fd00:ec2::254]:80", Ok(())),
            ("0.0.0.0:80", Err(Unspecified)),
            ("224.0.0.1:80", Err(Multicast)),
        ] {
            assert_eq!(verdict(&policy, to), expected, "{to}");
        }
    }

    #[test]
    fn our_own_listeners_are_refused_on_every_address_they_listen_on() {
        let own = ["0.0.0.0:9080", "[::]:9443", "192.0.2.1:9180"];
        let own = own.iter().map(|own| own.parse().unwrap()).collect();
        let policy = EgressPolicy { own, danger_allow_link_local: false };
        for (to, expected) in [
            ("127.0.0.1:9080", Err(OwnListener)),
            ("127.9.9.9:9080", Err(OwnListener)),
            ("[::1]:9080", Err(OwnListener)),
            ("192.0.2.1:9080", Err(OwnListener)),
            ("[::ffff:127.0.0.1]:9080", Err(OwnListener)),
            ("192.0.2.1:9443", Err(OwnListener)),
            ("192.0.2.1:9180", Err(OwnListener)),
            ("[::ffff:192.0.2.1]:9180", Err(OwnListener)),
            ("127.0.0.1:9180", Ok(())),
            ("192.0.2.2:9080", Ok(())),
            ("127.0.0.1:9081", Ok(())),
        ] {
            assert_eq!(verdict(&policy, to), expected, "{to}");
        }
    }

    #[test]
    fn only_addresses_that_can_be_bound_are_of_this_machine() {
        assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.77".parse().unwrap()));
    }

    #[test]
    fn what_stays_on_the_machine_is_known_by_address_or_reserved_name() {
        for (host, expected) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("[::1]", true),
            ("::ffff:127.0.0.1", true),
            ("localhost", true),
            ("LOCALHOST.", true),
            ("a.localhost", true),
            ("10.0.0.1", false),
            ("0.0.0.0", false),
            ("localhost.example", false),
            ("notlocalhost", false),
        ] {
            assert_eq!(is_loopback(host), expected, "{host}");
        }
    }

    /// The ways in which an IPv4 address can be written as an IPv6 one that leads to it.
    fn disguised(v4: Ipv4Addr, form: usize) -> IpAddr {
        let low = u128::from(v4.to_bits());
        let bits = match form {
            0 => return IpAddr::V4(v4),
            1 => low | (0xffff << 32),
            2 => low,
            3 => low | (0x0064_ff9b << 96),
            _ => (0x2002 << 112) | (low << 80) | 1,
        };
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }

    proptest::proptest! {
        #[test]
        fn an_address_is_judged_the_same_in_every_disguise(
            first in proptest::sample::select(vec![0_u8, 1, 10, 100, 127, 168, 169, 170, 223, 224, 239, 255]),
            second in proptest::sample::select(vec![0_u8, 100, 253, 254, 255]),
            third in proptest::sample::select(vec![100_u8, 169, 255]),
            last in proptest::sample::select(vec![200_u8, 254, 255]),
            form in 0_usize..5,
            is_lax: bool,
        ) {
            let naive = match (first, second, third, last) {
                (0, ..) => Err(Unspecified),
                (224..=239, ..) | (255, 255, 255, 255) => Err(Multicast),
                (169, 254, ..) if !is_lax => Err(LinkLocal),
                (100, 100, 100, 200) if !is_lax => Err(Metadata),
                _ => Ok(()),
            };
            let ip = disguised(Ipv4Addr::new(first, second, third, last), form);
            let policy = EgressPolicy { own: Vec::new(), danger_allow_link_local: is_lax };
            proptest::prop_assert_eq!(policy.judge(SocketAddr::new(ip, 80), |_| false), naive);
            proptest::prop_assert_eq!(policy.check_datagram(ip), naive);
        }
    }
}
