//! Values: what transformations and body processors make of them, by libmodsecurity's word too.

mod bodies;
mod corpus;
mod operators;
mod oracle;
mod transformations;
