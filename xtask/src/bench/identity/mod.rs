//! `cargo xtask bench identity`: what it costs to know who calls.
//!
//! For each means (signed tokens, proofs of possession, introspection, API keys, client
//! certificates) those who can do it are set up with it and, beside that, without authentication;
//! each is asked in turn, with the same requests. Where something can be remembered, it is measured
//! with and without that. API keys by the million are measured in process.

mod certificates;
mod contenders;
mod credentials;
mod keys;
mod means;
mod parity;
mod report;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::certificates::Clients;
use self::contenders::{Contender, Ground, folder};
use self::credentials::Credentials;
use self::means::{Means, PROXIES, Way, absence};
use self::parity::Callers;
use self::report::{Findings, Measure};
use super::load::Spec;
use super::process::Pinned;
use super::proxies::{LOAD_CORE, Proxy, free_address};
use super::upstream::SMALL;
use super::{
    QUICK_ROUNDS, QUICK_SHARE, RESULTS, Running, keys as shared_keys, machine, per_request,
    runtime, today,
};

/// Where keys, configurations and logs of a run are.
const FOLDER: &str = "target/bench/identity";
/// Connections that requests come over.
const CONNECTIONS: usize = 32;

/// Options of `bench identity`.
#[derive(clap::Args)]
pub(crate) struct IdentityOptions {
    /// Means to measure; all without it, and API keys by the million.
    #[arg(long, value_enum, value_delimiter = ',')]
    cases: Vec<Means>,
    /// Proxies to compare; all without it.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Proxy>,
    /// Rounds of each means.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Requests of each round; each means has a number of its own without it.
    #[arg(long)]
    requests: Option<usize>,
    /// Two rounds with a tenth of the requests, and few keys: shows that all works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// The gateway to measure; it is built without it.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where to write the report; a full run writes `bench/results/<date>-identity.md` without it.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl IdentityOptions {
    fn cases(&self) -> Vec<Means> {
        let wanted = |means: &Means| self.cases.is_empty() || self.cases.contains(means);
        Means::ALL.into_iter().filter(wanted).collect()
    }

    fn proxies(&self) -> Vec<Proxy> {
        let wanted = |proxy: &Proxy| self.only.is_empty() || self.only.contains(proxy);
        PROXIES.into_iter().filter(wanted).collect()
    }

    fn rounds(&self) -> usize {
        if self.quick { QUICK_ROUNDS } else { self.rounds.max(1) }
    }

    fn count(&self, means: Means) -> usize {
        let count = self.requests.unwrap_or(means.count());
        if self.quick { count.div_ceil(QUICK_SHARE) } else { count }.max(1)
    }

    /// Whether the run is evidence: then its report is kept, and gates are held.
    fn is_full(&self) -> bool {
        !self.quick && self.cases.is_empty() && self.only.is_empty() && self.requests.is_none()
    }

    /// The numbers of API keys that are measured in process; they are nobody else's.
    fn keys(&self) -> &'static [usize] {
        match (self.quick, self.cases.is_empty() && self.only.is_empty()) {
            (_, false) => &[],
            (true, true) => &keys::NUMBERS_QUICK,
            (false, true) => &keys::NUMBERS,
        }
    }

    fn destination(&self, date: &str) -> Option<PathBuf> {
        let usual = || Path::new(RESULTS).join(format!("{date}-identity.md"));
        self.out.clone().or_else(|| self.is_full().then(usual))
    }
}

/// Runs the task.
pub(super) fn run(options: &IdentityOptions) -> Result<()> {
    let mut findings = runtime()?.block_on(compare(options))?;
    findings.keys = keys::measure(options.keys())?;
    let text = findings.report();
    println!("\n{text}");
    match options.destination(&findings.date) {
        Some(path) => {
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            println!("written to {}", path.display());
        }
        None => println!("not kept: only a full run is, or one with --out"),
    }
    let missed = findings.gates().iter().filter(|gate| gate.is_missed()).count();
    if options.is_full() && missed > 0 {
        bail!("{missed} of what was to be reached was missed");
    }
    Ok(())
}

/// Measures each means.
async fn compare(options: &IdentityOptions) -> Result<Findings> {
    let arena = Arena::prepare(options)?;
    let mut findings = Findings {
        date: today(),
        conditions: arena.conditions(options)?,
        compared: options.proxies(),
        ..Findings::default()
    };
    for means in options.cases() {
        arena.measure(means, options, &mut findings).await.context(means.title())?;
    }
    Ok(findings)
}

/// What all contenders share: upstream, certificates, programs.
struct Arena {
    ground: Ground,
    clients: Clients,
    authority: PathBuf,
    /// Serves until this is dropped.
    _upstream: Pinned,
}

impl Arena {
    fn prepare(options: &IdentityOptions) -> Result<Self> {
        let folder = folder(FOLDER)?;
        shared_keys::write_certificate(&folder)?;
        let clients = Clients::write(&folder)?;
        let mut programs = Vec::new();
        for proxy in options.proxies() {
            let program = match &options.program {
                Some(program) if proxy == Proxy::Bartizan => std::path::absolute(program)?,
                _ => proxy.install().context(proxy.name())?,
            };
            programs.push((proxy, program));
        }
        let upstream = free_address()?;
        let port = upstream.port().to_string();
        let (program, words) = (std::env::current_exe()?, ["upstream", "--port", &port]);
        let process = Pinned::start(LOAD_CORE, &program, &words, &folder.join("upstream.log"))?;
        let authority = folder.join("ca.pem");
        Ok(Self {
            ground: Ground { folder, upstream, programs },
            clients,
            authority,
            _upstream: process,
        })
    }

    /// Machine, versions and settings, for the report.
    fn conditions(&self, options: &IdentityOptions) -> Result<Vec<String>> {
        let mut lines = machine()?;
        lines.extend([
            format!("rounds: {}, interleaved; medians", options.rounds()),
            "one worker on core 0; load generator and upstream on core 1; all on 127.0.0.1".into(),
            "TLS 1.3, X25519, AES-128-GCM, the same P-256 certificate, no resumption; HTTP/1.1, \
             1 KiB"
                .into(),
            "tokens: signature, expiry, issuer and audience are judged, here and in HAProxy the \
             consumer too; 512 different ones of 64 consumers; 64 client certificates, P-256"
                .into(),
        ]);
        for (proxy, program) in &self.ground.programs {
            lines.push(format!("{}: {}", proxy.name(), proxy.version(program)?));
        }
        Ok(lines)
    }

    async fn measure(
        &self,
        means: Means,
        options: &IdentityOptions,
        findings: &mut Findings,
    ) -> Result<()> {
        let credentials = Credentials::generate(means)?;
        self.ground.write_lists(&credentials)?;
        let (clients, authority) = (&self.clients, self.authority.as_path());
        let callers = Callers { means, credentials: &credentials, clients, authority };
        let mut contenders = Vec::new();
        for proxy in options.proxies() {
            for way in Way::ALL {
                if absence(proxy, means, way).is_none() {
                    let contender = self.ground.start(proxy, means, way, &credentials).await?;
                    callers.check(&contender).await?;
                    contenders.push(contender);
                }
            }
        }
        let mut rounds = vec![Vec::new(); contenders.len()];
        // One round more than is kept: the first warms everything up.
        for round in 0..=options.rounds() {
            let mut spec = self.spec(means, &credentials, options.count(means))?;
            for (contender, rounds) in contenders.iter().zip(&mut rounds) {
                let micros = round_of(&mut spec, contender)?;
                if round > 0 {
                    rounds.push(micros);
                }
            }
        }
        for (contender, rounds) in contenders.iter().zip(rounds) {
            println!("{}: {}: {rounds:.1?}", means.title(), contender.name());
            let (proxy, way) = (contender.proxy, contender.way);
            findings.measures.push(Measure { means, proxy, way, rounds });
        }
        Ok(())
    }

    /// What is sent in one round, to each contender the same.
    fn spec(&self, means: Means, credentials: &Credentials, count: usize) -> Result<Spec> {
        Ok(Spec {
            target: self.ground.upstream,
            authority: Some(self.authority.clone()),
            clients: if means.is_mtls() { self.clients.good.clone() } else { Vec::new() },
            mode: means.mode(),
            connections: CONNECTIONS,
            count,
            requests: credentials.requests(count)?,
            length: Some(SMALL),
        })
    }
}

/// Microseconds per request of one round.
fn round_of(spec: &mut Spec, contender: &Contender) -> Result<f64> {
    spec.target = contender.address;
    let before = contender.process.cpu()?;
    Running::start(spec)?.finish().with_context(|| contender.name())?;
    Ok(per_request(contender.process.cpu()?.saturating_sub(before), spec.count))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: IdentityOptions,
    }

    fn options(words: &[&str]) -> IdentityOptions {
        Line::parse_from([&["identity"], words].concat()).options
    }

    #[test]
    fn only_a_full_run_is_kept_and_held_against_the_gates() {
        let full = options(&["--rounds", "15", "--program", "bartizan"]);
        assert!(full.is_full());
        let usual = full.destination("2026-01-02").unwrap();
        assert_eq!(usual, Path::new("bench/results/2026-01-02-identity.md"));
        for words in [
            &["--quick"][..],
            &["--cases", "rs256,api-key"],
            &["--only", "bartizan"],
            &["--requests", "5"],
        ] {
            let partial = options(words);
            assert!(!partial.is_full() && partial.destination("2026-01-02").is_none());
        }
        let told = options(&["--quick", "--out", "a.md"]);
        assert_eq!(told.destination("2026-01-02").unwrap(), Path::new("a.md"));
    }

    #[test]
    fn options_choose_what_is_measured() {
        let some = options(&["--cases", "rs256,mtls-new", "--only", "haproxy,bartizan"]);
        assert_eq!(some.cases(), [Means::Rs256, Means::MtlsNew]);
        assert_eq!(some.proxies(), [Proxy::Bartizan, Proxy::Haproxy]);
        assert!(some.keys().is_empty());
        let quick = options(&["--quick"]);
        assert_eq!((quick.rounds(), quick.count(Means::MtlsNew)), (QUICK_ROUNDS, 200));
        assert_eq!(quick.keys(), [1_000, 10_000]);
        assert_eq!(options(&[]).keys().last(), Some(&1_000_000));
    }
}
