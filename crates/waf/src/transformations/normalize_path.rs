//! Shortens a path: runs of `/`, `.` and `..` go as far as they can.
//!
//! `..` at the start of a relative path stays; the root has no parent. No slash is left at the end
//! that was not there. A name that ends in two dots counts as `..`, as ModSecurity has it.
//!
//! Example: `/a/./b//../etc/passwd` becomes `/a/etc/passwd`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"/.");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    normalize(input, output, |byte| byte);
}

/// Shortens `input`; `slash` makes a slash of what counts as one.
pub(super) fn normalize(input: &[u8], output: &mut Vec<u8>, slash: impl Fn(u8) -> u8) {
    let at = |index: usize| input.get(index).map(|byte| slash(*byte));
    let is_relative = at(0) != Some(b'/');
    let is_trailing = input.last().map(|byte| slash(*byte)) == Some(b'/');
    let mut walk = Walk { output, is_relative, is_at_root: false };
    let mut from = 0;
    while let Some(mut here) = at(from) {
        let is_last = from + 1 == input.len();
        let seen = from + 1;
        let is_segment_end = is_last || (at(from + 1) == Some(b'/') && here != b'/');
        if is_segment_end && walk.ends_segment(here, is_last) {
            if is_last {
                break;
            }
            // The slash behind the segment comes next.
            from += 1;
            here = b'/';
        }
        if here == b'/' {
            while at(from + 1) == Some(b'/') {
                from += 1;
            }
            // The last of a long run keeps its form: ModSecurity makes slashes of two bytes at a time.
            if from > seen {
                here = input.get(from).copied().unwrap_or(b'/');
            }
            if is_relative && walk.output.is_empty() {
                from += 1;
                continue;
            }
        }
        walk.output.push(here);
        from += 1;
    }
    if !is_trailing && output.last() == Some(&b'/') {
        output.pop();
    }
}

struct Walk<'a> {
    output: &'a mut Vec<u8>,
    is_relative: bool,
    is_at_root: bool,
}

impl Walk<'_> {
    /// Says what becomes of the segment that ends with `last`; true if the byte is used up.
    fn ends_segment(&mut self, last: u8, is_end: bool) -> bool {
        if last != b'.' {
            self.is_at_root &= self.output.is_empty();
            return false;
        }
        match self.output.last() {
            Some(b'.') => self.goes_up(is_end),
            None => true,
            Some(b'/') => {
                if !is_end {
                    self.output.pop();
                }
                true
            }
            Some(_) => false,
        }
    }

    /// Takes a `..` and the segment before it away; false if it must stay.
    fn goes_up(&mut self, is_end: bool) -> bool {
        let length = self.output.len();
        if self.is_relative && (self.is_at_root || length <= 2) {
            self.is_at_root = true;
            return false;
        }
        let before = self.output.get(..length.saturating_sub(2)).unwrap_or_default();
        let cut = memchr::memrchr(b'/', before).unwrap_or(0);
        if cut > 0 {
            self.output.truncate(cut);
        } else {
            self.is_at_root = true;
            self.output.truncate(usize::from(!self.is_relative && is_end));
        }
        true
    }
}
