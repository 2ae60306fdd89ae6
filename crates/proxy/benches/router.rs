//! What it costs to find a route, by how many there are.

use std::convert::Infallible;
use std::sync::Arc;

use bartizan_core::RouterMode;
use bartizan_proxy::{Order, Router};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const COUNTS: [usize; 3] = [10, 1_000, 100_000];

/// A table of routes that differ in their paths, or in their hosts.
fn router(
    mode: RouterMode,
    count: usize,
    route: impl Fn(usize) -> (Vec<String>, String),
) -> Router<usize> {
    let mut router = Router::new(mode);
    for (number, order) in (0..count).zip(0..) {
        let (hosts, uri) = route(number);
        router.add(&Arc::new(number), &hosts, &[uri], 0, &Order::Position(order));
    }
    router
}

fn find(router: &Router<usize>, host: &str, path: &str) -> Option<usize> {
    let fits = |_: &usize| Ok::<_, Infallible>(true);
    let Ok(found) = router.find(black_box(host), host, black_box(path), fits);
    found.map(|leaf| *leaf.route)
}

#[divan::bench(args = COUNTS)]
fn by_path(bencher: Bencher<'_, '_>, count: usize) {
    let router = router(RouterMode::HostUri, count, |number| {
        (Vec::new(), format!("/api/v1/service-{number}/*"))
    });
    let path = format!("/api/v1/service-{}/orders/4711", count / 2);
    assert_eq!(find(&router, "api.example", &path), Some(count / 2));
    bencher.bench(|| find(&router, "api.example", &path));
}

#[divan::bench(args = COUNTS)]
fn by_host(bencher: Bencher<'_, '_>, count: usize) {
    let host = |number| format!("service-{number}.example");
    let router = router(RouterMode::HostUri, count, |number| (vec![host(number)], "/*".to_owned()));
    let wanted = host(count / 2);
    assert_eq!(find(&router, &wanted, "/orders/4711"), Some(count / 2));
    bencher.bench(|| find(&router, &wanted, "/orders/4711"));
}

#[divan::bench(args = COUNTS)]
fn by_host_where_the_path_is_first(bencher: Bencher<'_, '_>, count: usize) {
    let host = |number| format!("service-{number}.example");
    let router = router(RouterMode::Uri, count, |number| (vec![host(number)], "/*".to_owned()));
    let wanted = host(count / 2);
    assert_eq!(find(&router, &wanted, "/orders/4711"), Some(count / 2));
    bencher.bench(|| find(&router, &wanted, "/orders/4711"));
}

#[divan::bench(args = COUNTS)]
fn none_that_fits(bencher: Bencher<'_, '_>, count: usize) {
    let router = router(RouterMode::HostUri, count, |number| {
        (Vec::new(), format!("/api/v1/service-{number}/*"))
    });
    assert_eq!(find(&router, "api.example", "/api/v1/service-/orders"), None);
    bencher.bench(|| find(&router, "api.example", "/api/v1/service-/orders"));
}
