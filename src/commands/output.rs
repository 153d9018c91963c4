//! Where commands write: results on stdout, words for people on stderr, and a closed pipe is nobody's fault.

use super::Failure;
use crate::cli::{ColourArg, VoiceArgs};
use crate::exit::Exit;
use crate::report::{self, Failed};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::sync::OnceLock;

/// Columns where no terminal and no `COLUMNS` says otherwise.
const COLUMNS_DEFAULT: usize = 80;

/// How much the one command of this process says.
static LOUDNESS: OnceLock<Loudness> = OnceLock::new();

/// How much is said beside results, warnings and errors.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loudness {
    Quiet,
    Ordinary,
    Verbose,
}

/// Says how this process is to speak, once, before it says anything.
pub(super) fn speak(voice: VoiceArgs) {
    let colour = match voice.color {
        ColourArg::Auto => anstream::ColorChoice::Auto,
        ColourArg::Always => anstream::ColorChoice::Always,
        ColourArg::Never => anstream::ColorChoice::Never,
    };
    colour.write_global();
    let _ = LOUDNESS.set(match (voice.quiet, voice.verbose) {
        (true, _) => Loudness::Quiet,
        (false, true) => Loudness::Verbose,
        (false, false) => Loudness::Ordinary,
    });
}

fn loudness() -> Loudness {
    LOUDNESS.get().copied().unwrap_or(Loudness::Ordinary)
}

/// Whether more is wanted than is said otherwise.
pub(super) fn is_verbose() -> bool {
    loudness() == Loudness::Verbose
}

/// Whether nothing but results, warnings and errors is wanted.
pub(super) fn is_quiet() -> bool {
    loudness() == Loudness::Quiet
}

/// Writes a text with colours to stdout, which are left out where they are not wanted: in files and pipes, unless told otherwise.
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

/// Writes a document for machines to stdout.
///
/// # Errors
/// As [`machine`].
pub(super) fn document(document: &impl report::Document) -> Result<(), Failure> {
    json(&report::document_json(document).map_err(internal)?)
}

/// Writes JSON text to stdout, hidden characters in its strings spelled out: it may be a terminal that reads it.
///
/// # Errors
/// As [`machine`].
pub(super) fn json(text: &str) -> Result<(), Failure> {
    machine(|out| out.write_all(crate::text::visible_json(text).as_bytes()))
}

/// Writes to stderr what a person may want to know and need not: nothing where only results are wanted.
pub(super) fn note(text: &str) {
    if !is_quiet() {
        people(text);
    }
}

/// Says which servers could not be listed: with all that is known of them where that is wanted, or there is one alone.
pub(super) fn failures(failed: &[Failed]) {
    people(&report::failures(failed, is_verbose()));
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
