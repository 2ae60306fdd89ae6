//! What requests are counted by.

use std::net::IpAddr;

use bartizan_chain::{RequestCx, Template, Var};
use bartizan_wire::QueryFault;

use super::counters::{Counters, Key};

/// Keeps values apart from addresses, which stand in for them.
const ADDRESS: u8 = 0;
const VALUE: u8 = 1;

/// How much of an IPv6 address counts. Whoever has one address of a network has all of it.
const NETWORK_BITS: u32 = 64;

/// What requests are counted by.
#[derive(Debug)]
pub(super) enum KeySource {
    /// The client's address.
    Address,
    /// One variable.
    Var(Var),
    /// Text with variables; where `or_address`, the address stands in where none has a value.
    Text { template: Template, or_address: bool },
    /// One counter for all.
    Constant(Box<str>),
}

impl KeySource {
    /// True if it is only known once it is known who calls.
    pub(super) fn needs_identity(&self) -> bool {
        self.any_var(Var::needs_identity)
    }

    /// True if it is only known once an answer is on its way.
    pub(super) fn needs_answer(&self) -> bool {
        self.any_var(Var::needs_answer)
    }

    /// True if every request has such a key and no client can choose another one.
    pub(super) fn is_firm(&self) -> bool {
        match self {
            Self::Address | Self::Constant(_) => true,
            Self::Var(var) => is_given(var),
            Self::Text { template, or_address } => {
                let is_always_there = |var: &Var| matches!(var, Var::RemoteAddr | Var::RouteId);
                template.vars().all(is_given)
                    && (*or_address || template.vars().any(is_always_there))
            }
        }
    }

    fn any_var(&self, is: impl Fn(&Var) -> bool) -> bool {
        match self {
            Self::Var(var) => is(var),
            Self::Text { template, .. } => template.vars().any(is),
            Self::Address | Self::Constant(_) => false,
        }
    }

    /// The key of a request; `None` where the rule does not apply to it.
    pub(super) fn read(
        &self,
        cx: &RequestCx,
        counters: &Counters,
        whole_addresses: bool,
    ) -> Result<Option<Key>, QueryFault> {
        let address = || address_key(cx.client(), counters, whole_addresses);
        let key = match self {
            Self::Address => address(),
            Self::Constant(text) => counters.key(VALUE, text.as_bytes()),
            Self::Var(var) => match var.value(cx)?.filter(|value| !value.is_empty()) {
                Some(value) => counters.key(VALUE, value.as_bytes()),
                None => address(),
            },
            Self::Text { template, or_address } => {
                let mut text = String::new();
                if template.render(cx, &mut text)? {
                    counters.key(VALUE, text.as_bytes())
                } else if *or_address {
                    address()
                } else {
                    return Ok(None);
                }
            }
        };
        Ok(Some(key))
    }
}

/// True for what the gateway knows by itself or has proved.
fn is_given(var: &Var) -> bool {
    matches!(
        var,
        Var::RemoteAddr
            | Var::ServerPort
            | Var::Scheme
            | Var::ConsumerName
            | Var::ConsumerGroupId
            | Var::RouteId
            | Var::RouteName
            | Var::ServiceId
            | Var::ServiceName
            | Var::SslClientSubject
            | Var::SslClientIssuer
            | Var::SslClientSerial
            | Var::SslClientFingerprint
    )
}

fn address_key(address: IpAddr, counters: &Counters, is_whole: bool) -> Key {
    match address.to_canonical() {
        IpAddr::V4(v4) => counters.key(ADDRESS, &v4.octets()),
        IpAddr::V6(v6) if is_whole => counters.key(ADDRESS, &v6.octets()),
        IpAddr::V6(v6) => {
            let network = v6.to_bits() >> (u128::BITS - NETWORK_BITS);
            counters.key(ADDRESS, &network.to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let counters = Counters::new(1);
        let key = |text: &str, is_whole| address_key(text.parse().unwrap(), &counters, is_whole);
        assert_eq!(key("2001:db8::1", false), key("2001:db8::ffff:1", false));
        assert_ne!(key("2001:db8::1", false), key("2001:db8:0:1::1", false));
        assert_ne!(key("2001:db8::1", true), key("2001:db8::2", true));
        assert_eq!(key("::ffff:192.0.2.1", false), key("192.0.2.1", true));
        assert_ne!(key("192.0.2.1", false), key("192.0.2.2", false));
    }
}
