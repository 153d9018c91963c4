//! `mcpol config`: the gateway's configuration by itself.

use super::load::layers;
use super::{Failure, enforce_config, output};
use crate::cli::{ConfigArgs, ConfigCheckArgs, ConfigCommand, RuleArgs};
use crate::exit::Exit;
use crate::gateway::config::schema_text;

pub(super) fn run(args: ConfigArgs) -> Result<Exit, Failure> {
    match args.command {
        ConfigCommand::Check(args) => check(&args),
        ConfigCommand::Schema => {
            output::json(&schema_text())?;
            Ok(Exit::Clean)
        }
    }
}

fn check(args: &ConfigCheckArgs) -> Result<Exit, Failure> {
    // The sections that scans and checks read are held to the same as there.
    layers::rules_and_settings(&RuleArgs { settings: Some(args.file.clone()), ..RuleArgs::default() })?;
    enforce_config::check(&args.file)
}
