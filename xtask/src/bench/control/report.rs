//! The report of `bench control`.

use std::fmt::Write;

use super::follow::{Measured, Rounds};
use super::worlds::World;
use crate::bench::proxies::Proxy;

/// What is to be reached, and the goal beyond it.
const TARGETS: &str = "\
To reach at 100,000 routes and consumers: start 4 s (goal 2 s), a change live in 50 ms (goal 20 ms); 2 KiB
for a simple route. At 10,000: to start as fast as nginx, a change live faster than HAProxy's.";

/// The text of the report.
pub(super) fn report(
    date: &str,
    conditions: &[String],
    rounds: Rounds,
    measured: &[(World, Measured)],
) -> String {
    let Rounds { starts, changes, .. } = rounds;
    let mut text = format!("# What the size of a configuration costs ({date})\n\n");
    // Writing to a string cannot fail.
    for line in conditions {
        let _ = writeln!(text, "- {line}");
    }
    let _ = writeln!(
        text,
        "- one worker, both cores; {starts} starts and {changes} changes, medians; memory: more than with one route, by route\n\
         - files: a new one is renamed over the old, and the proxy told by its signal (Envoy watches)\n\n\
         {TARGETS}\n"
    );
    text.push_str(
        "| | start ms (CPU ms) | change live ms (CPU ms) | bytes by route (after changes) | \
         CPU µs by request: before / during / after |\n|---|---|---|---|---|\n",
    );
    for (world, found) in measured {
        let [before, during, after] = found
            .requests
            .map(|micros| micros.map_or_else(|| "-".to_owned(), |micros| format!("{micros:.1}")));
        let _ = writeln!(
            text,
            "| {} | {:.0} ({:.0}) | {:.1} ({:.1}) | {:.0} ({:.0}) | {before} / {during} / {after} |",
            world.title(),
            median(&found.starts),
            median(&found.start_cpu),
            median(&found.changes),
            median(&found.change_cpu),
            found.bytes,
            found.bytes_after,
        );
    }
    text.push_str(
        "\n`During` counts what the changes themselves cost as well; `-`: connections were cut, as some \
         proxies do when they reload.\n",
    );
    if measured.iter().any(|(world, _)| world.proxy == Proxy::Haproxy) {
        text.push_str("HAProxy reads its routes from a map, and reloads with a new worker.\n");
    }
    text
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_world_has_a_row_with_its_medians() {
        let world = World { proxy: Proxy::Haproxy, routes: 7, consumers: 0, is_in_etcd: false };
        let found = Measured {
            starts: vec![12.4, 11.0, 99.0],
            start_cpu: vec![30.0],
            changes: vec![9.0, 1.0, 2.0],
            change_cpu: vec![3.0],
            requests: [Some(1.0), None, Some(3.0)],
            ..Measured::default()
        };
        let rounds = Rounds { starts: 3, changes: 3, requests: 1 };
        let text = report("2026-01-01", &["machine: x".to_owned()], rounds, &[(world, found)]);
        assert!(
            text.contains("| HAProxy, 7 routes | 12 (30) | 2.0 (3.0) | 0 (0) | 1.0 / - / 3.0 |")
        );
    }
}
