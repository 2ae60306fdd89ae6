//! Time stands still until a test moves it.

use std::time::Duration;

use bartizan_testkit::{Gateway, START, run};

use crate::OPEN;

#[test]
fn wall_time_and_timers_move_together() {
    run(async {
        let gw = Gateway::of(OPEN);
        assert_eq!(gw.now(), START);
        let before = tokio::time::Instant::now();
        gw.advance(Duration::from_secs(90)).await;
        assert_eq!(gw.now().as_secs(), START.as_secs() + 90);
        assert_eq!(before.elapsed(), Duration::from_secs(90));
    });
}

#[test]
fn deadlines_are_met_without_waiting() {
    run(async {
        let gw = Gateway::of(OPEN);
        let reply = gw.raw("GET / HTTP/1.1\r\nHost: a\r\n").send().await;
        reply.expect(408).reason("http.client_timeout");
    });
}

/// Counters are kept in shards, so that a limit of one key is one for each shard: of more keys
/// than shards, some find no room.
#[test]
fn a_flood_of_keys_is_refused_and_live_keys_stay() {
    run(async {
        let gw = Gateway::builder()
            .node("limits: {limit_keys: 1}")
            .resources(
                r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins:
    anonymous-access: {reason: a test}
    limit-count: {count: 1000, time_window: 60, key: http_x_tenant}
"#,
            )
            .start();
        let known = gw.get("/").header("x-tenant", "known").send().await;
        known.expect(200);
        let mut refused = 0;
        for number in 0..65 {
            let reply = gw.get("/").header("x-tenant", &number.to_string()).send().await;
            if reply.status() != 200 {
                reply.expect(429).reason("limit.exceeded");
                refused += 1;
            }
        }
        assert!(refused > 0);
        gw.get("/").header("x-tenant", "known").send().await.expect(200);
    });
}
