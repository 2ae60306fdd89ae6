//! The process's own log, on standard error, and what it asks of the system at its start.

use std::io::IsTerminal;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{LogArgs, LogFormat};
use crate::failure::Failure;

/// Starts the log, at `level` unless the command line says another.
pub(crate) fn start(args: &LogArgs, level: &str) -> Result<(), Failure> {
    let level = args.log_level.as_deref().unwrap_or(level);
    let filter = EnvFilter::try_new(level).map_err(|error| {
        Failure::new(format!("`{level}` is no filter of the log: {error}"))
            .with_help("a level such as `info` or `debug`")
    })?;
    let is_terminal = std::io::stderr().is_terminal();
    let for_people = match args.log_format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => is_terminal,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if for_people {
        builder.with_ansi(is_terminal).with_target(false).finish().try_init()
    } else {
        builder.json().flatten_event(true).finish().try_init()
    };
    started.map_err(|error| Failure::new(format!("the log cannot be started: {error}")))
}

/// The name of this machine.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Raises the number of open files to what the system lets this process have: each connection is
/// one, and each exchange one more.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
