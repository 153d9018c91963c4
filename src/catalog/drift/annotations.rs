//! Which way the server's own claims about a tool went.

use super::class::withholds;
use super::hazard::words;
use super::words::{listed, name};
use crate::catalog::LockedTool;
use crate::code::Code;
use crate::model::{Category, Flag};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// A hint, what its absence means (MCP, `ToolAnnotations`), and the value that sounds safer.
const HINTS: [(&str, bool, bool); 4] = [
    ("readOnlyHint", false, true),
    ("destructiveHint", true, false),
    ("idempotentHint", false, true),
    ("openWorldHint", true, false),
];

/// Words of names of what takes away a service that runs.
const STOPPING: [&str; 6] = ["cycle", "disable", "off", "poweroff", "recycle", "shutdown"];
/// Words of names of secrets. A `key` may also be a public one, or that of a map.
const SECRETS: [&str; 9] =
    ["credential", "credentials", "kubeconfig", "password", "passwords", "secret", "secrets", "token", "tokens"];
/// Words of names of what puts another secret in the place of one that is in use.
const REPLACING: [&str; 5] = ["change", "regenerate", "replace", "reset", "rotate"];

/// What changed, by code: each a fragment behind the tool's name.
pub(super) fn compare(was: Option<&Value>, now: Option<&Value>) -> Vec<(Code, String)> {
    let empty = Map::new();
    let members = |value: Option<&'_ Value>| value.and_then(Value::as_object).cloned().unwrap_or_else(|| empty.clone());
    let (was, now) = (members(was), members(now));
    let (mut safer, mut riskier) = (Vec::new(), Vec::new());
    let mut told = BTreeSet::new();
    for (hint, absent, safe) in HINTS {
        let value = |members: &Map<String, Value>| members.get(hint).and_then(Value::as_bool).unwrap_or(absent);
        let (before, after) = (value(&was), value(&now));
        if before != after {
            told.insert(hint);
            let way = if after == safe { &mut safer } else { &mut riskier };
            way.push(format!("{hint} {before} → {after}"));
        }
    }
    let mut found = Vec::new();
    if was.get("title") != now.get("title") {
        told.insert("title");
        found.push((Code::D012, "has another title in its annotations".to_owned()));
    }
    if !safer.is_empty() {
        found.push((Code::D040, format!("now claims to be safer: {}", safer.join(", "))));
    }
    if !riskier.is_empty() {
        found.push((Code::D041, format!("now claims less: {}", riskier.join(", "))));
    }
    let keys: BTreeSet<_> = was.keys().chain(now.keys()).map(String::as_str).collect();
    let is_hint = |key: &str| HINTS.iter().any(|(hint, _, _)| *hint == key);
    let differs = |key: &&str| !told.contains(key) && was.get(*key) != now.get(*key);
    // A hint that means the same as before is worth a word only where no other changed.
    let flipped = !safer.is_empty() || !riskier.is_empty();
    let rest: Vec<_> = keys.into_iter().filter(|key| differs(key) && !(flipped && is_hint(key))).collect();
    if !rest.is_empty() || found.is_empty() {
        let keys = if rest.is_empty() { "annotations".to_owned() } else { listed(rest.into_iter().map(name), ", ") };
        found.push((Code::D042, format!("changed {keys}")));
    }
    found
}

/// Hints that stand there now, did not before, and mean what their absence meant.
pub(super) fn repeated(was: Option<&Value>, now: Option<&Value>) -> BTreeSet<&'static str> {
    let says = |value: Option<&Value>, hint: &str| value.and_then(|members| members.get(hint)).and_then(Value::as_bool);
    let hints =
        HINTS.into_iter().filter(|(hint, absent, _)| says(was, hint).is_none() && says(now, hint) == Some(*absent));
    hints.map(|(hint, _, _)| hint).collect()
}

/// Whether the only claim that is no longer made is that a second call changes nothing: that harms nobody.
pub(super) fn only_repeats(was: Option<&Value>, now: Option<&Value>) -> bool {
    let claims = |value: Option<&Value>| {
        let says = |hint: &str| value.and_then(|members| members.get(hint)).and_then(Value::as_bool);
        HINTS.map(|(hint, absent, _)| (hint, says(hint).unwrap_or(absent)))
    };
    claims(was).iter().zip(&claims(now)).all(|(was, now)| was == now || was.0 == "idempotentHint")
}

/// Whether what the server claims now is no more than what the tool's class shows as well. Who hands out a secret may be
/// said to only read, and is not to be called without asking.
pub(super) fn agrees(now: Option<&Value>, tool: &LockedTool) -> bool {
    let says = |hint: &str| now.and_then(|members| members.get(hint)).and_then(Value::as_bool);
    let has = |flags: &[Flag]| flags.iter().any(|flag| tool.flags.contains(flag));
    let names = words(&tool.name);
    let named = |known: &[&str]| names.iter().any(|word| known.contains(&word.as_str()));
    let secret = has(&[Flag::Credential]) && named(&SECRETS) && !withholds(tool);
    let reads = tool.category == Category::Read && !secret;
    let harms = (tool.category == Category::Delete && !has(&[Flag::Ephemeral]))
        || has(&[Flag::Irreversible, Flag::CodeExecution])
        || (tool.category > Category::Read && secret && named(&REPLACING))
        || (tool.category == Category::Execute && named(&STOPPING));
    (says("readOnlyHint") != Some(true) || reads) && (says("destructiveHint") != Some(false) || !harms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(was: Value, now: Value, expected: &[(Code, &str)]) {
        let found = compare(Some(&was), Some(&now));
        let found: Vec<_> = found.iter().map(|(code, what)| (*code, what.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn hints_flip_either_way() {
        check(
            json!({}),
            json!({"readOnlyHint": true}),
            &[(Code::D040, "now claims to be safer: readOnlyHint false → true")],
        );
        check(
            json!({"destructiveHint": false, "idempotentHint": true}),
            json!({"idempotentHint": false}),
            &[(Code::D041, "now claims less: destructiveHint false → true, idempotentHint true → false")],
        );
    }

    #[test]
    fn what_means_the_same_is_only_noted() {
        check(json!({}), json!({"readOnlyHint": false}), &[(Code::D042, "changed `readOnlyHint`")]);
        check(json!({"readOnlyHint": "yes"}), json!({"readOnlyHint": 1}), &[(Code::D042, "changed `readOnlyHint`")]);
        check(json!({"title": "A"}), json!({"title": "B"}), &[(Code::D012, "has another title in its annotations")]);
    }
}
