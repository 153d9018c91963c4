//! The binary: parse, run, exit code.

use clap::Parser as _;
use mcpol::{cli::Cli, commands};
use std::process::ExitCode;

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}
