//! What the process is told by signals.

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::failure::Failure;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGHUP: read the resources again.
    Reload,
    /// SIGUSR1: open the log files anew.
    Reopen,
    /// SIGTERM, SIGINT: drain and end.
    Stop,
}

/// The signals of this process, from the moment of [`Signals::listen`] on.
pub(crate) struct Signals {
    hangup: Stream,
    user: Stream,
    terminate: Stream,
    interrupt: Stream,
}

impl Signals {
    /// Takes over the signals. Must be called within a runtime.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|cause| Failure::new(format!("signals cannot be received: {cause}")))
        };
        Ok(Self {
            hangup: listen(SignalKind::hangup())?,
            user: listen(SignalKind::user_defined1())?,
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The next signal. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.user.recv() => Signal::Reopen,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
        }
    }
}
