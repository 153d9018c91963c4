//! `mcpol approvals`.

use super::Failure;
use crate::cli::ApprovalsArgs;
use crate::exit::Exit;

pub(super) fn run(_args: ApprovalsArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
