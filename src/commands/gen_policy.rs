//! `mcpol gen-policy`.

use super::Failure;
use crate::cli::GenPolicyArgs;
use crate::exit::Exit;

pub(super) fn run(_args: GenPolicyArgs) -> Result<Exit, Failure> {
    Err(Failure::usage("not available yet").with_exit(Exit::Internal))
}
