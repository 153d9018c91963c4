//! A policy against the tools that it is for.

use super::Subject;
use super::findings::open_finding;
use super::lints::{EntryList, Lints, tool_pointer, when};
use crate::code::Code;
use crate::compiled::{Policy, Visibility};
use crate::document::{Condition, Mode, Operator, ToolRules, Unlisted};
use crate::json::{self, Json};
use crate::model::{BlastRadius, Category, Flag, Parameter, Severity, ToolDefinition, TypeSet};
use crate::path::ArgumentPath;
use crate::schema::ArgumentSchema;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(policy: &Policy, subjects: &[Subject<'_>], lints: &mut Lints<'_>) {
    let document = policy.document();
    let mut declared: BTreeMap<&str, Vec<&ToolDefinition>> = BTreeMap::new();
    for (tool, _) in subjects {
        declared.entry(tool.name.as_str()).or_default().push(tool);
    }
    unknown_tools(policy, &declared.keys().copied().collect(), lints);
    for (name, rules) in &document.tools {
        for tool in declared.get(name.as_str()).into_iter().flatten() {
            arguments(&tool_pointer(name), rules, tool, lints);
        }
    }
    everywhere(policy, &declared, lints);
    for (tool, verdict) in subjects {
        let name = tool.name.as_str();
        if let Some(verdict) = verdict {
            danger(policy, name, verdict, lints);
            findings(policy, name, verdict, lints);
        }
    }
    unmentioned(policy, &declared.keys().copied().collect(), lints);
}

/// The conditions for every call, against every tool that calls can reach.
fn everywhere(policy: &Policy, declared: &BTreeMap<&str, Vec<&ToolDefinition>>, lints: &mut Lints<'_>) {
    let all = &policy.document().all_tools;
    if all.require.is_empty() && all.deny_if.is_empty() {
        return;
    }
    let reached = declared.iter().filter(|(name, _)| policy.appearance(name) == Visibility::Listed);
    let tools: Vec<ArgumentNames<'_>> =
        reached.flat_map(|(_, tools)| tools).map(|tool| ArgumentNames::of(tool)).collect();
    if tools.is_empty() {
        return;
    }
    for list in EntryList::both("/all_tools", &all.require, &all.deny_if) {
        for (pointer, condition) in list.conditions() {
            let of = |wanted: Fit| tools.iter().filter(move |tool| tool.fit(condition) == wanted).collect::<Vec<_>>();
            let (missing, never) = (of(Fit::Missing), of(Fit::Never));
            let place = format!("{pointer}/path");
            if missing.len() == tools.len() {
                let known = tools.iter().flat_map(|tool| &tool.tool.parameters).map(|it| it.path.as_str());
                let name = condition.path.trim_start_matches("args.");
                let help = crate::text::nearest(name, known).map(|near| format!("did you mean `args.{near}`?"));
                let message = format!("no tool that the policy lists has the argument `{name}`");
                lints.add(Code::P022, Severity::Error, &place, message, help);
            } else if list.is_require() && !missing.is_empty() && condition.value.as_str() != "false" {
                let message = format!("no call of {} can pass: they have no such argument", some(&missing));
                let help = "move the requirement to the tools that have the argument".to_owned();
                lints.add(Code::P011, Severity::Warning, &place, message, Some(help));
            }
            if !never.is_empty() {
                let message = format!("`{}` never compares the argument of {}", condition.op.as_str(), some(&never));
                lints.add(Code::P021, Severity::Warning, &place, message, None);
            }
        }
    }
}

/// The names of the first few tools, and how many more there are.
fn some(tools: &[&ArgumentNames<'_>]) -> String {
    /// Most names in a message.
    const NAMES_MAX: usize = 3;
    let names: Vec<_> = tools.iter().take(NAMES_MAX).map(|it| format!("`{}`", it.tool.name.as_str())).collect();
    match tools.len().saturating_sub(NAMES_MAX) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// How a condition fits the arguments of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// It can be what it says, as far as is known.
    Fits,
    /// The tool has no such argument, and says what it has.
    Missing,
    /// The argument is of a type that the operator never compares.
    Never,
}

fn unmentioned(policy: &Policy, declared: &BTreeSet<&str>, lints: &mut Lints<'_>) {
    /// Most names in the message.
    const NAMES_MAX: usize = 20;
    let document = policy.document();
    let mentioned = |name: &str| policy.hides(name) || document.tools.contains_key(name);
    let names: Vec<&str> = declared.iter().copied().filter(|name| !mentioned(name)).collect();
    if names.is_empty() {
        return;
    }
    let (severity, fate) = match document.default {
        Unlisted::Deny => (Severity::Note, "refused"),
        Unlisted::Allow => (Severity::Warning, "allowed"),
    };
    let mut list = names.iter().take(NAMES_MAX).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_MAX {
        list.push_str(&format!(" and {} more", names.len() - NAMES_MAX));
    }
    let (tools, are) = if names.len() == 1 { ("tool", "is") } else { ("tools", "are") };
    let message = format!("{} {tools} that no rule mentions {are} {fate} by the default: {list}", names.len());
    let help = "`mcpol gen-policy --merge` adds what is new".to_owned();
    lints.add(Code::P023, severity, "/default", message, Some(help));
}

fn unknown_tools(policy: &Policy, declared: &BTreeSet<&str>, lints: &mut Lints<'_>) {
    let document = policy.document();
    let near = |name: &str| crate::text::nearest(name, declared.iter().copied());
    for name in document.tools.keys().filter(|name| !declared.contains(name.as_str())) {
        let help = near(name).map(|near| format!("did you mean `{near}`?"));
        lints.add(Code::P002, Severity::Error, &tool_pointer(name), format!("the server has no tool `{name}`"), help);
    }
    for (index, name) in document.hide.iter().enumerate() {
        if name != "*" && !declared.contains(name.as_str()) {
            let near = near(name);
            // A typing error here leaves the tool that was meant in reach of everyone, unless the default refuses it.
            let severity = match document.default {
                Unlisted::Allow => Severity::Error,
                Unlisted::Deny if near.is_some() => Severity::Warning,
                Unlisted::Deny => Severity::Note,
            };
            let help = near.map(|near| format!("did you mean `{near}`?"));
            lints.add(
                Code::P002,
                severity,
                &format!("/hide/{index}"),
                format!("the server has no tool `{name}`"),
                help,
            );
        }
    }
}

fn danger(policy: &Policy, name: &str, verdict: &crate::model::Verdict, lints: &mut Lints<'_>) {
    let open = policy.appearance(name) == Visibility::Listed;
    let rules = policy.tools.get(name);
    let free = open && rules.is_none_or(super::super::compiled::Tool::is_free);
    let shadowed = policy.mode_of(name) == Mode::Shadow;
    let unchecked = free || (open && shadowed);
    if !unchecked {
        return;
    }
    let has = |flag| verdict.flags.contains(&flag);
    let what = if verdict.category == Category::Delete {
        "deletes"
    } else if has(Flag::Financial) {
        "moves or commits money"
    } else if has(Flag::CodeExecution) && verdict.category == Category::Execute {
        "runs code that the caller hands over"
    } else if verdict.blast_radius == BlastRadius::Critical {
        "has a critical blast radius"
    } else {
        return;
    };
    let pointer = if rules.is_some() { tool_pointer(name) } else { "/default".to_owned() };
    let message = format!("`{name}` {what}, and is allowed without any rule");
    let help = "hide it, require an approval, or limit it".to_owned();
    lints.add(Code::P003, Severity::Error, &pointer, message, Some(help));
}

/// A tool that calls can reach although something in its definition waits to be explained.
fn findings(policy: &Policy, name: &str, verdict: &crate::model::Verdict, lints: &mut Lints<'_>) {
    let Some((severity, worst)) = open_finding(policy, name, &verdict.findings) else { return };
    let pointer = if policy.tools.contains_key(name) { tool_pointer(name) } else { "/default".to_owned() };
    let message = format!("`{name}` can be called and has the finding `{}`", worst.id);
    let help = match worst.severity {
        Severity::Error => "hide it until somebody can explain the finding",
        Severity::Note | Severity::Warning => "ask a person first (`\"action\": \"require_approval\"`), or hide it",
    };
    lints.add(Code::P025, severity, &pointer, message, Some(help.to_owned()));
}

/// The input schema as far as paths need it.
struct ArgumentNames<'t> {
    tool: &'t ToolDefinition,
    schema: Option<Value>,
}

fn arguments(at: &str, rules: &ToolRules, tool: &ToolDefinition, lints: &mut Lints<'_>) {
    let arguments = ArgumentNames::of(tool);
    if rules.validate.is_some() {
        let problem = match &arguments.schema {
            None => Some("the tool declares no input schema".to_owned()),
            Some(schema) => ArgumentSchema::compile(schema).err(),
        };
        if let Some(problem) = problem {
            let message = format!("arguments cannot be checked, so every call is refused: {problem}");
            lints.add(Code::P019, Severity::Error, &format!("{at}/validate"), message, None);
        }
    }
    let lists = EntryList::both(at, &rules.require, &rules.deny_if);
    let required: BTreeSet<&str> =
        lists[0].entries.iter().flat_map(|entry| &entry.conditions).map(|condition| condition.path.as_str()).collect();
    for list in lists {
        for (pointer, condition) in list.conditions() {
            arguments.condition(&pointer, condition, lints);
            if !list.is_require() {
                arguments.optional(&pointer, condition, &required, lints);
            }
        }
    }
    for (pointer, condition) in when(at, rules) {
        arguments.condition(&pointer, condition, lints);
        arguments.optional(&pointer, condition, &required, lints);
    }
    for (index, limit) in rules.limits.iter().enumerate() {
        if let Some(path) = &limit.increment_from {
            let pointer = format!("{at}/limits/{index}/increment_from");
            arguments.declared(
                &pointer,
                path,
                TypeSet::NUMBER.with(TypeSet::INTEGER),
                "a limit adds up numbers",
                lints,
            );
        }
    }
}

/// What a schema says about a path.
enum Declared<'t> {
    As(&'t Parameter),
    /// Nothing that could be relied on.
    Unsaid,
    /// There is no such argument, though the schema lists what there is.
    No {
        open: bool,
    },
    /// Something on the way is of a type that cannot be gone into.
    Blocked(&'t Parameter),
}

impl<'t> ArgumentNames<'t> {
    fn of(tool: &'t ToolDefinition) -> Self {
        let definition: Value = serde_json::from_str(tool.raw.get()).unwrap_or_default();
        Self { tool, schema: definition.get("inputSchema").cloned() }
    }

    fn fit(&self, condition: &Condition) -> Fit {
        let Ok(path) = ArgumentPath::parse(&condition.path) else { return Fit::Fits };
        let (wanted, _) = compared(condition);
        match self.find(&path) {
            Declared::No { open: false } => Fit::Missing,
            Declared::Blocked(_) => Fit::Never,
            Declared::As(parameter)
                if !wanted.is_any() && !parameter.types.is_any() && !parameter.types.has(wanted) =>
            {
                Fit::Never
            }
            Declared::As(_) | Declared::Unsaid | Declared::No { open: true } => Fit::Fits,
        }
    }

    fn find(&self, path: &ArgumentPath) -> Declared<'t> {
        let Some(wanted) = path.schema_path() else { return Declared::Unsaid };
        let parameters = &self.tool.parameters;
        if let Some(found) = parameters.iter().find(|parameter| parameter.path == wanted) {
            return Declared::As(found);
        }
        let lists_properties = |schema: &Value| schema.get("properties").is_some_and(Value::is_object);
        let Some(schema) = self.schema.as_ref().filter(|schema| lists_properties(schema)) else {
            return Declared::Unsaid;
        };
        // The longest part of the path that is declared.
        let parent = parameters
            .iter()
            .filter(|parameter| wanted.strip_prefix(&parameter.path).is_some_and(|rest| rest.starts_with(['.', '['])))
            .max_by_key(|parameter| parameter.path.len());
        let Some(parent) = parent else {
            let composed =
                ["anyOf", "oneOf", "allOf", "$ref", "patternProperties"].iter().any(|key| schema.get(key).is_some());
            let open = composed || schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
            return Declared::No { open };
        };
        if parent.types.is_any() {
            return Declared::Unsaid;
        }
        let into_array = wanted[parent.path.len()..].starts_with('[');
        let container = if into_array { TypeSet::ARRAY } else { TypeSet::OBJECT };
        if !parent.types.has(container) {
            return Declared::Blocked(parent);
        }
        let child = format!("{}{}", parent.path, if into_array { "[*]." } else { "." });
        if !into_array && parameters.iter().any(|parameter| parameter.path.starts_with(&child)) {
            return Declared::No { open: false };
        }
        Declared::Unsaid
    }

    /// Whether the schema has the path, with a type that is wanted there.
    fn declared(
        &self,
        pointer: &str,
        path: &str,
        wanted: TypeSet,
        why: &str,
        lints: &mut Lints<'_>,
    ) -> Option<&'t Parameter> {
        let parsed = ArgumentPath::parse(path).ok()?;
        match self.find(&parsed) {
            Declared::Unsaid => None,
            Declared::No { open } => {
                let known: Vec<&str> = self.tool.parameters.iter().map(|parameter| parameter.path.as_str()).collect();
                let name = parsed.schema_path().unwrap_or_default();
                let near = crate::text::nearest(&name, known.iter().copied());
                let help = near.map(|near| format!("did you mean `args.{near}`?")).or_else(|| {
                    (!known.is_empty()).then(|| {
                        format!(
                            "it has {}",
                            known.iter().take(8).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
                        )
                    })
                });
                let message = format!("`{}` has no argument `{name}`", self.tool.name.as_str());
                let severity = if open { Severity::Warning } else { Severity::Error };
                lints.add(Code::P022, severity, pointer, message, help);
                None
            }
            Declared::Blocked(parent) => {
                let message = format!("`{}` is declared as {:?}, so nothing lies inside it", parent.path, parent.types);
                lints.add(Code::P021, Severity::Error, pointer, message, None);
                None
            }
            Declared::As(parameter) => {
                if !wanted.is_any() && !parameter.types.is_any() && !parameter.types.has(wanted) {
                    let message = format!("`{}` is declared as {:?}, and {why}", parameter.path, parameter.types);
                    lints.add(Code::P021, Severity::Error, pointer, message, None);
                }
                Some(parameter)
            }
        }
    }

    fn condition(&self, pointer: &str, condition: &Condition, lints: &mut Lints<'_>) {
        let (wanted, why) = compared(condition);
        let why = format!("`{}` compares {why}", condition.op.as_str());
        let place = format!("{pointer}/path");
        let Some(parameter) = self.declared(&place, &condition.path, wanted, &why, lints) else { return };
        // A closed set of values that has none of these: the condition can never be what it says.
        if matches!(condition.op, Operator::Eq | Operator::In)
            && !parameter.values.is_empty()
            && parameter.types == TypeSet::STRING
        {
            let values: Vec<String> = match serde_json::from_str(condition.value.as_str()) {
                Ok(Value::String(one)) => vec![one],
                Ok(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                _ => Vec::new(),
            };
            for value in values.iter().filter(|value| !parameter.values.contains(value)) {
                let near = crate::text::nearest(value, parameter.values.iter().map(String::as_str));
                let help = near.map(|near| format!("did you mean `{near}`?"));
                let message = format!("`{value}` is none of the values that `{}` is declared with", parameter.path);
                lints.add(Code::P024, Severity::Warning, &format!("{pointer}/value"), message, help);
            }
        }
    }

    /// A refusal that a caller evades by leaving the argument out.
    fn optional(&self, pointer: &str, condition: &Condition, required: &BTreeSet<&str>, lints: &mut Lints<'_>) {
        let Ok(path) = ArgumentPath::parse(&condition.path) else { return };
        if condition.op == Operator::Exists || path.is_many() || required.contains(condition.path.as_str()) {
            return;
        }
        if let Declared::As(parameter) = self.find(&path)
            && !parameter.required
        {
            let default = match &parameter.default {
                Some(value) => format!(" and the server then takes {}", crate::text::excerpt(&value.to_string(), 40)),
                None => String::new(),
            };
            let message =
                format!("`{}` is optional: a call that leaves it out is not refused{default}", parameter.path);
            let help = format!(
                "if it must be given, add `{{\"path\": \"{}\", \"op\": \"exists\", \"value\": true}}` to `require`",
                condition.path
            );
            lints.add(Code::P016, Severity::Warning, &format!("{pointer}/path"), message, Some(help));
        }
    }
}

/// The declared types that an operator can compare with its value; none is any.
fn compared(condition: &Condition) -> (TypeSet, &'static str) {
    let numbers = TypeSet::NUMBER.with(TypeSet::INTEGER);
    let sized = TypeSet::STRING.with(TypeSet::ARRAY);
    match condition.op {
        Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => (numbers, "numbers"),
        Operator::Regex
        | Operator::NotRegex
        | Operator::StartsWith
        | Operator::EndsWith
        | Operator::PathWithin
        | Operator::HostIn => (TypeSet::STRING, "strings"),
        Operator::Contains | Operator::NotContains => (sized, "strings and arrays"),
        Operator::LengthLte | Operator::LengthGte => (sized, "strings and arrays"),
        Operator::Exists | Operator::Type | Operator::Neq | Operator::NotIn => (TypeSet::default(), ""),
        Operator::Eq => (types_of(condition.value.as_str(), Nesting::Value), "with a value of another type"),
        Operator::In => (types_of(condition.value.as_str(), Nesting::List), "with values of other types"),
    }
}

enum Nesting {
    Value,
    List,
}

fn types_of(text: &str, nesting: Nesting) -> TypeSet {
    let Ok(node) = json::parse(text, json::ARGUMENTS_DEPTH_MAX) else { return TypeSet::default() };
    let one = |json: &Json<'_>| match json {
        Json::Null => TypeSet::NULL,
        Json::Bool(_) => TypeSet::BOOLEAN,
        Json::Number(_) => TypeSet::NUMBER.with(TypeSet::INTEGER),
        Json::String(_) => TypeSet::STRING,
        Json::Array(_) => TypeSet::ARRAY,
        Json::Object(_) => TypeSet::OBJECT,
    };
    match (nesting, &node.json) {
        (Nesting::List, Json::Array(items)) => {
            items.iter().fold(TypeSet::default(), |set, item| set.with(one(&item.json)))
        }
        (Nesting::Value | Nesting::List, json) => one(json),
    }
}
