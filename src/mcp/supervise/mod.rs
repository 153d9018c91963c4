//! A hidden mode of our own binaries that stands between a process of `mcpol` and a server's command, so that nothing
//! survives that process, and that holds the command to what it may reach.
//!
//! A server whose client is ended by `kill -9` sees its standard input close; some ignore that, and a parent-death
//! signal would reach only the first process of `npx` → `sh` → `node`. The supervisor leads the server's process group,
//! waits for that same standard input to be hung up, and ends the group when the grace is over. While `mcpol` lives, it
//! says when. On Linux the supervisor also adopts what leaves the group (`setsid`, daemons) and ends it with the rest.

mod confine;
#[cfg(unix)]
mod descendants;
#[cfg(unix)]
mod run;

pub(in crate::mcp) use confine::arguments;
pub use confine::sandbox_is_there;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

/// First argument of the hidden mode; what the command is held to, `--` and the command follow.
pub const SUPERVISE_ARGUMENT: &str = "__supervise";

/// The signal that has a supervisor end the command and all that it has started at once, by force. TERM has it pass TERM
/// on to all of them.
#[cfg(unix)]
pub const END_NOW: rustix::process::Signal = rustix::process::Signal::USR1;

/// The small binary that knows this mode only. It is installed beside `mcpol`.
const SMALL_BINARY: &str = "mcpol-supervise";

/// The binary that offers the hidden mode: the small one beside this one, or this one itself. Found once: the system has
/// no name any more for a running program that an upgrade has replaced.
pub fn launcher() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let own = std::env::current_exe().ok()?;
        let small = own.with_file_name(format!("{SMALL_BINARY}{}", std::env::consts::EXE_SUFFIX));
        Some(if is_program(&small) { small } else { own })
    };
    FOUND.get_or_init(find).clone()
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(_path: &Path) -> bool {
    false
}

/// Runs the hidden mode if the arguments of this process ask for it. Call it before anything else in `main`.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SUPERVISE_ARGUMENT {
        return None;
    }
    Some(run(arguments.collect()))
}

/// How a shell names a program that could not be started.
const CANNOT_START: u8 = 127;

#[cfg(unix)]
fn run(arguments: Vec<OsString>) -> ExitCode {
    use std::io::Write as _;
    let parsed = confine::parse(arguments);
    let Some((confinement, program, arguments)) = parsed.as_ref().and_then(|(confinement, command)| {
        let (program, arguments) = command.split_first()?;
        Some((confinement, program, arguments))
    }) else {
        let _ = writeln!(std::io::stderr(), "cannot start: what the command is held to cannot be read");
        return ExitCode::from(CANNOT_START);
    };
    match run::to_the_end(confinement, program, arguments) {
        Ok(code) => code,
        Err(error) => {
            // To standard error, which is what the parent shows.
            let _ = writeln!(std::io::stderr(), "cannot start `{}`: {error}", program.display());
            ExitCode::from(CANNOT_START)
        }
    }
}

#[cfg(not(unix))]
fn run(_command: Vec<OsString>) -> ExitCode {
    // Never asked for on these systems: see `ServerProcess::spawn`.
    ExitCode::from(CANNOT_START)
}
