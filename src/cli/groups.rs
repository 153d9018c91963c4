//! The page of `mcpol --help`: the subcommands by what people want, not one long list.

use super::Cli;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _};
use std::fmt::Write as _;

/// What people want, and the subcommands for it.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Look: what can it do?", &["scan", "clients", "explain", "annotate", "catalog"]),
    ("Decide: what should it be allowed?", &["gen-policy", "policy", "lock", "check", "rules"]),
    ("Hold: nothing else gets through", &["wrap", "unwrap", "init", "config", "enforce", "grant", "login", "logout"]),
    ("Watch: what happens, and what waits", &["status", "audit", "approvals", "limits"]),
    ("Begin", &["demo", "sample-server", "schema", "completions", "man", "help"]),
];
/// Parses the arguments of this process. Prints help, version or an error, and ends the process, where they ask for it or
/// are wrong.
pub fn parse() -> Cli {
    let read = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    read.unwrap_or_else(|error| {
        let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some(better) = better(error.kind(), &words) {
            command().error(error.kind(), better).exit();
        }
        without_secret(error).exit()
    })
}

/// Commands whose first word may be taken for the server's command.
const OF_SERVERS: [&str; 6] = ["scan", "gen-policy", "lock", "check", "explain", "annotate"];

/// What to say where the arguments show what was meant, instead of naming the first one that is not known.
fn better(kind: ErrorKind, words: &[String]) -> Option<String> {
    let (command, rest) = words.split_first()?;
    let shown = |words: &[String]| crate::text::excerpt(&words.join(" "), SHOWN_CHARS_MAX);
    match kind {
        ErrorKind::UnknownArgument if OF_SERVERS.contains(&command.as_str()) && !rest.iter().any(|it| it == "--") => {
            // After an option may stand its value: only a command right behind the subcommand is sure to be one.
            let skipped = usize::from(command == "explain");
            let typed = rest.get(skipped..).filter(|it| it.first().is_some_and(|word| !word.starts_with('-')))?;
            let is_url = typed.first().is_some_and(|word| word.contains("://"));
            let before = shown(&words[..=skipped]);
            (!is_url).then(|| {
                // Its arguments may hold secrets.
                format!("a server's command stands after `--`\n\n  help: `mcpol {before} -- {} …`", shown(&typed[..1]))
            })
        }
        // Where anything of it is said, what is missing beside that is named better by its name.
        ErrorKind::MissingRequiredArgument if command == "enforce" && !rest.iter().any(|it| says_what(it)) => Some(
            "what is to be held, and to what?\n\n  help: `--policy FILE -- COMMAND …` for a command, \
             `--policy FILE --upstream URL` for a URL, `--config mcpol.toml` for many servers"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Whether a word begins to say what `enforce` holds, or to what.
fn says_what(word: &str) -> bool {
    word == "--" || ["--policy", "--config", "--upstream"].iter().any(|option| word.starts_with(option))
}

/// Longest part of a command line that is shown again, in characters.
const SHOWN_CHARS_MAX: usize = 120;

/// Where the documents of this version are published.
const DOCS: &str = concat!("https://docs.rs/crate/mcpol/", env!("CARGO_PKG_VERSION"), "/source/docs/");

/// The document that goes with a command, where there is one.
fn document(command: &str) -> &'static str {
    match command {
        "wrap" | "unwrap" | "clients" => "wrap.md",
        "gen-policy" | "policy" => "policy.md",
        "init" | "config" | "enforce" | "grant" | "audit" | "approvals" | "limits" | "status" | "login" | "logout" => {
            "gateway.md"
        }
        "check" | "lock" => "ci.md",
        "rules" => "rules.md",
        "annotate" => "annotations.md",
        "catalog" => "catalogue.md",
        "scan" | "explain" => "findings.md",
        _ => "",
    }
}

/// The command line, with its subcommands in groups.
pub fn command() -> clap::Command {
    page(Cli::command())
}

/// The same without the command `help` and those below it.
pub fn command_without_help() -> clap::Command {
    fn without(command: clap::Command) -> clap::Command {
        command.disable_help_subcommand(true).mut_subcommands(without)
    }
    page(without(Cli::command()))
}

fn page(command: clap::Command) -> clap::Command {
    let mut command = command.mut_subcommands(|it| {
        let docs = format!("Documents: {DOCS}{}", document(it.get_name()));
        let after = it.get_after_help().map(|text| format!("{text}\n\n")).unwrap_or_default();
        it.after_help(after + &docs)
    });
    command.build();
    let groups = groups(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}\n\n\
         `mcpol COMMAND --help` has examples and every option.\nDocuments: {DOCS}\n"
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
    fn what_was_meant_is_said_where_it_can_be_told() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let unknown = |text: &str| better(ErrorKind::UnknownArgument, &words(text));
        assert!(unknown("scan npx -y foo").is_some_and(|said| said.contains("`mcpol scan -- npx …`")));
        assert!(unknown("explain tool npx -y foo").is_some_and(|said| said.contains("`mcpol explain tool -- npx …`")));
        for text in ["scan --nonsense", "scan https://h/mcp --nonsense", "scan x -- y", "grant npx -y", "scan"] {
            assert_eq!(unknown(text), None, "{text}");
        }
        let missing = |text: &str| better(ErrorKind::MissingRequiredArgument, &words(text));
        assert!(missing("enforce").is_some_and(|said| said.contains("--upstream") && said.contains("--config")));
        for text in
            ["grant create x", "enforce --policy p --on-change warn -- x", "enforce --upstream u", "enforce -- x"]
        {
            assert_eq!(missing(text), None, "{text}");
        }
    }

    /// What has no heading is printed first: own options stand under none of targets or rules.
    #[test]
    fn headings_hold_their_own_options_alone() {
        fn check(command: &clap::Command) {
            let targets = command.get_arguments().filter(|it| it.get_help_heading() == Some("Servers"));
            let rules = command.get_arguments().filter(|it| it.get_help_heading() == Some("Rules"));
            let targets: Vec<_> = targets.map(|it| it.get_id().as_str()).collect();
            let rules: Vec<_> = rules.map(|it| it.get_id().as_str()).collect();
            assert!(rules.is_empty() || rules == ["rules", "settings", "ignore_annotations"], "{rules:?}");
            if let (Some(first), Some(last)) = (targets.first(), targets.last()) {
                assert_eq!((*first, *last), ("url", "command"), "{}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }

    #[test]
    fn the_page_fits_a_narrow_terminal() {
        let page = command().term_width(80).render_help().to_string();
        for line in page.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
