//! Look for attacks in what was sent, and for leaks in what is sent back.

pub mod waf;
