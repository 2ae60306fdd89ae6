//! The codec as a whole, from outside.

mod corpus;
mod metered;
mod oracle;
mod requests;
mod responses;
mod splits;
