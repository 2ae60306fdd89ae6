//! Which route serves a request: host first, then path, then the route's conditions; or path first
//! and the host as a condition, as [`RouterMode`] says.
//!
//! Hosts: an exact one, then wildcards by the longest suffix, then routes without hosts. Within a
//! host: an exact path, then patterns by the length of their literal text. Of those that have the
//! same, the higher priority comes first, then templates by how much of them is literal, then
//! prefixes. Where a matching path's conditions do not fit, the next match is tried, as in Apache
//! APISIX. Look-up walks the path once through a radix tree, so that its cost does not grow with
//! the number of paths; only templates that the path fits are collected. Each host has a tree of its
//! own. Where the path is first, those of the request's host, of the wildcards that take it and of
//! routes without hosts are walked side by side, as if they were one: what other hosts have under
//! the same path costs nothing.
//!
//! A table is copied at little cost, and a copy shares with it whatever is not changed: a route is
//! added or taken out in time proportional to the length of its paths.

mod paths;
#[cfg(test)]
mod template_tests;
mod templates;
#[cfg(test)]
mod tests;
mod trial;

use std::cmp::Reverse;
use std::sync::Arc;
use std::{iter, slice};

use bartizan_chain::SharedMap;
use bartizan_core::{PathSegment, PathTail, RouterMode, path_segments, split_path_pattern};
use smallvec::SmallVec;

use paths::Paths;
use trial::first_of;

/// A pattern of a path as written, with what it leads to.
pub struct Leaf<T> {
    /// What it leads to.
    pub route: Arc<T>,
    /// The path pattern.
    pub uri: Arc<str>,
    /// The host pattern, where there is one.
    pub host: Option<Arc<str>>,
    rank: Rank,
}

/// What is tried first among patterns with the same literal text: priority, then how narrow the
/// pattern is, then the order of the routes.
type Rank = (Reverse<i64>, Reverse<u32>, Order);

// Not derived, which would ask for routes that can be copied.
impl<T> Clone for Leaf<T> {
    fn clone(&self) -> Self {
        Self {
            route: self.route.clone(),
            uri: self.uri.clone(),
            host: self.host.clone(),
            rank: self.rank.clone(),
        }
    }
}

/// Which of routes with the same path and priority is tried first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// The one that is written first.
    Position(u64),
    /// The one of the lesser name, after those of a position.
    Name(Arc<str>),
}

/// The table.
pub struct Router<T> {
    mode: RouterMode,
    exact: SharedMap<Box<str>, Paths<T>>,
    suffix: SharedMap<Box<str>, Paths<T>>,
    /// The lengths of the suffixes, longest first, with how many have each.
    suffix_lengths: Vec<(usize, usize)>,
    any: Paths<T>,
}

impl<T> Router<T> {
    /// An empty table that is looked up in this way.
    pub fn new(mode: RouterMode) -> Self {
        Self {
            mode,
            exact: SharedMap::default(),
            suffix: SharedMap::default(),
            suffix_lengths: Vec::new(),
            any: Paths::default(),
        }
    }
}

impl<T> Clone for Router<T> {
    fn clone(&self) -> Self {
        Self {
            mode: self.mode,
            exact: self.exact.clone(),
            suffix: self.suffix.clone(),
            suffix_lengths: self.suffix_lengths.clone(),
            any: self.any.clone(),
        }
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new(RouterMode::default())
    }
}

/// Where a host pattern belongs.
enum Place<'h> {
    Exact(&'h str),
    Suffix(&'h str),
    Any,
}

fn place(host: &str) -> Place<'_> {
    match host.strip_prefix('*') {
        Some("") => Place::Any,
        Some(suffix) => Place::Suffix(suffix),
        None => Place::Exact(host),
    }
}

impl<T> Router<T> {
    /// Adds a route under each of its hosts and paths; no hosts means any host.
    pub fn add(
        &mut self,
        route: &Arc<T>,
        hosts: &[String],
        uris: &[String],
        priority: i64,
        order: &Order,
    ) {
        for uri in uris {
            let pattern: Arc<str> = Arc::from(uri.as_str());
            let named = hosts.iter().map(|host| Some(host.as_str()));
            for host in named.chain(hosts.is_empty().then_some(None)) {
                let leaf = Leaf {
                    route: route.clone(),
                    uri: pattern.clone(),
                    host: host.map(Arc::from),
                    rank: (Reverse(priority), Reverse(self.weight(uri, host)), order.clone()),
                };
                self.add_leaf(host, uri, leaf);
            }
        }
    }

    fn add_leaf(&mut self, host: Option<&str>, uri: &str, leaf: Leaf<T>) {
        match host.map(place) {
            None | Some(Place::Any) => self.any.add(uri, leaf),
            Some(Place::Exact(host)) => {
                if let Some(paths) = self.exact.entry(host, Paths::default) {
                    paths.add(uri, leaf);
                }
            }
            Some(Place::Suffix(suffix)) => {
                if self.suffix.get(suffix).is_none() {
                    self.count_suffix(suffix.len());
                }
                if let Some(paths) = self.suffix.entry(suffix, Paths::default) {
                    paths.add(uri, leaf);
                }
            }
        }
    }

    /// Takes a route out from under the hosts and paths that it was added with.
    pub fn remove(&mut self, route: &Arc<T>, hosts: &[String], uris: &[String]) {
        for uri in uris {
            if hosts.is_empty() {
                self.any.remove(uri, route);
                continue;
            }
            for host in hosts {
                match place(host) {
                    Place::Any => self.any.remove(uri, route),
                    Place::Exact(host) => {
                        remove_from(&mut self.exact, host, uri, route);
                    }
                    Place::Suffix(suffix) => {
                        if remove_from(&mut self.suffix, suffix, uri, route) {
                            self.discount_suffix(suffix.len());
                        }
                    }
                }
            }
        }
    }

    /// How narrow a pattern is among those of the same literal text: templates by their literal
    /// text, then, where hosts are a condition, exact ones and longer suffixes.
    fn weight(&self, uri: &str, host: Option<&str>) -> u32 {
        if self.mode.is_host_first() {
            return 0;
        }
        let of_host = match host.map(place) {
            Some(Place::Exact(host)) if has_port(host) => u16::MAX,
            Some(Place::Exact(_)) => u16::MAX - 1,
            Some(Place::Suffix(suffix)) => {
                u16::try_from(suffix.len()).unwrap_or(u16::MAX).min(u16::MAX - 2)
            }
            Some(Place::Any) | None => 0,
        };
        u32::from(template_weight(uri)) << 16 | u32::from(of_host)
    }

    fn count_suffix(&mut self, length: usize) {
        match self.suffix_lengths.binary_search_by(|(known, _)| length.cmp(known)) {
            Ok(at) => self.suffix_lengths.iter_mut().skip(at).take(1).for_each(|(_, n)| *n += 1),
            Err(at) => self.suffix_lengths.insert(at, (length, 1)),
        }
    }

    fn discount_suffix(&mut self, length: usize) {
        self.suffix_lengths.retain_mut(|(known, count)| {
            *count -= usize::from(*known == length);
            *count > 0
        });
    }

    /// The best route for which `fits` says so. `host` is lower case without port, `authority` the
    /// same with the port that the client wrote.
    pub fn find<E>(
        &self,
        host: &str,
        authority: &str,
        path: &str,
        mut fits: impl FnMut(&T) -> Result<bool, E>,
    ) -> Result<Option<&Leaf<T>>, E> {
        let mut fits = |leaf: &Leaf<T>| fits(&leaf.route);
        let mut walks = self.tables(host, authority).map(|paths| paths.walk(path));
        if !self.mode.is_host_first() {
            return first_of(&mut walks.collect::<SmallVec<[_; 4]>>(), &mut fits);
        }
        walks
            .find_map(|mut walk| first_of(slice::from_mut(&mut walk), &mut fits).transpose())
            .transpose()
    }

    /// The tables of a host: its own with and without port, those of suffixes, the longest first,
    /// and that of routes for any host.
    fn tables<'h>(
        &self,
        host: &'h str,
        authority: &'h str,
    ) -> impl Iterator<Item = &Paths<T>> + use<'_, 'h, T> {
        let without_port = (host != authority).then_some(host);
        let exact = iter::once(authority).chain(without_port);
        let suffixes = self
            .suffix_lengths
            .iter()
            .filter_map(|(length, _)| host.get(host.len().checked_sub(*length)?..));
        exact
            .filter_map(|name| self.exact.get(name))
            .chain(suffixes.filter_map(|suffix| self.suffix.get(suffix)))
            .chain(iter::once(&self.any))
    }
}

/// True for a host that is written with a port.
pub(crate) fn has_port(host: &str) -> bool {
    let port = host.rsplit_once(':').map(|(_, port)| port);
    port.is_some_and(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Two for a template that ends, one for one that goes on, and more for each byte of literal text
/// after the first parameter; none for other patterns.
pub(crate) fn template_weight(uri: &str) -> u16 {
    let (_, PathTail::Segments(tail)) = split_path_pattern(uri) else { return 0 };
    let weight = path_segments(tail).fold(2, |weight, segment| match segment {
        PathSegment::Literal(text) => weight + 2 * (text.len() + 1),
        PathSegment::Parameter(_) => weight,
        PathSegment::Rest(_) => weight - 1,
    });
    u16::try_from(weight).unwrap_or(u16::MAX)
}

/// Takes a route out of a host's table; true if nothing is left of that.
fn remove_from<T>(
    tables: &mut SharedMap<Box<str>, Paths<T>>,
    host: &str,
    uri: &str,
    route: &Arc<T>,
) -> bool {
    let Some(paths) = tables.get_mut(host) else { return false };
    paths.remove(uri, route);
    let is_empty = paths.is_empty();
    if is_empty {
        tables.remove(host);
    }
    is_empty
}
