//! `mcpol demo`.

use super::Failure;
use crate::cli::DemoArgs;
use crate::exit::Exit;

pub(super) fn run(_args: DemoArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
