//! The binary: parse, run, exit code.

use mcpol::{cli, commands, mcp};
use std::process::ExitCode;

/// A call of the gateway allocates some hundred small blocks, most of them freed on the thread that made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
