//! `--fix-policy`: the tightening of every policy as one diff that `patch` and `git apply` take.

use super::super::policies::PolicyFile;
use super::super::{Failure, output};
use crate::catalog::LockedServer;
use crate::catalog::drift::{Drift, tighten};
use crate::policy;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Lines of context around a change.
const CONTEXT_LINES: usize = 3;

/// Policies as they would be, by file.
#[derive(Default)]
pub(super) struct Fixes {
    files: BTreeMap<String, (String, String)>,
}

impl Fixes {
    /// Tightens a policy by what was found at one server.
    pub fn add(&mut self, file: Arc<PolicyFile>, now: &LockedServer, found: &[Drift]) {
        let fixed = tighten(&file.text, &file.policy, now, found);
        self.files.insert(file.file.clone(), (file.text.clone(), fixed));
    }

    /// The diff; empty where nothing has to change.
    ///
    /// # Errors
    /// Never in practice: what was written is what can be read.
    pub fn diff(&self) -> Result<String, Failure> {
        let mut out = String::new();
        for (file, (was, now)) in &self.files {
            policy::parse(now, file)
                .map_err(|problems| output::internal(problems.first().map_or_else(String::new, ToString::to_string)))?;
            if was != now {
                let diff = similar::TextDiff::from_lines(was.as_str(), now.as_str());
                let shown = crate::text::escape(file);
                let name = shown.trim_start_matches("./");
                let text = diff
                    .unified_diff()
                    .context_radius(CONTEXT_LINES)
                    .header(&format!("a/{name}"), &format!("b/{name}"))
                    .to_string();
                out.push_str(&text);
            }
        }
        Ok(out)
    }
}
