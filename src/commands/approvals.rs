//! `mcpol approvals`: answer from another terminal what a gateway asks.

use super::{Failure, output, state};
use crate::cli::{ApprovalsArgs, ApprovalsCommand, FormatArgs};
use crate::clock;
use crate::exit::Exit;
use crate::policy::{Answer, Answered, Approval, ApprovalState, ApprovalStore, StoreError};
use crate::report::{ApprovalsReport, approval_word};
use crate::text::{escape, excerpt};
use std::fmt::Write as _;

/// Characters of a tool's or server's name in a table.
const NAME_CHARS: usize = 32;

pub(super) fn run(args: ApprovalsArgs) -> Result<Exit, Failure> {
    let place = state::shared_place(&args.place, "approvals")?;
    if state::is_untouched(&place) {
        // Nothing was ever asked; looking must not make a file.
        return match args.command {
            ApprovalsCommand::List { format, .. } if format.is_json() => print(&[]),
            ApprovalsCommand::List { .. } => none(),
            ApprovalsCommand::Show { id } | ApprovalsCommand::Approve { id } | ApprovalsCommand::Deny { id } => {
                Err(unknown(&id))
            }
        };
    }
    let store = &*crate::state::open(&place).approvals;
    match args.command {
        ApprovalsCommand::List { all, format } => list(store, all, format),
        ApprovalsCommand::Show { id } => show(store, &id),
        ApprovalsCommand::Approve { id } => answer(store, &id, Answer::Approve),
        ApprovalsCommand::Deny { id } => answer(store, &id, Answer::Deny),
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::usage(error.to_string())
}

fn unknown(id: &str) -> Failure {
    Failure::usage(format!("there is no approval `{}`", excerpt(id, NAME_CHARS)))
        .with_help("`mcpol approvals list` shows those that wait")
}

fn none() -> Result<Exit, Failure> {
    output::people("No call waits for approval.\n");
    Ok(Exit::Clean)
}

fn left(approval: &Approval) -> String {
    let seconds = approval.expires.millis().saturating_sub(clock::now().millis()).div_ceil(1000);
    match approval.state {
        ApprovalState::Pending | ApprovalState::Approved => format!("{seconds} s left"),
        ApprovalState::Denied | ApprovalState::Used | ApprovalState::Expired | ApprovalState::Withdrawn => {
            String::new()
        }
    }
}

fn print(approvals: &[Approval]) -> Result<Exit, Failure> {
    output::document(&ApprovalsReport::new(approvals))?;
    Ok(Exit::Clean)
}

fn list(store: &dyn ApprovalStore, all: bool, format: FormatArgs) -> Result<Exit, Failure> {
    let mut approvals = store.list(clock::now()).map_err(failed)?;
    approvals.retain(|approval| all || approval.state == ApprovalState::Pending);
    if format.is_json() {
        return print(&approvals);
    }
    if approvals.is_empty() {
        return none();
    }
    let mut text = String::new();
    for approval in &approvals {
        let binding = &approval.request.binding;
        let call = format!("{}/{}", excerpt(&binding.server, NAME_CHARS), excerpt(binding.tool.as_str(), NAME_CHARS));
        // Writing to a string cannot fail.
        let line = format!("{}  {:8}  {call}  {}", escape(&approval.id), approval_word(approval.state), left(approval));
        let _ = writeln!(text, "{}", line.trim_end());
    }
    output::coloured(&text)?;
    output::note("`mcpol approvals show ID` shows the arguments; then `approve ID` or `deny ID`.\n");
    Ok(Exit::Clean)
}

fn show(store: &dyn ApprovalStore, id: &str) -> Result<Exit, Failure> {
    let approval = store.get(clock::now(), id).map_err(failed)?.ok_or_else(|| unknown(id))?;
    output::coloured(&story(&approval))?;
    Ok(Exit::Clean)
}

fn story(approval: &Approval) -> String {
    let (request, binding) = (&approval.request, &approval.request.binding);
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:9}  {}", escape(value));
    };
    row("approval", &approval.id);
    row("state", format!("{} {}", approval_word(approval.state), left(approval)).trim_end());
    row("server", &binding.server);
    row("tool", binding.tool.as_str());
    row("grant", &binding.grant);
    row("rule", &request.rule);
    row("question", &request.message);
    let Some(shown) = &request.arguments else {
        row("arguments", "(not kept)");
        return text;
    };
    for (name, json) in ["arguments", "beside"].into_iter().zip(shown.split('\n')) {
        let _ = writeln!(text, "{name}");
        for line in pretty(json).lines() {
            let _ = writeln!(text, "  {}", escape(line));
        }
    }
    text
}

/// JSON on several lines, every name and value to the letter: what is approved is what is seen.
fn pretty(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut is_escaped) = (String::new(), 0_usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_text {
            out.push(c);
            in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match c {
            '{' | '[' => {
                out.push(c);
                let is_empty = characters.next_if(|next| matches!(next, '}' | ']')).map(|end| out.push(end)).is_some();
                if !is_empty {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn answer(store: &dyn ApprovalStore, id: &str, answer: Answer) -> Result<Exit, Failure> {
    match store.decide(clock::now(), id, answer).map_err(failed)? {
        Answered::Done(approval) => {
            let tool = excerpt(approval.request.binding.tool.as_str(), NAME_CHARS);
            let text = match answer {
                Answer::Approve => {
                    format!("Approved: this one call of {tool}, within {} s.\n", approval.request.ttl_s)
                }
                Answer::Deny => format!("Denied: this call of {tool}.\n"),
                Answer::Withdraw => format!("Withdrawn: this call of {tool}.\n"),
            };
            output::people(&text);
            Ok(Exit::Clean)
        }
        Answered::TooLate(approval) => Err(Failure::usage(format!(
            "approval `{}` is {} already",
            escape(&approval.id),
            approval_word(approval.state)
        ))),
        Answered::Unknown => Err(unknown(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn what_is_shown_is_what_was_sent() {
        for (json, expected) in [
            (
                r#"{"a":1e400,"a\"b":[1.0,{}],"c":[]}"#,
                "{\n  \"a\": 1e400,\n  \"a\\\"b\": [\n    1.0,\n    {}\n  ],\n  \"c\": []\n}",
            ),
            (r#"{"x":"{[,:\\"}"#, "{\n  \"x\": \"{[,:\\\\\"\n}"),
            ("12345678901234567890123", "12345678901234567890123"),
        ] {
            assert_eq!(pretty(json), expected, "{json}");
        }
    }
}
