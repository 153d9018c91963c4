//! Rules that contradict each other, or that nothing ever reads.

use super::lints::{EntryList, Lints, tool_pointer};
use crate::code::Code;
use crate::compiled::Policy;
use crate::decimal::Decimal;
use crate::document::{Action, Condition, Entry, Mode, Operator, ToolRules};
use crate::model::Severity;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn check(policy: &Policy, lints: &mut Lints<'_>) {
    let document = policy.document();
    if document.mode == Some(Mode::Shadow) {
        shadow("/mode", lints);
    }
    let mut seen = BTreeSet::new();
    for (index, name) in document.hide.iter().enumerate() {
        let pointer = format!("/hide/{index}");
        if !seen.insert(name) {
            let message = format!("`{name}` is hidden twice");
            lints.add(Code::P018, Severity::Note, &pointer, message, None);
        }
        if document.tools.contains_key(name) {
            let message = format!("`{name}` is hidden, so its rules in `tools` are never read");
            let help = "remove it from one of the two".to_owned();
            lints.add(Code::P013, Severity::Warning, &tool_pointer(name), message, Some(help));
        }
    }
    let all = &document.all_tools;
    entries("/all_tools", &all.require, &all.deny_if, lints);
    for (name, rules) in &document.tools {
        let at = tool_pointer(name);
        if rules.mode == Some(Mode::Shadow) {
            shadow(&format!("{at}/mode"), lints);
        }
        action(&at, rules, lints);
        entries(&at, &rules.require, &rules.deny_if, lints);
        let require: Vec<&Entry> = rules.require.iter().chain(&all.require).collect();
        let deny_if: Vec<&Entry> = rules.deny_if.iter().chain(&all.deny_if).collect();
        contradictions(&at, &require, &deny_if, lints);
        never_after_refusal(&at, rules, lints);
    }
}

fn shadow(pointer: &str, lints: &mut Lints<'_>) {
    let message = "decisions are logged and not enforced".to_owned();
    let help = "set `\"mode\": \"enforce\"`, or remove it, when the log looks right".to_owned();
    lints.add(Code::P020, Severity::Warning, pointer, message, Some(help));
}

fn action(at: &str, rules: &ToolRules, lints: &mut Lints<'_>) {
    let others = !rules.require.is_empty()
        || !rules.deny_if.is_empty()
        || !rules.limits.is_empty()
        || rules.rate_limit.is_some()
        || rules.approval.is_some()
        || rules.validate.is_some();
    let (word, refuses) = match rules.action {
        Some(Action::Deny) => ("deny", true),
        Some(Action::Hide) => ("hide", true),
        Some(Action::Allow) => ("allow", false),
        Some(Action::RequireApproval) | None => return unused_reason(at, rules, lints),
    };
    if refuses && others {
        let message = format!("`\"action\": \"{word}\"` decides first, so the other rules of this tool are never read");
        lints.add(Code::P018, Severity::Warning, &format!("{at}/action"), message, None);
    }
    if word == "allow" && others {
        let message = "`\"action\": \"allow\"` adds nothing: the other rules of this tool still apply".to_owned();
        lints.add(Code::P018, Severity::Note, &format!("{at}/action"), message, None);
    }
    if word != "deny" {
        unused_reason(at, rules, lints);
    }
}

fn unused_reason(at: &str, rules: &ToolRules, lints: &mut Lints<'_>) {
    let used = matches!(rules.action, Some(Action::Deny | Action::RequireApproval)) || rules.approval.is_some();
    if rules.reason.is_some() && !used {
        let message = "nobody is ever told this reason".to_owned();
        let help = "`reason` goes with `\"action\": \"deny\"` or an approval; entries have `on_deny`".to_owned();
        lints.add(Code::P018, Severity::Note, &format!("{at}/reason"), message, Some(help));
    }
}

fn entries(at: &str, require: &[Entry], deny_if: &[Entry], lints: &mut Lints<'_>) {
    for (index, _) in require.iter().enumerate().filter(|(_, entry)| entry.conditions.is_empty()) {
        let message = "a requirement without conditions always holds".to_owned();
        let help = "to refuse every call, move it to `deny_if`".to_owned();
        lints.add(Code::P018, Severity::Warning, &format!("{at}/require/{index}"), message, Some(help));
    }
    if let Some(first) = deny_if.iter().position(|entry| entry.conditions.is_empty()) {
        for index in first + 1..deny_if.len() {
            let message = "an earlier entry without conditions refuses every call before this one is read".to_owned();
            lints.add(Code::P018, Severity::Warning, &format!("{at}/deny_if/{index}"), message, None);
        }
    }
    for list in EntryList::both(at, require, deny_if) {
        for (index, entry) in list.entries.iter().enumerate() {
            if !entry.conditions.is_empty()
                && list.entries[..index].iter().any(|earlier| earlier.conditions == entry.conditions)
            {
                let message = "an earlier entry has the same conditions".to_owned();
                lints.add(Code::P018, Severity::Note, &format!("{at}/{}/{index}", list.list), message, None);
            }
        }
        for (pointer, condition) in list.conditions() {
            if list.is_require() {
                denylist(&pointer, condition, require, lints);
            }
            anchors(&pointer, condition, list.is_require(), lints);
        }
    }
}

/// A requirement that only says what is not allowed: `["usd"]` and 5 are not `"usd"` either.
fn denylist(pointer: &str, condition: &Condition, require: &[Entry], lints: &mut Lints<'_>) {
    if !matches!(condition.op, Operator::Neq | Operator::NotIn) {
        return;
    }
    // Another condition that every call must satisfy may hold the argument to a type or to values.
    let holds = |other: &Condition| {
        other.path == condition.path && !matches!(other.op, Operator::Neq | Operator::NotIn | Operator::Exists)
    };
    if require.iter().flat_map(|entry| &entry.conditions).any(holds) {
        return;
    }
    let message = format!("`{}` in `require` passes a value of any other type", condition.op.as_str());
    let help = format!(
        "say what is allowed with `eq` or `in`, or add `{{\"path\": \"{}\", \"op\": \"type\", \"value\": \"string\"}}`",
        condition.path
    );
    lints.add(Code::P012, Severity::Warning, &format!("{pointer}/op"), message, Some(help));
}

/// What is required must match from end to end; what is refused may match anywhere, which is worth knowing.
fn anchors(pointer: &str, condition: &Condition, require: bool, lints: &mut Lints<'_>) {
    let allows = match condition.op {
        Operator::Regex => require,
        Operator::NotRegex => !require,
        _ => return,
    };
    let text: String = serde_json::from_str(condition.value.as_str()).unwrap_or_default();
    if is_anchored(&text) {
        return;
    }
    let pointer = format!("{pointer}/value");
    if allows {
        let message = "the expression may match anywhere, so text before and after it passes too".to_owned();
        let help = format!("anchor it at both ends: `^(?:{text})$`");
        lints.add(Code::P017, Severity::Warning, &pointer, message, Some(help));
    } else {
        let message = "the expression may match anywhere in the text".to_owned();
        lints.add(Code::P017, Severity::Note, &pointer, message, None);
    }
}

fn is_anchored(text: &str) -> bool {
    let Ok(hir) = regex_syntax::Parser::new().parse(text) else { return true };
    let (first, last) = (hir.properties().look_set_prefix(), hir.properties().look_set_suffix());
    first.contains(regex_syntax::hir::Look::Start) && last.contains(regex_syntax::hir::Look::End)
}

fn never_after_refusal(at: &str, rules: &ToolRules, lints: &mut Lints<'_>) {
    if !rules.deny_if.iter().any(|entry| entry.conditions.is_empty()) {
        return;
    }
    for (list, there) in [
        ("limits", !rules.limits.is_empty()),
        ("rate_limit", rules.rate_limit.is_some()),
        ("approval", rules.approval.is_some()),
    ] {
        if there {
            let message = "`deny_if` without conditions refuses every call before this is read".to_owned();
            lints.add(Code::P018, Severity::Warning, &format!("{at}/{list}"), message, None);
        }
    }
}

/// What one argument may be if every entry with a single condition is obeyed.
#[derive(Default)]
struct Allowed<'c> {
    least: Option<(Decimal, bool, &'c Condition)>,
    most: Option<(Decimal, bool, &'c Condition)>,
    present: Option<&'c Condition>,
    absent: Option<&'c Condition>,
}

fn contradictions(at: &str, require: &[&Entry], deny_if: &[&Entry], lints: &mut Lints<'_>) {
    let single = |entry: &&Entry| match entry.conditions.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    };
    let required: Vec<Condition> = require.iter().filter_map(single).collect();
    let refused: Vec<Condition> = deny_if.iter().filter_map(single).collect();
    let mut by_path: BTreeMap<&str, Allowed<'_>> = BTreeMap::new();
    for condition in &required {
        by_path.entry(&condition.path).or_default().require(condition);
    }
    for condition in &refused {
        by_path.entry(&condition.path).or_default().refuse(condition);
    }
    let conflict = required.iter().find(|condition| refused.contains(condition)).map(|c| (c, c));
    let conflict = conflict.or_else(|| by_path.values().find_map(Allowed::conflict));
    if let Some((a, b)) = conflict {
        let what = |condition: &Condition| crate::condition::phrase(condition);
        let message = match a == b {
            true => format!("no call can pass: {} is required and refused", what(a)),
            false => format!(
                "no call can pass: the rules about whether {} and whether {} contradict each other",
                what(a),
                what(b)
            ),
        };
        lints.add(Code::P011, Severity::Error, at, message, None);
    }
}

impl<'c> Allowed<'c> {
    fn require(&mut self, condition: &'c Condition) {
        let number = Decimal::parse(condition.value.as_str());
        match (condition.op, number) {
            (Operator::Gt, Some(n)) => self.at_least(n, false, condition),
            (Operator::Gte, Some(n)) => self.at_least(n, true, condition),
            (Operator::Lt, Some(n)) => self.at_most(n, false, condition),
            (Operator::Lte, Some(n)) => self.at_most(n, true, condition),
            (Operator::Eq, Some(n)) => {
                self.at_least(n.clone(), true, condition);
                self.at_most(n, true, condition);
            }
            (Operator::Exists, _) if condition.value.as_str() == "false" => self.absent = Some(condition),
            _ => {}
        }
        // A requirement on a value is one on its presence.
        if condition.op != Operator::Exists || condition.value.as_str() == "true" {
            self.present = Some(condition);
        }
    }

    fn refuse(&mut self, condition: &'c Condition) {
        let number = Decimal::parse(condition.value.as_str());
        match (condition.op, number) {
            (Operator::Gt, Some(n)) => self.at_most(n, true, condition),
            (Operator::Gte, Some(n)) => self.at_most(n, false, condition),
            (Operator::Lt, Some(n)) => self.at_least(n, true, condition),
            (Operator::Lte, Some(n)) => self.at_least(n, false, condition),
            (Operator::Exists, _) if condition.value.as_str() == "true" => self.absent = Some(condition),
            _ => {}
        }
    }

    fn at_least(&mut self, number: Decimal, inclusive: bool, condition: &'c Condition) {
        let tighter =
            self.least.as_ref().is_none_or(|(known, _, _)| number > *known || (number == *known && !inclusive));
        if tighter {
            self.least = Some((number, inclusive, condition));
        }
    }

    fn at_most(&mut self, number: Decimal, inclusive: bool, condition: &'c Condition) {
        let tighter =
            self.most.as_ref().is_none_or(|(known, _, _)| number < *known || (number == *known && !inclusive));
        if tighter {
            self.most = Some((number, inclusive, condition));
        }
    }

    /// Two conditions that no value satisfies together, if the argument has to be there.
    fn conflict(&self) -> Option<(&'c Condition, &'c Condition)> {
        if let (Some(a), Some(b)) = (self.present, self.absent) {
            return Some((a, b));
        }
        let ((low, low_in, a), (high, high_in, b)) = (self.least.as_ref()?, self.most.as_ref()?);
        let empty = low > high || (low == high && !(*low_in && *high_in));
        (empty && self.present.is_some()).then_some((a, b))
    }
}
