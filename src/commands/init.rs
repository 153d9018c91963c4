//! `mcpol init`: a commented configuration of the gateway, from what the clients of this machine have or from questions.
//! Nothing is started for it, and no secret is written down.

use super::load::config::{self, is_secret};
use super::load::{self, Item, Problems, ask};
use super::write::{Existing, atomically};
use super::{Failure, output};
use crate::cli::{InitArgs, TargetArgs};
use crate::clients::{Configured, ValueKind, Written};
use crate::exit::Exit;
use crate::gateway::config::SERVER_NAME_CHARS_MAX;
use crate::mcp::target::Target;
use crate::text::escape;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What begins the file.
const HEAD: &str = "\
# What `mcpol enforce --config mcpol.toml` serves. In this directory `scan`, `gen-policy`, `lock`, `check`, `grant`,
# `approvals`, `audit`, `limits` and `status` go by it too. `mcpol config check` checks it; docs/gateway.md has every key.

[gateway]
listen = \"127.0.0.1:8787\"        # clients connect to http://127.0.0.1:8787/mcp/NAME, or to all servers at /mcp
# admin = \"127.0.0.1:8788\"       # where `mcpol status` looks; also /healthz, /readyz and /metrics
# state = \"redis://127.0.0.1\"    # counters, approvals and grants; without it a file of this user
# audit = \"audit.jsonl\"          # without it a file of this user
# require_grants = true          # every caller needs a token of `mcpol grant create NAME --server SERVER`
";

/// What stands in the place of servers where there are none.
const EXAMPLE: &str = "
# [servers.files]
# command = [\"npx\", \"-y\", \"@modelcontextprotocol/server-filesystem\", \"/srv/files\"]
# policy = \"policies/files.json\"  # `mcpol gen-policy -o policies/` writes it

# [servers.example]
# url = \"https://mcp.example.com/mcp\"
# headers = { Authorization = \"Bearer ${EXAMPLE_TOKEN}\" }
# policy = \"policies/example.json\"
";

/// A server as it is written, with the variables that it refers to.
#[derive(Default)]
struct InitEntry {
    name: String,
    /// Whose file it is from, for a comment.
    from: String,
    /// Lines of the table.
    lines: Vec<String>,
    variables: BTreeSet<String>,
}

pub(super) fn run(args: InitArgs) -> Result<Exit, Failure> {
    if !args.force && args.output.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!("`{}` exists", args.output.display()))
            .with_help("`--force` overwrites it, `-o FILE` writes another"));
    }
    let mut entries = of_clients(&args)?;
    if entries.is_empty() && !args.yes && load::on_a_terminal() {
        entries = asked()?;
    }
    let mut text = HEAD.to_owned();
    entries.iter().for_each(|entry| text.push_str(&entry.text()));
    if entries.is_empty() {
        text.push_str(EXAMPLE);
    }
    atomically(&args.output, &text, if args.force { Existing::Replace } else { Existing::Keep })?;
    output::note(&said(&args, &entries));
    Ok(Exit::Clean)
}

/// What was written, and what comes next.
fn said(args: &InitArgs, entries: &[InitEntry]) -> String {
    let file = escape(&args.output.to_string_lossy()).into_owned();
    let mut text = format!("wrote {file} with {} server{}\n", entries.len(), if entries.len() == 1 { "" } else { "s" });
    if entries.is_empty() {
        text.push_str("put servers in the place of the examples, then:\n");
    }
    let variables: BTreeSet<_> = entries.iter().flat_map(|entry| &entry.variables).map(|it| escape(it)).collect();
    if !variables.is_empty() {
        let names: Vec<_> = variables.iter().map(AsRef::as_ref).collect();
        let _ = writeln!(text, "values are not written down; set {} where the gateway starts", names.join(", "));
    }
    let config = if file == super::project::PROJECT_FILE { String::new() } else { format!(" --config {file}") };
    let _ = writeln!(
        text,
        "next: mcpol scan{config}\n      mcpol gen-policy{config} -o policies/\n      mcpol enforce --config {file}"
    );
    text
}

/// The servers of clients' files that are wanted, each once.
fn of_clients(args: &InitArgs) -> Result<Vec<InitEntry>, Failure> {
    let target = TargetArgs {
        config: args.config.clone(),
        discover: args.config.is_empty(),
        server: args.server.clone(),
        ..TargetArgs::default()
    };
    let mut problems = Problems::default();
    let files = config::read_files(&target, None, &mut |item| {
        if let Item::Problem(problem) = item {
            problems.push(problem);
        }
        Ok(())
    })?;
    problems.check()?;
    let mut chosen = config::choose(&target, &files)?;
    if chosen.len() > 1 && !args.yes && args.server.is_empty() && load::on_a_terminal() {
        let lines: Vec<_> =
            chosen.iter().map(|it| (it.server.name.as_str().to_owned(), it.server.client.to_string())).collect();
        let wanted = ask::choice(&lines)?;
        chosen = chosen.into_iter().enumerate().filter(|(at, _)| wanted.contains(at)).map(|(_, it)| it).collect();
    }
    let mut taken = BTreeSet::new();
    Ok(chosen.iter().map(|it| InitEntry::of(&it.server, free_name(it.server.name.as_str(), &mut taken))).collect())
}

/// Asks for servers, one after the other.
fn asked() -> Result<Vec<InitEntry>, Failure> {
    let mut entries = Vec::new();
    let mut taken = BTreeSet::new();
    output::people("No client here has a server. Name some, or nothing to end.\n");
    loop {
        let place = ask::line("A server's URL, or its command: ");
        let place = place.trim();
        if place.is_empty() {
            break;
        }
        let words: Vec<String> = place.split_whitespace().map(str::to_owned).collect();
        let is_url = place.contains("://");
        let suggested = if is_url { load::name_of_url(place)? } else { load::name_of_command(&words) };
        let name = ask::line(&format!("What to call it [{}]: ", escape(suggested.as_str())));
        let name = if name.trim().is_empty() { suggested.as_str() } else { name.trim() };
        let line = if is_url { format!("url = {}", quoted(place)) } else { format!("command = {}", list(&words)) };
        let name = free_name(name, &mut taken);
        entries.push(InitEntry { name, lines: vec![line], ..InitEntry::default() });
    }
    Ok(entries)
}

/// A name as the gateway takes them, and no server's yet.
fn free_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut plain = String::new();
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => plain.push(c),
            '_' if !plain.ends_with(['_', '-']) => plain.push('_'),
            _ if !plain.ends_with(['_', '-']) => plain.push('-'),
            _ => {}
        }
    }
    let plain: String = plain.trim_matches(['-', '_']).chars().take(SERVER_NAME_CHARS_MAX - 4).collect();
    let plain = plain.trim_end_matches(['-', '_']);
    let plain = if plain.is_empty() { "server" } else { plain };
    let numbered = (2..).map(|count| format!("{plain}-{count}"));
    let free = std::iter::once(plain.to_owned()).chain(numbered).find(|it| taken.insert(it.to_ascii_lowercase()));
    free.unwrap_or_default()
}

impl InitEntry {
    fn of(server: &Configured, name: String) -> Self {
        let mut entry = Self { name, from: server.client.to_string(), ..Self::default() };
        let prefix = variable_name(&entry.name);
        match &server.target {
            Target::Stdio(target) => {
                let shown = target.shown_argv();
                let words: Vec<String> =
                    target
                        .argv
                        .iter()
                        .zip(&shown)
                        .enumerate()
                        .map(|(at, (word, shown))| {
                            if word == shown {
                                literal(word)
                            } else {
                                entry.variable(&format!("{prefix}_ARGUMENT_{at}"))
                            }
                        })
                        .collect();
                entry.lines.push(format!("command = {}", list(&words)));
                if let Some(folder) = &target.cwd {
                    entry.lines.push(format!("cwd = {}", quoted(&folder.to_string_lossy())));
                }
                let handed = target.env.iter().map(|(name, value)| (name, value.reveal(), name.clone()));
                let pairs = entry.pairs(server, ValueKind::Env, handed.collect());
                entry.lines.extend(pairs.map(|pairs| format!("env = {{ {pairs} }}")));
            }
            Target::Http(target) => {
                let secret = crate::mcp::target::redacted(&target.url) != target.url.as_str();
                let by_reference = server.values.iter().any(|it| it.kind == ValueKind::Url && is_secret(it));
                let url = if secret || by_reference {
                    entry.variable(&format!("{prefix}_URL"))
                } else {
                    literal(target.url.as_str())
                };
                entry.lines.push(format!("url = {}", quoted(&url)));
                let handed = target.headers.iter();
                let handed = handed
                    .map(|(name, value)| (name, value.reveal(), format!("{prefix}_{}", variable_name(name))))
                    .collect();
                let pairs = entry.pairs(server, ValueKind::Header, handed);
                entry.lines.extend(pairs.map(|pairs| format!("headers = {{ {pairs} }}")));
            }
        }
        entry
    }

    /// A reference to a variable, which is noted.
    fn variable(&mut self, name: &str) -> String {
        self.variables.insert(name.to_owned());
        format!("${{{name}}}")
    }

    /// Names and values: the value of a secret, and one that the client's file takes from elsewhere, by the name of a
    /// variable.
    fn pairs(&mut self, server: &Configured, kind: ValueKind, handed: Vec<(&String, &str, String)>) -> Option<String> {
        let known: BTreeMap<&str, _> =
            server.values.iter().filter(|it| it.kind == kind).map(|it| (it.name.as_str(), it)).collect();
        let pairs: Vec<String> = handed
            .into_iter()
            .map(|(name, value, variable)| {
                // What is known of no entry comes from a file of variables.
                let is_plain = known
                    .get(name.as_str())
                    .is_some_and(|it| it.written != Written::ByReference && !is_secret(it) && kind == ValueKind::Env);
                let shown = if is_plain { literal(value) } else { self.variable(&variable) };
                format!("{} = {}", key(name), quoted(&shown))
            })
            .collect();
        (!pairs.is_empty()).then(|| pairs.join(", "))
    }

    fn text(&self) -> String {
        let from = if self.from.is_empty() { String::new() } else { format!("  # from {}", escape(&self.from)) };
        let mut text = format!("\n[servers.{}]{from}\n", key(&self.name));
        for line in &self.lines {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(
            text,
            "policy = {}  # `mcpol gen-policy -o policies/` writes it\n# locked = \"mcpol.lock\"  # hold it to what was reviewed: `mcpol lock`",
            quoted(&format!("policies/{}.json", self.name))
        );
        text
    }
}

/// A text in which nothing is a reference.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// `github-copilot` as the beginning of a variable's name: `GITHUB_COPILOT`.
fn variable_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = text.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

/// A key of a table: bare where it may be.
fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if bare { text.to_owned() } else { quoted(text) }
}
