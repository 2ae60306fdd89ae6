//! Servers found by DNS: the addresses of a name, or what its SRV records say.
//!
//! DNS servers are asked over TCP (RFC 7766), where nobody who is not on the way can answer in
//! their place. Answers hold as long as they say, from a second to an hour.

mod exchange;
mod message;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{DnsDiscovery, DnsRecords};
use bartizan_net::{Reach, is_host};
use tokio::time::{Instant, timeout_at};

use crate::fault::Fault;
use crate::follow::Answer;
use crate::found::{FOUND_MAX, Found};
use message::{Asked, Kind, Records, Told};

/// The shortest and the longest time that an answer holds.
const HOLD_MIN: Duration = Duration::from_secs(1);
const HOLD_MAX: Duration = Duration::from_secs(3_600);
/// How long it holds that there is nothing.
const HOLD_NOTHING: Duration = Duration::from_secs(5);
/// Time for all that has to be asked.
const TIME: Duration = Duration::from_secs(20);
/// The most hosts that SRV records may name.
const TARGETS_MAX: usize = 64;

/// The DNS servers of a node.
pub(crate) struct Registry {
    servers: Vec<SocketAddr>,
    order: Vec<DnsRecords>,
    reach: Arc<dyn Reach>,
}

impl Registry {
    pub(crate) fn new(settings: &DnsDiscovery, reach: Arc<dyn Reach>) -> Self {
        Self { servers: settings.addresses.clone(), order: settings.order.clone(), reach }
    }

    /// What is asked for a service, `host` or `host:port`.
    pub(crate) fn session(self: &Arc<Self>, service: &str) -> Result<Session, String> {
        let (host, port) = match service.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (
                    host,
                    Some(port.ok_or_else(|| format!("`{service}` has no port from 1 to 65535"))?),
                )
            }
            None => (service, None),
        };
        let is_address = host.parse::<std::net::IpAddr>().is_ok();
        if is_address || host.starts_with('[') || !is_host(host) {
            return Err(format!("`{host}` is no name that DNS could know"));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        Ok(Session { registry: self.clone(), host: host.into(), port, last: None })
    }
}

/// A name that is asked for.
pub(crate) struct Session {
    registry: Arc<Registry>,
    host: Arc<str>,
    /// The port, where it is not left to SRV records or the scheme.
    port: Option<u16>,
    /// What there was the last time.
    last: Option<Kind>,
}

impl Session {
    pub(crate) async fn next(&mut self) -> Result<Answer, Fault> {
        let deadline = Instant::now() + TIME;
        timeout_at(deadline, self.ask()).await.unwrap_or(Err(Fault::Timeout(TIME)))
    }

    async fn ask(&mut self) -> Result<Answer, Fault> {
        let mut failed = None;
        for kind in self.kinds() {
            match self.servers_by(kind).await {
                Ok(Some(answer)) => {
                    self.last = Some(kind);
                    return Ok(answer);
                }
                Ok(None) => {}
                // What another type says is no answer while the one that counted cannot be had.
                Err(fault) if self.last == Some(kind) => return Err(fault),
                Err(fault) => failed = Some(fault),
            }
        }
        failed.map_or(Ok(Answer { found: Vec::new(), hold: HOLD_NOTHING }), Err)
    }

    /// The types of records, in the order in which they are asked for.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for records in &self.registry.order {
            let kind = match records {
                DnsRecords::Last => self.last,
                DnsRecords::Srv => Some(Kind::Srv),
                DnsRecords::A => Some(Kind::A),
                DnsRecords::Aaaa => Some(Kind::Aaaa),
                DnsRecords::Cname => Some(Kind::Cname),
            };
            kinds.extend(kind.filter(|kind| !kinds.contains(kind)));
        }
        kinds
    }

    async fn servers_by(&self, kind: Kind) -> Result<Option<Answer>, Fault> {
        let told = self.told(&self.host, kind).await?;
        let (found, seconds) = match told.records {
            Records::Addresses(addresses) => {
                let found = addresses.into_iter().map(|ip| self.found(&ip, self.port, 1, 0));
                (found.collect(), told.seconds)
            }
            Records::Hosts(hosts) => self.hosts(hosts, told.seconds).await?,
            Records::Alias(alias) => {
                let (addresses, seconds) = self.addresses(&alias, told.seconds).await?;
                let found = addresses.iter().map(|ip| self.found(ip, self.port, 1, 0));
                (found.collect(), seconds)
            }
            Records::Nothing => return Ok(None),
        };
        let hold = Duration::from_secs(seconds.into()).clamp(HOLD_MIN, HOLD_MAX);
        Ok(Some(Answer { found, hold }))
    }

    /// The servers behind SRV records. Those of one host share its weight.
    async fn hosts(
        &self,
        hosts: Vec<message::Host>,
        mut seconds: u32,
    ) -> Result<(Vec<Found>, u32), Fault> {
        let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut found = Vec::new();
        for host in hosts {
            if !known.contains_key(&host.target) {
                if known.len() >= TARGETS_MAX {
                    let problem = format!("SRV records of more than {TARGETS_MAX} hosts");
                    return Err(Fault::Malformed(problem));
                }
                let (addresses, held) = self.addresses(&host.target, seconds).await?;
                seconds = held;
                known.insert(host.target.clone(), addresses);
            }
            let addresses = known.get(&host.target).map(Vec::as_slice).unwrap_or_default();
            // Before they are copied: few records and few addresses make very many servers.
            let count = found.len() + addresses.len();
            if count > FOUND_MAX {
                return Err(Fault::TooMany(count));
            }
            let sharers = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
            let weight = (u32::from(host.weight) / sharers).max(1);
            let port = self.port.or(Some(host.port).filter(|port| *port > 0));
            let priority = -i32::from(host.priority);
            found.extend(addresses.iter().map(|ip| self.found(ip, port, weight, priority)));
        }
        Ok((found, seconds))
    }

    /// The addresses of another name, and for how long they and what was told before hold.
    async fn addresses(&self, host: &str, mut seconds: u32) -> Result<(Vec<String>, u32), Fault> {
        for kind in [Kind::A, Kind::Aaaa] {
            let told = self.told(host, kind).await?;
            if let Records::Addresses(addresses) = told.records {
                seconds = seconds.min(told.seconds);
                return Ok((addresses, seconds));
            }
        }
        Ok((Vec::new(), seconds))
    }

    fn found(&self, ip: &str, port: Option<u16>, weight: u32, priority: i32) -> Found {
        let name = Some(self.host.clone());
        Found { host: ip.into(), port, weight, priority, name }
    }

    /// What the first server says that says anything.
    async fn told(&self, host: &str, kind: Kind) -> Result<Told, Fault> {
        let asked = Asked::new(host, kind)?;
        let mut failed = None;
        for server in &self.registry.servers {
            match exchange::ask(&*self.registry.reach, *server, &asked).await {
                Ok(told) => return Ok(told),
                Err(fault) => failed = Some(fault),
            }
        }
        Err(failed.unwrap_or_else(|| Fault::Refused("nothing: there is no DNS server".to_owned())))
    }
}
