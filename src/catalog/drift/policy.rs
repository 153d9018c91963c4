//! The policy beside the lock and the server: what it allows that nobody reviewed, names that do not exist, rules that
//! protect nothing any more, and where it is weaker than what is recommended.

use super::dead::{self, Role};
use super::finding::{Anchor, Drift};
use super::words::name;
use crate::catalog::{LockedServer, LockedTool};
use crate::classify::findings::{of_extra, of_list, of_tool};
use crate::classify::{Options, RuleSet, judge_like};
use crate::code::Code;
use crate::model::{Confidence, ExtraKind, ExtraName, RiskLevel, Severity, ToolDefinition, Verdict};
use crate::policy::{
    Action, Form, Limit, Narrowed, Operator, Policy, Ruling, ToolRules, Unlisted, Visibility, Window, Wishes, generate,
    open_finding, open_offer_finding,
};
use std::collections::BTreeSet;

/// What the policy says about a tool, for the end of a sentence.
pub fn says(policy: &Policy, tool: &str) -> &'static str {
    match policy.appearance(tool) {
        Visibility::Hidden if policy.tool_names().contains(tool) => "your policy hides it",
        Visibility::Hidden => "your policy does not list it",
        Visibility::Refused => "your policy refuses it",
        Visibility::Listed => {
            let rules = policy.document().tools.get(tool);
            if policy.asks_by_itself(tool) {
                "your policy asks a person first"
            } else if rules.is_some_and(|rules| !rules.is_empty()) {
                "your policy allows it within limits"
            } else {
                "your policy allows it"
            }
        }
    }
}

/// What the policy's answer adds to a difference: nothing where the answer does not matter.
pub fn annotate(policy: &Policy, found: &mut [Drift]) {
    for drift in found {
        let matters = match drift.code {
            Code::D001 | Code::D003 | Code::D011 | Code::D020 | Code::D030 | Code::D040 | Code::D041 | Code::R001 => {
                true
            }
            Code::D022 => drift.severity > Severity::Note,
            Code::D002
            | Code::D004
            | Code::D010
            | Code::D012
            | Code::D021
            | Code::D023
            | Code::D031
            | Code::D042
            | Code::D050
            | Code::D051
            | Code::D060
            | Code::D061
            | Code::D062
            | Code::D063
            | Code::D064
            | Code::P001
            | Code::P002
            | Code::P003
            | Code::P004
            | Code::P005
            | Code::P010
            | Code::P011
            | Code::P012
            | Code::P013
            | Code::P014
            | Code::P015
            | Code::P016
            | Code::P017
            | Code::P018
            | Code::P019
            | Code::P020
            | Code::P021
            | Code::P022
            | Code::P023
            | Code::P024
            | Code::P025
            | Code::P026
            | Code::P027
            | Code::P028
            | Code::P029 => false,
        };
        if let Some(tool) = drift.tool.as_deref().filter(|_| matters) {
            drift.policy = says(policy, tool).to_owned();
        }
    }
}

/// What the policy lets be reached although something in its definition waits to be explained. `is_off` knows the findings
/// that are switched off, by their ids; `again` judges a definition with its evidence, which a lock does not have.
pub fn open_findings(
    policy: &Policy,
    now: &LockedServer,
    again: &dyn Fn(&ToolDefinition) -> Verdict,
    is_off: &dyn Fn(&str) -> bool,
) -> Vec<Drift> {
    let mut found = Vec::new();
    let server = now.server.as_str();
    let parsed = now.tools.iter().filter_map(|tool| Some((tool, ToolDefinition::parse(&tool.definition).ok()?)));
    let (tools, definitions): (Vec<_>, Vec<_>) = parsed.unzip();
    let of_list = of_list(&definitions);
    let mut told = BTreeSet::new();
    for (tool, definition) in tools.into_iter().zip(&definitions) {
        let mut findings = of_tool(definition, &verdict(tool), &Options::default());
        if findings.iter().any(|finding| finding.severity > Severity::Note) {
            // What a definition's own words say may make a finding a note.
            let Verdict { evidence, confidence, .. } = again(definition);
            findings = of_tool(definition, &Verdict { evidence, confidence, ..verdict(tool) }, &Options::default());
        }
        findings.extend(of_list.iter().filter(|finding| finding.tool == tool.name).cloned());
        findings.retain(|finding| !is_off(&finding.id));
        // A name that is listed twice has one policy.
        if let Some((severity, finding)) = open_finding(policy, &tool.name, &findings)
            && told.insert((&tool.name, finding.id.clone()))
        {
            let message =
                format!("{} has the finding {}, and {}", name(&tool.name), name(&finding.id), says(policy, &tool.name));
            let mut drift = Drift::new(Code::P025, severity, server, Some(&tool.name), message);
            drift.anchor = place(policy, &tool.name);
            found.push(drift);
        }
    }
    for extra in now.extras().listed() {
        let mut findings = of_extra(extra);
        findings.retain(|finding| !is_off(&finding.id));
        if let Some((severity, finding)) = open_offer_finding(policy, extra, &findings) {
            let what = extra.kind;
            let message =
                format!("{what} {} has the finding {}, and your policy allows it", name(&extra.key), name(&finding.id));
            let mut drift = Drift::new(Code::P025, severity, server, None, message);
            drift.extra = Some(ExtraName { kind: extra.kind, key: extra.key.clone() });
            let whole = if what == ExtraKind::Prompt { "/prompts" } else { "/resources" };
            drift.anchor = Anchor::Policy(whole.to_owned());
            found.push(drift);
        }
    }
    found
}

/// Everything about the policy of one server, sorted. `was` is what was reviewed, if anything was;
/// `again` and `is_off` are those of [`open_findings`].
pub fn judge(
    policy: &Policy,
    was: Option<&LockedServer>,
    now: &LockedServer,
    again: &dyn Fn(&ToolDefinition) -> Verdict,
    is_off: &dyn Fn(&str) -> bool,
) -> Vec<Drift> {
    let mut found = open_findings(policy, now, again, is_off);
    unreviewed(policy, was, now, &mut found);
    nowhere(policy, was, now, &mut found);
    recommended(policy, now, &mut found);
    if let Some(was) = was {
        disarmed(policy, was, now, &mut found);
        if was.policy.as_deref().is_some_and(|hash| hash != policy.hash()) {
            let message = format!("your policy is not the one that was reviewed with {}", name(now.server.as_str()));
            let mut drift = Drift::new(Code::P005, Severity::Warning, now.server.as_str(), None, message);
            drift.anchor = Anchor::Policy(String::new());
            found.push(drift);
        }
    }
    found.sort();
    found
}

/// Where in the policy a tool is spoken of: its rules, else `hide`, else the default.
fn place(policy: &Policy, tool: &str) -> Anchor {
    let document = policy.document();
    Anchor::Policy(if document.tools.contains_key(tool) {
        format!("/tools/{}", tool.replace('~', "~0").replace('/', "~1"))
    } else if let Some(at) = document.hide.iter().position(|hidden| hidden == tool) {
        format!("/hide/{at}")
    } else {
        "/default".to_owned()
    })
}

fn unreviewed(policy: &Policy, was: Option<&LockedServer>, now: &LockedServer, found: &mut Vec<Drift>) {
    let known: BTreeSet<&str> =
        was.map(|was| was.tools.iter().map(|tool| tool.name.as_str()).collect()).unwrap_or_default();
    let mut told = BTreeSet::new();
    for tool in &now.tools {
        let allowed = policy.appearance(&tool.name) == Visibility::Listed;
        if known.contains(tool.name.as_str()) || !allowed || !told.insert(&tool.name) {
            continue;
        }
        let severity = if tool.risk >= RiskLevel::High { Severity::Error } else { Severity::Warning };
        let message = format!("{} is not in the lock, and {}", name(&tool.name), says(policy, &tool.name));
        let mut drift = Drift::new(Code::P001, severity, now.server.as_str(), Some(&tool.name), message);
        drift.anchor = place(policy, &tool.name);
        found.push(drift);
    }
}

fn nowhere(policy: &Policy, was: Option<&LockedServer>, now: &LockedServer, found: &mut Vec<Drift>) {
    // One answer to what became of a tool, here and in what is said of the server.
    let renamed = was.map(|was| super::compare::renamed(was, now)).unwrap_or_default();
    let reviewed: BTreeSet<&str> = was.iter().flat_map(|was| &was.tools).map(|tool| tool.name.as_str()).collect();
    let known: BTreeSet<&str> = now.tools.iter().map(|tool| tool.name.as_str()).collect();
    let document = policy.document();
    for tool in policy.tool_names() {
        if known.contains(tool) {
            continue;
        }
        let harmless = !document.tools.contains_key(tool) && document.default == Unlisted::Deny;
        let severity = if harmless { Severity::Note } else { Severity::Warning };
        let what = match (renamed.get(tool), reviewed.contains(tool)) {
            (Some(to), _) => format!("is called {} now", name(to)),
            // It was there, so it is no slip of the pen, and any guess would be a wrong one.
            (None, true) => "is gone".to_owned(),
            (None, false) => {
                let hint = crate::text::nearest(tool, known.iter().copied());
                let hint = hint.map_or_else(String::new, |near| format!("; did you mean {}?", name(near)));
                format!("does not exist{hint}")
            }
        };
        let message = format!("your policy names {}, which {what}", name(tool));
        let mut drift = Drift::new(Code::P002, severity, now.server.as_str(), Some(tool), message);
        drift.anchor = place(policy, tool);
        found.push(drift);
    }
}

/// The recommendation for a server, from its classes as they are written down.
fn recommendation(now: &LockedServer) -> Vec<crate::policy::Review> {
    let tools: Vec<_> = now
        .tools
        .iter()
        .filter_map(|tool| Some((ToolDefinition::parse(&tool.definition).ok()?, verdict(tool))))
        .collect();
    let (rules, options) = (RuleSet::builtin(), Options::default());
    let judge = judge_like(rules, &now.listing(), &options);
    // A policy that others read too may refuse where ours asks a person: both are enough.
    let wishes = Wishes { judge: Some(&judge), ..Wishes::standard(Form::Portable) };
    generate(tools.iter().map(|(tool, verdict)| (tool, verdict)), &wishes).review
}

fn verdict(tool: &LockedTool) -> Verdict {
    Verdict {
        category: tool.category,
        risk: tool.risk,
        blast_radius: tool.blast_radius,
        flags: tool.flags.clone(),
        confidence: Confidence::High,
        reason: String::new(),
        evidence: Vec::new(),
        findings: Vec::new(),
    }
}

/// What a policy asks of the calls of one tool, as far as it can be compared with a recommendation.
struct Asks {
    approval: bool,
    conditions: bool,
    /// Calls a minute that pass at most, rounded up; `None` is any number.
    per_minute: Option<u64>,
}

impl Asks {
    fn of(policy: &Policy, tool: &str) -> Self {
        let document = policy.document();
        let empty = ToolRules::default();
        let rules = document.tools.get(tool).unwrap_or(&empty);
        let short = rules.rate_limit.as_ref().map(|rate| rate.written_out(tool));
        let limits = rules.limits.iter().chain(&document.all_tools.limits).chain(&short).filter_map(rate);
        Self {
            approval: rules.action == Some(Action::RequireApproval)
                || rules.approval.as_ref().is_some_and(|approval| approval.when.is_empty()),
            conditions: !rules.require.is_empty()
                || !rules.deny_if.is_empty()
                || rules.approval.is_some()
                || !document.all_tools.require.is_empty()
                || !document.all_tools.deny_if.is_empty(),
            per_minute: limits.min(),
        }
    }
}

/// Calls a minute of a limit that counts calls.
fn rate(limit: &Limit) -> Option<u64> {
    if limit.increment_from.is_some() {
        return None;
    }
    Some(per_minute(limit.max, seconds_of(Window::parse(&limit.window)?)))
}

fn seconds_of(window: Window) -> u64 {
    let (start, end) = window.span(crate::clock::Timestamp::from_millis(0));
    (end.millis().saturating_sub(start.millis()) / 1000).max(1)
}

/// A window shorter than a minute lets its maximum through several times in one; a longer one may do so at once.
fn per_minute(max: u64, seconds: u64) -> u64 {
    if seconds >= 60 { max } else { max.saturating_mul(60).div_ceil(seconds) }
}

/// Where a policy asks less of a tool than is recommended.
pub(super) struct Weaker {
    pub tool: String,
    pub ruling: Ruling,
    severity: Severity,
    wants: String,
    class: String,
}

/// The tools of which a policy asks less than is recommended, in the order of names.
pub(super) fn weaker(policy: &Policy, now: &LockedServer) -> Vec<Weaker> {
    let listed = |review: &crate::policy::Review| policy.appearance(&review.tool) == Visibility::Listed;
    let judged = recommendation(now).into_iter().filter(listed).filter_map(|review| {
        let asks = Asks::of(policy, &review.tool);
        // A tool that only some values make dangerous may be held to the others, or hidden.
        let (ruling, or_else) = match &review.narrowed {
            Some(narrowed) if !is_held(policy, &review.tool, narrowed) => {
                (Ruling::Hide, format!(", or hold {} to the values that do not delete", name(&narrowed.path)))
            }
            Some(_) | None => (review.ruling, String::new()),
        };
        let (severity, wants) = lacks(ruling, &asks).map(|(severity, wants)| (severity, wants + &or_else))?;
        let class = format!("{}, {} risk", review.category, review.risk);
        Some(Weaker { tool: review.tool, ruling, severity, wants, class })
    });
    judged.collect()
}

/// Whether every call that passes has one of the harmless values.
fn is_held(policy: &Policy, tool: &str, narrowed: &Narrowed) -> bool {
    let path = format!("args.{}", narrowed.path);
    let entries = policy.document().tools.get(tool).into_iter().flat_map(|rules| &rules.require);
    entries.flat_map(|entry| &entry.conditions).filter(|condition| condition.path == path).any(|condition| {
        let values: Vec<String> = match condition.op {
            Operator::In => serde_json::from_str(condition.value.as_str()).unwrap_or_default(),
            Operator::Eq => serde_json::from_str(condition.value.as_str()).into_iter().collect(),
            _ => return false,
        };
        !values.is_empty() && values.iter().all(|value| narrowed.kept.contains(value))
    })
}

/// How much it matters that a policy asks only this, and what is recommended; `None` where it asks enough.
fn lacks(ruling: Ruling, asks: &Asks) -> Option<(Severity, String)> {
    let open = if asks.conditions { Severity::Warning } else { Severity::Error };
    match ruling {
        Ruling::Allow => None,
        // A person who is asked every time is as good a guard as any rule.
        Ruling::Hide | Ruling::LeaveOut | Ruling::Refuse if asks.approval => None,
        Ruling::Hide => Some((open, "hide it".to_owned())),
        Ruling::LeaveOut => Some((open, "leave it out".to_owned())),
        Ruling::Refuse => Some((open, "refuse it until a person agrees".to_owned())),
        Ruling::Approve(_) if !asks.approval => Some((Severity::Warning, "ask a person first".to_owned())),
        Ruling::Approve(max) | Ruling::Limit(max) => match asks.per_minute {
            None if asks.approval => None,
            None => Some((Severity::Warning, format!("at most {max} calls a minute"))),
            Some(rate) if rate > max => Some((Severity::Note, format!("at most {max} calls a minute, not {rate}"))),
            Some(_) => None,
        },
    }
}

fn recommended(policy: &Policy, now: &LockedServer, found: &mut Vec<Drift>) {
    for Weaker { tool, severity, wants, class, .. } in weaker(policy, now) {
        let message = format!("{} is {class}, and {}; recommended: {wants}", name(&tool), says(policy, &tool));
        let mut drift = Drift::new(Code::P003, severity, now.server.as_str(), Some(&tool), message);
        drift.anchor = place(policy, &tool);
        found.push(drift);
    }
}

fn disarmed(policy: &Policy, was: &LockedServer, now: &LockedServer, found: &mut Vec<Drift>) {
    for tool in &now.tools {
        let before = was.tools.iter().find(|old| old.name == tool.name);
        let Some((before, rules)) = before.zip(policy.document().tools.get(&tool.name)) else { continue };
        if before.fingerprints.input_schema == tool.fingerprints.input_schema {
            continue;
        }
        for dead in dead::conditions(rules, before, tool) {
            let severity = match dead.role {
                Role::DenyIf => Severity::Error,
                Role::Require | Role::Approval => Severity::Warning,
            };
            let pointer = format!("/tools/{}/{}", tool.name.replace('~', "~0").replace('/', "~1"), dead.pointer);
            let message = format!("{} of your policy {}", name(&pointer), dead.why);
            let mut drift = Drift::new(Code::P004, severity, now.server.as_str(), Some(&tool.name), message);
            dead.then.clone_into(&mut drift.tomorrow);
            drift.anchor = Anchor::Policy(pointer);
            found.push(drift);
        }
    }
}
