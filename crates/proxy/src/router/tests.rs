//! Laws of the table.

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
    let mut router = Router::default();
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    for (spec, order) in specs.iter().zip(0..) {
        let (route, order) = (Arc::new(spec.name), Order::Position(order));
        router.add(&route, &owned(spec.hosts), &owned(spec.uris), spec.priority, &order);
    }
    router
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

/// Routes with what they were drawn as, by id.
type Standing<'d> = std::collections::BTreeMap<usize, (Arc<(usize, bool)>, &'d Drawn)>;

proptest! {
    #[test]
    fn agrees_with_a_naive_search(
        routes in prop::collection::vec(drawn(), 1..12),
        host in "(x\\.|b\\.|b\\.a\\.|a\\.|)(a\\.com|com|a\\.comb)",
        port in "(:81|:80|)",
        path in "/[abc/]{0,5}",
    ) {
        let authority = format!("{host}{port}");
        let mut router = Router::default();
        let mut best = None;
        for (index, (hosts, uris, priority, fits)) in routes.iter().enumerate() {
            let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            let order = Order::Position(u64::try_from(index).unwrap());
            router.add(&Arc::new(index), &names, uris, *priority, &order);
            let hosts = hosts.iter().copied().map(Some).chain(hosts.is_empty().then_some(None));
            for host_rank in hosts.filter_map(|own| host_rank(own, &host, &authority)) {
                let paths = uris.iter().filter_map(|uri| path_rank(uri, &path));
                let earlier = std::cmp::Reverse(index);
                let ranks = paths.map(|rank| (host_rank, rank, *priority, earlier));
                best = best.max(ranks.filter(|_| *fits).max());
            }
        }
        let fits = |index: &usize| Ok::<_, Infallible>(routes[*index].3);
        let found = router.find(&host, &authority, &path, fits).unwrap();
        prop_assert_eq!(found.map(|leaf| *leaf.route), best.map(|(.., index)| index.0));
    }

    #[test]
    fn what_is_changed_step_by_step_is_as_if_it_was_made_at_once(
        steps in prop::collection::vec((0_usize..8, prop::option::weighted(0.7, drawn())), 1..40),
        host in "(x\\.|b\\.|b\\.a\\.|a\\.|)(a\\.com|com|a\\.comb)",
        path in "/[abc/]{0,5}",
    ) {
        let names = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let order = |id: usize| Order::Name(format!("{id}").into());
        let mut live: Router<(usize, bool)> = Router::default();
        let mut standing: Standing<'_> = Standing::new();
        for (id, drawn) in &steps {
            let before = live.clone();
            let found = |router: &Router<(usize, bool)>| {
                let fits = |route: &(usize, bool)| Ok::<_, Infallible>(route.1);
                router.find(&host, &host, &path, fits).unwrap().map(|leaf| *leaf.route)
            };
            let was = found(&before);
            if let Some((route, (hosts, uris, ..))) = standing.remove(id) {
                live.remove(&route, &names(hosts), uris);
            }
            if let Some(drawn) = drawn {
                let (hosts, uris, priority, fits) = drawn;
                let route = Arc::new((*id, *fits));
                live.add(&route, &names(hosts), uris, *priority, &order(*id));
                standing.insert(*id, (route, drawn));
            }
            let mut anew = Router::default();
            for (id, (route, (hosts, uris, priority, _))) in &standing {
                anew.add(route, &names(hosts), uris, *priority, &order(*id));
            }
            prop_assert_eq!(found(&live), found(&anew));
            prop_assert_eq!(found(&before), was, "a copy is not changed");
            prop_assert_eq!(live.any.size(), anew.any.size());
            prop_assert_eq!(live.exact.len(), anew.exact.len());
            prop_assert_eq!(&live.suffix_lengths, &anew.suffix_lengths);
        }
    }
}
