//! Numbers that are asked for, each at its bounds.

use serde_json::json;

use super::desk::Desk;
use super::play::Step;
use super::route;

#[tokio::test]
async fn lists_revisions_and_digests_have_bounds() {
    let desk = Desk::open();
    let sizes = [(9, 400), (10, 200), (11, 200), (499, 200), (500, 200), (501, 400)];
    for (size, status) in sizes {
        let path = format!("/apisix/admin/routes?page_size={size}");
        assert_eq!(desk.ask(&Step::of("GET", &path, "")).await.status, status, "{path}");
    }
    for (limit, status) in [(0, 400), (1, 200), (2, 200), (999, 200), (1_000, 200), (1_001, 400)] {
        let path = format!("/bartizan/v1/revisions?limit={limit}");
        assert_eq!(desk.ask(&Step::of("GET", &path, "")).await.status, status, "{path}");
    }
    for (length, status) in [(0, 400), (1, 200), (511, 200), (512, 200), (513, 400)] {
        let mut step = Step::of("PUT", "/apisix/admin/configs?dry_run=true", "{}");
        step.fields.push(("X-Digest".to_owned(), "d".repeat(length)));
        assert_eq!(desk.ask(&step).await.status, status, "a digest of {length} bytes");
    }
    for (count, status) in [(63, 200), (64, 200), (65, 400)] {
        let path = format!("/apisix/admin/routes?{}", "a=b&".repeat(count));
        assert_eq!(desk.ask(&Step::of("GET", &path, "")).await.status, status, "{count}");
    }
    for (life, status) in [("0", 400), ("1", 201), ("x", 400), ("18446744073709551616", 400)] {
        let path = format!("/apisix/admin/upstreams/{life}?ttl={life}");
        let body = json!({ "nodes": { "127.0.0.1:1": 1 } }).to_string();
        assert_eq!(desk.ask(&Step::of("PUT", &path, &body)).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_change_gives_way_sixteen_times() {
    let put = Step::of("PUT", "/apisix/admin/routes/1", &route("/a").to_string());
    for (rivals, status) in [(15, 201), (16, 201), (17, 409)] {
        let desk = Desk::open();
        assert_eq!(desk.ask(&Step::of("GET", "/apisix/admin/routes", "")).await.status, 200);
        desk.have_rivals(rivals);
        assert_eq!(desk.ask(&put).await.status, status, "{rivals}");
    }
}

#[tokio::test]
async fn where_too_much_waits_for_its_turn_one_is_to_come_back() {
    let desk = Desk::open();
    assert_eq!(desk.ask(&Step::of("GET", "/apisix/admin/routes", "")).await.status, 200);
    desk.be_busy();
    for (method, path) in
        [("PUT", "/apisix/admin/routes/1"), ("POST", "/apisix/admin/configs/validate")]
    {
        let answer = desk.ask(&Step::of(method, path, &json!({ "uri": "/a" }).to_string())).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.fields.contains(&("retry-after".to_owned(), "1".to_owned())), "{path}");
    }
}

/// What comes of going back to a revision, tried only.
async fn back(desk: &Desk, body: &serde_json::Value) -> u16 {
    desk.ask(&Step::of("POST", "/bartizan/v1/rollback?dry_run=true", &body.to_string()))
        .await
        .status
}

#[tokio::test]
async fn everything_goes_back_over_ten_thousand_writes() {
    for (writes, status) in [(9_999, 200), (10_000, 404)] {
        let desk = Desk::open().keeping(20_000);
        // The key of the seal is written before anything else.
        assert_eq!(desk.ask(&Step::of("GET", "/apisix/admin/routes", "")).await.status, 200);
        desk.write_upstreams(std::iter::once("first".to_owned())).await;
        let first = desk.revision();
        desk.write_upstreams((0..writes).map(|n| format!("u{n}"))).await;
        assert_eq!(back(&desk, &json!({ "revision": first })).await, status, "{writes}");
    }
}

#[tokio::test]
async fn an_object_goes_back_over_a_thousand_of_its_revisions() {
    let desk = Desk::open().keeping(20_000);
    let mut numbers = Vec::new();
    for _ in 0..1_001 {
        desk.write_upstreams(std::iter::once("u".to_owned())).await;
        numbers.push(desk.revision());
        if numbers.len() >= 999 {
            let (gone, kept) = numbers.split_at(numbers.len().saturating_sub(1_000));
            for (numbers, status) in [(gone, 404), (kept, 200)] {
                let Some(number) = numbers.first() else { continue };
                let body = json!({ "revision": number, "object": "upstreams/u" });
                assert_eq!(back(&desk, &body).await, status, "{number}");
            }
        }
    }
}
