use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_audit::AuditOptions;
use bartizan_config::{ActiveCheck, CheckKind, PassiveCheck};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Limits, ManualClock};
use bartizan_net::{ConnectError, ConnectPhase, Reach, Target, Task, UpstreamIo};
use bytes::Bytes;
use tokio::time::Instant;

use super::prober::{PROBES_MAX, SHARE_MAX};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Servers of which each port does as it is told, and when they were asked.
#[derive(Debug, Default)]
struct Servers {
    asked: Mutex<Vec<(u16, Instant)>>,
    refusing: Mutex<Vec<u16>>,
    hanging: Mutex<Vec<u16>>,
    /// Connections that take so long, and how many are under way at once at most.
    takes: Mutex<Duration>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Servers {
    fn times(&self, port: u16) -> Vec<Instant> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(own, _)| *own == port).map(|(_, at)| *at).collect()
    }

    fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// A connection that is being made, until it is or nobody waits for it any more.
struct UnderWay<'a>(&'a Servers);

impl<'a> UnderWay<'a> {
    fn on(servers: &'a Servers) -> Self {
        let now = servers.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        servers.most.fetch_max(now, Ordering::Relaxed);
        Self(servers)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Reach for Servers {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>> {
        Box::pin(async move {
            let (host, port) = (target.host.clone(), target.port);
            self.asked.lock().unwrap().push((port, Instant::now()));
            let _under_way = UnderWay::on(self);
            let takes = *self.takes.lock().unwrap();
            let is_hanging = self.hanging.lock().unwrap().contains(&port);
            tokio::time::sleep(if is_hanging { limit } else { takes }).await;
            if is_hanging {
                return Err(ConnectError::Timeout { host, phase: ConnectPhase::Connect, limit });
            }
            if self.refusing.lock().unwrap().contains(&port) {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let error = std::io::ErrorKind::ConnectionRefused.into();
                return Err(ConnectError::Io { host, address, error });
            }
            Ok(UpstreamIo::Virtual(tokio::io::duplex(64).0))
        })
    }

    fn send_datagrams<'a>(
        &'a self,
        _: &'a Target,
        _: &'a [Bytes],
        _: Duration,
    ) -> Task<'a, Result<(), ConnectError>> {
        unreachable!("probes are no datagrams")
    }

    fn spawn(&self, task: Task<'static, ()>) {
        tokio::task::spawn(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}

struct Bench {
    servers: Arc<Servers>,
    prober: Prober,
    audit: AuditLog,
}

impl Bench {
    fn new() -> Self {
        let servers = Arc::new(Servers::default());
        let limits = Limits::default();
        let options = AuditOptions::new(Vec::new(), &limits, SharedMetrics::default());
        let audit = AuditLog::open(options).unwrap();
        let clock = Clock::Manual(ManualClock::at(Timestamp::from_secs(7)));
        let prober = Prober::new(servers.clone(), &limits, audit.clone(), clock);
        Self { servers, prober, audit }
    }

    fn voice(&self) -> Voice<'_> {
        Voice { audit: &self.audit, clock: &Clock::System }
    }
}

fn rule(successes: u8, failures: u8) -> CheckRule {
    CheckRule {
        good: [200].into(),
        bad: [500].into(),
        successes,
        http_failures: failures,
        tcp_failures: failures,
        timeouts: failures,
    }
}

fn checks(change: impl FnOnce(&mut HealthChecks)) -> Arc<HealthChecks> {
    let mut checks = HealthChecks {
        active: ActiveCheck {
            kind: CheckKind::Tcp,
            timeout: SECOND,
            concurrency: 10,
            method: "GET",
            path: "/".into(),
            body: "".into(),
            host: None,
            port: None,
            fields: Vec::new(),
            danger_verify_off: false,
            healthy_every: 10 * SECOND,
            unhealthy_every: 2 * SECOND,
            rule: rule(2, 2),
        },
        passive: Some(PassiveCheck { kind: CheckKind::Http, rule: rule(0, 3) }),
        danger_use_unhealthy: false,
    };
    change(&mut checks);
    Arc::new(checks)
}

fn origin(id: &str) -> ResourceRef {
    ResourceRef { kind: ResourceKind::Upstream, id: id.into() }
}

fn probe(port: u16) -> Probe {
    let target = Target { host: "h".into(), port, tls: None };
    let label: Arc<str> = format!("h:{port}").into();
    Probe::new(label.clone(), target, label)
}

fn health(
    id: &str,
    checks: &Arc<HealthChecks>,
    ports: impl IntoIterator<Item = u16>,
    before: Option<&Arc<Health>>,
) -> Arc<Health> {
    let probes = ports.into_iter().map(probe).collect();
    let form = Arc::new(Form::compile(&checks.active).unwrap());
    Health::new(&origin(id), checks, form, probes, before)
}

fn healthy(health: &Health) -> Vec<bool> {
    health.standings().iter().map(|standing| standing.is_healthy()).collect()
}

/// Runs with a clock that moves when everything waits.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test);
}

#[test]
fn probes_begin_by_themselves_and_come_at_the_interval_of_the_state() {
    run(async {
        let bench = Bench::new();
        let health = health("u", &checks(|_| {}), [1, 2], None);
        bench.servers.refusing.lock().unwrap().push(2);
        let start = Instant::now();
        bench.prober.follow_all(std::slice::from_ref(&health));
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(healthy(&health), [true, false]);
        let times = bench.servers.times(1);
        assert!(times[0] - start <= 5 * SECOND, "{times:?}");
        for (one, two) in times.iter().zip(&times[1..]) {
            let wait = *two - *one;
            assert!(wait > 8 * SECOND && wait < 12 * SECOND, "{wait:?}");
        }
        let times = bench.servers.times(2);
        assert!(times[1] - times[0] > 8 * SECOND, "healthy until the second failure");
        for (one, two) in times[1..].iter().zip(&times[2..]) {
            let wait = *two - *one;
            assert!(wait > SECOND && wait < 3 * SECOND, "{wait:?}");
        }
        let last = health.standings().last().unwrap().last().unwrap();
        assert_eq!(last.at, Timestamp::from_secs(7));
        assert!(last.fault.unwrap().contains("refused"));
        // It is back after two probes that succeed.
        bench.servers.refusing.lock().unwrap().clear();
        let before = bench.servers.times(2).len();
        while bench.servers.times(2).len() < before + 2 {
            assert_eq!(healthy(&health), [true, false]);
            tokio::time::sleep(SECOND / 100).await;
        }
        tokio::time::sleep(SECOND / 10).await;
        assert_eq!(healthy(&health), [true, true]);
        assert!(health.standings().last().unwrap().last().unwrap().fault.is_none());
    });
}

#[test]
fn a_probe_that_takes_too_long_speaks_against_the_server() {
    run(async {
        let bench = Bench::new();
        let health = health("u", &checks(|checks| checks.active.rule.timeouts = 1), [1], None);
        bench.servers.hanging.lock().unwrap().push(1);
        bench.prober.follow_all(std::slice::from_ref(&health));
        while bench.servers.count() == 0 {
            tokio::time::sleep(SECOND / 100).await;
        }
        assert_eq!(healthy(&health), [true]);
        tokio::time::sleep(SECOND).await;
        assert_eq!(healthy(&health), [false]);
        let counts = health.standings()[0].counts();
        assert_eq!((counts.timeouts, counts.tcp_failures), (1, 0));
    });
}

#[test]
fn so_many_probes_of_an_upstream_and_of_the_node_are_under_way_at_once() {
    run(async {
        let bench = Bench::new();
        *bench.servers.takes.lock().unwrap() = SECOND / 2;
        let few = checks(|checks| checks.active.concurrency = 3);
        bench.prober.follow_all(&[health("few", &few, 0..50, None)]);
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(bench.servers.most.load(Ordering::Relaxed), 3);
        // One that asks for more than its share does not keep another from its turn.
        let many = checks(|checks| checks.active.concurrency = 1_024);
        let long = health("a", &many, 0..1_000, None);
        let other = health("other", &checks(|_| {}), [5_000], None);
        *bench.servers.takes.lock().unwrap() = 20 * SECOND;
        bench.prober.follow_all(&[long.clone(), other.clone()]);
        tokio::time::sleep(6 * SECOND).await;
        assert_eq!(bench.servers.most.load(Ordering::Relaxed), SHARE_MAX + 1);
        assert_eq!(bench.servers.times(5_000).len(), 1);
        let more = (0..20).map(|n| health(&format!("more{n}"), &many, 0..1_000, None));
        let all: Vec<_> = more.chain([long, other]).collect();
        bench.prober.follow_all(&all);
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(bench.servers.most.load(Ordering::Relaxed), PROBES_MAX);
        // Whoever waits for a turn is not late by it.
        assert!(all.iter().all(|health| healthy(health).iter().all(|healthy| *healthy)));
    });
}

#[test]
fn probes_follow_the_configuration_and_end_with_the_node() {
    run(async {
        let bench = Bench::new();
        let [one, two] = ["one", "two"].map(|id| health(id, &checks(|_| {}), [1], None));
        let asked_for = async |wait: u32| {
            let before = bench.servers.count();
            tokio::time::sleep(SECOND * wait).await;
            bench.servers.count() - before
        };
        bench.prober.follow_all(&[one.clone(), two.clone()]);
        let both = asked_for(100).await;
        assert!((16..=24).contains(&both), "{both}");
        // Those that are followed already are not begun again.
        bench.prober.follow_all(&[one.clone(), two.clone()]);
        bench.prober.follow(&one.origin, Some(&one));
        let both = asked_for(100).await;
        assert!((16..=24).contains(&both), "{both}");
        bench.prober.follow_all(std::slice::from_ref(&one));
        assert!(bench.prober.find(&two.origin).is_none());
        let alone = asked_for(100).await;
        assert!((8..=12).contains(&alone), "{alone}");
        bench.prober.follow(&two.origin, Some(&two));
        bench.prober.follow(&one.origin, None);
        let alone = asked_for(100).await;
        assert!((8..=12).contains(&alone), "{alone}");
        let names: Vec<_> = bench.prober.all().iter().map(|all| all.origin.clone()).collect();
        assert_eq!(names, std::slice::from_ref(&two.origin));
        bench.prober.stop();
        assert_eq!(asked_for(100).await, 0);
        bench.prober.follow_all(std::slice::from_ref(&one));
        assert_eq!(asked_for(100).await, 0, "for good");
    });
}

#[test]
fn a_server_that_stays_keeps_its_state_whatever_changes_about_its_checks() {
    let bench = Bench::new();
    let same = checks(|_| {});
    let first = health("u", &same, [1, 2], None);
    let standing = first.standings()[0].clone();
    for _ in 0..3 {
        first.failed(&standing, Reason::UpstreamConnect, bench.voice());
    }
    assert_eq!(healthy(&first), [false, true]);
    let equal = checks(|_| {});
    assert!(Arc::ptr_eq(&health("u", &equal, [1, 2], Some(&first)), &first));
    let more = health("u", &equal, [3, 1], Some(&first));
    assert_eq!(healthy(&more), [true, false], "a server that stays keeps its state");
    assert_eq!(more.standings().last().unwrap().counts().tcp_failures, 3);
    let other = health("u", &checks(|checks| checks.active.port = Some(9)), [1, 2], Some(&first));
    assert_eq!(healthy(&other), [false, true], "other checks are no amnesty");
    assert_eq!(other.checks.active.port, Some(9));
    assert_eq!(healthy(&health("u", &equal, [2], Some(&first))), [true]);
    assert_eq!(healthy(&health("u", &equal, [1, 2], None)), [true, true]);
}

#[test]
fn another_list_of_servers_moves_no_date_of_those_that_stay() {
    run(async {
        let bench = Bench::new();
        let slow = checks(|checks| {
            checks.active.healthy_every = 10 * SECOND;
            checks.active.concurrency = 1;
        });
        let health = health("u", &slow, [1, 2], None);
        bench.prober.follow_all(std::slice::from_ref(&health));
        // Lists that come faster than anyone is probed, and while somebody is.
        *bench.servers.takes.lock().unwrap() = SECOND / 4;
        for n in 0..1_000_u16 {
            tokio::time::sleep(SECOND / 10).await;
            let probes = [3 + n % 2, 1].map(probe);
            health.exchange(probes.into());
        }
        let asked = bench.servers.times(1).len();
        assert!((8..=12).contains(&asked), "{asked}");
        assert!(bench.servers.times(2).len() <= 1);
        // Who comes is probed within five seconds.
        health.exchange(vec![probe(9)]);
        let asked = bench.servers.count();
        tokio::time::sleep(6 * SECOND).await;
        assert_eq!((bench.servers.times(9).len(), bench.servers.count()), (1, asked + 1));
        health.exchange(Vec::new());
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(bench.servers.count(), asked + 1);
        health.exchange(vec![probe(9)]);
        tokio::time::sleep(6 * SECOND).await;
        assert_eq!(bench.servers.times(9).len(), 2);
    });
}

#[test]
fn requests_speak_for_and_against_a_server_where_they_are_listened_to() {
    let bench = Bench::new();
    let with = |passive: Option<PassiveCheck>| {
        let health = health("u", &checks(|checks| checks.passive = passive), [1], None);
        let standing = health.standings()[0].clone();
        (health, standing)
    };
    let passive = |kind| Some(PassiveCheck { kind, rule: rule(1, 1) });
    let (health, standing) = with(passive(CheckKind::Http));
    for (reason, is_healthy) in [
        (Reason::UpstreamConnect, false),
        (Reason::UpstreamClosed, false),
        (Reason::UpstreamTimeout, false),
        (Reason::UpstreamMalformed, false),
        (Reason::ClientGone, true),
        (Reason::RequestTimeout, true),
        (Reason::RewriteRefused, true),
    ] {
        health.failed(&standing, reason, bench.voice());
        assert_eq!(standing.is_healthy(), is_healthy, "{reason:?}");
        health.answered(&standing, 404, false, bench.voice());
        assert_eq!(standing.is_healthy(), is_healthy, "404 counts neither way");
        health.answered(&standing, 200, false, bench.voice());
        assert!(standing.is_healthy());
    }
    health.answered(&standing, 500, true, bench.voice());
    assert!(standing.is_healthy(), "another was blamed for it");
    health.answered(&standing, 500, false, bench.voice());
    assert!(!standing.is_healthy());
    health.answered(&standing, 200, true, bench.voice());
    assert!(standing.is_healthy());
    health.answered(&standing, 500, false, bench.voice());
    assert!(!standing.is_healthy());
    // Of connections alone, statuses say nothing.
    let (health, standing) = with(passive(CheckKind::Tcp));
    health.answered(&standing, 500, false, bench.voice());
    assert!(standing.is_healthy());
    let (health, standing) = with(None);
    health.failed(&standing, Reason::UpstreamConnect, bench.voice());
    health.answered(&standing, 500, false, bench.voice());
    assert_eq!(standing.counts(), Counts::default());
}

#[test]
fn of_threads_that_count_at_once_one_is_told_of_a_change() {
    let standing = Standing::new("h:1".into());
    let rule = rule(1, 200);
    let told = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let change = standing.count(Outcome::HttpFailure, &rule);
                    told.fetch_add(usize::from(change.is_some()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(told.into_inner(), 1);
    assert_eq!(standing.counts().http_failures, 200);
    assert!(!standing.is_healthy());
}
