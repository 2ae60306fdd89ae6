//! How often registries are asked that answer well and fail by turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bartizan_config::RegistryType;
use bartizan_testkit::{Answer, run};
use serde_json::json;

use crate::{Scene, pass, settle};

const SERVER: &str = "kube.test:8080";

/// A Kubernetes whose watches fail at once as long as that is set, and how often it was asked for a
/// list.
fn scene() -> (Scene, Arc<AtomicBool>, Arc<AtomicU32>) {
    let scene = Scene::of(&json!({ "kubernetes": {
        "server": "http://kube.test:8080", "token": "t", "danger_plaintext": true,
    } }));
    let (fails, lists) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU32::new(0)));
    let (seen_fails, seen_lists) = (fails.clone(), lists.clone());
    scene.remotes.respond(SERVER, move |seen| {
        if !seen.target.contains("watch=true") {
            seen_lists.fetch_add(1, Ordering::Relaxed);
            let body = json!({ "metadata": { "resourceVersion": "1" }, "items": [] });
            return Answer::json(200, &body.to_string());
        }
        if seen_fails.load(Ordering::Relaxed) {
            return Answer::status(500);
        }
        // A watch that ends well, after a while.
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").after(Duration::from_secs(2))
    });
    (scene, fails, lists)
}

async fn pass_in_steps(seconds: u64) {
    for _ in 0..seconds * 4 {
        pass(Duration::from_millis(250)).await;
    }
}

#[test]
fn a_good_answer_before_each_failure_does_not_shorten_the_waits() {
    run(async {
        let (scene, _, lists) = scene();
        let _orders = scene.try_service(RegistryType::Kubernetes, "shop/orders:80").unwrap();
        settle().await;
        pass_in_steps(120).await;
        // Waits of half a second, one, two, four, eight, sixteen and thirty, or half of each.
        let asked = lists.load(Ordering::Relaxed);
        assert!((7..=14).contains(&asked), "{asked}");
    });
}

#[test]
fn two_good_answers_in_a_row_shorten_the_waits_again() {
    run(async {
        let (scene, fails, lists) = scene();
        let _orders = scene.try_service(RegistryType::Kubernetes, "shop/orders:80").unwrap();
        settle().await;
        pass_in_steps(60).await;
        fails.store(false, Ordering::Relaxed);
        // The longest wait, and a watch that ends well.
        pass_in_steps(40).await;
        fails.store(true, Ordering::Relaxed);
        let before = lists.load(Ordering::Relaxed);
        pass_in_steps(7).await;
        // At once, after half a second, one and two.
        let asked = lists.load(Ordering::Relaxed) - before;
        assert!(asked >= 3, "{asked}");
    });
}
