//! A canonical request that did not pass the gate, or was changed behind it.

use bartizan_wire::Canonical;

fn change(mut canonical: Canonical) -> Canonical {
    canonical.text = "a.example/admin".to_owned();
    canonical
}

fn forge(canonical: Canonical) -> Canonical {
    Canonical { path_start: 0, ..canonical }
}

fn main() {}
