//! What a policy lets be reached although something in its definition waits to be explained.

use crate::compiled::{Policy, Visibility};
use crate::document::Mode;
use crate::doors::Door;
use crate::model::{Extra, ExtraKind, Finding, Severity};

/// The worst finding about a tool that calls can reach, from a warning on, and how much it matters: less where a person is
/// asked about every call, who can read what the finding is about.
pub fn open_finding<'f>(policy: &Policy, tool: &str, findings: &'f [Finding]) -> Option<(Severity, &'f Finding)> {
    let worst = worst(findings)?;
    if policy.appearance(tool) != Visibility::Listed && policy.mode_of(tool) == Mode::Enforce {
        return None;
    }
    let approval = policy.tools.get(tool).and_then(|rules| rules.approval.as_ref());
    let is_asked = approval.is_some_and(|approval| approval.when.is_empty());
    match (worst.severity, is_asked) {
        (Severity::Error, false) => Some((Severity::Error, worst)),
        (Severity::Error, true) | (Severity::Warning, false) => Some((Severity::Warning, worst)),
        (Severity::Warning, true) | (Severity::Note, _) => None,
    }
}

/// The worst finding about a prompt, resource or template that may be taken, from a warning on, and how much it matters.
pub fn open_offer_finding<'f>(
    policy: &Policy,
    extra: &Extra,
    findings: &'f [Finding],
) -> Option<(Severity, &'f Finding)> {
    let door = match extra.kind {
        ExtraKind::Prompt => Door::Prompt(&extra.key),
        ExtraKind::Resource => Door::Resource(&extra.key),
        ExtraKind::Template => Door::Template(&extra.key),
    };
    let worst = worst(findings)?;
    policy.shows(door).then_some((worst.severity, worst))
}

fn worst(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().max_by_key(|finding| finding.severity).filter(|worst| worst.severity > Severity::Note)
}
