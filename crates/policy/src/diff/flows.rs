//! Rules about the course of a session that came or went, and what they take tools for.

use super::{Changes, Direction};
use crate::document::{Document, ToolRules};
use crate::flows::within_seconds;
use crate::model::Flag;
use crate::word::{Flow, FlowAction, Word};
use std::collections::BTreeSet;

impl Changes {
    /// Flows that came, went, or say something else.
    pub(super) fn flows(&mut self, old: &Document, new: &Document) {
        let mut come: Vec<&Flow> = new.flows.iter().collect();
        // Those that say the same first: each has one partner.
        let mut gone: Vec<&Flow> = old.flows.iter().collect();
        gone.retain(|before| match come.iter().position(|after| after == before) {
            Some(at) => {
                come.remove(at);
                false
            }
            None => true,
        });
        for before in gone {
            match come.iter().position(|after| before.after == after.after && before.then == after.then) {
                Some(at) => self.flow(before, come.remove(at)),
                None => self.add(Direction::Looser, format!("no longer {}", in_words(before))),
            }
        }
        come.into_iter().for_each(|after| self.add(Direction::Stricter, in_words(after)));
    }

    fn flow(&mut self, old: &Flow, new: &Flow) {
        let within = |flow: &Flow| within_seconds(flow.within.as_deref());
        let directions = [
            match (old.action, new.action) {
                (FlowAction::Deny, FlowAction::RequireApproval) => Some(Direction::Looser),
                (FlowAction::RequireApproval, FlowAction::Deny) => Some(Direction::Stricter),
                (FlowAction::Deny, FlowAction::Deny) | (FlowAction::RequireApproval, FlowAction::RequireApproval) => {
                    None
                }
            },
            match (old.seen, new.seen) {
                (false, true) => Some(Direction::Looser),
                (true, false) => Some(Direction::Stricter),
                (true, true) | (false, false) => None,
            },
            match within(old).cmp(&within(new)) {
                std::cmp::Ordering::Greater => Some(Direction::Looser),
                std::cmp::Ordering::Less => Some(Direction::Stricter),
                std::cmp::Ordering::Equal => None,
            },
        ];
        for direction in directions.into_iter().flatten().collect::<BTreeSet<_>>() {
            self.add(direction, format!("{} (before: {})", in_words(new), in_words(old)));
        }
        if old.reason != new.reason && directions.iter().all(Option::is_none) {
            self.add(Direction::Reworded, format!("another reason where it {}", in_words(new)));
        }
    }

    /// What flows take a tool for, as far as one of either policy speaks of it.
    pub(super) fn flags(&mut self, old: (&Document, &ToolRules), new: (&Document, &ToolRules)) {
        let spoken = |document: &Document| -> BTreeSet<Word> {
            document.flows.iter().flat_map(|flow| flow.after.iter().chain(&flow.then)).copied().collect()
        };
        let of = |(document, rules): (&Document, &ToolRules)| -> BTreeSet<Word> {
            let flags = rules.flags.clone().unwrap_or_else(|| vec![Word::Flag(Flag::Unclassified)]);
            let spoken = spoken(document);
            flags.into_iter().filter(|word| spoken.contains(word)).collect()
        };
        if old.0.flows.is_empty() || new.0.flows.is_empty() {
            // Flows that came or went are said already.
            return;
        }
        let (before, after) = (of(old), of(new));
        for word in before.difference(&after) {
            self.add(Direction::Looser, format!("flows no longer take it for `{}`", word.as_str()));
        }
        for word in after.difference(&before) {
            self.add(Direction::Stricter, format!("flows take it for `{}`", word.as_str()));
        }
    }
}

fn in_words(flow: &Flow) -> String {
    let joined = |words: &[Word], between: &str| {
        words.iter().map(|word| format!("`{}`", word.as_str())).collect::<Vec<_>>().join(between)
    };
    let verb = match flow.action {
        FlowAction::RequireApproval => "asks a person about",
        FlowAction::Deny => "refuses",
    };
    let seen = if flow.seen { " that name what these returned" } else { "" };
    let within = flow.within.as_deref().map(|within| format!(" (without sessions for {within})")).unwrap_or_default();
    format!("{verb} calls of {}{seen} after {}{within}", joined(&flow.then, " or "), joined(&flow.after, " and "))
}
