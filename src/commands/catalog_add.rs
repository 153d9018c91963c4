//! `mcpol catalog add`: the record of a server that an MCP registry names.

use super::load::{self, Classifier, Item, Problems};
use super::{Failure, output};
use crate::catalog;
use crate::cli::CatalogAddArgs;
use crate::exit::Exit;
use crate::text::escape;

/// Scans what a registry names and writes the records; findings about them are said.
pub(super) fn run(args: &CatalogAddArgs) -> Result<Exit, Failure> {
    let classifier = Classifier::new(&args.rules)?;
    let (mut servers, mut failed, mut problems) = (Vec::new(), Vec::new(), Problems::default());
    load::each(&args.target(), &mut |item| {
        match item {
            Item::Listing(listing, configuration) => servers.push(classifier.one(*listing, configuration.findings)),
            Item::Failed(one) => failed.push(one),
            Item::Problem(problem) => problems.push(problem),
        }
        Ok(())
    })?;
    output::failures(&failed);
    problems.check()?;
    let files = catalog::save(&args.to, &servers).map_err(|error| Failure::usage(error.to_string()))?;
    for (file, server) in files.iter().zip(&servers) {
        let (path, tools) = (file.display().to_string(), server.listing.tools.len());
        output::people(&format!("{}: {tools} tool{}\n", escape(&path), if tools == 1 { "" } else { "s" }));
        for finding in &server.findings {
            output::people(&format!("  {}: {}\n", finding.id, finding.message));
        }
    }
    Ok(if failed.is_empty() { Exit::Clean } else { Exit::Unreachable })
}
