//! Case files: the behaviour of plugins, written down.
//!
//! A file under `crates/plugins/cases/<plugin>/` is a sequence of sections; those before a request
//! say how things are, those after it what came of it:
//!
//! ```text
//! # what this shows
//! # field: key-auth.header
//!
//! --- config
//! header: X-Key
//! --- request
//! GET /orders/1
//! x-key: alice-key
//! --- response
//! 200 @upstream
//! --- upstream
//! GET /orders/1
//! x-consumer-username: alice
//! ```
//!
//! `UPDATE=1` writes `response`, `event`, `upstream`, `metrics` and `diagnostic` anew: read the
//! difference. The format is described in `crates/plugins/cases/README.md`.
//!
//! A request that must be refused is an `attack` with a name; [`attacks`] tells them, and what does
//! not hold of them.
//!
//! A line `# field:` claims that the outcome depends on that field. [`check_liveness`] takes the
//! field out, or puts what `# instead:` says in its place, and fails unless something changes; and
//! it fails for fields of the catalogue that no case claims.

mod attacks;
mod certificates;
mod coding;
mod exchange;
mod fields;
mod file;
mod forgeries;
mod live;
mod opened;
mod outside;
mod run;
mod seals;
mod setup;
mod shown;
mod sound;
mod suite;
mod tokens;

pub use attacks::{Attacks, attacks};
pub use fields::{Field, fields};
pub use sound::{Sound, sound_configurations};
pub use suite::{check_cases, check_liveness};
