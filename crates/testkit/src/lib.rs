//! A gateway in a test: client, gateway and upstream in one thread, without a port.
//!
//! ```
//! use bartizan_testkit::{Gateway, run};
//!
//! run(async {
//!     let gw = Gateway::of(
//!         r#"
//! routes:
//! - uri: /orders/*
//!   upstream: {nodes: {"orders.test:80": 1}}
//!   plugins:
//!     key-auth: {}
//!     consumer-restriction: {whitelist: [alice]}
//! consumers:
//! - {username: alice, plugins: {key-auth: {key: alice-key, danger_weak_secret: true}}}
//! - {username: bob, plugins: {key-auth: {key: bob-key, danger_weak_secret: true}}}
//! "#,
//!     );
//!     gw.get("/orders/1").header("apikey", "alice-key").send().await.expect(200);
//!     assert_eq!(gw.upstream().last().target, "/orders/1");
//!
//!     let refused = gw.get("/orders/1").header("apikey", "bob-key").send().await;
//!     refused.expect(403).reason("authz.consumer_forbidden").plugin("consumer-restriction");
//!     gw.upstream().saw(1);
//! });
//! ```
//!
//! Everything is virtual, so that tokio's clock can stand still and every run is the same: time
//! moves when a test says so ([`Gateway::advance`]) or when all tasks wait for a timer. Wall time
//! starts at [`START`]. Keys and certificates are made at run time.
//!
//! [`cases`] runs the files under `crates/plugins/cases`, in which the behaviour of plugins is
//! written down.
//!
//! Architecture invariant: this crate parses HTTP by itself, so that a mistake of the gateway's
//! codec is not repeated in what judges it.

mod aws;
mod browser;
pub mod cases;
mod certificates;
mod client;
pub mod corpus;
mod dns;
mod double;
mod etcd;
mod events;
mod gateway;
mod gcp;
mod geo;
mod http1;
mod load;
mod members;
mod packages;
mod remotes;
mod reply;
mod tokens;
mod upstream;
mod vault;

pub use aws::AwsDouble;
pub use browser::{Accessible, Browser, Press};
pub use certificates::TestAuthority;
pub use client::{Connection, Request};
pub use dns::{DnsDouble, DnsRecord};
pub use etcd::EtcdServer;
pub use gateway::{Gateway, GatewayBuilder, START, run};
pub use gcp::GcpDouble;
pub use geo::geo_database;
pub use load::Refusal;
pub use members::with;
pub use packages::{npm_package, pypi_packages};
pub use remotes::{Remotes, Sent};
pub use reply::Reply;
pub use tokens::{TokenKey, token};
pub use upstream::{Answer, Seen, Upstream};
pub use vault::VaultDouble;
