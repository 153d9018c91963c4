//! The exit codes, in one place: they are a promise to scripts and CI.

use std::process::ExitCode;

/// How the program ended. The numbers never change their meaning; an output format never changes the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything asked for was done and nothing reached a threshold.
    Clean,
    /// Findings, drift, or risk at or above the threshold that was asked for.
    Findings,
    /// A wrong argument, or a file that is missing or not valid.
    Usage,
    /// At least one server could not be reached or listed.
    Unreachable,
    /// There was nothing to look at.
    Nothing,
    /// A defect in mcpol itself.
    Internal,
    /// Ended by Ctrl-C.
    Interrupted,
}

impl Exit {
    /// The process exit status.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Nothing => 4,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
