//! What a generated policy says about each tool and why: on the screen, and in Markdown because JSON has no comments.

use super::grid::grid;
use super::markdown::cell;
use super::words::{count, rounded};
use crate::policy::{Left, Merge, Review, Ruling, Unlisted};
use crate::text::escape;
use std::fmt::Write as _;

/// From this width on, the reason has a column of its own.
const WIDE: usize = 100;

/// The table for the screen, with a line that sums it up.
pub fn policy_review(server: &str, review: &[Review], merge: Option<&Merge>, left: Left, columns: usize) -> String {
    let wide = columns >= WIDE;
    let row = |line: &Review| {
        let mut row = vec![ruling(line, merge)];
        row.extend([line.category.to_string(), line.risk.to_string(), line.blast_radius.to_string()]);
        let reason = why(line, merge);
        let (tool, why) = (escape(&line.tool), escape(&reason));
        match wide {
            true => row.extend([tool.into_owned(), why.into_owned()]),
            false => row.push(format!("{tool}\n  {why}")),
        }
        row
    };
    let rows: Vec<Vec<String>> = review.iter().map(row).collect();
    let mut out = match wide {
        true => grid(&["RULE", "CLASS", "RISK", "RADIUS", "TOOL", "WHY"], &rows, &[0, 4, 5], columns),
        false => grid(&["RULE", "CLASS", "RISK", "RADIUS", "TOOL AND WHY"], &rows, &[0, 4], columns),
    };
    let _ = writeln!(out, "\n{}: {}\n{}", escape(server), summary(review), left_in_words(left));
    if let Some(merge) = merge {
        let _ = writeln!(out, "{}", merged(merge));
        for name in &merge.vanished {
            let _ = writeln!(out, "note: the server no longer has `{}`; its rules stay in the policy", escape(name));
        }
    }
    out
}

/// The same as a Markdown page.
pub fn policy_notes(server: &str, review: &[Review], merge: Option<&Merge>, left: Left) -> String {
    let mut out = format!("# Policy for {}\n\n{}; {}.\n", cell(server), summary(review), left_in_words(left));
    if let Some(merge) = merge {
        let _ = writeln!(out, "\n{}.", merged(merge));
        for name in &merge.vanished {
            let _ = writeln!(out, "\n- The server no longer has {}; its rules stay.", cell(name));
        }
    }
    out.push_str("\n| Tool | Class | Risk | Blast radius | Rule | Why |\n|---|---|---|---|---|---|\n");
    for line in review {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&line.tool),
            line.category,
            line.risk,
            line.blast_radius,
            ruling(line, merge),
            cell(&why(line, merge))
        );
    }
    out
}

fn ruling(line: &Review, merge: Option<&Merge>) -> String {
    if merge.is_some_and(|merge| merge.kept.contains(&line.tool)) {
        return "yours, kept".to_owned();
    }
    let mut text = match line.ruling {
        Ruling::Allow => "allow".to_owned(),
        Ruling::Limit(max) => format!("{max} a minute"),
        Ruling::Approve(max) => format!("approval, {max} a minute"),
        Ruling::Refuse => "refuse".to_owned(),
        Ruling::LeaveOut => "not listed".to_owned(),
        Ruling::Hide => "hide".to_owned(),
    };
    if line.validated {
        text.push_str(", schema");
    }
    text
}

/// The reason, and for a tool that is not listed what the default makes of it.
fn why(line: &Review, merge: Option<&Merge>) -> String {
    let kept = merge.is_some_and(|merge| merge.kept.contains(&line.tool));
    let default = merge.map_or(Unlisted::Deny, |merge| merge.document.default);
    match (line.ruling, default) {
        (Ruling::LeaveOut, Unlisted::Deny) if !kept => format!("{}; the default refuses it", line.why),
        (Ruling::LeaveOut, Unlisted::Allow) if !kept => {
            format!("{}; WARNING: your default allows it", line.why)
        }
        _ => line.why.clone(),
    }
}

fn summary(review: &[Review]) -> String {
    let of = |wanted: fn(Ruling) -> bool| review.iter().filter(|line| wanted(line.ruling)).count();
    let parts = [
        (of(|ruling| matches!(ruling, Ruling::Allow)), "allowed"),
        (of(|ruling| matches!(ruling, Ruling::Limit(_))), "limited"),
        (of(|ruling| matches!(ruling, Ruling::Approve(_))), "with approval"),
        (of(|ruling| matches!(ruling, Ruling::Refuse)), "refused"),
        (of(|ruling| matches!(ruling, Ruling::Hide)), "hidden"),
        (of(|ruling| matches!(ruling, Ruling::LeaveOut)), "not listed"),
    ];
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let tools = count(review.len(), "tool");
    if parts.is_empty() { tools } else { format!("{tools}: {}", parts.join(", ")) }
}

/// `this policy leaves 31 of 118 tools, about 9,400 of 61,000 tokens`
fn left_in_words(left: Left) -> String {
    let Left { tools, of_tools, tokens, of_tokens } = left;
    let (noun, tokens, of_tokens) = (if of_tools == 1 { "tool" } else { "tools" }, rounded(tokens), rounded(of_tokens));
    format!("this policy leaves {tools} of {of_tools} {noun}, about {tokens} of {of_tokens} tokens")
}

fn merged(merge: &Merge) -> String {
    format!(
        "merged: {} added, {} kept as they were, {} no longer on the server",
        merge.added.len(),
        merge.kept.len(),
        merge.vanished.len()
    )
}
