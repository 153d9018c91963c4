//! Which state a command works on, as `--state`, the environment or the user's own directory say.

use super::{Failure, project};
use crate::cli::StateArgs;
use crate::state::{self, BadAddress, StatePlace};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The state's file in the state directory.
const STATE_FILE: &str = "state.db";
/// Names the state for every command; a Redis URL with a password is better kept here than in a list of processes.
const STATE_VARIABLE: &str = "MCPOL_STATE";

/// The state that was asked for with `--state`, else with `MCPOL_STATE`, else the user's own file.
pub(super) fn place(given: Option<&Path>) -> Result<StatePlace, Failure> {
    if let Some(given) = given {
        return parse(given.as_os_str(), "--state");
    }
    match std::env::var_os(STATE_VARIABLE).filter(|value| !value.is_empty()) {
        Some(value) => parse(&value, STATE_VARIABLE),
        None => Ok(StatePlace::File(folder("--state")?.join(STATE_FILE))),
    }
}

/// The state of the gateway whose configuration is named or lies here, unless another is asked for: for commands that need
/// one that outlives them; `what` says what cannot be there.
pub(super) fn shared_place(args: &StateArgs, what: &str) -> Result<StatePlace, Failure> {
    let of_project = match &args.state {
        Some(_) => None,
        None => project::find(args.config.as_deref())?.map(|project| project.state()).transpose()?.flatten(),
    };
    match of_project.map_or_else(|| place(args.state.as_deref()), Ok)? {
        StatePlace::Memory => Err(Failure::usage(format!("{what} in memory cannot be reached from here"))
            .with_help("name a file or a `redis://` URL with --state")),
        place @ (StatePlace::File(_) | StatePlace::Redis(_)) => Ok(place),
    }
}

/// Whether there is nothing there yet: looking must not make a file.
pub(super) fn is_untouched(place: &StatePlace) -> bool {
    match place {
        StatePlace::File(path) => !path.exists(),
        StatePlace::Memory => true,
        StatePlace::Redis(_) => false,
    }
}

/// The user's state directory; `option` is what else would say where.
pub(super) fn folder(option: &str) -> Result<PathBuf, Failure> {
    state::folder(|name| std::env::var_os(name))
        .map_err(|error| Failure::usage(error.to_string()).with_help(format!("name a file with {option}")))
}

fn parse(text: &OsStr, source: &str) -> Result<StatePlace, Failure> {
    StatePlace::parse(text).map_err(|error| Failure::usage(format!("{source}: {error}")).with_help(BadAddress::help()))
}
