//! One file a subcommand: load, call the library, report, exit code.

mod scan;
mod state;
mod explain;
mod failure;
mod explain_policy;
mod gen_policy;
mod load;
mod output;
mod policy;
mod policy_file;
mod rules;
mod limits;
mod lock;
mod login;
mod lock_file;
mod check;
mod clients;
mod config;
mod policies;
mod project;
mod records;
mod top;
mod enforce;
mod enforce_config;
mod enforce_parts;
mod grant;
mod init;
mod enforce_http;
mod audit;
mod annotate;
mod approvals;
mod catalog;
mod demo;
mod sample_server;
mod schema;
mod shell;
mod site;
mod site_server;
mod status;
mod voice;
mod wrap;
mod write;

pub use failure::Failure;

use crate::cli::{Cli, Command};
use crate::exit::Exit;

/// Runs one parsed command line.
///
/// # Errors
/// The command could not do its work; findings and drift are not errors but an [`Exit`].
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    output::speak(cli.voice);
    match cli.command {
        Command::Scan(args) => scan::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Annotate(args) => annotate::run(&args),
        Command::Catalog(args) => catalog::run(args),
        Command::GenPolicy(args) => gen_policy::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Rules(args) => rules::run(args),
        Command::Lock(args) => lock::run(args),
        Command::Check(args) => check::run(*args),
        Command::Clients(args) => clients::run(&args),
        Command::Wrap(args) => wrap::run(args),
        Command::Unwrap(args) => wrap::undo(args),
        Command::Init(args) => init::run(args),
        Command::Config(args) => config::run(args),
        Command::Enforce(args) => enforce::run(args),
        Command::Login(args) => login::run(args),
        Command::Logout(args) => login::forget(&args),
        Command::Grant(args) => grant::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Approvals(args) => approvals::run(args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Limits(args) => limits::run(args),
        Command::Status(args) => status::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::SampleServer(args) => sample_server::run(args),
    }
}
