//! Rules about the course of a session, and the words by which they speak of tools.

use super::POLICY_ENTRIES_MAX;
use super::checker::{At, Checker, Members};
use super::rules::{chosen_ids, name, text};
use crate::flows::{FlowRule, WITHIN_SECONDS_MAX};
use crate::json::{Node, escape_token};
use crate::window::Window;
use crate::word::{Flow, FlowAction, Word};

const ACTIONS: [(&str, FlowAction); 2] =
    [("require_approval", FlowAction::RequireApproval), ("deny", FlowAction::Deny)];

/// The flows, as written and as compiled.
pub(super) fn flows(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> (Vec<Flow>, Vec<FlowRule>) {
    let items = checker.list(node, &at, POLICY_ENTRIES_MAX);
    let mut ids = chosen_ids(checker, items, at);
    let (mut written, mut compiled) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for (index, item) in items.iter().enumerate() {
        let Some(flow) = flow(checker, item, at.index(index)) else { continue };
        let after: Vec<&str> = flow.after.iter().map(|word| word.as_str()).collect();
        let last = flow.id.clone().unwrap_or_else(|| ids.next(after.join("+")));
        compiled.push(FlowRule::new(format!("{}/{}", at.pointer(), escape_token(&last)), &flow));
        written.push(flow);
    }
    (written, compiled)
}

fn flow(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Option<Flow> {
    let known = ["after", "then", "action", "seen", "within", "reason", "id", "comment"];
    let members = Members::of(checker, node, &at, &known)?;
    for name in ["after", "then", "action"] {
        if members.get(name).is_none() {
            checker.problem(node, &at, format!("`{name}` is missing"), None);
        }
    }
    let [after, then] = ["after", "then"].map(|name| {
        let node = members.get(name)?;
        let words = words(checker, node, at.name(name));
        if words.is_empty() && matches!(&node.json, crate::json::Json::Array(items) if items.is_empty()) {
            checker.problem(node, &at.name(name), "this list is empty, so the rule says nothing".to_owned(), None);
        }
        Some(words)
    });
    let action = members.get("action").and_then(|node| checker.word(node, &at.name("action"), &ACTIONS, "an action"));
    let seen = members.get("seen").map(|node| checker.truth(node, &at.name("seen"))).unwrap_or_default();
    let within = members.get("within").and_then(|node| within(checker, node, at.name("within")));
    Some(Flow {
        comment: text(checker, &members, at, "comment"),
        after: after?,
        then: then?,
        action: action?,
        seen,
        within,
        reason: text(checker, &members, at, "reason"),
        id: members.get("id").and_then(|node| name(checker, node, at.name("id"), "an id")),
    })
}

/// Words of the taxonomy, each once and in order.
pub(super) fn words(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Vec<Word> {
    let known: Vec<(&str, Word)> = Word::all().map(|word| (word.as_str(), word)).collect();
    let mut words: Vec<Word> = Vec::new();
    for (index, item) in checker.list(node, &at, POLICY_ENTRIES_MAX).iter().enumerate() {
        words.extend(checker.word(item, &at.index(index), &known, "a flag or a category"));
    }
    words.sort_unstable();
    words.dedup();
    words
}

fn within(checker: &mut Checker<'_>, node: &Node<'_>, at: At<'_>) -> Option<String> {
    let text = checker.text(node, &at, "a span")?;
    if matches!(Window::parse(text), Some(Window::Span(seconds)) if seconds.get() <= WITHIN_SECONDS_MAX) {
        return Some(text.to_owned());
    }
    let help = "write a span of a week at most, such as `90s`, `15m`, `6h`".to_owned();
    checker.problem(node, &at, format!("`{text}` is not a span"), Some(help));
    None
}
