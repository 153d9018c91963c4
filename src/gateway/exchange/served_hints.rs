//! The hints of tools that clients are served where the server declares none, or the wrong ones. What the lock compares
//! and approvals are bound to stays what the server sent.

use super::note::Note;
use super::view::LISTED_TOOLS_MAX;
use crate::classify::annotated::{Filling, HintChange, annotated};
use crate::classify::hints::advise;
use crate::classify::settings::{Applied, Date, Settings};
use crate::classify::{Options, RuleSet, classify};
use crate::clock::Timestamp;
use crate::mcp::walk::{elements, member};
use crate::model::{Extras, Listing, ServerName, ServerSource, ToolDefinition};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// How the hints of one server's tools are filled in, if they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintPlan {
    /// Which hints.
    pub filling: Filling,
    /// What the people of the project know better than the rules; checked against them.
    pub settings: Arc<Settings>,
}

impl HintPlan {
    /// What clients are served, in a few words for the operator.
    pub fn in_words(&self) -> &'static str {
        match self.filling {
            Filling::Missing => "missing hints of tools are filled in",
            Filling::Wrong => "missing and wrong hints of tools are filled in",
        }
    }
}

/// What is put into the lists of one server.
#[derive(Debug)]
pub struct ServedHints {
    plan: HintPlan,
    rules: Cow<'static, RuleSet>,
    /// By which overrides of the settings end.
    clock: fn() -> Timestamp,
    /// Hashes of the changes that are in the log, each of a tool and its hints in words; at most [`TOLD_MAX`].
    told: Mutex<BTreeSet<[u8; 32]>>,
}

/// Most changes of one server's tools that are noted; tools beyond get no hints.
const TOLD_MAX: usize = LISTED_TOOLS_MAX;

impl ServedHints {
    /// Hints by this plan; `clock` tells the time.
    pub fn new(plan: HintPlan, clock: fn() -> Timestamp) -> Self {
        let off = plan.settings.rule_layer();
        let layered = if off.is_empty() { None } else { RuleSet::layered(&[&[("mcpol.toml", &off)]]).ok() };
        let rules = layered.map_or_else(|| Cow::Borrowed(RuleSet::builtin()), Cow::Owned);
        Self { plan, rules, clock, told: Mutex::default() }
    }

    /// The plan that it was made from.
    pub fn plan(&self) -> &HintPlan {
        &self.plan
    }

    /// Whether a list that comes again gets the same hints on another day.
    pub fn is_lasting(&self) -> bool {
        self.plan.settings.overrides.iter().all(|it| it.expires.is_none())
    }

    /// A page of tools with its hints; `None` where nothing changes. `sent` is the page as the server sent it, by all of
    /// whose tools each is judged, and `shown` what the client may see of it; both were scanned before.
    pub fn fill(&self, server: &str, sent: &str, shown: &str, notes: &mut Vec<Note>) -> Option<String> {
        let changes = self.changes(server, sent);
        let (tools, list) = member(shown, "tools")?;
        let (mut out, mut at) = (String::with_capacity(shown.len()), 0);
        for element in elements(tools) {
            let definition = &tools[element.clone()];
            let Some(changes) = changes.get(definition).filter(|changes| !changes.is_empty()) else { continue };
            let Some(instead) = annotated(definition, changes, None) else { continue };
            // What cannot be told is not done.
            if !self.tell(definition, changes, notes) {
                continue;
            }
            out.push_str(&shown[at..list.start + element.start]);
            out.push_str(&instead);
            at = list.start + element.end;
        }
        (at > 0).then(|| out + &shown[at..])
    }

    /// What each definition of a page gets.
    fn changes<'s>(&self, server: &str, sent: &'s str) -> BTreeMap<&'s str, Vec<HintChange>> {
        let (tools, _) = member(sent, "tools").unwrap_or_default();
        let read = |definition: &'s str| {
            let raw: &RawValue = serde_json::from_str(definition).ok()?;
            Some((definition, ToolDefinition::parse(raw).ok()?))
        };
        let (definitions, tools): (Vec<&str>, Vec<_>) =
            elements(tools).filter_map(|element| read(&tools[element])).unzip();
        // What a tool deserves must not rest on what it claims.
        let options = Options { ignore_annotations: true, ..Options::default() };
        let mut classified = classify(&self.rules, listing(server, tools), &options);
        let today = Date::of((self.clock)());
        self.plan.settings.apply(today, &mut classified, &options, &mut Applied::default());
        let judged = classified.listing.tools.iter().zip(&classified.verdicts);
        let changes = judged.map(|(tool, verdict)| advise(tool, verdict).changes(self.plan.filling));
        definitions.into_iter().zip(changes).collect()
    }

    /// Notes a change for the log, once; `false` where no more can be noted.
    fn tell(&self, definition: &str, changes: &[HintChange], notes: &mut Vec<Note>) -> bool {
        let tool = member(definition, "name").and_then(|(name, _)| crate::mcp::json::string_value(name));
        let (tool, words) = (tool.unwrap_or_default(), in_words(changes));
        let change = Sha256::digest(format!("{tool}\0{words}")).into();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(&change) {
            return true;
        }
        if told.len() >= TOLD_MAX {
            return false;
        }
        told.insert(change);
        notes.push(Note::Hinted(tool.into_owned(), words));
        true
    }
}

/// `readOnlyHint: false (declared true), idempotentHint: true`.
fn in_words(changes: &[HintChange]) -> String {
    let words = changes.iter().map(|change| {
        let declared = change.declared.map_or_else(String::new, |declared| format!(" (declared {declared})"));
        format!("{}: {}{declared}", change.hint.as_str(), change.value)
    });
    words.collect::<Vec<_>>().join(", ")
}

fn listing(server: &str, tools: Vec<ToolDefinition>) -> Listing {
    Listing {
        server: ServerName::new(server),
        source: ServerSource::File { path: String::new(), package: None },
        protocol_version: None,
        server_info: None,
        greeting: None,
        capabilities: None,
        client_capabilities: None,
        instructions: None,
        tools,
        unreadable: 0,
        extras: Extras::not_recorded(),
        notes: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = r#"{"tools":[{"name":"list_zones","description":"List all time zones"},{"name":"delete_note","description":"Delete a note","annotations":{"readOnlyHint":true}},{"name":"frobnicator"}]}"#;

    fn hints(filling: Filling, settings: &str) -> ServedHints {
        let rules = RuleSet::builtin().rules().map(|rule| rule.id).collect();
        let settings = Settings::parse("mcpol.toml", settings, &rules).unwrap_or_default();
        ServedHints::new(HintPlan { filling, settings: Arc::new(settings) }, || Timestamp::from_millis(0))
    }

    fn check(hints: &ServedHints, expected: [Option<bool>; 2]) {
        let filled = hints.fill("s", SENT, SENT, &mut Vec::new()).unwrap_or_default();
        let page: serde_json::Value = serde_json::from_str(&filled).unwrap_or_default();
        let read_only = |tool: usize| page["tools"][tool]["annotations"]["readOnlyHint"].as_bool();
        assert_eq!([read_only(0), read_only(1)], expected, "{filled}");
        assert!(page["tools"][2].get("annotations").is_none(), "nothing is claimed of what says nothing: {filled}");
    }

    #[test]
    fn missing_hints_are_filled_in_and_wrong_ones_replaced_where_that_is_asked_for() {
        check(&hints(Filling::Missing, ""), [Some(true), Some(true)]);
        check(&hints(Filling::Wrong, ""), [Some(true), Some(false)]);
    }

    #[test]
    fn what_a_person_corrected_is_believed_until_its_day_is_over() {
        let settings = "[[override]]\nserver = \"s\"\ntool = \"list_zones\"\ncategory = \"Write\"\nreason = \"It logs.\"\nexpires = \"1970-01-10\"\n";
        let mut hints = hints(Filling::Missing, settings);
        check(&hints, [Some(false), Some(true)]);
        hints.clock = || Timestamp::from_millis(20 * 86_400_000);
        check(&hints, [Some(true), Some(true)]);
        assert!(!hints.is_lasting() && self::hints(Filling::Missing, "").is_lasting());
    }

    #[test]
    fn every_change_is_told_once_and_what_cannot_be_told_is_not_done() {
        let hints = hints(Filling::Missing, "");
        let mut notes = Vec::new();
        for _ in 0..2 {
            assert!(hints.fill("s", SENT, SENT, &mut notes).is_some());
        }
        let words = "readOnlyHint: true, destructiveHint: false, openWorldHint: false".to_owned();
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert_eq!(notes[0], Note::Hinted("list_zones".to_owned(), words));
        let many = (0..TOLD_MAX).map(|number| <[u8; 32]>::from(Sha256::digest(number.to_string())));
        hints.told.lock().unwrap_or_else(PoisonError::into_inner).extend(many);
        let page = r#"{"tools":[{"name":"list_more","description":"List all time zones"}]}"#;
        assert_eq!(hints.fill("s", page, page, &mut notes), None);
        assert!(hints.fill("s", SENT, SENT, &mut notes).is_some(), "what was told goes on");
    }

    #[test]
    fn only_what_the_client_may_see_is_changed() {
        let hints = hints(Filling::Wrong, "");
        let shown = r#"{"tools":[{"name":"delete_note","description":"Delete a note","annotations":{"readOnlyHint":true}}],"nextCursor":"2"}"#;
        let filled = hints.fill("s", SENT, shown, &mut Vec::new());
        let expected = r#"{"tools":[{"name":"delete_note","description":"Delete a note","annotations":{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":true,"openWorldHint":false}}],"nextCursor":"2"}"#;
        assert_eq!(filled.as_deref(), Some(expected));
        assert_eq!(hints.fill("s", SENT, r#"{"tools":[]}"#, &mut Vec::new()), None);
    }
}
