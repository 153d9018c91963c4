//! Grants in memory.

use super::{GRANTS_MAX, Grant, GrantCreated, GrantName, GrantRevoked, GrantState, GrantStore, TokenHash, full};
use crate::clock::Timestamp;
use crate::policy::StoreError;
use crate::state::MemoryStore;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The grants of one process.
#[derive(Debug, Default)]
pub(in crate::state) struct Grants {
    by_name: BTreeMap<GrantName, Grant>,
    by_token: HashMap<TokenHash, GrantName>,
    servers: BTreeSet<String>,
}

impl GrantStore for MemoryStore {
    fn create(&self, now: Timestamp, grant: &Grant) -> Result<GrantCreated, StoreError> {
        let mut grants = self.grants()?;
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
        Ok(self.grants()?.by_name.values().cloned().collect())
    }

    fn revoke(&self, now: Timestamp, name: &GrantName) -> Result<GrantRevoked, StoreError> {
        let mut grants = self.grants()?;
        let Some(grant) = grants.by_name.get_mut(name) else { return Ok(GrantRevoked::Unknown) };
        if grant.revoked.is_some() {
            return Ok(GrantRevoked::Already(grant.clone()));
        }
        grant.revoked = Some(now);
        Ok(GrantRevoked::Done(grant.clone()))
    }

    fn find(&self, token: &TokenHash) -> Result<Option<Grant>, StoreError> {
        let grants = self.grants()?;
        Ok(grants.by_token.get(token).and_then(|name| grants.by_name.get(name)).cloned())
    }

    fn any_for(&self, server: &str) -> Result<bool, StoreError> {
        Ok(self.grants()?.servers.contains(server))
    }
}
