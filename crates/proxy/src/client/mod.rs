//! The client's side: one task per connection.

pub(crate) mod h1;
mod h1_answer;
mod h1_pump;
pub(crate) mod h2;

pub(crate) use h1_answer::forget_digests;
