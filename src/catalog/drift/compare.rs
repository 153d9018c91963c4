//! Two states of one server: what is different, how much it matters, what an agent can do now.

use super::class::{self, HARMFUL, Reasons, Verdicts, act, steps};
use super::cues::{Names, gained};
use super::finding::{Anchor, Drift};
use super::schema::{self, Change};
use super::words::name;
use super::{extras, greeting, opening, rename, source};
use crate::catalog::{LockedServer, LockedTool, Parts};
use crate::code::Code;
use crate::model::{Finding, Fingerprint, RiskLevel, Severity, Verdict, is_embedded};
use serde_json::Value;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// Fewest tools with one and the same change of their schemas that make a finding of its own of it.
const SHARED_TOOLS_MIN: usize = 3;

/// Shortest word of a server's name that makes an address its own, in bytes.
const OWN_WORD_BYTES_MIN: usize = 4;

/// What was said of the tools of both sides, and whom their texts may speak of.
#[derive(Clone, Debug, Default)]
pub struct Beside<'a> {
    /// Today's verdicts on the tools as they were.
    pub before: Verdicts<'a>,
    /// Verdicts on the tools as they are.
    pub after: Verdicts<'a>,
    /// Names of other servers' tools.
    pub others: BTreeSet<String>,
}

/// Everything that is different between the lock and now, sorted.
///
/// `rejudged` is the locked state with the classes that today's rules give it, where those are not the rules of the
/// lock: what the rules alone changed is R001, and only the rest is the server's doing.
pub fn compare(
    was: &LockedServer,
    now: &LockedServer,
    rejudged: Option<&LockedServer>,
    beside: &Beside<'_>,
) -> Vec<Drift> {
    let own = own(now);
    let classes = rejudged.unwrap_or(was);
    let mut comparison = Comparison::new(&classes.tools, now, &own, beside);
    comparison.found.extend(source::compare(was, now));
    comparison.found.extend(greeting::compare(was, now));
    comparison.said(was, now);
    comparison.unreadable(was.unreadable_tools, now.unreadable_tools);
    comparison.instructions(was.instructions.as_deref(), now.instructions.as_deref());
    comparison.found.extend(extras::compare(was, now, comparison.names));
    if let Some(rejudged) = rejudged {
        comparison.reclassified(was, rejudged);
    }
    comparison.tools(classes, now);
    comparison.found.sort();
    comparison.found
}

/// Whether the server says of a tool that it changes nothing.
fn claims_to_read(tool: &LockedTool) -> bool {
    tool.parts().annotations.and_then(|hints| hints.get("readOnlyHint").and_then(Value::as_bool)) == Some(true)
}

/// A server that the lock does not know: every tool of it is new.
pub fn unknown_server(now: &LockedServer, beside: &Beside<'_>) -> Vec<Drift> {
    let own = own(now);
    let mut comparison = Comparison::new(&[], now, &own, beside);
    comparison.unreadable(0, now.unreadable_tools);
    comparison.greeting("", &format!("{}{}", greeting::names(now), greeting::words(now)), Severity::Error);
    comparison.instructions(None, now.instructions.as_deref());
    comparison.found.extend(extras::unknown_server(now, comparison.names));
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

/// The tools that have another name now, by their old names.
pub(super) fn renamed(was: &LockedServer, now: &LockedServer) -> BTreeMap<String, String> {
    let (_, gone, new) = pairs(was, now);
    let pairs = rename::pairs(&gone, &new).into_iter();
    pairs.map(|(from, to)| (gone[from].name.clone(), new[to].name.clone())).collect()
}

/// What a server calls its own.
struct OwnWords {
    /// The names of its tools.
    tools: BTreeSet<String>,
    /// The words of its name and its package.
    words: BTreeSet<String>,
}

fn own(now: &LockedServer) -> OwnWords {
    let package = now.source.package().map(|package| package.name.as_str());
    let names = package.into_iter().chain([now.server.as_str()]);
    let words = names.flat_map(|name| name.split(|c: char| !c.is_alphanumeric())).map(str::to_lowercase);
    let tools = now.tools.iter().map(|tool| tool.name.clone()).collect();
    OwnWords { tools, words: words.filter(|word| word.len() >= OWN_WORD_BYTES_MIN).collect() }
}

/// One comparison of a server with its entry.
pub(super) struct Comparison<'a> {
    names: Names<'a>,
    server: &'a str,
    beside: &'a Beside<'a>,
    /// What was reviewed; empty for a server that the lock does not know.
    reviewed: &'a [LockedTool],
    /// Changes of schemas by the number of tools that have them.
    shared: BTreeMap<Change, usize>,
    pub(super) found: Vec<Drift>,
}

impl<'a> Comparison<'a> {
    fn new(reviewed: &'a [LockedTool], now: &'a LockedServer, own: &'a OwnWords, beside: &'a Beside<'a>) -> Self {
        let names = Names { own: &own.tools, others: &beside.others, home: &own.words };
        Self { names, server: now.server.as_str(), beside, reviewed, shared: BTreeMap::new(), found: Vec::new() }
    }

    pub(super) fn add(&mut self, code: Code, severity: Severity, tool: &LockedTool, message: String) -> &mut Drift {
        let mut drift = Drift::new(code, severity, self.server, Some(&tool.name), message);
        drift.state = state(code, tool);
        self.found.push(drift);
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// Today's verdict on a tool as it is, where it was judged.
    pub(super) fn verdict(&self, tool: &LockedTool) -> Option<&'a Verdict> {
        self.beside.after.on(tool)
    }

    /// Whether so many tools changed in this way that it is told once.
    pub(super) fn is_shared(&self, change: &Change) -> bool {
        self.shared.get(change).is_some_and(|tools| *tools >= SHARED_TOOLS_MIN)
    }

    fn tools(&mut self, was: &LockedServer, now: &LockedServer) {
        let (same, gone, new) = pairs(was, now);
        let renamed = rename::pairs(&gone, &new);
        let renamed: Vec<_> = renamed.into_iter().map(|(from, to)| (gone[from], new[to])).collect();
        let changed: Vec<_> = same.into_iter().filter(|(old, tool)| differs(old, tool)).collect();
        let changes: Vec<_> = changed.iter().chain(&renamed).map(|(old, tool)| schema_changes(old, tool)).collect();
        for change in changes.iter().flatten() {
            *self.shared.entry(change.clone()).or_default() += 1;
        }
        for ((old, tool), changes) in changed.iter().chain(&renamed).zip(changes) {
            let is_renamed = old.name != tool.name;
            if is_renamed {
                let message = format!("{} is now called {}", name(&old.name), name(&tool.name));
                let drift = self.add(Code::D003, Severity::Warning, tool, message);
                drift.tomorrow = format!("rules for {} no longer reach it", name(&old.name));
                drift.anchor = Anchor::tool(&old.name, "name");
            }
            let others = if is_renamed { vec![format!("was called {}", name(&old.name))] } else { Vec::new() };
            self.tool(old, tool, changes, Reasons { others, is_renamed, ..Reasons::default() });
        }
        for tool in &gone {
            if !renamed.iter().any(|(from, _)| std::ptr::eq(*from, *tool)) {
                let twice = now.tools.iter().any(|other| other.name == tool.name);
                let what = if twice { "is listed once less" } else { "is gone" };
                self.add(Code::D002, Severity::Note, tool, format!("{} {what}", name(&tool.name)));
            }
        }
        for tool in &new {
            if !renamed.iter().any(|(_, to)| std::ptr::eq(*to, *tool)) {
                let twice = was.tools.iter().any(|other| other.name == tool.name);
                self.new_tool(tool, if twice { ", listed once more" } else { "" });
            }
        }
    }

    fn new_tool(&mut self, tool: &LockedTool, where_: &str) {
        let judged = self.beside.after.on(tool);
        let findings = judged.map(|verdict| verdict.findings.as_slice()).unwrap_or_default();
        let by_risk = match tool.risk {
            RiskLevel::Low => Severity::Note,
            RiskLevel::Medium if self.reviewed.iter().any(|known| class::reads_as_much(known, tool)) => Severity::Note,
            RiskLevel::Medium => Severity::Warning,
            RiskLevel::High | RiskLevel::Critical => Severity::Error,
        };
        // What the server calls a read, and only a word that may be a verb does not.
        let is_read = class::is_doubtful(tool, judged) && claims_to_read(tool);
        let by_risk = if is_read { Severity::Note } else { by_risk };
        let by_risk = class::slight(tool, judged).map_or(by_risk, |slight| by_risk.min(slight));
        // Whatever a scan would remark of it, and free statements, are worth a look before it is accepted.
        let takes = opening::power(tool);
        let told = findings.iter().filter(|finding| !is_read || finding.id != "annotation-contradicts");
        let worst = told.map(|finding| finding.severity).max();
        let remarked = worst.map(|worst| worst.max(Severity::Warning)).max(takes.as_ref().map(|_| Severity::Warning));
        let severity = remarked.map_or(by_risk, |remarked| by_risk.max(remarked));
        let flags: Vec<_> = tool.flags.iter().filter(|flag| HARMFUL.contains(flag)).map(|flag| flag.as_str()).collect();
        let flags = if flags.is_empty() { String::new() } else { format!(" ({})", flags.join(", ")) };
        let mut message = format!("{} is new{where_}: {}, {} risk{flags}", name(&tool.name), tool.category, tool.risk);
        if let Some(takes) = takes.filter(|_| by_risk == Severity::Note) {
            message.push_str(&format!("; takes {takes}"));
        }
        for finding in findings {
            message.push_str(&format!("; {}", finding.message));
        }
        let drift = self.add(Code::D001, severity, tool, message);
        drift.tomorrow = format!("an agent can {}", act(tool, judged));
        drift.anchor = Anchor::Server;
        // Of a tool that is new everything is new; only what no honest text does is worth a second finding.
        self.cues("", &all_text(&tool.parts()), Some(tool), Severity::Error);
    }

    fn tool(&mut self, was: &LockedTool, now: &LockedTool, changes: Vec<Change>, mut reasons: Reasons) {
        if was.fingerprints != now.fingerprints {
            self.definition(was, now, changes, &mut reasons);
        }
        let (before, after) = (self.beside.before.on(was), self.beside.after.on(now));
        if let Some(step) = class::step((was, before), (now, after), &reasons) {
            let drift = self.add(step.code, step.severity, now, format!("{} {}", name(&now.name), step.what));
            drift.tomorrow = step.tomorrow;
            drift.anchor = Anchor::tool(&was.name, "category");
        }
        let known: BTreeSet<&str> =
            before.into_iter().flat_map(|verdict| &verdict.findings).map(|finding| finding.id.as_str()).collect();
        // What the server claims of a tool has codes of its own, and its texts were read for orders already.
        let is_told =
            |finding: &&Finding| known.contains(finding.id.as_str()) || finding.id == "annotation-contradicts";
        let fresh = after.filter(|_| before.is_some()).into_iter().flat_map(|verdict| &verdict.findings);
        let fresh: Vec<_> = fresh.filter(|finding| !is_told(finding)).cloned().collect();
        for finding in fresh {
            // One thing once: hidden characters and orders to the model are cues as well.
            let told = self.found.iter().any(|drift| {
                drift.code == Code::D011
                    && drift.tool.as_deref() == Some(&now.name)
                    && drift.severity >= finding.severity
                    && matches!(finding.id.as_str(), "hidden-characters" | "instructs-model")
            });
            if !told {
                let message =
                    format!("{} now has the finding {}: {}", name(&now.name), name(&finding.id), finding.message);
                self.add(Code::D011, finding.severity, now, message).anchor =
                    Anchor::tool(&was.name, "definition/description");
            }
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

    /// What the server calls itself: clients show it, and models read it.
    fn said(&mut self, was: &LockedServer, now: &LockedServer) {
        self.greeting(&greeting::names(was), &greeting::names(now), Severity::Note);
        // What nobody was asked to review is no change; only what no honest text does is worth a word.
        let least = if was.greeting.is_some() || now.greeting.is_none() { Severity::Note } else { Severity::Error };
        self.greeting(&greeting::words(was), &greeting::words(now), least);
        if let Some((old, new)) = greeting::page_moved(was, now) {
            let message =
                format!("the page of server {} is at {} now, and was at {}", name(self.server), name(&new), name(&old));
            let mut drift = Drift::new(Code::D011, Severity::Warning, self.server, None, message);
            "a person who follows it is led elsewhere".clone_into(&mut drift.tomorrow);
            drift.listed = BTreeSet::from([new]);
            drift.anchor = Anchor::Greeting;
            self.found.push(drift);
        }
    }

    fn greeting(&mut self, was: &str, now: &str, least: Severity) {
        let before = self.found.len();
        self.cues(was, now, None, least);
        self.found[before..].iter_mut().for_each(|drift| drift.anchor = Anchor::Greeting);
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

    pub(super) fn cues(&mut self, was: &str, now: &str, tool: Option<&LockedTool>, least: Severity) {
        let mut found: BTreeMap<Severity, (Vec<String>, BTreeSet<String>)> = BTreeMap::new();
        for gained in gained(was, now, self.names) {
            let (whats, names) = found.entry(gained.severity).or_default();
            whats.push(gained.what);
            names.extend(gained.names);
        }
        let who = tool.map_or_else(|| format!("server {}", name(self.server)), |tool| name(&tool.name));
        for (severity, (whats, names)) in found.into_iter().filter(|(severity, _)| *severity >= least) {
            let message = format!("the text of {who} {}", whats.join("; "));
            let mut drift = Drift::new(Code::D011, severity, self.server, tool.map(|tool| tool.name.as_str()), message);
            drift.tomorrow = match severity {
                Severity::Note => String::new(),
                Severity::Warning | Severity::Error => "the model may follow it without anybody asking".to_owned(),
            };
            drift.listed = names;
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
        | Code::P005
        | Code::P010
        | Code::P011
        | Code::P012
        | Code::P013
        | Code::P014
        | Code::P015
        | Code::P016
        | Code::P017
        | Code::P018
        | Code::P019
        | Code::P020
        | Code::P021
        | Code::P022
        | Code::P023
        | Code::P024
        | Code::P025
        | Code::P026
        | Code::P027
        | Code::P028
        | Code::P029 => return String::new(),
    };
    part.clone().unwrap_or_default()
}

fn text_state(text: &str) -> String {
    Fingerprint::of(&Value::from(text)).as_str().to_owned()
}

fn differs(was: &LockedTool, now: &LockedTool) -> bool {
    let class = |tool: &LockedTool| (tool.category, tool.risk, tool.blast_radius);
    was.fingerprints != now.fingerprints || class(was) != class(now) || was.flags != now.flags
}

fn schema_changes(was: &LockedTool, now: &LockedTool) -> Vec<Change> {
    if was.fingerprints.input_schema == now.fingerprints.input_schema {
        return Vec::new();
    }
    let (old, new) = (was.parts().as_read(), now.parts().as_read());
    schema::compare(old.input_schema.as_ref(), new.input_schema.as_ref())
}

/// Every text in a definition that a model reads, an empty line between any two, so that no sentence reaches into the next.
pub(super) fn all_text(parts: &Parts) -> String {
    fn gather(value: &Value, out: &mut String) {
        match value {
            Value::String(text) if !is_embedded(text) => {
                out.push_str(text);
                out.push_str("\n\n");
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
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut out = String::new();
    let texts = [&parts.title, &parts.description, &parts.input_schema, &parts.output_schema, &parts.annotations];
    texts.into_iter().flatten().for_each(|value| gather(value, &mut out));
    // What a client may hand on all the same, and of pictures the addresses, which it fetches.
    parts.other.values().for_each(|value| gather(value, &mut out));
    out
}
