//! `cargo xtask bench waf`: what judging a request costs, here and in libmodsecurity.
//!
//! Both run the Core Rule Set with the same set-up in this run, on one thread: the head, the body
//! and the logging phase; reading the request counts. Transactions are used again, as the
//! gateway does. A figure is the median of many measurements.
//!
//! The library of the Python wheel is built with a PCRE2 that has no just-in-time compiler;
//! `--library` names another, such as Debian's, whose PCRE2 has one.

mod requests;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bartizan_waf::{Folder, Peer, RequestHead, RuleSet, Transaction};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::conditions::{machine, today};
use requests::Request;

/// The wheel that the figures are compared with.
const WHEEL: &str = "libmodsecurity==3.0.15.post2";
/// Where reports are kept.
const RESULTS: &str = "bench/results";
/// What a rule set is set up with, in its folder.
const SET_UP: &str = "crs-setup.conf.example";
/// The first lines of what both engines load.
const FRAME: &str = "\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
SecRequestBodyLimit 13107200
SecRequestBodyNoFilesLimit 13107200
SecRequestBodyJsonDepthLimit 512
SecArgumentsLimit 1000
SecRule REQUEST_HEADERS:Content-Type \"^application/json\" \
    \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"
";

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The folder of the rule set, with `rules` and `crs-setup.conf.example` in it.
    #[arg(long)]
    rules: PathBuf,
    /// Seconds for each figure.
    #[arg(long, default_value_t = 0.4)]
    seconds: f64,
    /// Only requests whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// The libmodsecurity to compare with, instead of the wheel's.
    #[arg(long, conflicts_with = "alone")]
    library: Option<PathBuf>,
    /// Only this engine: nothing is compared, and no report is kept.
    #[arg(long)]
    alone: bool,
    /// The report is `bench/results/<name>-waf.md`, by the date without this; only a full run with
    /// both engines is kept.
    #[arg(long)]
    name: Option<String>,
}

impl Options {
    fn destination(&self, today: &str) -> PathBuf {
        let name = self.name.as_deref().unwrap_or(today);
        Path::new(RESULTS).join(format!("{name}-waf.md"))
    }
}

/// Nanoseconds a request, and of loading.
struct Costs {
    loaded: f64,
    requests: Vec<f64>,
    /// What the engine calls itself, where it is another's.
    version: String,
}

/// Measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.rules.is_dir() {
        bail!("there is no rule set in {}", options.rules.display());
    }
    let library = if options.alone { None } else { options.library.clone().or_else(library) };
    let date = today();
    let machine = machine()?;
    let mut version = String::new();
    let mut tables = String::new();
    for (title, requests, levels) in [
        ("Everyday requests, µs", requests::usual(), 1..=2),
        ("Hostile requests, µs", requests::hostile(), 1..=4),
    ] {
        let wanted = |request: &Request| {
            options.only.as_ref().is_none_or(|only| request.name.contains(only.as_str()))
        };
        let requests: Vec<Request> = requests.into_iter().filter(wanted).collect();
        for level in levels {
            let text = rules_text(&options.rules, level)?;
            let ours = measure(&text, &options.rules, &requests, options.seconds)?;
            let theirs = match &library {
                Some(library) => Some(compare(library, &text, &requests, options.seconds)?),
                None => None,
            };
            let table = table(&requests, &ours, theirs.as_ref());
            print!("## {title}, paranoia {level}\n\n{table}\n");
            let _ = write!(tables, "\n## {title}, paranoia {level}\n\n{table}");
            version = theirs.map_or(version, |costs| costs.version);
        }
    }
    if options.only.is_none() && library.is_some() {
        let path = options.destination(&date);
        let rules = rules_version(&fs::read_to_string(options.rules.join(SET_UP))?);
        fs::write(&path, heading(options, &date, &machine, &rules, &version) + &tables)
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("kept in {}", path.display());
    }
    Ok(())
}

/// What a report begins with: the machine, and how it was measured.
fn heading(
    options: &Options,
    date: &str,
    machine: &[String],
    rules: &str,
    version: &str,
) -> String {
    let Options { rules: folder, seconds, library, .. } = options;
    let mut text = format!("# The web application firewall: cost of a request, {date}\n\n");
    for line in machine {
        let _ = writeln!(text, "- {line}");
    }
    let origin = match library {
        Some(library) => library.display().to_string(),
        None => format!("the Python wheel (`{WHEEL}`)"),
    };
    let _ = write!(
        text,
        "\
- `cargo xtask bench waf --rules {} --seconds {seconds}`: {rules}, the same files and settings for
  both engines, blocking, one thread; head, body and logging phase, reading the request counts
- here: transactions are used again, as the gateway does; the median of many, by the wall clock
- {version} of {origin}, through its own C interface; processor time of the thread, less what
  the same calls cost with the engine off; no debug log, no audit log, rules loaded once

The same request is sent again and again, so what the engine keeps of kinds of bytes is warm; no
verdict is kept.
",
        folder.display()
    );
    text
}

/// What the set-up of a rule set says of its version.
fn rules_version(set_up: &str) -> String {
    let version = set_up.lines().find_map(|line| line.split_once("CRS ver."));
    version.map_or_else(
        || "a rule set that names no version".to_owned(),
        |(_, version)| format!("Core Rule Set {}", version.trim()),
    )
}

/// The wheel's library; where it cannot be had, the comparison is left out.
fn library() -> Option<PathBuf> {
    let found = crate::tools::install_wheel("libmodsecurity", WHEEL).and_then(|folder| {
        let names = fs::read_dir(folder.join("libmodsecurity.libs"))?;
        let mut paths = names.filter_map(|entry| Some(entry.ok()?.path()));
        let is_it = |path: &PathBuf| path.to_string_lossy().contains("/libmodsecurity-");
        paths.find(is_it).context("the wheel has no library")
    });
    found.inspect_err(|problem| println!("libmodsecurity is left out: {problem:#}")).ok()
}

fn rules_text(rules: &Path, level: u8) -> Result<String> {
    let root = rules.canonicalize().context("no rule set")?;
    let root = root.display();
    Ok(format!(
        "{FRAME}Include {root}/{SET_UP}\nSecAction \"id:900000,phase:1,pass,t:none,\
         nolog,setvar:tx.blocking_paranoia_level={level}\"\nInclude {root}/rules/*.conf\n"
    ))
}

fn measure(text: &str, root: &Path, requests: &[Request], seconds: f64) -> Result<Costs> {
    let before = resident()?;
    let began = Instant::now();
    let loaded = RuleSet::parse("bench", text, &Folder::new(root.canonicalize()?));
    let Ok(rules) = loaded else { bail!("the rule set does not load") };
    let elapsed = began.elapsed();
    let idle = resident()?.saturating_sub(before);
    let rules = Arc::new(rules);
    let mut transaction = Transaction::new(rules.clone(), None);
    let costs =
        requests.iter().map(|request| median(&mut transaction, &rules, request, seconds)).collect();
    let used = resident()?.saturating_sub(before);
    println!("loaded in {elapsed:.0?}; {idle} KiB at first, {used} KiB after the requests");
    Ok(Costs { loaded: nanoseconds(elapsed), requests: costs, version: String::new() })
}

/// The resident memory of this process, in KiB.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
    Ok(number.parse()?)
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn median(
    transaction: &mut Transaction,
    rules: &Arc<RuleSet>,
    request: &Request,
    seconds: f64,
) -> f64 {
    judge(transaction, rules, request);
    let began = Instant::now();
    judge(transaction, rules, request);
    // So many at once that reading the clock costs nothing beside them.
    let batch = (20_000 / began.elapsed().as_nanos().max(1)).clamp(1, 100) as u32;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut times = Vec::new();
    while times.len() < 3 || Instant::now() < end {
        let began = Instant::now();
        for _ in 0..batch {
            judge(transaction, rules, request);
        }
        times.push(nanoseconds(began.elapsed()) / f64::from(batch));
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn judge(transaction: &mut Transaction, rules: &Arc<RuleSet>, request: &Request) {
    transaction.reset(rules.clone(), None, None);
    let fields: Vec<(&[u8], &[u8])> =
        request.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let peer =
        Peer { client: ([127, 0, 0, 1], 40_000).into(), server: ([127, 0, 0, 1], 80).into() };
    let head = RequestHead {
        peer,
        method: request.method.as_bytes(),
        target: request.target.as_bytes(),
        protocol: b"HTTP/1.1",
        fields: &fields,
        id: b"0b2f6a8c4d1e4f39",
        now: 1_764_000_000,
    };
    let _ = transaction.request_head(&head);
    let _ = transaction.request_body(&request.body, false);
    transaction.finish();
    std::hint::black_box(transaction.matches());
}

/// Measures libmodsecurity, driven by a script.
fn compare(library: &Path, text: &str, requests: &[Request], seconds: f64) -> Result<Costs> {
    let requests: Vec<Value> = requests
        .iter()
        .map(|request| {
            json!({
                "method": request.method, "target": request.target, "fields": request.fields,
                "body": base64::engine::general_purpose::STANDARD.encode(&request.body),
            })
        })
        .collect();
    let task =
        json!({ "library": library, "rules": text, "requests": requests, "seconds": seconds });
    let mut child = Command::new("python3")
        .args(["-c", include_str!("modsecurity.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    child.stdin.take().context("no pipe")?.write_all(task.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("libmodsecurity ended with {}", output.status);
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    let version = answer["version"].as_str().context("no version")?;
    println!("{version}");
    let costs = answer["costs"].as_array().context("no costs")?;
    Ok(Costs {
        loaded: answer["loaded"].as_f64().context("no time of loading")?,
        requests: costs.iter().filter_map(Value::as_f64).collect(),
        version: version.to_owned(),
    })
}

fn table(requests: &[Request], ours: &Costs, theirs: Option<&Costs>) -> String {
    let mut text = String::from("| request | here | libmodsecurity | ratio |\n|---|--:|--:|--:|\n");
    let names = requests.iter().map(|request| request.name).chain(["loading the rules"]);
    let ours = ours.requests.iter().chain([&ours.loaded]);
    let theirs: Vec<f64> = theirs
        .into_iter()
        .flat_map(|costs| costs.requests.iter().chain([&costs.loaded]))
        .copied()
        .collect();
    for (position, (name, ours)) in names.zip(ours).enumerate() {
        let _ = match theirs.get(position) {
            Some(theirs) => writeln!(
                text,
                "| {name} | {:.1} | {:.1} | {:.1} |",
                ours / 1e3,
                theirs / 1e3,
                theirs / ours
            ),
            None => writeln!(text, "| {name} | {:.1} | – | – |", ours / 1e3),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: Option<&str>, library: Option<&str>) -> Options {
        Options {
            rules: "rules/crs".into(),
            seconds: 0.3,
            only: None,
            library: library.map(PathBuf::from),
            alone: false,
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn a_report_is_named_as_those_of_other_benchmarks() {
        let usual = options(None, None).destination("2026-01-02");
        assert_eq!(usual, Path::new("bench/results/2026-01-02-waf.md"));
        let named = options(Some("before"), None).destination("2026-01-02");
        assert_eq!(named, Path::new("bench/results/before-waf.md"));
    }

    #[test]
    fn a_report_says_on_what_and_how_it_was_measured() {
        let machine = ["machine: 2 × X".to_owned(), "load average before the run: 0.5".to_owned()];
        let rules = rules_version("# ---\n# OWASP CRS ver.4.29.0-dev\n");
        assert_eq!(rules, "Core Rule Set 4.29.0-dev");
        assert_eq!(rules_version("# mine\n"), "a rule set that names no version");
        let heading = |library| {
            heading(&options(None, library), "2026-01-02", &machine, &rules, "Mod 3.0.15")
        };
        let text = heading(None);
        for part in [
            "# The web application firewall: cost of a request, 2026-01-02\n\n- machine: 2 × X\n",
            "- load average before the run: 0.5\n- `cargo xtask bench waf --rules rules/crs \
             --seconds 0.3`: Core Rule Set 4.29.0-dev, ",
            "\n- Mod 3.0.15 of the Python wheel (`libmodsecurity==3.0.15.post2`), ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(heading(Some("/lib/m.so")).contains("\n- Mod 3.0.15 of /lib/m.so, through"));
    }
}
