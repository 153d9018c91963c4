//! `mcpol check`: lock, servers, policies and recommendation side by side.

mod baseline;
mod fix;
mod revision;
mod sources;
mod state;

use super::load::{Classifier, Item, Problems};
use super::lock_file::{self, Locked};
use super::policies::{NamedPolicies, Remembered, in_force};
use super::write;
use super::{Failure, output, project};
use crate::catalog::drift::{self, Accepted, Drift};
use crate::cli::{CheckArgs, DriftFormat};
use crate::code::Code;
use crate::exit::Exit;
use crate::model::{Finding, Listing, Severity};
use crate::problem::Place;
use crate::report::{self, CheckFinding, CheckReport, CheckSummary, CheckedServer, Failed};
use state::State;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most findings that are kept and shown; the rest is counted.
const FINDINGS_MAX: usize = 100_000;
/// Columns of a table that goes into a file.
const WIDTH: usize = 100;
/// Settings that are read when none are named.
const SETTINGS: &str = "mcpol.toml";

pub(super) fn run(args: CheckArgs) -> Result<Exit, Failure> {
    let lock = project::lock(args.lock.as_deref(), &args.target)?;
    let locked = Locked::new(lock_file::open(&lock)?)?;
    let settings = settings(args.rules.settings.as_deref())?;
    let mut remembered = vec![Remembered::by_lock(locked.lock.file(), &locked.lock)];
    remembered.extend(settings.iter().map(|(path, text)| Remembered::by_settings(path, text)));
    let policies = NamedPolicies::read(&in_force(&args.policy, &remembered)?)?;
    if args.offline && args.target.tools.is_empty() && policies.named().is_empty() {
        let help = "name a policy with `--policy`, let the lock (`mcpol lock --update --policy FILE`) or mcpol.toml name it, or name saved lists with `--tools`";
        return Err(Failure::usage(
            "nothing to check: without a policy or saved lists `--offline` compares the lock with itself",
        )
        .with_exit(Exit::Nothing)
        .with_help(help));
    }
    if args.fix_policy && policies.named().is_empty() {
        return Err(Failure::usage("there is no policy to fix")
            .with_help("name it with `--policy`, or write it into the lock with `mcpol lock --update --policy FILE`"));
    }
    policies.fit(locked.lock.names().map(|(_, count)| count).sum())?;
    let today = crate::policy::utc(crate::clock::now()).chars().take(10).collect::<String>();
    let accepted = accepted(settings.as_ref(), &today)?;
    let classifier = Classifier::new(&args.rules)?;
    let known =
        args.baseline.as_deref().map(|name| baseline::known(name, (&args, &lock), &classifier, &today)).transpose()?;
    let mut run = Run {
        classifier,
        known: known.unwrap_or_default(),
        state: State { locked, policies, accepted },
        today,
        summary: CheckSummary::default(),
        worst: None,
        findings: Vec::new(),
        failed: Vec::new(),
        checked: Vec::new(),
        problems: Problems::default(),
        fixes: fix::Fixes::default(),
    };
    run.look(&args, &lock)?;
    run.print(&args)?;
    run.exit(&args)
}

/// The settings, if there are any: their path and text.
fn settings(named: Option<&Path>) -> Result<Option<(PathBuf, String)>, Failure> {
    let path = named.map_or_else(|| PathBuf::from(SETTINGS), Path::to_path_buf);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(error) => Err(Failure::usage(format!("cannot read `{}`: {error}", path.display()))),
    }
}

/// The accepted deviations of the settings.
fn accepted(settings: Option<&(PathBuf, String)>, today: &str) -> Result<Accepted, Failure> {
    let Some((path, text)) = settings else { return Ok(Accepted::default()) };
    let file = path.to_string_lossy();
    let accepted = Accepted::parse(&file, text)
        .map_err(|problems| Failure::usage(format!("`{file}` is not valid")).with_problems(problems))?;
    sources::tell_expired(accepted.expired(&file, today));
    Ok(accepted)
}

struct Run {
    classifier: Classifier,
    /// Fingerprints of what the baseline has too.
    known: BTreeSet<String>,
    state: State,
    today: String,
    summary: CheckSummary,
    worst: Option<Severity>,
    findings: Vec<CheckFinding>,
    failed: Vec<Failed>,
    checked: Vec<CheckedServer>,
    problems: Problems,
    fixes: fix::Fixes,
}

impl Run {
    fn look(&mut self, args: &CheckArgs, lock: &Path) -> Result<(), Failure> {
        // The servers of the lock are read from a second handle: the first is busy with comparing.
        let list = || Locked::new(lock_file::open(lock)?);
        sources::each(args, &list, &mut |item| {
            match item {
                Item::Listing(listing, configuration) => self.server(*listing, configuration.findings)?,
                Item::Failed(failed) => self.failed.push(failed),
                Item::Problem(problem) => self.problems.push(problem),
            }
            Ok(())
        })?;
        // What stands in a file that cannot be read nobody knows.
        if sources::is_whole(args) && self.problems.is_empty() {
            for (name, count) in self.state.locked.unseen() {
                // A server that did not answer is not gone.
                if !self.failed.iter().any(|failed| failed.server == name) {
                    for _ in 0..count {
                        let drift = drift::missing_server(name.as_str());
                        let file = self.state.locked.lock.file().to_owned();
                        self.keep(drift, &file, Place { line: 1, column: 1 });
                    }
                }
            }
        }
        Ok(())
    }

    fn server(&mut self, listing: Listing, findings: Vec<Finding>) -> Result<(), Failure> {
        let name = listing.server.clone();
        let differences = self.state.differences(listing, findings, &self.classifier, &self.today)?;
        self.summary.servers += 1;
        self.summary.tools += differences.now.tools.len();
        self.summary.accepted += differences.accepted;
        self.checked.push(CheckedServer { server: name.as_str().to_owned(), tools: differences.now.tools.len() });
        if differences.found.is_empty() {
            return Ok(());
        }
        let places = self.state.places(&name, &differences)?;
        if let Some(policy) = self.state.policies.of(&name) {
            self.fixes.add(policy, &differences.now, &differences.found);
        }
        for (drift, (file, place)) in differences.found.into_iter().zip(places) {
            self.keep(drift, &file, place);
        }
        Ok(())
    }

    fn keep(&mut self, drift: Drift, file: &str, place: Place) {
        if !self.known.is_empty() && self.known.contains(&drift.fingerprint()) {
            self.summary.known += 1;
            return;
        }
        if drift.code == Code::D004 && self.state.accepted.holds(&drift, &self.today) {
            self.summary.accepted += 1;
            return;
        }
        self.summary.count(drift.severity);
        self.worst = self.worst.max(Some(drift.severity));
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(CheckFinding::new(drift, file, place));
        } else {
            self.summary.left_out += 1;
        }
    }

    fn print(&mut self, args: &CheckArgs) -> Result<(), Failure> {
        if args.fix_policy {
            let text = self.fixes.diff()?;
            if text.is_empty() {
                output::people("nothing to tighten\n");
            }
            return output::machine(|out| out.write_all(text.as_bytes()));
        }
        let lock = self.state.locked.lock.file().to_owned();
        let findings = std::mem::take(&mut self.findings);
        let report = CheckReport::new(&lock, findings, self.summary.clone(), self.failed.clone())
            .with_checked(std::mem::take(&mut self.checked));
        let rules = self.classifier.fingerprint();
        for (format, path) in &args.also {
            write::in_place(path, &text(*format, &report, &rules)?)?;
        }
        match args.format {
            DriftFormat::Table => output::coloured(&report::check_table(&report, output::terminal_width())),
            other => {
                let text = text(other, &report, &rules)?;
                output::machine(|out| out.write_all(text.as_bytes()))
            }
        }
    }

    /// A file that is not valid before a server that failed, a server that failed before findings, because then not
    /// everything was looked at.
    fn exit(mut self, args: &CheckArgs) -> Result<Exit, Failure> {
        self.failed.sort();
        output::failures(&self.failed);
        std::mem::take(&mut self.problems).check()?;
        if !self.failed.is_empty() {
            return Ok(Exit::Unreachable);
        }
        if self.summary.servers == 0 && self.worst.is_none() {
            return Err(Failure::usage("nothing to check").with_exit(Exit::Nothing));
        }
        Ok(if self.worst.is_some_and(|worst| args.fail_on.reached(worst)) { Exit::Findings } else { Exit::Clean })
    }
}

/// A report in one of the formats for machines; for the table, without a terminal.
fn text(format: DriftFormat, report: &CheckReport, rules: &str) -> Result<String, Failure> {
    let from_top = || report.clone().with_paths(&super::top::paths());
    let json = |text: serde_json::Result<String>| {
        text.map(|text| crate::text::visible_json(&text).into_owned()).map_err(output::internal)
    };
    Ok(match format {
        DriftFormat::Table => anstream::adapter::strip_str(&report::check_table(report, WIDTH)).to_string(),
        DriftFormat::Json => json(report::document_json(report))?,
        DriftFormat::Sarif => json(report::check_sarif(&from_top(), rules))?,
        DriftFormat::Markdown => report::check_markdown(report),
        DriftFormat::Github => report::check_github(&from_top()),
        DriftFormat::Junit => report::check_junit(&from_top()),
    })
}
