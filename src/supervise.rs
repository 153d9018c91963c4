//! The supervisor of a server's processes as a program of its own, a twentieth of the size of `mcpol`: it stays in memory
//! for as long as the server runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcpol::mcp::private::keep_memory_private();
    mcpol::mcp::supervise::run_if_asked().unwrap_or_else(|| {
        use std::io::Write as _;
        // A standard error that is gone cannot be told.
        let _ = writeln!(std::io::stderr(), "error: this is started by `mcpol`, which ends a server with it");
        mcpol::exit::Exit::Usage.into()
    })
}
