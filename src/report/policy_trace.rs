//! A decision as a trace: what decided, what would pass, every step in order, and the counters.

use super::grid::grid;
use super::words::wrap;
use crate::policy::{StepOutcome, Trace, TraceCondition};
use crate::text::escape;
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;

/// The trace for people; `subject` is what was asked about.
pub fn policy_trace(subject: &str, trace: &Trace, columns: usize) -> String {
    let mut out = String::new();
    let (word, colour) = match trace.decision {
        "allow" => ("ALLOW", AnsiColor::Green),
        "ask" => ("ASK", AnsiColor::Yellow),
        "depends" => ("DEPENDS", AnsiColor::Yellow),
        _ => ("DENY", AnsiColor::Red),
    };
    let style = Style::new().bold().fg_color(Some(colour.into()));
    let _ = writeln!(out, "{style}{word}{style:#}  {}  by {}", escape(subject), escape(&trace.rule));
    if let Some(message) = &trace.message {
        lines(&mut out, "  ", message, columns);
    }
    if let Some(remedy) = &trace.would_pass {
        lines(&mut out, "  would pass: ", remedy, columns);
    }
    if trace.shadow {
        lines(&mut out, "  ", "shadow mode: it is forwarded all the same, and the decision logged", columns);
    }
    out.push('\n');
    for step in &trace.steps {
        let outcome = match step.outcome {
            StepOutcome::Passed => "passed",
            StepOutcome::Denied => "DENIED",
            StepOutcome::Asked => "ASKED",
        };
        let _ = writeln!(out, "  {outcome:<6}  {:<9}  {}", step.step, escape(&step.rule));
        for condition in &step.conditions {
            lines(&mut out, "            ", &sentence(condition), columns);
        }
    }
    if !trace.counters.is_empty() {
        let row = |counter: &crate::policy::TraceCounter| {
            vec![
                escape(&counter.counter).into_owned(),
                format!("{} a {}", counter.max, counter.window),
                counter.scope.to_owned(),
                counter.used.clone(),
                counter.adds.clone(),
                counter.resets.clone(),
            ]
        };
        let rows: Vec<Vec<String>> = trace.counters.iter().map(row).collect();
        out.push('\n');
        for line in grid(&["COUNTER", "LIMIT", "SCOPE", "USED", "ADDS", "RESETS"], &rows, &[0], columns - 2).lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

fn sentence(condition: &TraceCondition) -> String {
    let counts = match (condition.holds, condition.because) {
        (true, "wrong type") => "counts as yes",
        (false, "wrong type") => "counts as no",
        (true, _) => "yes",
        (false, _) => "no",
    };
    let found = match (&condition.found, condition.because) {
        (None, _) => "it is missing".to_owned(),
        (Some(found), "wrong type") => format!("found {found}, of a type that cannot be compared"),
        (Some(found), _) => format!("found {found}"),
    };
    format!("{}? {counts}: {found}", condition.condition)
}

fn lines(out: &mut String, prefix: &str, text: &str, columns: usize) {
    let indent = prefix.chars().count();
    for (at, line) in wrap(&escape(text), columns.saturating_sub(indent), 8).iter().enumerate() {
        let _ = match at {
            0 => writeln!(out, "{prefix}{line}"),
            _ => writeln!(out, "{:indent$}{line}", ""),
        };
    }
}
