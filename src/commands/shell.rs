//! `mcpol completions` and `mcpol man`: what a shell and `man` know of the commands.

use super::{Failure, output};
use crate::cli::{self, CompletionsArgs, ManArgs};
use crate::exit::Exit;
use crate::problem::reason;

pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "mcpol", &mut script);
    output::machine(|out| out.write_all(&script))?;
    Ok(Exit::Clean)
}

pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let shown = args.dir.display();
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot write into `{shown}`: {}", reason(&error)));
    std::fs::create_dir_all(&args.dir).map_err(cannot)?;
    // The pages of `help` would say the same again.
    clap_mangen::generate_to(cli::command_without_help(), &args.dir).map_err(cannot)?;
    Ok(Exit::Clean)
}
