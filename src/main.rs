//! The binary: parse, run, exit code.

use clap::Parser as _;
use mcpol::{cli::Cli, commands, mcp};
use std::process::ExitCode;

fn main() -> ExitCode {
    mcp::private::keep_memory_private();
    if let Some(code) = mcp::supervise::run_if_asked() {
        return code;
    }
    match commands::run(Cli::parse()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}
