//! `mcpol audit`.

use super::Failure;
use crate::cli::AuditArgs;
use crate::exit::Exit;

pub(super) fn run(_args: AuditArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
