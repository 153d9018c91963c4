//! Grants in memory.

use super::{GRANTS_MAX, Grant, GrantCreated, GrantName, GrantRevoked, GrantState, GrantStore, TokenHash, full};
use crate::clock::Timestamp;
use crate::policy::StoreError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};

/// Grants that end with the process.
#[derive(Debug, Default)]
pub struct MemoryGrants(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    by_name: BTreeMap<GrantName, Grant>,
    by_token: HashMap<TokenHash, GrantName>,
    servers: BTreeSet<String>,
}

impl MemoryGrants {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A thread that panicked while it held the lock may have left half a change: that is damage.
    fn rows(&self) -> Result<MutexGuard<'_, Rows>, StoreError> {
        let damaged = |_| StoreError::Damaged("another thread failed while it changed the grants".to_owned());
        self.0.lock().map_err(damaged)
    }
}

impl GrantStore for MemoryGrants {
    fn create(&self, now: Timestamp, grant: &Grant) -> Result<GrantCreated, StoreError> {
        let mut grants = self.rows()?;
        match grants.by_name.get(&grant.name) {
            Some(known) if known.state(now) == GrantState::Active => return Ok(GrantCreated::Exists(known.clone())),
            Some(known) => {
                let token = known.token;
                grants.by_token.remove(&token);
            }
            None if grants.by_name.len() >= GRANTS_MAX => return Err(full()),
            None => {}
        }
        grants.servers.extend(grant.servers.iter().cloned());
        grants.by_token.insert(grant.token, grant.name.clone());
        grants.by_name.insert(grant.name.clone(), grant.clone());
        Ok(GrantCreated::Done)
    }

    fn list(&self) -> Result<Vec<Grant>, StoreError> {
        Ok(self.rows()?.by_name.values().cloned().collect())
    }

    fn revoke(&self, now: Timestamp, name: &GrantName) -> Result<GrantRevoked, StoreError> {
        let mut grants = self.rows()?;
        let Some(grant) = grants.by_name.get_mut(name) else { return Ok(GrantRevoked::Unknown) };
        if grant.revoked.is_some() {
            return Ok(GrantRevoked::Already(grant.clone()));
        }
        grant.revoked = Some(now);
        Ok(GrantRevoked::Done(grant.clone()))
    }

    fn find(&self, token: &TokenHash) -> Result<Option<Grant>, StoreError> {
        let grants = self.rows()?;
        Ok(grants.by_token.get(token).and_then(|name| grants.by_name.get(name)).cloned())
    }

    fn any_for(&self, server: &str) -> Result<bool, StoreError> {
        Ok(self.rows()?.servers.contains(server))
    }
}
