//! Laws of the compiled configuration.

mod amend;
mod chains;
mod checks;
mod credentials;
mod fixture;
mod live;
mod properties;
mod protos;
mod requirements;
mod resting;
mod routers;
mod secrets;
mod servers;
mod shadows;
mod turns;
mod ways;
