//! The rules of one tool or of all: entries, conditions, limits, approval, and the ids that logs name them by.

use super::checker::{At, Checker, Members};
use super::{MODES, POLICY_ENTRIES_MAX};
use crate::compiled::{ApprovalRule, CheckedLimit, Rule};
use crate::condition::Test;
use crate::document::{
    Action, AllTools, ApprovalRules, Condition, Entry, Limit, Operator, RateLimit, Refund, Scope, ToolRules, Validate,
};
use crate::json::{Json, JsonText, Node, escape_token};
use crate::path::ArgumentPath;
use crate::store::COUNT_MAX;
use crate::window::{WINDOW_WORDS, Window};
use rustc_hash::FxHashMap;
use std::sync::LazyLock;

/// Most decimals of an amount.
pub const SCALE_MAX: u32 = 9;
/// Longest life of a question to a person: a week, in seconds.
pub const APPROVAL_SECONDS_MAX: u64 = 604_800;
/// Life of a question that does not say, in seconds.
const APPROVAL_SECONDS_DEFAULT: u64 = 300;
/// Longest name of a counter or an id, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// Where rules stand, for their ids.
pub(super) struct RuleSite<'s> {
    /// `/tools/NAME` or `/all_tools`.
    pub prefix: String,
    /// The tool's name; empty for all tools.
    pub tool: &'s str,
}

/// A tool's rules, as written and as compiled.
#[derive(Default)]
pub(super) struct CheckedRules {
    pub written: ToolRules,
    pub require: Vec<Rule>,
    pub deny_if: Vec<Rule>,
    pub approval: Option<ApprovalRule>,
    pub limits: Vec<CheckedLimit>,
}

/// The rules for all tools, as written and as compiled.
#[derive(Default)]
pub(super) struct CheckedAll {
    pub written: AllTools,
    pub require: Vec<Rule>,
    pub deny_if: Vec<Rule>,
    pub limits: Vec<CheckedLimit>,
}

/// How each counter is used where it is first named: a second use must agree.
#[derive(Default)]
pub(super) struct CounterUses(FxHashMap<String, (CounterUse, usize)>);

#[derive(Clone, Copy, PartialEq, Eq)]
struct CounterUse {
    window: Window,
    scope: Scope,
    scale: u32,
    sums: Sums,
    refund: Option<Refund>,
}

/// What a counter adds up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    Calls,
    Amounts,
}

const TOOL_MEMBERS: [&str; 11] = [
    "require",
    "deny_if",
    "limits",
    "action",
    "reason",
    "rate_limit",
    "approval",
    "validate",
    "mode",
    "flags",
    "comment",
];

pub(super) fn all_tools(
    checker: &mut Checker<'_>,
    node: &Node<'_>,
    at: At<'_>,
    counters: &mut CounterUses,
) -> CheckedAll {
    let mut all = CheckedAll::default();
    let site = RuleSite { prefix: at.pointer(), tool: "" };
    let Some(members) = Members::of(checker, node, &at, &["require", "deny_if", "limits"]) else { return all };
    if let Some(node) = members.get("require") {
        (all.written.require, all.require) = entries(checker, node, at.name("require"), &site);
    }
    if let Some(node) = members.get("deny_if") {
        (all.written.deny_if, all.deny_if) = entries(checker, node, at.name("deny_if"), &site);
    }
    if let Some(node) = members.get("limits") {
        all.limits = limits(checker, node, at.name("limits"), &site, counters);
        all.written.limits = all.limits.iter().map(|checked| checked.limit.clone()).collect();
    }
    all
}

pub(super) fn tool(
    checker: &mut Checker<'_>,
    node: &Node<'_>,
    at: At<'_>,
    site: &RuleSite<'_>,
    counters: &mut CounterUses,
) -> CheckedRules {
    let mut rules = CheckedRules::default();
    let Some(members) = Members::of(checker, node, &at, &TOOL_MEMBERS) else { return rules };
    if let Some(node) = members.get("require") {
        (rules.written.require, rules.require) = entries(checker, node, at.name("require"), site);
    }
    if let Some(node) = members.get("deny_if") {
        (rules.written.deny_if, rules.deny_if) = entries(checker, node, at.name("deny_if"), site);
    }
    if let Some(node) = members.get("limits") {
        rules.limits = limits(checker, node, at.name("limits"), site, counters);
        rules.written.limits = rules.limits.iter().map(|checked| checked.limit.clone()).collect();
    }
    rules.written.action = members.get("action").and_then(|node| {
        let known = [
            ("allow", Action::Allow),
            ("deny", Action::Deny),
            ("hide", Action::Hide),
            ("require_approval", Action::RequireApproval),
        ];
        checker.word(node, &at.name("action"), &known, "an action")
    });
    rules.written.reason = text(checker, &members, at, "reason");
    rules.written.comment = text(checker, &members, at, "comment");
    rules.written.mode = members.get("mode").and_then(|node| checker.word(node, &at.name("mode"), &MODES, "a mode"));
    rules.written.validate = members.get("validate").and_then(|node| {
        checker.word(node, &at.name("validate"), &[("schema", Validate::Schema)], "something to validate against")
    });
    rules.written.flags = members.get("flags").map(|node| super::flows::words(checker, node, at.name("flags")));
    if let Some(node) = members.get("rate_limit") {
        rate_limit(checker, node, at.name("rate_limit"), site, counters, &mut rules);
    }
    let approval = members.get("approval").map(|node| approval(checker, node, at.name("approval")));
    if approval.is_some() || rules.written.action == Some(Action::RequireApproval) {
        let (written, when) = approval.unwrap_or_default();
        let message = written.message.clone().or_else(|| rules.written.reason.clone());
        rules.approval = Some(ApprovalRule {
            id: format!("{}/approval", site.prefix),
            when,
            message: message.unwrap_or_else(|| "this call needs a person's approval".to_owned()),
            ttl_s: written.ttl_s.map_or(APPROVAL_SECONDS_DEFAULT, u64::from),
        });
        rules.written.approval = members.get("approval").map(|_| written);
    }
    rules
}

pub(super) fn text(checker: &mut Checker<'_>, members: &Members<'_, '_>, at: At<'_>, name: &str) -> Option<String> {
    members.get(name).and_then(|node| checker.text(node, &at.name(name), "a text")).map(str::to_owned)
}

/// The last part of a rule's id, or the name of a counter.
pub(super) fn name(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>, wanted: &str) -> Option<String> {
    let name = checker.text(node, &at, wanted)?;
    if name.len() > NAME_BYTES_MAX || name.chars().any(crate::text::is_hidden) || name.contains(['\n', '\t']) {
        let message = format!("{wanted} has at most {NAME_BYTES_MAX} bytes and no invisible characters");
        checker.problem(node, &at, message, None);
        return None;
    }
    Some(name.to_owned())
}

/// Gives every rule of one list its id; the ids that the owner chose come first. A list is short, so they are looked
/// through one by one.
pub(super) struct Ids {
    taken: Vec<String>,
}

impl Ids {
    pub(super) fn next(&mut self, wanted: String) -> String {
        let mut id = wanted;
        if self.taken.contains(&id) {
            let mut count = 2;
            while self.taken.contains(&format!("{id}-{count}")) {
                count += 1;
            }
            id = format!("{id}-{count}");
        }
        self.taken.push(id.clone());
        id
    }
}

/// The ids that were chosen in a list; reports one that was chosen twice.
pub(super) fn chosen_ids(checker: &mut Checker<'_>, items: &[Node<'_>], at: At<'_>) -> Ids {
    let mut taken: Vec<String> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some((node, id)) = item.get("id").and_then(|node| Some((node, node.as_str()?))) else { continue };
        if taken.iter().any(|known| known == id) {
            checker.problem(node, &at.index(index).name("id"), format!("`{id}` names two rules of this list"), None);
        }
        taken.push(id.to_owned());
    }
    Ids { taken }
}

fn entries(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>, site: &RuleSite<'_>) -> (Vec<Entry>, Vec<Rule>) {
    let items = checker.list(node, &at, POLICY_ENTRIES_MAX);
    let mut ids = chosen_ids(checker, items, at);
    let list = at.pointer();
    let list = list.strip_prefix(&site.prefix).unwrap_or(&list);
    let mut written = Vec::with_capacity(items.len());
    let mut compiled = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let here = at.index(index);
        let Some((entry, tests)) = entry(checker, item, here) else { continue };
        let last = match (&entry.id, entry.conditions.first()) {
            (Some(id), _) => id.clone(),
            (None, Some(first)) => ids.next([&first.path, "-", first.op.as_str()].concat()),
            (None, None) => ids.next("always".to_owned()),
        };
        let id = [&site.prefix, list, "/", &escape_token(&last)].concat();
        compiled.push(Rule { id, tests, on_deny: entry.on_deny.clone() });
        written.push(entry);
    }
    (written, compiled)
}

fn entry(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Option<(Entry, Vec<Test>)> {
    let bare = node.get("conditions").is_none() && ["path", "op", "value"].iter().any(|name| node.get(name).is_some());
    let known: &[&str] = if bare {
        &["path", "op", "value", "on_deny", "id", "comment"]
    } else {
        &["conditions", "on_deny", "id", "comment"]
    };
    let members = Members::of(checker, node, &at, known)?;
    let on_deny = text(checker, &members, at, "on_deny");
    let comment = text(checker, &members, at, "comment");
    let id = members.get("id").and_then(|node| name(checker, node, at.name("id"), "an id"));
    let (conditions, tests) = if bare {
        match condition(checker, node, at, &members) {
            Some((condition, test)) => (vec![condition], vec![test]),
            None => (Vec::new(), Vec::new()),
        }
    } else if let Some(list) = members.get("conditions") {
        conditions(checker, list, at.name("conditions"))
    } else {
        let help = "an empty list always holds; a bare condition has `path`, `op` and `value`".to_owned();
        checker.problem(node, &at, "`conditions` is missing".to_owned(), Some(help));
        return None;
    };
    Some((Entry { comment, conditions, on_deny, id }, tests))
}

fn conditions(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> (Vec<Condition>, Vec<Test>) {
    let items = checker.list(node, &at, POLICY_ENTRIES_MAX);
    // Of the size that is needed, not of the size that growing would come to: there are thousands of these.
    let (mut written, mut tests) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for (index, item) in items.iter().enumerate() {
        let here = at.index(index);
        let Some(members) = Members::of(checker, item, &here, &["path", "op", "value"]) else { continue };
        if let Some((condition, test)) = condition(checker, item, here, &members) {
            written.push(condition);
            tests.push(test);
        }
    }
    (written, tests)
}

fn condition(
    checker: &mut Checker<'_>,
    node: &Node<'_>,
    at: At<'_>,
    members: &Members<'_, '_>,
) -> Option<(Condition, Test)> {
    let [path_node, op_node, value] = ["path", "op", "value"].map(|name| members.get(name));
    if path_node.is_none() || op_node.is_none() || value.is_none() {
        let missing = ["path", "op", "value"].into_iter().filter(|name| members.get(name).is_none());
        let missing: Vec<String> = missing.map(|name| format!("`{name}`")).collect();
        let message = format!("a condition has `path`, `op` and `value`; missing: {}", missing.join(", "));
        checker.problem(node, &at, message, None);
    }
    let path = path_node.and_then(|node| checker.text(node, &at.name("path"), "a path"));
    let op = op_node.and_then(|node| operator(checker, node, at.name("op")));
    let (Some(path), Some(op), Some(value)) = (path, op, value) else {
        // Say what is wrong with the path all the same.
        if let (Some(path), Some(node)) = (path, path_node)
            && let Err(message) = ArgumentPath::parse(path)
        {
            checker.problem(node, &at.name("path"), message, path_help(path));
        }
        return None;
    };
    let condition = Condition { path: path.to_owned(), op, value: JsonText::of(value) };
    match Test::compile(&condition, value) {
        Ok(test) => Some((condition, test)),
        Err(bad) => {
            let place = members.get(bad.member).unwrap_or(node);
            let help = bad.help.or_else(|| (bad.member == "path").then(|| path_help(path)).flatten());
            checker.problem(place, &at.name(bad.member), bad.message, help);
            None
        }
    }
}

fn path_help(path: &str) -> Option<String> {
    let fixed =
        format!("args.{}", path.trim_start_matches("$.").trim_start_matches("arguments.").trim_start_matches('.'));
    (ArgumentPath::parse(&fixed).is_ok() && !path.starts_with("args")).then(|| format!("did you mean `{fixed}`?"))
}

fn operator(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Option<Operator> {
    // Made once: there are thousands of conditions.
    static KNOWN: LazyLock<Vec<(&str, Operator)>> =
        LazyLock::new(|| Operator::ALL.iter().map(|op| (op.as_str(), *op)).collect());
    checker.word(node, &at, &KNOWN, "an operator")
}

fn limits(
    checker: &mut Checker<'_>,
    node: &Node<'_>,
    at: At<'_>,
    site: &RuleSite<'_>,
    counters: &mut CounterUses,
) -> Vec<CheckedLimit> {
    let items = checker.list(node, &at, POLICY_ENTRIES_MAX);
    let mut ids = chosen_ids(checker, items, at);
    let mut out = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        if let Some(mut checked) = limit(checker, item, at.index(index), site, counters) {
            let last = checked.limit.id.clone().unwrap_or_else(|| ids.next(checked.limit.counter.clone()));
            checked.rule = format!("{}/limits/{}", site.prefix, escape_token(&last));
            out.push(checked);
        }
    }
    out
}

fn limit(
    checker: &mut Checker<'_>,
    node: &Node<'_>,
    at: At<'_>,
    site: &RuleSite<'_>,
    counters: &mut CounterUses,
) -> Option<CheckedLimit> {
    let known = ["counter", "window", "max", "scope", "increment_from", "scale", "refund", "on_deny", "id", "comment"];
    let members = Members::of(checker, node, &at, &known)?;
    for name in ["counter", "window", "max"] {
        if members.get(name).is_none() {
            checker.problem(node, &at, format!("`{name}` is missing"), None);
        }
    }
    let counter = members.get("counter").and_then(|node| name(checker, node, at.name("counter"), "a counter's name"));
    let window = members.get("window").and_then(|node| window(checker, node, at.name("window")));
    let max = members.get("max").and_then(|node| checker.integer(node, &at.name("max"), 0, COUNT_MAX));
    let scopes: Vec<(&str, Scope)> = Scope::ALL.iter().map(|scope| (scope.as_str(), *scope)).collect();
    let scope = match members.get("scope") {
        Some(node) => checker.word(node, &at.name("scope"), &scopes, "a scope"),
        None => Some(Scope::Grant),
    };
    let scale = match members.get("scale") {
        Some(node) => checker.integer(node, &at.name("scale"), 0, u64::from(SCALE_MAX)),
        None => Some(0),
    };
    let increment = members.get("increment_from");
    let source = increment.and_then(|node| increment_from(checker, node, at.name("increment_from"), site));
    let refund = members.get("refund").and_then(|node| {
        if increment.is_some() {
            let help = "an amount may have been moved before the error: leave one of the two out".to_owned();
            let message = "`refund` is not possible with `increment_from`".to_owned();
            checker.problem(node, &at.name("refund"), message, Some(help));
        }
        checker.word(node, &at.name("refund"), &[("error", Refund::Error)], "a refund")
    });
    let on_deny = text(checker, &members, at, "on_deny");
    let id = members.get("id").and_then(|node| name(checker, node, at.name("id"), "an id"));
    if increment.is_none()
        && let Some(node) = members.get("scale")
    {
        checker.problem(node, &at.name("scale"), "`scale` says nothing without `increment_from`".to_owned(), None);
    }
    let (counter, (word, window), max, scope, scale) = (counter?, window?, max?, scope?, u32::try_from(scale?).ok()?);
    let Some(max_scaled) = max.checked_mul(10u64.pow(scale)).filter(|max| *max <= COUNT_MAX) else {
        let message = format!("{max} with {scale} decimals is more than a counter holds");
        checker.problem(node, &at.name("max"), message, None);
        return None;
    };
    let sums = if increment.is_some() { Sums::Amounts } else { Sums::Calls };
    let used = CounterUse { window, scope, scale, sums, refund };
    counters.agree(checker, node, at, &counter, used);
    let limit = Limit {
        comment: text(checker, &members, at, "comment"),
        counter,
        window: word,
        max,
        scope,
        increment_from: source.as_ref().map(ToString::to_string),
        scale,
        refund,
        on_deny,
        id,
    };
    Some(CheckedLimit { limit, window, source, rule: String::new(), max_scaled })
}

impl CounterUses {
    fn agree(&mut self, checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>, counter: &str, used: CounterUse) {
        let Some((first, offset)) = self.0.get(counter) else {
            self.0.insert(counter.to_owned(), (used, node.start as usize));
            return;
        };
        let what = if first.window != used.window {
            format!("window `{}`", first.window)
        } else if first.scope != used.scope {
            format!("scope `{}`", first.scope.as_str())
        } else if first.sums != used.sums {
            match first.sums {
                Sums::Calls => "no `increment_from`".to_owned(),
                Sums::Amounts => "`increment_from`".to_owned(),
            }
        } else if first.scale != used.scale {
            format!("scale {}", first.scale)
        } else if first.refund != used.refund {
            match first.refund {
                Some(Refund::Error) => "`refund`".to_owned(),
                None => "no `refund`".to_owned(),
            }
        } else {
            return;
        };
        let line = checker.line(*offset);
        let message = format!("counter `{counter}` is used with {what} on line {line}");
        let help = "limits that name one counter share it: give this one a name of its own".to_owned();
        checker.problem(node, &at, message, Some(help));
    }
}

fn window(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Option<(String, Window)> {
    let text = checker.text(node, &at, "a window")?;
    match Window::parse(text) {
        Some(window) => Some((text.to_owned(), window)),
        None => {
            let help = match crate::text::nearest(text, WINDOW_WORDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "use `minute`, `hour`, `day`, `week`, `month` or a span such as `90s`, `15m`, `6h`".to_owned(),
            };
            checker.problem(node, &at, format!("`{text}` is not a window"), Some(help));
            None
        }
    }
}

fn increment_from(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>, site: &RuleSite<'_>) -> Option<ArgumentPath> {
    let text = checker.text(node, &at, "a path")?;
    if site.tool.is_empty() {
        let help = "calls of different tools have different arguments: count amounts at each tool".to_owned();
        checker.problem(node, &at, "`increment_from` is not possible for all tools".to_owned(), Some(help));
        return None;
    }
    match ArgumentPath::parse(text) {
        Ok(path) if path.is_many() || path.steps.is_empty() => {
            checker.problem(node, &at, format!("`{text}` does not name one value"), None);
            None
        }
        Ok(path) => Some(path),
        Err(message) => {
            checker.problem(node, &at, message, path_help(text));
            None
        }
    }
}

fn rate_limit(
    checker: &mut Checker<'_>,
    node: &Node<'_>,
    at: At<'_>,
    site: &RuleSite<'_>,
    counters: &mut CounterUses,
    rules: &mut CheckedRules,
) {
    let read = match &node.json {
        Json::String(text) => rate_text(checker, node, at, text),
        Json::Object(_) => rate_seconds(checker, node, at),
        _ => {
            let help = "write `\"10/minute\"` or `{\"max\": 10, \"window\": 60}`".to_owned();
            checker.problem(node, &at, format!("this is a {}, not a rate", node.json.type_name()), Some(help));
            None
        }
    };
    let Some((written, max, window)) = read else { return };
    let counter = format!("{}_rate", site.tool);
    counters.agree(
        checker,
        node,
        at,
        &counter,
        CounterUse { window, scope: Scope::Grant, scale: 0, sums: Sums::Calls, refund: None },
    );
    let last = Ids { taken: rules.limits.iter().map(|known| last_part(&known.rule)).collect() }
        .next(escape_token(&counter).into_owned());
    let limit = Limit::of_calls(counter, window.to_string(), max);
    let rule = format!("{}/limits/{last}", site.prefix);
    rules.limits.push(CheckedLimit { limit, window, source: None, rule, max_scaled: max });
    rules.written.rate_limit = Some(written);
}

fn last_part(rule: &str) -> String {
    rule.rsplit('/').next().unwrap_or_default().to_owned()
}

fn rate_text(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>, text: &str) -> Option<(RateLimit, u64, Window)> {
    let read = text.split_once('/').and_then(|(max, window)| {
        let plain = !max.is_empty() && max.bytes().all(|byte| byte.is_ascii_digit());
        let max = plain.then(|| max.parse::<u64>().ok()).flatten().filter(|max| *max <= COUNT_MAX)?;
        Some((max, Window::parse(window)?))
    });
    let Some((max, window)) = read else {
        let help = "write a count, a slash and a window: `10/minute`, `100/15m`".to_owned();
        checker.problem(node, &at, format!("`{text}` is not a rate"), Some(help));
        return None;
    };
    Some((RateLimit::Text(text.to_owned()), max, window))
}

fn rate_seconds(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Option<(RateLimit, u64, Window)> {
    let members = Members::of(checker, node, &at, &["max", "window"])?;
    for name in ["max", "window"] {
        if members.get(name).is_none() {
            checker.problem(node, &at, format!("`{name}` is missing"), None);
        }
    }
    let max = members.get("max").and_then(|node| checker.integer(node, &at.name("max"), 0, COUNT_MAX));
    let most = u64::from(crate::window::SPAN_SECONDS_MAX);
    let seconds = members.get("window").and_then(|node| checker.integer(node, &at.name("window"), 1, most));
    let (max, seconds) = (max?, u32::try_from(seconds?).ok()?);
    Some((RateLimit::Seconds { max, window: seconds }, max, Window::seconds(seconds)?))
}

fn approval(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> (ApprovalRules, Vec<Test>) {
    let mut written = ApprovalRules::default();
    let mut when = Vec::new();
    let Some(members) = Members::of(checker, node, &at, &["when", "message", "ttl_s"]) else { return (written, when) };
    if let Some(node) = members.get("when") {
        (written.when, when) = conditions(checker, node, at.name("when"));
    }
    written.message = text(checker, &members, at, "message");
    written.ttl_s = members
        .get("ttl_s")
        .and_then(|node| checker.integer(node, &at.name("ttl_s"), 1, APPROVAL_SECONDS_MAX))
        .and_then(|seconds| u32::try_from(seconds).ok());
    (written, when)
}
