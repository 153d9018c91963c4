//! What a policy says about one tool, in words for a screen.

use super::compiled::{Policy, Visibility};
use super::condition::phrase;
use super::document::{Condition, Entry, Limit, Mode, Scope};
use super::flows::FlowRule;

/// Longest text that conditions are told in, in characters; the policy itself has the rest.
const RULE_CHARS_MAX: usize = 120;

impl Policy {
    /// The rules for a tool: `hidden`, `allowed`, or what a call is held to, such as `30 a minute`.
    pub fn in_words(&self, tool: &str) -> String {
        let document = self.document();
        let words = match self.appearance(tool) {
            Visibility::Hidden => "hidden".to_owned(),
            Visibility::Refused => "refused".to_owned(),
            Visibility::Listed => self.held_to(tool),
        };
        let mode = document.tools.get(tool).and_then(|rules| rules.mode).or(document.mode);
        if mode == Some(Mode::Shadow) { format!("{words}; not enforced, only logged (shadow mode)") } else { words }
    }

    fn held_to(&self, tool: &str) -> String {
        let document = self.document();
        let mut words = Vec::new();
        let rules = document.tools.get(tool);
        if self.asks_by_itself(tool) {
            let when = rules.and_then(|rules| rules.approval.as_ref()).map(|rules| joined(&rules.when));
            words.push(match when.filter(|when| !when.is_empty()) {
                Some(when) => format!("a person is asked if {when}"),
                None => "a person is asked each time".to_owned(),
            });
        }
        if let Some(rules) = rules {
            words.extend(rules.rate_limit.iter().map(|rate| limited(&rate.written_out(tool))));
            words.extend(rules.limits.iter().map(limited));
            words.extend(rules.require.iter().map(|entry| format!("only if {}", conditions(entry))));
            words.extend(rules.deny_if.iter().map(|entry| format!("not if {}", conditions(entry))));
            if rules.validate.is_some() {
                words.push("arguments as its schema says".to_owned());
            }
        }
        let following = self.rules_of(tool).map(|rules| &rules.following);
        words.extend(following.into_iter().flat_map(|following| following.sinks(&self.flows)).map(FlowRule::in_words));
        if words.is_empty() { "allowed".to_owned() } else { words.join(", ") }
    }

    /// The rules for every call, one text a rule: none where there is none.
    pub fn for_all_in_words(&self) -> Vec<String> {
        let all = &self.document().all_tools;
        let require = all.require.iter().map(|entry| format!("only if {}", conditions(entry)));
        let deny = all.deny_if.iter().map(|entry| format!("not if {}", conditions(entry)));
        all.limits.iter().map(limited).chain(require).chain(deny).collect()
    }
}

/// `30 a minute`, `at most 500 of args.amount a day for everyone`
fn limited(limit: &Limit) -> String {
    let who = match limit.scope {
        Scope::Grant => "",
        Scope::Session => " a session",
        Scope::Server => " for all who call it",
        Scope::Global => " for everyone",
    };
    let (max, window) = (limit.max, &limit.window);
    let window =
        if window.starts_with(|c: char| c.is_ascii_digit()) { format!("in {window}") } else { format!("a {window}") };
    match &limit.increment_from {
        None => format!("{max} {window}{who}"),
        Some(path) => format!("{path} of at most {max} {window}{who}"),
    }
}

fn conditions(entry: &Entry) -> String {
    joined(&entry.conditions)
}

fn joined(conditions: &[Condition]) -> String {
    let all: Vec<String> = conditions.iter().map(phrase).collect();
    crate::text::excerpt(&all.join(" and "), RULE_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use crate::parse;

    #[track_caller]
    fn check(rules: &str, expected: &str) {
        let text = format!(r#"{{"version": "1", "default": "deny", "hide": ["gone"], "tools": {{"t": {rules}}}}}"#);
        let policy = parse(&text, "p.json").unwrap();
        assert_eq!(policy.in_words("t"), expected);
        assert_eq!((policy.in_words("gone").as_str(), policy.in_words("other").as_str()), ("hidden", "hidden"));
    }

    #[test]
    fn rules_are_told_as_a_person_would() {
        check("{}", "allowed");
        check(r#"{"action": "deny"}"#, "refused");
        check(
            r#"{"action": "require_approval", "rate_limit": "10/minute"}"#,
            "a person is asked each time, 10 a minute",
        );
        check(
            r#"{"rate_limit": {"max": 3, "window": 90}, "validate": "schema"}"#,
            "3 in 90s, arguments as its schema says",
        );
        check(
            r#"{"require": [{"path": "args.to", "op": "ends_with", "value": "@example.com"}], "rate_limit": "30/minute"}"#,
            "30 a minute, only if `args.to` ends with \"@example.com\"",
        );
        check(
            r#"{"limits": [{"counter": "c", "window": "day", "max": 500, "scope": "server", "increment_from": "args.amount"}]}"#,
            "args.amount of at most 500 a day for all who call it",
        );
        check(r#"{"mode": "shadow"}"#, "allowed; not enforced, only logged (shadow mode)");
    }
}
