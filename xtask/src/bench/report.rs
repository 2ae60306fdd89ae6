//! The report: medians, ratios, what was to be reached, losses included.

use std::fmt::Write;

use super::cases::{Case, Variant};
use super::proxies::Proxy;

/// One contender in one case: microseconds per request in each round.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub(crate) case: Case,
    pub(crate) proxy: Proxy,
    pub(crate) variant: Variant,
    pub(crate) rounds: Vec<f64>,
}

/// Memory of one idle connection, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Footprint {
    pub(crate) proxy: Proxy,
    pub(crate) is_tls: bool,
    pub(crate) bytes: f64,
}

/// Everything that a run found.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) date: String,
    pub(crate) conditions: Vec<String>,
    pub(crate) measures: Vec<Measure>,
    pub(crate) footprints: Vec<Footprint>,
}

/// What is to be reached against whom.
struct Target {
    what: &'static str,
    /// Ours, theirs.
    of: fn(&Findings) -> Option<f64>,
    unit: &'static str,
    to_reach: f64,
    goal: f64,
}

const TARGETS: [Target; 13] = [
    Target {
        what: "plain HTTP/1.1 keep-alive",
        of: |f| f.to_nginx(Case::Plain),
        unit: "× nginx",
        to_reach: 1.0,
        goal: 0.85,
    },
    Target {
        what: "TLS keep-alive",
        of: |f| f.to_nginx(Case::Tls),
        unit: "× nginx",
        to_reach: 0.9,
        goal: 0.8,
    },
    Target {
        what: "new TLS connection per request",
        of: |f| f.to_nginx(Case::Handshake),
        unit: "× nginx",
        to_reach: 0.62,
        goal: 0.55,
    },
    Target {
        what: "HTTP/2 under TLS",
        of: |f| f.to_nginx(Case::Http2),
        unit: "× nginx",
        to_reach: 1.1,
        goal: 1.0,
    },
    Target {
        what: "64 KiB POST",
        of: |f| f.to_nginx(Case::Post),
        unit: "× nginx",
        to_reach: 0.85,
        goal: 0.75,
    },
    Target {
        what: "100 KB response",
        of: |f| f.to_nginx(Case::Large),
        unit: "× nginx",
        to_reach: 0.85,
        goal: 0.75,
    },
    Target {
        what: "secured route, RS256, no cache",
        of: |f| {
            let ours = f.median(Case::Secured, Proxy::Bartizan, Variant::Token)?;
            Some(ours / f.median(Case::Secured, Proxy::Haproxy, Variant::Token)?)
        },
        unit: "× HAProxy",
        to_reach: 0.9,
        goal: 0.75,
    },
    Target {
        what: "secured route, token cache, above no authentication",
        of: |f| {
            let ours = f.median(Case::Secured, Proxy::Bartizan, Variant::CachedToken)?;
            Some(ours - f.median(Case::Secured, Proxy::Bartizan, Variant::NoToken)?)
        },
        unit: "µs",
        to_reach: 5.0,
        goal: 3.0,
    },
    Target {
        what: "secured route with a schema, RS256, no cache",
        of: |f| f.to_nginx_lua(Variant::Schema),
        unit: "× nginx + Lua",
        to_reach: 0.6,
        goal: 0.6,
    },
    Target {
        what: "secured route with a schema, token cache",
        of: |f| f.to_nginx_lua(Variant::CachedSchema),
        unit: "× nginx + Lua",
        to_reach: 0.6,
        goal: 0.6,
    },
    Target {
        what: "two workers against one",
        of: |f| {
            let two = f.median(Case::Workers, Proxy::Bartizan, Variant::TwoWorkers)?;
            Some(two / f.median(Case::Plain, Proxy::Bartizan, Variant::Open)?)
        },
        unit: "× one worker",
        to_reach: 1.15,
        goal: 1.15,
    },
    Target {
        what: "idle connection, plain",
        of: |f| f.footprint(false),
        unit: "KiB",
        to_reach: 10.0,
        goal: 8.0,
    },
    Target {
        what: "idle connection, TLS",
        of: |f| f.footprint(true),
        unit: "KiB",
        to_reach: 26.0,
        goal: 22.0,
    },
];

impl Findings {
    fn measure(&self, case: Case, proxy: Proxy, variant: Variant) -> Option<&Measure> {
        self.measures.iter().find(|m| m.case == case && m.proxy == proxy && m.variant == variant)
    }

    fn median(&self, case: Case, proxy: Proxy, variant: Variant) -> Option<f64> {
        self.measure(case, proxy, variant).map(|measure| median(&measure.rounds))
    }

    fn to_nginx(&self, case: Case) -> Option<f64> {
        let ours = self.median(case, Proxy::Bartizan, Variant::Open)?;
        Some(ours / self.median(case, Proxy::Nginx, Variant::Open)?)
    }

    fn to_nginx_lua(&self, variant: Variant) -> Option<f64> {
        let ours = self.median(Case::Schema, Proxy::Bartizan, variant)?;
        Some(ours / self.median(Case::Schema, Proxy::NginxLua, variant)?)
    }

    fn footprint(&self, is_tls: bool) -> Option<f64> {
        let of = |f: &&Footprint| f.proxy == Proxy::Bartizan && f.is_tls == is_tls;
        self.footprints.iter().find(of).map(|footprint| footprint.bytes / 1024.0)
    }

    /// The report in Markdown.
    pub(crate) fn report(&self) -> String {
        let mut text = format!("# Comparison of {}\n\n", self.date);
        for condition in &self.conditions {
            let _ = writeln!(text, "- {condition}");
        }
        text + &self.tables()
    }

    /// Conditions and tables, for a report that has more.
    pub(crate) fn body(&self) -> String {
        let conditions = self.conditions.iter().map(|condition| format!("- {condition}\n"));
        format!("\n{}", conditions.collect::<String>()) + &self.tables().replace("\n## ", "\n### ")
    }

    fn tables(&self) -> String {
        let mut text = String::new();
        self.write_cases(&mut text);
        self.write_variants(&mut text);
        self.write_workers(&mut text);
        self.write_footprints(&mut text);
        self.write_targets(&mut text);
        self.write_spread(&mut text);
        text
    }

    fn write_cases(&self, text: &mut String) {
        let cases: Vec<Case> = Case::ALL
            .into_iter()
            .filter(|case| case.variants() == [Variant::Open])
            .filter(|case| self.measures.iter().any(|measure| measure.case == *case))
            .collect();
        if cases.is_empty() {
            return;
        }
        text.push_str("\n## Processor time per request\n\nMedian microseconds of one worker; ");
        text.push_str("in brackets the ratio to nginx.\n\n| case |");
        for proxy in Proxy::OPEN {
            let _ = write!(text, " {} |", proxy.name());
        }
        text.push_str(" ours × HAProxy |\n|---|---|---|---|---|---|\n");
        for case in cases {
            let _ = write!(text, "| {} |", case.title());
            let nginx = self.median(case, Proxy::Nginx, Variant::Open);
            for proxy in Proxy::OPEN {
                let cell = match (self.median(case, proxy, Variant::Open), nginx) {
                    (Some(own), Some(nginx)) => format!("{own:.1} ({:.2})", own / nginx),
                    (Some(own), None) => format!("{own:.1}"),
                    (None, _) => "–".to_owned(),
                };
                let _ = write!(text, " {cell} |");
            }
            let ours = self.median(case, Proxy::Bartizan, Variant::Open);
            let haproxy = self.median(case, Proxy::Haproxy, Variant::Open);
            let ratio = ours.zip(haproxy).map(|(ours, haproxy)| format!("{:.2}", ours / haproxy));
            let _ = writeln!(text, " {} |", ratio.unwrap_or_else(|| "–".to_owned()));
        }
    }

    fn write_variants(&self, text: &mut String) {
        let rows: Vec<&Measure> =
            self.measures.iter().filter(|m| m.case.variants() != [Variant::Open]).collect();
        if rows.is_empty() {
            return;
        }
        text.push_str("\n| case | contender | median µs |\n|---|---|---|\n");
        for row in rows {
            let name = format!("{}{}", row.proxy.name(), row.variant.suffix());
            let _ =
                writeln!(text, "| {} | {name} | {:.1} |", row.case.title(), median(&row.rounds));
        }
        text.push_str(
            "\nnginx has no tokens: it serves the secured route without authentication; what \
             nginx with Lua does is written in `bench/secured.lua`. Their logs and ours are \
             buffered; HAProxy writes each line.\n",
        );
    }

    /// What a second worker costs a request: the part that all pay is the machine's.
    fn write_workers(&self, text: &mut String) {
        let row = |proxy: Proxy| {
            let two = self.median(Case::Workers, proxy, Variant::TwoWorkers)?;
            let one = self.median(Case::Plain, proxy, Variant::Open)?;
            Some(format!("| {} | {one:.1} | {two:.1} | {:.2} |\n", proxy.name(), two / one))
        };
        let rows: String = Proxy::ALL.into_iter().filter_map(row).collect();
        if rows.is_empty() {
            return;
        }
        text.push_str(
            "\n## Two workers against one\n\nMicroseconds per request of the plain case. With \
             two workers, one shares its core with the load generator and the upstream; what \
             all proxies pay for that is the machine's.\n\n\
             | proxy | one | two | two × one |\n|---|---|---|---|\n",
        );
        text.push_str(&rows);
    }

    fn write_footprints(&self, text: &mut String) {
        if self.footprints.is_empty() {
            return;
        }
        text.push_str("\n## Resident memory per idle connection\n\n| proxy | plain | TLS |\n");
        text.push_str("|---|---|---|\n");
        for proxy in Proxy::ALL {
            let cell = |is_tls| {
                let of = |f: &&Footprint| f.proxy == proxy && f.is_tls == is_tls;
                self.footprints.iter().find(of).map(|f| format!("{:.1} KiB", f.bytes / 1024.0))
            };
            if let (Some(plain), Some(tls)) = (cell(false), cell(true)) {
                let _ = writeln!(text, "| {} | {plain} | {tls} |", proxy.name());
            }
        }
    }

    fn write_targets(&self, text: &mut String) {
        let rows: Vec<(&Target, f64)> =
            TARGETS.iter().filter_map(|t| (t.of)(self).map(|found| (t, found))).collect();
        if rows.is_empty() {
            return;
        }
        text.push_str("\n## What was to be reached\n\n| case | to reach | goal | found | |\n");
        text.push_str("|---|---|---|---|---|\n");
        for (target, found) in rows {
            let Target { what, unit, to_reach, goal, .. } = target;
            let verdict = match () {
                () if found <= *goal => "goal reached",
                () if found <= *to_reach => "reached",
                () => "**missed**",
            };
            let _ = writeln!(
                text,
                "| {what} | ≤ {to_reach} {unit} | {goal} | {found:.2} {unit} | {verdict} |"
            );
        }
    }

    fn write_spread(&self, text: &mut String) {
        text.push_str(
            "\n## Each round\n\nMicroseconds per request, in the order of the rounds.\n\n",
        );
        for Measure { case, proxy, variant, rounds } in &self.measures {
            let rounds: Vec<String> = rounds.iter().map(|micros| format!("{micros:.1}")).collect();
            let name = format!("{}{}", proxy.name(), variant.suffix());
            let _ = writeln!(text, "- {}: {name}: {}", case.title(), rounds.join(", "));
        }
    }
}

/// The middle value; of two, the mean.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(proxy: Proxy, rounds: &[f64]) -> Measure {
        Measure { case: Case::Plain, proxy, variant: Variant::Open, rounds: rounds.to_vec() }
    }

    #[test]
    fn the_median_ignores_one_bad_round() {
        assert!((median(&[20.0, 90.0, 21.0]) - 21.0).abs() < f64::EPSILON);
        assert!((median(&[1.0, 3.0]) - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_loss_is_told_as_a_loss() {
        let findings = Findings {
            measures: vec![measure(Proxy::Bartizan, &[30.0]), measure(Proxy::Nginx, &[20.0])],
            ..Findings::default()
        };
        let report = findings.report();
        assert!(report.contains("| 30.0 (1.50) | 20.0 (1.00) |"), "{report}");
        assert!(report.contains("| 1.50 × nginx | **missed** |"), "{report}");
    }

    #[test]
    fn what_a_second_worker_costs_is_told_for_each_proxy() {
        let two = |proxy, rounds: &[f64]| Measure {
            case: Case::Workers,
            variant: Variant::TwoWorkers,
            ..measure(proxy, rounds)
        };
        let findings = Findings {
            measures: vec![
                measure(Proxy::Bartizan, &[16.0]),
                measure(Proxy::Nginx, &[20.0]),
                two(Proxy::Bartizan, &[20.0]),
                two(Proxy::Nginx, &[24.0]),
                two(Proxy::Haproxy, &[9.0]),
            ],
            ..Findings::default()
        };
        let report = findings.report();
        assert!(report.contains("| Bartizan | 16.0 | 20.0 | 1.25 |"), "{report}");
        assert!(report.contains("| nginx | 20.0 | 24.0 | 1.20 |"), "{report}");
        assert!(!report.contains("| HAProxy | 9.0"), "one of the two was not measured");
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        let findings =
            Findings { measures: vec![measure(Proxy::Nginx, &[20.0])], ..Findings::default() };
        assert!(!findings.report().contains("to reach"));
    }
}
