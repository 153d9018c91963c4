//! `mcpol sample-server`.

use super::{Failure, output};
use crate::cli::SampleServerArgs;
use crate::exit::Exit;
use crate::sample;
use std::io;

pub(super) fn run(_args: SampleServerArgs) -> Result<Exit, Failure> {
    match sample::serve(io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => Ok(Exit::Clean),
        // The client went away.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::Clean),
        Err(error) => Err(output::failed(error)),
    }
}
