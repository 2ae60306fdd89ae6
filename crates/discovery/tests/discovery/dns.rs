//! Servers found by DNS.

use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use bartizan_config::RegistryType;
use bartizan_discovery::{FOLLOWED_MAX, Follower, Found, Service};
use bartizan_testkit::{DnsDouble, DnsRecord, run};
use serde_json::json;

use crate::{Scene, Told, list, pass, settle, some};

const SERVER: &str = "10.0.0.53:53";
const NAME: &str = "orders.test";

fn scene(settings: &serde_json::Value) -> (Scene, DnsDouble) {
    let (scene, dns) = (Scene::of(settings), DnsDouble::default());
    scene.remotes.dns(SERVER, &dns);
    (scene, dns)
}

fn usual() -> (Scene, DnsDouble) {
    scene(&json!({ "dns": { "servers": ["10.0.0.53"] } }))
}

fn service(scene: &Scene, name: &str) -> Arc<Service> {
    scene.try_service(RegistryType::Dns, name).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn addresses_are_used_as_long_as_they_hold_and_then_asked_for_by_the_type_that_there_was() {
    run(async {
        let (scene, dns) = usual();
        dns.addresses(NAME, 30, &["10.1.0.2", "10.1.0.1"]);
        let orders = service(&scene, NAME);
        assert_eq!(list(&orders), None);
        settle().await;
        assert_eq!(list(&orders), some(&["10.1.0.1:- 1/0", "10.1.0.2:- 1/0"]));
        assert_eq!(dns.take(), ["SRV orders.test", "A orders.test"]);
        pass(Duration::from_millis(29_999)).await;
        assert!(dns.take().is_empty());
        dns.addresses(NAME, 30, &["10.1.0.3"]);
        pass(Duration::from_millis(1)).await;
        assert_eq!(dns.take(), ["A orders.test"]);
        assert_eq!(list(&orders), some(&["10.1.0.3:- 1/0"]));
        assert_eq!(scene.counts(), (0, 2));
    });
}

#[test]
fn answers_hold_a_second_at_least_and_an_hour_at_most() {
    run(async {
        for (ttl, hold) in [(0, 1), (1, 1), (3_600, 3_600), (3_601, 3_600), (u32::MAX, 3_600)] {
            let (scene, dns) = usual();
            dns.addresses(NAME, ttl, &["10.1.0.1"]);
            let _orders = service(&scene, NAME);
            pass(Duration::from_millis(hold * 1_000 - 1)).await;
            assert_eq!(dns.take().len(), 2, "{ttl}");
            pass(Duration::from_millis(1)).await;
            assert_eq!(dns.take().len(), 1, "{ttl}");
        }
    });
}

#[test]
fn who_follows_is_told_each_list_that_differs_and_the_last_one_at_once() {
    run(async {
        let (scene, dns) = usual();
        dns.addresses(NAME, 1, &["10.1.0.1", "10.1.0.2"]);
        let orders = service(&scene, NAME);
        let early = Arc::new(Told::default());
        let weak: Weak<Told> = Arc::downgrade(&early);
        assert!(!orders.tell(weak as Weak<dyn Follower>));
        settle().await;
        // The same in another order is the same.
        dns.addresses(NAME, 1, &["10.1.0.2", "10.1.0.1"]);
        pass(seconds(1)).await;
        dns.addresses(NAME, 1, &["10.1.0.2"]);
        pass(seconds(1)).await;
        let both = vec!["10.1.0.1:- 1/0".to_owned(), "10.1.0.2:- 1/0".to_owned()];
        let one = vec!["10.1.0.2:- 1/0".to_owned()];
        assert_eq!(*early.0.lock().unwrap(), [both, one.clone()]);
        let late = Arc::new(Told::default());
        let weak: Weak<Told> = Arc::downgrade(&late);
        assert!(orders.tell(weak as Weak<dyn Follower>));
        assert_eq!(*late.0.lock().unwrap(), [one]);
    });
}

/// Notes whether another thread could ask the service while it was told.
#[derive(Default)]
struct Asks(OnceLock<Weak<Service>>, Mutex<Vec<bool>>);

impl Follower for Asks {
    fn take(&self, _list: &[Found]) {
        let service = self.0.get().and_then(Weak::upgrade).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send((service.failing(), service.list().is_some())));
        let answer = told.recv_timeout(seconds(10));
        self.1.lock().unwrap().push(answer == Ok((None, true)));
    }
}

#[test]
fn nobody_who_asks_waits_for_those_who_are_told() {
    run(async {
        let (scene, dns) = usual();
        dns.addresses(NAME, 1, &["10.1.0.1"]);
        let orders = service(&scene, NAME);
        let asks = Arc::new(Asks::default());
        asks.0.set(Arc::downgrade(&orders)).unwrap();
        let weak: Weak<Asks> = Arc::downgrade(&asks);
        orders.tell(weak.clone());
        settle().await;
        orders.tell(weak);
        assert_eq!(*asks.1.lock().unwrap(), [true, true]);
    });
}

#[test]
fn an_outage_keeps_the_last_good_list_and_is_asked_about_ever_less_often() {
    run(async {
        let (scene, dns) = usual();
        dns.addresses(NAME, 1, &["10.1.0.1"]);
        let orders = service(&scene, NAME);
        settle().await;
        dns.fail(true);
        pass(seconds(1)).await;
        assert_eq!(scene.counts(), (1, 1));
        assert!(orders.failing().unwrap().contains("ServerFailure"));
        dns.take();
        for _ in 0..3_600 {
            pass(seconds(1)).await;
        }
        let asked = dns.take().len();
        // Every 15 to 30 seconds in the end.
        assert!((120..=250).contains(&asked), "{asked}");
        assert_eq!(list(&orders), some(&["10.1.0.1:- 1/0"]));
        dns.fail(false);
        pass(seconds(30)).await;
        assert_eq!((scene.counts(), orders.failing()), ((0, 1), None));
    });
}

#[test]
fn what_is_no_answer_keeps_the_last_good_list() {
    run(async {
        let (scene, dns) = usual();
        dns.addresses(NAME, 1, &["10.1.0.1"]);
        let orders = service(&scene, NAME);
        settle().await;
        for bytes in [vec![], vec![0; 12], vec![0xff; 4_000]] {
            dns.instead(Some(bytes));
            pass(seconds(31)).await;
            assert_eq!((list(&orders), scene.counts().0), (some(&["10.1.0.1:- 1/0"]), 1));
            dns.instead(None);
            pass(seconds(31)).await;
            assert_eq!(scene.counts(), (0, 1));
        }
        dns.silence(true);
        pass(seconds(31)).await;
        pass(seconds(3)).await;
        assert_eq!(list(&orders), some(&["10.1.0.1:- 1/0"]));
        assert!(orders.failing().unwrap().contains("no answer within"));
    });
}

#[test]
fn a_name_that_is_gone_has_no_servers() {
    run(async {
        let (scene, dns) = usual();
        let orders = service(&scene, NAME);
        settle().await;
        assert_eq!(list(&orders), some(&[]));
        dns.addresses(NAME, 1, &["10.1.0.1"]);
        pass(Duration::from_millis(4_999)).await;
        assert_eq!(list(&orders), some(&[]));
        pass(Duration::from_millis(1)).await;
        assert_eq!(list(&orders), some(&["10.1.0.1:- 1/0"]));
        dns.put(NAME, 1, Vec::new());
        pass(seconds(1)).await;
        assert_eq!(list(&orders), some(&[]));
    });
}

#[test]
fn srv_records_say_ports_weights_and_priorities() {
    run(async {
        let (scene, dns) = usual();
        let host = |priority, weight, port, name: &str| {
            DnsRecord::Service(priority, weight, port, name.to_owned())
        };
        dns.put(
            NAME,
            60,
            vec![
                host(10, 60, 8_080, "a.test"),
                host(10, 20, 8_080, "b.test"),
                host(20, 0, 0, "a.test"),
                host(10, 1, 1, "gone.test"),
            ],
        );
        dns.addresses("a.test", 5, &["10.1.0.1"]);
        dns.addresses("b.test", 60, &["10.1.0.2", "10.1.0.3"]);
        let orders = service(&scene, NAME);
        let own_port = service(&scene, "orders.test:9090");
        settle().await;
        let expected = [
            "10.1.0.1:8080 60/-10",
            "10.1.0.2:8080 10/-10",
            "10.1.0.3:8080 10/-10",
            "10.1.0.1:- 1/-20",
        ];
        assert_eq!(list(&orders), some(&expected));
        let expected = [
            "10.1.0.1:9090 60/-10",
            "10.1.0.2:9090 10/-10",
            "10.1.0.3:9090 10/-10",
            "10.1.0.1:9090 1/-20",
        ];
        assert_eq!(list(&own_port), some(&expected));
        assert!(orders.list().unwrap().iter().all(|one| one.name.as_deref() == Some(NAME)));
        // They hold as long as the addresses behind them.
        dns.take();
        pass(seconds(5)).await;
        assert!(dns.take().contains(&"SRV orders.test".to_owned()));
    });
}

#[test]
fn the_type_that_counted_is_not_replaced_by_another_while_it_cannot_be_had() {
    run(async {
        let (scene, dns) = usual();
        dns.put(NAME, 1, vec![DnsRecord::Service(0, 1, 80, "a.test".to_owned())]);
        dns.addresses("a.test", 1, &["10.1.0.1"]);
        let orders = service(&scene, NAME);
        settle().await;
        assert_eq!(list(&orders), some(&["10.1.0.1:80 1/0"]));
        dns.fail(true);
        pass(seconds(1)).await;
        dns.take();
        pass(seconds(1)).await;
        let asked = dns.take();
        assert!(asked.iter().all(|asked| asked.starts_with("SRV")), "{asked:?}");
        assert_eq!(list(&orders), some(&["10.1.0.1:80 1/0"]));
    });
}

#[test]
fn records_are_asked_for_in_the_order_that_the_node_says() {
    run(async {
        for (order, asked, found) in [
            (json!(["A", "SRV"]), vec!["A orders.test"], "10.1.0.1:- 1/0"),
            (json!(["AAAA", "A"]), vec!["AAAA orders.test"], "2001:db8::1:- 1/0"),
            (json!(["CNAME", "A"]), vec!["CNAME orders.test", "A other.test"], "10.1.0.9:- 1/0"),
        ] {
            let (scene, dns) = scene(&json!({ "dns": { "servers": [SERVER], "order": order } }));
            let addresses = ["10.1.0.1", "2001:db8::1"];
            let mut records: Vec<DnsRecord> = addresses
                .iter()
                .map(|address| DnsRecord::Address(address.parse().unwrap()))
                .collect();
            records.push(DnsRecord::Alias("other.test".to_owned()));
            dns.put(NAME, 60, records);
            dns.addresses("other.test", 60, &["10.1.0.9"]);
            let orders = service(&scene, NAME);
            settle().await;
            assert_eq!(
                (dns.take(), list(&orders)),
                (asked.iter().map(|a| (*a).to_owned()).collect(), some(&[found]))
            );
        }
    });
}

#[test]
fn another_server_is_asked_where_one_does_not_answer() {
    run(async {
        let servers = json!({ "dns": { "servers": ["10.0.0.52", "10.0.0.53"] } });
        let (scene, dns) = scene(&servers);
        scene.remotes.refuse("10.0.0.52:53", true);
        dns.addresses(NAME, 60, &["10.1.0.1"]);
        let orders = service(&scene, NAME);
        settle().await;
        assert_eq!(list(&orders), some(&["10.1.0.1:- 1/0"]));
    });
}

#[test]
fn a_service_is_followed_once_and_as_long_as_somebody_holds_it() {
    run(async {
        let (scene, dns) = usual();
        dns.addresses(NAME, 1, &["10.1.0.1"]);
        let (one, other) = (service(&scene, NAME), service(&scene, NAME));
        settle().await;
        assert_eq!(dns.take().len(), 2);
        drop(one);
        pass(seconds(1)).await;
        assert_eq!(dns.take().len(), 1);
        dns.fail(true);
        pass(seconds(1)).await;
        assert_eq!(scene.counts().0, 1);
        drop(other);
        dns.take();
        pass(seconds(60)).await;
        assert!(dns.take().is_empty());
        assert_eq!(scene.counts().0, 0);
    });
}

#[test]
fn srv_records_of_one_host_too_many_are_refused() {
    run(async {
        for (count, is_told) in [(64_u8, true), (65, false)] {
            let (scene, dns) = usual();
            let hosts = (0..count).map(|n| format!("h{n}.test"));
            let records = hosts.clone().map(|host| DnsRecord::Service(0, 1, 80, host));
            dns.put(NAME, 60, records.collect());
            for (n, host) in hosts.enumerate() {
                dns.addresses(&host, 60, &[&format!("10.1.0.{n}")]);
            }
            let orders = service(&scene, NAME);
            for _ in 0..8 {
                settle().await;
            }
            assert_eq!(orders.list().map(|list| list.len()), is_told.then_some(64), "{count}");
        }
    });
}

#[test]
fn many_records_of_one_host_with_many_addresses_are_refused_before_they_are_multiplied() {
    run(async {
        let (scene, dns) = usual();
        let record = |port| DnsRecord::Service(0, 1, port, "a.test".to_owned());
        dns.put(NAME, 60, (1..=1_000).map(record).collect());
        let addresses: Vec<String> = (0..200).map(|n| format!("10.1.0.{n}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        dns.addresses("a.test", 60, &addresses);
        let orders = service(&scene, NAME);
        settle().await;
        // Of 200,000 servers only those are counted with which there are too many.
        assert_eq!(orders.failing().as_deref(), Some("4200 servers, more than 4096"));
        assert_eq!(list(&orders), None);
    });
}

#[test]
fn what_no_dns_server_could_know_is_refused() {
    let (scene, _) = usual();
    for (name, problem) in [
        ("orders:0", "`orders:0` has no port from 1 to 65535"),
        ("orders:x", "`orders:x` has no port from 1 to 65535"),
        ("10.0.0.1", "`10.0.0.1` is no name that DNS could know"),
        ("[::1]:80", "`[::1]` is no name that DNS could know"),
        ("a b", "`a b` is no name that DNS could know"),
        (":80", "`` is no name that DNS could know"),
    ] {
        let refused = scene.try_service(RegistryType::Dns, name).unwrap_err();
        assert_eq!(refused.problem, problem);
    }
}

#[test]
fn so_many_services_are_followed_and_no_more() {
    run(async {
        let (scene, _dns) = usual();
        let mut held: Vec<_> =
            (0..FOLLOWED_MAX).map(|n| service(&scene, &format!("h{n}.test"))).collect();
        let refused = scene.try_service(RegistryType::Dns, NAME).unwrap_err();
        assert_eq!(refused.problem, "2048 services are followed already");
        held.pop();
        assert!(scene.try_service(RegistryType::Dns, NAME).is_ok());
    });
}
