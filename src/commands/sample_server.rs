//! `mcpol sample-server`.

use super::Failure;
use crate::cli::SampleServerArgs;
use crate::exit::Exit;

pub(super) fn run(_args: SampleServerArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
