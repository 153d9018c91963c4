//! What commands beside the gateway go by: where a configuration keeps state and log, where operators look, and what its
//! servers are called. The rest of the file need not be valid for that: policies may not be written yet, and variables of
//! servers may be set elsewhere.

use super::reader::Reader;
use super::{AuditPlace, BadConfig, sections, text_of};
use crate::problem::{Place, Problem};
use crate::state::StatePlace;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A configuration of the gateway, as far as other commands need it.
#[derive(Debug)]
pub struct Outline {
    /// The servers, by name.
    pub servers: BTreeMap<String, ServerOutline>,
    /// Address for operators; `None` also if it is not valid.
    pub admin: Option<SocketAddr>,
    /// Where counters, approvals and grants are stored, if the file says so.
    ///
    /// # Errors
    /// The value is not valid, or names a variable that is not set.
    pub state: Result<Option<StatePlace>, Vec<Problem>>,
    /// Where the audit log goes.
    pub audit: AuditPlace,
}

/// A server of an [`Outline`].
#[derive(Debug, Default)]
pub struct ServerOutline {
    /// Its policy, counted from the configuration's folder.
    pub policy: Option<PathBuf>,
    /// Its lock, counted from the configuration's folder.
    pub locked: Option<PathBuf>,
}

/// Reads as much of a configuration as other commands need; `None` if the file says nothing about the gateway.
///
/// # Errors
/// The file cannot be read, or is no TOML.
pub fn outline(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<Outline>, BadConfig> {
    let text = text_of(path)?;
    let file = path.display().to_string();
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let place = error.span().map(|span| Place::of_offset(&text, span.start));
        let message = error.message().to_lowercase();
        let problem = Problem { file: file.clone(), place, pointer: String::new(), message, help: None };
        BadConfig::Invalid { path: path.to_owned(), problems: vec![problem] }
    })?;
    if !table.contains_key("gateway") && !table.contains_key("servers") {
        return Ok(None);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = Reader::new(&file, &text, folder, environment);
    let (admin, state, audit) = sections::places(&mut reader);
    let wrong: Vec<_> = reader.problems.into_iter().filter(|problem| problem.pointer == "gateway.state").collect();
    let servers = table.get("servers").and_then(toml::Value::as_table).into_iter().flatten();
    let servers = servers.map(|(name, server)| {
        let file = |key: &str| Some(folder.join(server.get(key)?.as_str()?));
        (name.clone(), ServerOutline { policy: file("policy"), locked: file("locked") })
    });
    let state = if wrong.is_empty() { Ok(state) } else { Err(wrong) };
    Ok(Some(Outline { servers: servers.collect(), admin, state, audit }))
}
