//! Files that are written whole or not at all, and never over something by accident.

use super::Failure;
use crate::problem::reason;
use std::io::Write as _;
use std::path::Path;

/// What happens to a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It stays, and the command fails.
    Keep,
    /// It is replaced.
    Replace,
}

/// Writes a text under a name of its own and moves it into place.
///
/// # Errors
/// The file is there and is to be kept, or it cannot be written.
pub(super) fn atomically(path: &Path, text: &str, existing: Existing) -> Result<(), Failure> {
    atomically_with(path, existing, |out| out.write_all(text.as_bytes()))
}

/// The same for what is written piece by piece.
///
/// # Errors
/// As for [`atomically`]; or whatever `write` returned.
pub(super) fn atomically_with(
    path: &Path,
    existing: Existing,
    write: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let shown = path.display();
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot write `{shown}`: {}", reason(&error)));
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".mcpol-").tempfile_in(directory).map_err(cannot)?;
    // A policy is no secret: it gets the permissions that any new file would, and keeps those of the file it replaces.
    let permissions = std::fs::metadata(path).map(|found| found.permissions()).or_else(|_| ordinary());
    let mut out = std::io::BufWriter::with_capacity(1 << 16, file.as_file_mut());
    write(&mut out).and_then(|()| out.flush()).map_err(cannot)?;
    drop(out);
    file.as_file().sync_all().map_err(cannot)?;
    keep_owner(path, file.as_file());
    if let Ok(permissions) = permissions {
        file.as_file().set_permissions(permissions).map_err(cannot)?;
    }
    match existing {
        Existing::Replace => file.persist(path).map(drop).map_err(|error| cannot(error.error)),
        Existing::Keep => file.persist_noclobber(path).map(drop).map_err(|error| {
            if error.error.kind() == std::io::ErrorKind::AlreadyExists {
                Failure::usage(format!("`{shown}` exists")).with_help("`--force` overwrites it")
            } else {
                cannot(error.error)
            }
        }),
    }
}

/// Gives a new file to whom the one that it replaces belongs, as far as this user may: run as root, a command must not take
/// a person's files away.
#[cfg(unix)]
fn keep_owner(replaced: &Path, new: &std::fs::File) {
    use std::os::unix::fs::MetadataExt as _;
    if let (Ok(old), Ok(own)) = (std::fs::metadata(replaced), new.metadata())
        && (old.uid(), old.gid()) != (own.uid(), own.gid())
    {
        let _ = std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_replaced: &Path, _new: &std::fs::File) {}

/// Whether a file has other names beside this one (hard links).
#[cfg(unix)]
pub(super) fn has_other_names(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).is_ok_and(|found| found.nlink() > 1)
}

#[cfg(not(unix))]
pub(super) fn has_other_names(_path: &Path) -> bool {
    false
}

/// Writes a text into a file that may be there already, or may be no ordinary one: a pipe, or what a CI service watches.
///
/// # Errors
/// It cannot be written.
pub(super) fn in_place(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::usage(format!("cannot write `{}`: {}", path.display(), reason(&error))))
}

/// Readable by everyone, writable by the owner.
#[cfg(unix)]
fn ordinary() -> std::io::Result<std::fs::Permissions> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn ordinary() -> std::io::Result<std::fs::Permissions> {
    Err(std::io::ErrorKind::Unsupported.into())
}
