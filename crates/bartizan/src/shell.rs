//! `bartizan completions` and `bartizan man`: what a shell and a reader of manuals want to know, made
//! from the command line's own types.

use std::io::Write;

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsArgs, ManArgs};
use crate::failure::Failure;
use crate::files::{self, Privacy};

/// Prints the script of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bartizan", &mut script);
    let written = std::io::stdout().write_all(&script);
    written.map_err(|cause| Failure::new(format!("the script cannot be printed: {cause}")))
}

/// Writes a page for the program and one for each command.
pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.out)
        .map_err(|cause| Failure::file("create the folder", &args.out, &cause))?;
    let mut program = Cli::command();
    program.build();
    let mut commands = vec![&program];
    while let Some(command) = commands.pop() {
        if command.is_hide_set() || command.get_name() == "help" {
            continue;
        }
        commands.extend(command.get_subcommands());
        let name = command.get_display_name().unwrap_or("bartizan");
        let page = clap_mangen::Man::new(command.clone());
        let mut text = Vec::new();
        page.render(&mut text)
            .map_err(|cause| Failure::new(format!("the page cannot be written: {cause}")))?;
        files::write(&args.out.join(format!("{name}.1")), &text, Privacy::Folder)?;
    }
    Ok(())
}
