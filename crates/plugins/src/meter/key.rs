//! What requests are counted by.

use std::net::IpAddr;

use bartizan_chain::{RequestCx, Template, Var, VarError};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};
use bartizan_wire::QueryFault;
use schemars::JsonSchema;
use serde::Deserialize;

use super::table::{Entry, Key, Table};

/// Keeps values apart from addresses, which stand in for them.
const ADDRESS: u8 = 0;
const VALUE: u8 = 1;

/// How much of an IPv6 address counts. Whoever has one address of a network has all of it.
const NETWORK_BITS: u32 = 64;

/// How the key of a limit is read.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum VarKeyType {
    /// The name of one variable.
    #[default]
    Var,
    /// Text with variables.
    VarCombination,
}

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
    /// A key as configured, read as its type says.
    pub(super) fn of(text: &str, key_type: VarKeyType) -> Result<Self, Invalid> {
        match key_type {
            VarKeyType::Var => Self::var(text),
            VarKeyType::VarCombination => Self::combination(text),
        }
    }

    /// One variable.
    pub(super) fn var(text: &str) -> Result<Self, Invalid> {
        let source = match Var::parse(text).map_err(|error| unusable(&error))? {
            Var::RemoteAddr => Self::Address,
            var => Self::Var(var),
        };
        source.checked()
    }

    /// Text with variables, for which the address stands in where none has a value.
    pub(super) fn combination(text: &str) -> Result<Self, Invalid> {
        Self::Text { template: template(text)?, or_address: true }.checked()
    }

    /// Text with variables of a rule, which does not apply where none has a value.
    pub(super) fn rule(text: &str) -> Result<Self, Invalid> {
        let template = template(text)?;
        if template.as_literal().is_some() {
            return Err(Invalid::new(format!("`{text}` has no variable in it"))
                .with_help("for example `$remote_addr`"));
        }
        Self::Text { template, or_address: false }.checked()
    }

    fn checked(self) -> Result<Self, Invalid> {
        if self.any_var(Var::needs_answer) {
            return Err(Invalid::new("the key is read before there is an answer"));
        }
        Ok(self)
    }

    /// True if it is only known once it is known who calls.
    pub(super) fn needs_identity(&self) -> bool {
        self.any_var(Var::needs_identity)
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
    pub(super) fn read<E: Entry>(
        &self,
        cx: &RequestCx,
        table: &Table<E>,
        whole_addresses: bool,
    ) -> Result<Option<Key>, Denial> {
        let address = || address_key(cx.client(), table, whole_addresses);
        let key = match self {
            Self::Address => address(),
            Self::Constant(text) => table.key(VALUE, text.as_bytes()),
            Self::Var(var) => {
                let value = var.value(cx).map_err(ambiguous)?;
                match value.filter(|value| !value.is_empty()) {
                    Some(value) => table.key(VALUE, value.as_bytes()),
                    None => address(),
                }
            }
            Self::Text { template, or_address } => {
                let mut text = String::new();
                if template.render(cx, &mut text).map_err(ambiguous)? {
                    table.key(VALUE, text.as_bytes())
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

fn template(text: &str) -> Result<Template, Invalid> {
    Template::parse(text).map_err(|error| unusable(&error))
}

fn unusable(error: &VarError) -> Invalid {
    Invalid::new(error.to_string())
}

/// A key that could be read in two ways.
fn ambiguous(fault: QueryFault) -> Denial {
    Denial::new(Reason::AmbiguousParameter, format!("what is counted by: {fault}"))
}

/// True for what the gateway knows by itself or has proved.
pub(super) fn is_given(var: &Var) -> bool {
    matches!(
        var,
        Var::RemoteAddr
            | Var::ServerPort
            | Var::Scheme
            | Var::ConsumerName
            | Var::RemoteUser
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

fn address_key<E: Entry>(address: IpAddr, table: &Table<E>, is_whole: bool) -> Key {
    match address.to_canonical() {
        IpAddr::V4(v4) => table.key(ADDRESS, &v4.octets()),
        IpAddr::V6(v6) if is_whole => table.key(ADDRESS, &v6.octets()),
        IpAddr::V6(v6) => {
            let network = v6.to_bits() >> (u128::BITS - NETWORK_BITS);
            table.key(ADDRESS, &network.to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Entry for Nothing {
        type Terms = ();

        fn expires(&self, (): &()) -> u64 {
            0
        }
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let table = Table::<Nothing>::new(1);
        let key = |text: &str, is_whole| address_key(text.parse().unwrap(), &table, is_whole);
        assert_eq!(key("2001:db8::1", false), key("2001:db8::ffff:1", false));
        assert_ne!(key("2001:db8::1", false), key("2001:db8:0:1::1", false));
        assert_ne!(key("2001:db8::1", true), key("2001:db8::2", true));
        assert_eq!(key("::ffff:192.0.2.1", false), key("192.0.2.1", true));
        assert_ne!(key("192.0.2.1", false), key("192.0.2.2", false));
    }

    proptest::proptest! {
        #[test]
        fn two_addresses_count_as_one_as_their_bits_say(
            base in proptest::sample::select(vec![0_u128, 0xffff << 32, 0x2001_0db8 << 96]),
            low in 0_u128..4,
            flipped in 0_u32..128,
            is_whole: bool,
        ) {
            let table = Table::<Nothing>::new(1);
            let key = |bits: u128| {
                address_key(std::net::Ipv6Addr::from_bits(bits).into(), &table, is_whole)
            };
            let (one, other) = (base | low, (base | low) ^ (1 << flipped));
            let is_v4 = |bits: u128| bits >> 32 == 0xffff;
            let is_one = match (is_v4(one), is_v4(other)) {
                (false, false) => !is_whole && one >> 64 == other >> 64,
                _ => false,
            };
            proptest::prop_assert_eq!(key(one) == key(other), is_one);
            proptest::prop_assert_eq!(key(one), key(one));
        }
    }
}
