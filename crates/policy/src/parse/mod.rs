//! From the text of policy.json to a checked policy, or to everything that is wrong with it.

mod checker;
mod comments;
mod doors;
mod flows;
mod rules;

use super::compiled::{CheckedLimit, Counter, Policy, Tool};
use super::document::{Document, Mode, Unlisted, Version};
use super::flows::{FlowRule, Following};
use super::json::{self, Node};
use super::store::hex;
use super::word::{Word, Words};
use crate::model::Flag;
use crate::problem::{Place, Problem};
pub(super) use checker::TEXT_BYTES_MAX;
use checker::{At, Checker, Members};
pub use doors::bad_unknown_method;
use rules::{CheckedRules, RuleSite};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Largest policy file, in bytes.
pub const POLICY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most tools in `tools`, and most names in `hide`.
pub const POLICY_TOOLS_MAX: usize = 10_000;
/// Deepest nesting of a policy file.
pub const POLICY_DEPTH_MAX: usize = 32;
/// Most entries of a list of rules or conditions.
pub const POLICY_ENTRIES_MAX: usize = 64;

/// Reads a policy. `file` is what the problems call it.
///
/// # Errors
/// Every problem of the text, in the order of their places.
pub fn parse(text: &str, file: &str) -> Result<Policy, Vec<Problem>> {
    if text.len() > POLICY_BYTES_MAX {
        let message = format!("a policy has at most {POLICY_BYTES_MAX} bytes, and this has {}", text.len());
        return Err(vec![Problem { file: file.to_owned(), place: None, pointer: String::new(), message, help: None }]);
    }
    let (mut root, duplicates) = json::parse_with_duplicates(text, POLICY_DEPTH_MAX).map_err(|error| {
        vec![Problem {
            file: file.to_owned(),
            place: Some(Place::of_offset(text, error.at)),
            pointer: String::new(),
            help: syntax_help(text, error.at),
            message: error.message,
        }]
    })?;
    let mut checker = Checker::new(text, file);
    for duplicate in duplicates {
        checker.problem_at(duplicate.at, duplicate.pointer, "this member occurs twice in one object".to_owned(), None);
    }
    let parts = document(&mut checker, &root);
    match (checker.into_problems(), parts) {
        (problems, Some(checked)) if problems.is_empty() => {
            comments::strip(&mut root);
            let CheckedDocument { document, tools, everything, flows } = checked;
            Ok(Policy::new(document, hex(&root.canonical_hash()), tools, everything, flows))
        }
        (problems, _) => Err(problems),
    }
}

/// A next step for the mistakes that people make in JSON.
fn syntax_help(text: &str, at: usize) -> Option<String> {
    let here = text.as_bytes().get(at)?;
    let before = text[..at].trim_end().as_bytes().last();
    let help = match (here, before) {
        (b'/', _) => "JSON has no comments: notes about a policy can stand in a file beside it",
        (b'}' | b']', Some(b',')) => "remove the comma before it",
        (b'\'', _) => "strings and names stand in double quotes",
        (0xef, _) if text[at..].starts_with('\u{feff}') => "remove the byte order mark before it",
        _ => return None,
    };
    Some(help.to_owned())
}

/// What a text says that has no problem.
struct CheckedDocument {
    document: Document,
    tools: FxHashMap<String, Tool>,
    everything: Tool,
    flows: Vec<FlowRule>,
}

const TOP: [&str; 14] = [
    "version",
    "default",
    "hide",
    "all_tools",
    "tools",
    "mode",
    "resources",
    "prompts",
    "client",
    "unknown_methods",
    "flows",
    comments::OF_DOCUMENT[0],
    comments::OF_DOCUMENT[1],
    comments::OF_DOCUMENT[2],
];

fn document(checker: &mut Checker<'_>, root: &Node<'_>) -> Option<CheckedDocument> {
    let at = *At::ROOT;
    let members = Members::of(checker, root, &at, &TOP)?;
    let version = version(checker, &members, root, at);
    let default = match members.get("default") {
        Some(node) => checker.word(
            node,
            &at.name("default"),
            &[("allow", Unlisted::Allow), ("deny", Unlisted::Deny)],
            "a default",
        ),
        None => {
            let help = "add `\"default\": \"deny\"`: a tool that is not listed is then refused".to_owned();
            checker.problem(root, &at, "`default` is missing".to_owned(), Some(help));
            None
        }
    };
    let mode = members.get("mode").and_then(|node| checker.word(node, &at.name("mode"), &MODES, "a mode"));
    let hide = members.get("hide").map(|node| hide(checker, node, at.name("hide"))).unwrap_or_default();
    let mut counters = rules::CounterUses::default();
    let all = members
        .get("all_tools")
        .map(|node| rules::all_tools(checker, node, at.name("all_tools"), &mut counters))
        .unwrap_or_default();
    let (written_flows, flows) =
        members.get("flows").map(|node| flows::flows(checker, node, at.name("flows"))).unwrap_or_default();
    let tools = members
        .get("tools")
        .map(|node| tools(checker, node, at.name("tools"), (&all.limits, &flows), &mut counters))
        .unwrap_or_default();
    let doors = doors::doors(checker, &members, at);
    let [schema, description, comment] = comments::OF_DOCUMENT
        .map(|name| members.get(name).and_then(|node| checker.text(node, &at.name(name), "a text")).map(str::to_owned));
    let document = Document {
        schema,
        description,
        comment,
        version: version?,
        default: default?,
        mode,
        hide,
        all_tools: all.written,
        tools: tools.written,
        resources: doors.resources,
        prompts: doors.prompts,
        client: doors.client,
        unknown_methods: doors.unknown_methods,
        flows: written_flows,
    };
    let everything = Tool {
        id: Arc::from("(default allow)"),
        action: None,
        reason: None,
        mode: None,
        validate: false,
        require: all.require,
        deny_if: all.deny_if,
        approval: None,
        counters: Counter::group(all.limits.iter()),
        following: following(&flows, None),
    };
    Some(CheckedDocument { document, tools: tools.compiled, everything, flows })
}

/// What flows say of a tool: without flags it is taken for one of which nothing is known.
fn following(flows: &[FlowRule], flags: Option<&[Word]>) -> Following {
    if flows.is_empty() {
        return Following::default();
    }
    let words: Words = flags.unwrap_or(&[Word::Flag(Flag::Unclassified)]).iter().copied().collect();
    Following::of(flows, words)
}

const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];

fn version(checker: &mut Checker<'_>, members: &Members<'_, '_>, root: &Node<'_>, at: At<'_>) -> Option<Version> {
    let Some(node) = members.get("version") else {
        checker.problem(root, &at, "`version` is missing".to_owned(), Some("add `\"version\": \"1\"`".to_owned()));
        return None;
    };
    if node.as_str() == Some("1") {
        return Some(Version::V1);
    }
    let message = format!("{} is not a version", crate::text::excerpt(&node.compact(), 40));
    checker.problem(node, &at.name("version"), message, Some("the only version is `\"1\"`, in quotes".to_owned()));
    None
}

fn hide(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for (index, item) in checker.list(node, &at, POLICY_TOOLS_MAX).iter().enumerate() {
        if let Some(name) = checker.text(item, &at.index(index), "a tool's name") {
            if name.contains('*') && name != "*" {
                let help = "names are exact: list each tool, or hide all with `\"*\"`".to_owned();
                checker.problem(item, &at.index(index), format!("`{name}` is a pattern, not a name"), Some(help));
            }
            names.push(name.to_owned());
        }
    }
    names
}

#[derive(Default)]
struct Tools {
    written: BTreeMap<String, super::document::ToolRules>,
    compiled: FxHashMap<String, Tool>,
}

fn tools(
    checker: &mut Checker<'_>,
    node: &Node<'_>,
    at: At<'_>,
    (for_all, flows): (&[CheckedLimit], &[FlowRule]),
    counters: &mut rules::CounterUses,
) -> Tools {
    let mut tools = Tools::default();
    let members = checker.object(node, &at);
    if members.len() > POLICY_TOOLS_MAX {
        let message = format!("a policy lists at most {POLICY_TOOLS_MAX} tools, and this lists {}", members.len());
        checker.problem(node, &at, message, None);
        return tools;
    }
    tools.compiled.reserve(members.len());
    for member in members {
        let name: &str = &member.name;
        let here = at.name(name);
        if name.is_empty() || name.contains('*') {
            let (message, help) = match name {
                "*" => (
                    "`*` is not a tool".to_owned(),
                    "rules for every call stand in `all_tools`; what happens to a tool that is not listed is `default`",
                ),
                "" => ("a tool has a name".to_owned(), "write the name exactly as the server declares it"),
                _ => (format!("`{name}` is a pattern, not a name"), "names are exact: list each tool"),
            };
            checker.problem_at(member.start as usize, here.pointer(), message, Some(help.to_owned()));
        }
        let site = RuleSite { prefix: here.pointer(), tool: name };
        let CheckedRules { written, require, deny_if, approval, limits } =
            rules::tool(checker, &member.value, here, &site, counters);
        let compiled = Tool {
            id: Arc::from(site.prefix.as_str()),
            action: written.action,
            reason: written.reason.clone(),
            mode: written.mode,
            validate: written.validate.is_some(),
            require,
            deny_if,
            approval,
            counters: Counter::group(limits.iter().chain(for_all)),
            following: following(flows, written.flags.as_deref()),
        };
        tools.written.insert(name.to_owned(), written);
        tools.compiled.insert(name.to_owned(), compiled);
    }
    tools
}

#[cfg(test)]
mod tests;
