//! `mcpol audit`: read the log back.

use super::{Failure, enforce_parts, output, project};
use crate::cli::{AuditArgs, AuditCommand, LogArgs, ShowArgs, StatsArgs, TailArgs};
use crate::exit::Exit;
use crate::gateway::audit::{AuditEntry, current_of, families_of, files_of, parse_line, stats, verify};
use crate::report::{AuditStats, Latencies, RuleDenials, ToolDecisions};
use crate::text::{escape, excerpt, visible_json};
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at a log that is followed.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// Most entries that `tail` shows.
const TAIL_MAX: usize = 100_000;
/// Broken places that are shown one by one.
const BROKEN_SHOWN_MAX: usize = 20;
/// Rules in the table of denials.
const DENIALS_SHOWN_MAX: usize = 20;
/// Characters of a name in a table.
const NAME_CHARS: usize = 40;
/// Characters of a rule's id, which holds a tool's and a counter's name.
const RULE_CHARS: usize = 80;

pub(super) fn run(args: AuditArgs) -> Result<Exit, Failure> {
    match args.command {
        AuditCommand::Tail(args) => tail(&args),
        AuditCommand::Show(args) => show(&args),
        AuditCommand::Verify(args) => check(&args),
        AuditCommand::Stats(args) => add_up(&args),
    }
}

fn path_of(args: &LogArgs) -> Result<PathBuf, Failure> {
    let of_project = match &args.file {
        Some(_) => None,
        None => project::find(args.config.as_deref())?.map(|project| project.audit()).transpose()?.flatten(),
    };
    let path = match args.file.clone().or(of_project) {
        Some(path) => path,
        None => super::state::folder("--file")?.join(enforce_parts::AUDIT_FILE),
    };
    if files_of(&path).is_empty() {
        return Err(Failure::usage(format!("there is no audit log `{}`", path.display()))
            .with_help("`mcpol enforce` writes one; name another with --file")
            .with_exit(Exit::Nothing));
    }
    Ok(path)
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::usage(format!("cannot read `{}`: {error}", path.display()))
}

/// One entry for people.
fn shown(line: &str) -> String {
    let Ok(entry) = parse_line(line) else { return format!("?  {}", excerpt(line, 100)) };
    let time = entry.time.get(..19).unwrap_or(&entry.time).replace('T', " ");
    let name = |text: &Option<String>| excerpt(text.as_deref().unwrap_or("-"), NAME_CHARS);
    let what = match entry.event.as_str() {
        "decision" => {
            let id = entry.decision.map_or_else(String::new, |number| format!("{}-{number}", escape(&entry.session)));
            let verdict = name(&entry.verdict);
            let rule = excerpt(entry.rule.as_deref().unwrap_or("-"), RULE_CHARS);
            format!("{verdict:10}  {}/{}  {rule}  {id}", name(&entry.server), name(&entry.tool))
        }
        "outcome" => {
            let id = entry.decision.map_or_else(String::new, |number| format!("{}-{number}", escape(&entry.session)));
            format!("{:10}  {}  {id}", name(&entry.outcome), micros(entry.micros.unwrap_or(0)))
        }
        event => format!("{:10}  {}", excerpt(event, NAME_CHARS), escape(&entry.session)),
    };
    format!("{}  {what}", escape(&time))
}

fn micros(micros: u64) -> String {
    match micros {
        0..=9_999 => format!("{micros} µs"),
        10_000..=9_999_999 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

fn tail(args: &TailArgs) -> Result<Exit, Failure> {
    let path = path_of(&args.log)?;
    let mut last = Vec::new();
    for family in families_of(&path) {
        last.extend(last_of(&family, args)?);
    }
    // Each family is in order; a time is written so that its text is too.
    last.sort_by_cached_key(|line| parse_line(line).map_or_else(|_| String::new(), |entry| entry.time));
    last.drain(..last.len().saturating_sub(args.lines.min(TAIL_MAX)));
    let print = |lines: &[String]| {
        let text: String = lines
            .iter()
            .map(|line| if args.json { visible_json(line).into_owned() + "\n" } else { shown(line) + "\n" })
            .collect();
        output::coloured(&text)
    };
    print(&last)?;
    if !args.follow {
        return Ok(Exit::Clean);
    }
    let mut followed = current_of(&path).map(Followed::at_the_end);
    loop {
        std::thread::sleep(FOLLOW_EVERY);
        for file in &mut followed {
            let lines: Vec<String> = file.new_lines()?.into_iter().filter(|line| is_wanted(args, line)).collect();
            print(&lines)?;
        }
    }
}

/// The last lines of some files that were asked for, oldest first.
fn last_of(files: &[PathBuf], args: &TailArgs) -> Result<VecDeque<String>, Failure> {
    let (mut last, wanted) = (VecDeque::new(), args.lines.min(TAIL_MAX));
    for file in files {
        let reader = BufReader::new(File::open(file).map_err(unreadable(file))?);
        for line in reader.split(b'\n') {
            let line = line.map_err(unreadable(file))?;
            let line = String::from_utf8_lossy(&line);
            if !is_wanted(args, &line) {
                continue;
            }
            if last.len() >= wanted {
                last.pop_front();
            }
            if wanted > 0 {
                last.push_back(line.into_owned());
            }
        }
    }
    Ok(last)
}

/// A file of the log that grows.
struct Followed {
    path: PathBuf,
    /// Bytes that were shown.
    at: u64,
}

impl Followed {
    fn at_the_end(path: PathBuf) -> Self {
        let at = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Self { path, at }
    }

    /// Lines that have come since the last look. Half a line comes when it is whole.
    fn new_lines(&mut self) -> Result<Vec<String>, Failure> {
        let unreadable = unreadable(&self.path);
        let length = std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        // A shorter file is a new one: the old one was rotated away.
        self.at = if length < self.at { 0 } else { self.at };
        if length == self.at {
            return Ok(Vec::new());
        }
        let mut new = Vec::new();
        let mut file = File::open(&self.path).map_err(&unreadable)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(self.at)).map_err(&unreadable)?;
        file.take(length - self.at).read_to_end(&mut new).map_err(&unreadable)?;
        let whole = memchr::memrchr(b'\n', &new).map_or(0, |end| end + 1);
        self.at += whole as u64;
        Ok(String::from_utf8_lossy(&new[..whole]).lines().map(str::to_owned).collect())
    }
}

/// A line that cannot be read may tell of a refusal too.
fn is_wanted(args: &TailArgs, line: &str) -> bool {
    !args.denied
        || parse_line(line).map_or(true, |entry| {
            entry.event == "decision" && entry.verdict.as_deref().is_some_and(|verdict| verdict != "allow")
        })
}

fn show(args: &ShowArgs) -> Result<Exit, Failure> {
    let path = path_of(&args.log)?;
    let wanted = args.id.rsplit_once('-').and_then(|(session, number)| Some((session, number.parse::<u64>().ok()?)));
    let Some((session, number)) = wanted else {
        return Err(Failure::usage(format!("`{}` is no decision id", excerpt(&args.id, NAME_CHARS))).with_help(
            "an id looks like `6c3b621851457b6c-5`; refused calls carry theirs, `mcpol audit tail` lists them",
        ));
    };
    let belongs = |entry: &AuditEntry| entry.session == session && entry.decision == Some(number);
    let mut text = String::new();
    for file in files_of(&path) {
        let reader = BufReader::new(File::open(&file).map_err(unreadable(&file))?);
        for line in reader.split(b'\n') {
            let line = line.map_err(unreadable(&file))?;
            let line = String::from_utf8_lossy(&line);
            if !parse_line(&line).is_ok_and(|entry| belongs(&entry)) {
                continue;
            }
            let Ok(serde_json::Value::Object(members)) = serde_json::from_str(&line) else { continue };
            for (name, value) in members.iter().filter(|(name, _)| *name != "prev") {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{:10}  {}", escape(name), escape(&value));
            }
            text.push('\n');
        }
    }
    if text.is_empty() {
        return Err(Failure::usage(format!("the log has no decision `{}`", excerpt(&args.id, NAME_CHARS)))
            .with_help("equal refusals of a session are counted, not written one by one; older lines may have been rotated away")
            .with_exit(Exit::Nothing));
    }
    output::coloured(text.trim_end_matches('\n'))?;
    output::coloured("\n")?;
    Ok(Exit::Clean)
}

fn check(args: &LogArgs) -> Result<Exit, Failure> {
    let path = path_of(args)?;
    let report = verify(&files_of(&path)).map_err(unreadable(&path))?;
    let mut text = String::new();
    for broken in report.broken.iter().take(BROKEN_SHOWN_MAX) {
        let _ = writeln!(text, "{}:{}: {}", escape(&broken.file.to_string_lossy()), broken.line, escape(&broken.what));
    }
    if report.broken.len() > BROKEN_SHOWN_MAX {
        let _ = writeln!(text, "… and {} more", report.broken.len() - BROKEN_SHOWN_MAX);
    }
    if report.beginnings_gone > 0 {
        let _ = writeln!(
            text,
            "MISSING AT THE FRONT: {} lines of {} sessions, rotated away or cut off here, and every session that ended before {}; what was decided there is not known",
            report.missing_lines,
            report.beginnings_gone,
            escape(report.oldest.as_deref().unwrap_or("them")),
        );
    }
    if report.beginnings_gone == 0 && report.may_be_rotated_away {
        let _ = writeln!(
            text,
            "MAYBE MISSING AT THE FRONT: all rotated files are in use, so sessions that ended before {} may be gone",
            escape(report.oldest.as_deref().unwrap_or("them")),
        );
    }
    let holds = match (report.broken.len(), report.beginnings_gone + usize::from(report.may_be_rotated_away)) {
        (0, 0) => "the chain holds".to_owned(),
        (0, _) => "what is left holds together".to_owned(),
        (count, _) => format!("{count} places do not fit"),
    };
    let _ = writeln!(text, "{} lines of {} sessions: {holds}", report.lines, report.sessions);
    if report.unfinished > 0 {
        let _ = writeln!(text, "{} unfinished sessions: running, killed, or cut off here", report.unfinished);
    }
    output::coloured(&text)?;
    Ok(if report.broken.is_empty() { Exit::Clean } else { Exit::Findings })
}

fn add_up(args: &StatsArgs) -> Result<Exit, Failure> {
    let path = path_of(&args.log)?;
    let counts = stats(&files_of(&path)).map_err(unreadable(&path))?;
    if args.format.is_json() {
        let tools = counts.tools.iter().map(|(tool, &[allowed, denied, would_deny])| {
            (tool.clone(), ToolDecisions { allowed, denied, would_deny })
        });
        let denials = counts.denials.iter().map(|((tool, rule), &count)| {
            let (tool, rule) = (tool.clone(), rule.clone());
            RuleDenials { tool, rule, count }
        });
        output::document(&AuditStats {
            version: 1,
            tools: tools.collect(),
            denials: denials.collect(),
            outcomes: counts.outcomes.clone(),
            events: counts.events.clone(),
            folded: counts.folded,
            latency_us: Latencies { p50: counts.latency(50), p90: counts.latency(90), p99: counts.latency(99) },
        })?;
        return Ok(Exit::Clean);
    }
    let mut text = String::new();
    let _ = writeln!(text, "{:>9} {:>9} {:>11}  tool", "allowed", "denied", "would deny");
    for (tool, [allowed, denied, would]) in &counts.tools {
        let _ = writeln!(text, "{allowed:>9} {denied:>9} {would:>11}  {}", excerpt(tool, NAME_CHARS));
    }
    let mut denials: Vec<_> = counts.denials.iter().collect();
    denials.sort_by_key(|(rule, count)| (std::cmp::Reverse(**count), *rule));
    if !denials.is_empty() {
        let _ = writeln!(text, "\n{:>9}  rule that refused", "times");
    }
    for ((tool, rule), count) in denials.iter().take(DENIALS_SHOWN_MAX) {
        // Rules of a tool have its name in their id; the others are for every tool.
        let shown = if rule.starts_with('/') { String::new() } else { format!("  {}", excerpt(tool, NAME_CHARS)) };
        let _ = writeln!(text, "{count:>9}  {}{shown}", excerpt(rule, 60));
    }
    if counts.folded > 0 {
        let _ = writeln!(text, "{:>9}  refusals more, equal to others", counts.folded);
    }
    if let (Some(p50), Some(p90), Some(p99)) = (counts.latency(50), counts.latency(90), counts.latency(99)) {
        let (p50, p90, p99) = (micros(p50), micros(p90), micros(p99));
        let _ =
            writeln!(text, "\nfrom decision to answer: p50 {p50}, p90 {p90}, p99 {p99} ({} calls)", counts.answered());
    }
    let others: Vec<_> = counts.events.iter().map(|(event, count)| format!("{} {count}", excerpt(event, 40))).collect();
    if !others.is_empty() {
        let _ = writeln!(text, "events: {}", others.join(", "));
    }
    output::coloured(&text)?;
    Ok(Exit::Clean)
}
