//! Rules about the course of a session that cannot decide anything, and tools that they do not know for what they are.

use super::Subject;
use super::lints::{Lints, tool_pointer};
use crate::code::Code;
use crate::compiled::{Policy, Visibility};
use crate::document::Unlisted;
use crate::model::{Flag, Severity, Verdict};
use crate::word::Word;
use std::collections::BTreeSet;

const UNCLASSIFIED: Word = Word::Flag(Flag::Unclassified);

pub(super) fn alone(policy: &Policy, lints: &mut Lints<'_>) {
    let document = policy.document();
    let reached = document.tools.iter().filter(|(name, _)| policy.appearance(name) == Visibility::Listed);
    let mut known: BTreeSet<Word> =
        reached.flat_map(|(_, rules)| rules.flags.as_deref().unwrap_or(&[UNCLASSIFIED])).copied().collect();
    if document.default == Unlisted::Allow {
        known.insert(UNCLASSIFIED);
    }
    for (index, flow) in document.flows.iter().enumerate() {
        let quoted =
            |words: &[Word]| words.iter().map(|word| format!("`{}`", word.as_str())).collect::<Vec<_>>().join(", ");
        // Where several servers share an endpoint, the first call may be one server's and the second another's.
        let words: Vec<Word> = flow.after.iter().chain(&flow.then).copied().collect();
        if words.iter().any(|word| known.contains(word)) {
            continue;
        }
        let message = format!("no tool that can be called is any of {}, so this flow never decides", quoted(&words));
        lints.add(Code::P028, Severity::Warning, &format!("/flows/{index}"), message, None);
    }
}

pub(super) fn against(policy: &Policy, subjects: &[Subject<'_>], lints: &mut Lints<'_>) {
    let document = policy.document();
    let spoken: BTreeSet<Word> =
        document.flows.iter().flat_map(|flow| flow.after.iter().chain(&flow.then)).copied().collect();
    for (tool, verdict) in subjects {
        let Some((rules, verdict)) = document.tools.get(tool.name.as_str()).zip(*verdict) else { continue };
        if spoken.is_empty() || policy.appearance(tool.name.as_str()) != Visibility::Listed {
            continue;
        }
        let written = rules.flags.as_deref().unwrap_or(&[UNCLASSIFIED]);
        let missing = words_of(verdict).filter(|word| spoken.contains(word) && !written.contains(word));
        let missing: Vec<String> = missing.map(|word| format!("`{}`", word.as_str())).collect();
        if !missing.is_empty() {
            let pointer = format!("{}/flags", tool_pointer(tool.name.as_str()));
            let message = format!("the tool is {}, and `flows` do not know it", missing.join(", "));
            lints.add(Code::P029, Severity::Warning, &pointer, message, None);
        }
    }
}

/// The words of a verdict.
fn words_of(verdict: &Verdict) -> impl Iterator<Item = Word> {
    verdict.flags.iter().copied().map(Word::Flag).chain([Word::Category(verdict.category)])
}
