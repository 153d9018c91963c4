//! Who has which servers: a table a file, or JSON.

use super::document::Document;
use super::grid::grid;
use super::words::count;
use crate::model::RiskLevel;
use crate::text::{escape, excerpt};
use anstyle::Style;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Narrowest table, in columns.
const WIDTH_MIN: usize = 60;
/// Widest table, in columns.
const WIDTH_MAX: usize = 120;
/// Characters of a command, URL or folder in a cell.
const CELL_CHARS: usize = 120;

/// The value of `version` in JSON.
const CLIENTS_VERSION: u32 = 1;

/// What the clients of a machine have (`mcpol clients --format json`).
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol clients")]
pub struct ClientsReport {
    /// Version of this format.
    pub version: u32,
    /// Files that were found, in the order in which clients are looked for.
    pub files: Vec<ClientFile>,
}

/// A file of a client.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ClientFile {
    /// The client's word for `--client`.
    pub id: &'static str,
    /// The client's name.
    pub client: String,
    /// Where the file is.
    pub file: String,
    /// In the order of the file.
    pub servers: Vec<ClientServer>,
    /// Entries that were left out, and why.
    pub notes: Vec<String>,
}

/// A server of a file.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct ClientServer {
    /// The key of its entry.
    pub server: String,
    /// Whether the gateway stands in front of it.
    pub wrapped: bool,
    /// Its command or URL, without secrets.
    pub place: String,
    /// The folder of the project that the entry belongs to, if it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// How many tools of each risk were locked when it was wrapped.
    #[schemars(with = "BTreeMap<String, usize>")]
    pub risks: BTreeMap<RiskLevel, usize>,
}

impl Document for ClientsReport {
    const SCHEMA: &'static str = "clients";
    const COMMAND: &'static str = "clients";
}

impl ClientsReport {
    /// The report of these files.
    pub fn new(files: Vec<ClientFile>) -> Self {
        Self { version: CLIENTS_VERSION, files }
    }

    /// How many servers there are, and how many of them are wrapped.
    pub fn counts(&self) -> (usize, usize) {
        let all = || self.files.iter().flat_map(|file| &file.servers);
        (all().count(), all().filter(|server| server.wrapped).count())
    }
}

/// For people, in at most `columns` columns.
pub fn clients_table(report: &ClientsReport, columns: usize) -> String {
    let columns = columns.clamp(WIDTH_MIN, WIDTH_MAX);
    let (mut out, bold, dim) = (String::new(), Style::new().bold(), Style::new().dimmed());
    for file in &report.files {
        let _ = writeln!(out, "{bold}{}{bold:#}  {dim}{}{dim:#}", escape(&file.client), escape(&file.file));
        let rows: Vec<_> = file.servers.iter().map(row).collect();
        if !rows.is_empty() {
            for line in grid(&["", "SERVER", "LOCKED TOOLS", "WHERE"], &rows, &[1, 2, 3], columns - 2).lines() {
                let _ = writeln!(out, "  {line}");
            }
        }
        for note in &file.notes {
            let _ = writeln!(out, "  note: {}", escape(note));
        }
        out.push('\n');
    }
    let (servers, wrapped) = report.counts();
    if servers > 0 {
        let _ = writeln!(out, "{}, {wrapped} wrapped", count(servers, "server"));
    }
    out
}

fn row(server: &ClientServer) -> Vec<String> {
    let risks: Vec<_> = server.risks.iter().rev().map(|(risk, count)| format!("{count} {risk}")).collect();
    let project = server.project.as_ref().map(|project| format!("\nin {}", excerpt(project, CELL_CHARS)));
    vec![
        if server.wrapped { "wrapped" } else { "open" }.to_owned(),
        escape(&server.server).into_owned(),
        risks.join(", "),
        excerpt(&server.place, CELL_CHARS) + &project.unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_fits_eighty_columns_whatever_stands_in_the_files() {
        let server = |name: &str, wrapped, place: &str| ClientServer {
            server: name.to_owned(),
            wrapped,
            place: place.to_owned(),
            project: Some("/home/someone/with/a/rather/long/path/to/a/project".to_owned()),
            risks: [(RiskLevel::Critical, 12), (RiskLevel::High, 7), (RiskLevel::Medium, 30), (RiskLevel::Low, 118)]
                .into(),
        };
        let servers = vec![
            server("a-server-with-a-name-that-is-longer-than-others", true, &"npx -y ".repeat(40)),
            server("b\u{1b}[31m", false, "https://mcp.example.com/mcp"),
        ];
        let file = ClientFile {
            id: "cursor",
            client: "Cursor".to_owned(),
            file: "/home/someone/.cursor/mcp.json".to_owned(),
            servers,
            notes: Vec::new(),
        };
        let table = anstream::adapter::strip_str(&clients_table(&ClientsReport::new(vec![file]), 80)).to_string();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
        assert!(table.contains("wrapped") && table.contains("2 servers, 1 wrapped"), "{table}");
        assert!(!table.contains('\u{1b}'), "{table}");
    }
}
