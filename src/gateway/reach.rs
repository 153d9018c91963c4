//! Which of the files that the gateway goes by others can change, the server among them that they hold: what is changed
//! there counts from the next call on. Says so to the operator, and forbids nothing.

use crate::mcp::target::StdioTarget;
use crate::text::escape;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file that the gateway goes by, and what it is to the operator: `policy`, `lock`, `state`, `log`, `configuration`.
#[derive(Clone, Copy, Debug)]
pub struct KeptFile<'p> {
    /// In one word.
    pub what: &'static str,
    /// Its path; the file need not be there yet.
    pub path: &'p Path,
}

/// A warning for each file, and each way to change it, that another has: a user of the system who is neither root nor the
/// one that this process runs as, and this server's command. Reads directories, nothing else.
pub fn warnings(files: &[KeptFile<'_>], server: Option<&StdioTarget>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let reached: Vec<(PathBuf, &'static str)> = server.map(reached_by).unwrap_or_default();
    for file in files {
        let shown = escape(&file.path.to_string_lossy()).into_owned();
        for place in places(file.path) {
            if let Some((path, who)) = writable(&place) {
                let path = escape(&path.to_string_lossy()).into_owned();
                found.insert(format!("{} `{shown}` can be changed by {who}, who may write `{path}`", file.what));
            }
            for (folder, how) in &reached {
                if place.starts_with(folder) {
                    let folder = escape(&folder.to_string_lossy()).into_owned();
                    found.insert(format!(
                        "{} `{shown}` lies below `{folder}`, {how}: the server may be able to change what it is held to",
                        file.what
                    ));
                }
            }
        }
    }
    found
}

/// Where a file lies, without links: as its path says, and where that leads.
fn places(path: &Path) -> BTreeSet<PathBuf> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let in_folder = || Some(absolute.parent()?.canonicalize().ok()?.join(absolute.file_name()?));
    let mut places = BTreeSet::new();
    // A folder that is not there yet is made for its owner only; what holds it counts.
    let nearest = absolute.ancestors().find_map(|above| above.canonicalize().ok().map(|real| (above.to_owned(), real)));
    places.extend(absolute.canonicalize().ok());
    places.extend(in_folder());
    // Joined with nothing a path would end in a slash, as that of a folder.
    let beyond = nearest.and_then(|(above, real)| Some(real.join(absolute.strip_prefix(&above).ok()?)));
    places.extend(beyond.filter(|_| !absolute.exists()));
    places
}

/// The directories that a server's command can be taken to reach, with how it is known.
fn reached_by(target: &StdioTarget) -> Vec<(PathBuf, &'static str)> {
    if let Some(sandbox) = &target.confinement.sandbox {
        let real = |path: &PathBuf| Some((path.canonicalize().ok()?, "which its sandbox may write"));
        return sandbox.write.iter().filter_map(real).collect();
    }
    if target.confinement.user.is_some() {
        // What another user may write is said by the files themselves.
        return Vec::new();
    }
    let own = std::env::current_dir().unwrap_or_default();
    let cwd = target.cwd.as_ref().map_or_else(|| own.clone(), |cwd| own.join(cwd));
    let named = target.argv.iter().skip(1).flat_map(|argument| {
        let value = argument.split_once('=').map(|(_, value)| value);
        [Some(argument.as_str()), value].into_iter().flatten().filter_map(|text| directory(text, &cwd))
    });
    let mut reached: Vec<_> = named.map(|path| (path, "which the server's arguments name")).collect();
    // Where everything lies says nothing: programs of a desktop are started there.
    let here = cwd.canonicalize().ok().filter(|cwd| cwd.parent().is_some());
    reached.extend(here.map(|cwd| (cwd, "the server's working directory")));
    reached
}

/// The directory that an argument names, as a path or a `file:` URL.
fn directory(text: &str, cwd: &Path) -> Option<PathBuf> {
    let url = url::Url::parse(text).ok().filter(|url| url.scheme() == "file");
    let path = match url {
        Some(url) => url.to_file_path().ok()?,
        None => cwd.join(text),
    };
    (!text.is_empty() && path.is_dir()).then(|| path.canonicalize().ok()).flatten()
}

/// The first of a file and the folders above it that others may write, and who.
#[cfg(unix)]
fn writable(path: &Path) -> Option<(PathBuf, &'static str)> {
    use std::os::unix::fs::MetadataExt as _;
    /// Only an entry's owner may rename or delete it.
    const STICKY: u32 = 0o1000;
    let me = rustix::process::geteuid().as_raw();
    path.ancestors().find_map(|path| {
        let metadata = std::fs::symlink_metadata(path).ok()?;
        if metadata.is_symlink() || (!metadata.is_file() && !metadata.is_dir()) {
            return None;
        }
        let (mode, owner) = (metadata.mode(), metadata.uid());
        let is_shared = metadata.is_dir() && mode & STICKY != 0;
        let who = if mode & 0o002 != 0 && !is_shared {
            "everybody"
        // The group that has its owner's number is that user's own on most systems.
        } else if mode & 0o020 != 0 && !is_shared && metadata.gid() != owner && metadata.gid() != 0 {
            "its group"
        } else if owner != 0 && owner != me {
            "its owner, another user,"
        } else {
            return None;
        };
        Some((path.to_owned(), who))
    })
}

#[cfg(not(unix))]
fn writable(_path: &Path) -> Option<(PathBuf, &'static str)> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot make its files must fail")]
    use super::*;
    use crate::mcp::target::{Confinement, FileSandbox};
    use crate::model::ServerName;
    use std::os::unix::fs::PermissionsExt as _;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn check(path: &Path, server: Option<&StdioTarget>, expected: &[&str]) {
        let found = warnings(&[KeptFile { what: "policy", path }], server);
        assert_eq!(found.len(), expected.len(), "{found:#?} {expected:?}");
        assert!(
            expected.iter().all(|part| found.iter().any(|warning| warning.contains(part))),
            "{found:#?} {expected:?}"
        );
    }

    #[test]
    fn what_others_may_write_is_said_up_to_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (above, file) = (root.join("above"), root.join("above/policy.json"));
        std::fs::create_dir(&above).unwrap();
        std::fs::write(&file, "").unwrap();
        for (folder_mode, mode, expected) in [
            (0o755, 0o644, &[][..]),
            (0o755, 0o666, &["everybody, who may write `"]),
            (0o777, 0o600, &["everybody"]),
            (0o1777, 0o600, &[]),
            (0o1777, 0o602, &["everybody"]),
        ] {
            set(&above, folder_mode);
            set(&file, mode);
            check(&file, None, expected);
        }
        // Through a link, both what it is and where it leads count.
        set(&above, 0o777);
        std::os::unix::fs::symlink(&file, root.join("link")).unwrap();
        check(&root.join("link"), None, &["everybody"]);
        // What is not there yet can be put there.
        check(&above.join("state.db"), None, &["everybody"]);
        check(&above.join("new/state.db"), None, &["everybody"]);
    }

    #[test]
    fn what_a_server_is_pointed_at_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("data/sub")).unwrap();
        std::fs::create_dir(root.join("elsewhere")).unwrap();
        let file = root.join("data/policy.json");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(root.join("data"), root.join("link")).unwrap();
        let text = |name: &str| root.join(name).to_string_lossy().into_owned();
        let url = url::Url::from_directory_path(root.join("data")).unwrap().to_string();
        for (arguments, cwd, expected) in [
            (vec![], "elsewhere", &[][..]),
            (vec![text("data")], "elsewhere", &["the server's arguments name"]),
            (vec![text("link")], "elsewhere", &["the server's arguments name"]),
            (vec![format!("--root={}", text("data"))], "elsewhere", &["the server's arguments name"]),
            (vec![url], "elsewhere", &["the server's arguments name"]),
            (vec!["../data".to_owned()], "elsewhere", &["the server's arguments name"]),
            (vec![text("data/sub"), text("data/policy.json"), "data".to_owned()], "elsewhere", &[]),
            (vec![], "data", &["working directory"]),
            (vec![".".to_owned()], "data", &["the server's arguments name", "working directory"]),
            (vec!["/".to_owned()], "elsewhere", &["lies below `/`"]),
        ] {
            let argv = std::iter::once("server".to_owned()).chain(arguments).collect();
            let mut target = StdioTarget::new(ServerName::new("s"), argv);
            target.cwd = Some(root.join(cwd));
            check(&file, Some(&target), expected);
            // A sandbox is what it says, whatever the arguments name.
            let sandbox = FileSandbox { read: vec![root.join("data")], write: vec![root.join("elsewhere")] };
            target.confinement = Confinement { sandbox: Some(sandbox), ..Confinement::NONE };
            check(&file, Some(&target), &[]);
            let sandbox = FileSandbox { read: Vec::new(), write: vec![root.join("data")] };
            target.confinement = Confinement { sandbox: Some(sandbox), ..Confinement::NONE };
            check(&file, Some(&target), &["its sandbox may write"]);
        }
    }
}
