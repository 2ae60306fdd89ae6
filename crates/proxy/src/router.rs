//! Which route serves a request: host first, then path, then the route's conditions.
//!
//! Hosts: an exact one, then wildcards by the longest suffix, then routes without hosts. Within a
//! host: an exact path, then prefixes by length. Where a matching path's conditions do not fit, the
//! next shorter match is tried, as in Apache APISIX. Look-up walks the path once through a radix
//! tree, so that its cost does not grow with the number of routes.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// A pattern of a path as written, with what it leads to.
#[derive(Clone)]
pub struct Leaf<T> {
    /// What it leads to.
    pub route: Arc<T>,
    /// The path pattern.
    pub uri: Arc<str>,
    /// The host pattern, where there is one.
    pub host: Option<Arc<str>>,
    priority: i64,
}

/// Collects routes.
pub struct RouterBuilder<T> {
    exact: HashMap<Box<str>, Paths<T>, RandomState>,
    suffix: HashMap<Box<str>, Paths<T>, RandomState>,
    any: Paths<T>,
}

/// The compiled table.
pub struct Router<T> {
    exact: HashMap<Box<str>, Tree<T>, RandomState>,
    suffix: HashMap<Box<str>, Tree<T>, RandomState>,
    /// The lengths of the suffixes, longest first.
    suffix_lengths: Box<[usize]>,
    any: Tree<T>,
}

impl<T> Default for RouterBuilder<T> {
    fn default() -> Self {
        Self { exact: HashMap::default(), suffix: HashMap::default(), any: Paths::default() }
    }
}

impl<T> RouterBuilder<T> {
    /// Adds a route under each of its hosts and paths; no hosts means any host.
    pub fn add(&mut self, route: &Arc<T>, hosts: &[String], uris: &[String], priority: i64) {
        for uri in uris {
            let pattern: Arc<str> = Arc::from(uri.as_str());
            let leaf = |host: Option<&str>| Leaf {
                route: route.clone(),
                uri: pattern.clone(),
                host: host.map(Arc::from),
                priority,
            };
            if hosts.is_empty() {
                self.any.add(uri, leaf(None));
            }
            for host in hosts {
                let leaf = leaf(Some(host));
                match host.strip_prefix('*') {
                    Some("") => self.any.add(uri, leaf),
                    Some(suffix) => self.suffix.entry(suffix.into()).or_default().add(uri, leaf),
                    None => self.exact.entry(host.as_str().into()).or_default().add(uri, leaf),
                }
            }
        }
    }

    /// Sorts what was added.
    pub fn build(self) -> Router<T> {
        let mut lengths: Vec<usize> = self.suffix.keys().map(|suffix| suffix.len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let built = |(name, paths): (Box<str>, Paths<T>)| (name, paths.build());
        Router {
            exact: self.exact.into_iter().map(built).collect(),
            suffix: self.suffix.into_iter().map(built).collect(),
            suffix_lengths: lengths.into_boxed_slice(),
            any: self.any.build(),
        }
    }
}

impl<T> Router<T> {
    /// The best route for which `fits` says so. `host` is lower case without port, `authority` the
    /// same with the port that the client wrote.
    pub fn find<E>(
        &self,
        host: &str,
        authority: &str,
        path: &str,
        mut fits: impl FnMut(&T) -> Result<bool, E>,
    ) -> Result<Option<&Leaf<T>>, E> {
        let mut names: SmallVec<[&str; 2]> = SmallVec::from_slice(&[authority]);
        if host != authority {
            names.push(host);
        }
        for name in &names {
            if let Some(paths) = self.exact.get(*name)
                && let Some(leaf) = paths.find(path, &mut fits)?
            {
                return Ok(Some(leaf));
            }
        }
        for length in &self.suffix_lengths {
            let Some(start) = host.len().checked_sub(*length) else { continue };
            if let Some(paths) = host.get(start..).and_then(|suffix| self.suffix.get(suffix))
                && let Some(leaf) = paths.find(path, &mut fits)?
            {
                return Ok(Some(leaf));
            }
        }
        self.any.find(path, &mut fits)
    }
}

/// A radix tree over path patterns, as it grows.
struct Paths<T> {
    nodes: Vec<Node>,
    leaves: Vec<Vec<Leaf<T>>>,
}

#[derive(Default)]
struct Node {
    /// What the path must go on with to get from the parent here.
    label: Box<[u8]>,
    /// Children by the first byte of their label, sorted.
    children: Vec<(u8, u32)>,
    /// Leaves of patterns that end here.
    exact: Option<u32>,
    /// Leaves of patterns that end here with a `*`.
    prefix: Option<u32>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], leaves: Vec::new() }
    }
}

impl<T> Paths<T> {
    fn add(&mut self, uri: &str, leaf: Leaf<T>) {
        let (key, is_prefix) = match uri.strip_suffix('*') {
            Some(key) => (key, true),
            None => (uri, false),
        };
        let node = self.node(key.as_bytes());
        let next = index(self.leaves.len());
        let Some(node) = self.nodes.get_mut(node as usize) else { return };
        let slot = if is_prefix { &mut node.prefix } else { &mut node.exact };
        let at = *slot.get_or_insert(next);
        if at == next {
            self.leaves.push(Vec::new());
        }
        if let Some(leaves) = self.leaves.get_mut(at as usize) {
            leaves.push(leaf);
        }
    }

    /// The node for exactly this key, made if needed.
    fn node(&mut self, mut key: &[u8]) -> u32 {
        let mut at = 0_u32;
        loop {
            let Some(&first) = key.first() else { return at };
            let child = self.nodes.get(at as usize).and_then(|node| {
                let found = node.children.binary_search_by_key(&first, |(byte, _)| *byte).ok()?;
                node.children.get(found).map(|(_, child)| *child)
            });
            let Some(child) = child else { return self.grow(at, first, key) };
            let label = self.nodes.get(child as usize).map_or(&[][..], |node| &node.label);
            let common = label.iter().zip(key).take_while(|(a, b)| a == b).count();
            if common < label.len() {
                self.split(child, common);
            }
            key = key.get(common..).unwrap_or_default();
            at = child;
        }
    }

    fn grow(&mut self, parent: u32, first: u8, label: &[u8]) -> u32 {
        let child = index(self.nodes.len());
        self.nodes.push(Node { label: label.into(), ..Node::default() });
        if let Some(parent) = self.nodes.get_mut(parent as usize) {
            let place = parent.children.partition_point(|(byte, _)| *byte < first);
            parent.children.insert(place, (first, child));
        }
        child
    }

    /// Cuts a node's label after `at` bytes; what it was moves into a child.
    fn split(&mut self, node: u32, at: usize) {
        let moved = index(self.nodes.len());
        let Some(upper) = self.nodes.get_mut(node as usize) else { return };
        let tail: Box<[u8]> = upper.label.get(at..).unwrap_or_default().into();
        let first = tail.first().copied().unwrap_or_default();
        let lower = Node {
            label: tail,
            children: std::mem::take(&mut upper.children),
            exact: upper.exact.take(),
            prefix: upper.prefix.take(),
        };
        upper.label = upper.label.get(..at).unwrap_or_default().into();
        upper.children = vec![(first, moved)];
        self.nodes.push(lower);
    }

    /// The tree as look-up reads it: level by level, so that the children of a node stand together.
    fn build(mut self) -> Tree<T> {
        for leaves in &mut self.leaves {
            // Stable: of equal priority, the one written first is tried first.
            leaves.sort_by_key(|leaf| std::cmp::Reverse(leaf.priority));
        }
        let mut order = vec![0_u32];
        let (mut nodes, mut firsts, mut labels) = (Vec::new(), vec![0], Vec::new());
        while let Some(node) = order.get(nodes.len()).and_then(|at| self.nodes.get(*at as usize)) {
            let start = index(labels.len());
            labels.extend_from_slice(&node.label);
            nodes.push(FlatNode {
                label: (start, index(labels.len())),
                children: (index(order.len()), index(order.len() + node.children.len())),
                exact: node.exact,
                prefix: node.prefix,
            });
            for (first, child) in &node.children {
                firsts.push(*first);
                order.push(*child);
            }
        }
        let leaves = self.leaves.into_iter().map(Into::into).collect();
        Tree { nodes: nodes.into(), firsts: firsts.into(), labels: labels.into(), leaves }
    }
}

/// A radix tree over path patterns.
///
/// PERF: `cargo xtask bench`, secured: of a thousand routes most are not in the cache, so a step
/// from one node to the next touches as few lines of it as can be.
struct Tree<T> {
    nodes: Box<[FlatNode]>,
    /// The first byte of each node's label; those of the children of one node ascend.
    firsts: Box<[u8]>,
    /// All labels, one after the other.
    labels: Box<[u8]>,
    leaves: Box<[Box<[Leaf<T>]>]>,
}

/// A node among those of its level.
struct FlatNode {
    /// Where its label begins and ends.
    label: (u32, u32),
    /// Where its children begin and end.
    children: (u32, u32),
    /// Leaves of patterns that end here.
    exact: Option<u32>,
    /// Leaves of patterns that end here with a `*`.
    prefix: Option<u32>,
}

impl<T> Tree<T> {
    /// The child that goes on with this byte.
    fn child(&self, node: &FlatNode, first: u8) -> Option<&FlatNode> {
        let (start, end) = (node.children.0 as usize, node.children.1 as usize);
        let at = self.firsts.get(start..end)?.binary_search(&first).ok()?;
        self.nodes.get(start + at)
    }

    fn label(&self, node: &FlatNode) -> &[u8] {
        self.labels.get(node.label.0 as usize..node.label.1 as usize).unwrap_or_default()
    }

    fn find<E>(
        &self,
        path: &str,
        fits: &mut impl FnMut(&T) -> Result<bool, E>,
    ) -> Result<Option<&Leaf<T>>, E> {
        let mut prefixes: SmallVec<[u32; 8]> = SmallVec::new();
        let mut rest = path.as_bytes();
        let mut node = self.nodes.first();
        let mut exact = None;
        while let Some(here) = node {
            prefixes.extend(here.prefix);
            let Some(first) = rest.first() else {
                exact = here.exact;
                break;
            };
            node = self.child(here, *first);
            match node.and_then(|child| rest.strip_prefix(self.label(child))) {
                Some(remaining) => rest = remaining,
                None => break,
            }
        }
        for at in exact.into_iter().chain(prefixes.into_iter().rev()) {
            for leaf in self.leaves.get(at as usize).into_iter().flatten() {
                if fits(&leaf.route)? {
                    return Ok(Some(leaf));
                }
            }
        }
        Ok(None)
    }
}

/// More nodes than an index can name would need a document far over its size limit.
fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    struct Spec {
        name: &'static str,
        hosts: &'static [&'static str],
        uris: &'static [&'static str],
        priority: i64,
    }

    const fn route(
        name: &'static str,
        hosts: &'static [&'static str],
        uris: &'static [&'static str],
    ) -> Spec {
        Spec { name, hosts, uris, priority: 0 }
    }

    fn router(specs: &[Spec]) -> Router<&'static str> {
        let mut builder = RouterBuilder::default();
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        for spec in specs {
            let route = Arc::new(spec.name);
            builder.add(&route, &owned(spec.hosts), &owned(spec.uris), spec.priority);
        }
        builder.build()
    }

    fn find(router: &Router<&'static str>, host: &str, path: &str) -> Option<&'static str> {
        find_where(router, host, path, |_| true)
    }

    fn find_where(
        router: &Router<&'static str>,
        host: &str,
        path: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Option<&'static str> {
        let found = router.find(host, host, path, |name| Ok::<_, Infallible>(fits(name)));
        found.unwrap().map(|leaf| *leaf.route)
    }

    #[test]
    fn an_exact_path_wins_over_prefixes_and_longer_prefixes_over_shorter() {
        let router = router(&[
            route("all", &[], &["/*"]),
            route("a", &[], &["/a/*"]),
            route("ab", &[], &["/a/b*"]),
            route("exact", &[], &["/a/b"]),
        ]);
        for (path, expected) in
            [("/a/b", "exact"), ("/a/bc", "ab"), ("/a/c", "a"), ("/a", "all"), ("/", "all")]
        {
            assert_eq!(find(&router, "x", path), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_prefix_matches_its_own_text_and_what_goes_on() {
        let router = router(&[route("slash", &[], &["/a/*"]), route("bare", &[], &["/b*"])]);
        assert_eq!(find(&router, "x", "/a/"), Some("slash"));
        assert_eq!(find(&router, "x", "/a"), None);
        assert_eq!(find(&router, "x", "/b"), Some("bare"));
        assert_eq!(find(&router, "x", "/bc/d"), Some("bare"));
    }

    #[test]
    fn hosts_are_tried_exact_then_longest_suffix_then_none() {
        let router = router(&[
            route("none", &[], &["/long/path"]),
            route("wide", &["*.com"], &["/*"]),
            route("narrow", &["*.a.com"], &["/*"]),
            route("exact", &["x.a.com"], &["/x"]),
        ]);
        for (host, path, expected) in [
            ("x.a.com", "/x", "exact"),
            ("x.a.com", "/y", "narrow"),
            ("q.b.a.com", "/y", "narrow"),
            ("a.com", "/y", "wide"),
            ("com", "/long/path", "none"),
            // A host's short prefix beats a longer path without host.
            ("x.a.com", "/long/path", "narrow"),
        ] {
            assert_eq!(find(&router, host, path), Some(expected), "{host}{path}");
        }
    }

    #[test]
    fn a_host_with_port_is_compared_with_the_authority() {
        let router = router(&[route("port", &["a.com:8443"], &["/*"])]);
        let at = |authority: &str| {
            let found = router.find("a.com", authority, "/", |_| Ok::<_, Infallible>(true));
            found.unwrap().map(|leaf| *leaf.route)
        };
        assert_eq!(at("a.com:8443"), Some("port"));
        assert_eq!(at("a.com"), None);
    }

    #[test]
    fn where_conditions_do_not_fit_the_next_shorter_match_is_tried() {
        let router = router(&[
            route("exact", &["h"], &["/a/b"]),
            route("prefix", &["h"], &["/a/*"]),
            route("other", &[], &["/a/*"]),
        ]);
        assert_eq!(find_where(&router, "h", "/a/b", |n| n != "exact"), Some("prefix"));
        assert_eq!(find_where(&router, "h", "/a/b", |n| n == "other"), Some("other"));
        assert_eq!(find_where(&router, "h", "/a/b", |_| false), None);
    }

    #[test]
    fn of_one_path_the_higher_priority_is_tried_first_then_the_earlier() {
        let router = router(&[
            route("first", &[], &["/a"]),
            route("second", &[], &["/a"]),
            Spec { name: "urgent", hosts: &[], uris: &["/a"], priority: 9 },
        ]);
        assert_eq!(find(&router, "x", "/a"), Some("urgent"));
        assert_eq!(find_where(&router, "x", "/a", |n| n != "urgent"), Some("first"));
    }

    /// What one route of the property is: hosts, paths, priority, whether its conditions fit.
    type Drawn = (Vec<&'static str>, Vec<String>, i64, bool);

    /// Routes whose hosts and paths share beginnings and ends.
    fn drawn() -> impl Strategy<Value = Drawn> {
        let host = prop::sample::select(vec![
            "a.com",
            "b.a.com",
            "*.a.com",
            "*.b.a.com",
            "*.com",
            "*a.com",
            "*",
            "a.com:81",
        ]);
        let uri = ("[abc/]{0,4}", any::<bool>())
            .prop_map(|(text, is_prefix)| format!("/{text}{}", if is_prefix { "*" } else { "" }));
        (
            prop::collection::vec(host, 0..3),
            prop::collection::vec(uri, 1..4),
            -1_i64..2,
            prop::bool::weighted(0.7),
        )
    }

    /// How well a host fits: as asked with the port, without it, by a suffix, or without hosts.
    fn host_rank(pattern: Option<&str>, host: &str, authority: &str) -> Option<(u8, usize)> {
        match pattern {
            None | Some("*") => Some((0, 0)),
            Some(exact) if exact == authority => Some((3, 0)),
            Some(exact) if exact == host => Some((2, 0)),
            Some(wild) => {
                let suffix = wild.strip_prefix('*')?;
                host.ends_with(suffix).then_some((1, suffix.len()))
            }
        }
    }

    fn path_rank(pattern: &str, path: &str) -> Option<(bool, usize)> {
        match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix).then_some((false, prefix.len())),
            None => (pattern == path).then_some((true, 0)),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_search(
            routes in prop::collection::vec(drawn(), 1..12),
            host in "(x\\.|b\\.|b\\.a\\.|a\\.|)(a\\.com|com|a\\.comb)",
            port in "(:81|:80|)",
            path in "/[abc/]{0,5}",
        ) {
            let authority = format!("{host}{port}");
            let mut builder = RouterBuilder::default();
            let mut best = None;
            for (index, (hosts, uris, priority, fits)) in routes.iter().enumerate() {
                let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                builder.add(&Arc::new(index), &names, uris, *priority);
                let hosts = hosts.iter().copied().map(Some).chain(hosts.is_empty().then_some(None));
                for host_rank in hosts.filter_map(|own| host_rank(own, &host, &authority)) {
                    let paths = uris.iter().filter_map(|uri| path_rank(uri, &path));
                    let earlier = std::cmp::Reverse(index);
                    let ranks = paths.map(|rank| (host_rank, rank, *priority, earlier));
                    best = best.max(ranks.filter(|_| *fits).max());
                }
            }
            let fits = |index: &usize| Ok::<_, Infallible>(routes[*index].3);
            let router = builder.build();
            let found = router.find(&host, &authority, &path, fits).unwrap();
            prop_assert_eq!(found.map(|leaf| *leaf.route), best.map(|(.., index)| index.0));
        }
    }
}
