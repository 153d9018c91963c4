//! The page of `mcpol --help`: the subcommands by what people want, not one long list.

use super::Cli;
use clap::{CommandFactory as _, FromArgMatches as _};
use std::fmt::Write as _;

/// What people want, and the subcommands for it.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Look: what can it do?", &["scan", "clients", "explain", "annotate"]),
    ("Decide: what should it be allowed?", &["gen-policy", "policy", "lock", "check", "rules"]),
    ("Hold: nothing else gets through", &["wrap", "unwrap", "enforce", "grant", "login", "logout"]),
    ("Watch: what happens, and what waits", &["status", "audit", "approvals", "limits"]),
    ("Begin", &["demo", "sample-server", "completions", "man", "help"]),
];
/// Parses the arguments of this process. Prints help, version or an error, and ends the process, where they ask for it or
/// are wrong.
pub fn parse() -> Cli {
    let matches = command().try_get_matches().unwrap_or_else(|error| without_secret(error).exit());
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    }
}

/// The command line, with its subcommands in groups.
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    let groups = groups(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n\n\
         `mcpol COMMAND --help` has examples and every option.\n"
    ))
}

fn groups(command: &clap::Command) -> String {
    let known = |name: &&str| command.get_subcommands().find(|it| it.get_name() == *name && !it.is_hide_set());
    let width = command.get_subcommands().map(|it| it.get_name().len()).max().unwrap_or_default();
    let mut out = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(out, "{title}");
        for it in names.iter().filter_map(known) {
            let about = it.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(out, "  {:width$}  {about}", it.get_name());
        }
        out.push('\n');
    }
    out
}

/// Arguments that hold secrets, or may when they are wrong.
const SECRET: [&str; 4] = ["--header ", "--header-env ", "--env ", "--input "];

/// An error about an argument, without the value of one that may hold a secret: what is printed may be logged.
fn without_secret(mut error: clap::Error) -> clap::Error {
    use clap::error::{ContextKind, ContextValue};
    let of_secret = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => SECRET.iter().any(|known| argument.starts_with(known)),
        _ => false,
    };
    if of_secret {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".to_owned()));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_stands_in_one_group() {
        let command = command();
        let named: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for it in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            let count = named.iter().filter(|name| **name == it.get_name()).count();
            assert_eq!(count, 1, "{}", it.get_name());
        }
        for name in named {
            assert!(command.find_subcommand(name).is_some(), "{name} is no command");
        }
    }

    #[test]
    fn the_page_fits_a_narrow_terminal() {
        let page = command().term_width(80).render_help().to_string();
        for line in page.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
