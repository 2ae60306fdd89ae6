//! An identity put together out of its parts.

use bartizan_chain::{Identity, IdentityParts};

fn forge() -> Identity {
    Identity { method: "forged", parts: IdentityParts::default() }
}

fn main() {}
