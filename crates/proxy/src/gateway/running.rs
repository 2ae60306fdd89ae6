//! The workers of a gateway, from their first connection to their last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use bartizan_net::{ConnectError, Connector, Target, UpstreamIo};

use super::Gateway;
use crate::listener::{self, ListenerSpec};
use crate::upstream::Dial;

/// Time that sinks of logs get when the node ends.
const SINKS_CLOSE: Duration = Duration::from_secs(5);

impl Gateway {
    pub(super) fn work(
        &self,
        sockets: Vec<std::net::TcpListener>,
        specs: &[ListenerSpec],
        own: Vec<SocketAddr>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        match runtime {
            Ok(runtime) => runtime.block_on(self.serve(sockets, specs, own)),
            Err(error) => tracing::error!(%error, "a worker cannot start"),
        }
    }

    /// Accepts until the node shuts down, then lets what runs end.
    async fn serve(
        &self,
        sockets: Vec<std::net::TcpListener>,
        specs: &[ListenerSpec],
        own: Vec<SocketAddr>,
    ) {
        let worker = self.worker(own);
        let house = {
            let worker = worker.clone();
            tokio::task::spawn_local(async move { worker.keep_house().await })
        };
        let accepting: Vec<_> = sockets
            .into_iter()
            .zip(specs)
            .enumerate()
            .map(|(index, (socket, spec))| {
                tokio::task::spawn_local(listener::accept(socket, index, *spec, worker.clone()))
            })
            .collect();
        let mut draining = self.shared.draining.clone();
        // An error means that the gateway itself is gone: the same as draining.
        let _ = draining.wait_for(|is_draining| *is_draining).await;
        for task in accepting {
            task.abort();
        }
        let end = tokio::time::Instant::now() + self.shared.node.limits.drain.0;
        let mut look = tokio::time::interval(Duration::from_millis(20));
        look.tick().await;
        loop {
            // Twice quiet: a request that had arrived when the node began to drain is served.
            look.tick().await;
            let was_busy = worker.busy.get() > 0;
            look.tick().await;
            if !was_busy && worker.busy.get() == 0 || tokio::time::Instant::now() >= end {
                break;
            }
        }
        house.abort();
    }
}

/// Upstreams on the network.
pub(super) struct Upstreams(pub(super) Connector);

impl Dial for Upstreams {
    fn dial<'a>(
        &'a self,
        target: &'a Target,
        timeout: Duration,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<UpstreamIo, ConnectError>> + 'a>> {
        Box::pin(self.0.connect(target, timeout))
    }
}

/// A gateway at work.
pub struct Running {
    pub(super) gateway: Arc<Gateway>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) threads: Vec<JoinHandle<()>>,
}

impl Running {
    /// Where it listens, in the order of the node file, with the ports that were chosen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.gateway.shared.admission.open()
    }

    /// Stops accepting; what runs goes on until `limits.drain` is over.
    pub fn drain(&self) {
        self.gateway.shared.is_draining.store(true, Ordering::Relaxed);
        self.gateway.draining.send_replace(true);
        self.gateway.prober.stop();
    }

    /// Stops accepting and waits until the workers have ended and sinks have handed over what they
    /// had. Blocks the calling thread.
    pub fn shutdown(self) {
        self.drain();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
        self.gateway.shared.node.outside.sinks.close(SINKS_CLOSE);
    }
}
