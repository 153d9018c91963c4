//! The smallest tightening of a policy that makes findings about it go away, as an edit of its text: what the owner
//! wrote and how it is laid out stays.

use super::finding::Drift;
use super::policy::weaker;
use crate::catalog::{LockedServer, places};
use crate::code::Code;
use crate::policy::{Policy, Ruling};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One step of a tightening.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TightenStep {
    /// Rules or a `hide` entry of a name that does not exist go.
    Forget(String),
    /// A limit on calls a minute.
    Limit(String, u64),
    /// Every call waits for a person.
    Approve(String, u64),
    /// Every call is refused.
    Refuse(String),
    /// The tool is hidden.
    Hide(String),
}

/// The text of the policy, tightened so that those of `found` that are P001, P002 and P003 go away. The others need a
/// person: P004 a new condition, P005 a review.
pub fn tighten(text: &str, policy: &Policy, now: &LockedServer, found: &[Drift]) -> String {
    let named = |code: Code| -> BTreeSet<&str> {
        found.iter().filter(|drift| drift.code == code).filter_map(|drift| drift.tool.as_deref()).collect()
    };
    let (unreviewed, nowhere, weak) = (named(Code::P001), named(Code::P002), named(Code::P003));
    let mut steps: BTreeSet<TightenStep> =
        unreviewed.iter().map(|tool| TightenStep::Hide((*tool).to_owned())).collect();
    steps.extend(nowhere.iter().map(|tool| TightenStep::Forget((*tool).to_owned())));
    for weaker in weaker(policy, now) {
        // What is hidden already needs no limit.
        if !weak.contains(weaker.tool.as_str()) || unreviewed.contains(weaker.tool.as_str()) {
            continue;
        }
        steps.insert(match weaker.ruling {
            Ruling::Hide | Ruling::LeaveOut => TightenStep::Hide(weaker.tool),
            Ruling::Refuse => TightenStep::Refuse(weaker.tool),
            Ruling::Approve(max) => TightenStep::Approve(weaker.tool, max),
            Ruling::Limit(max) => TightenStep::Limit(weaker.tool, max),
            Ruling::Allow => continue,
        });
    }
    steps.iter().fold(text.to_owned(), |text, step| apply(&text, policy, step))
}

fn apply(text: &str, policy: &Policy, step: &TightenStep) -> String {
    let append = |text: &str, path: &[&str], entry: &Value| put(text, path, &Addition::Entry(entry.to_string()));
    match step {
        TightenStep::Hide(tool) => append(text, &["hide"], &json!(tool)),
        TightenStep::Limit(tool, max) => append(text, &["tools", tool, "limits"], &limit(policy, tool, *max)),
        TightenStep::Refuse(tool) => {
            append(text, &["tools", tool, "deny_if"], &json!({"conditions": [], "on_deny": "Requires human approval."}))
        }
        TightenStep::Approve(tool, max) => {
            let with_limit = append(text, &["tools", tool, "limits"], &limit(policy, tool, *max));
            // One that asks about some calls only makes room for one that asks about all.
            let without = remove(&with_limit, &format!("/tools/{}", escaped(tool)), "approval");
            put(&without, &["tools", tool, "approval"], &Addition::Value("{}".to_owned()))
        }
        TightenStep::Forget(tool) => {
            let without = remove(text, "/tools", tool);
            let hidden: Vec<String> =
                places::value(&without, "/hide").and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
            match hidden.iter().position(|name| name == tool) {
                Some(at) => remove(&without, "/hide", &at.to_string()),
                None => without,
            }
        }
    }
}

/// What is put at the end of a path.
enum Addition {
    /// One more element of the list there.
    Entry(String),
    /// The value itself; nothing is there yet.
    Value(String),
}

/// Puts something at the end of a path, with everything above it that is missing.
fn put(text: &str, path: &[&str], addition: &Addition) -> String {
    let pointer = |steps: &[&str]| steps.iter().map(|step| format!("/{}", escaped(step))).collect::<String>();
    if let Addition::Entry(entry) = addition
        && places::value(text, &pointer(path)).is_some()
    {
        return insert(text, &pointer(path), entry);
    }
    let there = (0..path.len()).rev().find(|end| places::value(text, &pointer(&path[..*end])).is_some()).unwrap_or(0);
    let last = match addition {
        Addition::Entry(entry) => format!("[{entry}]"),
        Addition::Value(value) => value.clone(),
    };
    let key = |step: &str| Value::from(step).to_string();
    let inner = path[there + 1..].iter().rev().fold(last, |inner, step| format!("{{{}: {inner}}}", key(step)));
    insert(text, &pointer(&path[..there]), &format!("{}: {inner}", key(path[there])))
}

/// A limit with a counter of its own.
fn limit(policy: &Policy, tool: &str, max: u64) -> Value {
    let document = policy.document();
    let limits = document.tools.values().flat_map(|rules| &rules.limits).chain(&document.all_tools.limits);
    let mut taken: BTreeSet<String> = limits.map(|limit| limit.counter.clone()).collect();
    let short = document.tools.iter().filter(|(_, rules)| rules.rate_limit.is_some());
    taken.extend(short.map(|(name, _)| format!("{name}_rate")));
    let mut counter = format!("{}_rate", tool.to_lowercase());
    while taken.contains(&counter) {
        counter.push_str("_recommended");
    }
    json!({"counter": counter, "window": "minute", "max": max, "scope": "grant"})
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Puts a member or an element first into an object or an array, laid out like what follows it.
fn insert(text: &str, pointer: &str, entry: &str) -> String {
    let Some(container) = (if pointer.is_empty() { Some(text.trim_start()) } else { places::value(text, pointer) })
    else {
        return text.to_owned();
    };
    let at = places::offset_of(text, container) + 1;
    let rest = &text[at..];
    let gap = &rest[..rest.len() - rest.trim_start().len()];
    let is_empty = rest.trim_start().starts_with(['}', ']']);
    let addition = match (is_empty, gap.contains('\n')) {
        (true, _) => entry.to_owned(),
        (false, true) => format!("{gap}{entry},"),
        (false, false) => format!("{entry}, "),
    };
    format!("{}{addition}{rest}", &text[..at])
}

/// Takes a member or an element out, with the comma that belongs to it.
fn remove(text: &str, pointer: &str, step: &str) -> String {
    let Some(container) = places::value(text, pointer) else { return text.to_owned() };
    let Some(value) = places::value(container, &format!("/{}", escaped(step))) else { return text.to_owned() };
    let end = places::offset_of(text, value) + value.len();
    let mut start = places::offset_of(text, value);
    if container.starts_with('{') {
        let before = text[..start].trim_end().trim_end_matches(':').trim_end();
        let key = keys(container).remove(step).unwrap_or_default();
        if key.is_empty() || !before.ends_with(&key) {
            return text.to_owned();
        }
        start = before.len() - key.len();
    }
    let rest = text[end..].trim_start();
    if let Some(after) = rest.strip_prefix(',') {
        // The white space before what follows goes too: what follows stands where this stood.
        return format!("{}{}", &text[..start], after.trim_start());
    }
    let before = text[..start].trim_end();
    match before.strip_suffix(',') {
        Some(before) => format!("{before}{}", &text[end..]),
        None => format!("{before}{rest}"),
    }
}

/// The keys of an object as they are written, by what they say.
fn keys(object: &str) -> BTreeMap<String, String> {
    // Whoever writes a key with escapes that JSON does not need keeps it: the plain spelling is not found then.
    let members: BTreeMap<String, serde::de::IgnoredAny> = serde_json::from_str(object).unwrap_or_default();
    members.into_keys().map(|key| (key.clone(), Value::from(key).to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_laid_out_like_their_neighbours() {
        let check = |text: &str, pointer: &str, entry: &str, expected: &str| {
            assert_eq!(insert(text, pointer, entry), expected);
        };
        check("{\"a\": 1}", "", "\"b\": 2", "{\"b\": 2, \"a\": 1}");
        check("{\n  \"a\": 1\n}", "", "\"b\": 2", "{\n  \"b\": 2,\n  \"a\": 1\n}");
        check("{\"hide\": []}", "/hide", "\"x\"", "{\"hide\": [\"x\"]}");
        check("{\"hide\": [\n  \"y\"\n]}", "/hide", "\"x\"", "{\"hide\": [\n  \"x\",\n  \"y\"\n]}");
        check("{}", "/gone", "1", "{}");
    }

    #[test]
    fn what_is_missing_on_the_way_is_made() {
        let check = |text: &str, path: &[&str], expected: &str| {
            assert_eq!(put(text, path, &Addition::Entry("1".to_owned())), expected);
        };
        check("{\"hide\": [\"y\"]}", &["hide"], "{\"hide\": [1, \"y\"]}");
        check("{\"a\": 0}", &["hide"], "{\"hide\": [1], \"a\": 0}");
        check("{}", &["tools", "a/b", "limits"], "{\"tools\": {\"a/b\": {\"limits\": [1]}}}");
        check("{\"tools\": {}}", &["tools", "x", "limits"], "{\"tools\": {\"x\": {\"limits\": [1]}}}");
        check("{\"tools\": {\"x\": {}}}", &["tools", "x", "limits"], "{\"tools\": {\"x\": {\"limits\": [1]}}}");
        check(
            "{\"tools\": {\"x\": {\"limits\": [2]}}}",
            &["tools", "x", "limits"],
            "{\"tools\": {\"x\": {\"limits\": [1, 2]}}}",
        );
    }

    #[test]
    fn what_is_taken_out_takes_its_comma_along() {
        let check = |text: &str, pointer: &str, step: &str, expected: &str| {
            assert_eq!(remove(text, pointer, step), expected);
        };
        check("{\"t\": {\"a\": {}, \"b\": 1}}", "/t", "a", "{\"t\": {\"b\": 1}}");
        check("{\"t\": {\"a\": {}, \"b\": 1}}", "/t", "b", "{\"t\": {\"a\": {}}}");
        check("{\"t\": {\"a\": {}}}", "/t", "a", "{\"t\": {}}");
        check("{\"h\": [\"a\", \"b\", \"c\"]}", "/h", "1", "{\"h\": [\"a\", \"c\"]}");
        check("{\"t\": {\n  \"a\": 1,\n  \"b\": 2\n}}", "/t", "b", "{\"t\": {\n  \"a\": 1\n}}");
        check("{\"t\": {}}", "/t", "a", "{\"t\": {}}");
    }
}
