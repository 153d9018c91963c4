//! A class that is another one now: which way, why, and how much the reason is worth.
//!
//! Classes follow from texts, and texts are rewritten every day. What a tool accepts now and what the server itself
//! claims weighs more than words; a new name alone weighs nothing.

use super::hazard::Hazard;
use super::words::{listed, name, quote};
use crate::catalog::LockedTool;
use crate::code::Code;
use crate::model::{
    BlastRadius, Category, Classified, Confidence, Evidence, EvidenceSource, Flag, RiskLevel, Severity, ToolDefinition,
    Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// Flags whose arrival makes a tool worse whatever its category.
pub(super) const HARMFUL: [Flag; 9] = [
    Flag::Bulk,
    Flag::CodeExecution,
    Flag::Credential,
    Flag::Destructive,
    Flag::Egress,
    Flag::Financial,
    Flag::Irreversible,
    Flag::Physical,
    Flag::Privilege,
];
/// Flags that are worth a look even where only words brought them.
const GRAVE: [Flag; 6] =
    [Flag::CodeExecution, Flag::Credential, Flag::Egress, Flag::Financial, Flag::Irreversible, Flag::Physical];
/// Rules of the classification by which an act is one because it changes what the calls after it act on, or what a session
/// shows: logging in, choosing a project or a tab. It commits nothing by itself.
const OF_SESSION: [&str; 5] = ["browser-state", "interface-state", "open-interface", "session-setting", "verb-session"];
/// What a text says of secrets that are only named.
const WITHHELD: [&str; 12] = [
    "always masked",
    "are masked",
    "are never included",
    "are never returned",
    "are not included",
    "are not returned",
    "are obfuscated",
    "are redacted",
    "credentials are write-only",
    "never exposes",
    "never returns the",
    "without their values",
];
/// Most quotes of a text that say why.
const QUOTES_MAX: usize = 2;

/// The verdicts on the tools of one server, by definition.
#[derive(Clone, Debug, Default)]
pub struct Verdicts<'a>(BTreeMap<&'a str, &'a Verdict>);

impl<'a> Verdicts<'a> {
    /// The verdicts of a classified server.
    pub fn of(classified: &'a Classified) -> Self {
        let pairs = classified.listing.tools.iter().zip(&classified.verdicts);
        Self(pairs.map(|(tool, verdict)| (tool.raw.get(), verdict)).collect())
    }

    /// The verdict on a tool, where it was judged.
    pub(super) fn on(&self, tool: &LockedTool) -> Option<&'a Verdict> {
        self.0.get(tool.definition.get()).copied()
    }
}

/// What else changed in a tool, as far as it may explain another class.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons {
    /// What its schema accepts beside what it did, with the weight of that.
    pub openings: Vec<(Severity, String)>,
    /// What the server claims now that is worse than what it claimed.
    pub claims: Vec<String>,
    /// What else is different, each a fragment behind the tool's name.
    pub others: Vec<String>,
    /// Hints that are written out now and mean what their absence meant.
    pub repeated: BTreeSet<&'static str>,
    /// Whether the tool has another name.
    pub is_renamed: bool,
}

/// A change of class as a finding.
pub(super) struct Step {
    pub code: Code,
    pub severity: Severity,
    /// Behind the tool's name.
    pub what: String,
    pub tomorrow: String,
}

/// Where the new evidence for a class comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// A hint that meant the same before.
    Repeated,
    /// Another name for the same tool.
    Name,
    /// What the server says of the tool in its annotations.
    Claim,
    /// Texts.
    Words,
    /// What the schema takes now.
    Power,
}

/// How the class of a tool changed, if it did.
pub(super) fn step(
    was: (&LockedTool, Option<&Verdict>),
    now: (&LockedTool, Option<&Verdict>),
    reasons: &Reasons,
) -> Option<Step> {
    let ((old, judged_old), (new, judged_new)) = (was, now);
    let slight = slight(new, judged_new);
    let gained: Vec<_> = new.flags.difference(&old.flags).filter(|flag| HARMFUL.contains(flag)).collect();
    let lost: Vec<_> = old.flags.difference(&new.flags).filter(|flag| HARMFUL.contains(flag)).collect();
    let up = new.category > old.category || new.risk > old.risk || new.blast_radius > old.blast_radius;
    let down = new.category < old.category || new.risk < old.risk || new.blast_radius < old.blast_radius;
    if !up && gained.is_empty() && !down && lost.is_empty() {
        return None;
    }
    let rises = up || !gained.is_empty();
    let opened = reasons.openings.iter().any(|(severity, _)| *severity > Severity::Note);
    // Softer words about a tool that accepts more are no reason to think better of it.
    if !rises && opened {
        return None;
    }
    let explains = |evidence: &&Evidence| {
        evidence.says == new.category.as_str() && new.category != old.category
            || evidence.says.starts_with("blast") && new.blast_radius != old.blast_radius
            || gained.iter().any(|flag| evidence.says == format!("flag {flag}"))
    };
    let fresh: Vec<_> = fresh(judged_old, judged_new).into_iter().filter(explains).collect();
    let (cause, because) = because(new, &fresh, reasons, opened);
    let rank = |tool: &LockedTool| (tool.category, tool.risk, tool.blast_radius);
    let step = if rank(old) == rank(new) { format!("stays {}", class_of(new)) } else { steps(old, new) };
    let flags = |sign: &str, flags: &[&Flag]| flags.iter().map(|flag| format!("; {sign} {flag}")).collect::<String>();
    let what = format!("{because}{step}{}{}", flags("now", &gained), flags("no longer", &lost));
    if !rises {
        return Some(Step { code: Code::D031, severity: Severity::Note, what, tomorrow: String::new() });
    }
    let higher = new.category > old.category;
    let grave = (new.risk > old.risk && new.risk >= RiskLevel::High) || gained.iter().any(|flag| GRAVE.contains(flag));
    let severity = match cause {
        Cause::Repeated | Cause::Name => Severity::Note,
        // The claim has a code of its own, and nothing else is different.
        Cause::Claim if !higher || !opened => Severity::Note,
        Cause::Words if !higher && !grave => Severity::Note,
        // A word that may be a verb: hardly anything speaks for another class.
        Cause::Words if !grave && is_doubtful(new, judged_new) => Severity::Note,
        Cause::Words if !gained.iter().any(|flag| GRAVE.contains(flag)) && spoke_before(new, judged_old) => {
            Severity::Note
        }
        Cause::Claim => Severity::Warning,
        // Other words about what touches nothing but a session.
        Cause::Words => Severity::Warning.min(slight.unwrap_or(Severity::Warning)),
        Cause::Power if higher && new.category >= Category::Execute && slight.is_none() => Severity::Error,
        Cause::Power => Severity::Warning,
    };
    let tomorrow = match (severity, higher) {
        (Severity::Note, _) => String::new(),
        (_, true) => format!("an agent can {}", act(new, judged_new)),
        (_, false) => "one wrong call can cost more".to_owned(),
    };
    Some(Step { code: Code::D030, severity, what, tomorrow })
}

/// Whether the name or the title spoke for the category of now before, and other words only outweighed it.
fn spoke_before(now: &LockedTool, before: Option<&Verdict>) -> bool {
    let named = |evidence: &Evidence| matches!(evidence.source, EvidenceSource::Name | EvidenceSource::Title);
    let says = |evidence: &Evidence| evidence.says == now.category.as_str();
    before.is_some_and(|verdict| verdict.evidence.iter().any(|evidence| says(evidence) && named(evidence)))
}

/// Whether words alone make a Write of a tool, and hardly any: one that may be a verb.
pub(super) fn is_doubtful(tool: &LockedTool, judged: Option<&Verdict>) -> bool {
    let is_low = |verdict: &Verdict| verdict.confidence == Confidence::Low && !by_schema(tool, verdict);
    tool.category == Category::Write && judged.is_some_and(is_low)
}

/// Whether what decided the category is what the tool takes, and no word.
pub(super) fn by_schema(tool: &LockedTool, verdict: &Verdict) -> bool {
    let decided = verdict.evidence.iter().find(|evidence| evidence.says == tool.category.as_str());
    decided.is_some_and(|it| matches!(it.source, EvidenceSource::Parameter(_) | EvidenceSource::Schema))
}

/// Whether what decided that a tool is Execute is that it changes what a session shows or acts on.
pub(super) fn of_session(tool: &LockedTool, judged: Option<&Verdict>) -> bool {
    let says = |evidence: &&Evidence| evidence.says == tool.category.as_str();
    let decided = judged.into_iter().flat_map(|verdict| &verdict.evidence).find(says);
    tool.category == Category::Execute
        && tool.blast_radius <= BlastRadius::Medium
        && decided.is_some_and(|evidence| OF_SESSION.contains(&evidence.rule.as_str()))
        && !(decided.is_some_and(|evidence| evidence.rule == "open-interface") && takes_address(tool))
}

/// Whether a tool is told an address: what it opens then is anything.
fn takes_address(tool: &LockedTool) -> bool {
    let parameters = ToolDefinition::parse(&tool.definition).map(|tool| tool.parameters).unwrap_or_default();
    parameters.iter().any(|parameter| Hazard::of_name(&parameter.path) == Some(Hazard::Url))
}

/// The letters and digits of a text, in lower case: a name and a title that spells it have the same.
fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The evidence of now that was not there before.
fn fresh<'a>(was: Option<&Verdict>, now: Option<&'a Verdict>) -> Vec<&'a Evidence> {
    let known: BTreeSet<_> = was
        .into_iter()
        .flat_map(|verdict| &verdict.evidence)
        .map(|evidence| (evidence.says.as_str(), &evidence.source, evidence.quote.to_lowercase()))
        .collect();
    let is_new = |evidence: &&Evidence| {
        !known.contains(&(evidence.says.as_str(), &evidence.source, evidence.quote.to_lowercase()))
    };
    now.into_iter().flat_map(|verdict| &verdict.evidence).filter(is_new).collect()
}

/// Why the class is another one, up to the colon before the class.
fn because(tool: &LockedTool, fresh: &[&Evidence], reasons: &Reasons, opened: bool) -> (Cause, String) {
    let named = letters(&tool.name);
    let mut causes = BTreeSet::new();
    let mut whys: Vec<String> = Vec::new();
    for evidence in fresh {
        let quoted = quote(evidence.quote.trim());
        let (cause, why) = match &evidence.source {
            EvidenceSource::Annotation(hint) if reasons.repeated.contains(hint.as_str()) => {
                (Cause::Repeated, format!("writes out {}, which meant the same before", name(hint)))
            }
            EvidenceSource::Annotation(hint) => (Cause::Claim, format!("claims {}", name(hint))),
            // A name that is the same as before moves nothing, and another one for the same tool no more.
            EvidenceSource::Name => (Cause::Name, format!("has {quoted} in its name")),
            // Nor does a title that spells the name.
            EvidenceSource::Title if named.contains(&letters(&evidence.quote)) => {
                (Cause::Name, format!("has {quoted} as its title"))
            }
            EvidenceSource::Parameter(path) if opened => (Cause::Power, format!("takes {}", name(path))),
            EvidenceSource::Parameter(path) => (Cause::Words, format!("has the parameter {}", name(path))),
            // What follows from the rest of the verdict quotes nothing.
            EvidenceSource::Schema if evidence.quote.trim().is_empty() => continue,
            EvidenceSource::Schema if opened => (Cause::Power, format!("has {quoted} in its schema")),
            EvidenceSource::Schema => (Cause::Words, format!("has {quoted} in its schema")),
            EvidenceSource::Extension(key) => (Cause::Words, format!("has {quoted} in {}", name(key))),
            EvidenceSource::Title | EvidenceSource::Description => (Cause::Words, format!("says {quoted}")),
            EvidenceSource::Override => (Cause::Words, "falls under your override".to_owned()),
        };
        causes.insert(cause);
        if evidence.source == EvidenceSource::Name && !reasons.is_renamed {
            continue;
        }
        if !whys.contains(&why) && whys.len() < QUOTES_MAX {
            whys.push(why);
        }
    }
    let openings = reasons.openings.iter().filter(|(severity, _)| *severity > Severity::Note).map(|(_, what)| what);
    if causes.contains(&Cause::Power) || (causes.is_empty() && opened) {
        causes.insert(Cause::Power);
        whys.splice(0..0, openings.cloned());
    }
    if causes.is_empty() {
        whys.extend(reasons.claims.iter().chain(&reasons.others).cloned());
    }
    let because = if whys.is_empty() { String::new() } else { format!("{}: ", listed(whys, ", ")) };
    let cause = causes.last().copied().unwrap_or(match reasons {
        Reasons { is_renamed: true, .. } => Cause::Name,
        Reasons { claims, .. } if !claims.is_empty() => Cause::Claim,
        Reasons { repeated, .. } if !repeated.is_empty() => Cause::Repeated,
        Reasons { .. } => Cause::Words,
    });
    (cause, because)
}

/// The most that a tool weighs which the risk of its category overstates: one wrong call costs little, or what decided its
/// category is that it changes a session, and nothing of harm is said of it. One that touches nothing but what a session
/// shows is no more than a read. None of any other tool.
pub(super) fn slight(tool: &LockedTool, judged: Option<&Verdict>) -> Option<Severity> {
    let is_low = tool.blast_radius == BlastRadius::Low;
    // What is emptied and fills again by itself, a cache, is gone for nobody.
    let is_cache = tool.category == Category::Delete && is_low && tool.flags.contains(&Flag::Ephemeral);
    // What is gone with a session, is gone for nobody, whatever the server says of it.
    let is_ephemeral = is_low && tool.flags.contains(&Flag::Ephemeral);
    let harms = |flag: &&Flag| HARMFUL.contains(*flag) && !(is_ephemeral && **flag == Flag::Destructive);
    let is_harmless = (tool.category <= Category::Execute || is_cache)
        && !tool.flags.iter().any(|flag| harms(&flag) || *flag == Flag::Unclassified);
    if withholds(tool) {
        return Some(Severity::Warning);
    }
    match is_harmless {
        true if is_ephemeral && !is_cache && !tool.flags.contains(&Flag::Destructive) => Some(Severity::Note),
        true if is_low || of_session(tool, judged) => Some(Severity::Warning),
        _ => None,
    }
}

/// Whether a tool that only reads returns nothing of a kind that another one, which only reads, did not.
pub(super) fn reads_as_much(known: &LockedTool, tool: &LockedTool) -> bool {
    let reads = |tool: &LockedTool| tool.category == Category::Read;
    reads(known) && reads(tool) && tool.blast_radius <= known.blast_radius && tool.flags.is_subset(&known.flags)
}

/// Whether a tool that only reads says itself that it returns no secret: that is to be looked at, and no more.
pub(super) fn withholds(tool: &LockedTool) -> bool {
    let harms = tool.flags.iter().any(|flag| HARMFUL.contains(flag) && *flag != Flag::Credential);
    tool.category == Category::Read && tool.flags.contains(&Flag::Credential) && !harms && {
        let parts = tool.parts();
        let text = parts.description.as_ref().and_then(|text| text.as_str()).unwrap_or_default().to_lowercase();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        WITHHELD.iter().any(|words| text.contains(words))
    }
}

/// What an agent can do with a tool, after `an agent can `: by its category, and by the flags that say more than it.
pub(super) fn act(tool: &LockedTool, judged: Option<&Verdict>) -> String {
    const SAYING: [(Flag, &str); 6] = [
        (Flag::CodeExecution, "run code or commands"),
        (Flag::Financial, "move money"),
        (Flag::Physical, "move things in the physical world"),
        (Flag::Privilege, "change who has access to what"),
        (Flag::Credential, "come by secrets or set them"),
        (Flag::Egress, "send data to a place of its choice"),
    ];
    let says = |flag: Flag| tool.flags.contains(&flag) && !(flag == Flag::Credential && withholds(tool));
    let said = SAYING.iter().filter(|(flag, _)| says(*flag)).map(|(_, what)| (*what).to_owned());
    let said: Vec<_> = said.take(QUOTES_MAX).collect();
    let nature = match tool.category {
        Category::Delete => Some("remove data"),
        Category::Write if said.is_empty() => Some("create or change data"),
        Category::Execute if said.is_empty() && slight(tool, judged).is_some() => Some("change the state of a session"),
        Category::Execute if said.is_empty() => Some("run or commit something"),
        Category::Read if said.is_empty() => return "read what it returns".to_owned(),
        Category::Read | Category::Write | Category::Execute => None,
    };
    let acts: Vec<_> = nature.map(str::to_owned).into_iter().chain(said).collect();
    format!("{} with it", acts.join(" and "))
}

fn class_of(tool: &LockedTool) -> String {
    format!("{}, {} risk", tool.category, tool.risk)
}

/// The steps of a class: `Write → Execute, medium → high risk`.
pub(super) fn steps(was: &LockedTool, now: &LockedTool) -> String {
    let step = |a: &str, b: &str, what: &str| if a == b { None } else { Some(format!("{a} → {b}{what}")) };
    let steps = [
        step(was.category.as_str(), now.category.as_str(), ""),
        step(was.risk.as_str(), now.risk.as_str(), " risk"),
        step(was.blast_radius.as_str(), now.blast_radius.as_str(), " blast radius"),
    ];
    steps.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
