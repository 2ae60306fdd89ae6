//! A proof that is kept for another request.

use bartizan_chain::{PluginSet, Screened};

fn keep<'a, P: PluginSet>(screened: &Screened<'a, P>) -> Screened<'a, P> {
    screened.clone()
}

fn main() {}
