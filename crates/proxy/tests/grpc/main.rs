//! HTTP/2 towards upstreams, and gRPC over it: in process, between a client and servers of another
//! make.

mod calls;
mod endings;
mod kit;
mod links;
mod refusals;
mod rough;
mod uploads;
