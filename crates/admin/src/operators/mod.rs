//! Who may change the node: operators, their keys, and what each may do.
//!
//! [`Operators`] keeps the book of keys and judges what a client shows. Out of a good key comes an
//! [`Operator`], which says whether an [`Act`] is permitted. Keys are made and ended over
//! [`local`], a socket for this machine's administrators, and never over HTTP: who has a key
//! cannot make another.
//!
//! Who has shown a key once may come back by its id ([`Operators::still`]), as sessions of the
//! dashboard do; whether the key is good is asked each time.
//!
//! Every change of the book and every refusal is an event.

mod book;
mod entry;
mod file;
pub mod local;
mod operator;
pub mod rights;
#[cfg(test)]
pub(crate) mod samples;
mod shared;
mod throttle;
mod view;
mod visits;

/// What every key of an operator begins with.
pub const PREFIX: &str = "btz_admin";

pub use crate::key_text::KeyId;
pub use book::{KEYS_MAX, LIFETIME_MAX, LIFETIME_MIN, NAME_MAX, NewOperator, OVERLAP_MAX};
pub use entry::{KeyState, Second};
pub use file::BookError;
pub use operator::{Operator, Refusal};
pub use rights::{Act, Confinement, Forbidden, Object, Rights, Role, Unfit, Used, Verb};
pub use shared::{Author, ChangeError, OperatorSettings, Operators};
pub use view::{KeyView, MadeKey};
