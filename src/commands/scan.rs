//! `mcpol scan`: list, classify, report.

use super::load::{self, Classifier, Item, Problems};
use super::{Failure, output, project};
use crate::catalog;
use crate::cli::{Format, KeptScans, ScanArgs, TargetArgs};
use crate::exit::Exit;
use crate::model::{Classified, RiskLevel, Severity};
use crate::report::{self, Detail, Failed, ScanLine, ScanReport, ScannedServer, SortedLines, TableOptions};
use crate::text::visible_json;
use std::path::PathBuf;

pub(super) fn run(mut args: ScanArgs) -> Result<Exit, Failure> {
    args.target.kept = KeptScans::Renewed;
    let of_table = [("--all", args.all), ("--summary", args.summary), ("--min-risk", args.min_risk.is_some())];
    if let Some((option, _)) = of_table.into_iter().find(|(_, given)| *given && args.format != Format::Table) {
        return Err(Failure::usage(format!("{option} is for the table"))
            .with_help("the other formats have every tool: leave it or `--format` out"));
    }
    let classifier = Classifier::new(&args.rules)?;
    // Lines need no server to wait for another, unless records of all are wanted in the end.
    let outcome = match args.format {
        Format::Ndjson if args.save.is_none() => stream(&args, &classifier)?,
        _ => collect(&args, &classifier)?,
    };
    classifier.say_what_did_not_apply();
    outcome.exit(args.fail_on)
}

/// What a scan came to, beside its output.
#[derive(Default)]
struct ScanOutcome {
    servers: usize,
    offered: usize,
    worst: Option<RiskLevel>,
    error_findings: usize,
    failed: Vec<Failed>,
    problems: Problems,
}

impl ScanOutcome {
    fn saw(&mut self, classified: &Classified) {
        self.servers += 1;
        self.offered += classified.listing.tools.len() + classified.listing.extras.listed().count();
        self.worst = self.worst.max(classified.verdicts.iter().map(|verdict| verdict.risk).max());
        let findings = classified.verdicts.iter().flat_map(|verdict| &verdict.findings).chain(&classified.findings);
        self.error_findings += findings.filter(|finding| finding.severity == Severity::Error).count();
    }

    /// Says on stderr which servers could not be listed: before the others fill the screen.
    fn tell_failures(&mut self) {
        self.failed.sort();
        output::failures(&self.failed);
    }

    /// Says what else went wrong on stderr, then the exit code: a file that is not valid before a server that failed, a
    /// server that failed before risk, because then the risk is not known in full.
    fn exit(self, fail_on: Option<RiskLevel>) -> Result<Exit, Failure> {
        self.problems.check()?;
        if !self.failed.is_empty() {
            return Ok(Exit::Unreachable);
        }
        if self.servers == 0 {
            return Err(Failure::usage("nothing to scan: no server is configured")
                .with_exit(Exit::Nothing)
                .with_help("give a URL, a command after `--`, `--config FILE`, or saved lists with `--tools FILE`"));
        }
        if self.offered == 0 {
            let whose = if self.servers == 1 { "the server lists" } else { "the servers list" };
            return Err(Failure::usage(format!("nothing to look at: {whose} no tool, prompt or resource"))
                .with_exit(Exit::Nothing)
                .with_help("some servers list tools only to clients that offer something (`--capability`), or once they have a key (`--env`)"));
        }
        let reached = fail_on.is_some_and(|level| self.worst >= Some(level) || self.error_findings > 0);
        Ok(if reached { Exit::Findings } else { Exit::Clean })
    }
}

/// What to say when the sample server is scanned because nothing was named.
const SAMPLE_HINT: &str = "\
no server named: scanning the sample server inside mcpol. For your own:
  mcpol scan -- npx -y @modelcontextprotocol/server-everything
  mcpol scan https://mcp.example.com/mcp
";

/// The servers that the arguments name. Where they name none, those that the clients of this machine have, after a person
/// has agreed; else the sample server.
fn servers(args: &ScanArgs, on: &mut dyn FnMut(Item) -> Result<(), Failure>) -> Result<(), Failure> {
    let target = project::with_servers(&args.target)?;
    if load::names_anything(&target) {
        return load::each(&target, on);
    }
    let configured = load::configured_here();
    let have = format!("{configured} server{} of MCP clients here", if configured == 1 { "" } else { "s" });
    if configured > 0 && load::on_a_terminal() && load::ask::yes(&format!("Look at the {have}? [y/N] ")) {
        return load::each(&TargetArgs { discover: true, ..args.target.clone() }, on);
    }
    let discover = if configured > 0 { format!("                     the {have}") } else { String::new() };
    output::note(&format!("{SAMPLE_HINT}  mcpol scan --discover{discover}\n\n"));
    load::sample(&args.target, on)
}

/// NDJSON: each server is judged and forgotten; only its lines wait, in bounded memory, to be sorted.
fn stream(args: &ScanArgs, classifier: &Classifier) -> Result<ScanOutcome, Failure> {
    let (mut outcome, mut lines) = (ScanOutcome::default(), SortedLines::default());
    servers(args, &mut |item| {
        match item {
            Item::Listing(listing, configuration) => {
                let classified = classifier.one(*listing, configuration.findings);
                outcome.saw(&classified);
                push_lines(&classified, &mut lines)?;
            }
            Item::Failed(failed) => outcome.failed.push(failed),
            Item::Problem(problem) => outcome.problems.push(problem),
        }
        Ok(())
    })?;
    outcome.tell_failures();
    output::machine(|out| lines.finish(out))?;
    Ok(outcome)
}

fn push_lines(classified: &Classified, lines: &mut SortedLines) -> Result<(), Failure> {
    for tool in ScannedServer::new(classified).tools {
        // JSON strings hold no control characters, so a key is one line whatever the names are.
        let key = serde_json::to_string(&(tool.server, tool.tool, &tool.fingerprint)).map_err(output::internal)?;
        let line = serde_json::to_string(&ScanLine::new(tool)).map_err(output::internal)?;
        lines.push(key, visible_json(&line).into_owned()).map_err(output::failed)?;
    }
    Ok(())
}

/// Every other format: all servers, then the report.
fn collect(args: &ScanArgs, classifier: &Classifier) -> Result<ScanOutcome, Failure> {
    let (mut outcome, mut all) = (ScanOutcome::default(), Vec::new());
    servers(args, &mut |item| {
        match item {
            Item::Listing(listing, configuration) => {
                all.push((classifier.one(*listing, configuration.findings), configuration.found_in));
            }
            Item::Failed(failed) => outcome.failed.push(failed),
            Item::Problem(problem) => outcome.problems.push(problem),
        }
        Ok(())
    })?;
    outcome.tell_failures();
    all.sort_by_cached_key(|(classified, _)| catalog::sort_key(classified));
    let (all, found_in): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    all.iter().for_each(|classified| outcome.saw(classified));
    let together = classifier.together(&all);
    if let Some(directory) = &args.save {
        catalog::save(directory, &all).map_err(|error| Failure::usage(error.to_string()))?;
    }
    let report = ScanReport::new(&all, together, &outcome.failed).found_in(found_in);
    match args.format {
        Format::Table => {
            let detail = match (args.summary, args.explain, args.all) {
                (true, _, _) => Detail::Counts,
                (false, true, _) => Detail::Evidence,
                (false, false, true) => Detail::Rows,
                (false, false, false) => Detail::Folded,
            };
            let min_risk = args.min_risk.unwrap_or(RiskLevel::Low);
            let options = TableOptions { width: output::terminal_width(), detail, min_risk };
            output::coloured(&report::scan_table(&report, options))?;
        }
        Format::Json => {
            output::document(&report)?;
        }
        Format::Markdown => {
            let text = report::scan_markdown(&report);
            output::machine(|out| out.write_all(text.as_bytes()))?;
        }
        Format::Sarif => {
            let from_top = super::top::paths();
            let read =
                |path: &PathBuf| (from_top(&path.to_string_lossy()), std::fs::read_to_string(path).unwrap_or_default());
            let configurations: Vec<_> = args.target.config.iter().map(read).collect();
            let text = report::scan_sarif(&report, &classifier.fingerprint(), &configurations, &from_top);
            output::json(&text.map_err(output::internal)?)?;
        }
        Format::Ndjson => {
            let mut lines = SortedLines::default();
            all.iter().try_for_each(|classified| push_lines(classified, &mut lines))?;
            output::machine(|out| lines.finish(out))?;
        }
    }
    Ok(outcome)
}
