//! The table: what each class of tool deserves, and why.

use super::{NAME_BYTES_MAX, Profile, Ruling};
use crate::model::{BlastRadius, Category, Confidence, Evidence, Flag, RiskLevel, Severity, Verdict};

/// Calls a minute of a tool that writes.
const WRITES_PER_MINUTE: u64 = 30;
/// Calls a minute of a tool that executes, or reads what is worth protecting.
const CAREFUL_PER_MINUTE: u64 = 10;

/// What a tool gets, and one short sentence why.
pub(super) fn ruling(name: &str, verdict: &Verdict, profile: Profile) -> (Ruling, String) {
    if name.len() > NAME_BYTES_MAX
        || name.contains('*')
        || name.chars().any(|c| crate::text::is_hidden(c) || c.is_whitespace())
    {
        return (Ruling::LeaveOut, "its name is too odd to be written down".to_owned());
    }
    let finding = verdict.findings.iter().max_by_key(|finding| finding.severity);
    let finding = finding.filter(|finding| finding.severity > Severity::Note);
    if let Some(finding) = finding.filter(|finding| finding.severity == Severity::Error) {
        return (Ruling::Hide, format!("has the finding {} (error)", finding.id));
    }
    if profile == Profile::ReadOnly && verdict.category != Category::Read {
        return (Ruling::LeaveOut, "only reads are listed".to_owned());
    }
    let (ruling, why) = by_class(verdict, profile);
    match finding {
        Some(finding) if ruling < Ruling::Approve(0) => {
            (Ruling::Approve(per_minute(verdict)), format!("{why}, and has the finding {} (warning)", finding.id))
        }
        Some(_) | None => (ruling, why),
    }
}

/// Whether something about the tool must be explained before it is allowed at all.
pub(super) fn has_error(verdict: &Verdict) -> bool {
    verdict.findings.iter().any(|finding| finding.severity == Severity::Error)
}

/// Whether the tool deletes, or may do so as far as the rules are sure. What runs anything does so by every value.
pub(super) fn may_delete(verdict: &Verdict) -> bool {
    verdict.category == Category::Delete || doubted(verdict) == Some(Category::Delete)
}

/// Calls a minute of a tool that passes at all.
fn per_minute(verdict: &Verdict) -> u64 {
    match verdict.category {
        Category::Write => WRITES_PER_MINUTE,
        Category::Read | Category::Execute | Category::Delete => CAREFUL_PER_MINUTE,
    }
}

fn by_class(verdict: &Verdict, profile: Profile) -> (Ruling, String) {
    let has = |flag| verdict.flags.contains(&flag);
    let radius = verdict.blast_radius;
    let person = Ruling::Approve(per_minute(verdict));
    match verdict.category {
        Category::Delete => (Ruling::Hide, "removes what an ordinary edit cannot bring back".to_owned()),
        // Nobody knows yet, so the worst that it may be decides: a person can still let it through.
        category if doubted(verdict) == Some(Category::Delete) && profile != Profile::ReadOnly => {
            (Ruling::Hide, format!("judged {category} with low confidence: it may remove"))
        }
        category if doubted(verdict).is_some() => {
            (person, format!("judged {category} with low confidence: it may do more"))
        }
        Category::Write if radius == BlastRadius::Critical => {
            (person, "reaches many at once, and cannot be taken back".to_owned())
        }
        Category::Write | Category::Execute if has(Flag::Financial) && !has(Flag::CodeExecution) => {
            (person, "moves or commits money".to_owned())
        }
        Category::Execute if radius == BlastRadius::Critical => {
            let why = if has(Flag::CodeExecution) {
                "runs what the caller hands over"
            } else {
                "one wrong call can cost everything"
            };
            (Ruling::Hide, why.to_owned())
        }
        _ if profile == Profile::Strict && strictly_asked(verdict).is_some() => {
            (person, strictly_asked(verdict).unwrap_or_default().to_owned())
        }
        Category::Execute if has(Flag::Unclassified) => {
            (Ruling::Limit(CAREFUL_PER_MINUTE), "nothing says what it does, and unknown is not harmless".to_owned())
        }
        Category::Execute => (Ruling::Limit(CAREFUL_PER_MINUTE), "runs or steers something".to_owned()),
        Category::Write => (Ruling::Limit(WRITES_PER_MINUTE), "creates or changes data".to_owned()),
        Category::Read if has(Flag::Credential) => {
            (Ruling::Limit(CAREFUL_PER_MINUTE), "reads, but what it returns may be secret".to_owned())
        }
        Category::Read if verdict.risk >= RiskLevel::High => {
            (Ruling::Limit(CAREFUL_PER_MINUTE), "reads, with a high risk".to_owned())
        }
        Category::Read => (Ruling::Allow, "only reads".to_owned()),
    }
}

/// Why the strict profile asks a person about a tool, if it does.
fn strictly_asked(verdict: &Verdict) -> Option<&'static str> {
    let has = |flag| verdict.flags.contains(&flag);
    if has(Flag::Privilege) {
        Some("changes who may do what")
    } else if has(Flag::Egress) {
        Some("sends to where the caller says")
    } else if verdict.blast_radius >= BlastRadius::High {
        Some("has a high blast radius")
    } else if verdict.category == Category::Execute && !has(Flag::Reversible) && !has(Flag::Ephemeral) {
        // A merge, an approval, a deployment: small by itself, and the effect is elsewhere.
        Some("sets off something whose effect is decided elsewhere")
    } else {
        None
    }
}

/// The worst that a tool may be whose category the rules are not sure of: what some of its evidence says, or anything
/// where there is none. `None`: they are sure, or nothing speaks for worse.
fn doubted(verdict: &Verdict) -> Option<Category> {
    if verdict.confidence != Confidence::Low {
        return None;
    }
    if verdict.flags.contains(&Flag::Unclassified) {
        return Some(verdict.category);
    }
    let said = |evidence: &Evidence| Category::ALL.iter().copied().find(|c| c.as_str() == evidence.says);
    let acts = |category: &Category| *category > verdict.category && *category >= Category::Execute;
    verdict.evidence.iter().filter(|evidence| evidence.weight > 0).filter_map(said).filter(acts).max()
}
