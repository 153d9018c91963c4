//! placeholder
use crate::commands::Failure;
use crate::exit::Exit;
pub(super) fn run<T>(_args: &T) -> Result<Exit, Failure> {
    Err(Failure::usage("x"))
}
