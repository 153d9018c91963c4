//! Which parts of a policy are ours alone.

use super::lints::{EntryList, Lints, tool_pointer};
use crate::code::Code;
use crate::document::{Document, Limit};
use crate::model::Severity;

pub(super) fn check(document: &Document, lints: &mut Lints<'_>) {
    let mut ours = |pointer: &str, what: &str| {
        lints.add(Code::P015, Severity::Error, pointer, format!("{what} is known to mcpol only"), None);
    };
    if document.mode.is_some() {
        ours("/mode", "`mode`");
    }
    for (member, is_there) in [
        ("$schema", document.schema.is_some()),
        ("description", document.description.is_some()),
        ("comment", document.comment.is_some()),
        ("resources", document.resources.is_some()),
        ("prompts", document.prompts.is_some()),
        ("client", !document.client.is_empty()),
        ("unknown_methods", document.unknown_methods.is_some()),
        ("flows", !document.flows.is_empty()),
    ] {
        if is_there {
            ours(&format!("/{member}"), &format!("`{member}`"));
        }
    }
    let all = &document.all_tools;
    for (list, entries) in [("require", &all.require), ("deny_if", &all.deny_if)] {
        if !entries.is_empty() {
            ours(&format!("/all_tools/{list}"), &format!("`{list}` for all tools"));
        }
    }
    let limits = |at: &str, limits: &[Limit], ours: &mut dyn FnMut(&str, &str)| {
        for (index, limit) in limits.iter().enumerate() {
            if limit.comment.is_some() {
                ours(&format!("{at}/limits/{index}/comment"), "`comment`");
            }
            if limit.refund.is_some() {
                ours(&format!("{at}/limits/{index}/refund"), "`refund`");
            }
            if limit.scale > 0 {
                ours(&format!("{at}/limits/{index}/scale"), "`scale`");
            }
        }
    };
    limits("/all_tools", &all.limits, &mut ours);
    for (name, rules) in &document.tools {
        let at = tool_pointer(name);
        let members = [
            ("action", rules.action.is_some()),
            ("reason", rules.reason.is_some()),
            ("rate_limit", rules.rate_limit.is_some()),
            ("approval", rules.approval.is_some()),
            ("validate", rules.validate.is_some()),
            ("mode", rules.mode.is_some()),
            ("flags", rules.flags.is_some()),
            ("comment", rules.comment.is_some()),
        ];
        for (member, _) in members.iter().filter(|(_, there)| *there) {
            ours(&format!("{at}/{member}"), &format!("`{member}`"));
        }
        limits(&at, &rules.limits, &mut ours);
        for list in EntryList::both(&at, &rules.require, &rules.deny_if) {
            for (index, _) in list.entries.iter().enumerate().filter(|(_, entry)| entry.comment.is_some()) {
                ours(&format!("{at}/{}/{index}/comment", list.list), "`comment`");
            }
            for (pointer, condition) in list.conditions().filter(|(_, condition)| !condition.op.is_portable()) {
                ours(&format!("{pointer}/op"), &format!("operator `{}`", condition.op.as_str()));
            }
        }
    }
}
