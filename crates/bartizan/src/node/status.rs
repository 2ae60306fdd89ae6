//! Where a node tells how it is, and why a port cannot be had.

use std::net::SocketAddr;

use bartizan_admin::{FindPage, Readiness, SharedRegistry, StatusServer};
use bartizan_config::NodeConfig;
use bartizan_proxy::BindError;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::failure::{Failure, plain};

/// The status listener at work.
pub(super) struct Status {
    pub(super) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Status {
    pub(super) fn start(
        control: &Runtime,
        config: &NodeConfig,
        readiness: &Readiness,
        registry: SharedRegistry,
        pages: FindPage,
    ) -> Result<Option<Self>, Failure> {
        let Some(status) = &config.status else { return Ok(None) };
        let address = status.address;
        let bound = StatusServer::bind(address, readiness.clone(), registry);
        let server = control
            .block_on(bound)
            .map_err(|cause| not_bound(&BindError { address, cause }, "status listener"))?
            .with_pages(pages);
        let address = server.local_addr().unwrap_or(address);
        let (stop, stopped) = oneshot::channel();
        let task = control.spawn(server.serve(async {
            // A sender that is gone means the same.
            let _ = stopped.await;
        }));
        Ok(Some(Self { address, stop, task }))
    }

    pub(super) fn stop(self, control: &Runtime) {
        let _ = self.stop.send(());
        if control.block_on(self.task).is_err() {
            tracing::error!("the status listener ended by a panic");
        }
    }
}

/// Why a port cannot be had, and whom to ask.
pub(super) fn not_bound(error: &BindError, what: &str) -> Failure {
    let BindError { address, cause } = error;
    let failure =
        Failure::new(format!("the {what} `{address}` cannot be opened: {}", plain(cause)));
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => failure.with_help(format!(
            "another process has it: `ss -ltnp 'sport = :{}'` says which",
            address.port()
        )),
        std::io::ErrorKind::PermissionDenied => failure.with_help(
            "ports below 1024 need a privilege: `setcap cap_net_bind_service=+ep` on the binary, \
             or another port",
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            failure.with_help("no interface of this machine has that address: `ip addr` lists them")
        }
        _ => failure,
    }
}
