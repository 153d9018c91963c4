//! What a configuration of the gateway comes to, for `mcpol enforce --config FILE --dry-run`.

use super::grid::grid;
use super::words::wrap;
use crate::gateway::config::Config;
use crate::gateway::identity::{KnownBy, SubjectRule, TokenRule};
use crate::gateway::locked::OnChange;
use crate::gateway::reload::Enforcement;
use crate::policy::{Summary, Unlisted, utc};
use crate::text::{escape, excerpt};
use anstyle::Style;
use std::fmt::Write as _;
use std::path::Path;

/// Narrowest table, in columns.
const WIDTH_MIN: usize = 60;
/// Widest table, in columns.
const WIDTH_MAX: usize = 120;
/// Characters of a command, URL or path in a cell.
const CELL_CHARS: usize = 160;

/// One server as it would be served.
#[derive(Clone, Debug)]
pub struct PlannedServer {
    /// Its name.
    pub name: String,
    /// Its URL or command, without secrets.
    pub place: String,
    /// The file of its policy, or `none`.
    pub policy: String,
    /// What the policy says about tools, and about those that it does not list.
    pub summary: Option<(Summary, Unlisted)>,
    /// What the policy says about everything that is no tool, in words.
    pub beside: Option<String>,
    /// The rules of each tool and of all, a line each, escaped.
    pub rules: Vec<String>,
    /// Whether decisions are enforced.
    pub enforcement: Enforcement,
    /// Headers of clients that go on to it.
    pub forwarded: Vec<String>,
    /// The lock that its tools are held to: how many it has, and what becomes of others.
    pub lock: Option<(usize, OnChange)>,
    /// What becomes of the hints of its tools, in words.
    pub hints: Option<&'static str>,
}

/// The whole set as tables. `about` are lines above them: a word and what it stands for.
pub fn config_table(about: &[(&str, String)], servers: &[PlannedServer], config: &Config, columns: usize) -> String {
    let columns = columns.clamp(WIDTH_MIN, WIDTH_MAX);
    let (mut out, bold) = (String::new(), Style::new().bold());
    // Writing to a string cannot fail.
    for (word, value) in about {
        let _ = writeln!(out, "{bold}{word:7}{bold:#} {}", escape(value));
    }
    let tokens = match (config.token_rule, config.grants.is_empty(), config.jwt.as_ref().map(|jwt| jwt.subjects)) {
        (TokenRule::Always, _, None) => "needed everywhere",
        (_, _, Some(SubjectRule::Any)) => "needed everywhere; an issuer's, or of `mcpol grant create`",
        (_, _, Some(SubjectRule::Granted)) => "needed everywhere; an issuer's with a grant, or of `mcpol grant create`",
        (TokenRule::WhereGranted, false, None) => "needed for servers that a grant names",
        (TokenRule::WhereGranted, true, None) => "needed for servers that a grant of the state names",
    };
    let _ = writeln!(out, "{bold}tokens {bold:#} {tokens}\n");
    let folder = config.file.parent().unwrap_or(Path::new(""));
    let short = |path: &str| {
        let path = Path::new(path);
        // Policies of grants are kept by their whole path.
        let whole = std::path::absolute(folder.join(".")).unwrap_or_default();
        let short = path.strip_prefix(&whole).or_else(|_| path.strip_prefix(folder)).unwrap_or(path);
        excerpt(&short.display().to_string(), CELL_CHARS)
    };
    let rows: Vec<_> = servers
        .iter()
        .map(|server| {
            vec![
                escape(&server.name).into_owned(),
                excerpt(&server.place, CELL_CHARS),
                short(&server.policy),
                tools(server),
            ]
        })
        .collect();
    out.push_str(&grid(&["SERVER", "WHERE", "POLICY", "TOOLS"], &rows, &[1, 2, 3], columns));
    let beside =
        servers.iter().filter_map(|server| Some(format!("{}: {}", escape(&server.name), server.beside.as_deref()?)));
    section(&mut out, "beside tools", beside, columns);
    for server in servers.iter().filter(|server| !server.forwarded.is_empty()) {
        let (name, headers) = (escape(&server.name), server.forwarded.join(", "));
        let _ = writeln!(out, "headers of clients that go on to {name}: {headers}");
    }
    for server in servers.iter().filter(|server| !server.rules.is_empty()) {
        let _ = writeln!(out, "\n{bold}rules of {}{bold:#}", escape(&server.name));
        for line in &server.rules {
            let _ = writeln!(out, "{line}");
        }
    }
    if !config.grants.is_empty() {
        out.push('\n');
        let rows: Vec<_> = config
            .grants
            .iter()
            .map(|grant| {
                let servers: Vec<_> = grant.servers.iter().map(|name| escape(name).into_owned()).collect();
                let policy = grant.policy.as_deref().map_or_else(|| "the server's".to_owned(), short);
                let until =
                    grant.expires.map_or_else(|| "always".to_owned(), |expires| format!("until {}", utc(expires)));
                let caller = match &grant.known_by {
                    KnownBy::Token(_) => "a token".to_owned(),
                    KnownBy::Subject(subject) => excerpt(subject, CELL_CHARS),
                };
                vec![escape(grant.name.as_str()).into_owned(), caller, servers.join(", "), policy, until]
            })
            .collect();
        out.push_str(&grid(&["GRANT", "CALLER", "SERVERS", "POLICY", "GOOD"], &rows, &[1, 2, 3], columns));
    }
    let own = config.grants.iter().filter_map(|grant| {
        let policy = config.policy_of(grant)?;
        let tools = counted(policy.summary(), policy.document().default).join(", ");
        let beside = config.plan.settings.unknown_methods.beside_in_words(policy);
        Some(format!("{}: {tools}; {beside}", escape(grant.name.as_str())))
    });
    section(&mut out, "what grants may by policies of their own, in place of the server's", own, columns);
    out
}

/// Lines under a heading, if there are any.
fn section(out: &mut String, heading: &str, lines: impl Iterator<Item = String>, columns: usize) {
    let bold = Style::new().bold();
    for (at, line) in lines.enumerate() {
        if at == 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "\n{bold}{heading}{bold:#}");
        }
        for (at, line) in wrap(&line, columns - 4, 8).iter().enumerate() {
            let _ = writeln!(out, "{:indent$}{line}", "", indent = if at == 0 { 2 } else { 4 });
        }
    }
}

/// What a policy says about the tools that it lists, and about the others.
fn counted(Summary { allowed, limited, refused, hidden }: Summary, unlisted: Unlisted) -> Vec<String> {
    let counted = [(allowed, "allowed"), (limited, "limited"), (refused, "refused"), (hidden, "hidden")];
    let mut parts: Vec<_> =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    parts.push(match unlisted {
        Unlisted::Allow => "the rest allowed".to_owned(),
        Unlisted::Deny => "the rest denied".to_owned(),
    });
    parts
}

fn tools(server: &PlannedServer) -> String {
    let Some((summary, unlisted)) = server.summary else { return "every call is refused".to_owned() };
    let mut parts = counted(summary, unlisted);
    if let Some((tools, on_change)) = server.lock {
        let others = match on_change {
            OnChange::Deny => "refused",
            OnChange::Warn => "said",
        };
        parts.push(format!("{tools} in the lock, others and changed ones are {others}"));
    }
    parts.extend(server.hints.map(str::to_owned));
    if server.enforcement == Enforcement::Shadow {
        parts.push("SHADOW: every call is forwarded".to_owned());
    }
    parts.join(", ")
}
