//! The report of `bench identity`, and the gates.

use std::fmt::Write;

use super::super::as_float;
use super::super::proxies::Proxy;
use super::super::report::median;
use super::keys::KeyCost;
use super::means::{Means, PROXIES, Way, absence};

/// One contender with one means: microseconds per request in each round.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    pub(super) means: Means,
    pub(super) proxy: Proxy,
    pub(super) way: Way,
    pub(super) rounds: Vec<f64>,
}

/// Everything that a run found.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) date: String,
    pub(super) conditions: Vec<String>,
    /// Who was to be measured with whatever they can do.
    pub(super) compared: Vec<Proxy>,
    pub(super) measures: Vec<Measure>,
    pub(super) keys: Vec<KeyCost>,
}

/// Something that was to be reached, and what was found.
pub(super) struct Gate {
    what: String,
    limit: f64,
    found: f64,
    unit: &'static str,
}

impl Gate {
    /// Whether it was missed; what is no number was not reached.
    pub(super) fn is_missed(&self) -> bool {
        !matches!(self.found.partial_cmp(&self.limit), Some(order) if order.is_le())
    }
}

/// Share of HAProxy's time that a token may take of ours, where nothing is remembered.
const TO_HAPROXY: f64 = 0.8;
/// Microseconds above no authentication, where the token is remembered.
const REMEMBERED: f64 = 3.0;
/// Those of whom only that is judged which was remembered.
const REMEMBERED_MEANS: [Means; 5] =
    [Means::Hs256, Means::Rs256, Means::Es256, Means::Eddsa, Means::Introspection];
/// Bytes of an API key.
const KEY_BYTES: f64 = 200.0;
/// Microseconds by which the look-up among a million keys may take longer than among a thousand:
/// what memory beyond the processor's caches costs, and no more steps.
const LOOKUP_GROWTH: f64 = 1.0;

impl Findings {
    fn rounds(&self, means: Means, proxy: Proxy, way: Way) -> Option<&[f64]> {
        let is_it = |m: &&Measure| m.means == means && m.proxy == proxy && m.way == way;
        self.measures.iter().find(is_it).map(|measure| &*measure.rounds)
    }

    fn total(&self, means: Means, proxy: Proxy, way: Way) -> Option<f64> {
        self.rounds(means, proxy, way).map(median)
    }

    /// What it costs above no authentication: the median of the differences in each round.
    fn above(&self, means: Means, proxy: Proxy, way: Way) -> Option<f64> {
        let open = self.rounds(means, proxy, Way::Open)?;
        let own = self.rounds(means, proxy, way)?;
        let differences: Vec<f64> = own.iter().zip(open).map(|(own, open)| own - open).collect();
        Some(median(&differences))
    }

    fn to_haproxy(&self, means: Means) -> Option<f64> {
        let ours = self.total(means, Proxy::Bartizan, Way::Judged)?;
        Some(ours / self.total(means, Proxy::Haproxy, Way::Judged)?)
    }

    /// What was to be reached of what was measured.
    pub(super) fn gates(&self) -> Vec<Gate> {
        let mut gates = Vec::new();
        for means in [Means::Rs256, Means::Es256] {
            let what = format!("{}, every token verified", means.title());
            let found = self.to_haproxy(means);
            gates.extend(found.map(|found| Gate {
                what,
                limit: TO_HAPROXY,
                found,
                unit: "× HAProxy",
            }));
        }
        for means in REMEMBERED_MEANS {
            let what = format!("{}, remembered, above no authentication", means.title());
            let found = self.above(means, Proxy::Bartizan, Way::Remembered);
            gates.extend(found.map(|found| Gate { what, limit: REMEMBERED, found, unit: "µs" }));
        }
        self.gates_of_keys(&mut gates);
        gates
    }

    fn gates_of_keys(&self, gates: &mut Vec<Gate>) {
        let (Some(least), Some(most)) = (self.keys.first(), self.keys.last()) else { return };
        // What the process takes once, whatever the number, is in both.
        let all = |cost: &KeyCost| cost.bytes * as_float(cost.keys as u64);
        let more = as_float((most.keys - least.keys) as u64);
        gates.push(Gate {
            what: format!("memory of each further one of {} API keys", thousands(most.keys)),
            limit: KEY_BYTES,
            found: (all(most) - all(least)) / more,
            unit: "bytes",
        });
        gates.push(Gate {
            what: format!(
                "look-up among {} API keys, above that among {}",
                thousands(most.keys),
                thousands(least.keys)
            ),
            limit: LOOKUP_GROWTH,
            found: (most.whole_ns - least.whole_ns) / 1e3,
            unit: "µs",
        });
    }

    /// The report in Markdown.
    pub(super) fn report(&self) -> String {
        let mut text = format!("# What it costs to know who calls ({})\n\n", self.date);
        for condition in &self.conditions {
            let _ = writeln!(text, "- {condition}");
        }
        self.write_table(&mut text);
        self.write_absences(&mut text);
        self.write_keys(&mut text);
        self.write_gates(&mut text);
        self.write_rounds(&mut text);
        text
    }

    fn measured(&self) -> impl Iterator<Item = Means> {
        let is_there = |means: &Means| self.measures.iter().any(|m| m.means == *means);
        Means::ALL.into_iter().filter(is_there)
    }

    fn write_table(&self, text: &mut String) {
        if self.measures.is_empty() {
            return;
        }
        text.push_str(
            "\n## Processor time per request\n\nMedian microseconds of one worker; in brackets \
             what it is above the same route without authentication.\n\n| means |",
        );
        for proxy in PROXIES {
            let _ = write!(text, " {} |", proxy.name());
        }
        text.push_str(" ours × HAProxy |\n|---|---|---|---|---|---|\n");
        for means in self.measured() {
            for way in Way::ALL {
                if PROXIES.iter().all(|proxy| self.rounds(means, *proxy, way).is_none()) {
                    continue;
                }
                let _ = write!(text, "| {}{} |", means.title(), way.suffix());
                for proxy in PROXIES {
                    let total = self.total(means, proxy, way);
                    let cell = match (total, self.above(means, proxy, way)) {
                        (Some(total), Some(above)) if way != Way::Open => {
                            format!("{total:.1} ({above:+.1})")
                        }
                        (Some(total), _) => format!("{total:.1}"),
                        (None, _) => "–".to_owned(),
                    };
                    let _ = write!(text, " {cell} |");
                }
                let ours = self.total(means, Proxy::Bartizan, way);
                let ratio = ours.zip(self.total(means, Proxy::Haproxy, way));
                let ratio = ratio.map(|(ours, theirs)| format!("{:.2}", ours / theirs));
                let _ = writeln!(text, " {} |", ratio.unwrap_or_else(|| "–".to_owned()));
            }
        }
    }

    /// Why there is a `–`.
    fn write_absences(&self, text: &mut String) {
        let mut lines: Vec<(String, Vec<String>)> = Vec::new();
        let is_compared = |proxy: &Proxy| self.compared.contains(proxy);
        for proxy in PROXIES.into_iter().filter(is_compared) {
            for means in self.measured() {
                for way in [Way::Judged, Way::Remembered] {
                    // Where nobody remembers, nobody misses it.
                    let Some(why) = absence(proxy, means, way) else { continue };
                    if way == Way::Remembered && !means.can_be_remembered() {
                        continue;
                    }
                    let line = format!("{}: {why}", proxy.name());
                    let what = format!("{}{}", means.title(), way.suffix());
                    match lines.iter_mut().find(|(known, _)| *known == line) {
                        Some((_, those)) => those.push(what),
                        None => lines.push((line, vec![what])),
                    }
                }
            }
        }
        if lines.is_empty() {
            return;
        }
        text.push_str("\nWho is not there:\n\n");
        for (line, those) in lines {
            let _ = writeln!(text, "- {line} ({})", those.join("; "));
        }
    }

    fn write_keys(&self, text: &mut String) {
        if self.keys.is_empty() {
            return;
        }
        text.push_str(
            "\n## API keys\n\nIn process; keys are asked for in no order, a thousand to a consumer. \
             Memory is what the process has more than before the first key, once for all of them \
             included.\n\n\
             | keys | bytes by key | look-up ns | keyed hash and look-up ns |\n|--:|--:|--:|--:|\n",
        );
        for KeyCost { keys, bytes, find_ns, whole_ns } in &self.keys {
            let keys = thousands(*keys);
            let _ = writeln!(text, "| {keys} | {bytes:.0} | {find_ns:.0} | {whole_ns:.0} |");
        }
    }

    fn write_gates(&self, text: &mut String) {
        let gates = self.gates();
        if gates.is_empty() {
            return;
        }
        text.push_str(
            "\n## What was to be reached\n\n| what | to reach | found | |\n|---|---|---|---|\n",
        );
        for gate in gates {
            let verdict = if gate.is_missed() { "**missed**" } else { "reached" };
            let Gate { what, limit, found, unit } = gate;
            let _ = writeln!(text, "| {what} | ≤ {limit} {unit} | {found:.2} {unit} | {verdict} |");
        }
    }

    fn write_rounds(&self, text: &mut String) {
        if self.measures.is_empty() {
            return;
        }
        text.push_str(
            "\n## Each round\n\nMicroseconds per request, in the order of the rounds.\n\n",
        );
        for Measure { means, proxy, way, rounds } in &self.measures {
            let rounds: Vec<String> = rounds.iter().map(|micros| format!("{micros:.1}")).collect();
            let (what, name) = (means.title(), proxy.name());
            let _ = writeln!(text, "- {what}: {name}{}: {}", way.suffix(), rounds.join(", "));
        }
    }
}

/// A number with its thousands apart.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(means: Means, proxy: Proxy, way: Way, rounds: &[f64]) -> Measure {
        Measure { means, proxy, way, rounds: rounds.to_vec() }
    }

    fn key(keys: usize, whole_ns: f64, bytes: f64) -> KeyCost {
        KeyCost { keys, find_ns: 10.0, whole_ns, bytes }
    }

    fn findings() -> Findings {
        use Means::{Eddsa, Rs256};
        use Proxy::{Bartizan, Haproxy};
        Findings {
            date: "2026-01-02".into(),
            conditions: vec!["machine: x".into()],
            compared: vec![Bartizan, Haproxy],
            measures: vec![
                // The machine was slower in the second round, for both.
                measure(Rs256, Bartizan, Way::Open, &[16.0, 26.0, 17.0]),
                measure(Rs256, Bartizan, Way::Judged, &[40.0, 51.0, 41.0]),
                measure(Rs256, Bartizan, Way::Remembered, &[19.0, 28.5, 20.0]),
                measure(Rs256, Haproxy, Way::Open, &[20.0, 30.0, 20.0]),
                measure(Rs256, Haproxy, Way::Judged, &[50.0, 60.0, 50.0]),
                measure(Eddsa, Bartizan, Way::Open, &[16.0]),
            ],
            keys: vec![key(1_000, 400.0, 190.0), key(1_000_000, 800.0, 200.5)],
        }
    }

    #[test]
    fn what_authentication_costs_is_told_above_a_route_without_it_in_the_same_round() {
        let report = findings().report();
        assert!(report.starts_with("# What it costs to know who calls (2026-01-02)\n\n- machine"));
        assert!(
            report.contains("| RS256 | 41.0 (+24.0) | 50.0 (+30.0) | – | – | 0.82 |"),
            "{report}"
        );
        assert!(report.contains("| RS256, remembered | 20.0 (+3.0) | – | – | – | – |"), "{report}");
        assert!(report.contains("| RS256, no authentication | 17.0 | 20.0 | – | – | 0.85 |"));
        assert!(report.contains("- RS256: HAProxy: 50.0, 60.0, 50.0\n"));
    }

    #[test]
    fn who_cannot_do_it_is_told_with_the_reason() {
        let report = findings().report();
        let why = "- HAProxy: `jwt_verify` remembers nothing (RS256, remembered)\n";
        assert!(report.contains(why), "{report}");
        let why =
            "- HAProxy: `jwt_verify` knows HS, RS, ES and PS only (EdDSA; EdDSA, remembered)\n";
        assert!(report.contains(why), "{report}");
        assert!(!report.contains("nginx:"), "it was not measured");
    }

    #[test]
    fn gates_are_held_against_what_was_measured() {
        let findings = findings();
        let missed: Vec<bool> = findings.gates().iter().map(Gate::is_missed).collect();
        // Against HAProxy, remembered, bytes, growth.
        assert_eq!(missed, [true, false, true, false]);
        let report = findings.report();
        for row in [
            "| RS256, every token verified | ≤ 0.8 × HAProxy | 0.82 × HAProxy | **missed** |",
            "| RS256, remembered, above no authentication | ≤ 3 µs | 3.00 µs | reached |",
            "| memory of each further one of 1,000,000 API keys | ≤ 200 bytes | 200.51 bytes | **missed** |",
            "| look-up among 1,000,000 API keys, above that among 1,000 | ≤ 1 µs | 0.40 µs | reached |",
        ] {
            assert!(report.contains(row), "{row}\n{report}");
        }
        assert!(Findings::default().gates().is_empty());
        assert!(!Findings::default().report().contains("to reach"));
    }

    #[test]
    fn what_is_no_number_reaches_nothing() {
        let gate = |found| Gate { what: String::new(), limit: 1.0, found, unit: "" };
        assert!(gate(f64::NAN).is_missed() && gate(1.01).is_missed());
        assert!(!gate(1.0).is_missed() && !gate(-1.0).is_missed());
    }

    #[test]
    fn thousands_stand_apart() {
        let told = [0, 999, 1_000, 10_000, 1_000_000].map(thousands);
        assert_eq!(told, ["0", "999", "1,000", "10,000", "1,000,000"]);
    }
}
