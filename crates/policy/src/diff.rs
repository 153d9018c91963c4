//! What a new policy lets pass that the old one did not, and the other way round.

mod flows;

use super::compiled::{Policy, Visibility};
use super::condition::phrase;
use super::decimal::Decimal;
use super::denial::DenialCode;
use super::document::{
    Condition, Document, Entry, Limit, Mode, Offers, Operator, Refund, Scope, ToolRules, UnknownMethods, Unlisted,
};
use super::doors::{Door, Opening};
use crate::mcp::protocol::Feature;
use serde::Serialize;
use std::collections::BTreeSet;

/// Which way something changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A tool that was always refused can now be called.
    Allowed,
    /// Something passes that did not, or may pass more often.
    Looser,
    /// Something is refused that passed, or may pass less often.
    Stricter,
    /// A tool that could be called is now always refused.
    Denied,
    /// The same calls pass, but something else is said about them.
    Reworded,
}

impl Direction {
    /// The word for tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Looser => "looser",
            Self::Stricter => "stricter",
            Self::Denied => "denied",
            Self::Reworded => "reworded",
        }
    }

    /// Whether more passes than before.
    pub const fn is_looser(self) -> bool {
        match self {
            Self::Allowed | Self::Looser => true,
            Self::Stricter | Self::Denied | Self::Reworded => false,
        }
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
pub struct Change {
    /// Which way.
    pub direction: Direction,
    /// The tool; empty: all tools.
    pub tool: String,
    /// What changed, in words.
    pub what: String,
}

/// Compares two policies, tool by tool: those that either names, and `tools`. A change that cannot be put in order shows
/// as both looser and stricter.
pub fn diff(old: &Policy, new: &Policy, tools: &BTreeSet<String>) -> Vec<Change> {
    let mut changes = Changes { tool: String::new(), found: BTreeSet::new() };
    changes.modes(old.document().mode, new.document().mode);
    changes.defaults(old.document().default, new.document().default);
    changes.doors(old, new);
    let (a, b) = (&old.document().all_tools, &new.document().all_tools);
    changes.entries(&a.require, &b.require, Stand::Require);
    changes.entries(&a.deny_if, &b.deny_if, Stand::Refuse);
    changes.limits(&a.limits, &b.limits);
    changes.flows(old.document(), new.document());
    let named = old.tool_names().into_iter().chain(new.tool_names()).map(str::to_owned);
    for tool in named.chain(tools.iter().cloned()).collect::<BTreeSet<_>>() {
        changes.tool.clone_from(&tool);
        changes.tool(old, new, &tool);
    }
    changes.found.into_iter().collect()
}

struct Changes {
    tool: String,
    found: BTreeSet<Change>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    Require,
    Refuse,
}

impl Changes {
    fn add(&mut self, direction: Direction, what: impl Into<String>) {
        self.found.insert(Change { direction, tool: self.tool.clone(), what: what.into() });
    }

    fn defaults(&mut self, old: Unlisted, new: Unlisted) {
        match (old, new) {
            (Unlisted::Deny, Unlisted::Allow) => self.add(Direction::Allowed, "tools that are not listed"),
            (Unlisted::Allow, Unlisted::Deny) => self.add(Direction::Denied, "tools that are not listed"),
            (Unlisted::Allow, Unlisted::Allow) | (Unlisted::Deny, Unlisted::Deny) => {}
        }
    }

    fn modes(&mut self, old: Option<Mode>, new: Option<Mode>) {
        match (old.unwrap_or(Mode::Enforce), new.unwrap_or(Mode::Enforce)) {
            (Mode::Enforce, Mode::Shadow) => self.add(Direction::Looser, "decisions are only logged (shadow mode)"),
            (Mode::Shadow, Mode::Enforce) => {
                self.add(Direction::Stricter, "decisions are enforced (shadow mode before)")
            }
            (Mode::Enforce, Mode::Enforce) | (Mode::Shadow, Mode::Shadow) => {}
        }
    }

    /// Resources, prompts, what the server may ask of the client, unknown methods.
    fn doors(&mut self, old: &Policy, new: &Policy) {
        for (what, door) in named_doors(old.document()).into_iter().chain(named_doors(new.document())) {
            let word = |policy: &Policy| match policy.opening(door.door()) {
                Opening::Open(_) => "allowed",
                Opening::Closed(denial) if denial.code == DenialCode::Hidden => "hidden",
                Opening::Closed(_) => "refused",
                Opening::Unsaid => "as the client is connected",
            };
            let (before, after) = (word(old), word(new));
            let direction = match (before, after) {
                (before, after) if before == after => continue,
                (_, "allowed") => Direction::Allowed,
                ("allowed", "as the client is connected") => Direction::Stricter,
                ("as the client is connected", _) | ("allowed", _) => Direction::Denied,
                (_, "as the client is connected") => Direction::Looser,
                (_, _) => Direction::Reworded,
            };
            self.add(direction, format!("{what}: was {before}, is {after}"));
        }
    }

    fn tool(&mut self, old: &Policy, new: &Policy, tool: &str) {
        let word = |policy: &Policy| match policy.appearance(tool) {
            Visibility::Listed => "can be called",
            Visibility::Refused => "always refused",
            Visibility::Hidden if policy.hides(tool) => "hidden",
            Visibility::Hidden => "not listed",
        };
        let open = |policy: &Policy| policy.appearance(tool) == Visibility::Listed;
        let none = ToolRules::default();
        let before = old.document().tools.get(tool).unwrap_or(&none);
        let after = new.document().tools.get(tool).unwrap_or(&none);
        self.modes(
            before.mode.or(old.document().mode).filter(|_| before.mode != after.mode),
            after.mode.or(new.document().mode).filter(|_| before.mode != after.mode),
        );
        match (open(old), open(new)) {
            (false, true) => {
                let limited =
                    if new.tools.get(tool).is_some_and(|rules| !rules.is_free()) { ", with rules" } else { "" };
                self.add(Direction::Allowed, format!("was {}{limited}", word(old)));
            }
            (true, false) => self.add(Direction::Denied, format!("is {}", word(new))),
            (false, false) if word(old) != word(new) => {
                self.add(Direction::Reworded, format!("was {}, is {}", word(old), word(new)));
            }
            (false, false) => {}
            (true, true) => {
                self.rules(tool, before, after);
                self.flags((old.document(), before), (new.document(), after));
            }
        }
    }

    fn rules(&mut self, tool: &str, old: &ToolRules, new: &ToolRules) {
        self.entries(&old.require, &new.require, Stand::Require);
        self.entries(&old.deny_if, &new.deny_if, Stand::Refuse);
        self.limits(&all_limits(tool, old), &all_limits(tool, new));
        match (old.validate, new.validate) {
            (Some(_), None) => self.add(Direction::Looser, "arguments are no longer held against the schema"),
            (None, Some(_)) => self.add(Direction::Stricter, "arguments are held against the schema"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let asks = |rules: &ToolRules| -> Option<Vec<Condition>> {
            let always = rules.action == Some(super::document::Action::RequireApproval);
            rules.approval.as_ref().map(|approval| approval.when.clone()).or_else(|| always.then(Vec::new))
        };
        match (asks(old), asks(new)) {
            (Some(_), None) => self.add(Direction::Looser, "no longer needs an approval"),
            (None, Some(_)) => self.add(Direction::Stricter, "needs an approval"),
            (Some(a), Some(b)) if a != b => match (a.is_empty(), b.is_empty()) {
                (true, false) => self.add(Direction::Looser, format!("needs an approval only if {}", joined(&b))),
                (false, true) => self.add(Direction::Stricter, "always needs an approval"),
                (true, true) | (false, false) => {
                    self.add(Direction::Looser, format!("no longer needs an approval if {}", joined(&a)));
                    self.add(Direction::Stricter, format!("needs an approval if {}", joined(&b)));
                }
            },
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn entries(&mut self, old: &[Entry], new: &[Entry], stand: Stand) {
        let gone: Vec<&Entry> = old.iter().filter(|entry| !holds(new, entry)).collect();
        let mut come: Vec<&Entry> = new.iter().filter(|entry| !holds(old, entry)).collect();
        for before in gone {
            let moved = come.iter().position(|after| bound(before, after, stand).is_some());
            match moved.map(|at| come.remove(at)) {
                Some(after) => {
                    if let Some(direction) = bound(before, after, stand) {
                        let verb = stand.verb();
                        let what =
                            format!("{verb} {} (before: {})", joined(&after.conditions), joined(&before.conditions));
                        self.add(direction, what);
                    }
                }
                None => {
                    self.add(Direction::Looser, format!("no longer {} {}", stand.verb(), joined(&before.conditions)))
                }
            }
        }
        for after in come {
            self.add(Direction::Stricter, format!("{} {}", stand.verb(), joined(&after.conditions)));
        }
        for entry in new {
            let words = |entry: &Entry| entry.on_deny.clone();
            let before = old.iter().find(|before| before.conditions == entry.conditions);
            if before.is_some_and(|before| words(before) != words(entry)) {
                self.add(
                    Direction::Reworded,
                    format!("another message where it {} {}", stand.verb(), joined(&entry.conditions)),
                );
            }
        }
    }

    fn limits(&mut self, old: &[Limit], new: &[Limit]) {
        let same = |a: &Limit, b: &Limit| {
            a.window == b.window && a.scope == b.scope && a.increment_from == b.increment_from && a.counter == b.counter
        };
        let shown = |limit: &Limit| {
            let what =
                limit.increment_from.as_deref().map_or_else(|| "calls".to_owned(), |path| format!("of `{path}`"));
            let scope =
                if limit.scope == Scope::Grant { String::new() } else { format!(", by {}", limit.scope.as_str()) };
            format!("{} {what} a {}{scope} (counter `{}`)", limit.max, limit.window, limit.counter)
        };
        for before in old {
            match new.iter().find(|after| same(before, after)) {
                Some(after) if after.max != before.max => {
                    let direction = if after.max > before.max { Direction::Looser } else { Direction::Stricter };
                    self.add(direction, format!("{}, before {}", shown(after), before.max));
                }
                Some(after) if after.refund != before.refund => {
                    let (direction, what) = match after.refund {
                        Some(Refund::Error) => (Direction::Looser, "an error gives a call back"),
                        None => (Direction::Stricter, "an error gives nothing back"),
                    };
                    self.add(direction, format!("{}: {what}", shown(after)));
                }
                Some(_) => {}
                None => self.add(Direction::Looser, format!("no longer limited to {}", shown(before))),
            }
        }
        for after in new.iter().filter(|after| !old.iter().any(|before| same(before, after))) {
            self.add(Direction::Stricter, format!("limited to {}", shown(after)));
        }
    }
}

impl Stand {
    fn verb(self) -> &'static str {
        match self {
            Self::Require => "requires that",
            Self::Refuse => "refuses if",
        }
    }
}

/// A door that a policy names, or that stands for all that none names.
enum NamedDoor {
    Resource(String),
    Template(String),
    Prompt(String),
    Client(Feature),
    Unknown(String),
}

impl NamedDoor {
    fn door(&self) -> Door<'_> {
        match self {
            Self::Resource(uri) => Door::Resource(uri),
            Self::Template(template) => Door::Template(template),
            Self::Prompt(name) => Door::Prompt(name),
            Self::Client(feature) => Door::Client(*feature),
            Self::Unknown(method) => Door::Unknown(method),
        }
    }
}

/// The doors that a policy names, each in words.
fn named_doors(document: &Document) -> Vec<(String, NamedDoor)> {
    // Names that no policy would have stand for all others.
    const OTHER: &str = "mcpol-other:";
    let mut doors = vec![
        ("other resources".to_owned(), NamedDoor::Resource(OTHER.to_owned())),
        ("other prompts".to_owned(), NamedDoor::Prompt(OTHER.to_owned())),
        ("other unknown methods".to_owned(), NamedDoor::Unknown(OTHER.to_owned())),
    ];
    doors.extend(Feature::ALL.map(|feature| (format!("`{}`", feature.as_str()), NamedDoor::Client(feature))));
    let entries = |offers: &Option<Offers>| match offers {
        Some(Offers::Some(lists)) => lists.allow.iter().flatten().chain(&lists.hide).cloned().collect(),
        Some(Offers::All(_)) | None => Vec::new(),
    };
    for entry in entries(&document.resources) {
        let door = match entry.strip_suffix('*') {
            Some(begin) => NamedDoor::Template(format!("{begin}{{x}}")),
            None => NamedDoor::Resource(entry.clone()),
        };
        doors.push((format!("resource `{entry}`"), door));
    }
    for entry in entries(&document.prompts) {
        let name = entry.strip_suffix('*').unwrap_or(&entry).to_owned();
        doors.push((format!("prompt `{entry}`"), NamedDoor::Prompt(name)));
    }
    if let Some(UnknownMethods::Some(methods)) = &document.unknown_methods {
        doors.extend(methods.iter().map(|name| (format!("method `{name}`"), NamedDoor::Unknown(name.clone()))));
    }
    doors
}

fn holds(list: &[Entry], entry: &Entry) -> bool {
    list.iter().any(|known| known.conditions == entry.conditions)
}

fn joined(conditions: &[Condition]) -> String {
    match conditions {
        [] => "always".to_owned(),
        many => many.iter().map(phrase).collect::<Vec<_>>().join(" and "),
    }
}

/// Which way a bound moved, if two entries differ in one number only.
fn bound(old: &Entry, new: &Entry, stand: Stand) -> Option<Direction> {
    let ([a], [b]) = (old.conditions.as_slice(), new.conditions.as_slice()) else { return None };
    if a.path != b.path || a.op != b.op {
        return None;
    }
    let (before, after) = (Decimal::parse(a.value.as_str())?, Decimal::parse(b.value.as_str())?);
    if before == after {
        return Some(Direction::Reworded);
    }
    // What satisfies the condition grows with the number for upper bounds and shrinks for lower ones.
    let grows = match a.op {
        Operator::Lt | Operator::Lte | Operator::LengthLte => after > before,
        Operator::Gt | Operator::Gte | Operator::LengthGte => after < before,
        _ => return None,
    };
    Some(match (grows, stand) {
        (true, Stand::Require) | (false, Stand::Refuse) => Direction::Looser,
        (false, Stand::Require) | (true, Stand::Refuse) => Direction::Stricter,
    })
}

/// A tool's limits with its rate among them.
fn all_limits(tool: &str, rules: &ToolRules) -> Vec<Limit> {
    let mut limits = rules.limits.clone();
    limits.extend(rules.rate_limit.as_ref().map(|rate| rate.written_out(tool)));
    limits
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at what should not happen")]
    use super::*;

    fn changes(old: &str, new: &str) -> Vec<String> {
        let read = |text: &str| super::super::parse(text, "p").unwrap();
        let found = diff(&read(old), &read(new), &BTreeSet::new());
        found.iter().map(|change| format!("{} {}: {}", change.direction.as_str(), change.tool, change.what)).collect()
    }

    fn check(old: &str, new: &str, expected: &[&str]) {
        let policy = |rules: &str| format!(r#"{{"version":"1","default":"deny","tools":{{"t":{rules}}}}}"#);
        let found = changes(&policy(old), &policy(new));
        assert_eq!(found.len(), expected.len(), "{old} {new}\n{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\n{expected}");
        }
    }

    #[test]
    fn what_flows_stop_has_its_direction() {
        let policy = |flows: &str, flags: &str| {
            format!(r#"{{"version":"1","default":"deny","flows":[{flows}],"tools":{{"t":{{"flags":[{flags}]}}}}}}"#)
        };
        let flow = |more: &str| format!(r#"{{"after":["untrusted_content"],"then":["egress"],{more}}}"#);
        let (ask, deny) = (flow(r#""action":"require_approval""#), flow(r#""action":"deny""#));
        let seen = flow(r#""action":"deny","seen":true"#);
        let long = flow(r#""action":"deny","within":"2h""#);
        let reason = flow(r#""action":"deny","reason":"no""#);
        let egress = r#""egress""#;
        for (old, new, expected) in [
            (policy(&deny, ""), policy(&deny, ""), ""),
            (policy(&format!("{ask},{seen}"), ""), policy(&format!("{ask},{seen}"), ""), ""),
            (policy(&ask, ""), policy(&format!("{ask},{seen}"), ""), "stricter : refuses calls of `egress` that name"),
            (policy("", ""), policy(&deny, ""), "stricter : refuses calls of `egress` after `untrusted_content`"),
            (policy(&deny, ""), policy("", ""), "looser : no longer refuses calls"),
            (policy(&deny, ""), policy(&ask, ""), "looser : asks a person about calls of `egress` after"),
            (policy(&ask, ""), policy(&deny, ""), "stricter : refuses calls"),
            (policy(&deny, ""), policy(&seen, ""), "looser : refuses calls of `egress` that name"),
            (policy(&deny, ""), policy(&long, ""), "stricter : refuses calls"),
            (policy(&deny, ""), policy(&reason, ""), "reworded : another reason"),
            (policy(&deny, egress), policy(&deny, ""), "looser t: flows no longer take it for `egress`"),
            (policy(&deny, ""), policy(&deny, egress), "stricter t: flows take it for `egress`"),
            (policy(&deny, ""), policy(&deny, r#""bulk""#), ""),
        ] {
            let found = changes(&old, &new);
            assert_eq!(found.len(), usize::from(!expected.is_empty()), "{old} {new} {found:?}");
            assert!(found.iter().all(|found| found.starts_with(expected)), "{found:?} {expected}");
        }
    }

    #[test]
    fn each_change_has_its_direction() {
        let over = |n: &str| format!(r#"{{"deny_if":[{{"path":"args.n","op":"gt","value":{n}}}]}}"#);
        let under = |n: &str| format!(r#"{{"require":[{{"path":"args.n","op":"lte","value":{n}}}]}}"#);
        let rate = |n: &str| format!(r#"{{"rate_limit":"{n}/minute"}}"#);
        for (old, new, expected) in [
            ("{}", "{}", &[][..]),
            (&*over("10"), &*over("20"), &["looser t: refuses if `args.n` is greater than 20 (before:"]),
            (&over("20"), &over("10"), &["stricter t: refuses if"]),
            (&over("10"), &over("10.0"), &["reworded t: refuses if"]),
            (&under("10"), &under("20"), &["looser t: requires that"]),
            (&under("20"), &under("10"), &["stricter t: requires that"]),
            ("{}", &over("10"), &["stricter t: refuses if"]),
            (&over("10"), "{}", &["looser t: no longer refuses if"]),
            (&rate("10"), &rate("20"), &["looser t: 20 calls a minute (counter `t_rate`), before 10"]),
            (&rate("10"), "{}", &["looser t: no longer limited to 10 calls"]),
            ("{}", &rate("10"), &["stricter t: limited to"]),
            ("{}", r#"{"action":"require_approval"}"#, &["stricter t: needs an approval"]),
            (
                r#"{"approval":{}}"#,
                r#"{"approval":{"when":[{"path":"args.n","op":"gt","value":1}]}}"#,
                &["looser t: needs an approval only if"],
            ),
            (r#"{"validate":"schema"}"#, "{}", &["looser t: arguments are no longer"]),
            ("{}", r#"{"mode":"shadow"}"#, &["looser t: decisions are only logged"]),
            ("{}", r#"{"action":"deny"}"#, &["denied t: is always refused"]),
            (r#"{"action":"deny"}"#, "{}", &["allowed t: was always refused"]),
            (r#"{"action":"deny"}"#, r#"{"action":"hide"}"#, &["reworded t: was always refused, is hidden"]),
            (
                r#"{"require":[{"path":"args.s","op":"regex","value":"^a$"}]}"#,
                r#"{"require":[{"path":"args.s","op":"regex","value":"^b$"}]}"#,
                &["looser t: no longer requires", "stricter t: requires"],
            ),
            (
                r#"{"deny_if":[{"conditions":[{"path":"args.s","op":"eq","value":1}],"on_deny":"a"}]}"#,
                r#"{"deny_if":[{"conditions":[{"path":"args.s","op":"eq","value":1}],"on_deny":"b"}]}"#,
                &["reworded t: another message"],
            ),
        ] {
            check(old, new, expected);
        }
    }

    #[test]
    fn doors_beside_tools_have_their_direction() {
        let policy = |members: &str| format!(r#"{{"version":"1","default":"deny"{members}}}"#);
        for (old, new, expected) in [
            ("", r#","resources":"deny""#, &[][..]),
            ("", r#","resources":{"allow":["a://1"]}"#, &["allowed : resource `a://1`: was refused, is allowed"]),
            (
                r#","resources":{"allow":["a://*"]}"#,
                r#","resources":{"allow":["a://*"],"hide":["a://x/*"]}"#,
                &["denied : resource `a://x/*`: was allowed, is hidden"],
            ),
            (r#","prompts":{"allow":["p*"]}"#, "", &["denied : prompt `p*`: was allowed, is refused"]),
            ("", r#","client":{"roots":"allow"}"#, &["allowed : `roots`: was as the client is connected, is allowed"]),
            (r#","client":{"elicitation":"deny"}"#, "", &["allowed : `elicitation`: was refused, is allowed"]),
            ("", r#","unknown_methods":["acme/x"]"#, &["allowed : method `acme/x`: was refused, is allowed"]),
        ] {
            assert_eq!(changes(&policy(old), &policy(new)), expected, "{old} {new}");
        }
    }

    #[test]
    fn an_error_that_gives_back_is_looser() {
        let limit = |refund: &str| format!(r#"{{"limits":[{{"counter":"c","window":"day","max":1{refund}}}]}}"#);
        check(&limit(""), &limit(r#","refund":"error""#), &["looser t: 1 calls a day (counter `c`): an error gives a"]);
        check(&limit(r#","refund":"error""#), &limit(""), &["stricter t: 1 calls a day (counter `c`): an error gives"]);
    }

    #[test]
    fn the_default_and_the_rules_for_all_count_too() {
        let found = changes(
            r#"{"version":"1","default":"deny","hide":["h"],"all_tools":{"limits":[{"counter":"c","window":"day","max":1}]},"tools":{"a":{}}}"#,
            r#"{"version":"1","default":"allow","mode":"shadow","tools":{"b":{}}}"#,
        );
        assert_eq!(
            found,
            [
                "allowed : `sampling`: was refused, is allowed",
                "allowed : other prompts: was refused, is allowed",
                "allowed : other resources: was refused, is allowed",
                "allowed : tools that are not listed",
                "allowed b: was not listed",
                "allowed h: was hidden",
                "looser : decisions are only logged (shadow mode)",
                "looser : no longer limited to 1 calls a day (counter `c`)",
            ]
        );
    }
}
