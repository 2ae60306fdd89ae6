//! An identity without the key that the chain lends.

use bartizan_chain::{Identity, IdentityKey, IdentityParts};

fn forge_with_key() -> Identity {
    Identity::new(&IdentityKey(()), "forged", IdentityParts::default())
}

fn forge_with_lent_key() -> Identity {
    Identity::new(&IdentityKey::lend(), "forged", IdentityParts::default())
}

fn main() {}
