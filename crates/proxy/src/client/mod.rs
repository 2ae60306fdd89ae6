//! The client's side: one task per connection.

pub(crate) mod h1;
mod h1_answer;
pub(crate) mod h2;
