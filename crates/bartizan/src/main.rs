//! The `bartizan` command: the command line, the wiring of the crates, signals.
//!
//! This page is the table of contents; each command is a module.

mod admin;
mod check;
mod cli;
mod failure;
mod files;
mod import;
mod init;
mod key;
mod load;
mod logs;
mod node;
mod overrides;
mod quickstart;
mod reference;
mod run;
mod shell;
mod signals;
mod table;
mod telemetry;
mod token;
mod waf;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Init(args) => init::init(&args),
        Command::Import(args) => import::import(&args.source),
        Command::Token(args) => token::token(&args),
        Command::Admin(args) => admin::admin(&args),
        Command::Key(args) => key::key(&args),
        Command::Waf(args) => waf::waf(&args.command),
        Command::Quickstart(args) => quickstart::quickstart(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Reference(args) => reference::write(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            ExitCode::from(failure.code())
        }
    }
}
