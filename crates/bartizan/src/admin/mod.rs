//! `bartizan admin`: talks to the running node over its local socket.

mod args;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bartizan_admin::operators::local::{Answer, AskError, Request, ask};
use bartizan_admin::operators::{Confinement, Rights};

pub(crate) use args::{AdminArgs, Days, NodeArgs};
use args::{AdminCommand, CreateArgs, KeyCommand, Label};
pub(crate) use show::minute;

use crate::failure::{Failure, say};
use crate::load::{self, Record};

/// Does what is asked for.
pub(crate) fn admin(args: &AdminArgs) -> Result<(), Failure> {
    let AdminCommand::Key(key) = &args.command;
    let (node, request) = match &key.command {
        KeyCommand::Create(args) => (&args.node, create(args)?),
        KeyCommand::List(args) => (&args.node, Request::List {}),
        KeyCommand::Rotate(args) => {
            let lifetime = args.expires.map(|time| time.0.as_secs());
            let overlap = args.overlap.0.as_secs();
            (&args.node, Request::Rotate { id: args.id, overlap, lifetime })
        }
        KeyCommand::Retire(args) => {
            (&args.node, Request::Retire { id: args.id, overlap: args.overlap.0.as_secs() })
        }
        KeyCommand::Revoke(args) => (&args.node, Request::Revoke { id: args.id }),
    };
    let socket = socket(node)?;
    let answer = ask(&socket, &request).map_err(|error| not_asked(&socket, &error))?;
    match answer {
        Answer::Refused { problem, help } => Err(Failure::new(problem).with_help(help)),
        answer if node.json => {
            say(&show::json(&answer));
            Ok(())
        }
        answer => {
            let (output, note) = show::text(&answer);
            say(&output);
            eprint!("{note}");
            Ok(())
        }
    }
}

fn create(args: &CreateArgs) -> Result<Request, Failure> {
    let (labels, uses) = (by_name(&args.labels), by_name(&args.uses));
    let (kinds, hosts, paths) = (args.kinds.clone(), args.hosts.clone(), args.paths.clone());
    let confinement = Confinement::new(kinds, labels, hosts, paths);
    let confinement = confinement.and_then(|confinement| confinement.using(uses));
    let rights = confinement.and_then(|confinement| {
        let rights = Rights { role: args.role, confinement, secrets: args.secrets };
        rights.check().map(|()| rights)
    });
    let rights = rights.map_err(|unfit| Failure::new(unfit.problem).with_help(unfit.help))?;
    Ok(Request::Create { name: args.name.clone(), rights, lifetime: args.expires.0.as_secs() })
}

fn by_name(labels: &[Label]) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Label(name, value) in labels {
        all.entry(name.clone()).or_default().insert(value.clone());
    }
    all
}

/// Where the node listens for us.
pub(crate) fn socket(args: &NodeArgs) -> Result<PathBuf, Failure> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    let record = Record::default();
    let (config, _) = load::draft(&args.config, &load::loader(&record))?;
    config.admin.map(|admin| admin.socket).ok_or_else(|| {
        Failure::new(format!("`{}` has no Admin API", args.config.display()))
            .with_help("add `admin: {}` to it, or name the socket of another node with `--socket`")
    })
}

/// Says why a node cannot be asked.
pub(crate) fn not_asked(socket: &Path, error: &AskError) -> Failure {
    let help = match error {
        AskError::NotRunning => "start the node: `bartizan run`; keys are made while it runs",
        AskError::NotAllowed => {
            "only the node's own user and root may use it, for example by `sudo`"
        }
        AskError::Stranger(_) => {
            "somebody may be after keys: see who can write to the folder of the socket"
        }
        AskError::Broken(_) => "see the node's log",
        AskError::Unreadable(_) => "use the `bartizan` of the version that runs",
    };
    let problem = format!("the node cannot be asked at `{}`: {error}", socket.display());
    Failure::new(problem).with_help(help)
}
