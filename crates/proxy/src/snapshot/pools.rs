//! Numbers for what upstream connections can be used for.
//!
//! Two nodes share a number, and so idle connections, only where everything that a connection
//! proves is the same: the address, and under TLS what was trusted and shown, and for which name.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_net::Target;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::held::Held;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    host: Arc<str>,
    port: u16,
    tls: Option<(usize, ServerName<'static>)>,
}

/// A number. It stands for the same as long as somebody holds it, and is never given out twice.
#[derive(Debug)]
pub(crate) struct PoolNumber {
    id: u64,
    /// Keeps the address of the settings from being given to others: as long as this is here, an
    /// equal address means the same settings.
    _config: Option<Weak<ClientConfig>>,
}

impl PoolNumber {
    /// The number itself.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

#[derive(Default)]
struct Table {
    last: u64,
    numbers: Held<Key, PoolNumber>,
}

/// The numbers that were given out and are held.
#[derive(Default)]
pub(super) struct Pools(Mutex<Table>);

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pools")
    }
}

impl Pools {
    /// The number for connections to `target`.
    pub(super) fn number(&self, target: &Target) -> Arc<PoolNumber> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tls = target.tls.as_ref();
        let key = Key {
            host: target.host.clone(),
            port: target.port,
            tls: tls.map(|tls| (Arc::as_ptr(&tls.config).addr(), tls.server_name.clone())),
        };
        let Table { last, numbers } = &mut *table;
        if let Some(known) = numbers.get(&key) {
            return known;
        }
        *last = last.saturating_add(1);
        let config = tls.map(|tls| Arc::downgrade(&tls.config));
        let number = Arc::new(PoolNumber { id: *last, _config: config });
        numbers.insert(key, &number);
        number
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::Clock;
    use bartizan_net::TargetTls;
    use bartizan_tls::{UpstreamTlsSettings, client_config};

    use super::*;

    fn plain(host: &str, port: u16) -> Target {
        Target { host: host.into(), port, tls: None }
    }

    fn config() -> Arc<ClientConfig> {
        let settings = UpstreamTlsSettings { danger_verify_off: true, ..Default::default() };
        client_config(&settings, &Clock::System).unwrap()
    }

    fn secure(config: &Arc<ClientConfig>, name: &str) -> Target {
        Target { tls: TargetTls::new(config.clone(), name), ..plain("h", 443) }
    }

    #[test]
    fn only_what_proves_the_same_has_the_same_number() {
        let pools = Pools::default();
        let (one, other) = (config(), config());
        let targets = [
            plain("h", 443),
            plain("h", 80),
            plain("i", 80),
            secure(&one, "a.example"),
            secure(&one, "b.example"),
            secure(&other, "a.example"),
        ];
        let numbers: Vec<_> = targets.iter().map(|target| pools.number(target)).collect();
        let ids: Vec<u64> = numbers.iter().map(|number| number.id()).collect();
        let again: Vec<u64> = targets.iter().map(|target| pools.number(target).id()).collect();
        assert_eq!(ids, again);
        let mut distinct = ids.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), ids.len());
    }

    #[test]
    fn settings_that_are_gone_never_lend_their_number_to_others() {
        let pools = Pools::default();
        let mut seen = Vec::new();
        let mut held = Vec::new();
        for round in 0..64 {
            let number = pools.number(&secure(&config(), "a.example"));
            seen.push(number.id());
            // Half of them outlive their settings.
            held.extend((round % 2 == 0).then_some(number));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 64);
    }

    #[test]
    fn what_is_used_no_more_is_forgotten_and_its_number_stays_spent() {
        let pools = Pools::default();
        let first = pools.number(&plain("h", 80)).id();
        assert_ne!(pools.number(&plain("h", 80)).id(), first);
        for port in 0..10_000 {
            pools.number(&plain("h", port));
        }
        assert!(pools.0.lock().unwrap().numbers.len() <= 64);
    }

    #[test]
    fn what_is_used_on_keeps_its_number_whatever_comes_and_goes() {
        let pools = Pools::default();
        let first = pools.number(&plain("h", 80));
        for port in 81..1_000 {
            pools.number(&plain("h", port));
        }
        assert_eq!(pools.number(&plain("h", 80)).id(), first.id());
    }
}
