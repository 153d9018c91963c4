//! The recommended policy: what each class of tool deserves, and why.

mod flows;
mod left;
mod merge;
mod narrow;
mod offers;
mod ruling;

pub use flows::Flows;
pub use left::{Left, left};
pub use merge::{Merge, merge};
pub use narrow::{Judge, Narrowed};
pub use offers::{OfferReview, OfferRuling, OfferSubject, add_offers};

use super::document::{
    Action, AllTools, ClientRules, Condition, Document, Entry, Limit, Operator, RateLimit, ToolRules, Unlisted,
    Validate, Version,
};
use super::json::JsonText;
use super::schema::ArgumentSchema;
use super::word::Word;
use crate::model::{BlastRadius, Category, EvidenceSource, RiskLevel, ToolDefinition, Verdict};
use crate::text::excerpt;
use std::collections::{BTreeMap, BTreeSet};

/// Calls a minute of all tools together, for a grant.
const CALLS_PER_MINUTE: u64 = 120;
/// Longest name that a policy is written for, in bytes; the counter's name has a suffix more.
const NAME_BYTES_MAX: usize = 200;
/// What the model is told about a tool that moves money.
const HUMAN: &str = "Requires human approval.";

/// How strict the recommendation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Reads pass, writes and executions are counted, deletes are hidden, money waits for a person.
    #[default]
    Standard,
    /// Also: arguments are held against the schema, and a person is asked about whatever has a high blast radius, changes
    /// who may do what, sends to where the caller says, or sets off what cannot simply be taken back.
    Strict,
    /// Reads only.
    ReadOnly,
}

/// What a policy is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All that is known here: short forms, questions to people, reasons as comments.
    Full,
    /// Only what the hosted gateway knows that the format comes from: who cannot be asked is refused.
    Portable,
}

/// Which tools a recommendation is for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these; empty is all.
    pub only: BTreeSet<String>,
    /// All but these.
    pub except: BTreeSet<String>,
}

/// What a tool gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruling {
    /// `{}`
    Allow,
    /// So many calls a minute.
    Limit(u64),
    /// So many calls a minute, each approved by a person.
    Approve(u64),
    /// Refused with "Requires human approval."
    Refuse,
    /// Not listed: the default decides, and a recommended policy refuses by default.
    LeaveOut,
    /// In `hide`.
    Hide,
}

/// One line of the review: a tool, its class, what it got and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The tool, as declared.
    pub tool: String,
    /// What it does at worst.
    pub category: Category,
    /// How strict the default must be.
    pub risk: RiskLevel,
    /// How much one wrong call can cost.
    pub blast_radius: BlastRadius,
    /// What it got.
    pub ruling: Ruling,
    /// Whether arguments are held against the schema.
    pub validated: bool,
    /// The argument that is held to some of its values, because of the others the tool would be hidden.
    pub narrowed: Option<Narrowed>,
    /// One short sentence.
    pub why: String,
    /// What flows take the tool for, where they are written.
    pub flags: Option<Vec<Word>>,
}

/// A recommendation.
#[derive(Clone, Debug)]
pub struct Recommendation {
    /// The policy.
    pub document: Document,
    /// One line a tool, in the order of names.
    pub review: Vec<Review>,
    /// One line a prompt, resource and template, in the order of kinds and names.
    pub offers: Vec<OfferReview>,
}

/// What is wanted of a recommendation.
pub struct Wishes<'w> {
    /// How strict it is.
    pub profile: Profile,
    /// What it is written in.
    pub form: Form,
    /// Which tools it is for.
    pub selection: Selection,
    /// Judges a changed definition as one of the server's tools, so that a tool that only some values of an argument make
    /// dangerous is not hidden; `None`: it is.
    pub judge: Option<&'w Judge<'w>>,
    /// Which rules about the course of a session are written. What others know of the format has none.
    pub flows: Flows,
}

impl Wishes<'_> {
    /// What each class deserves by the standard profile, with nothing said of a changed definition.
    pub fn standard(form: Form) -> Self {
        Self { profile: Profile::Standard, form, selection: Selection::default(), judge: None, flows: Flows::None }
    }
}

/// Writes the policy that a server's tools deserve. A name that is declared twice gets the stricter ruling.
pub fn generate<'t>(
    tools: impl IntoIterator<Item = (&'t ToolDefinition, &'t Verdict)>,
    wishes: &Wishes<'_>,
) -> Recommendation {
    let mut reviews: BTreeMap<String, Review> = BTreeMap::new();
    let Selection { only, except } = &wishes.selection;
    for (tool, verdict) in tools {
        let name = tool.name.as_str();
        let wanted = only.is_empty() || only.contains(name);
        if !wanted || except.contains(name) {
            continue;
        }
        let review = review(tool, verdict, wishes);
        match reviews.get_mut(name) {
            Some(known) => {
                // Two definitions are taken for all that either is.
                let mut flags: Vec<Word> = known.flags.iter().chain(&review.flags).flatten().copied().collect();
                flags.sort_unstable();
                flags.dedup();
                let flags = known.flags.is_some().then_some(flags);
                if review.ruling > known.ruling {
                    *known = review;
                }
                // Two definitions have two sets of values.
                if let Some(narrowed) = known.narrowed.take() {
                    known.ruling = Ruling::Hide;
                    known.why = format!("some values of {} remove what cannot be brought back", narrowed.path);
                }
                known.flags = flags;
                known.why = format!("declared more than once, so the strictest class counts: {}", known.why);
            }
            None => {
                reviews.insert(name.to_owned(), review);
            }
        }
    }
    let mut document = Document {
        schema: None,
        description: None,
        comment: None,
        version: Version::V1,
        default: Unlisted::Deny,
        mode: None,
        hide: Vec::new(),
        all_tools: AllTools::default(),
        tools: BTreeMap::new(),
        resources: None,
        prompts: None,
        client: ClientRules::default(),
        unknown_methods: None,
        flows: if wishes.form == Form::Full { wishes.flows.written() } else { Vec::new() },
    };
    for (name, review) in &reviews {
        match review.ruling {
            Ruling::Hide => document.hide.push(name.clone()),
            Ruling::LeaveOut => {}
            Ruling::Allow | Ruling::Limit(_) | Ruling::Approve(_) | Ruling::Refuse => {
                document.tools.insert(name.clone(), rules(name, review, wishes.form));
            }
        }
    }
    if document.tools.len() > 1 {
        document.all_tools.limits.push(a_minute("calls".to_owned(), CALLS_PER_MINUTE));
    }
    Recommendation { document, review: reviews.into_values().collect(), offers: Vec::new() }
}

fn review(tool: &ToolDefinition, verdict: &Verdict, wishes: &Wishes<'_>) -> Review {
    let name = tool.name.as_str();
    let (mut ruling, mut why) = ruling::ruling(name, verdict, wishes.profile);
    let (mut narrowed, mut acts) = (None, matches!(verdict.category, Category::Write | Category::Execute));
    // What a person has said of the tool is not taken back by looking at it again, and a finding is about all of it.
    let is_overridden = verdict.evidence.iter().any(|evidence| evidence.source == EvidenceSource::Override);
    if let (Ruling::Hide, Some(judge)) = (ruling, wishes.judge)
        && !is_overridden
        && ruling::may_delete(verdict)
        && !ruling::has_error(verdict)
    {
        let of = |verdict: &Verdict| ruling::ruling(name, verdict, wishes.profile);
        if let Some((found, mut left)) = narrow::narrow(tool, judge, &|verdict| of(verdict).0 == Ruling::Hide) {
            left.findings.clone_from(&verdict.findings);
            let (of_rest, why_rest) = of(&left);
            acts = matches!(left.category, Category::Write | Category::Execute);
            why = format!("{why}, but only by {} of `{}`; without: {why_rest}", some(&found.refused), found.path);
            (ruling, narrowed) = (of_rest, Some(found));
        }
    }
    if let (Form::Portable, Ruling::Approve(_)) = (wishes.form, ruling) {
        ruling = Ruling::Refuse;
    }
    let passes = matches!(ruling, Ruling::Limit(_) | Ruling::Approve(_));
    let wants_schema = wishes.profile == Profile::Strict && acts && passes;
    let validated = wants_schema && has_usable_schema(tool);
    if wants_schema && !validated {
        why.push_str("; its schema cannot be used to check arguments");
    }
    Review {
        tool: name.to_owned(),
        category: verdict.category,
        risk: verdict.risk,
        blast_radius: verdict.blast_radius,
        ruling,
        validated,
        narrowed,
        why,
        flags: wishes.flows.flags(verdict).filter(|_| wishes.form == Form::Full),
    }
}

/// A few values in words.
fn some(values: &[String]) -> String {
    /// Most values in a sentence.
    const SHOWN_MAX: usize = 4;
    let shown: Vec<String> = values.iter().take(SHOWN_MAX).map(|value| format!("`{}`", excerpt(value, 40))).collect();
    match values.len().saturating_sub(SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether arguments can be held against the tool's schema: without that every call would be refused.
fn has_usable_schema(tool: &ToolDefinition) -> bool {
    let definition: serde_json::Value = serde_json::from_str(tool.raw.get()).unwrap_or_default();
    definition.get("inputSchema").is_some_and(|schema| ArgumentSchema::compile(schema).is_ok())
}

fn a_minute(counter: String, max: u64) -> Limit {
    Limit::of_calls(counter, "minute".to_owned(), max)
}

fn rules(name: &str, review: &Review, form: Form) -> ToolRules {
    let mut rules = ToolRules::default();
    let rated = |rules: &mut ToolRules, max: u64| match form {
        Form::Full => rules.rate_limit = Some(RateLimit::Text(format!("{max}/minute"))),
        Form::Portable => rules.limits.push(a_minute(format!("{}_rate", name.to_lowercase()), max)),
    };
    match review.ruling {
        Ruling::Allow | Ruling::Hide | Ruling::LeaveOut => {}
        Ruling::Limit(max) => rated(&mut rules, max),
        Ruling::Approve(max) => {
            rules.action = Some(Action::RequireApproval);
            rated(&mut rules, max);
        }
        Ruling::Refuse => {
            let on_deny = Some(HUMAN.to_owned());
            rules.deny_if.push(Entry { comment: None, conditions: Vec::new(), on_deny, id: None });
        }
    }
    if let Some(narrowed) = review.narrowed.as_ref().filter(|_| review.ruling != Ruling::Refuse) {
        let condition = Condition {
            path: format!("args.{}", narrowed.path),
            op: Operator::In,
            value: JsonText::of_texts(&narrowed.kept),
        };
        rules.require.push(Entry { comment: None, conditions: vec![condition], on_deny: None, id: None });
    }
    rules.validate = review.validated.then_some(Validate::Schema);
    rules.flags.clone_from(&review.flags);
    // What only reads and passes needs no reason.
    if form == Form::Full && !rules.is_empty() {
        rules.comment = Some(review.why.clone());
    }
    rules
}

#[cfg(test)]
mod testing {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use crate::model::{Confidence, Flag, RiskLevel};
    use serde_json::json;

    pub fn tool(name: &str) -> ToolDefinition {
        let raw = json!({"name": name}).to_string();
        ToolDefinition::parse(&serde_json::value::RawValue::from_string(raw).unwrap()).unwrap()
    }

    pub fn verdict(category: Category, blast_radius: BlastRadius, flags: &[Flag]) -> Verdict {
        Verdict {
            category,
            risk: RiskLevel::of(category, blast_radius),
            blast_radius,
            flags: flags.iter().copied().collect(),
            confidence: Confidence::High,
            reason: String::new(),
            evidence: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// What the standard profile recommends, in the form that others know.
    pub fn standard<'t>(tools: impl IntoIterator<Item = (&'t ToolDefinition, &'t Verdict)>) -> Recommendation {
        generate(tools, &Wishes::standard(Form::Portable))
    }

    pub fn compact(document: &Document) -> String {
        serde_json::to_string(document).unwrap()
    }
}

#[cfg(test)]
mod tests;
