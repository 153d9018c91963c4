//! A file that the gateway reads again when it changes: looked at now and then, and what is wrong with it said once.

use super::audit::Whose;
use super::decider::Decider;
use super::said::Said;
use crate::clock::Timestamp;
use crate::problem::Problem;
use std::fmt::Display;
use std::path::{Path, PathBuf};

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

/// A file whose changes are seen.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    stamp: Stamp,
    /// What was said of the version that was refused last.
    refused: Option<String>,
}

impl WatchedFile {
    /// Begins to watch a file. To be called before the file is read, so that a change in between is seen at the first
    /// look.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), stamp: Stamp::of(path), refused: None }
    }

    /// The file, as the operator named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file has changed since the last look.
    pub fn has_changed(&mut self) -> bool {
        let stamp = Stamp::of(&self.path);
        std::mem::replace(&mut self.stamp, stamp.clone()) != stamp
    }

    /// The new version is in force.
    pub fn accept(&mut self) {
        self.refused = None;
    }

    /// The new version is no good: says so, with what holds instead (`rest`), counts it, and logs it in this name. A file
    /// that stays bad is said once.
    pub fn refuse(
        &mut self,
        error: &dyn Display,
        rest: &str,
        problems: &[Problem],
        (decider, whose): (&Decider, &Whose),
        now: Timestamp,
    ) {
        let mut text = format!("{error}; {rest}");
        for problem in problems {
            text.push_str(&format!("\n  {problem}"));
        }
        if self.refused.as_ref() == Some(&text) {
            return;
        }
        decider.audit().event(now, "reload_refused", whose, |line| line.text("reason", &error.to_string()));
        if let Some(meter) = decider.meter() {
            meter.reload_refused();
        }
        decider.notice(&Said::error(&*text).of(whose.server_name()));
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
