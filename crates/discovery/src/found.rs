//! A server as a registry names it, and lists of them.

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_net::is_host;

use crate::fault::Fault;
use crate::read::NO_PORT;

/// The most servers of one service. A list with more is refused whole.
pub const FOUND_MAX: usize = 4_096;

/// A server that a registry knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// A name or an address, an IPv6 one without brackets.
    pub host: Arc<str>,
    /// The port; `None` is that of the upstream's scheme.
    pub port: Option<u16>,
    /// The share of the traffic.
    pub weight: u32,
    /// Servers of higher priority are used first.
    pub priority: i32,
    /// The name that its certificate must be for, where that is not `host`.
    pub name: Option<Arc<str>>,
}

/// True for what a server can be reached by.
pub(crate) fn is_reachable(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || (!host.starts_with('[') && is_host(host))
}

/// A list as it is compared and handed on: in one order, each server once. Entries without a host
/// are left out, since one wrong registration must not keep all others from being known.
pub(crate) fn in_order(service: &str, found: Vec<Found>) -> Result<Arc<[Found]>, Fault> {
    if found.len() > FOUND_MAX {
        return Err(Fault::TooMany(found.len()));
    }
    let told = found.len();
    let mut list: Vec<Found> = found
        .into_iter()
        .filter(|one| is_reachable(&one.host) && one.port != Some(NO_PORT))
        .collect();
    if list.len() < told {
        let left_out = told - list.len();
        tracing::warn!(
            service,
            left_out,
            "the registry names servers without a valid host or port"
        );
    }
    list.sort_by(|a, b| {
        let place = |one: &Found| (std::cmp::Reverse(one.priority), one.port);
        place(a).cmp(&place(b)).then_with(|| a.host.cmp(&b.host)).then(b.weight.cmp(&a.weight))
    });
    list.dedup_by(|a, b| a.host == b.host && a.port == b.port && a.priority == b.priority);
    Ok(list.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(host: &str, port: u16, weight: u32, priority: i32) -> Found {
        Found { host: host.into(), port: Some(port), weight, priority, name: None }
    }

    #[test]
    fn a_list_has_one_order_and_each_server_once() {
        let one = vec![found("b", 1, 1, 0), found("a", 1, 2, 0), found("a", 1, 3, 0)];
        let other = vec![found("a", 1, 3, 0), found("b", 1, 1, 0), found("a", 1, 2, 0)];
        let expected = [found("a", 1, 3, 0), found("b", 1, 1, 0)];
        assert_eq!(*in_order("s", one).unwrap(), expected);
        assert_eq!(*in_order("s", other).unwrap(), expected);
    }

    #[test]
    fn what_is_no_host_or_port_is_left_out() {
        let hosts = ["a b", "", "a/b", "[::1]", "a..b", "é"];
        let mut list: Vec<Found> = hosts.iter().map(|host| found(host, 1, 1, 0)).collect();
        list.push(found("a", 0, 1, 0));
        list.push(found("::1", 80, 1, 0));
        list.push(found("10.0.0.1", 80, 1, 0));
        let left: Vec<_> =
            in_order("s", list).unwrap().iter().map(|one| one.host.clone()).collect();
        assert_eq!(left, ["10.0.0.1".into(), Arc::<str>::from("::1")]);
    }

    #[test]
    fn a_list_of_one_too_many_is_refused() {
        let list =
            |count: usize| (0..count).map(|n| found(&format!("h{n}"), 1, 1, 0)).collect::<Vec<_>>();
        assert_eq!(in_order("s", list(FOUND_MAX)).unwrap().len(), FOUND_MAX);
        let error = in_order("s", list(FOUND_MAX + 1)).unwrap_err();
        assert_eq!(error.to_string(), "4097 servers, more than 4096");
    }
}
