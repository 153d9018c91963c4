//! The policies of a gateway: each file is loaded when it is first needed, watched, and shared by all servers and
//! grants that name it.

use super::decider::Decider;
use super::exchange::PolicySource;
use super::reload::{BadPolicy, Enforcement, Reload, Reloading, read};
use super::said::Said;
use super::watched_file::{folder_of, notify};
use crate::clock::Timestamp;
use crate::policy::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use tokio::sync::Notify;

/// The policy in one file, as it is now.
#[derive(Debug)]
pub struct Slot {
    current: RwLock<Option<Arc<Policy>>>,
    reload: Mutex<Reload>,
}

impl Slot {
    /// The policy that new calls are judged by; `None` while the file has held no valid one.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads a file that must hold a valid policy.
    ///
    /// # Errors
    /// The file cannot be read, or is no valid policy.
    pub fn open(path: &Path, enforcement: Enforcement) -> Result<Arc<Self>, BadPolicy> {
        // The watch begins first: a change while the file is read is seen at the first look.
        let reload = Reload::new(path, enforcement);
        let policy = read(path, enforcement)?;
        Ok(Arc::new(Self::new(reload, Some(policy))))
    }

    fn new(reload: Reload, policy: Option<Policy>) -> Self {
        Self { current: RwLock::new(policy.map(Arc::new)), reload: Mutex::new(reload) }
    }

    fn is_same_file(&self, other: &Self) -> bool {
        let of = |slot: &Self| {
            let reload = slot.reload.lock().unwrap_or_else(PoisonError::into_inner);
            (reload.path().to_owned(), reload.enforcement())
        };
        of(self) == of(other)
    }

    /// The policy's file.
    pub fn path(&self) -> PathBuf {
        self.reload.lock().unwrap_or_else(PoisonError::into_inner).path().to_owned()
    }

    /// Looks whether the file has changed, and puts a valid new version in force. Returns whether a tool is visible
    /// under one version and not under the other, so that clients have to list the tools again.
    pub fn look(&self, decider: &Decider, now: Timestamp) -> bool {
        // Only this changes the policy, one look after the other, so that calls need not wait while the file is read.
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.policy();
        let Some(news) = reload.newer(old.as_deref(), decider, now) else { return false };
        let new = Arc::clone(&news.policy);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&new));
        // Told when it holds: a reader of the news then finds the new policy in force.
        news.tell(decider, now);
        old.is_none_or(|old| appear_otherwise(&old, &new))
    }
}

impl PolicySource for Arc<Slot> {
    fn policy(&self) -> Option<Arc<Policy>> {
        Slot::policy(self)
    }
}

/// Whether any tool is visible under one policy and not under the other.
fn appear_otherwise(old: &Policy, new: &Policy) -> bool {
    let mut names = old.tool_names();
    names.extend(new.tool_names());
    // A name that neither policy has stands for all tools that fall under the default.
    names.insert("");
    names.into_iter().any(|name| old.visible(name) != new.visible(name))
}

/// The policies of one gateway, by file. Only the operator names files, in the configuration and in grants, never a
/// client.
#[derive(Debug, Default)]
pub struct Policies {
    /// The policies that a server or grant still uses; the files of others are not looked at.
    all: RwLock<Vec<Weak<Slot>>>,
    /// The policies that grants name, as written and in shadow mode.
    named: [RwLock<BTreeMap<PathBuf, NamedPolicy>>; 2],
    folders: Mutex<BTreeSet<PathBuf>>,
    touched: Arc<Notify>,
    reloading: Reloading,
}

/// A policy that grants name.
#[derive(Debug)]
struct NamedPolicy {
    slot: Arc<Slot>,
    /// Whether it was asked for since the last [`Policies::tidy`].
    used: AtomicBool,
}

impl Policies {
    /// No policies yet.
    pub fn new(reloading: Reloading) -> Self {
        Self { reloading, ..Self::default() }
    }

    /// Whether new versions of files are taken up.
    pub fn reloading(&self) -> Reloading {
        self.reloading
    }

    /// Loads a file that must hold a valid policy. A file that is in use already keeps the version in force until the
    /// next [`Self::look`], which tells of the new one.
    ///
    /// # Errors
    /// The file cannot be read, or is no valid policy.
    pub fn load(&self, path: &Path, enforcement: Enforcement) -> Result<Arc<Slot>, BadPolicy> {
        Ok(self.put(path, Slot::open(path, enforcement)?))
    }

    /// The slot of a file that a grant names. The operator is told of one that is not valid; it is read again when it
    /// changes.
    pub fn of(&self, path: &Path, enforcement: Enforcement, decider: &Decider) -> Arc<Slot> {
        let [as_written, in_shadow] = &self.named;
        let named = match enforcement {
            Enforcement::AsWritten => as_written,
            Enforcement::Shadow => in_shadow,
        };
        if let Some(known) = named.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            // Stored only if it changes: a store at every call would pass the cache line from core to core.
            if !known.used.load(Ordering::Relaxed) {
                known.used.store(true, Ordering::Relaxed);
            }
            return Arc::clone(&known.slot);
        }
        let reload = Reload::new(path, enforcement);
        let policy = match read(path, enforcement) {
            Ok(policy) => Some(policy),
            Err(error) => {
                decider.notice(&Said::error(format!("{error}; calls under it are denied")));
                None
            }
        };
        let slot = self.put(path, Arc::new(Slot::new(reload, policy)));
        let known = NamedPolicy { slot: Arc::clone(&slot), used: AtomicBool::new(true) };
        named.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), known);
        slot
    }

    /// The one slot of a file: servers and grants that name the same file are held to the same version of it at any
    /// moment, and its news is told once.
    fn put(&self, path: &Path, slot: Arc<Slot>) -> Arc<Slot> {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().filter_map(Weak::upgrade).find(|known| known.is_same_file(&slot)) {
            return known;
        }
        all.push(Arc::downgrade(&slot));
        drop(all);
        self.watch(path);
        slot
    }

    /// Has [`Self::touched`] return when a file changes in the folder of this one.
    pub fn watch(&self, path: &Path) {
        if self.reloading == Reloading::AtStart {
            return;
        }
        let folder = folder_of(path).to_owned();
        if self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.clone()) {
            let touched = Arc::downgrade(&self.touched);
            notify(&folder, move || touched.upgrade().map(|touched| touched.notify_one()).is_some());
        }
    }

    /// Forgets policies of grants that were not asked for since the last call of this, as the configuration that named
    /// them may have gone. One that is needed again is read again.
    pub fn tidy(&self) {
        for named in &self.named {
            let mut named = named.write().unwrap_or_else(PoisonError::into_inner);
            named.retain(|_, known| known.used.swap(false, Ordering::Relaxed));
        }
    }

    /// Waits until a file has changed in a folder that [`Self::watch`] was called for.
    pub async fn touched(&self) {
        self.touched.notified().await;
    }

    /// Looks at all files in use, and puts valid new versions in force. Returns whether a tool became visible or
    /// invisible under one of them.
    pub fn look(&self, decider: &Decider, now: Timestamp) -> bool {
        if self.reloading == Reloading::AtStart {
            return false;
        }
        let slots: Vec<Arc<Slot>> = {
            let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
            all.retain(|slot| slot.strong_count() > 0);
            all.iter().filter_map(Weak::upgrade).collect()
        };
        // `any` would stop at the first change, and leave the other files unread.
        slots.iter().filter(|slot| slot.look(decider, now)).count() > 0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot write its files must fail")]
    use super::*;
    use crate::gateway::audit::{Audit, Destination};
    use crate::state::MemoryStore;

    fn decider() -> Decider {
        let store = Arc::new(MemoryStore::default());
        let audit = Audit::open(&Destination::Nowhere, None, "s".to_owned()).unwrap();
        Decider::new(Arc::clone(&store) as _, store, audit, Box::new(|_| ()))
    }

    #[test]
    fn what_nobody_uses_any_more_is_let_go() {
        let (folder, decider, now) = (tempfile::tempdir().unwrap(), decider(), Timestamp::from_millis(0));
        let path = folder.path().join("policy.json");
        std::fs::write(&path, r#"{"version":"1","default":"deny"}"#).unwrap();
        let policies = Policies::default();
        let kept = || {
            policies.look(&decider, now);
            policies.all.read().unwrap().len()
        };
        // As at each reload of the configuration, and where two servers name one file.
        let slot = policies.load(&path, Enforcement::AsWritten).unwrap();
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&slot, &policies.load(&path, Enforcement::AsWritten).unwrap()));
            assert_eq!(kept(), 1);
        }
        let shadow = policies.load(&path, Enforcement::Shadow).unwrap();
        assert!(!Arc::ptr_eq(&slot, &shadow), "what is only watched is never enforced, and the other way round");
        drop((slot, shadow));
        assert_eq!(kept(), 0);
        policies.of(&path, Enforcement::AsWritten, &decider);
        policies.tidy();
        assert_eq!(kept(), 1, "it was used a moment ago");
        policies.of(&path, Enforcement::AsWritten, &decider);
        policies.tidy();
        assert_eq!(kept(), 1);
        policies.tidy();
        assert_eq!(kept(), 0);
        assert!(policies.of(&path, Enforcement::AsWritten, &decider).policy().is_some(), "it is read again");
        assert_eq!(kept(), 1);
    }
}
