//! Two states of one server: what is different, how much it matters, what an agent can do now.

use super::codes::Code;
use super::cues::{Names, gained};
use super::finding::{Anchor, Drift};
use super::schema::{self, Change, Direction, Kind};
use super::words::{changes as in_words, difference, hazard, listed, name};
use super::{annotations, extras, rename, source};
use crate::catalog::{LockedServer, LockedTool, Parts};
use crate::model::{Category, Fingerprint, Flag, RiskLevel, Severity};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Flags whose arrival makes a tool worse whatever its category.
const HARMFUL: [Flag; 9] = [
    Flag::Bulk,
    Flag::CodeExecution,
    Flag::Credential,
    Flag::Destructive,
    Flag::Egress,
    Flag::Financial,
    Flag::Irreversible,
    Flag::Physical,
    Flag::Privilege,
];

/// Everything that is different between the lock and now, sorted.
///
/// `rejudged` is the locked state with the classes that today's rules give it, where those are not the rules of the
/// lock: what the rules alone changed is R001, and only the rest is the server's doing. `others` are names of other
/// servers' tools.
pub fn compare(
    was: &LockedServer,
    now: &LockedServer,
    rejudged: Option<&LockedServer>,
    others: &BTreeSet<String>,
) -> Vec<Drift> {
    let own = now.tools.iter().map(|tool| tool.name.clone()).collect();
    let mut comparison =
        Comparison { names: Names { own: &own, others }, server: now.server.as_str(), found: Vec::new() };
    comparison.found.extend(source::compare(was, now));
    comparison.unreadable(was.unreadable_tools, now.unreadable_tools);
    comparison.instructions(was.instructions.as_deref(), now.instructions.as_deref());
    let beside = extras::compare(was, now, comparison.names);
    comparison.found.extend(beside);
    let classes = rejudged.unwrap_or(was);
    if let Some(rejudged) = rejudged {
        comparison.reclassified(was, rejudged);
    }
    comparison.tools(classes, now);
    comparison.found.sort();
    comparison.found
}

/// A server that the lock does not know: every tool of it is new.
pub fn unknown_server(now: &LockedServer, others: &BTreeSet<String>) -> Vec<Drift> {
    let own = now.tools.iter().map(|tool| tool.name.clone()).collect();
    let mut comparison =
        Comparison { names: Names { own: &own, others }, server: now.server.as_str(), found: Vec::new() };
    comparison.unreadable(0, now.unreadable_tools);
    comparison.instructions(None, now.instructions.as_deref());
    let beside = extras::unknown_server(now, comparison.names);
    comparison.found.extend(beside);
    for tool in &now.tools {
        comparison.new_tool(tool, " on a server that is not in the lock");
    }
    comparison.found.sort();
    comparison.found
}

/// A server that is in the lock and not among those that were checked.
pub fn missing_server(server: &str) -> Drift {
    let message = format!("server {} is in the lock and was not found", name(server));
    Drift::new(Code::D004, Severity::Note, server, None, message)
}

/// The locked tool and the tool of now, by name; of several with one name equal ones first.
pub(super) fn pairs<'a>(
    was: &'a LockedServer,
    now: &'a LockedServer,
) -> (Vec<(&'a LockedTool, &'a LockedTool)>, Vec<&'a LockedTool>, Vec<&'a LockedTool>) {
    let mut left: BTreeMap<&str, Vec<&LockedTool>> = BTreeMap::new();
    for tool in &was.tools {
        left.entry(&tool.name).or_default().push(tool);
    }
    let (mut same, mut open) = (Vec::new(), Vec::new());
    for tool in &now.tools {
        let known = left.get_mut(tool.name.as_str());
        let equal = known.and_then(|known| {
            let at = known.iter().position(|old| old.fingerprints == tool.fingerprints)?;
            Some(known.remove(at))
        });
        match equal {
            Some(old) => same.push((old, tool)),
            None => open.push(tool),
        }
    }
    let mut new = Vec::new();
    for tool in open {
        match left.get_mut(tool.name.as_str()).filter(|known| !known.is_empty()) {
            Some(known) => same.push((known.remove(0), tool)),
            None => new.push(tool),
        }
    }
    (same, left.into_values().flatten().collect(), new)
}

struct Comparison<'a> {
    names: Names<'a>,
    server: &'a str,
    found: Vec<Drift>,
}

impl Comparison<'_> {
    fn add(&mut self, code: Code, severity: Severity, tool: &LockedTool, message: String) -> &mut Drift {
        let mut drift = Drift::new(code, severity, self.server, Some(&tool.name), message);
        drift.state = state(code, tool);
        self.found.push(drift);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    fn tools(&mut self, was: &LockedServer, now: &LockedServer) {
        let (same, gone, new) = pairs(was, now);
        for (old, tool) in same {
            self.tool(old, tool);
        }
        let renamed = rename::pairs(&gone, &new);
        for (from, to) in &renamed {
            let (old, tool) = (gone[*from], new[*to]);
            let message = format!("{} is now called {}", name(&old.name), name(&tool.name));
            let drift = self.add(Code::D003, Severity::Warning, tool, message);
            drift.tomorrow = format!("rules for {} no longer reach it", name(&old.name));
            drift.anchor = Anchor::tool(&old.name, "name");
            self.tool_as(old, tool, vec![format!("was called {}", name(&old.name))]);
        }
        for (at, tool) in gone.iter().enumerate() {
            if !renamed.iter().any(|(from, _)| *from == at) {
                let twice = now.tools.iter().any(|other| other.name == tool.name);
                let what = if twice { "is listed once less" } else { "is gone" };
                self.add(Code::D002, Severity::Note, tool, format!("{} {what}", name(&tool.name)));
            }
        }
        for (at, tool) in new.iter().enumerate() {
            if !renamed.iter().any(|(_, to)| *to == at) {
                let twice = was.tools.iter().any(|other| other.name == tool.name);
                self.new_tool(tool, if twice { ", listed once more" } else { "" });
            }
        }
    }

    fn new_tool(&mut self, tool: &LockedTool, where_: &str) {
        let severity = match tool.risk {
            RiskLevel::Low => Severity::Note,
            RiskLevel::Medium => Severity::Warning,
            RiskLevel::High | RiskLevel::Critical => Severity::Error,
        };
        let flags: Vec<_> = tool.flags.iter().filter(|flag| HARMFUL.contains(flag)).map(|flag| flag.as_str()).collect();
        let flags = if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(", ")) };
        let message = format!("{} is new{where_}: {}, {} risk{flags}", name(&tool.name), tool.category, tool.risk);
        let tomorrow = match tool.category {
            Category::Read => "read what it returns",
            Category::Write => "create or change data with it",
            Category::Execute => "run or commit something with it",
            Category::Delete => "remove data with it",
        };
        let drift = self.add(Code::D001, severity, tool, message);
        drift.tomorrow = format!("an agent can {tomorrow}");
        drift.anchor = Anchor::Server;
        // Of a tool that is new everything is new; only what no honest text does is worth a second finding.
        self.cues("", &all_text(&tool.parts()), Some(tool), Severity::Error);
    }

    fn tool(&mut self, was: &LockedTool, now: &LockedTool) {
        self.tool_as(was, now, Vec::new());
    }

    fn tool_as(&mut self, was: &LockedTool, now: &LockedTool, mut reasons: Vec<String>) {
        if was.fingerprints != now.fingerprints {
            self.definition(was, now, &mut reasons);
        }
        self.class(was, now, &reasons);
    }

    /// Every part of a definition that changed; what of it may explain another class goes to `reasons`.
    fn definition(&mut self, was: &LockedTool, now: &LockedTool, reasons: &mut Vec<String>) {
        let (old, new) = (was.parts(), now.parts());
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
            reasons.push("is described in other words".to_owned());
        }
        if old.input_schema != new.input_schema {
            self.input(was, now, schema::compare(old.input_schema.as_ref(), new.input_schema.as_ref()), reasons);
        }
        if old.output_schema != new.output_schema {
            let changes = schema::compare(old.output_schema.as_ref(), new.output_schema.as_ref());
            let what = match (&old.output_schema, &new.output_schema) {
                (None, Some(_)) => "declares what it returns".to_owned(),
                (Some(_), None) => "no longer declares what it returns".to_owned(),
                _ => format!("returns something else: {}", listed(changes.iter().map(output_in_words), ", ")),
            };
            let drift = self.add(Code::D023, Severity::Note, now, format!("{} {what}", name(&now.name)));
            drift.anchor = Anchor::tool(&was.name, "definition/outputSchema");
        }
        if old.annotations != new.annotations {
            for (code, what) in annotations::compare(old.annotations.as_ref(), new.annotations.as_ref()) {
                let (least, worst) = code.severities();
                // A safer claim that agrees with what the definition shows is the server catching up with itself.
                let agrees = code == Code::D040 && annotations::agrees(new.annotations.as_ref(), now);
                let severity = if agrees { least } else { worst };
                let drift = self.add(code, severity, now, format!("{} {what}", name(&now.name)));
                drift.tomorrow = match code {
                    Code::D040 if !agrees => "clients may call it without asking".to_owned(),
                    _ => String::new(),
                };
                drift.anchor = Anchor::tool(&was.name, "definition/annotations");
                if code == Code::D041 {
                    reasons.push(what);
                }
            }
        }
        if old.other != new.other {
            let keys: BTreeSet<_> = old.other.keys().chain(new.other.keys()).collect();
            let changed = keys.into_iter().filter(|key| old.other.get(*key) != new.other.get(*key));
            let keys = listed(changed.map(|key| name(key)), ", ");
            let drift = self.add(Code::D042, Severity::Note, now, format!("{} changed {keys}", name(&now.name)));
            drift.anchor = Anchor::tool(&was.name, "definition");
            reasons.push(format!("changed {keys}"));
        }
        self.cues(&all_text(&old), &all_text(&new), Some(now), Severity::Note);
    }

    fn input(&mut self, was: &LockedTool, now: &LockedTool, changes: Vec<Change>, reasons: &mut Vec<String>) {
        let (texts, changes): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| matches!(change.kind, Kind::Text { .. }));
        let mut by_code: BTreeMap<(Code, Severity), Vec<Change>> = BTreeMap::new();
        for change in changes {
            let severity = |least, worst| if hazard(&change).is_some() { worst } else { least };
            let key = match change.direction {
                Direction::Opened => (Code::D020, severity(Severity::Warning, Severity::Error)),
                Direction::Narrowed => (Code::D021, Severity::Note),
                Direction::Same => (Code::D022, severity(Severity::Note, Severity::Warning)),
            };
            by_code.entry(key).or_default().push(change);
        }
        for ((code, severity), changes) in by_code {
            let what = in_words(&changes);
            let hazards: BTreeSet<_> = changes.iter().filter_map(hazard).collect();
            let drift = self.add(code, severity, now, format!("{} {what}", name(&now.name)));
            drift.anchor = Anchor::tool(&was.name, "definition/inputSchema");
            if code == Code::D020 {
                let can = listed(hazards.iter().map(|hazard| hazard.in_words().to_owned()), ", ");
                let added = changes.iter().all(|change| matches!(change.kind, Kind::Added { .. }));
                drift.tomorrow = if !can.is_empty() {
                    format!("an agent can {can}")
                } else if added {
                    "an agent can say what it could not before".to_owned()
                } else {
                    "calls pass that were refused before".to_owned()
                };
                reasons.push(what);
            }
            drift.changes = changes;
        }
        if !texts.is_empty() {
            let places = texts
                .iter()
                .map(|change| if change.path.is_empty() { "the arguments".to_owned() } else { name(&change.path) });
            let places: BTreeSet<_> = places.collect();
            let message = format!("{} describes {} in other words", name(&now.name), listed(places, ", "));
            let drift = self.add(Code::D010, Severity::Note, now, message);
            drift.anchor = Anchor::tool(&was.name, "definition/inputSchema");
            drift.changes = texts;
        }
    }

    fn class(&mut self, was: &LockedTool, now: &LockedTool, reasons: &[String]) {
        let gained: Vec<_> = now.flags.difference(&was.flags).filter(|flag| HARMFUL.contains(flag)).collect();
        let rank = |tool: &LockedTool| (tool.category, tool.risk, tool.blast_radius);
        let up = now.category > was.category || now.risk > was.risk || now.blast_radius > was.blast_radius;
        let down = now.category < was.category || now.risk < was.risk || now.blast_radius < was.blast_radius;
        let lost: Vec<_> = was.flags.difference(&now.flags).filter(|flag| HARMFUL.contains(flag)).collect();
        if !up && gained.is_empty() && !down && lost.is_empty() {
            return;
        }
        let flags = |sign: &str, flags: &[&Flag]| {
            flags.iter().fold(String::new(), |mut out, flag| {
                let _ = write!(out, "; {sign} {flag}");
                out
            })
        };
        let because =
            if reasons.is_empty() { String::new() } else { format!("{}; ", listed(reasons.iter().cloned(), ", ")) };
        let step = if rank(was) == rank(now) { format!("stays {}", class_of(now)) } else { steps(was, now) };
        let changed = format!("{}{}", flags("now", &gained), flags("no longer", &lost));
        let message = format!("{} {because}{step}{changed}", name(&now.name));
        if up || !gained.is_empty() {
            let worse = now.category > was.category || (now.risk > was.risk && now.risk >= RiskLevel::High);
            let severity = if worse { Severity::Error } else { Severity::Warning };
            let drift = self.add(Code::D030, severity, now, message);
            drift.anchor = Anchor::tool(&was.name, "category");
            drift.tomorrow = if now.category > was.category {
                let act = match now.category {
                    Category::Read => "read with it",
                    Category::Write => "change data with it",
                    Category::Execute => "run or commit something with it",
                    Category::Delete => "remove data with it",
                };
                format!("an agent can {act}")
            } else {
                "one wrong call can cost more".to_owned()
            };
        } else {
            let drift = self.add(Code::D031, Severity::Note, now, message);
            drift.anchor = Anchor::tool(&was.name, "category");
        }
    }

    /// What today's rules say of the tools as they were locked.
    fn reclassified(&mut self, was: &LockedServer, rejudged: &LockedServer) {
        let (same, _, _) = pairs(was, rejudged);
        for (old, tool) in same {
            let class = |tool: &LockedTool| (tool.category, tool.risk, tool.blast_radius);
            if class(old) == class(tool) && old.flags == tool.flags {
                continue;
            }
            let up = tool.category > old.category || tool.risk > old.risk || tool.blast_radius > old.blast_radius;
            let severity = if up { Severity::Warning } else { Severity::Note };
            let step = if class(old) == class(tool) { "other flags".to_owned() } else { steps(old, tool) };
            let message = format!("{} has not changed, the rules have: {step}", name(&tool.name));
            let drift = self.add(Code::R001, severity, tool, message);
            drift.anchor = Anchor::tool(&old.name, "category");
        }
    }

    /// Entries that cannot be read: a client may make a tool of them all the same.
    fn unreadable(&mut self, was: usize, now: usize) {
        let (code, severity, what) = match now.cmp(&was) {
            Ordering::Equal => return,
            Ordering::Greater => (Code::D001, Severity::Error, "now lists"),
            Ordering::Less => (Code::D002, Severity::Note, "now lists only"),
        };
        let entries = if now == 1 { "entry that cannot" } else { "entries that cannot" };
        let message = format!("server {} {what} {now} {entries} be read as a tool, not {was}", name(self.server));
        let mut drift = Drift::new(code, severity, self.server, None, message);
        if code == Code::D001 {
            "nobody here can say what a client makes of it".clone_into(&mut drift.tomorrow);
        }
        self.found.push(drift);
    }

    fn instructions(&mut self, was: Option<&str>, now: Option<&str>) {
        if was == now {
            return;
        }
        let what = match (was, now) {
            (None, _) => "gives the model instructions now",
            (_, None) => "no longer gives the model instructions",
            (Some(_), Some(_)) => "gives the model other instructions",
        };
        let message = format!("server {} {what}", name(self.server));
        let mut drift = Drift::new(Code::D010, Severity::Note, self.server, None, message);
        drift.say(was.unwrap_or_default(), now.unwrap_or_default());
        drift.state = text_state(now.unwrap_or_default());
        drift.anchor = Anchor::Instructions;
        self.found.push(drift);
        self.cues(was.unwrap_or_default(), now.unwrap_or_default(), None, Severity::Note);
    }

    fn cues(&mut self, was: &str, now: &str, tool: Option<&LockedTool>, least: Severity) {
        let found: BTreeMap<Severity, Vec<String>> =
            gained(was, now, self.names).into_iter().fold(BTreeMap::new(), |mut found, gained| {
                found.entry(gained.severity).or_default().push(gained.what);
                found
            });
        let who = tool.map_or_else(|| format!("server {}", name(self.server)), |tool| name(&tool.name));
        for (severity, whats) in found.into_iter().filter(|(severity, _)| *severity >= least) {
            let message = format!("the text of {who} {}", whats.join("; "));
            let mut drift = Drift::new(Code::D011, severity, self.server, tool.map(|tool| tool.name.as_str()), message);
            drift.tomorrow = match severity {
                Severity::Note => String::new(),
                Severity::Warning | Severity::Error => "the model may follow it without anybody asking".to_owned(),
            };
            drift.state = text_state(now);
            drift.anchor = tool.map_or(Anchor::Instructions, |tool| Anchor::tool(&tool.name, "definition/description"));
            self.found.push(drift);
        }
    }
}

/// The parts of a tool that a difference of this kind is about, as they are now. A sentence quotes only pieces of them.
fn state(code: Code, tool: &LockedTool) -> String {
    let prints = &tool.fingerprints;
    let part = match code {
        Code::D010 => return format!("{:?}", (&prints.description, &prints.input_schema)),
        Code::D012 => return format!("{:?}", (&prints.title, &prints.annotations)),
        Code::D020 | Code::D021 | Code::D022 => &prints.input_schema,
        Code::D023 => &prints.output_schema,
        Code::D040 | Code::D041 | Code::D042 => return format!("{:?}", (&prints.annotations, &prints.other)),
        // Of what nobody reviewed all of it counts.
        Code::D001 | Code::D003 => return format!("{prints:?}"),
        Code::R001 => return format!("{:?}", tool.flags),
        // What their sentences say is all there is, or they are not made from a tool.
        Code::D002
        | Code::D004
        | Code::D011
        | Code::D030
        | Code::D031
        | Code::D050
        | Code::D051
        | Code::D060
        | Code::D061
        | Code::D062
        | Code::D063
        | Code::D064
        | Code::P001
        | Code::P002
        | Code::P003
        | Code::P004
        | Code::P005 => return String::new(),
    };
    part.clone().unwrap_or_default()
}

fn text_state(text: &str) -> String {
    Fingerprint::of(&Value::from(text)).as_str().to_owned()
}

fn text_of(value: &Option<Value>) -> &str {
    value.as_ref().and_then(Value::as_str).unwrap_or_default()
}

fn class_of(tool: &LockedTool) -> String {
    format!("{}, {} risk", tool.category, tool.risk)
}

/// The steps of a class: `Write → Execute, medium → high risk`.
fn steps(was: &LockedTool, now: &LockedTool) -> String {
    let step = |a: &str, b: &str, what: &str| if a == b { None } else { Some(format!("{a} → {b}{what}")) };
    let steps = [
        step(was.category.as_str(), now.category.as_str(), ""),
        step(was.risk.as_str(), now.risk.as_str(), " risk"),
        step(was.blast_radius.as_str(), now.blast_radius.as_str(), " blast radius"),
    ];
    steps.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn output_in_words(change: &Change) -> String {
    let place = if change.path.is_empty() { "the result".to_owned() } else { name(&change.path) };
    match &change.kind {
        Kind::Added { .. } => format!("{place} added"),
        Kind::Removed => format!("{place} removed"),
        _ => format!("{place} changed"),
    }
}

/// Every text in a definition that a model reads, a line break between any two.
fn all_text(parts: &Parts) -> String {
    fn gather(value: &Value, out: &mut String) {
        match value {
            Value::String(text) => {
                out.push_str(text);
                out.push('\n');
            }
            Value::Array(items) => items.iter().for_each(|item| gather(item, out)),
            Value::Object(members) => {
                for (key, item) in members {
                    // A schema's own address is not a place that a model is sent to.
                    if !matches!(key.as_str(), "$schema" | "$id" | "$ref") {
                        gather(item, out);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut out = String::new();
    let texts = [&parts.title, &parts.description, &parts.input_schema, &parts.output_schema, &parts.annotations];
    texts.into_iter().flatten().for_each(|value| gather(value, &mut out));
    out
}

/// Where two texts part, for [`Drift::say`].
pub(super) fn parting(was: &str, now: &str) -> (String, String) {
    difference(was, now)
}
