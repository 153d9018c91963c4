//! `mcpol rules`.

use super::Failure;
use crate::cli::RulesArgs;
use crate::exit::Exit;

pub(super) fn run(_args: RulesArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
