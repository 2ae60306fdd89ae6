//! One request on its way through a chain, and its answer back.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    AnswerHead, Arrival, BodySource, Chain, Consumer, LocalAnswer, Matched, Outcome, Peer,
    Profiles, RequestCx, RouteFacts, Run, Screening,
};
use bartizan_core::{Clock, Denial};
use bartizan_plugins::AnyPlugin;
use bartizan_wire::{
    Canonical, Fields, HeadLimits, HeadScan, PathPolicy, Progress, Version, parse_request,
    parse_response,
};
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use crate::entries::Entry;
use crate::ground::Ground;

/// The body of every answer: 1 KiB.
const ANSWER: &[u8] = include_bytes!("../../../../bench/answer.json");
/// Its head.
const HEAD: &str = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    content-type: application/json\r\ncache-control: no-cache\r\ncontent-length: 1024\r\n\r\n";
/// The upstream, as plugins are told of it.
const UPSTREAM: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

/// A request that is made many times.
pub(crate) struct Traffic {
    canonical: Canonical,
    fields: Fields,
    body: Bytes,
    peer: Arc<Peer>,
    matched: Matched,
    answer: Fields,
    global: Arc<Chain<AnyPlugin>>,
}

/// The body, in one piece.
struct Whole(Bytes);

impl BodySource for Whole {
    fn collect<'a>(
        &'a mut self,
        _max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

/// The consumer has no plugins of its own.
struct NoProfiles;

impl Profiles<AnyPlugin> for NoProfiles {
    fn of(&self, _consumer: &Consumer) -> [Option<Arc<Chain<AnyPlugin>>>; 2] {
        [None, None]
    }
}

/// How a request went.
struct Passed {
    verdict: Result<Option<Box<LocalAnswer>>, Denial>,
    answered: Fields,
}

impl Traffic {
    /// The request of an entry.
    pub(crate) fn new(entry: &Entry) -> Self {
        let body = Bytes::from(entry.body());
        // Through the codec, so that fields lie in one block as those of real requests do.
        let mut text = format!("{} {} HTTP/1.1\r\n", entry.method(), entry.target());
        for (name, value) in entry.headers() {
            text.extend([name, ": ", value, "\r\n"]);
        }
        if !body.is_empty() {
            text.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
        }
        text.push_str("\r\n");
        let (mut buffer, limits) = (BytesMut::from(&*text), HeadLimits::default());
        let parsed = parse_request(&mut buffer, &mut HeadScan::default(), &limits);
        let Ok(Progress::Complete(head)) = parsed else { panic!("{text}: {parsed:?}") };
        let canonical = Canonical::from_request(&head, false, PathPolicy::default());
        let mut buffer = BytesMut::from(HEAD);
        let parsed = parse_response(&mut buffer, &mut HeadScan::default(), &limits, &Method::GET);
        let Ok(Progress::Complete(answer)) = parsed else { panic!("{parsed:?}") };
        let route: Arc<str> = Arc::from("orders");
        let facts = RouteFacts {
            id: route.clone(),
            name: Some(route),
            service_id: None,
            service_name: None,
            graphql_costs: None,
        };
        let local = SocketAddr::from(([127, 0, 0, 1], 9_080));
        Self {
            canonical: canonical.expect("a request that is canonical"),
            fields: head.fields,
            body,
            peer: Arc::new(Peer::new(SocketAddr::from(([127, 0, 0, 1], 50_000)), local, None)),
            matched: Matched {
                route: Arc::new(facts),
                uri: Arc::from(pattern(entry.target())),
                host: None,
            },
            answer: answer.fields,
            global: Arc::new(Chain::empty()),
        }
    }

    fn arrive(&self, ground: &Ground) -> Box<RequestCx> {
        let length = u64::try_from(self.body.len()).ok().filter(|length| *length > 0);
        let received = Clock::System.now();
        let arrival = Arrival {
            id: ground.ids.next(received),
            received,
            clock: ground.node.clock.clone(),
            version: Version::Http11,
            peer: self.peer.clone(),
            client: self.peer.address.ip(),
            canonical: self.canonical.clone(),
            fields: self.fields.clone(),
            consumers: ground.consumers.clone(),
            declared_length: length,
            body_max: 1_048_576,
            https_port: None,
            trusts_forwarded: false,
        };
        let mut cx = Box::new(RequestCx::new(arrival, Some(self.matched.clone())));
        cx.lend_http(&ground.http);
        cx
    }

    async fn exchange(&self, ground: &Ground, chain: &Arc<Chain<AnyPlugin>>) -> Passed {
        let cx = self.arrive(ground);
        let mut run = Run::new(cx, &self.global, Some(chain), &ground.node.limits);
        let mut source = Whole(self.body.clone());
        let verdict = match run.screen(&mut source, &NoProfiles).await {
            Ok(Screening::Proceed(_)) => Ok(None),
            Ok(Screening::Answer(answer)) => Ok(Some(answer)),
            Err(denial) => Err(denial),
        };
        run.cx_mut().upstream.address = Some(UPSTREAM);
        run.cx_mut().upstream.status = Some(200);
        let mut head = AnswerHead::new(StatusCode::OK, self.answer.clone(), false);
        head.length = Some(1_024);
        let mut body = Bytes::from_static(ANSWER);
        let shaped = run.respond(&mut head).and_then(|()| run.encode(&mut head));
        assert!(shaped.is_ok(), "{shaped:?}");
        while !head.plan.is_empty() {
            if let Some(held) = head.plan.take_held() {
                body = held.decide(run.cx(), &mut head, &body).expect("an answer that may pass");
                continue;
            }
            let mut changes = head.plan.take_passing();
            let mut sent = changes.chunk(&body).expect("a body that can be changed").to_vec();
            sent.extend_from_slice(changes.end().expect("a body that can be ended"));
            body = Bytes::from(sent);
        }
        run.cx_mut().status = Some(200);
        run.finish(&Outcome {
            status: 200,
            denial: None,
            was_forwarded: true,
            upstream_status: Some(200),
            upstream_node: Some(UPSTREAM),
            duration: Duration::from_micros(900),
            upstream_duration: Some(Duration::from_micros(700)),
            bytes_in: 512,
            bytes_out: 1_280,
        });
        Passed { verdict, answered: head.fields }
    }

    /// Makes the request once.
    pub(crate) async fn pass(&self, ground: &Ground, chain: &Arc<Chain<AnyPlugin>>) {
        let passed = self.exchange(ground, chain).await;
        assert!(passed.verdict.is_ok(), "{:?}", passed.verdict);
    }

    /// Fails unless the request is let through, or answered where it should be.
    pub(crate) async fn verify(
        &self,
        ground: &Ground,
        chain: &Arc<Chain<AnyPlugin>>,
        answers: bool,
        name: &str,
    ) {
        match self.exchange(ground, chain).await.verdict {
            Ok(answer) => assert_eq!(answer.is_some(), answers, "{name}: it answers, or does not"),
            Err(denial) => panic!("{name}: {denial:?}"),
        }
    }

    /// The value of the cookie that an answer sets.
    pub(crate) async fn cookie(&self, ground: &Ground, chain: &Arc<Chain<AnyPlugin>>) -> String {
        let answered = self.exchange(ground, chain).await.answered;
        let cookie = answered.get_str("set-cookie").expect("an answer that sets a cookie");
        let (_, value) = cookie.split_once('=').expect("a name and a value");
        value.split(';').next().unwrap_or_default().to_owned()
    }
}

/// The pattern of the route: that of the target's first two segments and an owner.
fn pattern(target: &str) -> String {
    let path = target.split('?').next().unwrap_or_default();
    match path.rsplit_once("/orders/") {
        Some((before, _)) => format!("{before}/*"),
        None => path.to_owned(),
    }
}
