//! Why a command could not do its work, and how a person is told.

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
