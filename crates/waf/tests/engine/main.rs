//! What rules do, through the public interface: each table row is rules, a request, and what comes
//! of it.

mod actions;
mod captures;
mod chains;
mod collections;
mod ctl;
mod exchange;
mod flow;
mod limits;
mod logs;
mod phases;
mod responses;
mod targets;
mod updates;
mod variables;
