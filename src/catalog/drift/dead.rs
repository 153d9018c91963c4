//! Conditions that held calls under the old schema of a tool and do not under the new one.

use super::schema::{self, Change, Kind};
use super::words::name;
use crate::catalog::LockedTool;
use crate::model::{Parameter, ToolDefinition, TypeSet};
use crate::policy::{Condition, Entry, Operator, ToolRules};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a condition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Refuses the call when it holds.
    DenyIf,
    /// Refuses the call unless it holds.
    Require,
    /// Asks a person when it holds.
    Approval,
}

/// A condition that does not hold any more where it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dead {
    pub role: Role,
    /// Below the tool's rules, without a leading slash.
    pub pointer: String,
    /// Behind the rule's name.
    pub why: String,
    /// What follows from it.
    pub then: &'static str,
}

/// How a condition lost its hold.
enum Loss {
    /// It can never hold again.
    Never(String),
    /// A call need not give what it is about.
    Evaded(String),
    /// It measures something else.
    Moved(String),
}

/// The conditions of a tool's rules that the change from `was` to `now` disarmed.
pub(super) fn conditions(rules: &ToolRules, was: &LockedTool, now: &LockedTool) -> Vec<Dead> {
    let parse = |tool: &LockedTool| ToolDefinition::parse(&tool.definition).ok();
    let (Some(before), Some(after)) = (parse(was), parse(now)) else { return Vec::new() };
    let renamed = renamed(was, now);
    let mut found = Vec::new();
    let mut look = |role, pointer: String, condition: &Condition| {
        let Some(loss) = lost(condition, &before.parameters, &after.parameters, now, &renamed) else { return };
        let (why, then) = match (loss, role) {
            // What must hold refuses every call that does not give it.
            (Loss::Evaded(_), Role::Require) => return,
            (Loss::Evaded(why), Role::DenyIf) => (why, "a call that leaves it out passes"),
            (Loss::Evaded(why), Role::Approval) => (why, "nobody is asked about a call that leaves it out"),
            (Loss::Moved(why), _) => (why, "it no longer bounds what it bounded"),
            (Loss::Never(why), Role::DenyIf) => (why, "it refuses nothing now"),
            (Loss::Never(why), Role::Require) => (why, "it refuses every call now"),
            (Loss::Never(why), Role::Approval) => (why, "it asks nobody now"),
        };
        found.push(Dead { role, pointer, why, then });
    };
    for (role, member, entries) in
        [(Role::DenyIf, "deny_if", &rules.deny_if), (Role::Require, "require", &rules.require)]
    {
        for (at, Entry { conditions, .. }) in entries.iter().enumerate() {
            conditions.iter().for_each(|condition| look(role, format!("{member}/{at}"), condition));
        }
    }
    for condition in rules.approval.iter().flat_map(|approval| &approval.when) {
        look(Role::Approval, "approval".to_owned(), condition);
    }
    found
}

/// Parameters that are called otherwise now, by their old names.
fn renamed(was: &LockedTool, now: &LockedTool) -> BTreeMap<String, String> {
    let (was, now) = (was.parts(), now.parts());
    let changes = schema::compare(was.input_schema.as_ref(), now.input_schema.as_ref());
    let of = |change: Change| match change.kind {
        Kind::Renamed { from } => {
            let above = change.path.rsplit_once('.').map_or(String::new(), |(above, _)| format!("{above}."));
            Some((format!("{above}{from}"), change.path))
        }
        _ => None,
    };
    changes.into_iter().filter_map(of).collect()
}

fn lost(
    condition: &Condition,
    was: &[Parameter],
    now: &[Parameter],
    tool: &LockedTool,
    renamed: &BTreeMap<String, String>,
) -> Option<Loss> {
    let value: Value = serde_json::from_str(condition.value.as_str()).unwrap_or_default();
    // That something is missing can always hold.
    if condition.op == Operator::Exists && value == Value::Bool(false) {
        return None;
    }
    let path = parameter_path(&condition.path)?;
    let of = |list: &[Parameter]| list.iter().find(|parameter| parameter.path == path).cloned();
    let before = of(was)?;
    let about = format!("is about {}", name(&condition.path));
    let Some(after) = of(now) else {
        let hint = renamed.get(&path).map_or_else(String::new, |to| format!("; it takes {} now", name(to)));
        return Some(Loss::Never(format!("{about}, which {} no longer has{hint}", name(&tool.name))));
    };
    let fits = |parameter: &Parameter| {
        let wanted = types_of(condition.op, &value);
        wanted.is_any() || parameter.types.is_any() || parameter.types.has(wanted)
    };
    if fits(&before) && !fits(&after) {
        return Some(Loss::Never(format!("{about}, which is of another type now")));
    }
    if let Some(what) = measured(condition.op)
        && [TypeSet::STRING, TypeSet::ARRAY].into_iter().any(|kind| {
            !before.types.is_any() && !before.types.has(kind) && (after.types.has(kind) || after.types.is_any())
        })
    {
        return Some(Loss::Moved(format!("{about}, which may be of another type now: {what}")));
    }
    let holds = |parameter: &Parameter| {
        parameter.values.is_empty()
            || texts(condition.op, &value).is_none_or(|texts| texts.iter().any(|text| parameter.values.contains(text)))
    };
    if holds(&before) && !holds(&after) {
        return Some(Loss::Never(format!("{about}, which no longer takes {}", name(condition.value.as_str()))));
    }
    if before.required && !after.required && condition.op != Operator::Exists {
        return Some(Loss::Evaded(format!("{about}, which may be left out now")));
    }
    None
}

/// What an operator means of a list that it does not mean of a text.
fn measured(op: Operator) -> Option<&'static str> {
    match op {
        Operator::LengthLte | Operator::LengthGte => Some("of a list its elements are counted, not their length"),
        Operator::Contains | Operator::NotContains => Some("of a list whole elements are compared"),
        Operator::Eq
        | Operator::Neq
        | Operator::Lt
        | Operator::Lte
        | Operator::Gt
        | Operator::Gte
        | Operator::In
        | Operator::NotIn
        | Operator::Regex
        | Operator::NotRegex
        | Operator::StartsWith
        | Operator::EndsWith
        | Operator::PathWithin
        | Operator::HostIn
        | Operator::Exists
        | Operator::Type => None,
    }
}

/// The types that a comparison can hold for; any where the operator takes all.
fn types_of(op: Operator, value: &Value) -> TypeSet {
    let number = TypeSet::NUMBER.with(TypeSet::INTEGER);
    match op {
        Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => number,
        Operator::Regex
        | Operator::NotRegex
        | Operator::StartsWith
        | Operator::EndsWith
        | Operator::PathWithin
        | Operator::HostIn => TypeSet::STRING,
        Operator::Contains | Operator::NotContains | Operator::LengthLte | Operator::LengthGte => {
            TypeSet::STRING.with(TypeSet::ARRAY)
        }
        Operator::Eq => match value {
            Value::String(_) => TypeSet::STRING,
            Value::Number(_) => number,
            Value::Bool(_) => TypeSet::BOOLEAN,
            Value::Array(_) => TypeSet::ARRAY,
            Value::Object(_) => TypeSet::OBJECT,
            Value::Null => TypeSet::default(),
        },
        Operator::Neq | Operator::In | Operator::NotIn | Operator::Exists | Operator::Type => TypeSet::default(),
    }
}

/// The texts of which one must be the argument; `None` where the comparison is not with texts.
fn texts(op: Operator, value: &Value) -> Option<Vec<String>> {
    match (op, value) {
        (Operator::Eq, Value::String(text)) => Some(vec![text.clone()]),
        (Operator::In, Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// `args.a.b` as the dotted path of a parameter; `args:/a/0/b` as `a[*].b`. `None` for all arguments together.
fn parameter_path(path: &str) -> Option<String> {
    if let Some(dotted) = path.strip_prefix("args.") {
        return Some(dotted.to_owned());
    }
    let mut out = String::new();
    for step in path.strip_prefix("args:/")?.split('/') {
        if !out.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str("[*]");
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&step.replace("~1", "/").replace("~0", "~"));
        }
    }
    Some(out)
}
