//! `mcpol enforce`.

use super::Failure;
use crate::cli::EnforceArgs;
use crate::exit::Exit;

pub(super) fn run(_args: EnforceArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
