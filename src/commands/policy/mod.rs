//! `mcpol policy`: check, test, diff, schema.

mod check;
mod diff;
mod test;

use super::{Failure, schema};
use crate::cli::{PolicyArgs, PolicyCommand};
use crate::exit::Exit;

pub(super) fn run(args: PolicyArgs) -> Result<Exit, Failure> {
    match args.command {
        PolicyCommand::Check(args) => check::run(&args),
        PolicyCommand::Test(args) => test::run(&args),
        PolicyCommand::Diff(args) => diff::run(&args),
        PolicyCommand::Schema => schema::print("policy"),
    }
}
