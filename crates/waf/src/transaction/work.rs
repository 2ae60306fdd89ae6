//! How much work a transaction may take.

/// A bound of the work on one exchange.
///
/// The unit is one byte that one step looks at: a transformation or the sieve; operators say what
/// theirs cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget(pub u64);

impl Default for Budget {
    /// 256 million: some tenths of a second of one core for most values, a few seconds for values
    /// that are made to be slow.
    fn default() -> Self {
        Self(256 << 20)
    }
}

/// What is left of a [`Budget`].
#[derive(Debug)]
pub(super) struct Work {
    budget: u64,
    left: u64,
    is_exhausted: bool,
}

impl Work {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget: budget.0, left: budget.0, is_exhausted: false }
    }

    pub(super) fn renew(&mut self) {
        self.left = self.budget;
        self.is_exhausted = false;
    }

    /// Takes a step that looks at `bytes` bytes.
    pub(super) fn spend(&mut self, bytes: usize) {
        let cost = bytes as u64 + 16;
        if let Some(left) = self.left.checked_sub(cost) {
            self.left = left;
        } else {
            self.left = 0;
            self.is_exhausted = true;
        }
    }

    /// What has been spent.
    pub(super) fn spent(&self) -> u64 {
        self.budget - self.left
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }
}
