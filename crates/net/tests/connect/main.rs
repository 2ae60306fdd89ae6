//! Connections over loopback, on ports that the system picks.

mod client;

use std::collections::HashMap;
use std::future::pending;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Reason};
use bartizan_net::{
    ConnectError, ConnectPhase, Connector, EgressDenial, EgressPolicy, LookUp, LookUpFuture,
    Resolver, Target, TargetTls, UpstreamIo,
};
use bartizan_tls::{
    ApplicationProtocol, Authority, CertificateSource, CertificateStore, KeyKind, StoreSettings,
    TicketKeys, TlsVersion, UpstreamTlsSettings, Validity, accept, client_config,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(30);

/// Names of a test; one without addresses never answers.
#[derive(Debug, Default)]
struct Table(HashMap<&'static str, Vec<IpAddr>>);

impl LookUp for Table {
    fn look_up(&self, host: &str) -> LookUpFuture {
        let found = self.0.get(host).cloned();
        Box::pin(async move {
            match found {
                Some(addresses) if addresses.is_empty() => pending().await,
                Some(addresses) => Ok(addresses),
                None => Err(io::Error::other("unknown name")),
            }
        })
    }
}

fn connector(names: &[(&'static str, &[&str])], policy: EgressPolicy) -> Connector {
    let parse = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect();
    let table = names.iter().map(|(name, list)| (*name, parse(list))).collect();
    Connector::new(Arc::new(Resolver::new(Arc::new(Table(table)))), Arc::new(policy))
}

fn plain(host: &str, port: u16) -> Target {
    Target { host: host.into(), port, tls: None }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Connects, and accepts on the other side.
async fn meet(
    connector: &Connector,
    target: &Target,
    listener: &TcpListener,
) -> (UpstreamIo, TcpStream) {
    let (near, far) = tokio::join!(connector.connect(target, LONG), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn failure(connector: &Connector, target: &Target) -> ConnectError {
    connector.connect(target, LONG).await.unwrap_err()
}

#[tokio::test]
async fn bytes_go_both_ways_without_delay_and_in_one_write() {
    let (listener, port) = listen().await;
    let connector = connector(&[], EgressPolicy::default());
    let (mut near, mut far) = meet(&connector, &plain("127.0.0.1", port), &listener).await;
    assert!(
        near.socket().unwrap().nodelay().unwrap() && near.is_write_vectored() && !near.is_tls()
    );
    let parts = [IoSlice::new(b"he"), IoSlice::new(b"llo")];
    assert_eq!(near.write_vectored(&parts).await.unwrap(), 5);
    let mut read = [0; 5];
    far.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    far.write_all(b"answer").await.unwrap();
    drop(far);
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_refuses() {
    let (listener, port) = listen().await;
    let connector =
        connector(&[("up.example", &["127.0.0.2", "127.0.0.1"])], EgressPolicy::default());
    let (near, _far) = meet(&connector, &plain("up.example", port), &listener).await;
    assert_eq!(
        near.socket().unwrap().peer_addr().unwrap(),
        SocketAddr::from(([127, 0, 0, 1], port))
    );
}

#[tokio::test]
async fn a_refused_connection_names_host_and_address() {
    let (listener, port) = listen().await;
    drop(listener);
    let connector = connector(&[("up.example", &["127.0.0.1"])], EgressPolicy::default());
    let error = failure(&connector, &plain("up.example", port)).await;
    let text = error.to_string();
    assert!(text.starts_with(&format!("`up.example` at 127.0.0.1:{port}: ")), "{text}");
    assert_eq!(error.reason(), Reason::UpstreamConnect);
}

#[tokio::test]
async fn a_name_without_address_is_an_error() {
    let connector = connector(&[], EgressPolicy::default());
    let error = failure(&connector, &plain("gone.example", 80)).await;
    assert_eq!(error.to_string(), "`gone.example` cannot be resolved: unknown name");
    assert_eq!(error.reason(), Reason::UpstreamConnect);
}

#[tokio::test]
async fn a_name_that_leads_to_a_forbidden_address_is_refused() {
    let connector = connector(&[("up.example", &["169.254.169.254"])], EgressPolicy::default());
    let error = failure(&connector, &plain("up.example", 80)).await;
    let expected = "`up.example` is at 169.254.169.254, which is link-local, which needs \
                    `danger_allow_link_local`";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.reason(), Reason::UpstreamConnect);
}

#[tokio::test]
async fn a_forbidden_address_among_others_is_passed_over() {
    let (listener, port) = listen().await;
    let names: &[(&str, &[&str])] = &[("up.example", &["169.254.169.254", "127.0.0.1"])];
    let connector = connector(names, EgressPolicy::default());
    let (near, _far) = meet(&connector, &plain("up.example", port), &listener).await;
    assert!(near.socket().unwrap().peer_addr().unwrap().ip().is_loopback());
}

#[tokio::test]
async fn our_own_listener_is_refused_though_it_listens_on_every_address() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let own = listener.local_addr().unwrap();
    let policy = EgressPolicy { own: vec![own], danger_allow_link_local: false };
    let connector = connector(&[("up.example", &["127.0.0.1"])], policy);
    for host in ["up.example", "127.0.0.1", "[::ffff:127.0.0.1]"] {
        let error = failure(&connector, &plain(host, own.port())).await;
        let is_own = |denial| denial == EgressDenial::OwnListener;
        assert!(matches!(error, ConnectError::Denied { denial, .. } if is_own(denial)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_never_answered_times_out() {
    let connector = connector(&[("slow.example", &[])], EgressPolicy::default());
    let error = failure(&connector, &plain("slow.example", 80)).await;
    let expected = "`slow.example`: resolving its name took longer than 30000 ms";
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.reason(), Reason::UpstreamTimeout);
}

/// A server that shows a certificate for `a.example`, and what trusts it.
struct Secure {
    store: CertificateStore,
    authority: Authority,
    clock: Clock,
}

impl Secure {
    fn new() -> Self {
        Self::speaking(&[ApplicationProtocol::Http1])
    }

    fn speaking(alpn: &[ApplicationProtocol]) -> Self {
        let clock = Clock::System;
        let validity = Validity::starting(clock.now(), Duration::from_secs(3_600));
        let authority = Authority::create("test", validity).unwrap();
        let issued = authority.issue_server(&["a.example"], validity, KeyKind::EcP256).unwrap();
        let source = CertificateSource {
            id: "1".into(),
            snis: vec!["*".to_owned()],
            pairs: vec![(issued.chain, issued.key)],
            client: None,
            protocols: Vec::new(),
        };
        let settings = StoreSettings {
            minimum: TlsVersion::Tls12,
            alpn,
            default: None,
            refused_names: &[],
            tickets: &TicketKeys::new().unwrap(),
            clock: &clock,
            previous: None,
        };
        let store = CertificateStore::build(&[source], &settings).unwrap();
        Self { store, authority, clock }
    }

    fn target(&self, host: &str, port: u16) -> Target {
        self.target_over(false, host, port)
    }

    fn target_over(&self, http2: bool, host: &str, port: u16) -> Target {
        let settings = UpstreamTlsSettings {
            ca_certs: Some(self.authority.certificate()),
            http2,
            ..UpstreamTlsSettings::default()
        };
        let config = client_config(&settings, &self.clock).unwrap();
        Target { host: host.into(), port, tls: TargetTls::new(config, host) }
    }
}

#[tokio::test]
async fn a_verified_upstream_is_spoken_to_under_tls() {
    let secure = Secure::new();
    let (listener, port) = listen().await;
    let connector = connector(&[("a.example", &["127.0.0.1"])], EgressPolicy::default());
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        let (mut stream, session) = accept(socket, &secure.store).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 7);
        stream.write_all(&[8]).await.unwrap();
        stream.shutdown().await.unwrap();
        session
    };
    let target = secure.target("a.example", port);
    let calling = async {
        let mut io = connector.connect(&target, LONG).await.unwrap();
        io.write_all(&[7]).await.unwrap();
        io.flush().await.unwrap();
        assert_eq!(io.read_u8().await.unwrap(), 8);
        assert!(io.is_tls() && io.is_write_vectored());
    };
    let (session, ()) = tokio::join!(serving, calling);
    assert_eq!(session.facts.sni.as_deref(), Some("a.example"));
}

/// What comes of speaking HTTP/2 to a server that offers this.
async fn over_http2(server: &[ApplicationProtocol], client: bool) -> Result<(), String> {
    let secure = Secure::speaking(server);
    let (listener, port) = listen().await;
    let connector = connector(&[("a.example", &["127.0.0.1"])], EgressPolicy::default());
    let target = secure.target_over(client, "a.example", port);
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        // What the handshake came to is looked at on the other side.
        let _ = accept(socket, &secure.store).await;
    };
    let connecting = connector.connect(&target, LONG);
    let (connected, ()) = tokio::join!(connecting, serving);
    connected.map(|io| assert!(io.is_tls())).map_err(|error| error.to_string())
}

#[tokio::test]
async fn http2_is_spoken_to_servers_that_agree_to_it_only() {
    use ApplicationProtocol::{Http1, Http2};
    assert_eq!(over_http2(&[Http2], true).await, Ok(()));
    assert_eq!(over_http2(&[Http1, Http2], true).await, Ok(()));
    assert!(over_http2(&[Http1], true).await.is_err());
    let error = over_http2(&[], true).await.unwrap_err();
    assert!(error.ends_with("tls: the server does not agree to HTTP/2 (ALPN `h2`)"), "{error}");
    assert_eq!(over_http2(&[], false).await, Ok(()));
}

#[tokio::test]
async fn an_upstream_with_the_certificate_of_another_is_refused_with_the_cause() {
    let secure = Secure::new();
    let (listener, port) = listen().await;
    let connector = connector(&[("b.example", &["127.0.0.1"])], EgressPolicy::default());
    let target = secure.target("b.example", port);
    let serving = async {
        let (socket, _) = listener.accept().await.unwrap();
        assert!(accept(socket, &secure.store).await.is_err());
    };
    let (error, ()) = tokio::join!(failure(&connector, &target), serving);
    let expected = format!(
        "`b.example` at 127.0.0.1:{port}: tls: the certificate is for `a.example`, not for \
         `b.example`"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.reason(), Reason::UpstreamConnect);
}

#[tokio::test]
async fn an_upstream_that_never_shakes_hands_times_out() {
    let secure = Secure::new();
    let (_listener, port) = listen().await;
    let connector = connector(&[("a.example", &["127.0.0.1"])], EgressPolicy::default());
    let target = secure.target("a.example", port);
    let limit = Duration::from_millis(100);
    let error = connector.connect(&target, limit).await.unwrap_err();
    let phase = |error: &ConnectError| match error {
        ConnectError::Timeout { phase, .. } => Some(*phase),
        _ => None,
    };
    assert_eq!(phase(&error), Some(ConnectPhase::Handshake), "{error}");
    assert_eq!(error.reason(), Reason::UpstreamTimeout);
}

#[test]
fn a_target_can_be_an_address_and_not_just_anything() {
    let config = Secure::new().target("a.example", 443).tls.unwrap().config;
    for (host, is_name) in
        [("a.example", true), ("10.0.0.1", true), ("[::1]", true), ("a b", false)]
    {
        assert_eq!(TargetTls::new(Arc::clone(&config), host).is_some(), is_name, "{host}");
    }
}
