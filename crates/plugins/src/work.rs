//! What judging a credential costs, counted: for tests that hold the work for callers who exist
//! against that for callers who do not.

use std::cell::Cell;

thread_local! {
    static DONE: Cell<usize> = const { Cell::new(0) };
}

/// A signature is verified, or a text decrypted.
pub(crate) fn note() {
    DONE.set(DONE.get() + 1);
}

/// How often that happens meanwhile, on this thread.
pub(crate) fn of<T>(judge: impl FnOnce() -> T) -> (usize, T) {
    let before = DONE.get();
    let outcome = judge();
    (DONE.get() - before, outcome)
}
