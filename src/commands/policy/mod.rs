//! `mcpol policy`: check, test, diff, schema.

mod check;
mod diff;
mod test;

use super::{Failure, output};
use crate::cli::{PolicyArgs, PolicyCommand};
use crate::exit::Exit;
use crate::policy;

pub(super) fn run(args: PolicyArgs) -> Result<Exit, Failure> {
    match args.command {
        PolicyCommand::Check(args) => check::run(&args),
        PolicyCommand::Test(args) => test::run(&args),
        PolicyCommand::Diff(args) => diff::run(&args),
        PolicyCommand::Schema => {
            let text = policy::schema_text();
            output::machine(|out| out.write_all(text.as_bytes()))?;
            Ok(Exit::Clean)
        }
    }
}
