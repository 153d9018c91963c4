//! One definition before and now, part by part.

use super::annotations;
use super::class::{Reasons, by_schema, of_session};
use super::compare::{Comparison, all_text};
use super::finding::Anchor;
use super::opening::{Meaning, Opening};
use super::schema::{self, Change, Direction, Kind};
use super::words::{changes as in_words, listed, name};
use crate::catalog::LockedTool;
use crate::code::Code;
use crate::model::{Confidence, Severity};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Comparison<'_> {
    /// Every part of a definition that changed; what of it may explain another class goes to `reasons`.
    pub(super) fn definition(
        &mut self,
        was: &LockedTool,
        now: &LockedTool,
        changes: Vec<Change>,
        reasons: &mut Reasons,
    ) {
        let (old, new) = (was.parts(), now.parts());
        // Text may hide in the layout, which is no word.
        let texts = (all_text(&old), all_text(&new));
        let (old, new) = (old.as_read(), new.as_read());
        if old.title != new.title {
            let what = match (&old.title, &new.title) {
                (None, _) => "has a title now",
                (_, None) => "has no title any more",
                (Some(_), Some(_)) => "has another title",
            };
            let message = format!("{} {what}", name(&now.name));
            let drift = self.add(Code::D012, Severity::Note, now, message);
            drift.say(text_of(&old.title), text_of(&new.title));
            drift.anchor = Anchor::tool(&was.name, "definition/title");
        }
        if old.description != new.description {
            let message = format!("{} is described in other words", name(&now.name));
            let drift = self.add(Code::D010, Severity::Note, now, message);
            drift.say(text_of(&old.description), text_of(&new.description));
            drift.anchor = Anchor::tool(&was.name, "definition/description");
            reasons.others.push("is described in other words".to_owned());
        }
        if old.input_schema != new.input_schema {
            self.input(was, now, changes, reasons);
        }
        if old.output_schema != new.output_schema {
            let changes = schema::compare(old.output_schema.as_ref(), new.output_schema.as_ref());
            let what = match (&old.output_schema, &new.output_schema) {
                (None, Some(_)) => "declares what it returns".to_owned(),
                (Some(_), None) => "no longer declares what it returns".to_owned(),
                _ => format!("returns something else: {}", listed(changes.iter().map(output_in_words), ", ")),
            };
            let drift = self.add(Code::D023, Severity::Note, now, format!("{} {what}", name(&now.name)));
            if old.output_schema.is_some() && new.output_schema.is_some() {
                drift.listed = changes.into_iter().map(|change| change.path).collect();
            }
            drift.anchor = Anchor::tool(&was.name, "definition/outputSchema");
        }
        if old.annotations != new.annotations {
            self.annotations(was, now, (old.annotations.as_ref(), new.annotations.as_ref()), reasons);
        }
        if old.other != new.other {
            let keys: BTreeSet<_> = old.other.keys().chain(new.other.keys()).collect();
            let changed: Vec<_> = keys.into_iter().filter(|key| old.other.get(*key) != new.other.get(*key)).collect();
            let text = |other: &serde_json::Map<String, Value>| {
                let values = changed.iter().filter_map(|key| other.get(*key));
                values.map(Value::to_string).collect::<Vec<_>>().join(" ")
            };
            let (before, after) = (text(&old.other), text(&new.other));
            let keys = listed(changed.iter().map(|key| name(key)), ", ");
            let drift = self.add(Code::D042, Severity::Note, now, format!("{} changed {keys}", name(&now.name)));
            drift.say(&before, &after);
            drift.anchor = Anchor::tool(&was.name, "definition");
            reasons.others.push(format!("changed {keys}"));
        }
        self.cues(&texts.0, &texts.1, Some(now), Severity::Note);
    }

    fn annotations(
        &mut self,
        was: &LockedTool,
        now: &LockedTool,
        (old, new): (Option<&Value>, Option<&Value>),
        reasons: &mut Reasons,
    ) {
        reasons.repeated = annotations::repeated(old, new);
        for (code, what) in annotations::compare(old, new) {
            let (least, worst) = code.severities();
            // A safer claim that agrees with what the definition shows is the server catching up with itself.
            let judged = self.verdict(now);
            // A place to save to, or a statement to run, contradicts the claim to read whatever the words are worth.
            let reads = new.and_then(|hints| hints.get("readOnlyHint")) == Some(&Value::Bool(true));
            let sure = judged
                .is_none_or(|verdict| verdict.confidence == Confidence::High || (reads && by_schema(now, verdict)));
            let agrees = code == Code::D040 && (!sure || of_session(now, judged) || annotations::agrees(new, now));
            let harmless = code == Code::D041 && annotations::only_repeats(old, new);
            let severity = if agrees || harmless { least } else { worst };
            let drift = self.add(code, severity, now, format!("{} {what}", name(&now.name)));
            drift.tomorrow = match code {
                Code::D040 if !agrees => "clients may call it without asking".to_owned(),
                _ => String::new(),
            };
            drift.anchor = Anchor::tool(&was.name, "definition/annotations");
            match code {
                Code::D041 => reasons.claims.push(what),
                _ => reasons.others.push(what),
            }
        }
    }

    fn input(&mut self, was: &LockedTool, now: &LockedTool, changes: Vec<Change>, reasons: &mut Reasons) {
        let opening = Opening::new(was, now);
        let (texts, changes): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| matches!(change.kind, Kind::Text { .. }));
        let mut alone: BTreeMap<(Code, Severity, bool), Vec<(Change, Meaning)>> = BTreeMap::new();
        for change in changes {
            let meaning = opening.meaning(&change);
            let code = match change.direction {
                Direction::Opened => Code::D020,
                Direction::Narrowed => Code::D021,
                Direction::Same => Code::D022,
            };
            if self.is_shared(&change) {
                self.changed(was, now, (code, meaning.severity), &opening, vec![(change, meaning)], reasons);
            } else {
                alone.entry((code, meaning.severity, meaning.is_guard)).or_default().push((change, meaning));
            }
        }
        for ((code, severity, _), changes) in alone {
            self.changed(was, now, (code, severity), &opening, changes, reasons);
        }
        self.described(was, now, texts);
    }

    /// Changes of one code and severity as one finding.
    fn changed(
        &mut self,
        was: &LockedTool,
        now: &LockedTool,
        (code, severity): (Code, Severity),
        opening: &Opening,
        changes: Vec<(Change, Meaning)>,
        reasons: &mut Reasons,
    ) {
        let (changes, meanings): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        let what = in_words(&changes);
        let can: BTreeSet<_> = meanings.iter().flat_map(|meaning| &meaning.can).collect();
        let acts = listed(meanings.iter().flat_map(|meaning| &meaning.acts).map(|act| name(act)), ", ");
        let can = can.into_iter().map(|hazard| hazard.in_words().to_owned());
        let can = listed(can.chain((!acts.is_empty()).then(|| format!("have it do {acts}"))), ", ");
        let quotes = opening.quotes(&changes);
        let is_guard = meanings.iter().any(|meaning| meaning.is_guard);
        let drift = self.add(code, severity, now, format!("{} {what}", name(&now.name)));
        drift.anchor = Anchor::tool(&was.name, "definition/inputSchema");
        let tomorrow = match (is_guard, can.is_empty(), code, severity) {
            (true, _, _, _) => "good news: it can hold a call back or try it out first".to_owned(),
            (false, false, _, _) => format!("an agent can {can}"),
            (false, true, Code::D020, Severity::Warning | Severity::Error) if quotes.is_empty() => {
                "calls pass that were refused before".to_owned()
            }
            (false, true, Code::D022, Severity::Warning | Severity::Error) => {
                "a call that leaves it out does something else now".to_owned()
            }
            (false, true, _, _) => String::new(),
        };
        let parts = [tomorrow, quotes];
        drift.tomorrow = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        if code == Code::D020 {
            reasons.openings.push((severity, what));
        } else {
            reasons.others.push(what);
        }
        drift.changes = changes;
    }

    /// What is said of parameters: descriptions, and the titles of schemas, which most libraries make up.
    fn described(&mut self, was: &LockedTool, now: &LockedTool, texts: Vec<Change>) {
        let is_title = |change: &Change| matches!(&change.kind, Kind::Text { keyword, .. } if keyword == "title");
        let (titles, descriptions): (Vec<_>, Vec<_>) = texts.into_iter().partition(is_title);
        for (code, texts, what) in [(Code::D010, descriptions, "in other words"), (Code::D012, titles, "")] {
            if texts.is_empty() {
                continue;
            }
            let place = |path: &str| if path.is_empty() { "the arguments".to_owned() } else { name(path) };
            let places: BTreeSet<_> = texts.iter().map(|change| place(&change.path)).collect();
            let places = listed(places, ", ");
            let what = match code {
                Code::D010 => format!("describes {places} {what}"),
                _ => format!("has another title of {places}"),
            };
            let drift = self.add(code, Severity::Note, now, format!("{} {what}", name(&now.name)));
            drift.anchor = Anchor::tool(&was.name, "definition/inputSchema");
            if let [one] = texts.as_slice()
                && let Kind::Text { was, now, .. } = &one.kind
            {
                drift.say(was, now);
            }
            drift.changes = texts;
        }
    }
}

fn text_of(value: &Option<Value>) -> &str {
    value.as_ref().and_then(Value::as_str).unwrap_or_default()
}

fn output_in_words(change: &Change) -> String {
    let place = if change.path.is_empty() { "the result".to_owned() } else { name(&change.path) };
    match &change.kind {
        Kind::Added { .. } => format!("{place} added"),
        Kind::Removed => format!("{place} removed"),
        _ => format!("{place} changed"),
    }
}
