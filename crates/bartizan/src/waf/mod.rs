//! `bartizan waf`: tries rules of the web application firewall on requests that are files.
//!
//! Requests go through the gateway's own codec and gate and are judged as the plugin `waf` judges
//! with `mode: block`; nothing is sent anywhere. What the codec or the gate refuses is refused
//! before any rule, and told so.

mod excuse;
mod explain;
mod judge;
mod read;
mod rules;
mod test;

use crate::cli::WafCommand;
use crate::failure::Failure;

/// Does what is asked.
pub(crate) fn waf(command: &WafCommand) -> Result<(), Failure> {
    match command {
        WafCommand::Test(args) => test::test(args),
        WafCommand::Explain(args) => explain::explain(args),
    }
}
