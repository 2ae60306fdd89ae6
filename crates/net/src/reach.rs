//! How plugins reach the world outside: servers that are asked while a request waits, and sinks
//! that logs are sent to.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::{ConnectError, Connector, EgressPolicy, Resolver, Target, UpstreamIo};

/// Work on its way, which may change threads.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The world outside: the network, or what a test puts in its place.
pub trait Reach: fmt::Debug + Send + Sync {
    /// Opens a connection to `target` within `limit`.
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>>;

    /// Sends datagrams to `target`, whose TLS is not looked at, within `limit`. Nobody says whether
    /// they arrived.
    fn send_datagrams<'a>(
        &'a self,
        target: &'a Target,
        datagrams: &'a [Bytes],
        limit: Duration,
    ) -> Task<'a, Result<(), ConnectError>>;

    /// Runs a task beside the requests, on the control runtime.
    fn spawn(&self, task: Task<'static, ()>);

    /// Runs work that may wait for a disk where that stalls nobody, and waits for its end.
    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()>;
}

/// The network, under the node's policy. Tasks run on the control runtime, where names are resolved
/// too.
#[derive(Debug)]
pub struct Network {
    runtime: Handle,
    resolver: Arc<Resolver>,
    connector: RwLock<Connector>,
}

impl Network {
    /// The network as `policy` allows it.
    pub fn new(runtime: Handle, policy: EgressPolicy) -> Self {
        let resolver = Arc::new(Resolver::system(runtime.clone()));
        let connector = RwLock::new(Connector::new(resolver.clone(), Arc::new(policy)));
        Self { runtime, resolver, connector }
    }

    /// From now on `policy` decides: the ports of our own listeners are known once they are open.
    pub fn obey(&self, policy: EgressPolicy) {
        let connector = Connector::new(self.resolver.clone(), Arc::new(policy));
        *self.connector.write().unwrap_or_else(PoisonError::into_inner) = connector;
    }

    fn connector(&self) -> Connector {
        self.connector.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reach for Network {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>> {
        let connector = self.connector();
        Box::pin(async move { connector.connect(target, limit).await })
    }

    fn send_datagrams<'a>(
        &'a self,
        target: &'a Target,
        datagrams: &'a [Bytes],
        limit: Duration,
    ) -> Task<'a, Result<(), ConnectError>> {
        let connector = self.connector();
        Box::pin(async move { connector.send_datagrams(target, datagrams, limit).await })
    }

    fn spawn(&self, task: Task<'static, ()>) {
        // Whoever spawns keeps what tells it to end.
        drop(self.runtime.spawn(task));
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()> {
        let running = self.runtime.spawn_blocking(work);
        Box::pin(async move {
            if running.await.is_err() {
                tracing::error!("work on a disk ended by a panic");
            }
        })
    }
}

/// No world outside: everything is refused, nothing runs. For what only compiles.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReach;

impl NoReach {
    fn refused(target: &Target) -> ConnectError {
        ConnectError::Io {
            host: target.host.clone(),
            address: SocketAddr::from(([0, 0, 0, 0], target.port)),
            error: io::ErrorKind::NetworkUnreachable.into(),
        }
    }
}

impl Reach for NoReach {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        _limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>> {
        Box::pin(std::future::ready(Err(Self::refused(target))))
    }

    fn send_datagrams<'a>(
        &'a self,
        target: &'a Target,
        _datagrams: &'a [Bytes],
        _limit: Duration,
    ) -> Task<'a, Result<(), ConnectError>> {
        Box::pin(std::future::ready(Err(Self::refused(target))))
    }

    fn spawn(&self, task: Task<'static, ()>) {
        drop(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()> {
        drop(work);
        Box::pin(std::future::ready(()))
    }
}
