//! Laws of the table where the path comes first, and where it has parameters.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const WITH_PARAMETERS: RouterMode = RouterMode::UriWithParameter;

/// Hosts, paths, priority.
type Drawn = (Vec<&'static str>, Vec<String>, i64, bool);

fn router(mode: RouterMode, routes: &[(&[&str], &str)]) -> Router<usize> {
    let mut router = Router::new(mode);
    for (index, (hosts, uri)) in routes.iter().enumerate() {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        router.add(&Arc::new(index), &hosts, &[(*uri).to_owned()], 0, &position(index));
    }
    router
}

fn position(index: usize) -> Order {
    Order::Position(u64::try_from(index).unwrap())
}

fn find(router: &Router<usize>, host: &str, path: &str) -> Option<usize> {
    let found = router.find(host, host, path, |_| Ok::<_, Infallible>(true));
    found.unwrap().map(|leaf| *leaf.route)
}

#[test]
fn the_longer_path_comes_before_the_host_where_the_path_is_first() {
    let routes: [(&[&str], &str); 3] =
        [(&["a.test"], "/*"), (&[], "/long/path"), (&["*.test"], "/long/*")];
    let by_path = router(RouterMode::Uri, &routes);
    let by_host = router(RouterMode::HostUri, &routes);
    assert_eq!(find(&by_path, "a.test", "/long/path"), Some(1));
    assert_eq!(find(&by_host, "a.test", "/long/path"), Some(0));
    assert_eq!(find(&by_path, "b.test", "/long/x"), Some(2));
    assert_eq!(find(&by_path, "b.test", "/x"), None);
    assert_eq!(find(&by_path, "a.test:8080", "/x"), None);
}

#[test]
fn of_templates_with_the_same_beginning_the_more_literal_one_is_taken() {
    let router = router(
        WITH_PARAMETERS,
        &[
            (&[], "/u/*"),
            (&[], "/u/:id/*rest"),
            (&[], "/u/:id"),
            (&[], "/u/:id/keys/:key"),
            (&[], "/u/:id/keys/*"),
            (&[], "/u/me"),
        ],
    );
    for (path, expected) in [
        ("/u/me", Some(5)),
        ("/u/7", Some(2)),
        ("/u/7/", Some(1)),
        ("/u/7/x/y", Some(1)),
        ("/u/7/keys/1", Some(3)),
        ("/u/7/keys/1/x", Some(4)),
        ("/u/7/keys/", Some(4)),
        ("/u/", Some(0)),
        ("/u", None),
        ("/v/7", None),
    ] {
        assert_eq!(find(&router, "x", path), expected, "{path}");
    }
}

#[test]
fn a_colon_is_text_where_paths_have_no_parameters() {
    let plain = router(WITH_PARAMETERS, &[(&[], "/v1/books:read")]);
    assert_eq!(find(&plain, "x", "/v1/books:read"), Some(0));
    assert_eq!(find(&plain, "x", "/v1/books"), None);
}

#[test]
fn hosts_with_the_same_path_do_not_stand_in_each_others_way() {
    let mut router: Router<usize> = Router::new(RouterMode::Uri);
    let hosts: Vec<String> = (0..1_000).map(|number| format!("h{number}.test")).collect();
    for (index, host) in hosts.iter().enumerate() {
        router.add(
            &Arc::new(index),
            std::slice::from_ref(host),
            &["/*".to_owned()],
            0,
            &position(index),
        );
    }
    router.add(&Arc::new(1_000), &[], &["/*".to_owned()], 0, &position(1_000));
    let mut tried = Vec::new();
    let found = router.find("h700.test", "h700.test", "/x", |index| {
        tried.push(*index);
        Ok::<_, Infallible>(false)
    });
    assert!(found.unwrap().is_none());
    assert_eq!(tried, [700, 1_000]);
    assert_eq!(router.exact.len(), 1_000, "each has a table of its own");
}

#[test]
fn of_one_literal_text_the_tables_of_a_host_are_tried_as_one() {
    let mut router: Router<&str> = Router::new(RouterMode::Uri);
    let routes: [(&str, &[&str], i64); 6] = [
        ("none first", &[], 1),
        ("none", &[], 0),
        ("wide", &["*.test"], 0),
        ("narrow", &["*.a.test"], 0),
        ("port", &["x.a.test:81"], 0),
        ("wide first", &["*.test"], 1),
    ];
    for (index, (name, hosts, priority)) in routes.into_iter().enumerate() {
        router.add(&Arc::new(name), &names(hosts), &["/*".to_owned()], priority, &position(index));
    }
    let mut tried = Vec::new();
    let found = router.find("x.a.test", "x.a.test:81", "/", |name| {
        tried.push(*name);
        Ok::<_, Infallible>(false)
    });
    assert!(found.unwrap().is_none());
    assert_eq!(tried, ["wide first", "none first", "port", "narrow", "wide", "none"]);
}

/// True if a pattern takes a path, by comparing segment by segment; and how long its literal text
/// is, and whether it is all of the pattern.
fn naive(pattern: &str, path: &str) -> Option<(bool, usize)> {
    let (literal, tail) = split_path_pattern(pattern);
    let taken = match tail {
        PathTail::End => path == pattern,
        PathTail::Any => path.starts_with(literal),
        PathTail::Segments(_) => {
            let mut asked = path.split('/');
            let mut own = pattern.split('/');
            loop {
                match (own.next(), asked.next()) {
                    (None, None) => break true,
                    (Some(own), Some(_)) if own.starts_with('*') => break true,
                    (Some(own), Some(asked)) if own.starts_with(':') && !asked.is_empty() => {}
                    (Some(own), Some(asked)) if own == asked => {}
                    _ => break false,
                }
            }
        }
    };
    taken.then_some((tail == PathTail::End, literal.len()))
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![2 => "[ab]{0,2}", 2 => Just(":x".to_owned())];
    let end = prop_oneof![2 => Just(""), 1 => Just("/*"), 1 => Just("/*rest")];
    (prop::collection::vec(segment, 1..4), end)
        .prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")))
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let host = prop::sample::select(vec!["a.com", "*.a.com", "*.com", "a.com:81"]);
    (
        prop::collection::vec(host, 0..3),
        prop::collection::vec(pattern(), 1..3),
        -1_i64..2,
        prop::bool::weighted(0.8),
    )
}

fn names(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(ToString::to_string).collect()
}

proptest! {
    #[test]
    fn agrees_with_a_naive_search(
        mode in prop::sample::select(vec![RouterMode::Uri, WITH_PARAMETERS]),
        routes in prop::collection::vec(drawn(), 1..12),
        host in "(b\\.a\\.|a\\.|)(a\\.com|com)",
        port in "(:81|)",
        path in "(/[ab]{0,2}){1,4}",
    ) {
        let authority = format!("{host}{port}");
        let mut router = Router::new(mode);
        let mut best = None;
        for (index, (hosts, uris, priority, fits)) in routes.iter().enumerate() {
            router.add(&Arc::new(index), &names(hosts), uris, *priority, &position(index));
            let own_hosts = hosts.iter().copied().map(Some).chain(hosts.is_empty().then_some(None));
            for own in own_hosts {
                let (is_of_host, host_rank) = match own.map(|own| (own, own.strip_prefix('*'))) {
                    None => (true, 0),
                    Some((_, Some(suffix))) => (host.ends_with(suffix), suffix.len()),
                    Some((own, None)) => {
                        (own == host || own == authority, usize::MAX - usize::from(own == host))
                    }
                };
                for uri in uris.iter().filter(|_| is_of_host && *fits) {
                    let Some(path_rank) = naive(uri, &path) else { continue };
                    let weight = template_weight(uri);
                    let rank = (path_rank, *priority, weight, host_rank, Reverse(index));
                    best = best.max(Some(rank));
                }
            }
        }
        let fits = |index: &usize| Ok::<_, Infallible>(routes[*index].3);
        let found = router.find(&host, &authority, &path, fits).unwrap();
        prop_assert_eq!(found.map(|leaf| *leaf.route), best.map(|(.., index)| index.0));
    }

    #[test]
    fn what_is_changed_step_by_step_is_as_if_it_was_made_at_once(
        steps in prop::collection::vec((0_usize..6, prop::option::weighted(0.7, drawn())), 1..30),
        path in "(/[ab]{0,2}){1,4}",
    ) {
        let mut live: Router<usize> = Router::new(WITH_PARAMETERS);
        let mut standing: BTreeMap<usize, (Arc<usize>, &Drawn)> = BTreeMap::new();
        for (id, drawn) in &steps {
            let before = live.clone();
            let was = find(&before, "a.com", &path);
            if let Some((route, (hosts, uris, ..))) = standing.remove(id) {
                live.remove(&route, &names(hosts), uris);
            }
            if let Some(drawn) = drawn {
                let (hosts, uris, priority, _) = drawn;
                let route = Arc::new(*id);
                live.add(&route, &names(hosts), uris, *priority, &position(*id));
                standing.insert(*id, (route, drawn));
            }
            let mut anew = Router::new(WITH_PARAMETERS);
            for (id, (route, (hosts, uris, priority, _))) in &standing {
                anew.add(route, &names(hosts), uris, *priority, &position(*id));
            }
            prop_assert_eq!(find(&live, "a.com", &path), find(&anew, "a.com", &path));
            prop_assert_eq!(find(&before, "a.com", &path), was, "a copy is not changed");
            prop_assert_eq!(live.any.size(), anew.any.size());
            prop_assert_eq!(live.exact.len(), anew.exact.len());
            prop_assert_eq!(&live.suffix_lengths, &anew.suffix_lengths);
        }
    }
}
