//! Where a user's state lies: counters, approvals, the audit log and its key.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// There is no home directory to put state into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no place for state: neither `MCPOL_STATE_DIR` nor a home directory is set")]
pub struct NoPlace;

/// The user's state directory: `MCPOL_STATE_DIR`, else what the system has for it (the XDG Base Directory
/// Specification's state home on Unix). `variable` reads an environment variable.
///
/// # Errors
/// None of the variables is set.
pub fn folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, NoPlace> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = path("MCPOL_STATE_DIR") {
        return Ok(chosen);
    }
    // A relative XDG path must be ignored, the specification says.
    if let Some(state) = path("XDG_STATE_HOME").filter(|path| path.is_absolute()) {
        return Ok(state.join("mcpol"));
    }
    if cfg!(windows) {
        return Ok(path("LOCALAPPDATA").ok_or(NoPlace)?.join("mcpol"));
    }
    let home = path("HOME").ok_or(NoPlace)?;
    Ok(if cfg!(target_os = "macos") {
        home.join("Library/Application Support/mcpol")
    } else {
        home.join(".local/state/mcpol")
    })
}

/// The user's configuration directory: `MCPOL_CONFIG_DIR`, else what the system has for it. `variable` reads an
/// environment variable.
///
/// # Errors
/// None of the variables is set.
pub fn config_folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, NoPlace> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = path("MCPOL_CONFIG_DIR") {
        return Ok(chosen);
    }
    // A relative XDG path must be ignored, the specification says.
    if let Some(config) = path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()) {
        return Ok(config.join("mcpol"));
    }
    if cfg!(windows) {
        return Ok(path("APPDATA").ok_or(NoPlace)?.join("mcpol"));
    }
    let home = path("HOME").ok_or(NoPlace)?;
    Ok(if cfg!(target_os = "macos") {
        home.join("Library/Application Support/mcpol")
    } else {
        home.join(".config/mcpol")
    })
}

/// The directory of what may be lost: `MCPOL_CACHE`, else what the system has for it (the XDG Base Directory
/// Specification's cache home on Unix). `variable` reads an environment variable. `None` where `MCPOL_CACHE` is `off`, or
/// nothing says where a home is.
pub fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(chosen) = path("MCPOL_CACHE") {
        return (chosen != Path::new("off")).then_some(chosen);
    }
    // A relative XDG path must be ignored, the specification says.
    if let Some(cache) = path("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        return Some(cache.join("mcpol"));
    }
    if cfg!(windows) {
        return Some(path("LOCALAPPDATA")?.join("mcpol").join("cache"));
    }
    let home = path("HOME").filter(|home| home.is_absolute())?;
    Some(home.join(if cfg!(target_os = "macos") { "Library/Caches/mcpol" } else { ".cache/mcpol" }))
}

/// Makes a folder that only its owner can look into; one that exists stays as it is.
///
/// # Errors
/// It cannot be made.
pub fn make_private_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_wins() {
        for (variables, expected) in [
            (&[("MCPOL_STATE_DIR", "/a"), ("XDG_STATE_HOME", "/b"), ("HOME", "/c")][..], Ok("/a")),
            (&[("MCPOL_STATE_DIR", ""), ("XDG_STATE_HOME", "/b"), ("HOME", "/c")], Ok("/b/mcpol")),
            (&[("XDG_STATE_HOME", "b"), ("HOME", "/c")], Ok("/c/.local/state/mcpol")),
            (&[], Err(NoPlace)),
        ] {
            let found = folder(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| v.into()));
            assert_eq!(found, expected.map(PathBuf::from));
        }
    }

    #[test]
    fn what_may_be_lost_lies_where_the_system_says_or_nowhere() {
        for (variables, expected) in [
            (&[("MCPOL_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")][..], Some("/a")),
            (&[("MCPOL_CACHE", "off"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], None),
            (&[("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], Some("/b/mcpol")),
            (&[("XDG_CACHE_HOME", "b"), ("HOME", "/c")], Some("/c/.cache/mcpol")),
            (&[("HOME", "c")], None),
            (&[], None),
        ] {
            let found = cache_folder(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| v.into()));
            assert_eq!(found, expected.map(PathBuf::from));
        }
    }
}
