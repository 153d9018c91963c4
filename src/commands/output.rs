//! Where commands write: results on stdout, words for people on stderr, and a closed pipe is nobody's fault.

use super::Failure;
use crate::exit::Exit;
use std::io::{self, BufWriter, IsTerminal as _, Write};

/// Columns where no terminal and no `COLUMNS` says otherwise.
const COLUMNS_DEFAULT: usize = 80;

/// Writes a text with colours to stdout; they are dropped where stdout is no terminal or `NO_COLOR` is set.
///
/// # Errors
/// Stdout could not be written, other than because its reader went away.
pub(super) fn coloured(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    quiet_pipe(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes bytes for machines to stdout, buffered.
///
/// # Errors
/// Stdout could not be written, other than because its reader went away; or what `write` read from could not be read.
pub(super) fn machine<F>(write: F) -> Result<(), Failure>
where
    F: FnOnce(&mut dyn Write) -> io::Result<()>,
{
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = write(&mut out).and_then(|()| out.flush());
    // What is left in the buffer after an error must not be tried again when it is dropped.
    let (_, _) = out.into_parts();
    quiet_pipe(written)
}

/// Writes JSON text to stdout, hidden characters in its strings spelled out: it may be a terminal that reads it.
///
/// # Errors
/// As [`machine`].
pub(super) fn json(text: &str) -> Result<(), Failure> {
    machine(|out| out.write_all(crate::text::visible_json(text).as_bytes()))
}

/// Writes words for people to stderr. A stderr that is gone cannot be told about it.
pub(super) fn people(text: &str) {
    let mut err = anstream::stderr().lock();
    let _ = err.write_all(text.as_bytes());
}

/// The columns of the terminal on stdout; else of `COLUMNS`; else 80.
pub(super) fn terminal_width() -> usize {
    let terminal = || {
        if !io::stdout().is_terminal() {
            return None;
        }
        rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|n| *n > 0)
    };
    let named = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|n| *n > 0);
    terminal().or_else(named).unwrap_or(COLUMNS_DEFAULT)
}

/// The failure for output that could not be written.
pub(super) fn failed(error: io::Error) -> Failure {
    Failure::usage(format!("cannot write the output: {}", crate::problem::reason(&error))).with_exit(Exit::Internal)
}

/// The failure for something that cannot happen.
pub(super) fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("cannot print the result: {error}"))
        .with_exit(Exit::Internal)
        .with_help("this is a defect in mcpol; please report it with the command that shows it")
}

fn quiet_pipe(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(failed),
    }
}
