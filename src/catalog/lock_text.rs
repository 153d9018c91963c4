//! A lock as text: the same bytes for the same content, and back.

use super::canonical;
use super::lock::{LOCK_FORMAT, LOCK_VERSION, Lock, LockedServer, LockedTool};
use super::normal::Parts;
use crate::model::ExtraKind;
use crate::problem::{Place, Problem};
use serde::Serialize;
use serde_json::value::to_raw_value;

/// Writes a lock piece by piece, so that a lock of a whole registry is never in memory at once.
#[derive(Debug)]
pub struct LockPrinter {
    first: bool,
}

impl LockPrinter {
    /// The beginning of the text, up to the list of servers.
    pub fn begin(rules: &str, out: &mut String) -> Self {
        out.push_str("{\n");
        line(out, 1, "format", &quoted(LOCK_FORMAT), ",");
        line(out, 1, "version", &LOCK_VERSION.to_string(), ",");
        line(out, 1, "rules", &quoted(rules), ",");
        out.push_str("  \"servers\": [");
        Self { first: true }
    }

    /// One server; they must come in the order of [`LockedServer::order`].
    ///
    /// # Errors
    /// A definition nests deeper than JSON readers go.
    pub fn server(&mut self, server: &LockedServer, out: &mut String) -> serde_json::Result<()> {
        self.separate(out);
        Self::entry(server, out)
    }

    /// One server that [`Self::entry`] has printed before.
    pub fn printed(&mut self, entry: &str, out: &mut String) {
        self.separate(out);
        out.push_str(entry);
    }

    fn separate(&mut self, out: &mut String) {
        out.push_str(if self.first { "\n" } else { ",\n" });
        self.first = false;
    }

    /// The text of one server, without what separates it from others. Its only control characters are line feeds.
    ///
    /// # Errors
    /// A definition nests deeper than JSON readers go.
    pub fn entry(server: &LockedServer, out: &mut String) -> serde_json::Result<()> {
        out.push_str("    {\n");
        line(out, 3, "server", &quoted(server.server.as_str()), ",");
        line(out, 3, "source", &block(&server.source)?, ",");
        if let Some(revision) = &server.protocol_version {
            line(out, 3, "protocol_version", &quoted(revision), ",");
        }
        if let Some(info) = &server.server_info {
            line(out, 3, "server_info", &block(info)?, ",");
        }
        if let Some(greeting) = &server.greeting {
            line(out, 3, "greeting", &block(greeting)?, ",");
        }
        if let Some(declared) = &server.client_capabilities {
            line(out, 3, "client_capabilities", &block(declared)?, ",");
        }
        if let Some(text) = &server.instructions {
            line(out, 3, "instructions", &quoted(text), ",");
        }
        if let Some(capabilities) = &server.capabilities {
            line(out, 3, "capabilities", &canonical(capabilities)?, ",");
        }
        for (kind, member) in [
            (ExtraKind::Prompt, "prompts"),
            (ExtraKind::Resource, "resources"),
            (ExtraKind::Template, "resource_templates"),
        ] {
            if let Some(definitions) = server.definitions(kind) {
                line(out, 3, member, &block(&definitions)?, ",");
            }
        }
        if !server.unlisted.is_empty() {
            line(out, 3, "unlisted", &block(&server.unlisted)?, ",");
        }
        if let Some(policy) = &server.policy {
            line(out, 3, "policy", &quoted(policy), ",");
        }
        if let Some(file) = &server.policy_file {
            line(out, 3, "policy_file", &quoted(file), ",");
        }
        if server.unreadable_tools > 0 {
            line(out, 3, "unreadable_tools", &server.unreadable_tools.to_string(), ",");
        }
        line(out, 3, "fingerprint", &quoted(&server.fingerprint), ",");
        out.push_str("      \"tools\": [");
        for (at, tool) in server.tools.iter().enumerate() {
            out.push_str(if at == 0 { "\n" } else { ",\n" });
            print_tool(tool, out)?;
        }
        out.push_str(if server.tools.is_empty() { "]\n    }" } else { "\n      ]\n    }" });
        Ok(())
    }

    /// The end of the text.
    pub fn end(self, out: &mut String) {
        out.push_str(if self.first { "]\n}\n" } else { "\n  ]\n}\n" });
    }
}

fn print_tool(tool: &LockedTool, out: &mut String) -> serde_json::Result<()> {
    out.push_str("        {\n");
    line(out, 5, "name", &quoted(&tool.name), ",");
    line(out, 5, "category", &quoted(tool.category.as_str()), ",");
    line(out, 5, "risk", &quoted(tool.risk.as_str()), ",");
    line(out, 5, "blast_radius", &quoted(tool.blast_radius.as_str()), ",");
    let flags: Vec<_> = tool.flags.iter().map(|flag| quoted(flag.as_str())).collect();
    line(out, 5, "flags", &format!("[{}]", flags.join(", ")), ",");
    line(out, 5, "fingerprints", &block(&tool.fingerprints)?, ",");
    line(out, 5, "definition", &canonical(&tool.definition)?, "");
    out.push_str("        }");
    Ok(())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn block(value: &impl Serialize) -> serde_json::Result<String> {
    canonical(&to_raw_value(value)?)
}

/// One member; the lines of its value are moved to its depth. JSON strings hold no line breaks, so none is changed.
fn line(out: &mut String, depth: usize, key: &str, value: &str, end: &str) {
    let indent = "  ".repeat(depth);
    out.push_str(&indent);
    out.push_str(&quoted(key));
    out.push_str(": ");
    // A reviewer must see what is there: characters that nobody sees are spelled out, and mean the same.
    let value = crate::text::visible_json(value);
    for (at, part) in value.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
            out.push_str(&indent);
        }
        out.push_str(part);
    }
    out.push_str(end);
    out.push('\n');
}

impl Lock {
    /// The text of the file.
    ///
    /// # Errors
    /// A definition nests deeper than JSON readers go.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut out = String::new();
        let mut printer = LockPrinter::begin(&self.rules, &mut out);
        for server in &self.servers {
            printer.server(server, &mut out)?;
        }
        printer.end(&mut out);
        Ok(out)
    }

    /// Reads a lock that fits into memory and verifies every entry.
    ///
    /// # Errors
    /// All problems at once: not JSON, not a lock, a newer version, entries that were changed by hand.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<Problem>> {
        let lock: Self = serde_json::from_str(text).map_err(|error| vec![unreadable(file, text, &error)])?;
        let mut problems: Vec<_> = wrong_head(file, &lock.format, lock.version).into_iter().collect();
        for (at, server) in lock.servers.iter().enumerate() {
            problems.extend(altered(file, &format!("/servers/{at}"), server));
        }
        if problems.is_empty() { Ok(lock) } else { Err(problems) }
    }
}

/// What is wrong with `format` and `version`.
pub(super) fn wrong_head(file: &str, format: &str, version: u32) -> Option<Problem> {
    let problem = |pointer: &str, message: String, help: &str| Problem {
        file: file.to_owned(),
        place: None,
        pointer: pointer.to_owned(),
        message,
        help: Some(help.to_owned()),
    };
    if format != LOCK_FORMAT {
        let message = format!("`{}` is not `{LOCK_FORMAT}`", crate::text::excerpt(format, 40));
        return Some(problem("/format", message, "name a file that `mcpol lock` wrote"));
    }
    (version != LOCK_VERSION).then(|| {
        let message = format!("version {version} of the lock format is not known here");
        problem("/version", message, "update mcpol, or write the lock anew with `mcpol lock`")
    })
}

/// What in an entry does not belong together any more: it was edited by hand, or merged from two versions.
pub(super) fn altered(file: &str, pointer: &str, server: &LockedServer) -> Vec<Problem> {
    let problem = |pointer: String, message: String| Problem {
        file: file.to_owned(),
        place: None,
        pointer,
        message,
        help: Some("write the entry anew with `mcpol lock --update`".to_owned()),
    };
    let mut problems = Vec::new();
    for (at, tool) in server.tools.iter().enumerate() {
        let parts: Parts = tool.parts();
        if parts.name != tool.name || parts.fingerprints() != tool.fingerprints {
            let name = crate::text::excerpt(&tool.name, 60);
            problems
                .push(problem(format!("{pointer}/tools/{at}"), format!("`{name}` does not match its fingerprints")));
        }
    }
    if problems.is_empty() && server.computed_fingerprint() != server.fingerprint {
        let name = crate::text::excerpt(server.server.as_str(), 60);
        problems.push(problem(pointer.to_owned(), format!("`{name}` does not match its fingerprint")));
    }
    problems
}

/// The problem for a text that is no lock, with the place where reading stopped.
pub(super) fn unreadable(file: &str, text: &str, error: &serde_json::Error) -> Problem {
    let place = (error.line() > 0).then(|| {
        let line = text.lines().nth(error.line() - 1).unwrap_or_default();
        // serde_json counts bytes; places count characters.
        let mut end = error.column().saturating_sub(1).min(line.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        Place { line: error.line(), column: line[..end].chars().count() + 1 }
    });
    let said = error.to_string();
    let message = said.rsplit_once(" at line ").map_or(said.as_str(), |(message, _)| message);
    Problem {
        file: file.to_owned(),
        place,
        pointer: String::new(),
        message: format!("not a lock: {message}"),
        help: Some("write it anew with `mcpol lock`".to_owned()),
    }
}
