//! What requests come to where health checks speak against servers.

use std::time::Duration;

use bartizan_testkit::{Answer, Gateway, run};

/// A server that takes no requests says nothing about those that do.
#[test]
fn where_everyone_who_serves_is_unhealthy_and_that_is_meant_all_are_tried() {
    run(async {
        let gw = Gateway::of(
            r#"
routes:
- uri: /*
  plugins: {anonymous-access: {reason: a test}}
  upstream:
    nodes: {"10.0.0.1:80": 1, "10.0.0.2:80": 1, "10.0.0.3:80": 0}
    checks:
      danger_use_unhealthy: true
      active:
        type: tcp
        healthy: {interval: 1, successes: 1}
        unhealthy: {interval: 1, tcp_failures: 1}
"#,
        );
        for node in ["10.0.0.1:80", "10.0.0.2:80"] {
            gw.remotes().refuse(node, true);
        }
        for _ in 0..3 {
            gw.advance(Duration::from_secs(1)).await;
        }
        assert_eq!(gw.metrics().matches("bartizan_upstream_healthy{").count(), 3);
        gw.upstream().answer(Answer::close());
        gw.get("/").send().await.expect(200);
        let nodes: Vec<_> = gw.upstream().requests().iter().map(|seen| seen.node.clone()).collect();
        assert!(nodes.len() == 2 && nodes[0] != nodes[1], "{nodes:?}");
        assert!(!nodes.contains(&"10.0.0.3:80".to_owned()), "{nodes:?}");
    });
}
