//! A canonical request that was changed behind the gate.

use bartizan_wire::Canonical;

fn change(mut canonical: Canonical) -> Canonical {
    canonical.text = "a.example/admin".to_owned();
    canonical
}

fn main() {}
