//! Watches the file of a policy: a valid new version takes over, a bad one is refused, logged and shown to the
//! operator.

use super::audit::Whose;
use super::decider::Decider;
use super::loosened::Loosened;
use super::regular_file::read_regular;
use super::watched_file::WatchedFile;
use crate::clock::Timestamp;
use crate::policy::{POLICY_BYTES_MAX, Policy, parse};
use crate::problem::Problem;
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

/// Whether a gateway takes up new versions of its files while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reloading {
    /// As soon as they are there.
    #[default]
    WhileRunning,
    /// Policies, locks and the configuration stay as they were at the start.
    AtStart,
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
    read_regular(path, POLICY_BYTES_MAX).map_err(unreadable)
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

    /// How calls are held to it.
    pub fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// Looks whether the file has changed, and returns a valid new version that says something else than `old`, the one
    /// in force. Logs a bad one, and tells the operator of it. Reads the file, so it may block.
    pub fn newer(&mut self, old: Option<&Policy>, decider: &Decider, now: Timestamp) -> Option<PolicyNews> {
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
        if old.map(Policy::hash) == Some(policy.hash()) {
            return None;
        }
        let loosened = old.map(|old| Loosened::between(old, &policy)).unwrap_or_default();
        Some(PolicyNews { policy: Arc::new(policy), old: old.map(|old| old.hash().to_owned()), loosened })
    }
}

/// A new version of a policy.
#[derive(Debug)]
pub struct PolicyNews {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Hash of the one before it, if there was one.
    old: Option<String>,
    /// What it lets pass that the one before did not.
    loosened: Loosened,
}

impl PolicyNews {
    /// Logs that this version is in force, and tells the operator, with what has become looser.
    pub fn tell(&self, decider: &Decider, now: Timestamp) {
        let hash = self.policy.hash();
        decider.audit().event(now, "reload", &Whose::gateway(), |line| {
            self.loosened.log(line.text("policy", hash).text_if("old", self.old.as_deref()))
        });
        if let Some(meter) = decider.meter() {
            meter.reloaded();
        }
        decider.notice(&self.loosened.said(&format!("policy reloaded: {}", &hash[..12])));
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
        let new = reload.newer(Some(&old), &decider, now).unwrap().policy;
        assert_ne!(new.hash(), old.hash());
    }
}
