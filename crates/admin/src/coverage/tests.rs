use std::sync::Arc;
use std::sync::atomic::Ordering;

use bartizan_chain::Proofs;
use bartizan_core::Stage;

use super::samples::{ALL, Sample, SampleRoute, plugin};
use super::*;

const NONE: Proofs =
    Proofs { authentication: false, grant: false, limit: false, schema: false, waf: false };

fn coverage(version: u64, routes: Vec<SampleRoute>) -> Arc<Sample> {
    Arc::new(Sample { version, routes, ..Sample::default() })
}

fn select(coverage: &Arc<Sample>, matrices: &Matrices, filter: &Filter) -> Selection {
    let coverage: Arc<dyn Coverage> = coverage.clone();
    Selection::of(&coverage, matrices, filter)
}

fn ids(found: &Selection) -> Vec<&str> {
    found.rows.iter().map(|row| row.id.as_str()).collect()
}

/// The codes of the columns in which a route has a state.
fn columns(row: &Row, state: State) -> Vec<&'static str> {
    let cells = row.cells().filter(|(_, cell)| cell.state == state);
    cells.map(|(column, _)| column.code()).collect()
}

fn routes() -> Vec<SampleRoute> {
    let with = |id: &str, change: &dyn Fn(&mut SampleRoute)| {
        let mut route = SampleRoute::of(id);
        change(&mut route);
        route
    };
    vec![
        SampleRoute::of("whole"),
        with("bare", &|route| {
            (route.proofs, route.from, route.to) = (NONE, Way::InClear, Way::Unverified);
        }),
        with("open", &|route| (route.is_public, route.reason) = (true, Some("a page".into()))),
        with("undeclared", &|route| (route.is_public, route.proofs) = (true, NONE)),
        with("off", &|route| (route.is_enabled, route.proofs) = (false, NONE)),
        with("answers", &|route| (route.only_answers, route.proofs) = (true, NONE)),
        with("nameless", &|route| route.from = Way::NoCertificate("a.test".into())),
        with("local", &|route| (route.from, route.to) = (Way::ThisMachine, Way::ThisMachine)),
    ]
}

#[test]
fn each_filter_finds_the_routes_that_it_says() {
    let (coverage, matrices) = (coverage(1, routes()), Matrices::default());
    let proved = vec!["bare", "undeclared"];
    for (wanted, expected) in [
        (Wanted::AnyGap, vec!["bare", "undeclared", "nameless"]),
        (Wanted::Gap(Column::Authentication), proved.clone()),
        (Wanted::Gap(Column::Grant), proved.clone()),
        (Wanted::Gap(Column::Limit), proved.clone()),
        (Wanted::Gap(Column::Schema), proved.clone()),
        (Wanted::Gap(Column::Waf), proved),
        (Wanted::Gap(Column::ClientTls), vec!["bare", "nameless"]),
        (Wanted::Gap(Column::UpstreamTls), vec!["bare"]),
        (Wanted::Open, vec!["open", "undeclared"]),
    ] {
        let found = select(&coverage, &matrices, &Filter::new("", wanted));
        assert_eq!(ids(&found), expected, "{wanted:?}");
        assert_eq!(found.totals.of(wanted), expected.len(), "{wanted:?}");
        assert_eq!(Wanted::read(wanted.code()), Some(wanted));
    }
    let all = select(&coverage, &matrices, &Filter::new("", Wanted::All));
    assert_eq!((all.total, all.totals.served), (8, 7));
    assert_eq!(Wanted::read("nope"), None);
}

#[test]
fn a_row_agrees_with_the_filters_and_says_what_is_open_or_not_needed() {
    let (coverage, matrices) = (coverage(1, routes()), Matrices::default());
    let all = select(&coverage, &matrices, &Filter::new("", Wanted::All));
    for row in &all.rows {
        for (column, cell) in row.cells() {
            let found = select(&coverage, &matrices, &Filter::new("", Wanted::Gap(column)));
            let is_gap = ids(&found).contains(&row.id.as_str());
            assert_eq!(cell.state == State::Gap, is_gap, "{} {}", row.id, column.code());
        }
    }
    let row = |id: &str| all.rows.iter().find(|row| row.id == id).unwrap();
    assert_eq!(columns(row("open"), State::Open), ["authentication", "grant"]);
    assert_eq!(columns(row("off"), State::NotNeeded).len(), 7);
    assert_eq!(columns(row("answers"), State::Given), ["client_tls"]);
    assert_eq!(columns(row("whole"), State::Given).len(), 7);
}

#[test]
fn what_gives_a_protection_is_named_with_where_it_stands_and_what_does_not_always() {
    let mut route = SampleRoute::of("a");
    route.service = Some("shop".into());
    route.proofs = Proofs { limit: false, ..ALL };
    let authenticates = Proofs { authentication: true, ..NONE };
    let shared = CoveringPlugin {
        from: "service",
        ..plugin("jwt-auth", Stage::Authenticate, Proofs { grant: true, ..authenticates })
    };
    let sometimes = CoveringPlugin {
        is_conditional: true,
        ..plugin("limit-count", Stage::Meter, Proofs { limit: true, ..NONE })
    };
    let lax = plugin("acl", Stage::Authorize, NONE);
    // In two stages it is one plugin.
    let again = CoveringPlugin { stage: Stage::Authorize, ..shared };
    route.plugins = vec![shared, sometimes, again, lax];
    let coverage = coverage(1, vec![route]);
    let found = select(&coverage, &Matrices::default(), &Filter::new("", Wanted::All));
    let told = found.rows[0].to_json();
    let giver = serde_json::json!({ "plugin": "jwt-auth", "from": "service", "id": "shop" });
    assert_eq!(told["authentication"]["by"], serde_json::json!([giver]));
    assert_eq!(told["grant"]["by"], serde_json::json!([giver]));
    assert_eq!(told["grant"]["partly"][0]["plugin"], "acl");
    assert_eq!(told["limit"]["state"], "gap");
    assert_eq!(told["limit"]["partly"][0]["why"], "runs only where its filter holds");
    assert_eq!(
        told["client_tls"],
        serde_json::json!({ "state": "given", "way": "tls", "host": null })
    );
}

#[test]
fn text_is_looked_for_in_ids_names_paths_and_hosts_whatever_its_case() {
    let mut route = SampleRoute::of("Abc");
    (route.name, route.hosts) = (Some("Shop: Cart".into()), vec!["pay.example".into()]);
    let coverage = coverage(1, vec![route, SampleRoute::of("other")]);
    for (text, count) in
        [("abC", 1), ("shop: c", 1), ("PAY.ex", 1), ("/o", 1), ("e", 2), ("none", 0), ("  ", 2)]
    {
        let found = select(&coverage, &Matrices::default(), &Filter::new(text, Wanted::All));
        assert_eq!(found.total, count, "{text}");
    }
    assert!(Filter::new(&"é".repeat(300), Wanted::All).text.len() <= 200);
}

#[test]
fn pages_have_edges() {
    let routes = (0..101).map(|n| SampleRoute::of(&n.to_string())).collect();
    let (coverage, matrices) = (coverage(1, routes), Matrices::default());
    let mut filter = Filter::new("", Wanted::All);
    for (page, is, count, first) in [
        (0, 1, 50, "0"),
        (1, 1, 50, "0"),
        (2, 2, 50, "50"),
        (3, 3, 1, "100"),
        (4, 3, 1, "100"),
        (usize::MAX, 3, 1, "100"),
    ] {
        filter.page = page;
        let found = select(&coverage, &matrices, &filter);
        assert_eq!((found.page, found.pages, found.rows.len()), (is, 3, count), "{page}");
        assert_eq!(found.rows[0].id, first, "{page}");
    }
    filter.text = "none".to_owned();
    let none = select(&coverage, &matrices, &filter);
    assert_eq!((none.page, none.pages, none.total), (1, 1, 0));
}

#[test]
fn gaps_are_found_once_for_a_configuration_and_routes_in_full_for_a_page_only() {
    let routes: Vec<SampleRoute> = (0..10_000).map(|n| SampleRoute::of(&n.to_string())).collect();
    let first = coverage(1, routes.clone());
    let matrices = Matrices::default();
    let filter = Filter::new("9", Wanted::All);
    for _ in 0..3 {
        select(&first, &matrices, &filter);
    }
    let full = first.full_looks.load(Ordering::Relaxed);
    assert_eq!(full, 3 * PAGE);
    // The rows of a page say how clients reach them, too.
    assert_eq!(first.looks.load(Ordering::Relaxed), 10_000 + full);
    let mut changed = routes;
    changed[0].proofs.waf = false;
    let second = coverage(2, changed);
    let found = select(&second, &matrices, &Filter::new("", Wanted::Gap(Column::Waf)));
    assert_eq!(ids(&found), ["0"], "another version is looked at anew");
}
