//! `mcpol explain`: why one tool has its class.

use super::load::{self, Classifier};
use super::{Failure, explain_policy, output, project};
use crate::cli::ExplainArgs;
use crate::exit::Exit;
use crate::model::{Listing, ToolName};
use crate::report;
use crate::text::nearest;

pub(super) fn run(mut args: ExplainArgs) -> Result<Exit, Failure> {
    args.target.kept = args.fresh.kept();
    if let Some(policy) = &args.policy {
        return explain_policy::run(&args, policy);
    }
    let wanted = args.tool.as_deref().unwrap_or_default();
    let classifier = Classifier::new(&args.rules)?;
    let listings = listings(&args)?;
    let mut explained = Vec::new();
    for listing in &listings {
        let named = listing.tools.iter().enumerate().filter(|(_, tool)| tool.name.as_str() == wanted);
        explained.extend(named.map(|(at, _)| classifier.explain(listing, at)));
    }
    if explained.is_empty() {
        return Err(unknown(wanted, &listings));
    }
    explained.sort_by(|a, b| a.server.cmp(&b.server));
    if args.format.is_json() {
        output::document(&report::ExplainReport::new(explained))?;
    } else {
        let columns = output::terminal_width();
        let text: Vec<_> = explained.iter().map(|one| report::explanation(one, columns)).collect();
        output::coloured(&text.join("\n"))?;
    }
    Ok(Exit::Clean)
}

/// The servers to look at; the sample server where none is named.
fn listings(args: &ExplainArgs) -> Result<Vec<Listing>, Failure> {
    let loaded = load::listings_or_sample(&project::with_servers(&args.target)?)?;
    output::failures(&loaded.failed);
    loaded.some()?;
    Ok(loaded.listings)
}

fn unknown(tool: &str, listings: &[Listing]) -> Failure {
    /// Most names suggested.
    const NAMES_MAX: usize = 3;
    let mut left: Vec<&str> = listings.iter().flat_map(|it| &it.tools).map(|tool| tool.name.as_str()).collect();
    left.sort_unstable();
    left.dedup();
    let mut near = Vec::new();
    while near.len() < NAMES_MAX
        && let Some(name) = nearest(tool, left.iter().copied())
    {
        left.retain(|other| *other != name);
        near.push(format!("`{}`", ToolName::new(name)));
    }
    let failure = Failure::usage(format!("no tool `{tool}` on {}", servers(listings)));
    match near.as_slice() {
        [] => failure.with_help("`mcpol scan` with the same arguments lists the tools"),
        near => failure.with_help(format!("did you mean {}?", near.join(", "))),
    }
}

fn servers(listings: &[Listing]) -> String {
    match listings {
        [one] => format!("server `{}`", one.server),
        several => format!("any of {} servers", several.len()),
    }
}
