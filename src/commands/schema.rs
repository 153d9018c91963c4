//! `mcpol schema`: the JSON Schemas of what mcpol writes.

use super::{Failure, output};
use crate::cli::SchemaArgs;
use crate::exit::Exit;
use crate::report;
use crate::text::nearest;

pub(super) fn run(args: &SchemaArgs) -> Result<Exit, Failure> {
    let Some(wanted) = &args.name else {
        let names: Vec<_> = report::schemas().map(|(name, _)| name).collect();
        output::coloured(&(names.join("\n") + "\n"))?;
        return Ok(Exit::Clean);
    };
    print(wanted)
}

/// Prints the schema of this name.
///
/// # Errors
/// There is none.
pub(super) fn print(wanted: &str) -> Result<Exit, Failure> {
    let text = report::schema(wanted).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no schema `{}`", crate::text::excerpt(wanted, 40)));
        match nearest(wanted, report::schemas().map(|(name, _)| name)) {
            Some(near) => failure.with_help(format!("did you mean `{near}`?")),
            None => failure.with_help("`mcpol schema` lists them"),
        }
    })?;
    output::json(&text)?;
    Ok(Exit::Clean)
}
