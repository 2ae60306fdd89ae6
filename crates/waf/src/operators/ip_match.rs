//! Whether a value is an address of a list: `@ipMatch`, `@ipMatchFromFile`.
//!
//! The list holds addresses and networks, IPv4 and IPv6, with commas between them or one a line. An
//! IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
//!
//! Example: `@ipMatch 192.0.2.0/24,2001:db8::/32` holds for `192.0.2.7`.

use std::net::IpAddr;

use super::{Ask, Captures, OperatorFault, Source};
use crate::text::Expand;

/// A list of networks.
#[derive(Debug)]
pub(crate) struct IpMatch {
    name: &'static str,
    networks: Vec<(IpAddr, u8)>,
}

impl Ask for IpMatch {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let mut networks = Vec::new();
        if name == "ipmatch" {
            for text in source.text()?.split(',') {
                networks.push(network(text.trim())?);
            }
            return Ok(Self { name: "ipMatch", networks });
        }
        for line in source.lines()? {
            networks.push(network(String::from_utf8_lossy(&line).trim())?);
        }
        Ok(Self { name: "ipMatchFromFile", networks })
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        let address = std::str::from_utf8(input).ok().and_then(|text| text.parse().ok());
        let Some(address) = address.map(|address: IpAddr| address.to_canonical()) else {
            return false;
        };
        self.networks.iter().any(|(network, length)| is_in(address, *network, *length))
    }
}

fn network(text: &str) -> Result<(IpAddr, u8), OperatorFault> {
    let fault = || {
        OperatorFault::new(format!("`{text}` is no address or network"))
            .with_help("such as `192.0.2.1` or `2001:db8::/32`")
    };
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().map_err(|_| fault())?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    let length: u8 = length.map_or(Ok(max), |length| length.parse().map_err(|_| fault()))?;
    if length > max {
        return Err(fault());
    }
    // `::ffff:0:0/96` holds the addresses of IPv4.
    Ok(match (address.to_canonical(), length.checked_sub(96)) {
        (IpAddr::V4(short), Some(length)) if address.is_ipv6() => (IpAddr::V4(short), length),
        _ => (address, length),
    })
}

fn is_in(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let shift = |bits: u32| bits.saturating_sub(u32::from(length));
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differs = u32::from(address) ^ u32::from(network);
            differs.checked_shr(shift(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differs = u128::from(address) ^ u128::from(network);
            differs.checked_shr(shift(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks() {
        for (address, net, is) in [
            ("192.0.2.7", "192.0.2.0/24", true),
            ("192.0.3.7", "192.0.2.0/24", false),
            ("192.0.2.7", "0.0.0.0/0", true),
            ("2001:db8::1", "2001:db8::/32", true),
            ("2001:db9::1", "2001:db8::/32", false),
            ("::1", "::/0", true),
            ("192.0.2.7", "::/0", false),
            ("10.0.0.1", "::ffff:10.0.0.0/104", true),
            ("11.0.0.1", "::ffff:10.0.0.0/104", false),
        ] {
            let (network, length) = network(net).ok().unwrap();
            assert_eq!(is_in(address.parse().unwrap(), network, length), is, "{address} {net}");
        }
        assert!(network("192.0.2.0/33").is_err());
    }
}
