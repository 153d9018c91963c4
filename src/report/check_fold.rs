//! Equal findings on several tools as one: a review of twenty-two lines that say the same is a review of one.

use super::check::CheckFinding;
use super::words::count;
use crate::text::excerpt;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Fewest tools that make one finding of several.
const FOLDED_TOOLS_MIN: usize = 3;
/// Most tools that a sentence names; the list of tools holds all of them.
const NAMES_MAX: usize = 5;
/// Longest name in a sentence, in characters; as in the sentences of the findings themselves.
const NAME_CHARS_MAX: usize = 60;
/// What stands in a sentence for the tool.
const TOOL: &str = "\u{0}";

/// Findings that differ in nothing but their tool become one, at the place of the first.
pub(super) fn fold(findings: Vec<CheckFinding>) -> Vec<CheckFinding> {
    let mut groups: BTreeMap<(String, String), Vec<CheckFinding>> = BTreeMap::new();
    let mut out = Vec::new();
    for finding in findings {
        match key(&finding) {
            Some(key) => groups.entry((finding.server.clone(), key)).or_default().push(finding),
            None => out.push(finding),
        }
    }
    for ((_, key), mut group) in groups {
        if group.len() < FOLDED_TOOLS_MIN {
            out.append(&mut group);
        } else {
            group.sort_by(|a, b| (&a.tool, &a.fingerprint).cmp(&(&b.tool, &b.fingerprint)));
            out.extend(together(&key, group));
        }
    }
    out
}

/// Everything that a reader sees of a finding about a tool but the tool.
fn key(finding: &CheckFinding) -> Option<String> {
    let said = said(finding)?;
    let CheckFinding { severity, code, tomorrow, policy, was, now, file, names, .. } = finding;
    let names = names.iter().cloned().collect::<Vec<_>>().join("\u{2}");
    Some(
        [said.as_str(), super::words::severity(*severity), code.as_str(), tomorrow, policy, was, now, file, &names]
            .join("\u{1}"),
    )
}

/// The sentence without the tool; nothing where the tool is not in it.
fn said(finding: &CheckFinding) -> Option<String> {
    let name = format!("`{}`", excerpt(finding.tool.as_deref()?, NAME_CHARS_MAX));
    finding.message.contains(&name).then(|| finding.message.replace(&name, TOOL))
}

fn together(key: &str, group: Vec<CheckFinding>) -> Option<CheckFinding> {
    let said = group.first().and_then(said)?;
    let said =
        said.strip_prefix(&format!("{TOOL} ")).map_or_else(|| said.replace(TOOL, "…"), |rest| rest.replace(TOOL, "…"));
    let tools: Vec<String> = group.iter().filter_map(|finding| finding.tool.clone()).collect();
    let mut shown: Vec<_> =
        tools.iter().take(NAMES_MAX).map(|tool| format!("`{}`", excerpt(tool, NAME_CHARS_MAX))).collect();
    if tools.len() > NAMES_MAX {
        shown.push(format!("and {} more", tools.len() - NAMES_MAX));
    }
    let message = format!("{said}: {} ({})", count(tools.len(), "tool"), shown.join(", "));
    let fingerprints: Vec<String> = group.iter().map(|finding| finding.fingerprint.clone()).collect();
    let first = group.into_iter().next()?;
    // The same whichever tools join or leave, so that a list of alerts keeps one of it; what is known already is
    // decided by the fingerprints of all.
    let digest = Sha256::digest([first.server.as_str(), key].join("\u{1}").as_bytes());
    let fingerprint = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Some(CheckFinding { tool: None, tools, message, fingerprint, fingerprints, ..first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::drift::Drift;
    use crate::code::Code;
    use crate::model::Severity;
    use crate::problem::Place;

    fn finding(tool: &str, message: &str) -> CheckFinding {
        let drift = Drift::new(Code::D021, Severity::Note, "s", Some(tool), message.to_owned());
        CheckFinding::new(drift, "mcpol.lock", Place { line: 1, column: 1 })
    }

    #[test]
    fn what_is_true_of_several_tools_is_said_once() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let mut findings: Vec<_> = names.map(|tool| finding(tool, &format!("`{tool}` now requires `id`"))).to_vec();
        findings.push(finding("z", "`z` now requires `id`, lost `a`"));
        let folded = fold(findings.clone());
        let said: Vec<_> = folded.iter().map(|finding| finding.message.as_str()).collect();
        let expected =
            ["now requires `id`: 7 tools (`a`, `b`, `c`, `d`, `e`, and 2 more)", "`z` now requires `id`, lost `a`"];
        assert_eq!(said.iter().collect::<std::collections::BTreeSet<_>>(), expected.iter().collect());
        let one = folded.iter().find(|finding| finding.tool.is_none());
        assert_eq!(one.map(|one| (one.tools.len(), one.fingerprints.len())), Some((7, 7)));
        assert_eq!(fold(findings[..2].to_vec()).len(), 2, "two are told one by one");
    }

    #[test]
    fn a_name_inside_the_sentence_is_left_open() {
        let findings = ["a", "b", "c"].map(|tool| finding(tool, &format!("the text of `{tool}` now names `x`")));
        assert_eq!(fold(findings.to_vec())[0].message, "the text of … now names `x`: 3 tools (`a`, `b`, `c`)");
    }
}
