//! A canonical request that did not pass the gate.

use bartizan_wire::Canonical;

fn forge(canonical: Canonical) -> Canonical {
    Canonical { path_start: 0, ..canonical }
}

fn main() {}
