//! The command line of `bartizan admin`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bartizan_admin::operators::{KeyId, Role};
use bartizan_core::Span;
use clap::{Args, Subcommand};

/// `admin`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct AdminArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AdminCommand,
}

/// The commands of `admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Make, list and end the keys of operators
    ///
    /// Talks to the node that runs on this machine, over its local socket; only the node's own
    /// user and root may. The node keeps a keyed hash of each key and nothing else.
    #[command(after_help = "\
Examples:
  bartizan admin key create --name alice --role admin --expires 90d
  bartizan admin key list
  bartizan admin key rotate k7f2m9qa --overlap 7d")]
    Key(KeyArgs),
}

/// `admin key`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

/// The commands of `admin key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key, and print it once
    ///
    /// The key is the only thing on standard output. A viewer reads resources; an editor changes
    /// those that it is confined to; an auditor reads events, revisions and the quarantine; an
    /// admin does everything. Secrets are sealed for all of them but keys made with `--secrets`.
    /// What an editor is confined to is told with kinds, labels, hosts and paths: what is given
    /// confines together, what is not given confines to nothing, and `ssls`, `global_rules`,
    /// `plugin_metadata` and `secrets` are changed only by keys that name them. What lies outside
    /// may be referred to where it has a label of `--uses`.
    #[command(after_help = "\
Examples:
  bartizan admin key create --name alice --role admin --expires 90d
  bartizan admin key create --name ci-shop --role editor --labels team=shop \\
    --hosts shop.example,*.shop.example --uses shared=all --expires 30d
  bartizan admin key create --name portal --role editor --kinds consumers --expires 30d
  bartizan admin key create --name backup --role viewer --secrets --expires 30d > key")]
    Create(CreateArgs),

    /// List the keys
    ///
    /// Those that are good first. A key that was rotated is `retiring` until its date, its
    /// successor `next` until it is first used.
    #[command(after_help = "\
Examples:
  bartizan admin key list
  bartizan admin key list --json")]
    List(ListArgs),

    /// Make the key that succeeds another
    ///
    /// Prints the new key once. Both are good until the overlap is over, then only the new one.
    /// Where the new key was lost before its first use, rotate the old one again: the lost one is
    /// revoked.
    #[command(after_help = "\
Examples:
  bartizan admin key rotate k7f2m9qa
  bartizan admin key rotate k7f2m9qa --overlap 1d --expires 30d > key")]
    Rotate(RotateArgs),

    /// Let a key end in order
    ///
    /// It is good until the overlap is over.
    #[command(after_help = "\
Examples:
  bartizan admin key retire k7f2m9qa
  bartizan admin key retire k7f2m9qa --overlap 30d")]
    Retire(RetireArgs),

    /// End a key at once
    ///
    /// For keys that were lost, stolen or seen by others.
    #[command(after_help = "\
Examples:
  bartizan admin key revoke k7f2m9qa
  bartizan admin key revoke btz_admin_k7f2m9qa")]
    Revoke(RevokeArgs),
}

/// Which node is asked, and how its answer is written.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The node file; it says where the socket is
    #[arg(short, long, value_name = "FILE", default_value = "bartizan.yaml")]
    pub(crate) config: PathBuf,

    /// The socket, in place of the node file's
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `admin key create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose it is, or what for: 1 to 64 letters, digits, `.`, `_`, `@` and `-`
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,

    /// What it may do: `viewer`, `editor`, `auditor` or `admin`
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Role,

    /// The kinds of resources an editor may change
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    pub(crate) kinds: Vec<String>,

    /// The labels that its resources must have; of one name, one of the values
    #[arg(long, value_name = "NAME=VALUE,…", value_delimiter = ',')]
    pub(crate) labels: Vec<Label>,

    /// The hosts that its routes, services and certificates may serve: `shop.example` or
    /// `*.shop.example`
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,

    /// The paths that its routes may serve: `/shop`, itself and all below, or `/shop/`, all below
    #[arg(long, value_name = "PATH,…", value_delimiter = ',')]
    pub(crate) paths: Vec<String>,

    /// Labels that mark what its objects may refer to, such as a service, where that is not its own;
    /// one of them is enough
    #[arg(long, value_name = "NAME=VALUE,…", value_delimiter = ',')]
    pub(crate) uses: Vec<Label>,

    /// Let it read secrets in clear
    #[arg(long)]
    pub(crate) secrets: bool,

    /// How long it is good, at most 366 days
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Days,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `admin key list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `admin key rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// The key
    #[arg(value_parser = parse_id)]
    pub(crate) id: KeyId,

    /// How long the old key is good still, at most 90 days
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) overlap: Days,

    /// How long the new key is good [default: as long as the old one was made for]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<Days>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `admin key retire`.
#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    /// The key
    #[arg(value_parser = parse_id)]
    pub(crate) id: KeyId,

    /// How long it is good still, at most 90 days
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) overlap: Days,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `admin key revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The key
    #[arg(value_parser = parse_id)]
    pub(crate) id: KeyId,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

fn parse_id(text: &str) -> Result<KeyId, String> {
    // Whoever pastes a whole key should not have it repeated in an error or a history of them.
    KeyId::parse(text)
        .ok_or_else(|| "an id has eight letters and digits: `admin key list`".to_owned())
}

/// A label and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) String, pub(crate) String);

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => {
                Ok(Self(name.to_owned(), value.to_owned()))
            }
            _ => Err("write `name=value`".to_owned()),
        }
    }
}

/// A time that may be given in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days(pub(crate) Duration);

impl FromStr for Days {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("`{text}` is not a time such as `90d` or `12h`");
        let Some(days) = text.strip_suffix('d') else {
            // A bare number would be seconds elsewhere, and is meant as days here.
            let has_unit = text.ends_with(|unit: char| unit.is_ascii_alphabetic());
            let span = text.parse::<Span>().ok().filter(|_| has_unit);
            return span.map(|span| Self(span.0)).ok_or_else(refuse);
        };
        let days: u64 = days.parse().map_err(|_| refuse())?;
        let seconds = days.checked_mul(86_400).ok_or_else(refuse)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_be_days_and_have_a_unit() {
        let read = |text: &str| text.parse::<Days>().map(|days| days.0.as_secs()).ok();
        assert_eq!(
            ["90d", "12h", "30m", "5s"].map(read),
            [Some(7_776_000), Some(43_200), Some(1_800), Some(5)]
        );
        assert_eq!(["90", "", "d", "-1d", "1w", "1.5d", "99999999999999999d"].map(read), [None; 7]);
    }

    #[test]
    fn a_label_has_a_name_and_a_value() {
        let read = |text: &str| text.parse::<Label>().map(|Label(name, value)| (name, value)).ok();
        assert_eq!(read("team=shop=eu"), Some(("team".to_owned(), "shop=eu".to_owned())));
        assert_eq!(["team", "=shop", "team="].map(read), [None, None, None]);
    }
}
