//! Cases at the bounds of every rule: just below, at, just above, missing, null, wrong type, wrapped, other letter case.

use super::{Case, CaseResult, EarlierCall, Expectation, REPEAT_MAX};
use crate::compiled::Policy;
use crate::document::{Condition, Document, Limit, Offers, Operator, ToolRules, UnknownMethods};
use crate::json::{self, Json, escape_token, write_string};
use crate::path::{ArgumentPath, PathStep};
use crate::word::Word;
use std::collections::BTreeMap;

/// A name that no policy lists.
const NOT_LISTED: &str = "not_listed_anywhere";

/// Cases at the bounds of every rule of a policy. `decide` runs one case: what it says today is what is expected.
pub fn generate_cases(policy: &Policy, decide: &mut dyn FnMut(&Case) -> CaseResult) -> Vec<Case> {
    let document = policy.document();
    let mut cases = Vec::new();
    for name in document.hide.iter().filter(|name| *name != "*") {
        cases.push(case(name, "hidden".to_owned(), None));
    }
    cases.push(case(NOT_LISTED, "a tool that is not listed".to_owned(), None));
    let all_entries = || document.all_tools.require.iter().chain(&document.all_tools.deny_if);
    for (name, rules) in &document.tools {
        let good = Good::of(rules, all_entries().flat_map(|entry| &entry.conditions), policy);
        cases.push(case(name, "an ordinary call".to_owned(), Some(good.arguments(None))));
        cases.push(case(name, "no arguments".to_owned(), None));
        let own = rules.require.iter().chain(&rules.deny_if).flat_map(|entry| &entry.conditions);
        let when = rules.approval.iter().flat_map(|approval| &approval.when);
        let mut seen = Vec::new();
        for condition in own.chain(when).chain(all_entries().flat_map(|entry| &entry.conditions)) {
            if seen.contains(&condition) {
                continue;
            }
            seen.push(condition);
            bounds(name, condition, &good, &mut cases);
        }
        for limit in rules.limits.iter().chain(&document.all_tools.limits) {
            limits(name, limit, &good, &mut cases);
        }
        after(policy, name, &good, &mut cases);
        if let Some(rate) = &rules.rate_limit {
            repeated(name, rate.written_out(name).max, "its rate", &good, &mut cases);
        }
    }
    beside_tools(document, &mut cases);
    let mut names = BTreeMap::new();
    for case in &mut cases {
        let count = names.entry(case.name.clone()).or_insert(0);
        *count += 1;
        if *count > 1 {
            case.name = format!("{} ({count})", case.name);
        }
        let today = decide(case);
        case.expect = today.decision;
        case.rule = Some(today.rule);
    }
    cases
}

/// A call of a tool that a flow may stop, after calls that bring the session under the flow.
fn after(policy: &Policy, name: &str, good: &Good, cases: &mut Vec<Case>) {
    let Some(rules) = policy.rules_of(name) else { return };
    for flow in rules.following.sinks(&policy.flows) {
        let arguments = good.arguments(None);
        let source = |word: Word| {
            let has = |tool: &&String| policy.leaves(tool).iter().any(|left| left == word);
            let tool = policy.document().tools.keys().find(has)?.clone();
            Some(EarlierCall { tool, returned: flow.wants_answers().then(|| arguments.clone()) })
        };
        let before: Option<Vec<EarlierCall>> = flow.after().map(source).collect();
        if let Some(before) = before {
            let what = format!("after {}", flow.after().map(Word::as_str).collect::<Vec<_>>().join(" and "));
            cases.push(Case { before, ..case(name, what, Some(arguments)) });
        }
    }
}

fn case(tool: &str, what: String, args: Option<String>) -> Case {
    Case {
        name: format!("{tool}: {what}"),
        tool: Some(tool.to_owned()),
        resource: None,
        prompt: None,
        method: None,
        args,
        grant: None,
        session: None,
        at: None,
        repeat: None,
        before: Vec::new(),
        pledge: None,
        expect: Expectation::Deny,
        rule: None,
    }
}

/// Cases for resources, prompts, what a server asks of its client and unknown methods, where the policy speaks of them.
fn beside_tools(document: &Document, cases: &mut Vec<Case>) {
    const OTHER: &str = "mcpol-test:not-listed-anywhere";
    let beside = |name: &str, what: &str| Case { tool: None, ..case(name, what.to_owned(), None) };
    type Put = fn(&mut Case, String);
    let kinds: [(&str, &Option<Offers>, Put); 2] = [
        ("resource", &document.resources, |case, uri| case.resource = Some(uri)),
        ("prompt", &document.prompts, |case, name| case.prompt = Some(name)),
    ];
    for (kind, written, put) in kinds {
        let mut add = |name: String, what: &str| {
            let mut case = beside(&format!("{kind} {name}"), what);
            put(&mut case, name);
            cases.push(case);
        };
        let Some(written) = written else { continue };
        if let Offers::Some(lists) = written {
            let lists = [(lists.allow.as_deref().unwrap_or_default(), "allowed"), (&lists.hide, "hidden")];
            for (entry, what) in lists.into_iter().flat_map(|(list, what)| list.iter().map(move |entry| (entry, what)))
            {
                match entry.strip_suffix('*') {
                    None => {
                        add(entry.clone(), what);
                        add(format!("{entry}x"), "a longer name");
                    }
                    Some(begin) => {
                        add(format!("{begin}x"), what);
                        add(format!("{begin}../x"), "climbing out");
                    }
                }
            }
        }
        add(OTHER.to_owned(), "not listed");
    }
    let mut method = |name: &str, what: &str| {
        let case = beside(&format!("method {name}"), what);
        cases.push(Case { method: Some(name.to_owned()), ..case });
    };
    let client = &document.client;
    for (there, name) in [
        (client.sampling.is_some(), "sampling/createMessage"),
        (client.elicitation.is_some(), "elicitation/create"),
        (client.roots.is_some(), "roots/list"),
    ] {
        if there {
            method(name, "asked of the client");
        }
    }
    if let Some(UnknownMethods::Some(names)) = &document.unknown_methods {
        for name in names {
            method(name, "listed");
            method(&format!("{name}x"), "a longer name");
        }
    }
}

/// Arguments that the rules of a tool let pass, as far as that can be told.
struct Good {
    values: Vec<(ArgumentPath, String)>,
}

impl Good {
    fn of<'r>(rules: &'r ToolRules, for_all: impl Iterator<Item = &'r Condition>, policy: &Policy) -> Self {
        let mut good = Self { values: Vec::new() };
        let required = rules.require.iter().flat_map(|entry| &entry.conditions);
        let everything = policy.document().all_tools.require.iter().flat_map(|entry| &entry.conditions);
        for condition in required.chain(everything) {
            good.add(condition, satisfying(condition));
        }
        let refused: Vec<&Condition> =
            rules.deny_if.iter().flat_map(|entry| &entry.conditions).chain(for_all).collect();
        let small_is_refused = |path: &str| {
            let least = [Operator::Lt, Operator::Lte, Operator::Neq, Operator::NotIn];
            refused.iter().any(|condition| condition.path == path && least.contains(&condition.op))
        };
        // A small amount leaves the other limits their room.
        for path in rules.limits.iter().filter_map(|limit| limit.increment_from.as_deref()) {
            if let (Ok(path), false) = (ArgumentPath::parse(path), small_is_refused(path)) {
                good.put(path, "1".to_owned());
            }
        }
        for condition in refused {
            good.add(condition, harmless(condition));
        }
        good
    }

    fn add(&mut self, condition: &Condition, value: Option<String>) {
        if let (Ok(path), Some(value)) = (ArgumentPath::parse(&condition.path), value) {
            self.put(path, value);
        }
    }

    /// The first value for a path stays: what is required comes before what is merely harmless.
    fn put(&mut self, path: ArgumentPath, value: String) {
        if !path.steps.is_empty() && !self.values.iter().any(|(known, _)| *known == path) {
            self.values.push((path, value));
        }
    }

    /// The arguments, with one value replaced or taken out.
    fn arguments(&self, change: Option<(&ArgumentPath, Option<&str>)>) -> String {
        let mut tree = Tree::Object(BTreeMap::new());
        for (path, value) in &self.values {
            if change.is_none_or(|(changed, _)| changed != path) {
                tree.set(&path.steps, value);
            }
        }
        if let Some((path, Some(value))) = change {
            tree.set(&path.steps, value);
        }
        let mut out = String::new();
        tree.print(&mut out);
        out
    }
}

/// A JSON value under construction; numbers keep their text.
enum Tree {
    Raw(String),
    Object(BTreeMap<String, Tree>),
    Array(Vec<Tree>),
}

impl Tree {
    fn set(&mut self, steps: &[PathStep], value: &str) {
        let Some((step, rest)) = steps.split_first() else {
            *self = Self::Raw(value.to_owned());
            return;
        };
        match step {
            PathStep::Each | PathStep::Token(_, Some(0)) => {
                if !matches!(self, Self::Array(_)) {
                    *self = Self::Array(vec![Self::Raw("null".to_owned())]);
                }
                if let Self::Array(items) = self {
                    items.iter_mut().for_each(|item| item.set(rest, value));
                }
            }
            PathStep::Key(name) | PathStep::Token(name, _) => {
                if !matches!(self, Self::Object(_)) {
                    *self = Self::Object(BTreeMap::new());
                }
                if let Self::Object(members) = self {
                    members.entry(name.clone()).or_insert_with(|| Self::Raw("null".to_owned())).set(rest, value);
                }
            }
        }
    }

    fn print(&self, out: &mut String) {
        match self {
            Self::Raw(text) => out.push_str(text),
            Self::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    item.print(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    out.push_str(if at == 0 { "" } else { "," });
                    write_string(name, out);
                    out.push(':');
                    value.print(out);
                }
                out.push('}');
            }
        }
    }
}

/// A value that satisfies a condition, if one can be made up.
fn satisfying(condition: &Condition) -> Option<String> {
    let value = condition.value.as_str();
    match condition.op {
        Operator::Exists => (value == "true").then(|| "\"x\"".to_owned()),
        Operator::Eq | Operator::Lte | Operator::Gte => Some(value.to_owned()),
        Operator::Gt => Some(beside(value)?.1),
        Operator::Lt => Some(beside(value)?.0),
        Operator::In => first(value),
        Operator::Neq | Operator::NotIn | Operator::NotRegex | Operator::NotContains => Some("\"x\"".to_owned()),
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            value.starts_with('"').then(|| value.to_owned()).or_else(|| Some(format!("[{value}]")))
        }
        Operator::LengthGte => Some(text_of(value.parse().ok()?)),
        Operator::LengthLte => Some(text_of(value.parse::<usize>().ok()?.min(1))),
        Operator::Type => Some(sample(&first(value).unwrap_or_else(|| value.to_owned()))),
        Operator::PathWithin => joined(&first(value).unwrap_or_else(|| value.to_owned()), "", "/file"),
        Operator::HostIn => {
            let host = first(value).unwrap_or_else(|| value.to_owned());
            joined(&host.replace("*.", "www."), "https://", "/")
        }
        Operator::Regex => None,
    }
}

/// A value for which a refusal does not fire, if one is needed and can be made up.
fn harmless(condition: &Condition) -> Option<String> {
    let value = condition.value.as_str();
    match condition.op {
        Operator::Gt | Operator::Lt => Some(value.to_owned()),
        Operator::Gte => Some(beside(value)?.0),
        Operator::Lte => Some(beside(value)?.1),
        Operator::Eq
        | Operator::In
        | Operator::Regex
        | Operator::Contains
        | Operator::StartsWith
        | Operator::EndsWith => Some("\"x\"".to_owned()),
        Operator::Neq => Some(value.to_owned()),
        Operator::NotIn => first(value),
        Operator::Exists => (value == "false").then(|| "\"x\"".to_owned()),
        Operator::NotRegex
        | Operator::NotContains
        | Operator::LengthLte
        | Operator::LengthGte
        | Operator::Type
        | Operator::PathWithin
        | Operator::HostIn => None,
    }
}

fn joined(quoted: &str, before: &str, after: &str) -> Option<String> {
    let text: String = serde_json::from_str(quoted).ok()?;
    Some(quote(&format!("{before}{}{after}", text.trim_end_matches('/'))))
}

fn quote(text: &str) -> String {
    let mut out = String::new();
    write_string(text, &mut out);
    out
}

/// The first element of a list, or the first of a list of one.
fn first(value: &str) -> Option<String> {
    match json::parse(value, json::ARGUMENTS_DEPTH_MAX).ok()?.json {
        Json::Array(items) => items.first().map(json::Node::compact),
        _ => None,
    }
}

fn text_of(length: usize) -> String {
    quote(&"x".repeat(length.min(70_000)))
}

fn sample(quoted_type: &str) -> String {
    match quoted_type.trim_matches('"') {
        "number" => "1.5",
        "integer" => "1",
        "boolean" => "true",
        "array" => "[]",
        "object" => "{}",
        _ => "\"x\"",
    }
    .to_owned()
}

/// The numbers just below and just above, by one in the last place that is written.
fn beside(number: &str) -> Option<(String, String)> {
    if number.contains(['e', 'E']) {
        return None;
    }
    let scale = number.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let units: i128 = number.replace('.', "").parse().ok()?;
    let shown = |units: i128| {
        let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if units < 0 { "-" } else { "" };
        if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    };
    Some((shown(units.checked_sub(1)?), shown(units.checked_add(1)?)))
}

/// The values around one condition.
fn bounds(tool: &str, condition: &Condition, good: &Good, cases: &mut Vec<Case>) {
    let Ok(path) = ArgumentPath::parse(&condition.path) else { return };
    if path.steps.is_empty() {
        return;
    }
    let value = condition.value.as_str();
    let at = format!("{} {}", condition.path, condition.op.as_str());
    let mut add = |what: &str, value: Option<&str>| {
        cases.push(case(tool, format!("{at}, {what}"), Some(good.arguments(Some((&path, value))))));
    };
    add("missing", None);
    add("null", Some("null"));
    match condition.op {
        Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => {
            if let Some((below, above)) = beside(value) {
                add("just below", Some(&below));
                add("just above", Some(&above));
            }
            add("at the bound", Some(value));
            add("as a text", Some(&quote(value)));
            add("wrapped in an array", Some(&format!("[{value}]")));
            add("an object", Some("{}"));
        }
        Operator::LengthLte | Operator::LengthGte => {
            let length: usize = value.parse().unwrap_or(0).min(60_000);
            add("one shorter", Some(&text_of(length.saturating_sub(1))));
            add("at the bound", Some(&text_of(length)));
            add("one longer", Some(&text_of(length + 1)));
            add("wrong type", Some("1"));
        }
        Operator::PathWithin => {
            if let Some(inside) = satisfying(condition) {
                let text: String = serde_json::from_str(&inside).unwrap_or_default();
                let parent = text.trim_end_matches("/file");
                add("inside", Some(&inside));
                add("a longer name", Some(&quote(&format!("{parent}x/file"))));
                add("climbing out", Some(&quote(&format!("{parent}/../file"))));
                add("encoded dots", Some(&quote(&format!("{parent}/%2e%2e/file"))));
            }
            add("wrong type", Some("1"));
        }
        Operator::HostIn => {
            if let Some(good) = satisfying(condition) {
                let text: String = serde_json::from_str(&good).unwrap_or_default();
                add("a listed host", Some(&good));
                add(
                    "as user name of another host",
                    Some(&quote(&format!("{}@other.invalid/", text.trim_end_matches('/')))),
                );
                add(
                    "with another host behind",
                    Some(&quote(&format!("{}.other.invalid/", text.trim_end_matches('/')))),
                );
            }
            add("another host", Some("\"https://other.invalid/\""));
            add("an address", Some("\"http://127.0.0.1/\""));
        }
        Operator::Exists => {
            add("given", Some("\"x\""));
            add("an empty text", Some("\"\""));
        }
        Operator::Type => {
            for name in ["string", "integer", "number", "boolean", "array", "object"] {
                add(name, Some(&sample(name)));
            }
        }
        Operator::Eq
        | Operator::Neq
        | Operator::In
        | Operator::NotIn
        | Operator::Regex
        | Operator::NotRegex
        | Operator::Contains
        | Operator::NotContains
        | Operator::StartsWith
        | Operator::EndsWith => texts(condition, &mut add),
    }
}

fn texts(condition: &Condition, add: &mut dyn FnMut(&str, Option<&str>)) {
    let value = condition.value.as_str();
    let matching = match condition.op {
        Operator::Regex | Operator::NotRegex => None,
        Operator::In | Operator::NotIn => first(value),
        _ => Some(value.to_owned()),
    };
    if let Some(matching) = &matching {
        add("the value", Some(matching));
        add("wrapped in an array", Some(&format!("[{matching}]")));
        if let Ok(text) = serde_json::from_str::<String>(matching) {
            let other = if text.to_uppercase() == text { text.to_lowercase() } else { text.to_uppercase() };
            if other != text {
                add("other letter case", Some(&quote(&other)));
            }
            add("with a space behind", Some(&quote(&format!("{text} "))));
        } else {
            add("as a text", Some(&quote(matching)));
        }
    }
    add("another text", Some("\"x\""));
    add("an empty text", Some("\"\""));
    add("wrong type", Some("{}"));
}

fn limits(tool: &str, limit: &Limit, good: &Good, cases: &mut Vec<Case>) {
    let what = format!("limit {}", escape_token(&limit.counter));
    let Some(path) = limit.increment_from.as_deref().and_then(|path| ArgumentPath::parse(path).ok()) else {
        repeated(tool, limit.max, &what, good, cases);
        return;
    };
    let max = limit.max.to_string();
    let above = limit.max.saturating_add(1).to_string();
    let too_fine = format!("0.{}1", "0".repeat(limit.scale as usize));
    let values = [
        ("all at once", Some(max.as_str())),
        ("one more than all", Some(&above)),
        ("missing", None),
        ("negative", Some("-1")),
        ("too many decimals", Some(&too_fine)),
        ("as a text", Some("\"1\"")),
    ];
    for (name, value) in values {
        cases.push(case(tool, format!("{what}, {name}"), Some(good.arguments(Some((&path, value))))));
    }
}

/// As many calls as a limit allows, and one more.
fn repeated(tool: &str, max: u64, what: &str, good: &Good, cases: &mut Vec<Case>) {
    let Some(max) = u32::try_from(max).ok().filter(|max| *max < REPEAT_MAX) else { return };
    let mut add = |name: &str, times: u32| {
        let mut case = case(tool, format!("{what}, {name}"), Some(good.arguments(None)));
        case.repeat = Some(times);
        cases.push(case);
    };
    if max > 0 {
        add("the last call within it", max);
    }
    add("the first call beyond it", max + 1);
}
