//! What a supervised command is held to beyond the rights of the gateway's user: another user, and on Linux files that it
//! may reach (Landlock). Written by a process of `mcpol` into the arguments of the supervisor, and read there.

use crate::mcp::target::{Confinement, FileSandbox};
use std::ffi::OsString;
use std::path::PathBuf;

const USER: &str = "--user";
const GROUP: &str = "--group";
const SANDBOX: &str = "--sandbox";
const READ: &str = "--read";
const WRITE: &str = "--write";
/// Ends the options; the command follows.
const COMMAND: &str = "--";

/// The arguments that say so, up to the command.
pub(in crate::mcp) fn arguments(confinement: &Confinement) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    for (option, id) in [(USER, confinement.user), (GROUP, confinement.group)] {
        if let Some(id) = id {
            arguments.extend([option.into(), id.to_string().into()]);
        }
    }
    if let Some(sandbox) = &confinement.sandbox {
        arguments.push(SANDBOX.into());
        for (option, paths) in [(READ, &sandbox.read), (WRITE, &sandbox.write)] {
            arguments.extend(paths.iter().flat_map(|path| [option.into(), path.into()]));
        }
    }
    arguments.push(COMMAND.into());
    arguments
}

/// Reads [`arguments`]: the confinement, and the command. `None` for anything else: a confinement that cannot be read must
/// not become none.
pub(super) fn parse(arguments: Vec<OsString>) -> Option<(Confinement, Vec<OsString>)> {
    let mut confinement = Confinement::NONE;
    let mut rest = arguments.into_iter();
    loop {
        let option = rest.next()?;
        let id = |value: Option<OsString>| value?.to_str()?.parse::<u32>().ok();
        match option.to_str()? {
            COMMAND => return Some((confinement, rest.collect())),
            USER => confinement.user = Some(id(rest.next())?),
            GROUP => confinement.group = Some(id(rest.next())?),
            SANDBOX => confinement.sandbox = Some(FileSandbox::default()),
            READ => confinement.sandbox.as_mut()?.read.push(PathBuf::from(rest.next()?)),
            WRITE => confinement.sandbox.as_mut()?.write.push(PathBuf::from(rest.next()?)),
            _ => return None,
        }
    }
}

/// Folders that a program needs to start and to find names, users and certificates: a sandbox may read them.
#[cfg(target_os = "linux")]
const SYSTEM_READ: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/proc",
    "/sys",
    "/run/systemd/resolve",
    "/nix/store",
];
/// Devices that programs write to as well.
#[cfg(target_os = "linux")]
const SYSTEM_WRITE: &[&str] =
    &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts"];

/// Whether files can be kept from a command on this system.
///
/// # Errors
/// They cannot; the text says why.
pub fn sandbox_is_there() -> Result<(), &'static str> {
    #[cfg(target_os = "linux")]
    {
        use landlock::{ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _};
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))
            .and_then(Ruleset::create)
            .map(drop)
            .map_err(|_| "this kernel has no Landlock, or it is not switched on")
    }
    #[cfg(not(target_os = "linux"))]
    Err("only Linux has it")
}

/// Keeps this thread, and every process that it starts, to the files of a sandbox. What the kernel has beside it is taken
/// along: no signals to processes outside, no sockets without a name in the file system.
///
/// # Errors
/// It cannot be had; then nothing may be started.
#[cfg(target_os = "linux")]
pub(super) fn enter(sandbox: &FileSandbox, program: &std::ffi::OsStr) -> std::io::Result<()> {
    use landlock::{
        ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
        Scope, path_beneath_rules,
    };
    let other = |error: &dyn std::fmt::Display| std::io::Error::other(format!("no sandbox can be had: {error}"));
    sandbox_is_there().map_err(|why| other(&why))?;
    let abi = ABI::V10;
    let program = found(program);
    let read = SYSTEM_READ.iter().map(PathBuf::from).chain(sandbox.read.iter().cloned()).chain(program);
    let write = SYSTEM_WRITE.iter().map(PathBuf::from).chain(sandbox.write.iter().cloned());
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(Ruleset::create)
        // What is not there needs no rule.
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(read, AccessFs::from_read(abi))))
        .and_then(|ruleset| ruleset.add_rules(path_beneath_rules(write, AccessFs::from_all(abi))))
        .and_then(landlock::RulesetCreated::restrict_self)
        .map(drop)
        .map_err(|error| other(&error))
}

/// The files that a program may be, as the system looks for it, and where they lead.
#[cfg(target_os = "linux")]
fn found(program: &std::ffi::OsStr) -> Vec<PathBuf> {
    let given = PathBuf::from(program);
    let named: Vec<PathBuf> = if given.components().count() > 1 {
        vec![given]
    } else {
        let search = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&search).map(|folder| folder.join(&given)).filter(|path| path.is_file()).collect()
    };
    named.into_iter().flat_map(|path| [path.canonicalize().ok(), Some(path)]).flatten().collect()
}

#[cfg(all(unix, not(target_os = "linux")))]
pub(super) fn enter(_sandbox: &FileSandbox, _program: &std::ffi::OsStr) -> std::io::Result<()> {
    Err(std::io::Error::other("no sandbox can be had: only Linux has it"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_confinement_is_read_as_it_was_written_and_nothing_else_is_none() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let sandbox = FileSandbox { read: paths(&["/a", "--write"]), write: paths(&["--", "/b c"]) };
        for confinement in [
            Confinement::NONE,
            Confinement { user: Some(0), group: Some(u32::MAX), sandbox: None },
            Confinement { user: None, group: Some(7), sandbox: Some(FileSandbox::default()) },
            Confinement { user: Some(7), group: None, sandbox: Some(sandbox) },
        ] {
            let command: Vec<OsString> = ["--user", "x"].map(OsString::from).into();
            let written = [arguments(&confinement), command.clone()].concat();
            assert_eq!(parse(written), Some((confinement, command)));
        }
        for odd in [&["sh"][..], &[], &["--user", "root", "--", "sh"], &["--read", "/", "--", "sh"], &["--user", "1"]] {
            assert_eq!(parse(odd.iter().map(OsString::from).collect()), None, "{odd:?}");
        }
    }
}
