//! The command line of `bartizan key`.

use clap::{Args, Subcommand};

use crate::admin::{Days, NodeArgs};

/// `key`.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

/// The commands of `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key of a consumer, and print it once
    ///
    /// The key is the only thing on standard output; the store gets a keyed hash of it, in a
    /// credential whose id stands in the key. Where the store is files, which the node does not
    /// write, the text to put into them is printed beside the key.
    #[command(after_help = "\
Examples:
  bartizan key create --consumer alice --expires 90d
  bartizan key create --consumer alice --expires 90d > alice.key")]
    Create(CreateArgs),

    /// List the keys of consumers
    ///
    /// Those that are good first. A key that was rotated is `retiring` until its date, its
    /// successor `next` until this node sees it used. When a key was last used is told to the hour,
    /// and since this node started.
    #[command(after_help = "\
Examples:
  bartizan key list
  bartizan key list --consumer alice --json")]
    List(ListArgs),

    /// Make the key that succeeds another
    ///
    /// Prints the new key once. Both are good until the overlap is over, then only the new one.
    #[command(after_help = "\
Examples:
  bartizan key rotate k7f2m9qa
  bartizan key rotate k7f2m9qa --overlap 24h --expires 30d")]
    Rotate(RotateArgs),

    /// Let a key end in order
    #[command(after_help = "\
Examples:
  bartizan key retire k7f2m9qa --overlap 14d
  bartizan key retire k7f2m9qa --overlap 0s")]
    Retire(RetireArgs),
}

/// `key create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose key it is: the consumer's name
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: String,

    /// How long it is good, at most 366 days
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Days,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `key list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Whose keys [default: everybody's]
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<String>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// Which key is meant.
#[derive(Debug, Args)]
pub(crate) struct Chosen {
    /// The key: the id of its credential
    #[arg(value_parser = parse_id)]
    pub(crate) id: String,

    /// Whose it is, where several consumers have a key of that id
    #[arg(long, value_name = "NAME")]
    pub(crate) consumer: Option<String>,
}

/// `key rotate`.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) key: Chosen,

    /// How long the old key is good still, at most 90 days
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) overlap: Days,

    /// How long the new key is good [default: as long as the old one was made for]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<Days>,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

/// `key retire`.
#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    #[command(flatten)]
    pub(crate) key: Chosen,

    /// How long it is good still, at most 90 days; `0s` ends it at once
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(crate) overlap: Days,

    #[command(flatten)]
    pub(crate) node: NodeArgs,
}

fn parse_id(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    // Whoever pastes a whole key should not have it repeated in an error or a history of them.
    if (1..=64).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err("an id has up to 64 letters, digits, `_`, `.` and `-`: `key list`".to_owned())
}
