//! Routes that requests fall through to although a longer or narrower one has their path.
//!
//! Where a request does not meet a route's methods, addresses or variables, the next shorter match
//! is tried, as in Apache APISIX. If that proves less, the condition works as a way around the
//! protection, which is seldom meant.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bartizan_chain::Proofs;
use bartizan_config::Route;
use bartizan_core::{PathSegment, PathTail, RouterMode, path_segments, split_path_pattern};

use super::fault::Warning;
use super::report::RouteReport;
use crate::router::{has_port, template_weight};

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

    /// True if both prove the same.
    fn proves_as(&self, other: &Self) -> bool {
        let proved = |cover: &Self| {
            let Proofs { grant, limit, schema, waf, .. } = cover.proofs;
            (cover.is_public, cover.only_answers, grant, limit, schema, waf)
        };
        proved(self) == proved(other)
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

    /// Which is tried first where hosts are a condition.
    fn rank(self) -> (u8, usize) {
        match self {
            Self::Exact(host) => (1 + u8::from(has_port(host)), 0),
            Self::Suffix(suffix) => (0, suffix.len()),
            Self::Any => (0, 0),
        }
    }

    /// The patterns that match every host of this one, itself first.
    fn wider(self, suffix_lengths: &[usize]) -> Vec<Self> {
        let mut patterns = vec![self];
        let ending = match self {
            Self::Exact(host) => {
                patterns.extend((bare(host) != host).then_some(Self::Exact(bare(host))));
                bare(host)
            }
            Self::Suffix(suffix) => suffix,
            Self::Any => return patterns,
        };
        let starts = suffix_lengths.iter().filter_map(|length| ending.len().checked_sub(*length));
        let shorter = starts.filter_map(|start| ending.get(start..)).map(Self::Suffix);
        patterns.extend(shorter.filter(|pattern| *pattern != self));
        patterns.push(Self::Any);
        patterns
    }
}

/// A host without its port.
fn bare(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Where a route stands: host, literal text of the path, and what follows that.
type Place<'a> = (HostPattern<'a>, &'a str, Tail);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Tail {
    End,
    Any,
    /// Segments of a template.
    Template,
}

/// Routes that prove the same, with the path patterns by which they stand in one place.
type Alike<'a> = Vec<(usize, &'a str)>;

/// Routes by where they stand, and by what they prove: of many in one place most prove the same,
/// and nothing is lost between them.
struct Map<'a> {
    mode: RouterMode,
    routes: HashMap<Place<'a>, Vec<Alike<'a>>>,
    /// The lengths of the suffixes of hosts, and of the texts of paths, that there are.
    suffix_lengths: Vec<usize>,
    path_lengths: Vec<usize>,
}

/// Who falls through to a route, and what is lost by that.
#[derive(Default)]
struct Falls {
    /// The first of them.
    named: Vec<usize>,
    count: usize,
    lost: BTreeSet<&'static str>,
}

/// Whether a request for a path of a route may not be for the route.
pub(super) fn has_conditions(route: &Route) -> bool {
    !route.methods.is_empty() || !route.remote_addrs.is_empty() || route.vars.is_some()
}

/// One warning for each route that requests fall through to and lose protection.
pub(super) fn warnings(covers: &[Cover<'_>], mode: RouterMode) -> Vec<Warning> {
    if !covers.iter().any(|cover| has_conditions(cover.route)) {
        return Vec::new();
    }
    let map = Map::new(covers, mode);
    let mut falls: BTreeMap<usize, Falls> = BTreeMap::new();
    for (index, cover) in covers.iter().enumerate() {
        if !has_conditions(cover.route) {
            continue;
        }
        for at in map.below(covers, index, cover) {
            let Some(other) = covers.get(at).filter(|other| cover.may_leave_to(other)) else {
                continue;
            };
            let falls = falls.entry(at).or_default();
            falls.count += 1;
            falls.named.extend((falls.count <= NAMED_MAX).then_some(index));
            falls.lost.extend(cover.lost_in(other));
        }
    }
    falls.iter().filter_map(|(at, from)| warning(covers, *at, from)).collect()
}

fn split(uri: &str) -> (&str, Tail) {
    let (text, tail) = split_path_pattern(uri);
    let tail = match tail {
        PathTail::End => Tail::End,
        PathTail::Any => Tail::Any,
        PathTail::Segments(_) => Tail::Template,
    };
    (text, tail)
}

/// True if a template matches every path of a pattern that has all of its literal text.
fn takes_all_of(template: &str, pattern: &str) -> bool {
    let (literal, PathTail::Segments(tail)) = split_path_pattern(template) else { return false };
    let Some(rest) = pattern.get(literal.len()..) else { return false };
    let mut asked = path_segments(rest);
    for own in path_segments(tail) {
        let is_taken = match (own, asked.next()) {
            (_, None) => false,
            (PathSegment::Rest(_), Some(_)) => return true,
            (PathSegment::Literal(text), Some(asked)) => asked == PathSegment::Literal(text),
            (PathSegment::Parameter(_), Some(PathSegment::Literal(text))) => {
                !text.is_empty() && !text.ends_with('*')
            }
            (PathSegment::Parameter(_), Some(asked)) => matches!(asked, PathSegment::Parameter(_)),
        };
        if !is_taken {
            return false;
        }
    }
    asked.next().is_none()
}

/// A place, seen from a route: where something wider than one of its patterns may stand.
struct Seen<'s> {
    host: HostPattern<'s>,
    uri: &'s str,
}

impl<'a> Map<'a> {
    fn new(covers: &[Cover<'a>], mode: RouterMode) -> Self {
        let mut routes: HashMap<Place<'a>, Vec<Alike<'a>>> = HashMap::new();
        for (index, cover) in covers.iter().enumerate() {
            for uri in &cover.route.uris {
                let (text, tail) = split(uri);
                for host in &cover.hosts {
                    let here = routes.entry((*host, text, tail)).or_default();
                    let is_alike = |alike: &&mut Alike<'_>| {
                        let first = alike.first().and_then(|(at, _)| covers.get(*at));
                        first.is_some_and(|first| first.proves_as(cover))
                    };
                    match here.iter_mut().find(is_alike) {
                        Some(alike) => alike.push((index, uri)),
                        None => here.push(vec![(index, uri)]),
                    }
                }
            }
        }
        let suffix = |place: &Place<'_>| match place.0 {
            HostPattern::Suffix(suffix) => Some(suffix.len()),
            _ => None,
        };
        let suffix_lengths: BTreeSet<usize> = routes.keys().filter_map(suffix).collect();
        let path_lengths: BTreeSet<usize> = routes.keys().map(|place| place.1.len()).collect();
        Self {
            mode,
            routes,
            suffix_lengths: suffix_lengths.into_iter().collect(),
            path_lengths: path_lengths.into_iter().collect(),
        }
    }

    /// The routes that prove less and are tried after this one for some of its hosts and paths,
    /// whatever the rest of the path: those on wider hosts, with shorter texts, or later in the
    /// same place.
    fn below(&self, covers: &[Cover<'a>], index: usize, cover: &Cover<'a>) -> BTreeSet<usize> {
        let mut below = BTreeSet::new();
        let rank = |at: usize, seen: &Seen<'_>| {
            let priority = covers.get(at).map_or(0, |cover| cover.route.priority);
            let host = if self.mode.is_host_first() { (0, 0) } else { seen.host.rank() };
            (Reverse(priority), Reverse(template_weight(seen.uri)), Reverse(host), at)
        };
        for host in &cover.hosts {
            for wider in host.wider(&self.suffix_lengths) {
                for uri in &cover.route.uris {
                    let own = Seen { host: *host, uri };
                    for place in self.paths_over(uri) {
                        let others = self.routes.get(&(wider, place.0, place.1));
                        let others = others.into_iter().flatten().filter(|alike| {
                            let first = alike.first().and_then(|(at, _)| covers.get(*at));
                            first.is_some_and(|other| !cover.lost_in(other).is_empty())
                        });
                        for (at, other) in others.flatten() {
                            let other = Seen { host: wider, uri: other };
                            let is_first = self.is_same_place(&own, &other)
                                && rank(*at, &other) <= rank(index, &own);
                            let is_over = place.1 != Tail::Template || takes_all_of(other.uri, uri);
                            below.extend((is_over && !is_first).then_some(*at));
                        }
                    }
                }
            }
        }
        below.remove(&index);
        below
    }

    /// True where rank decides which of both is tried first.
    fn is_same_place(&self, own: &Seen<'_>, other: &Seen<'_>) -> bool {
        let ((text, tail), (other_text, other_tail)) = (split(own.uri), split(other.uri));
        let has_same_host = !self.mode.is_host_first() || own.host == other.host;
        has_same_host && text == other_text && (tail == Tail::End) == (other_tail == Tail::End)
    }

    /// Where patterns stand that match everything this one does, and templates that may.
    fn paths_over<'t>(&'t self, uri: &'t str) -> impl Iterator<Item = (&'t str, Tail)> {
        let (text, tail) = split(uri);
        let shorter = self.path_lengths.iter().filter_map(move |length| text.get(..*length));
        let itself = (tail == Tail::End).then_some((text, Tail::End));
        let templates = self.mode.has_parameters().then_some(Tail::Template);
        let tails = move || std::iter::once(Tail::Any).chain(templates);
        shorter.flat_map(move |text| tails().map(move |tail| (text, tail))).chain(itself)
    }
}

fn warning(covers: &[Cover<'_>], at: usize, from: &Falls) -> Option<Warning> {
    let id = &covers.get(at)?.route.id;
    let subject = format!("route `{id}`");
    let named = from.named.iter().filter_map(|index| covers.get(*index));
    let names: Vec<String> = named.map(|cover| format!("`{}`", cover.route.id)).collect();
    let more = match from.count.saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let lost: Vec<&str> = from.lost.iter().copied().collect();
    let (names, lost) = (names.join(", "), lost.join(" and "));
    let noun = if from.count == 1 { "route" } else { "routes" };
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
