//! The recommended policy: what each class of tool deserves, and why.

use super::compiled::{Policy, Visibility};
use super::document::{
    AllTools, ApprovalRules, ClientRules, Document, Entry, Limit, Scope, ToolRules, Unlisted, Validate, Version,
};
use crate::model::{BlastRadius, Category, Confidence, Flag, RiskLevel, ToolDefinition, Verdict};
use crate::tokens;
use std::collections::{BTreeMap, BTreeSet};

/// Calls a minute of a tool that writes.
const WRITES_PER_MINUTE: u64 = 30;
/// Calls a minute of a tool that executes, or reads what is worth protecting.
const CAREFUL_PER_MINUTE: u64 = 10;
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
    /// Also: arguments are held against the schema, and executions of high blast radius are approved one by one.
    Strict,
    /// Reads only.
    ReadOnly,
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
    /// One short sentence.
    pub why: String,
}

/// A recommendation.
#[derive(Clone, Debug)]
pub struct Recommendation {
    /// The policy.
    pub document: Document,
    /// One line a tool, in the order of names.
    pub review: Vec<Review>,
}

/// Writes the policy that a server's tools deserve. A name that is declared twice gets the stricter ruling.
pub fn generate<'t>(
    tools: impl IntoIterator<Item = (&'t ToolDefinition, &'t Verdict)>,
    profile: Profile,
    selection: &Selection,
) -> Recommendation {
    let mut reviews: BTreeMap<String, Review> = BTreeMap::new();
    for (tool, verdict) in tools {
        let name = tool.name.as_str();
        let wanted = selection.only.is_empty() || selection.only.contains(name);
        if !wanted || selection.except.contains(name) {
            continue;
        }
        let review = review(name, verdict, profile);
        match reviews.get_mut(name) {
            Some(known) => {
                if review.ruling > known.ruling {
                    *known = review;
                }
                known.why = format!("declared more than once, so the strictest class counts: {}", known.why);
            }
            None => {
                reviews.insert(name.to_owned(), review);
            }
        }
    }
    let mut document = Document {
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
    };
    for (name, review) in &reviews {
        match review.ruling {
            Ruling::Hide => document.hide.push(name.clone()),
            Ruling::LeaveOut => {}
            Ruling::Allow | Ruling::Limit(_) | Ruling::Approve(_) | Ruling::Refuse => {
                document.tools.insert(name.clone(), rules(name, review));
            }
        }
    }
    Recommendation { document, review: reviews.into_values().collect() }
}

fn review(name: &str, verdict: &Verdict, profile: Profile) -> Review {
    let (ruling, why) = ruling(name, verdict, profile);
    let acts = matches!(verdict.category, Category::Write | Category::Execute);
    let passes = matches!(ruling, Ruling::Limit(_) | Ruling::Approve(_));
    Review {
        tool: name.to_owned(),
        category: verdict.category,
        risk: verdict.risk,
        blast_radius: verdict.blast_radius,
        ruling,
        validated: profile == Profile::Strict && acts && passes,
        why,
    }
}

fn ruling(name: &str, verdict: &Verdict, profile: Profile) -> (Ruling, String) {
    let has = |flag| verdict.flags.contains(&flag);
    let radius = verdict.blast_radius;
    if name.len() > NAME_BYTES_MAX
        || name.contains('*')
        || name.chars().any(|c| crate::text::is_hidden(c) || c.is_whitespace())
    {
        return (Ruling::LeaveOut, "its name is too odd to be written down".to_owned());
    }
    if profile == Profile::ReadOnly && verdict.category != Category::Read {
        return (Ruling::LeaveOut, "only reads are listed".to_owned());
    }
    match verdict.category {
        Category::Delete => (Ruling::Hide, "removes what an ordinary edit cannot bring back".to_owned()),
        // Nobody knows yet, so the worst that it may be decides: a person can still let it through.
        category if doubted(verdict) == Some(Category::Delete) && profile != Profile::ReadOnly => {
            (Ruling::Hide, format!("judged {category} with low confidence: it may remove"))
        }
        category if doubted(verdict).is_some() => {
            (Ruling::Refuse, format!("judged {category} with low confidence: it may do more"))
        }
        Category::Write if radius == BlastRadius::Critical => {
            (Ruling::Refuse, "reaches many at once, and cannot be taken back".to_owned())
        }
        Category::Write | Category::Execute if has(Flag::Financial) && !has(Flag::CodeExecution) => {
            (Ruling::Refuse, "moves or commits money".to_owned())
        }
        Category::Execute if radius == BlastRadius::Critical => {
            let why = if has(Flag::CodeExecution) {
                "runs what the caller hands over"
            } else {
                "one wrong call can cost everything"
            };
            (Ruling::Hide, why.to_owned())
        }
        Category::Execute if profile == Profile::Strict && radius >= BlastRadius::High => {
            (Ruling::Approve(CAREFUL_PER_MINUTE), "executes, with a high blast radius".to_owned())
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

/// The worst that a tool may be whose category the rules are not sure of: what some of its evidence says, or anything
/// where there is none. `None`: they are sure, or nothing speaks for worse.
fn doubted(verdict: &Verdict) -> Option<Category> {
    if verdict.confidence != Confidence::Low {
        return None;
    }
    if verdict.flags.contains(&Flag::Unclassified) {
        return Some(verdict.category);
    }
    let said = |evidence: &crate::model::Evidence| Category::ALL.iter().copied().find(|c| c.as_str() == evidence.says);
    let acts = |category: &Category| *category > verdict.category && *category >= Category::Execute;
    verdict.evidence.iter().filter(|evidence| evidence.weight > 0).filter_map(said).filter(acts).max()
}

fn rules(name: &str, review: &Review) -> ToolRules {
    let per_minute = |max| Limit {
        counter: format!("{}_rate", name.to_lowercase()),
        window: "minute".to_owned(),
        max,
        scope: Scope::Grant,
        increment_from: None,
        scale: 0,
        refund: None,
        on_deny: None,
        id: None,
    };
    let mut rules = ToolRules::default();
    match review.ruling {
        Ruling::Allow | Ruling::Hide | Ruling::LeaveOut => {}
        Ruling::Limit(max) => rules.limits.push(per_minute(max)),
        Ruling::Approve(max) => {
            rules.approval = Some(ApprovalRules::default());
            rules.limits.push(per_minute(max));
        }
        Ruling::Refuse => {
            rules.deny_if.push(Entry { conditions: Vec::new(), on_deny: Some(HUMAN.to_owned()), id: None });
        }
    }
    rules.validate = review.validated.then_some(Validate::Schema);
    rules
}

/// What a client still sees of a server's tools under a policy, and what that costs its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Tools that the client is shown.
    pub tools: usize,
    /// Tools that the server lists.
    pub of_tools: usize,
    /// Tokens of the definitions that the client is shown: an estimate, as [`tokens::estimate`] makes it.
    pub tokens: u64,
    /// Tokens of all definitions, estimated likewise.
    pub of_tokens: u64,
}

/// What a policy leaves of a server's tools. A tool that is refused at every call is not shown either.
pub fn left<'t>(policy: &Policy, tools: impl IntoIterator<Item = &'t ToolDefinition>) -> Left {
    let mut left = Left::default();
    for tool in tools {
        let cost = tokens::estimate(tool);
        left.of_tools += 1;
        left.of_tokens += cost;
        match policy.visible(tool.name.as_str()) {
            Visibility::Listed => {
                left.tools += 1;
                left.tokens += cost;
            }
            Visibility::Refused | Visibility::Hidden => {}
        }
    }
    left
}

/// What became of an owner's policy when new tools were added.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The owner's policy with the new tools.
    pub document: Document,
    /// Tools that the policy did not name and now does.
    pub added: BTreeSet<String>,
    /// Tools that the policy named before; their rules are the owner's.
    pub kept: BTreeSet<String>,
    /// Tools that the policy names and the server does not have; their rules stay.
    pub vanished: BTreeSet<String>,
}

/// Adds to an owner's policy what it does not name yet; nothing that the owner wrote is changed. `declared` are all tools
/// of the server. Where the owner's default allows, leaving a tool out would let it pass: it is hidden instead, and the
/// review says so.
pub fn merge(old: &Document, new: &mut Recommendation, declared: &BTreeSet<&str>) -> Merge {
    let mut document = old.clone();
    let hidden: BTreeSet<&str> = old.hide.iter().map(String::as_str).collect();
    let named = |name: &str| old.tools.contains_key(name) || hidden.contains(name);
    let mut merged =
        Merge { document: old.clone(), added: BTreeSet::new(), kept: BTreeSet::new(), vanished: BTreeSet::new() };
    for review in &mut new.review {
        let name = &review.tool;
        if named(name) {
            merged.kept.insert(name.clone());
            continue;
        }
        // A name with a star would be a pattern, which `hide` refuses.
        if review.ruling == Ruling::LeaveOut && old.default == Unlisted::Allow && !name.contains('*') {
            review.ruling = Ruling::Hide;
        }
        if let Some(rules) = new.document.tools.get(name) {
            document.tools.insert(name.clone(), apart(rules, old));
            merged.added.insert(name.clone());
        } else if review.ruling == Ruling::Hide {
            document.hide.push(name.clone());
            merged.added.insert(name.clone());
        }
    }
    let vanished = |name: &&str| *name != "*" && !declared.contains(name);
    let names = old.tools.keys().map(String::as_str).chain(hidden.iter().copied());
    merged.vanished = names.filter(vanished).map(str::to_owned).collect();
    merged.document = document;
    merged
}

/// The rules with counters of their own where the owner uses the same name for something else.
fn apart(rules: &ToolRules, old: &Document) -> ToolRules {
    let limits = || old.all_tools.limits.iter().chain(old.tools.values().flat_map(|tool| &tool.limits));
    let rated =
        |name: &str| old.tools.iter().any(|(tool, rules)| rules.rate_limit.is_some() && format!("{tool}_rate") == name);
    let mut rules = rules.clone();
    for limit in &mut rules.limits {
        while limits().any(|known| known.counter == limit.counter) || rated(&limit.counter) {
            limit.counter.push_str("_new");
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;
    use serde_json::json;

    fn tool(name: &str) -> ToolDefinition {
        let raw = json!({"name": name}).to_string();
        ToolDefinition::parse(&serde_json::value::RawValue::from_string(raw).unwrap()).unwrap()
    }

    fn verdict(category: Category, blast_radius: BlastRadius, flags: &[Flag]) -> Verdict {
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

    fn compact(document: &Document) -> String {
        serde_json::to_string(document).unwrap()
    }

    fn check(category: Category, radius: BlastRadius, flags: &[Flag], profile: Profile, expected: &str) {
        let made = generate([(&tool("Do_It"), &verdict(category, radius, flags))], profile, &Selection::default());
        let text = compact(&made.document);
        assert_eq!(text, format!(r#"{{"version":"1","default":"deny"{expected}}}"#));
        assert!(crate::parse(&text, "p").is_ok(), "{text}");
    }

    #[test]
    fn each_class_gets_what_the_table_says() {
        use BlastRadius::{Critical, High, Low, Medium};
        use Category::{Delete, Execute, Read, Write};
        use Profile::{ReadOnly, Standard, Strict};
        let limit = |max: u64, more: &str| {
            format!(
                r#","tools":{{"Do_It":{{{more}"limits":[{{"counter":"do_it_rate","window":"minute","max":{max},"scope":"grant"}}]}}}}"#
            )
        };
        let free = r#","tools":{"Do_It":{}}"#;
        let hide = r#","hide":["Do_It"]"#;
        let human = r#","tools":{"Do_It":{"deny_if":[{"conditions":[],"on_deny":"Requires human approval."}]}}"#;
        for (category, radius, flags, profile, expected) in [
            (Read, Low, &[][..], Standard, free),
            (Read, Medium, &[], Standard, free),
            (Read, High, &[], Standard, &limit(10, "")),
            (Read, Low, &[Flag::Credential], Standard, &limit(10, "")),
            (Write, Medium, &[], Standard, &limit(30, "")),
            (Write, High, &[Flag::Egress], Standard, &limit(30, "")),
            (Write, Critical, &[Flag::Egress], Standard, human),
            (Execute, Medium, &[], Standard, &limit(10, "")),
            (Execute, High, &[Flag::Unclassified], Standard, &limit(10, "")),
            (Execute, Critical, &[Flag::CodeExecution], Standard, hide),
            (Execute, Critical, &[], Standard, hide),
            (Delete, Low, &[], Standard, hide),
            (Delete, High, &[Flag::Financial], Standard, hide),
            (Write, High, &[Flag::Financial], Standard, human),
            (Execute, Critical, &[Flag::Financial], Standard, human),
            (Execute, Critical, &[Flag::Financial, Flag::CodeExecution], Standard, hide),
            (Read, Low, &[], Strict, free),
            (Write, Medium, &[], Strict, &limit(30, r#""validate":"schema","#)),
            (Execute, Medium, &[], Strict, &limit(10, r#""validate":"schema","#)),
            (Execute, High, &[], Strict, &limit(10, r#""validate":"schema","approval":{},"#)),
            (Execute, Critical, &[], Strict, hide),
            (Read, Low, &[], ReadOnly, free),
            (Write, Low, &[], ReadOnly, ""),
            (Delete, Low, &[], ReadOnly, ""),
        ] {
            // The order of members is that of the document; approval stands after validate there.
            check(category, radius, flags, profile, expected);
        }
    }

    #[test]
    fn what_the_rules_are_unsure_of_passes_only_where_nothing_speaks_for_worse() {
        use crate::model::{Evidence, EvidenceSource};
        let says = |category: Category, weight: u32| Evidence {
            rule: "r".to_owned(),
            source: EvidenceSource::Name,
            quote: String::new(),
            says: category.as_str().to_owned(),
            weight,
        };
        for (confidence, category, other, flags, expected) in [
            (Confidence::Low, Category::Read, says(Category::Delete, 30), &[][..], Ruling::Hide),
            (Confidence::Low, Category::Read, says(Category::Execute, 30), &[], Ruling::Refuse),
            (Confidence::Low, Category::Write, says(Category::Execute, 30), &[], Ruling::Refuse),
            (Confidence::Low, Category::Execute, says(Category::Execute, 0), &[Flag::Unclassified], Ruling::Refuse),
            (Confidence::Low, Category::Read, says(Category::Write, 30), &[], Ruling::Allow),
            (Confidence::Low, Category::Read, says(Category::Delete, 0), &[], Ruling::Allow),
            (Confidence::Medium, Category::Read, says(Category::Delete, 30), &[], Ruling::Allow),
        ] {
            let mut verdict = verdict(category, BlastRadius::Low, flags);
            (verdict.confidence, verdict.evidence) = (confidence, vec![other]);
            assert_eq!(ruling("do_it", &verdict, Profile::Standard).0, expected, "{verdict:?}");
            let listed = expected == Ruling::Allow;
            let in_reads_only = ruling("do_it", &verdict, Profile::ReadOnly).0;
            assert_eq!(in_reads_only == Ruling::Allow, listed, "{verdict:?}");
        }
    }

    #[test]
    fn a_client_pays_for_what_it_is_shown() {
        let text =
            r#"{"version":"1","default":"deny","hide":["gone"],"tools":{"read":{},"refused":{"action":"deny"}}}"#;
        let tools = ["read", "refused", "gone", "unnamed"].map(tool);
        let left = left(&crate::parse(text, "p").unwrap(), &tools);
        let (one, all) = (tokens::estimate(&tools[0]), tools.iter().map(tokens::estimate).sum());
        assert_eq!(left, Left { tools: 1, of_tools: 4, tokens: one, of_tokens: all });
    }

    #[test]
    fn tools_come_in_the_order_of_names_and_the_stricter_twin_counts() {
        let read = verdict(Category::Read, BlastRadius::Low, &[]);
        let delete = verdict(Category::Delete, BlastRadius::High, &[]);
        let tools = [tool("b"), tool("a"), tool("b")];
        let made = generate(
            tools.iter().zip([&read, &read, &delete]),
            Profile::Standard,
            &Selection { only: BTreeSet::new(), except: ["x".to_owned()].into() },
        );
        assert_eq!(compact(&made.document), r#"{"version":"1","default":"deny","hide":["b"],"tools":{"a":{}}}"#);
    }

    #[test]
    fn names_that_cannot_be_written_down_are_left_to_the_default() {
        for name in ["a*", "a\u{202e}b", "a b", &"x".repeat(201)] {
            let made = generate(
                [(&tool(name), &verdict(Category::Write, BlastRadius::Low, &[]))],
                Profile::Standard,
                &Selection::default(),
            );
            assert_eq!(compact(&made.document), r#"{"version":"1","default":"deny"}"#);
            assert_eq!(made.review[0].ruling, Ruling::LeaveOut);
        }
    }

    #[test]
    fn a_merge_keeps_the_owner_and_adds_the_rest() {
        let owner = r#"{"version":"1","default":"allow","hide":["secret"],"tools":{"a":{"action":"deny"},"old":{},"other":{"limits":[{"counter":"c_rate","window":"day","max":1}]}}}"#;
        let owner = crate::parse(owner, "p").unwrap();
        let write = verdict(Category::Write, BlastRadius::Medium, &[]);
        let delete = verdict(Category::Delete, BlastRadius::High, &[]);
        let tools = [tool("a"), tool("c"), tool("d"), tool("secret")];
        let mut new =
            generate(tools.iter().zip([&write, &write, &delete, &write]), Profile::Standard, &Selection::default());
        let merged = merge(owner.document(), &mut new, &["a", "c", "d", "secret", "other"].into());
        let text = compact(&merged.document);
        assert!(text.contains(r#""default":"allow","hide":["secret","d"]"#), "{text}");
        assert!(text.contains(r#""a":{"action":"deny"}"#), "{text}");
        // The owner counts something else under the name that the new tool would have used.
        assert!(text.contains(r#""counter":"c_rate_new","window":"minute","max":30"#), "{text}");
        assert!(crate::parse(&text, "p").is_ok());
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!([names(&merged.added), names(&merged.kept), names(&merged.vanished)], ["c d", "a secret", "old"]);
    }

    #[test]
    fn what_a_merge_leaves_out_passes_no_default_that_allows() {
        let write = verdict(Category::Write, BlastRadius::Medium, &[]);
        for (default, tool_name, expected) in [
            ("allow", "c", r#"{"version":"1","default":"allow","hide":["c"]}"#),
            ("allow", "c\u{202e}d", "{\"version\":\"1\",\"default\":\"allow\",\"hide\":[\"c\u{202e}d\"]}"),
            ("allow", "c*", r#"{"version":"1","default":"allow"}"#),
            ("deny", "c", r#"{"version":"1","default":"deny"}"#),
        ] {
            let owner = crate::parse(&format!(r#"{{"version":"1","default":"{default}"}}"#), "p").unwrap();
            let mut new = generate([(&tool(tool_name), &write)], Profile::ReadOnly, &Selection::default());
            let merged = merge(owner.document(), &mut new, &[tool_name].into());
            assert_eq!(compact(&merged.document), expected);
            assert!(crate::parse(&compact(&merged.document), "p").is_ok(), "{expected}");
            assert_eq!(new.review[0].ruling == Ruling::Hide, expected.contains("hide"), "{expected}");
        }
    }
}
