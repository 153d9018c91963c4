//! Records of versions before: what is different between two versions of one server.

use super::super::Failure;
use super::super::load::{Classifier, Item, Problems, saved};
use crate::catalog::drift::{self, Beside, Drift, Verdicts};
use crate::catalog::{LockedServer, tool_list_files};
use crate::model::{Classified, Listing};
use mcpol_site::{VersionChange, VersionChanges};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The folder beside records that holds those of versions before.
const FOLDER: &str = "older";

/// Versions before, by what the server is called.
#[derive(Default)]
pub(super) struct OlderRecords(BTreeMap<String, Vec<Classified>>);

impl OlderRecords {
    /// Reads the records of versions before that lie beside those that are named.
    ///
    /// # Errors
    /// A file is not valid.
    pub fn read(records: &[PathBuf], classifier: &Classifier) -> Result<Self, Failure> {
        let mut files = Vec::new();
        for folder in records.iter().map(|path| path.join(FOLDER)).filter(|folder| folder.is_dir()) {
            // A folder that cannot be read, or holds nothing, has no versions before.
            files.extend(tool_list_files(&folder).unwrap_or_default());
        }
        let (mut older, mut problems) = (Self::default(), Problems::default());
        if files.is_empty() {
            return Ok(older);
        }
        saved(&files, &mut |item| {
            match item {
                Item::Listing(listing, _) => {
                    let classified = classifier.one(*listing, Vec::new());
                    older.0.entry(classified.listing.server.as_str().to_owned()).or_default().push(classified);
                }
                Item::Failed(_) => {}
                Item::Problem(problem) => problems.push(problem),
            }
            Ok(())
        })?;
        problems.check()?;
        for versions in older.0.values_mut() {
            versions.sort_by(|a, b| order(&version(&a.listing), &version(&b.listing)));
        }
        Ok(older)
    }

    /// What changed from version to version up to this one, the newest first.
    pub fn changes(&self, now: &Classified) -> Vec<VersionChanges> {
        let Some(before) = self.0.get(now.listing.server.as_str()) else { return Vec::new() };
        let newest = version(&now.listing);
        // What is no older, or another package of that name, has nothing to say of this one.
        let is_before = |it: &&Classified| {
            order(&version(&it.listing), &newest) == Ordering::Less && origin(&it.listing) == origin(&now.listing)
        };
        let mut line: Vec<&Classified> = before.iter().filter(is_before).collect();
        line.push(now);
        line.windows(2)
            .rev()
            .filter_map(|pair| match pair {
                [was, now] => Some(between(was, now)),
                _ => None,
            })
            .collect()
    }
}

/// What is different between two versions of a server, the worst first.
pub(in crate::commands) fn between(was: &Classified, now: &Classified) -> VersionChanges {
    let beside = Beside { before: Verdicts::of(was), after: Verdicts::of(now), ..Beside::default() };
    let mut found = drift::compare(&LockedServer::of(was, None), &LockedServer::of(now, None), None, &beside);
    found.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    let change = |drift: Drift| VersionChange {
        severity: drift.severity,
        code: drift.code.as_str().to_owned(),
        tool: drift.tool.clone(),
        message: drift.sentence(),
    };
    VersionChanges {
        from: version(&was.listing),
        to: version(&now.listing),
        changes: found.into_iter().map(change).collect(),
    }
}

/// The version of a listing: that of its package, else what the server claims.
fn version(listing: &Listing) -> String {
    let package = listing.source.package().and_then(|package| package.version.clone());
    let claimed = || listing.server_info.as_ref().map(|info| info.version.clone());
    package.or_else(claimed).unwrap_or_default()
}

/// The registry and the name of the package, where they are known.
fn origin(listing: &Listing) -> Option<(&str, &str)> {
    listing.source.package().map(|package| (package.registry.as_str(), package.name.as_str()))
}

/// Versions as people count: numbers by their size, what comes before a release (`1.0.0-rc.1`) before it.
fn order(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<(u64, String)> {
        text.split(['.', '-', '_']).map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect()
    };
    // What stands behind `+` tells builds apart, and no versions.
    let halves = |text: &str| {
        let text = text.split('+').next().unwrap_or_default();
        let (numbers, before) = text.split_once('-').map_or((text, None), |(numbers, before)| (numbers, Some(before)));
        (parts(numbers), before.is_none(), parts(before.unwrap_or_default()))
    };
    halves(a).cmp(&halves(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_in_which_people_count() {
        let mut versions = ["1.10.0", "1.9.2", "2026.1.5", "1.10.0-rc.2", "1.9.10", "1.10.0-rc.10"];
        versions.sort_by(|a, b| order(a, b));
        assert_eq!(versions, ["1.9.2", "1.9.10", "1.10.0-rc.2", "1.10.0-rc.10", "1.10.0", "2026.1.5"]);
    }
}
