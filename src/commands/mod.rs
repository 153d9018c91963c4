//! One file a subcommand: load, call the library, report, exit code.

mod scan;
mod state;
mod explain;
mod explain_policy;
mod gen_policy;
mod load;
mod output;
mod policy;
mod policy_file;
mod rules;
mod lock;
mod login;
mod lock_file;
mod check;
mod policies;
mod enforce;
mod enforce_config;
mod enforce_parts;
mod grant;
mod enforce_http;
mod audit;
mod approvals;
mod demo;
mod sample_server;
mod status;
mod voice;
mod write;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::problem::Problem;

/// Why a command could not do its work: what, the places in a file where there are any, and the next step.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// A lower-case fragment without full stop.
    pub message: String,
    /// Every problem of a file, all at once.
    pub problems: Vec<Problem>,
    /// The next step.
    pub help: Option<String>,
}

impl Failure {
    /// A wrong argument or file.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), problems: Vec::new(), help: None }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same with a next step.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with the problems of a file.
    #[must_use]
    pub fn with_problems(mut self, problems: Vec<Problem>) -> Self {
        self.problems = problems;
        self
    }

    /// Prints the failure to stderr, escaped.
    pub fn print(&self) {
        use std::io::Write as _;
        let mut err = anstream::stderr().lock();
        let bold = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
        // A stderr that is gone cannot be told about it.
        let _ = writeln!(err, "{bold}error:{bold:#} {}", crate::text::escape(&self.message));
        for problem in &self.problems {
            let _ = writeln!(err, "  {problem}");
        }
        if let Some(help) = &self.help {
            let _ = writeln!(err, "  help: {}", crate::text::escape(help));
        }
    }
}

/// Runs one parsed command line.
///
/// # Errors
/// The command could not do its work; findings and drift are not errors but an [`Exit`].
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Scan(args) => scan::run(args),
        Command::Explain(args) => explain::run(args),
        Command::GenPolicy(args) => gen_policy::run(args),
        Command::Policy(args) => policy::run(args),
        Command::Rules(args) => rules::run(args),
        Command::Lock(args) => lock::run(args),
        Command::Check(args) => check::run(*args),
        Command::Enforce(args) => enforce::run(args),
        Command::Login(args) => login::run(args),
        Command::Logout(args) => login::forget(&args),
        Command::Grant(args) => grant::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Approvals(args) => approvals::run(args),
        Command::Status(args) => status::run(&args),
        Command::Demo(args) => demo::run(args),
        Command::SampleServer(args) => sample_server::run(args),
    }
}
