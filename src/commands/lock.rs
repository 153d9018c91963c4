//! `mcpol lock`: write down what was reviewed; accept what changed.

use super::load::{self, Classifier, Item, Problems};
use super::lock_file::{self, Entry, Locked};
use super::policies::{NamedPolicies, Remembered, from_lock, in_force};
use super::write::{Existing, atomically_with};
use super::{Failure, output, project};
use crate::catalog::drift::{self, Beside, Drift, Verdicts};
use crate::catalog::{ENTRY_BYTES_MAX, LockPrinter, LockedServer, canonical_extra, places};
use crate::cli::{KeptScans, LockArgs};
use crate::exit::Exit;
use crate::model::{Classified, Extra, ExtraKind, Finding, Listing, Offered, ServerName};
use crate::problem::Place;
use crate::report::{self, CheckFinding, CheckReport, CheckSummary, Failed, SortedLines};
use crate::text::nearest;
use std::collections::BTreeSet;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::PathBuf;

/// Most tools that wait to be judged together.
const WAITING_TOOLS_MAX: usize = 1_000;
/// Lines of context around a change.
const CONTEXT_LINES: usize = 3;
/// Most lines of differences that are shown; the lock itself has the rest.
const DIFF_LINES_MAX: usize = 2_000;

pub(super) fn run(mut args: LockArgs) -> Result<Exit, Failure> {
    args.target = project::with_servers(&args.target)?;
    let path = project::lock(args.lock.as_deref(), &args.target)?;
    // What is accepted is what a server says now: a check has just shown it.
    args.target.kept = if args.update.is_some() { KeptScans::Renewed } else { args.fresh.kept() };
    let classifier = Classifier::new(&args.rules)?;
    if args.update.is_none() && !args.force && path.exists() {
        return Err(Failure::usage(format!("`{}` exists", path.display()))
            .with_help("`--update` shows what changed and accepts it, `--force` writes the lock anew"));
    }
    let before = args.update.as_ref().map(|_| Locked::new(lock_file::open(&path)?)).transpose()?;
    let mut remembered: Vec<_> =
        before.iter().map(|before| Remembered::by_lock(before.lock.file(), &before.lock)).collect();
    remembered.extend(project::policies(&args.target.config)?);
    let policies = NamedPolicies::read(&in_force(&args.policy, &remembered)?)?;
    let mut locking = Locking {
        before,
        path,
        accept: args.update.clone().unwrap_or_default().iter().map(|text| (text.clone(), false)).collect(),
        rules: classifier.fingerprint(),
        lines: SortedLines::default(),
        policies,
        servers: 0,
        tools: 0,
        findings: Vec::new(),
        summary: CheckSummary::default(),
        diff: String::new(),
        failed: Vec::new(),
        problems: Problems::default(),
        changed: false,
    };
    let mut waiting = Vec::new();
    let mut tools = 0;
    load::each(&args.target, &mut |item| {
        match item {
            Item::Listing(listing, configuration) => {
                tools += listing.tools.len();
                waiting.push((*listing, configuration.findings));
                if tools >= WAITING_TOOLS_MAX {
                    tools = 0;
                    locking.servers(std::mem::take(&mut waiting), &classifier)?;
                }
            }
            Item::Failed(failed) => locking.failed.push(failed),
            Item::Problem(problem) => locking.problems.push(problem),
        }
        Ok(())
    })?;
    locking.servers(waiting, &classifier)?;
    locking.finish(&args)
}

struct Locking {
    before: Option<Locked>,
    path: PathBuf,
    /// What is accepted, each with whether it was met; empty is everything.
    accept: Vec<(String, bool)>,
    rules: String,
    lines: SortedLines,
    policies: NamedPolicies,
    servers: usize,
    tools: usize,
    findings: Vec<CheckFinding>,
    summary: CheckSummary,
    diff: String,
    failed: Vec<Failed>,
    problems: Problems,
    changed: bool,
}

impl Locking {
    fn servers(&mut self, waiting: Vec<(Listing, Vec<Finding>)>, classifier: &Classifier) -> Result<(), Failure> {
        classifier.several(waiting).iter().try_for_each(|classified| self.server(classified, classifier))
    }

    fn server(&mut self, classified: &Classified, classifier: &Classifier) -> Result<(), Failure> {
        let name = classified.listing.server.clone();
        let policy = self.policies.of(&name);
        let mut now = LockedServer::of(classified, policy.as_ref().map(|policy| policy.policy.hash()));
        if let Some(policy) = &policy {
            let again = classifier.judge_like(&classified.listing);
            for open in drift::open_findings(&policy.policy, &now, &again, &|id| classifier.is_off(id)) {
                output::people(&format!(
                    "warning: {}: {} ({})\n",
                    crate::text::escape(&policy.file),
                    open.message,
                    open.code
                ));
            }
        }
        now.policy_file = policy.as_ref().and_then(|policy| from_lock(&self.path, &policy.file));
        let (entry, others) = match &mut self.before {
            Some(before) => (before.entry(&classified.listing)?, before.others(&name)),
            None => (None, BTreeSet::new()),
        };
        let known: BTreeSet<&str> = now
            .tools
            .iter()
            .chain(entry.iter().flat_map(|entry| &entry.server.tools))
            .map(|tool| tool.name.as_str())
            .collect();
        let extras: BTreeSet<String> =
            extra_names(&now).chain(entry.iter().flat_map(|it| extra_names(&it.server))).collect();
        let wanted = self.wanted(&name, &known, &extras);
        let after = match &entry {
            None if self.before.is_some() && wanted.is_nothing() => None,
            None => Some(now.clone()),
            Some(entry) => Some(merged(&entry.server, &now, &wanted)),
        };
        if let Some(before) = &self.before {
            let found = match &entry {
                Some(entry) => {
                    let same_rules = before.lock.rules() == self.rules;
                    let found =
                        lock_file::differences(&entry.server, (&now, classified), classifier, same_rules, others);
                    found.into_iter().filter(|drift| wanted.takes(drift)).collect()
                }
                None if after.is_some() => {
                    let beside = Beside { after: Verdicts::of(classified), others, ..Beside::default() };
                    drift::unknown_server(&now, &beside)
                }
                None => Vec::new(),
            };
            self.show(&name, entry.as_ref(), after.as_ref(), found)?;
        }
        match after {
            Some(after) => self.push(&after),
            None => Ok(()),
        }
    }

    /// What of a server is accepted; notes which of the given names were met.
    fn wanted(&mut self, server: &ServerName, tools: &BTreeSet<&str>, extras: &BTreeSet<String>) -> WantedParts {
        if self.accept.is_empty() {
            return WantedParts::All;
        }
        let mut names = BTreeSet::new();
        let mut all = false;
        for (text, met) in &mut self.accept {
            if text == server.as_str() {
                (*met, all) = (true, true);
            } else if let Some(tool) = text.strip_prefix(server.as_str()).and_then(|rest| rest.strip_prefix('/'))
                && (tools.contains(tool) || extras.contains(tool))
            {
                *met = true;
                names.insert(tool.to_owned());
            }
        }
        if all { WantedParts::All } else { WantedParts::Named(names) }
    }

    fn push(&mut self, server: &LockedServer) -> Result<(), Failure> {
        self.servers += 1;
        self.tools += server.tools.len();
        let key = serde_json::to_string(&server.order()).map_err(output::internal)?;
        let mut text = String::new();
        LockPrinter::entry(server, &mut text).map_err(output::internal)?;
        if text.len() > ENTRY_BYTES_MAX {
            let name = crate::text::excerpt(server.server.as_str(), 60);
            let most = ENTRY_BYTES_MAX >> 20;
            return Err(Failure::usage(format!("the entry of `{name}` would be longer than {most} MiB")));
        }
        // Sorting wants one line, and the text of an entry has no other control character than the line feed.
        let line = text.replace('\n', "\r");
        self.lines.push(key, line).map_err(output::failed)
    }

    /// Keeps what is to be shown before anything is written.
    fn show(
        &mut self,
        name: &ServerName,
        entry: Option<&Entry>,
        after: Option<&LockedServer>,
        found: Vec<Drift>,
    ) -> Result<(), Failure> {
        let text_before = match (entry, &mut self.before) {
            (Some(entry), Some(before)) => before.text(name, entry.at)?,
            _ => String::new(),
        };
        let file = self.before.as_ref().map(|before| before.lock.file().to_owned()).unwrap_or_default();
        let before = places::EntryText::new(&text_before);
        for drift in found {
            let place = Place::of_offset(&text_before, before.place(&drift.anchor));
            let line = place.line + entry.map_or(1, |entry| entry.line) - 1;
            self.summary.count(drift.severity);
            self.findings.push(CheckFinding::new(drift, &file, Place { line, ..place }));
        }
        self.summary.servers += 1;
        self.summary.tools += after.map_or(0, |after| after.tools.len());
        let print = |server: Option<&LockedServer>| -> Result<String, Failure> {
            let mut text = String::new();
            if let Some(server) = server {
                LockPrinter::entry(server, &mut text).map_err(output::internal)?;
            }
            Ok(text)
        };
        let (was, now) = (print(entry.map(|entry| &entry.server))?, print(after)?);
        if was != now {
            self.changed = true;
            let diff = similar::TextDiff::from_lines(was.as_str(), now.as_str());
            let header = format!("{file}: {}", crate::text::escape(name.as_str()));
            let shown = diff.unified_diff().context_radius(CONTEXT_LINES).header(&header, &header).to_string();
            self.diff.push_str(&shown);
        }
        Ok(())
    }

    fn finish(mut self, args: &LockArgs) -> Result<Exit, Failure> {
        self.failed.sort();
        output::failures(&self.failed);
        std::mem::take(&mut self.problems).check()?;
        // A lock without a server that did not answer would call it gone.
        if !self.failed.is_empty() {
            return Ok(Exit::Unreachable);
        }
        if self.servers == 0 && self.before.is_none() {
            return Err(Failure::usage("nothing to lock").with_exit(Exit::Nothing));
        }
        self.unmet()?;
        if let Some(mut before) = self.before.take() {
            let changed = self.changed || before.lock.rules() != self.rules;
            let unseen = before.unseen();
            // Classes that were not looked at again are still those of the old rules.
            if !unseen.is_empty() || !self.accept.is_empty() {
                before.lock.rules().clone_into(&mut self.rules);
            }
            for (name, _) in unseen {
                for server in before.rest(&name)? {
                    self.push(&server)?;
                }
            }
            if !changed {
                output::people("nothing changed since the lock\n");
                return Ok(Exit::Clean);
            }
            if self.changed && !self.agreed(args)? {
                return Ok(Exit::Findings);
            }
        }
        self.policies.fit(self.servers)?;
        let (servers, tools) = (self.servers, self.tools);
        let existing = if args.force || args.update.is_some() { Existing::Replace } else { Existing::Keep };
        let (rules, lines) = (self.rules, self.lines);
        atomically_with(&self.path, existing, |out| {
            let mut printer = Printing::begin(&rules, out)?;
            lines.finish(&mut printer)?;
            printer.end()
        })?;
        output::people(&format!(
            "locked {} of {} in {}\n",
            count(tools, "tool"),
            count(servers, "server"),
            self.path.display()
        ));
        Ok(Exit::Clean)
    }

    /// Every name that was to be accepted must have been met.
    fn unmet(&self) -> Result<(), Failure> {
        let Some((text, _)) = self.accept.iter().find(|(_, met)| !met) else { return Ok(()) };
        let known: Vec<String> = self
            .findings
            .iter()
            .map(|it| {
                let extra = it.extra.as_ref().map(|extra| extra_name(extra.kind, &extra.key));
                format!("{}/{}", it.server, it.tool.clone().or(extra).unwrap_or_default())
            })
            .collect();
        let failure =
            Failure::usage(format!("`{text}` is neither a server nor a SERVER/TOOL of those that were asked"));
        Err(match nearest(text, known.iter().map(String::as_str)) {
            Some(near) => failure.with_help(format!("did you mean `{}`?", near.trim_end_matches('/'))),
            None => failure,
        })
    }

    /// Shows the changes and asks, unless `--accept` was given.
    fn agreed(&mut self, args: &LockArgs) -> Result<bool, Failure> {
        let findings = std::mem::take(&mut self.findings);
        let file = self.path.to_string_lossy();
        let report = CheckReport::new(&file, findings, self.summary.clone(), Vec::new());
        let mut text = report::check_table(&report, output::terminal_width());
        text.push('\n');
        let lines = self.diff.lines().count();
        for line in self.diff.lines().take(DIFF_LINES_MAX) {
            text.push_str(&crate::text::escape(line));
            text.push('\n');
        }
        if lines > DIFF_LINES_MAX {
            text.push_str(&format!("… {} more lines\n", lines - DIFF_LINES_MAX));
        }
        output::coloured(&text)?;
        if args.accept {
            return Ok(true);
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            output::people("nothing was written; `--accept` writes it\n");
            return Ok(false);
        }
        output::people("Accept these changes? [y/N] ");
        let mut answer = String::new();
        // An answer that cannot be read is a no.
        let _ = io::stdin().lock().read_line(&mut answer);
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}

/// What of one server is accepted.
enum WantedParts {
    All,
    /// Tools by name, and what is offered beside them as [`extra_name`] writes it.
    Named(BTreeSet<String>),
}

/// `prompt:NAME`, `resource:URI`, `template:URI-TEMPLATE`.
fn extra_name(kind: ExtraKind, key: &str) -> String {
    format!("{kind}:{key}")
}

fn extra_names(server: &LockedServer) -> impl Iterator<Item = String> {
    let names: Vec<_> = server.extras().listed().map(|extra| extra_name(extra.kind, &extra.key)).collect();
    names.into_iter()
}

impl WantedParts {
    fn is_nothing(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }

    fn takes(&self, drift: &Drift) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => {
                drift.tool.as_ref().is_some_and(|tool| names.contains(tool))
                    || drift.extra.as_ref().is_some_and(|it| names.contains(&extra_name(it.kind, &it.key)))
            }
        }
    }
}

/// The entry after what is wanted was accepted. Whatever did not change keeps its bytes, so that a set which comes in
/// another order at every start does not show in the diff.
fn merged(was: &LockedServer, now: &LockedServer, wanted: &WantedParts) -> LockedServer {
    let (mut out, accepted) = match wanted {
        WantedParts::All => (now.clone(), None),
        WantedParts::Named(names) => (was.clone(), Some(names)),
    };
    if out.policy.is_none() {
        out.policy.clone_from(&was.policy);
        out.policy_file.clone_from(&was.policy_file);
    }
    if out.greeting.is_none() {
        out.greeting.clone_from(&was.greeting);
    }
    if out.capabilities.is_none() {
        out.capabilities.clone_from(&was.capabilities);
    }
    if let Some(names) = accepted {
        out.tools.retain(|tool| !names.contains(&tool.name));
        out.tools.extend(now.tools.iter().filter(|tool| names.contains(&tool.name)).cloned());
    }
    for kind in ExtraKind::ALL {
        merge_extras(&mut out, was, now, kind, accepted);
    }
    let mut old = was.tools.clone();
    for tool in &mut out.tools {
        let same = old.iter().position(|known| {
            let class = |it: &crate::catalog::LockedTool| (it.category, it.risk, it.blast_radius, it.flags.clone());
            known.fingerprints == tool.fingerprints && class(known) == class(tool)
        });
        if let Some(at) = same {
            *tool = old.remove(at);
        }
    }
    out.tools.sort_by(|a, b| (&a.name, &a.fingerprints).cmp(&(&b.name, &b.fingerprints)));
    out.seal();
    out
}

/// The same for what is offered beside tools. What this time was not asked for stays as it was reviewed.
fn merge_extras(
    out: &mut LockedServer,
    was: &LockedServer,
    now: &LockedServer,
    kind: ExtraKind,
    accepted: Option<&BTreeSet<String>>,
) {
    let (old, new) = (was.extras(), now.extras());
    let (old, new) = match (old.of(kind), new.of(kind)) {
        (_, Offered::NotRecorded) => {
            out.set_definitions(kind, was.definitions(kind).map(<[_]>::to_vec));
            out.unlisted.extend(was.unlisted.iter().filter(|it| **it == kind));
            return;
        }
        (Offered::NotRecorded | Offered::Refused, _) | (_, Offered::Refused) => return,
        (Offered::Listed(old), Offered::Listed(new)) => (old, new),
    };
    let is_accepted = |extra: &&Extra| accepted.is_none_or(|names| names.contains(&extra_name(kind, &extra.key)));
    let mut merged: Vec<&Extra> = old.iter().filter(|extra| !is_accepted(extra)).collect();
    merged.extend(new.iter().filter(is_accepted));
    let value = |extra: &Extra| canonical_extra(serde_json::from_str(extra.raw.get()).unwrap_or_default());
    let mut known: Vec<&Extra> = old.iter().collect();
    for extra in &mut merged {
        if let Some(at) = known.iter().position(|it| it.key == extra.key && value(it) == value(extra)) {
            *extra = known.remove(at);
        }
    }
    merged.sort_by(|a, b| (&a.key, a.raw.get()).cmp(&(&b.key, b.raw.get())));
    out.set_definitions(kind, Some(merged.into_iter().map(|extra| extra.raw.clone()).collect()));
}

/// Takes printed entries, each as one line, and puts them together.
struct Printing<'w> {
    out: &'w mut dyn Write,
    printer: LockPrinter,
    line: Vec<u8>,
}

impl<'w> Printing<'w> {
    fn begin(rules: &str, out: &'w mut dyn Write) -> io::Result<Self> {
        let mut text = String::new();
        let printer = LockPrinter::begin(rules, &mut text);
        out.write_all(text.as_bytes())?;
        Ok(Self { out, printer, line: Vec::new() })
    }

    fn end(self) -> io::Result<()> {
        let mut text = String::new();
        self.printer.end(&mut text);
        self.out.write_all(text.as_bytes())
    }
}

impl Write for Printing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.last() == Some(&b'\n') {
            let entry = String::from_utf8(std::mem::take(&mut self.line)).map_err(io::Error::other)?;
            let mut text = String::new();
            self.printer.printed(&entry.trim_end_matches('\n').replace('\r', "\n"), &mut text);
            self.out.write_all(text.as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn count(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
