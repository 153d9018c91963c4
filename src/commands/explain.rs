//! `mcpol explain`.

use super::Failure;
use crate::cli::ExplainArgs;
use crate::exit::Exit;

pub(super) fn run(_args: ExplainArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
