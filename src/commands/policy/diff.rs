//! `mcpol policy diff`: two policies, tool by tool.

use crate::cli::{DiffFail, PolicyDiffArgs, TargetArgs};
use crate::commands::{Failure, load, output, policy_file};
use crate::exit::Exit;
use crate::policy::{self, Direction};
use crate::report;

pub(super) fn run(args: &PolicyDiffArgs) -> Result<Exit, Failure> {
    let (old, new) = (policy_file::read(&args.old)?, policy_file::read(&args.new)?);
    let mut tools = std::collections::BTreeSet::new();
    if !args.tools.is_empty() {
        let target = TargetArgs { tools: args.tools.clone(), ..TargetArgs::default() };
        let listings = load::listings(&target)?.listings;
        tools.extend(listings.iter().flat_map(|listing| &listing.tools).map(|tool| tool.name.as_str().to_owned()));
    }
    let changes = policy::diff(&old, &new, &tools);
    if args.format.is_json() {
        output::document(&report::DiffDocument::new(&changes))?;
    } else {
        output::coloured(&report::policy_diff_table(&changes, output::terminal_width()))?;
    }
    let fails = changes.iter().any(|change| match args.fail_on {
        None => false,
        Some(DiffFail::Looser) => change.direction.is_looser(),
        Some(DiffFail::Any) => change.direction != Direction::Reworded,
    });
    Ok(if fails { Exit::Findings } else { Exit::Clean })
}
