//! The gateway over real sockets, between clients and upstreams that know nothing of it.
//!
//! Every test has a gateway of its own on ports that the system chose. Nothing sleeps: what takes
//! time is waited for until it is there.

mod harness;

mod balancing;
mod bodies;
mod calls;
mod certificates;
mod curl;
mod discovery;
mod drain;
mod endings;
mod grpc;
mod h2_streams;
mod health;
mod http2;
mod kept_connections;
mod limits;
mod listeners;
mod nginx;
mod openid;
mod openssl;
mod providers;
mod reload;
mod retries;
mod sinks;
mod smuggling_client;
mod smuggling_upstream;
mod splicing;
mod streams;
mod timeouts;
mod uploads;
mod websocket;
mod websocket_endings;
mod websocket_frames;
