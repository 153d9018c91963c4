//! Watches the file of a policy: a valid new version takes over, a bad one is refused, logged and shown to the
//! operator.

use super::audit::Whose;
use super::desk::Desk;
use crate::clock::Timestamp;
use crate::policy::{POLICY_BYTES_MAX, Policy, parse};
use crate::problem::Problem;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whether calls that a policy denies are kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// Denied calls are kept back.
    AsWritten,
    /// Every call is decided on and logged, and forwarded all the same.
    Shadow,
}

/// Why a policy could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BadPolicy {
    /// The file cannot be read.
    #[error("cannot read policy `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no policy; every problem at once.
    #[error("policy `{}` is not valid", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

/// Reads a policy file.
///
/// # Errors
/// It cannot be read or is not valid.
pub fn read(path: &Path, enforcement: Enforcement) -> Result<Policy, BadPolicy> {
    let policy = parse_text(path, &text_of(path)?)?;
    Ok(match enforcement {
        Enforcement::AsWritten => policy,
        Enforcement::Shadow => policy.in_shadow(),
    })
}

fn text_of(path: &Path) -> Result<String, BadPolicy> {
    let unreadable = |source| BadPolicy::Unreadable { path: path.to_owned(), source };
    let mut text = String::new();
    // One byte more than allowed, so that the parser sees that the file is too large.
    File::open(path)
        .and_then(|file| file.take(POLICY_BYTES_MAX as u64 + 1).read_to_string(&mut text))
        .map_err(unreadable)?;
    Ok(text)
}

fn parse_text(path: &Path, text: &str) -> Result<Policy, BadPolicy> {
    parse(text, &path.display().to_string()).map_err(|problems| BadPolicy::Invalid { path: path.to_owned(), problems })
}

/// What tells one state of a file from another without reading it: where it leads, when it was written, its length and
/// inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    place: Option<PathBuf>,
    modified: (i64, i64),
    bytes: u64,
    file: u64,
}

impl Stamp {
    /// The stamp of a file as it is now; a missing file has one too.
    pub fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        #[cfg(unix)]
        let (file, modified) = metadata.as_ref().map_or((0, (0, 0)), |metadata| {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.ino(), (metadata.mtime(), metadata.mtime_nsec()))
        });
        #[cfg(windows)]
        let (file, modified) = metadata.as_ref().map_or((0, (0, 0)), |metadata| {
            use std::os::windows::fs::MetadataExt as _;
            (0, (metadata.last_write_time().cast_signed(), 0))
        });
        Self {
            // Tells of a link, in the path or at its end, that leads elsewhere now.
            place: path.canonicalize().ok(),
            modified,
            bytes: metadata.as_ref().map_or(0, std::fs::Metadata::len),
            file,
        }
    }
}

/// Watches a policy file.
#[derive(Debug)]
pub struct Reload {
    path: PathBuf,
    enforcement: Enforcement,
    stamp: Stamp,
    refused: Option<String>,
}

impl Reload {
    /// Begins to watch a file. To be called before the file is read, so that a change in between is seen at the first
    /// look.
    pub fn new(path: PathBuf, enforcement: Enforcement) -> Self {
        let stamp = Stamp::of(&path);
        Self { path, enforcement, stamp, refused: None }
    }

    /// The policy's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks whether the file has changed, and returns a valid new version that says something else than `old`, the one
    /// in force. Logs and tells the operator of it, or of a bad one.
    pub fn newer(&mut self, old: Option<&Policy>, desk: &Desk, now: Timestamp) -> Option<Arc<Policy>> {
        let stamp = Stamp::of(&self.path);
        if stamp == self.stamp {
            return None;
        }
        self.stamp = stamp;
        let policy = match read(&self.path, self.enforcement) {
            Ok(policy) => policy,
            Err(error) => {
                self.refuse(&error, old, desk, now);
                return None;
            }
        };
        self.refused = None;
        let hash = old.map(Policy::hash);
        if hash == Some(policy.hash()) {
            return None;
        }
        desk.audit()
            .event(now, "reload", &Whose::gateway(), |line| line.text("policy", policy.hash()).text_if("old", hash));
        desk.notice(&format!("policy reloaded: {}", &policy.hash()[..12]));
        Some(Arc::new(policy))
    }

    fn refuse(&mut self, error: &BadPolicy, old: Option<&Policy>, desk: &Desk, now: Timestamp) {
        let rest = if old.is_some() { "the old policy stays in force" } else { "calls under it are denied" };
        let mut text = format!("{error}; {rest}");
        if let BadPolicy::Invalid { problems, .. } = error {
            for problem in problems {
                text.push_str(&format!("\n  {problem}"));
            }
        }
        // A file that stays bad is reported once.
        if self.refused.as_ref() == Some(&text) {
            return;
        }
        desk.audit().event(now, "reload_refused", &Whose::gateway(), |line| line.text("reason", &error.to_string()));
        desk.notice(&text);
        self.refused = Some(text);
    }
}

/// The folder of a file. It is watched in the file's place, since editors and deployments put another file there.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Calls `tell`, on a thread of its own, whenever a file of the folder is closed after writing, made or moved in, until
/// it returns false. Not at every write: counters and log often lie beside the policy, and each call writes to them.
#[cfg(target_os = "linux")]
pub fn notify(folder: &Path, tell: impl Fn() -> bool + Send + 'static) {
    use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
    let wanted = WatchFlags::CLOSE_WRITE | WatchFlags::CREATE | WatchFlags::MOVED_TO;
    let Ok(watch) = init(CreateFlags::CLOEXEC) else { return };
    if add_watch(&watch, folder, wanted).is_err() {
        return;
    }
    let work = move || {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(watch, &mut buffer);
        while reader.next().is_ok() {
            if !tell() {
                return;
            }
        }
    };
    // Without the thread a change is seen at the next tick.
    drop(std::thread::Builder::new().name("policy-folder".to_owned()).spawn(work));
}

/// On other systems nothing tells of changes; they are seen at the next tick.
#[cfg(not(target_os = "linux"))]
pub fn notify(_folder: &Path, _tell: impl Fn() -> bool + Send + 'static) {}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot write its files must fail")]
    use super::*;
    use crate::gateway::audit::{Audit, Destination};
    use crate::state::MemoryStore;

    #[test]
    fn what_changes_while_a_policy_is_read_is_seen_at_the_first_look() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        let write = |default: &str| {
            std::fs::write(&path, format!(r#"{{"version":"1","default":"{default}"}}"#)).unwrap();
        };
        let store = Arc::new(MemoryStore::default());
        let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
        let desk = Desk::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ()));
        let now = Timestamp::from_millis(0);

        write("allow");
        let mut reload = Reload::new(path.clone(), Enforcement::AsWritten);
        let old = read(&path, Enforcement::AsWritten).unwrap();
        assert!(reload.newer(Some(&old), &desk, now).is_none(), "nothing has changed");
        let mut reload = Reload::new(path.clone(), Enforcement::AsWritten);
        let old = read(&path, Enforcement::AsWritten).unwrap();
        write("deny");
        let new = reload.newer(Some(&old), &desk, now).unwrap();
        assert_ne!(new.hash(), old.hash());
    }
}
