//! Where resources live, and how the node learns that they changed.
//!
//! A [`Store`] holds JSON objects by collection and id. [`Embedded`] is a database in one file,
//! [`Etcd`] a cluster that many nodes and other control planes share,
//! [`FileStore`] reads documents that people write; [`FileWatch`] says that files changed.
//!
//! Architecture invariant: nothing here knows what an object means. Reading and judging is the
//! configuration reader's.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod diff;
mod disk;
mod embedded;
mod etcd;
mod fault;
mod file_store;
mod file_watch;
mod key;
mod object;
mod sealed;
mod store;
mod watch;

pub use diff::{Difference, differences, merge};
pub use disk::Digest;
pub use embedded::{Embedded, EmbeddedSettings};
pub use etcd::{Etcd, EtcdSettings, KeptAt, parse_key};
pub use fault::{OpenError, StoreError};
pub use file_store::FileStore;
pub use file_watch::{Change as FileChange, FileWatch, INTERVAL, Loaded};
pub use key::{KEY_MAX, Key, KeyFault};
pub use object::{
    COMMIT_MAX, Change, Changes, Commit, EMBEDDED_COMMIT_MAX, Expect, OBJECT_MAX, OWN_COLLECTION,
    Object, Revision, Snapshot, USES_KEY, Write,
};
pub use sealed::{
    ApisixKeyring, FindSecrets, SEALED, SealAs, Sealed, SealedSettings, SealingKey, looks_sealed,
};
pub use store::Store;
