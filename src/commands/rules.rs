//! `mcpol rules`: list, lint, test, explain and measure the rules.

use super::load::layers::{self, Layer};
use super::{Failure, load, output};
use crate::classify::eval::{self, Report};
use crate::classify::findings;
use crate::classify::{BUILTIN_FILES, Options, RuleInfo, RuleSet, classify};
use crate::cli::{EvalArgs, ExplainRuleArgs, ListArgs, RulesArgs, RulesCommand, RulesFormat, TargetArgs};
use crate::exit::Exit;
use crate::model::Classified;
use crate::policy::{Form, Ruling, Wishes, generate};
use crate::report::{self, EvalReport, RulesReport};
use crate::text::{escape, nearest};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Largest file of labels that is read, in bytes.
const LABELS_BYTES_MAX: u64 = 256 << 20;

pub(super) fn run(args: RulesArgs) -> Result<Exit, Failure> {
    match args.command {
        RulesCommand::List(args) => list(&args),
        RulesCommand::Lint(args) => lint(&args.rules),
        RulesCommand::Test(args) => test(&args.rules),
        RulesCommand::Explain(args) => explain(&args),
        RulesCommand::Eval(args) => evaluate(&args),
    }
}

fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let rules = layers::ruleset(&layers::layers(&args.layers.rules)?)?;
    let rules: Vec<RuleInfo> = rules.rules().collect();
    match args.format {
        RulesFormat::Table => output::coloured(&report::rule_list(&rules, findings::KINDS, output::terminal_width()))?,
        RulesFormat::Json => {
            output::document(&RulesReport::new(rules, findings::KINDS))?;
        }
    }
    Ok(Exit::Clean)
}

fn lint(directories: &[PathBuf]) -> Result<Exit, Failure> {
    let layers = layers::layers(directories)?;
    let views = layers::views(&layers);
    let views: Vec<&[(&str, &str)]> = views.iter().map(Vec::as_slice).collect();
    // The built-in rules are held to the same bar as anybody's.
    let rules = RuleSet::layered(&views).map_err(|problems| {
        let what = match problems.len() {
            1 => "there is a problem with the rules".to_owned(),
            several => format!("there are {several} problems with the rules"),
        };
        Failure::usage(what).with_problems(problems)
    })?;
    let files = BUILTIN_FILES.len() + layers.iter().map(Vec::len).sum::<usize>();
    output::coloured(&format!("{} rules in {files} files: no problem\n", rules.rules().count()))?;
    Ok(Exit::Clean)
}

fn test(directories: &[PathBuf]) -> Result<Exit, Failure> {
    let rules = layers::ruleset(&layers::layers(directories)?)?;
    let failures = rules.self_test();
    let tests: usize = rules.rules().map(|rule| rule.tests).sum();
    for failure in &failures {
        let place = format!("{}:{}", escape(&failure.file), failure.line);
        output::coloured(&format!("{place}  {}: {}\n", escape(&failure.rule), escape(&failure.what)))?;
    }
    let count = rules.rules().count();
    if failures.is_empty() {
        output::coloured(&format!("{tests} tests of {count} rules: all hold\n"))?;
        return Ok(Exit::Clean);
    }
    output::coloured(&format!("{tests} tests of {count} rules: {} fail\n", failures.len()))?;
    Ok(Exit::Findings)
}

fn explain(args: &ExplainRuleArgs) -> Result<Exit, Failure> {
    let layers = layers::layers(&args.layers.rules)?;
    let rules = layers::ruleset(&layers)?;
    let columns = output::terminal_width();
    if let Some(rule) = rules.rule(&args.id) {
        let source = source_of(&rule, &layers);
        output::coloured(&report::rule_page(&rule, &source, columns))?;
        return Ok(Exit::Clean);
    }
    if let Some(kind) = findings::find(&args.id) {
        output::coloured(&report::kind_page(kind, columns))?;
        return Ok(Exit::Clean);
    }
    let ids: Vec<String> = rules.rules().map(|rule| rule.id).collect();
    let known = ids.iter().map(String::as_str).chain(findings::KINDS.iter().map(|kind| kind.id));
    let help = nearest(&args.id, known)
        .map_or_else(|| "`mcpol rules list` shows every id".to_owned(), |near| format!("did you mean `{near}`?"));
    Err(Failure::usage(format!("no rule or finding has the id `{}`", args.id)).with_help(help))
}

/// The entry of a rule as it is written in its file, without the blank lines and comments that lead to the next one.
fn source_of(rule: &RuleInfo, layers: &[Layer]) -> String {
    let added = layers.iter().flatten().map(|(file, text)| (file.as_str(), text.as_str()));
    let Some((_, text)) = BUILTIN_FILES.iter().copied().chain(added).find(|(file, _)| *file == rule.file) else {
        return String::new();
    };
    let next_entry = |line: &str| {
        let inner = line.trim_end().strip_prefix("[[").or_else(|| line.trim_end().strip_prefix('['));
        inner.is_some_and(|inner| !inner.contains('.') && inner.ends_with(']'))
    };
    let from = rule.line.saturating_sub(1);
    let mut lines: Vec<&str> = Vec::new();
    for (at, line) in text.lines().skip(from).enumerate() {
        if at > 0 && next_entry(line) {
            break;
        }
        lines.push(line);
    }
    while lines.last().is_some_and(|line| line.trim().is_empty() || line.starts_with('#')) {
        lines.pop();
    }
    lines.join("\n")
}

fn evaluate(args: &EvalArgs) -> Result<Exit, Failure> {
    let labels = labels(&args.labels)?;
    let rules = layers::ruleset(&layers::layers(&args.layers.rules)?)?;
    let target = TargetArgs { tools: args.tools.clone(), ..TargetArgs::default() };
    let options = Options { ignore_annotations: !args.with_annotations, ..Options::default() };
    let listings = load::listings(&target)?.listings;
    // One set of rules a fold, each without what was written from that fold alone.
    let left_out: Vec<RuleSet> =
        if args.folds { (0..eval::FOLDS).map(|fold| rules.without_fold(fold)).collect() } else { Vec::new() };
    let classified: Vec<_> = listings
        .into_iter()
        .map(|listing| {
            let fold = left_out.get(eval::fold(listing.server.as_str()) as usize);
            classify(fold.unwrap_or(&rules), listing, &options)
        })
        .collect();
    let mut measured = eval::evaluate(&labels, &classified, &passes(&classified));
    if args.with_annotations {
        // What a tool deserves never rests on what it claims.
        measured.hints.clear();
        measured.hint_misses.clear();
    }
    if measured.labels == 0 {
        let help = "labels name servers as the tool lists do (`server`, `slug` or the file's name)";
        return Err(Failure::usage("no label met a tool").with_exit(Exit::Nothing).with_help(help));
    }
    match args.format {
        RulesFormat::Table => output::coloured(&report::evaluation(&measured, args.misses, output::terminal_width()))?,
        RulesFormat::Json => output::document(&EvalReport::new(&measured))?,
    }
    Ok(if reaches(&measured, args) { Exit::Clean } else { Exit::Findings })
}

/// Servers and tools that a recommended policy lets pass without a person.
fn passes(classified: &[Classified]) -> BTreeSet<(String, String)> {
    let mut out = BTreeSet::new();
    for one in classified {
        let tools = one.listing.tools.iter().zip(&one.verdicts);
        let policy = generate(tools, &Wishes::standard(Form::Full));
        let passing = policy.review.into_iter().filter(|review| match review.ruling {
            Ruling::Allow | Ruling::Limit(_) => true,
            Ruling::Approve(_) | Ruling::Refuse | Ruling::LeaveOut | Ruling::Hide => false,
        });
        out.extend(passing.map(|review| (one.listing.server.as_str().to_owned(), review.tool)));
    }
    out
}

/// Whether both thresholds are met; says on stderr which is not.
fn reaches(measured: &Report, args: &EvalArgs) -> bool {
    let percent = |part: usize| 100.0 * part as f64 / measured.labels as f64;
    let mut met = true;
    for (what, part, least) in
        [("category", measured.exact, args.min_category), ("blast radius", measured.radius_right, args.min_radius)]
    {
        if let Some(least) = least.filter(|least| percent(part) < *least) {
            output::people(&format!("{what}: {:.1} % is below the {least} % asked for\n", percent(part)));
            met = false;
        }
    }
    met
}

fn labels(path: &Path) -> Result<Vec<eval::Label>, Failure> {
    let name = path.display().to_string();
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(LABELS_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| Failure::usage(format!("cannot read the labels `{name}`: {error}")))?;
    eval::parse_labels(&name, &text)
        .map_err(|problems| Failure::usage("the labels are not valid").with_problems(problems))
}
