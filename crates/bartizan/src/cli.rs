//! The command line: its types are its manual.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use bartizan_core::Span;
use bartizan_plugins::jose::Algorithm;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::admin::AdminArgs;
use crate::key::KeyArgs;

/// What `--version` says beyond the number.
const BUILD: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("BARTIZAN_COMMIT"),
    ", ",
    env!("BARTIZAN_PROFILE"),
    " build for ",
    env!("BARTIZAN_TARGET"),
    ")"
);

const CLOSING: &str = "\
Start here:
  bartizan quickstart                              an example API, protected
  bartizan quickstart --check                      the same, attacked by bartizan itself
  bartizan init --upstream http://127.0.0.1:3000   a configuration for your own API
  bartizan init --openapi openapi.yaml             the same, out of its OpenAPI document
  bartizan check -c bartizan.yaml                  what is wrong with it, all at once
  bartizan run -c bartizan.yaml                    serve it

Exit codes: 0 success, 1 a check that ran and failed, 2 a wrong configuration, command line or
environment.";

/// An API gateway whose first job is security.
///
/// Nothing reaches a backend that was not identified, allowed, metered and validated. It speaks the
/// resource model of Apache APISIX, and is closed by default.
#[derive(Debug, Parser)]
#[command(name = "bartizan", version = BUILD, after_help = CLOSING, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a configuration
    ///
    /// Reads the node file and the resources it names, and serves them until SIGTERM or SIGINT.
    /// Both drain: listeners close, running requests get `limits.drain`. Resources are read again
    /// when one of their files or their store changes and on SIGHUP; a change that does not
    /// compile is refused and the running configuration stays, or all of it but the objects at
    /// fault is applied (`on_invalid`). SIGUSR1 opens the log files anew.
    #[command(after_help = "\
Examples:
  bartizan run -c bartizan.yaml
  bartizan run -c /etc/bartizan/bartizan.yaml --log-format json
  kill -HUP $(pidof bartizan)     # read the resources again
  kill -USR1 $(pidof bartizan)    # after the log files were moved away")]
    Run(RunArgs),

    /// Say everything that is wrong with a configuration
    ///
    /// Reads and compiles a configuration as `run` would, and serves nothing. All problems are
    /// shown at once, each with its place and what to write instead; then the exit code is 2. A
    /// configuration that is in order is summed up: each route with what protects it, and
    /// warnings. A store that is no file is not read.
    #[command(after_help = "\
Examples:
  bartizan check -c bartizan.yaml
  bartizan check -c bartizan.yaml && kill -HUP $(pidof bartizan)")]
    Check(CheckArgs),

    /// Write a starting configuration for your own API
    ///
    /// Writes `bartizan.yaml`, `resources.yaml` and the key of a first consumer, commented and
    /// ready to run: every request needs the key, and each consumer has a limit. With `--openapi`
    /// each path of the document is a route, requests are held against the document, and its
    /// security schemes say what callers need; what cannot be taken over is told at the end, and
    /// never asks for less than the document does.
    #[command(after_help = "\
Examples:
  bartizan init --upstream http://127.0.0.1:3000
  bartizan init --upstream https://api.internal.example --dir gateway
  bartizan init --openapi openapi.yaml --upstream http://127.0.0.1:3000
  bartizan run -c gateway/bartizan.yaml")]
    Init(InitArgs),

    /// Say what a configuration of another gateway means here
    #[command(after_help = "\
Examples:
  bartizan import apisix conf/apisix.yaml conf/config.yaml
  bartizan import apisix http://127.0.0.1:9180 --key-file admin.key --write gateway")]
    Import(ImportCommand),

    /// Mint a short-lived test token for a consumer
    ///
    /// Signs a JSON web token with the secret that the consumer has in its `jwt-auth`, or with a
    /// private key that is given. The token is the only thing on standard output. It lives an hour
    /// at most: this is for trying things out, not an identity provider.
    #[command(after_help = "\
Examples:
  bartizan token --consumer alice --claim scope=orders
  bartizan token --consumer alice --expires 30s --claim 'roles:=[\"admin\"]'
  bartizan token --consumer alice --key alice.pem --alg RS256
  curl -H \"Authorization: Bearer $(bartizan token --consumer alice)\" https://…")]
    Token(TokenArgs),

    /// Administer the node that runs here
    ///
    /// Operators prove who they are to the Admin API by keys, which are made here, and nowhere
    /// else.
    #[command(after_help = "\
Examples:
  bartizan admin key create --name alice --role admin --expires 90d
  bartizan admin key list")]
    Admin(AdminArgs),

    /// Make, list and end the keys of consumers
    ///
    /// Talks to the node that runs on this machine, over its local socket; only the node's own user
    /// and root may. The store gets a keyed hash of each key and nothing else (`api_keys` in the
    /// node file).
    #[command(after_help = "\
Examples:
  bartizan key create --consumer alice --expires 90d
  bartizan key list
  bartizan key rotate k7f2m9qa --overlap 7d")]
    Key(KeyArgs),

    /// Try web application firewall rules on requests
    ///
    /// Judges requests that are files by the rules of a file, a folder or the gateway itself, as the
    /// plugin `waf` would on a route, and sends nothing anywhere.
    #[command(after_help = "\
Examples:
  bartizan waf test builtin attack.http clean.http
  bartizan waf explain rules/main.conf attack.http")]
    Waf(WafArgs),

    /// Protect an example API, ready to be tried and attacked
    ///
    /// Creates a state folder with a certificate for `localhost`, secrets, and a commented
    /// configuration to start from; then serves `https://localhost:9443` before an example API in
    /// the same process, and prints commands to try. A second run finds everything as it was. With
    /// `--check` it sends the requests itself, on free ports, and tells what each protection did.
    #[command(after_help = "\
Examples:
  bartizan quickstart
  bartizan quickstart --check
  bartizan quickstart --state trial --check")]
    Quickstart(QuickstartArgs),

    /// Print what completes commands and options in a shell
    ///
    /// The script knows every command and option of this build. Where it goes is the shell's
    /// affair; bash reads `~/.local/share/bash-completion/completions/bartizan`.
    #[command(after_help = "\
Examples:
  bartizan completions bash > ~/.local/share/bash-completion/completions/bartizan
  bartizan completions zsh > \"${fpath[1]}/_bartizan\"
  bartizan completions fish > ~/.config/fish/completions/bartizan.fish")]
    Completions(CompletionsArgs),

    /// Write the manual pages
    ///
    /// One page for `bartizan` and one for each command, in the form of man(1).
    #[command(after_help = "\
Examples:
  bartizan man --out ~/.local/share/man/man1 && man bartizan")]
    Man(ManArgs),

    /// Write the generated pages of the reference
    #[command(hide = true)]
    Reference(ReferenceArgs),
}

/// How the process tells what it does.
#[derive(Clone, Debug, Args)]
pub(crate) struct LogArgs {
    /// How the log on standard error is written
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub(crate) log_format: LogFormat,

    /// What is logged: a level, or levels by module as in `info,bartizan_net=debug` [default:
    /// info; warn for `quickstart`]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_level: Option<String>,
}

/// How the log on standard error is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people on a terminal, JSON anywhere else
    Auto,
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The node file
    #[arg(short, long, value_name = "FILE", default_value = "bartizan.yaml")]
    pub(crate) config: PathBuf,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The node file
    #[arg(short, long, value_name = "FILE", default_value = "bartizan.yaml")]
    pub(crate) config: PathBuf,
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where your API is: `http://host:port` or `https://host`; left out with `--openapi`, the
    /// first server of the document
    #[arg(long, value_name = "URL", required_unless_present = "openapi")]
    pub(crate) upstream: Option<String>,

    /// An OpenAPI document of it (3.0 or 3.1, YAML or JSON): its paths become routes
    #[arg(long, value_name = "FILE")]
    pub(crate) openapi: Option<PathBuf>,

    /// The folder to write into
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,

    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9080")]
    pub(crate) listen: SocketAddr,

    /// Replace files that are there already
    #[arg(long)]
    pub(crate) force: bool,
}

/// `import`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct ImportCommand {
    /// Where it comes from
    #[command(subcommand)]
    pub(crate) source: ImportSource,
}

/// The gateways whose configurations are read.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportSource {
    /// Apache APISIX
    ///
    /// Reads `apisix.yaml` or `apisix.json`, `config.yaml`, the objects behind an Admin API or those
    /// in etcd, and says of each whether it means the same here, is stricter, needs a decision or
    /// is refused, and what to write instead. A route that anybody or every consumer could call is
    /// marked with the reason "imported, to be reviewed". Nothing is changed there. The exit code is
    /// 1 if an object is refused.
    #[command(after_help = "\
Examples:
  bartizan import apisix conf/apisix.yaml conf/config.yaml
  bartizan import apisix conf/apisix.yaml --write gateway
  bartizan import apisix http://127.0.0.1:9180 --key-file admin.key --write gateway
  bartizan import apisix etcd+http://127.0.0.1:2379/apisix --json")]
    Apisix(ImportArgs),
}

/// `import apisix`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line, each by itself")]
pub(crate) struct ImportArgs {
    /// Files, or one Admin API (`http://…`, `https://…`) or etcd (`etcd+http://host:port/prefix`)
    #[arg(value_name = "SOURCE", required = true)]
    pub(crate) sources: Vec<String>,

    /// A file with the key of the Admin API, or with `user:password` for etcd
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,

    /// Send the key to another machine without TLS, where everyone on the way can read it
    #[arg(long, requires = "key_file")]
    pub(crate) danger_plaintext: bool,

    /// Let objects of a server read the variables and files of this machine that they name
    #[arg(long)]
    pub(crate) danger_references: bool,

    /// A file with the keys that secrets in etcd are encrypted with, one on each line
    #[arg(long, value_name = "FILE")]
    pub(crate) keyring_file: Option<PathBuf>,

    /// Write `bartizan.yaml` and `resources.yaml` into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) write: Option<PathBuf>,

    /// Replace what is in the folder
    #[arg(long, requires = "write")]
    pub(crate) force: bool,

    /// Report in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `token`.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Whose token it is
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: String,

    /// The node file; not read if `--key` is given and it does not exist [default: bartizan.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// How long it lives, an hour at most
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub(crate) expires: Span,

    /// A claim: `name=text`, or `name:=JSON`; may be given several times
    #[arg(long = "claim", value_name = "CLAIM")]
    pub(crate) claims: Vec<String>,

    /// The credential to sign for, where the consumer has several
    #[arg(long, value_name = "ID")]
    pub(crate) credential: Option<String>,

    /// The claim that names the key (`key_claim_name` of the route)
    #[arg(long, value_name = "CLAIM", default_value = "key")]
    pub(crate) key_claim: String,

    /// A file with the private key to sign with, in PEM
    #[arg(long, value_name = "FILE", requires = "alg")]
    pub(crate) key: Option<PathBuf>,

    /// The algorithm that goes with `--key`, such as `RS256`, `ES256` or `EdDSA`
    #[arg(long, value_name = "NAME", requires = "key")]
    pub(crate) alg: Option<Algorithm>,

    /// The name of the key, for the token's header
    #[arg(long, value_name = "NAME")]
    pub(crate) kid: Option<String>,
}

/// `waf`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct WafArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: WafCommand,
}

/// The commands of `waf`.
#[derive(Debug, Subcommand)]
pub(crate) enum WafCommand {
    /// Say which requests would be refused
    ///
    /// One line a request: what becomes of it, its score where the rules score, and the rules that
    /// matched. A request is a file as it goes over the wire in HTTP/1.1; lines may end with a line
    /// feed alone, and `Host` and `Content-Length` are added where they are missing. The exit code
    /// is 0 if all pass (or all are as `--expect` says), 1 if not, 2 if rules or a request cannot
    /// be read.
    #[command(after_help = "\
Examples:
  bartizan waf test builtin attack.http clean.http
  bartizan waf test crs --paranoia 2 --threshold 7 requests/*.http
  bartizan waf test rules/main.conf --expect deny attacks/*.http
  bartizan waf test crs --expect 942100,949110 sqli.http
  printf 'GET /?id=1%%27+or+1=1-- HTTP/1.1\\n\\n' | bartizan waf test builtin -")]
    Test(WafTestArgs),

    /// Say why a request scores
    ///
    /// Each rule that matched: what it looked at and after which transformations, what it asked,
    /// what it found, what that added to the score and where the rule stands; and what would have
    /// the request pass, for the plugin's `exclude`. Values of cookies and of fields with secrets
    /// are hidden, as in the gateway's logs.
    #[command(after_help = "\
Examples:
  bartizan waf explain builtin attack.http
  bartizan waf explain crs --paranoia 3 --show-values attack.http
  bartizan waf explain crs --format json attack.http")]
    Explain(WafExplainArgs),
}

/// Rules, and how they judge.
#[derive(Debug, Args)]
pub(crate) struct WafRulesArgs {
    /// `builtin`, a rule file, or a folder: its `*.conf` and those of its `rules`, in order of their
    /// names
    pub(crate) rules: String,

    /// The level of rules that are run and count; for rules that know levels
    #[arg(long, value_name = "LEVEL", value_parser = clap::value_parser!(u8).range(1..=4))]
    pub(crate) paranoia: Option<u8>,

    /// The score at which a request is refused; for rules that score
    #[arg(long, value_name = "SCORE", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) threshold: Option<u16>,

    /// The address that requests come from
    #[arg(long, value_name = "ADDRESS", default_value = "192.0.2.1")]
    pub(crate) client: IpAddr,

    /// How the result is written
    #[arg(long, value_enum, default_value_t = ResultFormat::Text)]
    pub(crate) format: ResultFormat,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResultFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// `waf test`.
#[derive(Debug, Args)]
pub(crate) struct WafTestArgs {
    #[command(flatten)]
    pub(crate) rules: WafRulesArgs,

    /// Files with a request each; `-` is standard input
    #[arg(required = true, value_name = "REQUEST")]
    pub(crate) requests: Vec<String>,

    /// What must become of each request: `pass`, `deny`, or the ids of rules that must match
    #[arg(long, value_name = "pass|deny|ID,ID…")]
    pub(crate) expect: Option<Expectation>,
}

/// `waf explain`.
#[derive(Debug, Args)]
pub(crate) struct WafExplainArgs {
    #[command(flatten)]
    pub(crate) rules: WafRulesArgs,

    /// A file with the request; `-` is standard input
    pub(crate) request: String,

    /// Show also the values of cookies, of fields with secrets and of raw texts such as `REQUEST_URI`
    #[arg(long)]
    pub(crate) show_values: bool,
}

/// What must become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// It passes.
    Pass,
    /// It is refused.
    Deny,
    /// These rules match, whatever else does.
    Rules(Vec<u32>),
}

impl FromStr for Expectation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pass" => return Ok(Self::Pass),
            "deny" => return Ok(Self::Deny),
            _ => {}
        }
        let ids: Result<Vec<u32>, _> = text.split(',').map(|id| id.trim().parse()).collect();
        ids.map(Self::Rules).map_err(|_| "neither `pass`, `deny` nor ids of rules".to_owned())
    }
}

/// `quickstart`.
#[derive(Debug, Args)]
pub(crate) struct QuickstartArgs {
    /// The state folder
    #[arg(long, value_name = "DIR", default_value = ".bartizan")]
    pub(crate) state: PathBuf,

    /// Send the requests, print what became of them, and exit
    #[arg(long)]
    pub(crate) check: bool,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell to write for
    pub(crate) shell: clap_complete::Shell,
}

/// `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder to write into; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// `reference`.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// The folder to write into
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_visible_command_has_examples() {
        fn look(command: &clap::Command) {
            for command in command.get_subcommands().filter(|c| !c.is_hide_set()) {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Examples:\n  bartizan "), "{}", command.get_name());
                look(command);
            }
        }
        look(&Cli::command());
    }
}
