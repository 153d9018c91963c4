//! What stands in a policy for people and editors only: `$schema`, `description`, `comment`.

use crate::json::{Json, Node};

/// The members of the document that are for people and editors.
pub(super) const OF_DOCUMENT: [&str; 3] = ["$schema", "description", "comment"];

/// Takes them out, so that they are no part of the policy's hash: what was approved under one wording is approved under
/// the other.
pub(super) fn strip(root: &mut Node<'_>) {
    without(root, &OF_DOCUMENT);
    let Json::Object(members) = &mut root.json else { return };
    for member in members {
        match (&*member.name, &mut member.value.json) {
            ("flows", Json::Array(flows)) => flows.iter_mut().for_each(|flow| without(flow, &["comment"])),
            ("all_tools", _) => rules(&mut member.value),
            ("tools", Json::Object(tools)) => {
                for tool in tools {
                    without(&mut tool.value, &["comment"]);
                    rules(&mut tool.value);
                }
            }
            _ => {}
        }
    }
}

fn rules(node: &mut Node<'_>) {
    let Json::Object(members) = &mut node.json else { return };
    for member in members {
        if let ("require" | "deny_if" | "limits", Json::Array(items)) = (&*member.name, &mut member.value.json) {
            items.iter_mut().for_each(|item| without(item, &["comment"]));
        }
    }
}

fn without(node: &mut Node<'_>, names: &[&str]) {
    if let Json::Object(members) = &mut node.json {
        members.retain(|member| !names.contains(&&*member.name));
    }
}
