//! Rule files to entries with places: every problem of every file at once, later layers win by id.

use super::format::{WireClass, WireDisable, WireRule, WireTests, WireVerbs, WireWeights};
use crate::problem::{Place, Problem};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// Largest rule file that is read, in bytes.
pub const RULE_FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most entries in all layers together.
pub const RULES_MAX: usize = 20_000;

/// What a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// A list of words that other rules refer to.
    Class,
    /// Verbs that mean a category.
    Verbs,
    /// What a verb means together with its object.
    Reading,
    /// Points for a category from conditions.
    Evidence,
    /// Flags from conditions.
    Trait,
    /// Floors, ceilings and steps of the blast radius.
    Radius,
}

impl RuleKind {
    /// The word used in rule files and on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Verbs => "verbs",
            Self::Reading => "reading",
            Self::Evidence => "evidence",
            Self::Trait => "trait",
            Self::Radius => "radius",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Class(WireClass),
    Verbs(WireVerbs),
    Rule(WireRule),
}

/// One entry of a rule file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub kind: RuleKind,
    pub file: String,
    pub place: Place,
    pub body: Body,
}

impl Entry {
    pub fn id(&self) -> &str {
        match &self.body {
            Body::Class(class) => &class.id,
            Body::Verbs(verbs) => &verbs.id,
            Body::Rule(rule) => &rule.id,
        }
    }

    pub fn why(&self) -> &str {
        match &self.body {
            Body::Class(class) => &class.why,
            Body::Verbs(verbs) => &verbs.why,
            Body::Rule(rule) => &rule.why,
        }
    }

    pub fn tests(&self) -> Option<&WireTests> {
        match &self.body {
            Body::Class(_) => None,
            Body::Verbs(verbs) => Some(&verbs.tests),
            Body::Rule(rule) => Some(&rule.tests),
        }
    }

    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            place: Some(self.place),
            pointer: format!("{} `{}`", self.kind.as_str(), self.id()),
            message: message.into(),
            help: None,
        }
    }
}

/// All layers merged: entries by id, and the weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Layers {
    pub entries: BTreeMap<String, Entry>,
    pub weights: WireWeights,
}

/// Files of one layer.
pub(super) type Files<'a> = &'a [(&'a str, &'a str)];

impl Layers {
    /// Adds a layer; what it defines replaces what was there under the same id.
    pub fn add(&mut self, files: Files<'_>, problems: &mut Vec<Problem>) {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        let mut disabled: Vec<(WireDisable, String, Place)> = Vec::new();
        let mut fresh = Vec::new();
        for (file, text) in files {
            let mut reader = RuleReader { file, text, problems, entries: Vec::new(), disabled: Vec::new() };
            reader.file(&mut self.weights);
            let RuleReader { entries, disabled: switched_off, .. } = reader;
            for entry in entries {
                let place = format!("{}:{}", entry.file, entry.place.line);
                if let Some(first) = seen.insert(entry.id().to_owned(), place) {
                    problems.push(entry.problem(format!("the id is taken at {first}")));
                } else {
                    fresh.push(entry);
                }
            }
            disabled.extend(switched_off.into_iter().map(|d| (d.0, (*file).to_owned(), d.1)));
        }
        for entry in fresh {
            self.entries.insert(entry.id().to_owned(), entry);
        }
        for (entry, file, place) in disabled {
            if self.entries.remove(&entry.id).is_none() {
                let known = self.entries.keys().map(String::as_str);
                let help = crate::text::nearest(&entry.id, known).map(|near| format!("did you mean `{near}`?"));
                problems.push(Problem {
                    file,
                    place: Some(place),
                    pointer: "disable".to_owned(),
                    message: format!("no rule has the id `{}`", entry.id),
                    help,
                });
            }
        }
        if self.entries.len() > RULES_MAX {
            problems.push(Problem {
                file: files.first().map_or_else(String::new, |(file, _)| (*file).to_owned()),
                place: None,
                pointer: String::new(),
                message: format!("{} rules in all layers, and {RULES_MAX} are the most", self.entries.len()),
                help: None,
            });
        }
    }
}

struct RuleReader<'a> {
    file: &'a str,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
    entries: Vec<Entry>,
    disabled: Vec<(WireDisable, Place)>,
}

impl RuleReader<'_> {
    fn file(&mut self, weights: &mut WireWeights) {
        if self.text.len() > RULE_FILE_BYTES_MAX {
            self.report(0, "", format!("longer than {RULE_FILE_BYTES_MAX} bytes"), None);
            return;
        }
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let message = error.message().to_lowercase();
            self.report(error.span().map_or(0, |span| span.start), "", message, None);
        }
        for (key, value) in table.into_inner() {
            let at = key.span().start;
            match key.get_ref().as_ref() {
                "class" => self.list(value, |reader, item, at| reader.entry::<WireClass>(item, at, RuleKind::Class)),
                "verbs" => self.list(value, |reader, item, at| reader.entry::<WireVerbs>(item, at, RuleKind::Verbs)),
                "reading" => self.list(value, |reader, item, at| reader.entry::<WireRule>(item, at, RuleKind::Reading)),
                "evidence" => {
                    self.list(value, |reader, item, at| reader.entry::<WireRule>(item, at, RuleKind::Evidence));
                }
                "trait" => self.list(value, |reader, item, at| reader.entry::<WireRule>(item, at, RuleKind::Trait)),
                "radius" => self.list(value, |reader, item, at| reader.entry::<WireRule>(item, at, RuleKind::Radius)),
                "disable" => self.list(value, |reader, item, at| {
                    if let Some(disable) = reader.read::<WireDisable>(item, at, "disable") {
                        if disable.reason.trim().is_empty() {
                            reader.report(at, "disable", "`reason` is empty".to_owned(), None);
                        }
                        reader.disabled.push((disable, Place::of_offset(reader.text, at)));
                    }
                }),
                "weights" => {
                    if let Some(layer) = self.read::<WireWeights>(value, at, "weights") {
                        merge(weights, &layer);
                    }
                }
                other => {
                    let kinds = ["class", "verbs", "reading", "evidence", "trait", "radius", "disable", "weights"];
                    let help = crate::text::nearest(other, kinds).map(|near| format!("did you mean `{near}`?"));
                    self.report(at, "", format!("unknown key `{other}`"), help);
                }
            }
        }
    }

    fn list(
        &mut self,
        value: toml::Spanned<DeValue<'_>>,
        mut each: impl FnMut(&mut Self, toml::Spanned<DeValue<'_>>, usize),
    ) {
        let at = value.span().start;
        match value.into_inner() {
            DeValue::Array(items) => {
                for item in items {
                    let at = item.span().start;
                    each(self, item, at);
                }
            }
            _ => self.report(at, "", "must be a list of tables, `[[…]]`".to_owned(), None),
        }
    }

    fn read<'de, T: Deserialize<'de>>(
        &mut self,
        item: toml::Spanned<DeValue<'de>>,
        at: usize,
        what: &str,
    ) -> Option<T> {
        match T::deserialize(toml::de::ValueDeserializer::from(item)) {
            Ok(read) => Some(read),
            Err(error) => {
                let place = error.span().map_or(at, |span| span.start);
                self.report(place, what, error.message().to_owned(), None);
                None
            }
        }
    }

    fn entry<'de, T: Deserialize<'de> + Into<Body>>(
        &mut self,
        item: toml::Spanned<DeValue<'de>>,
        at: usize,
        kind: RuleKind,
    ) {
        if let Some(read) = self.read::<T>(item, at, kind.as_str()) {
            let place = Place::of_offset(self.text, at);
            self.entries.push(Entry { kind, file: self.file.to_owned(), place, body: read.into() });
        }
    }

    fn report(&mut self, at: usize, pointer: &str, message: String, help: Option<String>) {
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place: Some(Place::of_offset(self.text, at)),
            pointer: pointer.to_owned(),
            message,
            help,
        });
    }
}

impl From<WireClass> for Body {
    fn from(class: WireClass) -> Self {
        Self::Class(class)
    }
}
impl From<WireVerbs> for Body {
    fn from(verbs: WireVerbs) -> Self {
        Self::Verbs(verbs)
    }
}
impl From<WireRule> for Body {
    fn from(rule: WireRule) -> Self {
        Self::Rule(rule)
    }
}

fn merge(into: &mut WireWeights, layer: &WireWeights) {
    let WireWeights {
        name_lead,
        name_later,
        name_joined,
        description_main,
        description_late,
        description_next,
        description_vague,
        title_lead,
        action_values,
        action_text,
        confidence_high,
        confidence_medium,
        confidence_lead_percent,
    } = layer;
    for (into, from) in [
        (&mut into.name_lead, name_lead),
        (&mut into.name_later, name_later),
        (&mut into.name_joined, name_joined),
        (&mut into.description_main, description_main),
        (&mut into.description_late, description_late),
        (&mut into.description_next, description_next),
        (&mut into.description_vague, description_vague),
        (&mut into.title_lead, title_lead),
        (&mut into.action_values, action_values),
        (&mut into.action_text, action_text),
        (&mut into.confidence_high, confidence_high),
        (&mut into.confidence_medium, confidence_medium),
        (&mut into.confidence_lead_percent, confidence_lead_percent),
    ] {
        *into = from.or(*into);
    }
}
