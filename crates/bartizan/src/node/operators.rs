//! The operators' keys, and the local socket on which they are made.

use std::path::Path;

use bartizan_admin::operators::local::{CallersSlot, LocalServer};
use bartizan_admin::operators::{BookError, OperatorSettings, Operators};
use bartizan_config::Admin;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure::Failure;
use crate::logs::Logs;

/// Operators at work.
pub(super) struct Keys {
    pub(super) operators: Operators,
    /// Where the keys of callers are asked for, once the node can change them.
    pub(super) callers: CallersSlot,
    /// Told when the node ends.
    stop: watch::Sender<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Keys {
    /// Opens the book and serves the socket.
    pub(super) fn start(control: &Runtime, admin: &Admin, logs: &Logs) -> Result<Self, Failure> {
        let path: &Path = &admin.keys;
        let settings =
            OperatorSettings { path, clock: logs.clock.clone(), audit: logs.audit.clone() };
        let operators = Operators::open(settings).map_err(failure)?;
        let _guard = control.enter();
        let server = LocalServer::bind(&admin.socket, operators.clone()).map_err(failure)?;
        let callers = server.callers();
        let (stop, stopped) = watch::channel(());
        let until = |mut stopped: watch::Receiver<()>| async move {
            // A sender that is gone means the same.
            let _ = stopped.changed().await;
        };
        let (keeper, stopping) = (operators.clone(), until(stopped.clone()));
        let tasks = vec![
            control.spawn(server.serve(until(stopped))),
            control.spawn(async move { keeper.keep(stopping).await }),
        ];
        if !operators.has_admin() {
            let help = "bartizan admin key create --name NAME --role admin --expires 90d";
            tracing::warn!(help, "no operator has a key that may do everything");
        }
        Ok(Self { operators, callers, stop, tasks })
    }

    /// Ready when the node ends.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopped = self.stop.subscribe();
        async move {
            // A sender that is gone means the same.
            let _ = stopped.changed().await;
        }
    }

    /// Removes the socket, and writes down what is not yet.
    pub(super) fn stop(self, control: &Runtime) {
        drop(self.stop);
        for task in self.tasks {
            if control.block_on(task).is_err() {
                tracing::error!("the operators' keys ended by a panic");
            }
        }
    }
}

fn failure(error: BookError) -> Failure {
    Failure::new(error.problem).with_help(error.help)
}
