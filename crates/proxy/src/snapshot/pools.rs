//! Numbers for what upstream connections can be used for.
//!
//! Two nodes share a number, and so idle connections, only where everything that a connection
//! proves is the same: the address, and under TLS what was trusted and shown, and for which name.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_net::Target;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    host: Arc<str>,
    port: u16,
    tls: Option<(usize, ServerName<'static>)>,
}

struct Entry {
    id: u64,
    round: u64,
    /// Keeps the address of the settings from being given to others: as long as this is here, an
    /// equal address means the same settings.
    _config: Option<Weak<ClientConfig>>,
}

#[derive(Default)]
struct Table {
    last: u64,
    round: u64,
    entries: HashMap<Key, Entry, RandomState>,
}

/// The numbers that were given out.
#[derive(Default)]
pub(super) struct Pools(Mutex<Table>);

impl Pools {
    /// Forgets what neither this compilation's predecessor nor the one before used. A number is
    /// never given out twice.
    pub(super) fn begin(&self) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.round = table.round.saturating_add(1);
        let oldest = table.round.saturating_sub(2);
        table.entries.retain(|_, entry| entry.round >= oldest);
    }

    /// The number for connections to `target`.
    pub(super) fn id(&self, target: &Target) -> u64 {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tls = target.tls.as_ref();
        let key = Key {
            host: target.host.clone(),
            port: target.port,
            tls: tls.map(|tls| (Arc::as_ptr(&tls.config).addr(), tls.server_name.clone())),
        };
        let Table { last, round, entries } = &mut *table;
        let entry = entries.entry(key).or_insert_with(|| {
            *last = last.saturating_add(1);
            let config = tls.map(|tls| Arc::downgrade(&tls.config));
            Entry { id: *last, round: *round, _config: config }
        });
        entry.round = *round;
        entry.id
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
        let ids: Vec<u64> = targets.iter().map(|target| pools.id(target)).collect();
        let again: Vec<u64> = targets.iter().map(|target| pools.id(target)).collect();
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
        for _ in 0..64 {
            seen.push(pools.id(&secure(&config(), "a.example")));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 64);
    }

    #[test]
    fn what_is_used_no_more_is_forgotten_and_its_number_stays_spent() {
        let pools = Pools::default();
        let first = pools.id(&plain("h", 80));
        for _ in 0..3 {
            pools.begin();
        }
        assert!(pools.0.lock().unwrap().entries.is_empty());
        assert_ne!(pools.id(&plain("h", 80)), first);
    }

    #[test]
    fn what_is_used_in_every_round_keeps_its_number() {
        let pools = Pools::default();
        let first = pools.id(&plain("h", 80));
        for _ in 0..5 {
            pools.begin();
            assert_eq!(pools.id(&plain("h", 80)), first);
        }
    }
}
