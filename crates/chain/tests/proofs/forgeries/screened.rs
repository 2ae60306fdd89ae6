//! A request that was never screened.

use bartizan_chain::{PluginSet, Run, Screened};

fn forge<P: PluginSet>(run: &mut Run<P>) -> Screened<'_, P> {
    Screened { run }
}

fn main() {}
