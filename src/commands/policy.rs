//! `mcpol policy`.

use super::Failure;
use crate::cli::PolicyArgs;
use crate::exit::Exit;

pub(super) fn run(_args: PolicyArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
