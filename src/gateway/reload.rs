//! Watches the file of a policy: a valid new version takes over, a bad one is refused, logged and shown to the
//! operator.

use super::audit::Whose;
use super::decider::Decider;
use super::watched_file::WatchedFile;
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

/// Watches a policy file.
#[derive(Debug)]
pub struct Reload {
    file: WatchedFile,
    enforcement: Enforcement,
}

impl Reload {
    /// Begins to watch a file. To be called before the file is read, so that a change in between is seen at the first
    /// look.
    pub fn new(path: &Path, enforcement: Enforcement) -> Self {
        Self { file: WatchedFile::new(path), enforcement }
    }

    /// The policy's file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Looks whether the file has changed, and returns a valid new version that says something else than `old`, the one
    /// in force. Logs and tells the operator of it, or of a bad one.
    pub fn newer(&mut self, old: Option<&Policy>, decider: &Decider, now: Timestamp) -> Option<Arc<Policy>> {
        if !self.file.has_changed() {
            return None;
        }
        let policy = match read(self.file.path(), self.enforcement) {
            Ok(policy) => policy,
            Err(error) => {
                let rest = if old.is_some() { "the old policy stays in force" } else { "calls under it are denied" };
                let problems = match &error {
                    BadPolicy::Invalid { problems, .. } => problems.as_slice(),
                    BadPolicy::Unreadable { .. } => &[],
                };
                self.file.refuse(&error, rest, problems, (decider, &Whose::gateway()), now);
                return None;
            }
        };
        self.file.accept();
        let hash = old.map(Policy::hash);
        if hash == Some(policy.hash()) {
            return None;
        }
        decider
            .audit()
            .event(now, "reload", &Whose::gateway(), |line| line.text("policy", policy.hash()).text_if("old", hash));
        decider.notice(&format!("policy reloaded: {}", &policy.hash()[..12]));
        Some(Arc::new(policy))
    }
}

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
        let decider = Decider::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ()));
        let now = Timestamp::from_millis(0);

        write("allow");
        let mut reload = Reload::new(&path, Enforcement::AsWritten);
        let old = read(&path, Enforcement::AsWritten).unwrap();
        assert!(reload.newer(Some(&old), &decider, now).is_none(), "nothing has changed");
        let mut reload = Reload::new(&path, Enforcement::AsWritten);
        let old = read(&path, Enforcement::AsWritten).unwrap();
        write("deny");
        let new = reload.newer(Some(&old), &decider, now).unwrap();
        assert_ne!(new.hash(), old.hash());
    }
}
