//! What limits count about themselves.

use std::sync::Arc;

use bartizan_chain::CompileCx;

use crate::tally::Tally;

/// Requests that found no room in the table of a limit.
pub(super) fn keys_refused(cx: &CompileCx<'_>) -> Arc<Tally> {
    Tally::of(cx, "keys_refused", "Requests whose key found every counter of a limit taken")
}
