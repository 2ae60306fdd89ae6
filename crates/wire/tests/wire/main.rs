//! The codec as a whole, from outside.

mod corpus;
mod h2_oracle;
mod oracle;
mod requests;
mod responses;
mod splits;
