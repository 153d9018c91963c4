//! `mcpol config`: the gateway's configuration by itself.

use super::load::layers;
use super::{Failure, enforce_config, schema};
use crate::cli::{ConfigArgs, ConfigCheckArgs, ConfigCommand, RuleArgs};
use crate::exit::Exit;

pub(super) fn run(args: ConfigArgs) -> Result<Exit, Failure> {
    match args.command {
        ConfigCommand::Check(args) => check(&args),
        ConfigCommand::Schema => schema::print("mcpol"),
    }
}

fn check(args: &ConfigCheckArgs) -> Result<Exit, Failure> {
    // The sections that scans and checks read are held to the same as there.
    layers::rules_and_settings(&RuleArgs { settings: Some(args.file.clone()), ..RuleArgs::default() })?;
    enforce_config::check(&args.file)
}
