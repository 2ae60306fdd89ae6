//! Laws of the compiled configuration.

mod amend;
mod chains;
mod credentials;
mod fixture;
mod properties;
mod requirements;
mod routers;
mod secrets;
mod servers;
mod shadows;
