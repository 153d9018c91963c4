//! How much a change of an input schema matters, and what an agent can do with it: by what the parameter takes, by what
//! its text says, by what the tool does, and by what could be said before already.

use super::addresses::addresses_of;
use super::hazard::{
    Handed, Hazard, asks, category_of_value, is_about, is_action, is_draft, is_guard, is_part, last_name, words,
};
use super::schema::{Change, Direction, Kind};
use super::words::{listed, name, quote};
use crate::catalog::LockedTool;
use crate::classify::docstring;
use crate::model::{Category, Flag, Parameter, SCHEMA_DEPTH_MAX, Severity, ToolDefinition, TypeSet};
use std::collections::BTreeSet;

/// Beginnings of words in the text of a parameter that has to do with what is removed.
const REMOVES: [&str; 4] = ["delet", "destroy", "drop", "remov"];
/// Beginnings of words by which what is removed is picked. What is run, they do not say.
const PICKS: [&str; 4] = ["filter", "match", "select", "target"];
/// Beginnings of words in the text of a parameter that has to do with what is run.
const RUNS: [&str; 9] = ["build", "deploy", "execut", "install", "kill", "launch", "start", "stop", "trigger"];
/// The same, as whole words.
const RUNS_WHOLE: [&str; 2] = ["run", "runs"];
/// Words behind which one of those names a thing and no act: a `stop` order, the build.
const NAMING: [&str; 14] =
    ["a", "an", "and", "any", "at", "each", "every", "for", "of", "on", "or", "per", "the", "this"];

/// Last words of names by which one of several is told.
const NAMES: [&str; 8] = ["id", "iid", "key", "name", "number", "slug", "uid", "uuid"];

/// Most new parameters whose own words are quoted in one finding.
const QUOTED_MAX: usize = 3;

/// A tool before and now, as far as it tells how much a change of its schema matters.
pub(super) struct Opening {
    before: Vec<Parameter>,
    after: Vec<Parameter>,
    /// What the tool is called now.
    tool: String,
    /// What the tool did.
    was: Category,
    /// What it does now, or did: whichever is worse.
    category: Category,
    /// Whether it sends something, now or before.
    sends: bool,
}

/// What one change means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// How much it matters.
    pub severity: Severity,
    /// What an agent can do with it, after `an agent can `; empty where that is nothing new.
    pub can: Vec<Hazard>,
    /// Values that say what is done, and did not pass before.
    pub acts: Vec<String>,
    /// What holds calls back that did not before.
    pub is_guard: bool,
}

impl Meaning {
    fn of(severity: Severity) -> Self {
        Self { severity, can: Vec::new(), acts: Vec::new(), is_guard: false }
    }
}

impl Opening {
    pub(super) fn new(was: &LockedTool, now: &LockedTool) -> Self {
        let has = |flag| was.flags.contains(&flag) || now.flags.contains(&flag);
        Self {
            before: parameters(was),
            after: parameters(now),
            tool: now.name.clone(),
            was: was.category,
            category: was.category.max(now.category),
            sends: has(Flag::Egress),
        }
    }

    /// What a change of the input schema means.
    pub(super) fn meaning(&self, change: &Change) -> Meaning {
        match (&change.kind, change.direction) {
            (Kind::Added { .. }, _) => self.added(&change.path),
            (Kind::Default { was, now }, _) => Meaning::of(self.default(&change.path, was, now)),
            (_, Direction::Narrowed | Direction::Same) => {
                let is_guard = change.kind == Kind::Required && self.now(&change.path).is_some_and(is_guard);
                Meaning { is_guard, ..Meaning::of(Severity::Note) }
            }
            (Kind::Values(values), Direction::Opened) => self.values(&change.path, values),
            (Kind::Optional, Direction::Opened) => Meaning::of(self.unless(self.category < Category::Delete)),
            // Which one of those that there are, in another spelling; and no more than before of what is counted.
            (Kind::Bound { keyword, now, .. }, Direction::Opened)
                if matches!(keyword.as_str(), "minimum" | "exclusiveMinimum")
                    || (keyword == "pattern" && now != "none" && is_identifier(&change.path)) =>
            {
                Meaning::of(Severity::Note)
            }
            (Kind::Bound { keyword, .. }, Direction::Opened) => {
                // More elements are more targets only where each of them is one.
                let listed = self.now(&change.path).and_then(Hazard::of).map(|handed| handed.hazard);
                let is_targets = matches!(listed, Some(Hazard::Bulk | Hazard::Recipient | Hazard::Url | Hazard::Path));
                let is_many = matches!(keyword.as_str(), "maxItems" | "maxProperties")
                    && is_targets
                    && self.category > Category::Read;
                let hazard = Hazard::of_name(&change.path).filter(|_| keyword == "pattern");
                let is_quiet = !is_many && hazard.is_none() && self.category < Category::Execute;
                let can = hazard.or(is_many.then_some(Hazard::Bulk)).into_iter().collect();
                Meaning { can, ..Meaning::of(self.unless(is_quiet)) }
            }
            (Kind::Loosened, Direction::Opened) => Meaning::of(Severity::Warning),
            // What a tool that takes nothing is given besides, it ignores.
            (Kind::Unlisted { .. }, Direction::Opened) => {
                Meaning::of(self.unless(self.category == Category::Read || change.path.is_empty()))
            }
            (Kind::Incomparable(_), Direction::Opened) => Meaning::of(self.unless(self.category == Category::Read)),
            (
                Kind::Removed
                | Kind::Renamed { .. }
                | Kind::Required
                | Kind::FewerValues(_)
                | Kind::Text { .. }
                | Kind::Bounded(_)
                | Kind::Remark(_),
                Direction::Opened,
            ) => Meaning::of(Severity::Note),
        }
    }

    /// The new parameters among the changes in their own words: what is said of each, or the values that it takes.
    pub(super) fn quotes(&self, changes: &[Change]) -> String {
        let added = changes.iter().filter(|change| matches!(change.kind, Kind::Added { .. }));
        let quoted: Vec<_> = added.filter_map(|change| self.quoted(&change.path)).collect();
        if quoted.len() > QUOTED_MAX {
            let mut shown = quoted[..QUOTED_MAX].to_vec();
            shown.push(format!("and {} more", quoted.len() - QUOTED_MAX));
            return shown.join(", ");
        }
        quoted.join(", ")
    }

    fn quoted(&self, path: &str) -> Option<String> {
        let parameter = self.now(path)?;
        let values = listed(parameter.values.iter().map(|value| name(value)), ", ");
        let text = parameter.description.as_deref().map(str::trim).filter(|text| !text.is_empty());
        match (text, values.is_empty()) {
            (Some(text), true) => Some(format!("{}: {}", name(path), quote(text))),
            (Some(text), false) => Some(format!("{} (one of {values}): {}", name(path), quote(text))),
            (None, false) => Some(format!("{} is one of {values}", name(path))),
            (None, true) => None,
        }
    }

    fn now(&self, path: &str) -> Option<&Parameter> {
        self.after.iter().find(|parameter| parameter.path == path)
    }

    /// A warning, unless nothing speaks for one.
    fn unless(&self, is_quiet: bool) -> Severity {
        if is_quiet { Severity::Note } else { Severity::Warning }
    }

    /// A parameter that came, with everything below it.
    fn added(&self, path: &str) -> Meaning {
        let below = |parameter: &&Parameter| {
            parameter.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let mut meaning = Meaning::of(Severity::Note);
        for parameter in self.after.iter().filter(below) {
            if is_guard(parameter) {
                meaning.is_guard = parameter.path == path;
                continue;
            }
            // What the service itself fills in: records are declared whole.
            if is_filled_in(parameter) {
                continue;
            }
            // An argument that says what is done, and may say worse than what was done.
            let acts = parameter.values.iter().filter(|value| {
                is_action(&parameter.path) && category_of_value(value).is_some_and(|category| category > self.was)
            });
            let acts: Vec<String> = acts.cloned().collect();
            if !acts.is_empty() {
                meaning.severity = Severity::Error;
                meaning.acts.extend(acts);
            }
            // A list inside of what came is a part of one thing, and not many of them.
            let handed = Hazard::of(parameter).filter(|handed| handed.hazard != Hazard::Bulk || parameter.path == path);
            let severity = handed.map_or(Severity::Note, |handed| self.weight(parameter, handed));
            if severity > Severity::Note {
                meaning.can.extend(handed.map(|handed| handed.hazard));
            }
            // What stands in the elements of a list is a part of each, and does not choose among them.
            let is_part = parameter.path[path.len()..].contains("[*]");
            let plain = if is_part || self.is_known(parameter) { Severity::Note } else { self.plain(parameter) };
            meaning.severity = meaning.severity.max(severity).max(plain).max(self.free(parameter));
        }
        meaning.can.sort();
        meaning.can.dedup();
        meaning
    }

    /// Whether a parameter names what another one named already: an image by its slug, where there was its id.
    fn is_known(&self, parameter: &Parameter) -> bool {
        let thing = |parameter: &Parameter| {
            let mut words = words(&parameter.name);
            let last = words.pop().filter(|last| NAMES.contains(&last.as_str()));
            last.filter(|_| !words.is_empty()).map(|_| words)
        };
        let named = thing(parameter);
        named.is_some() && self.before.iter().any(|known| thing(known) == named)
    }

    /// How much a parameter without a hazard matters: of a tool that runs or deletes, free text may say what.
    fn plain(&self, parameter: &Parameter) -> Severity {
        let texts = TypeSet::STRING.with(TypeSet::ARRAY).with(TypeSet::OBJECT);
        let is_free = parameter.values.is_empty() && (parameter.types.is_any() || parameter.types.has(texts));
        let acts = speaks_of_acts(parameter.description.as_deref().unwrap_or_default(), self.category);
        self.unless(self.category < Category::Execute || !is_free || !acts || is_shape(&parameter.path))
    }

    /// How much it matters that an object takes whatever it is given: of a tool that only reads it selects, and one that
    /// stood elsewhere in the schema has only moved.
    fn free(&self, parameter: &Parameter) -> Severity {
        let is_free = is_free_object(parameter, &self.after);
        let name = last_name(&parameter.path);
        let has_moved = self.before.iter().any(|known| {
            last_name(&known.path) == name && self.now(&known.path).is_none() && is_free_object(known, &self.before)
        });
        self.unless(!is_free || has_moved || is_about(&parameter.path) || self.category == Category::Read)
    }

    /// How much it matters that a parameter hands this over.
    fn weight(&self, parameter: &Parameter, handed: Handed) -> Severity {
        let Handed { hazard, is_told, is_denied } = handed;
        let had = self.before.iter().any(|known| Hazard::of(known).is_some_and(|known| known.hazard == hazard));
        let reads = self.category == Category::Read;
        let error = |holds: bool| if holds && !had { Severity::Error } else { Severity::Warning };
        // A draft reaches nobody.
        let is_held = is_draft(&self.tool);
        // An address in a record that is stored with others is content.
        let is_stored = parameter.path.contains("[*]")
            && !self.sends
            && matches!(self.category, Category::Write | Category::Delete);
        match hazard {
            Hazard::Recipient | Hazard::Content | Hazard::Bulk if is_held => Severity::Note,
            Hazard::Code => error(is_told || is_plainly_code(&parameter.path)),
            Hazard::Path if is_told => error(true),
            // One path was one thing; a list of them is many.
            Hazard::Path => self.unless(reads || (had && (!is_list(parameter) || self.before.iter().any(is_list)))),
            Hazard::Url if is_told => error(true),
            Hazard::Url => self.unless(is_denied || is_stored),
            Hazard::Content => self.unless(had || !self.sends),
            Hazard::Recipient if had => Severity::Note,
            Hazard::Recipient if is_told && (self.sends || !reads) => error(true),
            Hazard::Recipient => self.unless(is_denied || (reads && !self.sends)),
            Hazard::Credentials => self.unless(is_denied),
            Hazard::Headers => self.unless(had),
            // A program obeys its flags, whatever the tool that starts it does itself.
            Hazard::Arguments => self.unless(had || is_denied),
            Hazard::Bulk => self.unless(reads || had || is_part(parameter, &self.tool)),
            Hazard::Force if reads => self.unless(!is_told),
            Hazard::Force if is_denied => Severity::Note,
            Hazard::Force => error(is_told),
        }
    }

    fn values(&self, path: &str, values: &[String]) -> Meaning {
        let hazard = self.now(path).and_then(Hazard::of).map(|handed| handed.hazard);
        // Another spelling of what was handed over already: a list of paths, a path.
        let was = self.before.iter().find(|parameter| parameter.path == path).and_then(Hazard::of);
        let hazard = hazard.filter(|hazard| was.is_none_or(|was| was.hazard != *hazard));
        let known = self.before.iter().filter(|parameter| parameter.path == path).flat_map(|known| &known.values);
        let worst = known.filter_map(|value| category_of_value(value)).max();
        let mut meaning = Meaning::of(Severity::Note);
        for value in values.iter().filter(|value| *value != "null") {
            let severity = match (value.as_str(), category_of_value(value)) {
                // A type that was not admitted before, or a list of values that is none any more.
                ("any value" | "string" | "any" | "object", _) => {
                    meaning.can.extend(hazard);
                    self.unless(hazard.is_none() && (self.category == Category::Read || !is_action(path)))
                }
                ("array", _) if self.category > Category::Read => {
                    meaning.can.push(Hazard::Bulk);
                    Severity::Warning
                }
                (_, Some(category)) if is_action(path) && category > self.was => Severity::Error,
                // What the values before could do already is no new power, and a word that destroys may also be what
                // is searched for.
                (_, category) => {
                    self.unless(category <= worst || (self.category == Category::Read && !is_action(path)))
                }
            };
            meaning.severity = meaning.severity.max(severity);
            if is_action(path) && severity > Severity::Note {
                meaning.acts.push(value.clone());
            }
        }
        meaning
    }

    /// What is taken when nothing is said decides where something goes or what is done.
    fn default(&self, path: &str, was: &str, now: &str) -> Severity {
        let says_nothing = |text: &str| matches!(text, "none" | "null" | "" | "[]" | "{}");
        if says_nothing(now) {
            return Severity::Note;
        }
        let parameter = self.now(path);
        let known = addresses_of(was, &BTreeSet::new());
        let elsewhere = addresses_of(now, &BTreeSet::new()).into_keys().any(|address| !known.contains_key(&address));
        let (before, after) = (category_of_value(was), category_of_value(now));
        let worse = after > before && (is_action(path) || parameter.is_some_and(|it| !it.values.is_empty()));
        // What only asked when nothing was said does something now.
        let worse = worse || (is_action(path) && asks(was) && !asks(now) && self.category > Category::Read);
        let hazard = parameter.and_then(Hazard::of).map(|handed| handed.hazard);
        let switched = match now {
            "true" => hazard == Some(Hazard::Force),
            "false" => parameter.is_some_and(is_guard),
            _ => false,
        };
        let moved = matches!(hazard, Some(Hazard::Path | Hazard::Recipient | Hazard::Code))
            && !says_nothing(was)
            && self.category > Category::Read;
        self.unless(!elsewhere && !worse && !switched && !moved)
    }
}

/// The parameters of a tool. What its docstring says of one that has no words of its own is its text.
fn parameters(tool: &LockedTool) -> Vec<Parameter> {
    let Ok(tool) = ToolDefinition::parse(&tool.definition) else { return Vec::new() };
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let text = tool.description.unwrap_or_default();
    let mut parameters = tool.parameters;
    for parameter in &mut parameters {
        let own = parameter.description.as_deref().unwrap_or_default();
        if own.is_empty() || letters(own) == letters(&parameter.name) {
            let told = docstring(&text, &parameter.name).filter(|told| !told.is_empty());
            parameter.description = told.map(str::to_owned).or(parameter.description.take());
        }
    }
    parameters
}

/// Whether a name is that of what tells one thing from others.
fn is_identifier(path: &str) -> bool {
    words(last_name(path)).last().is_some_and(|word| NAMES.contains(&word.as_str()) && word != "name")
}

/// Whether a member of a record is said to be what only the service writes.
fn is_filled_in(parameter: &Parameter) -> bool {
    let text = parameter.description.as_deref().unwrap_or_default().trim_start().to_lowercase();
    parameter.path.contains('.') && ["read-only", "readonly", "read only"].iter().any(|word| text.starts_with(word))
}

/// Whether a parameter takes several values.
fn is_list(parameter: &Parameter) -> bool {
    parameter.types.has(TypeSet::ARRAY)
}

/// Whether a parameter is an object that takes whatever it is given. What may be a plain text as well is content, and what
/// stands so deep that nothing inside it is read says nothing.
fn is_free_object(parameter: &Parameter, all: &[Parameter]) -> bool {
    let inside = format!("{}.", parameter.path);
    let depth = 1 + parameter.path.matches('.').count() + parameter.path.matches("[*]").count();
    depth < SCHEMA_DEPTH_MAX
        && parameter.types.has(TypeSet::OBJECT)
        && !parameter.types.has(TypeSet::STRING)
        && parameter.values.is_empty()
        && !all.iter().any(|other| other.path.starts_with(&inside))
}

/// The first parameter of a tool that takes free code or a pipeline of steps; a class may not show it.
pub(super) fn power(tool: &LockedTool) -> Option<String> {
    let parameters = parameters(tool);
    let takes_code = |parameter: &&Parameter| {
        Hazard::of(parameter).is_some_and(|handed| handed.hazard == Hazard::Code && handed.is_told)
    };
    parameters.iter().find(takes_code).map(|parameter| name(&parameter.path))
}

/// Whether a text has to do with what a tool of this class does: what it runs, or what it removes.
fn speaks_of_acts(text: &str, category: Category) -> bool {
    let text = text.to_lowercase();
    let begins = |word: &str, known: &[&str]| known.iter().any(|known| word.starts_with(known));
    // `start_timezone` is the name of another parameter and no act.
    let edge = |c: char| !(c.is_alphanumeric() || c == '_');
    let place = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    let words: Vec<&str> = text.split(edge).filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().any(|(at, word)| {
        let to = at.checked_sub(1).map(|at| words[at]).filter(|word| *word == "to");
        // `'' to remove` takes the value itself away, and nothing else.
        let of_itself = to.is_some_and(|to| {
            let before = text[..place(to)].trim_end();
            ["''", "\"\"", "empty", "empty string", "null", "none"].iter().any(|nothing| before.ends_with(nothing))
        });
        let picks = category == Category::Delete && begins(word, &PICKS);
        let removes = (begins(word, &REMOVES) && !of_itself) || picks;
        let is_name = RUNS.contains(word) && at.checked_sub(1).is_some_and(|at| NAMING.contains(&words[at]));
        let runs = (begins(word, &RUNS) && !is_name) || RUNS_WHOLE.contains(word) || (to.is_some() && *word == "use");
        !word.contains('_') && (removes || (runs && category == Category::Execute))
    })
}

/// Whether a name says code and hardly anything else.
fn is_plainly_code(path: &str) -> bool {
    let words = words(last_name(path));
    words.last().is_some_and(|word| {
        matches!(
            word.as_str(),
            "bash" | "cmd" | "command" | "commands" | "javascript" | "python" | "script" | "shell" | "sql"
        )
    })
}

/// Whether a parameter shapes what comes back, and not what is done.
fn is_shape(path: &str) -> bool {
    const SHAPES: [&str; 27] = [
        "columns",
        "count",
        "cursor",
        "description",
        "fields",
        "format",
        "include",
        "includes",
        "label",
        "language",
        "id",
        "limit",
        "message",
        "name",
        "note",
        "offset",
        "order",
        "page",
        "reason",
        "sort",
        "summary",
        "text",
        "timeout",
        "title",
        "token",
        "uid",
        "uuid",
    ];
    words(last_name(path)).last().is_some_and(|word| SHAPES.contains(&word.as_str()))
}
