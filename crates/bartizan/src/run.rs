//! `bartizan run`: serves a configuration.

use crate::cli::RunArgs;
use crate::failure::Failure;
use crate::node::Node;
use crate::overrides::Overrides;
use crate::telemetry;

/// Serves until the process is told to stop.
pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    telemetry::start(&args.log, "info")?;
    Node::start_to_serve(&args.config, Overrides::default())?.serve_until_stopped()
}
