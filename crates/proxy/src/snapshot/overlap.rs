//! Routes that requests fall through to although a longer or narrower one has their path.
//!
//! Where a request does not meet a route's methods, addresses or variables, the next shorter match
//! is tried, as in Apache APISIX. If that proves less, the condition works as a way around the
//! protection, which is seldom meant.

use std::collections::HashMap;

use bartizan_chain::Proofs;
use bartizan_config::Route;

use super::fault::Warning;
use super::report::RouteReport;

/// Most routes that one warning names.
const NAMED_MAX: usize = 3;

/// What an enabled route covers, and what it proves.
pub(super) struct Cover<'a> {
    route: &'a Route,
    hosts: Vec<HostPattern<'a>>,
    proofs: Proofs,
    is_public: bool,
    only_answers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum HostPattern<'a> {
    Exact(&'a str),
    /// Hosts that end so.
    Suffix(&'a str),
    Any,
}

impl<'a> Cover<'a> {
    pub(super) fn new(route: &'a Route, hosts: &'a [String], report: &RouteReport) -> Self {
        let mut patterns: Vec<_> = hosts.iter().map(|host| HostPattern::read(host)).collect();
        if patterns.is_empty() {
            patterns.push(HostPattern::Any);
        }
        Self {
            route,
            hosts: patterns,
            proofs: report.proofs,
            is_public: report.is_public,
            only_answers: report.only_answers,
        }
    }

    /// True if a request for a path of this route may fail its conditions and meet `other`'s.
    fn may_leave_to(&self, other: &Self) -> bool {
        let (own, others) = (&self.route.methods, &other.route.methods);
        let is_other_method = !own.is_empty()
            && (others.is_empty() || others.iter().any(|method| !own.contains(method)));
        is_other_method || !self.route.remote_addrs.is_empty() || self.route.vars.is_some()
    }

    fn has_conditions(&self) -> bool {
        let route = self.route;
        !route.methods.is_empty() || !route.remote_addrs.is_empty() || route.vars.is_some()
    }

    /// What `other` lacks of what this one proves.
    fn lost_in(&self, other: &Self) -> Vec<&'static str> {
        if self.only_answers || other.only_answers {
            return Vec::new();
        }
        let (own, others) = (&self.proofs, &other.proofs);
        [
            (!self.is_public && other.is_public, "authentication"),
            (own.grant && !others.grant, "authorization"),
            (own.limit && !others.limit, "a limit"),
            (own.schema && !others.schema, "a schema"),
            (own.waf && !others.waf, "inspection"),
        ]
        .into_iter()
        .filter_map(|(is_lost, name)| is_lost.then_some(name))
        .collect()
    }
}

impl<'a> HostPattern<'a> {
    fn read(host: &'a str) -> Self {
        match host.strip_prefix('*') {
            Some("") => Self::Any,
            Some(suffix) => Self::Suffix(suffix),
            None => Self::Exact(host),
        }
    }

    /// True if every host of `other` is one of these.
    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Exact(one), Self::Exact(other)) => {
                one == other || one == bare(other)
            }
            (Self::Suffix(suffix), Self::Exact(host)) => bare(host).ends_with(suffix),
            (Self::Suffix(suffix), Self::Suffix(other)) => other.ends_with(suffix),
            _ => false,
        }
    }
}

/// A host without its port.
fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Routes by path pattern: the text, and whether what goes on matches too.
type ByPath<'a> = HashMap<(&'a str, bool), Vec<usize>>;

/// One warning for each route that requests fall through to and lose protection.
pub(super) fn warnings(covers: &[Cover<'_>]) -> Vec<Warning> {
    let mut by_path: ByPath<'_> = HashMap::new();
    for (index, cover) in covers.iter().enumerate() {
        for uri in &cover.route.uris {
            by_path.entry(split(uri)).or_default().push(index);
        }
    }
    let mut lengths: Vec<usize> = by_path.keys().map(|(text, _)| text.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();

    // By the route fallen through to: who falls, and what is lost.
    let mut falls: HashMap<usize, Vec<(usize, Vec<&'static str>)>> = HashMap::new();
    for (index, cover) in covers.iter().enumerate() {
        if !cover.has_conditions() {
            continue;
        }
        let mut seen = Vec::new();
        for uri in &cover.route.uris {
            for at in wider(uri, &by_path, &lengths) {
                if at != index && !seen.contains(&at) && falls_to(covers, index, uri, at) {
                    seen.push(at);
                    let Some(other) = covers.get(at) else { continue };
                    let lost = cover.lost_in(other);
                    if !lost.is_empty() {
                        falls.entry(at).or_default().push((index, lost));
                    }
                }
            }
        }
    }
    let mut falls: Vec<_> = falls.into_iter().collect();
    falls.sort_unstable_by_key(|(at, _)| *at);
    falls.iter().filter_map(|(at, from)| warning(covers, *at, from)).collect()
}

fn split(uri: &str) -> (&str, bool) {
    uri.strip_suffix('*').map_or((uri, false), |text| (text, true))
}

/// The routes with a pattern that matches everything that `uri` does.
fn wider<'a>(uri: &'a str, by_path: &'a ByPath<'a>, lengths: &'a [usize]) -> Vec<usize> {
    let (text, is_prefix) = split(uri);
    let prefixes = lengths
        .iter()
        .take_while(|length| **length <= text.len())
        .filter_map(|length| by_path.get(&(text.get(..*length)?, true)));
    let same = (!is_prefix).then(|| by_path.get(&(text, false))).flatten();
    prefixes.chain(same).flatten().copied().collect()
}

/// True if requests that do not fit the route `index` go on to the route `at`.
fn falls_to(covers: &[Cover<'_>], index: usize, uri: &str, at: usize) -> bool {
    let (Some(one), Some(other)) = (covers.get(index), covers.get(at)) else { return false };
    let is_tried_later = |host: &HostPattern<'_>| {
        other.hosts.iter().any(|wider| {
            let is_same_place = wider == host && other.route.uris.iter().any(|path| path == uri);
            let comes_first = (other.route.priority, std::cmp::Reverse(at))
                > (one.route.priority, std::cmp::Reverse(index));
            wider.covers(*host) && !(is_same_place && comes_first)
        })
    };
    one.may_leave_to(other) && one.hosts.iter().any(is_tried_later)
}

fn warning(
    covers: &[Cover<'_>],
    at: usize,
    from: &[(usize, Vec<&'static str>)],
) -> Option<Warning> {
    let id = &covers.get(at)?.route.id;
    let subject = format!("route `{id}`");
    let names: Vec<String> = from
        .iter()
        .filter_map(|(index, _)| Some(format!("`{}`", covers.get(*index)?.route.id)))
        .take(NAMED_MAX)
        .collect();
    let more = match from.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut lost: Vec<&str> = from.iter().flat_map(|(_, lost)| lost.iter().copied()).collect();
    lost.sort_unstable();
    lost.dedup();
    let (names, lost) = (names.join(", "), lost.join(" and "));
    let noun = if from.len() == 1 { "route" } else { "routes" };
    Some(Warning {
        problem: format!(
            "requests that do not meet the methods, addresses or vars of {noun} {names}{more} go \
             to {subject}, without {lost}"
        ),
        subject,
        help: Some(format!(
            "protect `{id}` as well, or let the longer route take every request for its path"
        )),
    })
}
