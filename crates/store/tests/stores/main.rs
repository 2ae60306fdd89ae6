//! Every store against the same laws, and each under what only it can suffer.
//!
//! Nothing sleeps: what takes time is waited for until it is there.

#[macro_use]
mod suite;

mod crash;
mod embedded;
mod etcd;
mod file;
mod sealed;
