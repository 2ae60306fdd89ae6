//! `cargo xtask crs`: the regression tests of a rule set, run as they are published.

pub(crate) mod backend;
mod cases;
mod direct;
pub(crate) mod gateway;
mod message;
mod reflect;
mod report;
mod written;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use bartizan_waf::{Folder, RuleSet};
use clap::Args;

use cases::{Case, Expected, Stage};
use direct::Outcome;
use report::Report;

/// What the rule files are read with: rules that only detect, at the highest paranoia level.
const FRAME: &str = "\
SecRuleEngine DetectionOnly
SecRequestBodyAccess On
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain text/html text/xml application/json
SecRequestBodyLimit 13107200
SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
    \"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"
SecRule REQUEST_HEADERS:Content-Type \"^application/(?:[a-z0-9.-]+[+])?json\" \
    \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"
";

/// What the regression tests ask of a set-up beyond its defaults.
const SETUP: &str = "\
SecAction \"id:900005,phase:1,nolog,pass,ctl:ruleEngine=DetectionOnly,\
ctl:ruleRemoveById=910000,setvar:tx.blocking_paranoia_level=4,setvar:tx.paranoia_level=4,\
setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,\
setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,\
setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535\"
";

/// Where Debian has the set-up file, from the folder of the rules.
const DEBIAN_SETUP: &str = "../../../etc/modsecurity/crs/crs-setup.conf";

/// What is run.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder of the rule set, with `rules` and `crs-setup.conf.example` in it.
    #[arg(long)]
    rules: PathBuf,
    /// The folder of the tests; unless told otherwise `tests` of the rule set, or
    /// `tests/regression/tests`, where version 3 has them.
    #[arg(long)]
    tests: Option<PathBuf>,
    /// Only tests whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Judge with the engine alone, without a gateway around it.
    #[arg(long)]
    direct: bool,
    /// The gateway; built from the sources unless one is named.
    #[arg(long, conflicts_with = "direct")]
    gateway: Option<PathBuf>,
    /// Tell what every failed test expected and what came.
    #[arg(long)]
    verbose: bool,
    /// Fail unless the tests that fail are those that `docs/security/crs.md` lists.
    #[arg(long, conflicts_with_all = ["direct", "only"])]
    explained: bool,
    /// The least share of tests that must pass, in percent.
    #[arg(long, default_value_t = 0.0)]
    at_least: f64,
}

/// Runs the tests.
pub(crate) fn run(options: &Options) -> Result<()> {
    let tests = options.tests.clone().unwrap_or_else(|| {
        let inner = options.rules.join("tests/regression/tests");
        if inner.is_dir() { inner } else { options.rules.join("tests") }
    });
    if !options.rules.is_dir() || !tests.is_dir() {
        bail!("there are no rules with tests in {}", options.rules.display());
    }
    let cases = cases::read_all(&tests)?;
    let wanted =
        |case: &&Case| options.only.as_ref().is_none_or(|only| case.name.contains(only.as_str()));
    let cases: Vec<&Case> = cases.iter().filter(wanted).collect();
    let began = Instant::now();
    let report = if options.direct {
        through_engine(options, &cases)?
    } else {
        through_gateway(options, &cases)?
    };
    println!("{report}in {:.1?}", began.elapsed());
    if report.share() < options.at_least {
        bail!("{:.2} % passed, less than {} %", report.share(), options.at_least);
    }
    if options.explained {
        written::compare(&options.rules.canonicalize()?, report.failed())?;
    }
    Ok(())
}

fn through_engine(options: &Options, cases: &[&Case]) -> Result<Report> {
    let began = Instant::now();
    let rules = Arc::new(load(options)?);
    println!("{} rules loaded in {:.0?}", rules.len(), began.elapsed());
    let mut report = Report::default();
    for case in cases {
        let problem = case.stages.iter().find_map(|stage| {
            let outcome = direct::run(&rules, stage);
            problem(options, case, stage, &outcome)
        });
        report.add(case, problem);
    }
    Ok(report)
}

fn through_gateway(options: &Options, cases: &[&Case]) -> Result<Report> {
    let program = match &options.gateway {
        Some(program) => program.clone(),
        None => built()?,
    };
    let gateway = gateway::Gateway::start(&program, &text(&options.rules.canonicalize()?)?)?;
    let began = Instant::now();
    let outcomes = gateway.run(cases)?;
    println!("requests sent in {:.1?}", began.elapsed());
    let mut report = Report::default();
    for (case, outcomes) in cases.iter().zip(outcomes) {
        let mut found = None;
        for (stage, (reply, outcome)) in case.stages.iter().zip(&outcomes) {
            match gateway::refused(stage, reply) {
                Some(Ok(())) => {}
                Some(Err(reason)) => {
                    report.refused(case, &reason);
                    found = Some(format!("refused before any rule: {reason}"));
                }
                None => found = problem(options, case, stage, outcome),
            }
            if found.is_some() {
                break;
            }
        }
        report.add(case, found);
    }
    Ok(report)
}

/// Builds the gateway.
pub(crate) fn built() -> Result<PathBuf> {
    let words = ["build", "--release", "--package", "bartizan"];
    let status = Command::new("cargo").args(words).status().context("cannot start cargo")?;
    if !status.success() {
        bail!("the gateway cannot be built: {status}");
    }
    Ok(PathBuf::from("target/release/bartizan"))
}

/// What is wrong with a stage, told at length where that is asked for.
fn problem(options: &Options, case: &Case, stage: &Stage, outcome: &Outcome) -> Option<String> {
    let problem = difference(&stage.expected, outcome)?;
    if options.verbose {
        println!("── {}: {problem}", case.name);
        println!("{}", String::from_utf8_lossy(&stage.request));
        println!("{}", outcome.log);
    }
    Some(problem)
}

/// The set-up file of a rule set.
pub(crate) fn setup_file(root: &Path) -> Result<PathBuf> {
    // Debian has it with the configuration of the machine.
    ["crs-setup.conf", "crs-setup.conf.example", DEBIAN_SETUP]
        .into_iter()
        .map(|name| root.join(name))
        .find(|path| path.is_file())
        .context("the rule set has no `crs-setup.conf`")
}

/// The text that includes the rule set.
fn text(root: &Path) -> Result<String> {
    let setup = setup_file(root)?;
    Ok(format!(
        "{FRAME}Include {}\n{SETUP}Include {}/rules/*.conf\n",
        setup.display(),
        root.display()
    ))
}

fn load(options: &Options) -> Result<RuleSet> {
    let root = options.rules.canonicalize().context("no rule set")?;
    let text = text(&root)?;
    RuleSet::parse("crs", &text, &Folder::new(root)).map_err(|faults| {
        let shown: Vec<String> = faults
            .iter()
            .take(20)
            .map(|fault| format!("{fault}\n    {}", fault.help.as_deref().unwrap_or("")))
            .collect();
        anyhow::anyhow!("{} faults:\n{}", faults.len(), shown.join("\n"))
    })
}

/// A match as ModSecurity's error log shows it.
fn log_line(id: &str, msg: &str, data: &str) -> String {
    format!("[id \"{id}\"] [msg \"{msg}\"] [data \"{data}\"]\n")
}

/// What is wrong with an outcome, if anything is.
fn difference(expected: &Expected, outcome: &Outcome) -> Option<String> {
    for id in &expected.ids {
        if !outcome.ids.contains(id) {
            return Some(format!("{id} did not match; what did: {:?}", outcome.ids));
        }
    }
    for id in &expected.no_ids {
        if outcome.ids.contains(id) {
            return Some(format!("{id} matched"));
        }
    }
    for (pattern, is_wanted) in [(&expected.log, true), (&expected.no_log, false)] {
        let Some(pattern) = pattern else { continue };
        let Ok(regex) = regex_automata::meta::Builder::new().build(pattern) else {
            return Some(format!("the pattern `{pattern}` cannot be used"));
        };
        if regex.is_match(&outcome.log) != is_wanted {
            let has = if is_wanted { "has no" } else { "has" };
            return Some(format!("the log {has} `{pattern}`"));
        }
    }
    match outcome.status {
        Some(status) if !expected.statuses.is_empty() && !expected.statuses.contains(&status) => {
            Some(format!("status {status} instead of {:?}", expected.statuses))
        }
        _ => None,
    }
}
