//! Questions to a person on the terminal.

use super::super::{Failure, output};
use crate::exit::Exit;
use crate::text::escape;
use std::collections::BTreeSet;
use std::io::BufRead as _;

/// Asks a question whose answer is yes or no; whatever is not yes is no.
pub(in crate::commands) fn yes(question: &str) -> bool {
    matches!(line(question).trim().to_lowercase().as_str(), "y" | "yes")
}

/// Asks a question and returns the line that was typed; nothing where it cannot be read.
pub(in crate::commands) fn line(question: &str) -> String {
    output::people(question);
    let mut answer = String::new();
    // An answer that cannot be read is none.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    answer
}

/// Shows a list, each entry with what is said about it, and asks which of them are meant; answers their positions.
///
/// # Errors
/// What was typed is no choice from the list.
pub(in crate::commands) fn choice(entries: &[(String, String)]) -> Result<BTreeSet<usize>, Failure> {
    let width = entries.iter().map(|(name, _)| escape(name).chars().count()).max().unwrap_or(0).min(NAME_COLUMNS_MAX);
    for (count, (name, about)) in entries.iter().enumerate() {
        output::people(&format!("  {:>2}  {:<width$}  {}\n", count + 1, escape(name), escape(about)));
    }
    let answer = line("Which of them? Numbers, or nothing for all: ");
    let typed = answer.split([' ', ',', '\n', '\r', '\t']).filter(|it| !it.is_empty()).map(str::parse::<usize>);
    let wanted: BTreeSet<usize> =
        typed.collect::<Result<_, _>>().map_err(|_| Failure::usage(NO_CHOICE).with_exit(Exit::Nothing))?;
    if wanted.iter().any(|number| !(1..=entries.len()).contains(number)) {
        return Err(Failure::usage(NO_CHOICE).with_exit(Exit::Nothing));
    }
    if wanted.is_empty() {
        return Ok((0..entries.len()).collect());
    }
    Ok(wanted.into_iter().map(|number| number - 1).collect())
}

const NO_CHOICE: &str = "that is no choice from the list";
/// Widest column of names in a list to choose from.
const NAME_COLUMNS_MAX: usize = 40;

/// Asks for a value that must not be seen while it is typed.
///
/// # Errors
/// The terminal cannot be kept from showing it, or nothing was typed.
pub(super) fn secret(question: &str) -> Result<String, Failure> {
    let typed = unseen(question).map_err(|error| {
        Failure::usage(format!("the terminal cannot be kept from showing what is typed: {error}"))
            .with_help("give the value with `--input ID=VALUE`")
    })?;
    let value = typed.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(Failure::usage("nothing was given").with_exit(Exit::Nothing));
    }
    Ok(value.to_owned())
}

#[cfg(unix)]
fn unseen(question: &str) -> std::io::Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let typed = line(question);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    output::people("\n");
    Ok(typed)
}

#[cfg(not(unix))]
fn unseen(_: &str) -> std::io::Result<String> {
    Err(std::io::ErrorKind::Unsupported.into())
}
