//! What a check found, as the types that every output format is made from and that the JSON Schema is generated from.

use super::document::Document;
use super::scan::Failed;
use crate::catalog::drift::Drift;
use crate::code::Code;
use crate::model::{ExtraName, Severity};
use crate::problem::Place;
use serde::Serialize;
use std::collections::BTreeSet;

/// The value of `version` in JSON: it grows when a member changes its meaning or goes away.
pub const CHECK_VERSION: u32 = 1;

/// The result of `mcpol check --format json`.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
#[schemars(title = "mcpol check")]
pub struct CheckReport {
    /// Version of this format.
    pub version: u32,
    /// The lock, as the user named it.
    pub lock: String,
    /// Counts.
    pub summary: CheckSummary,
    /// The worst first, then by server, tool and code.
    pub findings: Vec<CheckFinding>,
    /// Servers that could not be listed.
    pub failed: Vec<Failed>,
    /// Servers that were compared, in the order of their names.
    pub checked: Vec<CheckedServer>,
}

impl Document for CheckReport {
    const SCHEMA: &'static str = "check";
    const COMMAND: &'static str = "check";
}

/// A server that was compared with the lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub struct CheckedServer {
    /// What the server is called here.
    pub server: String,
    /// Its tools now.
    pub tools: usize,
}

/// Counts over a whole check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct CheckSummary {
    /// Servers that were compared.
    pub servers: usize,
    /// Tools that were compared.
    pub tools: usize,
    /// Findings that are errors, one for each tool, also those beyond the bound.
    pub errors: usize,
    /// Findings that are warnings, one for each tool, also those beyond the bound.
    pub warnings: usize,
    /// Findings that are notes, one for each tool, also those beyond the bound.
    pub notes: usize,
    /// Findings that mcpol.toml accepts; they are not listed.
    pub accepted: usize,
    /// Findings that the baseline has too; they are not listed.
    pub known: usize,
    /// Findings beyond the bound; they count and are not listed.
    pub left_out: usize,
    /// Servers that could not be listed, of which nothing is known.
    pub failed: usize,
}

/// One difference.
#[derive(Clone, Debug, Serialize, schemars::JsonSchema)]
pub struct CheckFinding {
    /// What kind of difference; one page each under docs/checks/.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// What the server is called here.
    pub server: String,
    /// The tool; absent where it is about the server, or about several tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The prompt, resource or template; absent where it is about the server or a tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra: Option<ExtraName>,
    /// The tools, where one and the same is true of several: it is said once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<String>,
    /// What is different, escaped.
    pub message: String,
    /// What an agent could do tomorrow that it could not yesterday.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tomorrow: String,
    /// What the policy says about the tool.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// Every parameter, value, address or tool that the sentence is about, of which it names only the first few.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub names: BTreeSet<String>,
    /// The piece of text before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub was: String,
    /// The piece of text now.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub now: String,
    /// The file that it points into.
    pub file: String,
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in the file, from 1, in characters.
    pub column: usize,
    /// Stays the same when lines move; 32 hexadecimal digits.
    pub fingerprint: String,
    /// The fingerprint for each of `tools`, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
}

impl CheckFinding {
    /// A difference at a place of a file.
    pub fn new(drift: Drift, file: &str, place: Place) -> Self {
        Self {
            fingerprint: drift.fingerprint(),
            names: drift.names(),
            code: drift.code,
            severity: drift.severity,
            server: drift.server,
            tool: drift.tool,
            extra: drift.extra,
            tools: Vec::new(),
            fingerprints: Vec::new(),
            message: drift.message,
            tomorrow: drift.tomorrow,
            policy: drift.policy,
            was: drift.was,
            now: drift.now,
            file: file.to_owned(),
            line: place.line,
            column: place.column,
        }
    }

    /// What is different, what follows, what the policy says: one sentence.
    pub fn sentence(&self) -> String {
        let parts = [&self.message, &self.tomorrow, &self.policy];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// The sentence, and the pieces of text before and now.
    pub fn with_pieces(&self) -> String {
        let mut text = self.sentence();
        for (sign, piece) in [("before", &self.was), ("now", &self.now)] {
            if !piece.is_empty() {
                text.push_str(&format!("; {sign}: {piece}"));
            }
        }
        text
    }

    /// What findings are sorted by.
    fn order(&self) -> impl Ord + use<> {
        let worst = std::cmp::Reverse(self.severity);
        (worst, self.server.clone(), self.tool.clone(), self.code, self.message.clone(), self.fingerprint.clone())
    }
}

impl CheckReport {
    /// Everything sorted, and what is true of several tools said once.
    pub fn new(lock: &str, findings: Vec<CheckFinding>, mut summary: CheckSummary, mut failed: Vec<Failed>) -> Self {
        let mut findings = super::check_fold::fold(findings);
        findings.sort_by_cached_key(CheckFinding::order);
        failed.sort();
        summary.failed = failed.len();
        Self { version: CHECK_VERSION, lock: lock.to_owned(), summary, findings, failed, checked: Vec::new() }
    }

    /// The same with the servers that were compared.
    #[must_use]
    pub fn with_checked(mut self, mut checked: Vec<CheckedServer>) -> Self {
        checked.sort();
        self.checked = checked;
        self
    }

    /// The same with other paths: forges count them from the top of the repository.
    #[must_use]
    pub fn with_paths(mut self, path: &dyn Fn(&str) -> String) -> Self {
        self.lock = path(&self.lock);
        for finding in &mut self.findings {
            finding.file = path(&finding.file);
        }
        self
    }
}

impl CheckSummary {
    /// Counts one finding.
    pub fn count(&mut self, severity: Severity) {
        match severity {
            Severity::Note => self.notes += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Error => self.errors += 1,
        }
    }

    /// The counts in words: `1 error, 2 warnings, 3 notes`.
    pub fn in_words(&self) -> String {
        let part = |n: usize, word: &str| (n > 0).then(|| super::words::count(n, word));
        let parts = [part(self.errors, "error"), part(self.warnings, "warning"), part(self.notes, "note")];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let unknown = (self.failed > 0).then(|| format!("{} not checked", super::words::count(self.failed, "server")));
        if parts.is_empty() && self.failed == 0 {
            return "no findings".to_owned();
        }
        // Of what could not be asked nothing is known, least of all that there is nothing to find.
        parts.into_iter().chain(unknown).collect::<Vec<_>>().join(", ")
    }

    /// What is not listed, in words; empty where everything is.
    pub fn unlisted(&self) -> String {
        let part = |n: usize, words: &str| (n > 0).then(|| format!("{n} {words}"));
        let parts = [
            part(self.accepted, "accepted in mcpol.toml"),
            part(self.known, "in the baseline already"),
            part(self.left_out, "beyond the bound"),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
