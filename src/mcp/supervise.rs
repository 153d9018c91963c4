//! A hidden mode of our own binaries that stands between a process of `mcpol` and a server's command, so that nothing survives that process.
//!
//! A server whose client is ended by `kill -9` sees its standard input close; some ignore that, and a parent-death
//! signal would reach only the first process of `npx` → `sh` → `node`. The supervisor leads the server's process group,
//! waits for that same standard input to be hung up, and ends the group when the grace is over. While `mcpol` lives, it ends
//! the group itself, and sooner.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

/// First argument of the hidden mode; the command follows.
pub const SUPERVISE_ARGUMENT: &str = "__supervise";

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
fn run(command: Vec<OsString>) -> ExitCode {
    use std::time::Duration;
    /// From hang-up to TERM, and from TERM to KILL; longer than the grace of a parent that lives.
    const GRACE: Duration = Duration::from_secs(3);

    let Some((program, arguments)) = command.split_first() else { return ExitCode::from(CANNOT_START) };
    let mut child = match std::process::Command::new(program).args(arguments).spawn() {
        Ok(child) => child,
        Err(error) => {
            use std::io::Write as _;
            // To standard error, which is what the parent shows.
            let _ = writeln!(std::io::stderr(), "cannot start `{}`: {error}", program.display());
            return ExitCode::from(CANNOT_START);
        }
    };
    // The output is the command's alone: where it closes it and lives on, the gateway must see the end.
    if let Ok(nowhere) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nowhere);
    }
    let child_id = rustix::process::Pid::from_child(&child);
    std::thread::spawn(move || {
        if wait_for_hang_up().is_err() {
            return;
        }
        std::thread::sleep(GRACE);
        let _ = rustix::process::kill_process(child_id, rustix::process::Signal::TERM);
        std::thread::sleep(GRACE);
        // We lead the group, so this ends us too.
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
    });
    let status = child.wait();
    if is_hung_up().unwrap_or(true) {
        // No process may be left to end what the command has started. We lead the group, so this ends us too.
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::KILL);
    }
    match status {
        Ok(status) => {
            use std::os::unix::process::ExitStatusExt as _;
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
            ExitCode::from(u8::try_from(code).unwrap_or(1))
        }
        Err(_) => ExitCode::FAILURE,
    }
}

/// Blocks until no process holds the writing end of our standard input any more, without reading from it.
#[cfg(unix)]
fn wait_for_hang_up() -> std::io::Result<()> {
    while !look_at_stdin(None)? {}
    Ok(())
}

/// Whether no process holds the writing end of our standard input now.
#[cfg(unix)]
fn is_hung_up() -> std::io::Result<bool> {
    look_at_stdin(Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))
}

#[cfg(unix)]
fn look_at_stdin(at_most: Option<&rustix::event::Timespec>) -> std::io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, poll};
    let stdin = std::io::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::empty())];
    match poll(&mut watched, at_most) {
        Ok(_) => Ok(watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn run(_command: Vec<OsString>) -> ExitCode {
    // Never asked for on these systems: see `ServerProcess::spawn`.
    ExitCode::from(CANNOT_START)
}
