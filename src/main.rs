//! The binary: parse, run, exit code.

use mcpol::{cli, commands, mcp};
use std::process::ExitCode;

fn main() -> ExitCode {
    mcp::private::keep_memory_private();
    if let Some(code) = mcp::supervise::run_if_asked() {
        return code;
    }
    match commands::run(cli::parse()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print();
            failure.exit.into()
        }
    }
}
