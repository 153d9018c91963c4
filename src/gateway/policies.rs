//! The policies of a gateway over HTTP: one a file, loaded when first needed, watched, and shared by all who use it.

use super::desk::Desk;
use super::reload::{BadPolicy, Enforcement, Reload, folder_of, notify, read};
use crate::clock::Timestamp;
use crate::policy::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// One file.
#[derive(Debug)]
pub struct Slot {
    current: RwLock<Option<Arc<Policy>>>,
    reload: Mutex<Reload>,
}

impl Slot {
    /// The policy of new calls; `None` while there is no good one.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look(&self, desk: &Desk, now: Timestamp) -> bool {
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        // Held while the news is told: whoever hears it finds the new policy in force.
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let Some(new) = reload.newer(current.as_deref(), desk, now) else { return false };
        *current = Some(new);
        true
    }
}

/// All files. They are named by whoever runs the gateway, never by callers.
#[derive(Debug, Default)]
pub struct Policies {
    all: RwLock<Vec<Arc<Slot>>>,
    /// Those that grants name, as written and in shadow mode.
    named: [RwLock<BTreeMap<PathBuf, Arc<Slot>>>; 2],
    folders: Mutex<BTreeSet<PathBuf>>,
    touched: Arc<Notify>,
}

impl Policies {
    /// Loads a file that must be good.
    ///
    /// # Errors
    /// It cannot be read or is no policy.
    pub fn load(&self, path: &Path, enforcement: Enforcement) -> Result<Arc<Slot>, BadPolicy> {
        let reload = Reload::new(path.to_owned(), enforcement);
        let policy = read(path, enforcement)?;
        Ok(self.put(path, reload, Some(policy)))
    }

    /// The slot of a file that a grant names; one that is not good is said, and looked at again when it changes.
    pub fn of(&self, path: &Path, enforcement: Enforcement, desk: &Desk) -> Arc<Slot> {
        let [as_written, in_shadow] = &self.named;
        let named = match enforcement {
            Enforcement::AsWritten => as_written,
            Enforcement::Shadow => in_shadow,
        };
        if let Some(slot) = named.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            return Arc::clone(slot);
        }
        let reload = Reload::new(path.to_owned(), enforcement);
        let policy = match read(path, enforcement) {
            Ok(policy) => Some(policy),
            Err(error) => {
                desk.notice(&format!("{error}; calls under it are denied"));
                None
            }
        };
        let slot = self.put(path, reload, policy);
        named.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), Arc::clone(&slot));
        slot
    }

    fn put(&self, path: &Path, reload: Reload, policy: Option<Policy>) -> Arc<Slot> {
        let slot = Arc::new(Slot { current: RwLock::new(policy.map(Arc::new)), reload: Mutex::new(reload) });
        self.all.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&slot));
        self.watch(path);
        slot
    }

    /// Has [`Self::touched`] tell when something changes in the folder of a file.
    pub fn watch(&self, path: &Path) {
        let folder = folder_of(path).to_owned();
        if self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.clone()) {
            let touched = Arc::downgrade(&self.touched);
            notify(&folder, move || touched.upgrade().map(|touched| touched.notify_one()).is_some());
        }
    }

    /// Waits until a file of a folder with policies has changed.
    pub async fn touched(&self) {
        self.touched.notified().await;
    }

    /// Looks at all files, and puts good new versions in place. Answers whether there was one.
    pub fn look(&self, desk: &Desk, now: Timestamp) -> bool {
        let slots = self.all.read().unwrap_or_else(PoisonError::into_inner).clone();
        // Each is looked at, also when one before it has changed.
        slots.iter().filter(|slot| slot.look(desk, now)).count() > 0
    }
}
