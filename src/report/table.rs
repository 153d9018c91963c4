//! The table for people: grouped by server, worst first, as wide as the terminal. Colours are always written; whoever
//! prints takes them out where they are not wanted.

use super::grid::grid as rows;
use super::scan::{Failed, ScanReport, ScannedServer, ScannedTool, Summary};
use super::words::{about_tokens, count, evidence_in_words, fit, flags, lines, rounded, severity, why, width, wrap};
use crate::model::{Category, Finding, RiskLevel, ServerSource, Severity};
use crate::text::{escape, excerpt};
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use tabled::builder::Builder;
use tabled::settings::{Color, Modify, Padding, Style as Borders, object::Cell};

/// Narrowest table, in columns; a terminal narrower than this breaks the lines.
pub(super) const WIDTH_MIN: usize = 60;
/// Widest table, in columns: longer lines are hard to follow.
const WIDTH_MAX: usize = 160;
/// From this width on, flags and reason have columns of their own.
const WIDE: usize = 100;
/// The columns for risk, category and radius with the gaps after them.
const CLASS_COLUMNS: usize = 2 + 8 + 2 + 8 + 2 + 8 + 2;

/// Prompts, resources and templates that are named, each kind for itself, and how long a name and their lines may be.
const EXTRAS_SHOWN_MAX: usize = 20;
const EXTRA_CHARS_MAX: usize = 60;
const EXTRA_LINES_MAX: usize = 6;

/// Fewest readers that are folded into one line: two would not save any.
const FOLDED_MIN: usize = 3;
/// Names of tools that a line for several of them has, and its lines.
const FOLDED_SHOWN_MAX: usize = 8;
const FOLDED_LINES_MAX: usize = 5;

/// How a table is laid out.
#[derive(Clone, Copy, Debug)]
pub struct TableOptions {
    /// Columns of the terminal.
    pub width: usize,
    /// What is shown of the tools.
    pub detail: Detail,
    /// Only tools of this risk or a worse one have a row; the others are counted.
    pub min_risk: RiskLevel,
}

/// How much is shown of every tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A line a server, with counts.
    Counts,
    /// A row a tool, and one line for all that only read, at low risk and without a finding.
    Folded,
    /// A row a tool.
    Rows,
    /// The evidence under every tool.
    Evidence,
}

/// The servers with their tools and findings, and the counts over all of them.
pub fn scan_table(report: &ScanReport<'_>, options: TableOptions) -> String {
    let columns = options.width.clamp(WIDTH_MIN, WIDTH_MAX);
    let mut out = String::new();
    if options.detail == Detail::Counts {
        counts(&mut out, report, columns);
        return out;
    }
    for server in &report.servers {
        header(&mut out, server, columns);
        let all = server.worst_first();
        let shown: Vec<_> = all.iter().copied().filter(|tool| tool.risk >= options.min_risk).collect();
        let (rows, folded) = if options.detail == Detail::Folded { fold(&shown) } else { (shown.clone(), Vec::new()) };
        if options.detail == Detail::Evidence {
            explained(&mut out, &rows, columns);
        } else if !rows.is_empty() {
            grid(&mut out, &rows, columns);
        }
        named_only(&mut out, &folded, columns);
        let below = all.len() - shown.len();
        if below > 0 {
            let _ = writeln!(out, "  {} below {} risk", count(below, "tool"), options.min_risk);
        }
        extras(&mut out, server, columns);
        notes(&mut out, server, columns);
        findings(&mut out, server, columns);
        out.push('\n');
    }
    if !report.set_findings.is_empty() {
        let bold = Style::new().bold();
        let _ = writeln!(out, "{bold}Together{bold:#}");
        for finding in &report.set_findings {
            finding_lines(&mut out, finding.severity, &finding.id, &finding.message, columns);
        }
        out.push('\n');
    }
    if report.servers.len() > 1 {
        total(&mut out, report, columns);
    }
    out
}

/// What a tool that has no row of its own has in common with the others: it only reads, at low risk, and nothing was found.
fn is_plain_reader(tool: &ScannedTool<'_>) -> bool {
    let found = tool.findings.iter().any(|finding| finding.severity >= Severity::Warning);
    tool.risk == RiskLevel::Low && tool.category == Category::Read && !found
}

/// Tools with a row of their own, and those that share a line.
fn fold<'t>(tools: &[&'t ScannedTool<'t>]) -> (Vec<&'t ScannedTool<'t>>, Vec<&'t ScannedTool<'t>>) {
    let (folded, rows): (Vec<_>, Vec<_>) = tools.iter().copied().partition(|tool| is_plain_reader(tool));
    if folded.len() < FOLDED_MIN { (tools.to_vec(), Vec::new()) } else { (rows, folded) }
}

/// One line, or a few, for all tools that only read.
fn named_only(out: &mut String, folded: &[&ScannedTool<'_>], columns: usize) {
    if folded.is_empty() {
        return;
    }
    let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let mut names: Vec<String> =
        folded.iter().take(FOLDED_SHOWN_MAX).map(|tool| excerpt(tool.tool, EXTRA_CHARS_MAX)).collect();
    let more = folded.len() - names.len();
    if more > 0 {
        names.push(format!("{more} more"));
    }
    let text = format!("{} that only read (--all): {}", folded.len(), names.join(", "));
    for (at, line) in wrap(&text, columns - CLASS_COLUMNS + 10, FOLDED_LINES_MAX).iter().enumerate() {
        let _ = match at {
            0 => writeln!(out, "  {green}{:<8}{green:#}  Read      {line}", "low"),
            _ => writeln!(out, "{:22}{line}", ""),
        };
    }
}

/// A line a server, the riskiest first.
fn counts(out: &mut String, report: &ScanReport<'_>, columns: usize) {
    let of = |server: &ScannedServer<'_>| {
        RiskLevel::ALL.iter().rev().map(|risk| server.summary.risks.get(risk).copied().unwrap_or(0)).collect()
    };
    let mut servers: Vec<(&ScannedServer<'_>, Vec<usize>)> =
        report.servers.iter().map(|server| (server, of(server))).collect();
    servers.sort_by(|(a, a_counts), (b, b_counts)| b_counts.cmp(a_counts).then_with(|| a.server.cmp(b.server)));
    let shown = |n: usize| if n == 0 { "-".to_owned() } else { n.to_string() };
    let lines: Vec<Vec<String>> = servers
        .iter()
        .map(|(server, counts)| {
            let numbers = counts.iter().copied().chain([server.summary.findings]).map(shown);
            let (name, tools) = (escape(server.server.as_str()).into_owned(), server.summary.tools.to_string());
            [name, tools].into_iter().chain(numbers).chain([rounded(server.summary.tokens)]).collect()
        })
        .collect();
    let heads = ["SERVER", "TOOLS", "CRITICAL", "HIGH", "MEDIUM", "LOW", "FINDINGS", "TOKENS"];
    out.push_str(&rows(&heads, &lines, &[0], columns));
    out.push('\n');
    total(out, report, columns);
}

/// What could not be listed. Of one server everything is said, with the next step; of several a line each, unless `whole`.
pub fn failures(failed: &[Failed], whole: bool) -> String {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let mut out = String::new();
    if failed.len() > 1 && !whole {
        for failure in failed {
            let first = failure.error.lines().next().unwrap_or("failed");
            let _ = writeln!(out, "{red}error:{red:#} {}: {}", failure.server, escape(first));
        }
        let _ = writeln!(out, "  help: `--verbose` shows what each of them said, and what may help");
        return out;
    }
    for failure in failed {
        let mut lines = failure.error.lines();
        let first = lines.next().unwrap_or("failed");
        let _ = writeln!(out, "{red}error:{red:#} {}: {}", failure.server, escape(first));
        for line in lines {
            let _ = writeln!(out, "  {}", escape(line.trim_start()));
        }
    }
    out
}

fn header(out: &mut String, server: &ScannedServer<'_>, columns: usize) {
    let bold = Style::new().bold();
    let dim = Style::new().dimmed();
    let name = fit(&server.server.to_string(), columns);
    let origin = origin(server);
    let _ = write!(out, "{bold}{name}{bold:#}");
    if width(&name) + 2 + width(&origin) <= columns {
        let _ = writeln!(out, "  {dim}{origin}{dim:#}");
    } else {
        out.push('\n');
        for line in wrap(&origin, columns, 3) {
            let _ = writeln!(out, "{dim}{line}{dim:#}");
        }
    }
    let places = server.found_in.iter().map(|it| format!("{} ({})", escape(&it.client), escape(&it.file)));
    let places: Vec<_> = places.collect();
    if !places.is_empty() {
        for line in packed(&places, columns) {
            let _ = writeln!(out, "{dim}{line}{dim:#}");
        }
    }
    for line in packed(&summary(&server.summary), columns) {
        let _ = writeln!(out, "{line}");
    }
    out.push('\n');
}

/// Where a server was found, in one phrase.
fn origin(server: &ScannedServer<'_>) -> String {
    let package = |package: &crate::model::Package| {
        let version = package.version.as_deref().map_or(String::new(), |version| format!(" {version}"));
        let registry = if package.registry.is_empty() { String::new() } else { format!("{} ", package.registry) };
        format!("{registry}{}{version}", package.name)
    };
    let place = match server.source {
        ServerSource::Command { package: Some(it), .. } | ServerSource::File { package: Some(it), .. } => package(it),
        ServerSource::Command { argv, package: None, .. } => argv.join(" "),
        ServerSource::Url { url, .. } => url.clone(),
        ServerSource::File { path, package: None } => match path.as_str() {
            "-" => "standard input".to_owned(),
            path => path.to_owned(),
        },
        ServerSource::Sample => "the sample server inside mcpol".to_owned(),
    };
    let place = escape(&place).into_owned();
    match server.protocol_version {
        Some(version) => format!("{place} · MCP {}", excerpt(version, 20)),
        None => place,
    }
}

/// `14 tools: 6 Read, 5 Write, 2 Execute, 1 Delete`, `about 1,500 tokens`, `1 finding`, `risk: 2 critical, 12 low`
fn summary(summary: &Summary) -> Vec<String> {
    let part = |n: usize, word: &str| (n > 0).then(|| format!("{n} {word}"));
    let of = |key: &Category| part(summary.categories.get(key).copied().unwrap_or(0), key.as_str());
    let categories: Vec<_> = Category::ALL.iter().filter_map(of).collect();
    let of = |key: &RiskLevel| part(summary.risks.get(key).copied().unwrap_or(0), key.as_str());
    let risks: Vec<_> = RiskLevel::ALL.iter().rev().filter_map(of).collect();
    let tools = count(summary.tools, "tool");
    let beside = beside_tools(summary);
    let findings = if summary.findings == 0 { "no findings".to_owned() } else { count(summary.findings, "finding") };
    if summary.tools == 0 {
        return [Some(tools), beside, Some(findings)].into_iter().flatten().collect();
    }
    let (tools, risk) = (format!("{tools}: {}", categories.join(", ")), format!("risk: {}", risks.join(", ")));
    [Some(tools), beside, Some(about_tokens(summary.tokens)), Some(findings), Some(risk)]
        .into_iter()
        .flatten()
        .collect()
}

/// `3 prompts, 12 resources`; nothing where a server offers tools alone.
pub(super) fn beside_tools(summary: &Summary) -> Option<String> {
    let parts =
        [(summary.prompts, "prompt"), (summary.resources, "resource"), (summary.resource_templates, "template")];
    let parts = parts.into_iter().filter_map(|(n, word)| Some(count(n.filter(|n| *n > 0)?, word)));
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Prompts, resources and templates by name.
fn extras(out: &mut String, server: &ScannedServer<'_>, columns: usize) {
    for (kind, listed) in server.extras() {
        if listed.is_empty() {
            continue;
        }
        let names: Vec<_> =
            listed.iter().take(EXTRAS_SHOWN_MAX).map(|extra| excerpt(extra.key, EXTRA_CHARS_MAX)).collect();
        let more = listed.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let title = if listed.len() == 1 { kind.to_string() } else { format!("{kind}s") };
        for line in wrap(&format!("{title}: {}{more}", names.join(", ")), columns, EXTRA_LINES_MAX) {
            let _ = writeln!(out, "{line}");
        }
    }
}

/// Parts in lines, with a dot between those that share one.
fn packed(parts: &[String], columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if width(line) + 3 + width(part) <= columns => {
                line.push_str(" · ");
                line.push_str(part);
            }
            _ => lines.extend(wrap(part, columns, 2)),
        }
    }
    lines
}

fn grid(out: &mut String, tools: &[&ScannedTool<'_>], columns: usize) {
    let wide = columns >= WIDE;
    let mut builder = Builder::default();
    let rest = columns - CLASS_COLUMNS;
    let longest = tools.iter().map(|tool| width(&escape(tool.tool))).max().unwrap_or(0);
    let name_columns = longest.clamp(4, rest * 2 / 5);
    let most_flags = tools.iter().map(|tool| width(&flags(tool.flags))).max().unwrap_or(0);
    let flag_columns = most_flags.clamp(5, 20);
    let why_columns = rest.saturating_sub(name_columns + flag_columns + 4);
    if wide {
        builder.push_record(["RISK", "CATEGORY", "RADIUS", "TOOL", "FLAGS", "WHY"]);
    } else {
        builder.push_record(["RISK", "CATEGORY", "RADIUS", "TOOL, FLAGS AND WHY"]);
    }
    for tool in tools {
        let class = [tool.risk.as_str(), tool.category.as_str(), tool.blast_radius.as_str()].map(str::to_owned);
        let name = marked(tool);
        if wide {
            let name = wrap(&name, name_columns, 4).join("\n");
            let shown = wrap(&flags(tool.flags), flag_columns, 4).join("\n");
            let why = wrap(&why(tool), why_columns, 2).join("\n");
            builder.push_record(class.into_iter().chain([name, shown, why]));
        } else {
            builder.push_record(class.into_iter().chain([narrow_cell(tool, &name, rest)]));
        }
    }
    let mut table = builder.build();
    table.with(Borders::empty()).with(Padding::new(0, 2, 0, 0));
    for (row, tool) in tools.iter().enumerate() {
        table.with(Modify::new(Cell::new(row + 1, 0)).with(colour_of(tool.risk)));
    }
    let dim = Style::new().dimmed();
    for (at, line) in table.to_string().lines().enumerate() {
        let line = line.trim_end();
        let _ = if at == 0 { writeln!(out, "  {dim}{line}{dim:#}") } else { writeln!(out, "  {line}") };
    }
}

/// Name on the first line, flags and reason on the second: what fits beside the class at 80 columns.
fn narrow_cell(tool: &ScannedTool<'_>, name: &str, columns: usize) -> String {
    let dim = Style::new().dimmed();
    let mut cell = wrap(name, columns, 3).join("\n");
    let mut detail = flags(tool.flags);
    if !detail.is_empty() {
        detail.push_str(" · ");
    }
    detail.push_str(&why(tool));
    for line in wrap(&detail, columns, 2) {
        let _ = write!(cell, "\n{dim}{line}{dim:#}");
    }
    cell
}

/// The name, with `!` where a finding wants a look.
fn marked(tool: &ScannedTool<'_>) -> String {
    let worst = tool.findings.iter().map(|finding| finding.severity).max();
    let mark = if worst >= Some(Severity::Warning) { " !" } else { "" };
    format!("{}{mark}", escape(tool.tool))
}

fn colour_of(risk: RiskLevel) -> Color {
    match risk {
        RiskLevel::Critical => Color::FG_RED | Color::BOLD,
        RiskLevel::High => Color::FG_RED,
        RiskLevel::Medium => Color::FG_YELLOW,
        RiskLevel::Low => Color::FG_GREEN,
    }
}

fn explained(out: &mut String, tools: &[&ScannedTool<'_>], columns: usize) {
    let bold = Style::new().bold();
    for tool in tools {
        let name = marked(tool);
        let radius = format!("radius {}", tool.blast_radius);
        for line in wrap(&name, columns - 2, 4) {
            let _ = writeln!(out, "  {bold}{line}{bold:#}");
        }
        let mut line = format!("{} · risk {} · {radius}", tool.category, tool.risk);
        if !tool.flags.is_empty() {
            let _ = write!(line, " · {}", flags(tool.flags));
        }
        lines(out, "    ", &line, columns);
        lines(out, "    ", &escape(tool.reason), columns);
        for evidence in tool.evidence {
            lines(out, "    - ", &evidence_in_words(evidence), columns);
        }
        out.push('\n');
    }
    // The blank line after the last tool is the one between servers.
    if !tools.is_empty() {
        out.pop();
    }
}

fn notes(out: &mut String, server: &ScannedServer<'_>, columns: usize) {
    for note in &server.notes {
        lines(out, "  note: ", &escape(&note.message), columns);
    }
}

fn findings(out: &mut String, server: &ScannedServer<'_>, columns: usize) {
    let mut all: Vec<&Finding> = server.findings.clone();
    all.extend(server.tools.iter().flat_map(|tool| tool.findings));
    all.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
    if all.is_empty() {
        return;
    }
    let bold = Style::new().bold();
    let _ = writeln!(out, "\n  {bold}Findings{bold:#}");
    for finding in all {
        let named = finding.tool.is_empty() || finding.message.contains(&*escape(&finding.tool));
        let about = if named { String::new() } else { format!("`{}`: ", finding.tool) };
        finding_lines(out, finding.severity, &finding.id, &format!("{about}{}", finding.message), columns);
    }
}

fn finding_lines(out: &mut String, worth: Severity, id: &str, message: &str, columns: usize) {
    let style = style_of(worth);
    let text = format!("{} [{}]", escape(message), escape(id));
    for (at, line) in wrap(&text, columns.saturating_sub(11), 12).iter().enumerate() {
        let _ = match at {
            0 => writeln!(out, "  {style}{:<7}{style:#}  {line}", severity(worth)),
            _ => writeln!(out, "           {line}"),
        };
    }
}

fn style_of(severity: Severity) -> Style {
    match severity {
        Severity::Error => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
        Severity::Warning => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Severity::Note => Style::new().dimmed(),
    }
}

fn total(out: &mut String, report: &ScanReport<'_>, columns: usize) {
    let mut all = Summary::default();
    for server in &report.servers {
        all.tools += server.summary.tools;
        all.tokens += server.summary.tokens;
        all.findings += server.summary.findings;
        for (category, n) in &server.summary.categories {
            *all.categories.entry(*category).or_default() += n;
        }
        for (risk, n) in &server.summary.risks {
            *all.risks.entry(*risk).or_default() += n;
        }
    }
    let mut parts = summary(&all);
    parts[0] = format!("{}, {}", count(report.servers.len(), "server"), parts[0]);
    for line in packed(&parts, columns) {
        let _ = writeln!(out, "{line}");
    }
}
