//! `mcpol scan`.

use super::Failure;
use crate::cli::ScanArgs;
use crate::exit::Exit;

pub(super) fn run(_args: ScanArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
