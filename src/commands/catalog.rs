//! `mcpol catalog`: a directory of records.

use super::{Failure, records, site, site_server};
use crate::cli::{CatalogArgs, CatalogCommand};
use crate::exit::Exit;

pub(super) fn run(args: CatalogArgs) -> Result<Exit, Failure> {
    match args.command {
        CatalogCommand::Build(args) => site::build(&args),
        CatalogCommand::Serve(args) => site_server::run(&args),
        CatalogCommand::Search(args) => records::search(&args),
        CatalogCommand::Show(args) => records::show(&args),
        CatalogCommand::Stats(args) => records::stats(&args),
        CatalogCommand::Diff(args) => records::diff(&args),
    }
}
